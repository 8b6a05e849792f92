"""SPEC 3.2: the exponential."""

import json
from math import prod
from pathlib import Path

from z3 import And, Implies, Ints

from prover import floored

ONE = 2**63


def factors():
    """The 32 factors, from the vectors that the Rust code is tested against."""
    model = json.loads((Path(__file__).parents[2] / "vectors/bqip0002_model.json").read_text())
    found = model["exp2_constants"]
    return [int(value, 16) for value in found]


def fraction(f):
    """F(f) in plain integers, to evaluate at single points."""
    p = ONE
    for i, factor in enumerate(factors(), start=1):
        if f >> (32 - i) & 1:
            p = p * factor >> 63
    return (p + 2**30) >> 31


def prove(prover):
    c = factors()
    constants(prover, c)
    widths(prover, c)
    monotone(prover, c)
    exponent(prover)


def constants(prover, c):
    prover.is_true("exp2: there are 32 factors", len(c) == 32)
    # floor(2^63 * 2^(2^-i)) is the floored square root of its predecessor's exact value, which lies in [C, C + 1).
    chain = [2 * ONE] + c
    good = all(now**2 < (before + 1) * ONE and (now + 1) ** 2 > before * ONE for before, now in zip(chain, c))
    prover.is_true("exp2: each factor squared is the factor before it, to the last bit", good)


def widths(prover, c):
    p, factor = Ints("p factor")
    step = [ONE <= p, p < 2 * ONE, ONE <= factor, factor < 2 * ONE]
    prover.holds("exp2: the product of two factors fits 128 bits", p * factor < 2**128, *step)
    everything = ONE
    for factor_value in c:
        everything = everything * factor_value >> 63
    prover.is_true("exp2: all factors together stay below 2, so every product fits 64 bits", everything < 2 * ONE)
    rounded = Ints("rounded")[0]
    prover.holds(
        "exp2: 2^32 <= F <= 2^33",
        And(2**32 <= rounded, rounded <= 2**33),
        ONE <= p, p < 2 * ONE, floored(rounded, p + 2**30, 2**31),
    )  # fmt: skip
    t, f, shift = Ints("t f shift")
    prover.holds(
        "mul_exp2: target times F fits 290 bits of 512",
        t * f <= 2**289,
        0 <= t, t < 2**256, 2**32 <= f, f <= 2**33,
    )  # fmt: skip
    prover.holds(
        "mul_exp2: a target that does not saturate fits 256 bits after the shift",
        t * shift < 2**256,
        0 <= t, t < f, 1 <= f, 1 <= shift, f * shift <= 2**256,
    )  # fmt: skip
    lag = Ints("lag")[0]
    prover.holds(
        "exponent: a 64-bit lag shifted by 32 fits 128 bits",
        And(-(2**127) <= lag * 2**32, lag * 2**32 < 2**127),
        -(2**63) <= lag, lag < 2**63,
    )  # fmt: skip


def monotone(prover, c):
    p, more, factor, a, b = Ints("p more factor a b")
    grows = [ONE <= p, p < 2 * ONE, ONE <= factor, factor < 2 * ONE, floored(a, p * factor, ONE)]
    prover.holds("exp2: a factor never lowers the product", a >= p, *grows)
    prover.holds("exp2: a larger product stays larger", a <= b, *grows, more >= p, floored(b, more * factor, ONE))
    # Bit i set and all lower ones clear is never below bit i clear and all lower ones set. The left side loses less than
    # one unit to its floor; the right side's floors only lower it, so the exact product is an upper bound.
    for i in range(32):
        below = c[i + 1 :]
        scale = ONE ** max(len(below), 1)
        exact = prod(below) * (scale // ONE ** len(below))
        prover.holds(
            f"exp2: a carry into bit {31 - i} of the fraction never lowers 2^f",
            p * exact <= a * scale,
            ONE <= p, p < 2 * ONE, floored(a, p * c[i], ONE),
        )  # fmt: skip
    t, f, g = Ints("t f g")
    factor_range = [2**32 <= f, f <= 2**33, 2**32 <= g, g <= 2**33]
    prover.holds("mul_exp2: a larger F gives a larger product", t * f <= t * g, 0 <= t, f <= g, *factor_range)
    # From one whole exponent to the next: F doubles its range, the shift makes up for it.
    e = Ints("e")[0]
    prover.holds(
        "mul_exp2: the next whole exponent never gives less",
        a <= b,
        0 <= t, e >= 1, *factor_range, floored(a, t * f, 2 * e), floored(b, t * g, e), t * f <= 2 * (t * g),
    )  # fmt: skip
    prover.holds("mul_exp2: ... because F at most doubles", t * f <= 2 * (t * g), 0 <= t, *factor_range)


def exponent(prover):
    lag, later, half_life, q, r = Ints("lag later half_life q r")
    given = [
        half_life >= 1,
        half_life < 2**32,
        floored(q, lag * 2**32, half_life),
        floored(r, later * 2**32, half_life),
    ]
    prover.holds("exponent: a later clock never gives less", q <= r, lag <= later, *given)
    prover.holds("exponent: it is never above the exact quotient", q * half_life <= lag * 2**32, *given)
    prover.holds("exponent: ahead of schedule it is negative", Implies(lag < 0, q < 0), *given)
