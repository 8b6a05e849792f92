"""SPEC 3.3 and 3.6: the base target and its bounds."""

from z3 import And, Implies, Ints

from exponential import fraction
from prover import clamp, floored, least

HALF_LIFE = 14_400
BLOCK_TIME = 600


def prove(prover):
    drift(prover)
    hard_side(prover)
    clamps(prover)


def drift(prover):
    t, quarter, limit, more, more_quarter = Ints("t quarter limit more more_quarter")
    given = [0 <= t, t < 2**256, floored(quarter, t, 4)]
    prover.holds(
        "drift: a step up fits 257 bits and is at most a quarter",
        And(t + quarter < 2**257, 4 * (t + quarter) <= 5 * t),
        *given,
    )
    prover.holds("drift: a step down leaves three quarters", And(t - quarter >= 0, 4 * (t - quarter) >= 3 * t), *given)
    prover.holds(
        "drift: an easier start is eased at least as far",
        least(t + quarter, limit) <= least(more + more_quarter, limit),
        *given, more >= t, floored(more_quarter, more, 4),
    )  # fmt: skip
    prover.holds("drift: easing stops at the limit", least(t + quarter, limit) <= limit, *given)


def hard_side(prover):
    """One block found at once hardens by 2^(-S/HL), which stays inside the drift bound: `lo` never binds."""
    t, quarter, x = Ints("t quarter x")
    for count in range(1, 10):
        f, shift = one_step(count)
        prover.holds(
            f"drift: with {count} algorithms the schedule never hardens by more than a quarter",
            x >= t - quarter,
            2**16 <= t, t < 2**256, floored(quarter, t, 4), floored(x, t * f, 2**shift),
        )  # fmt: skip
    f, shift = one_step(10)
    prover.is_true("drift: with ten it would", 2**200 * f >> shift < 2**200 - 2**198)


def one_step(count):
    """2^(-S/HL) as F and a shift, for the spacing S of one of `count` algorithms."""
    exponent = (-count * BLOCK_TIME << 32) // HALF_LIFE
    return fraction(exponent & 0xFFFFFFFF), 32 - (exponent >> 32)


def clamps(prover):
    x, low, high, hardest, limit, x2 = Ints("x low high hardest limit x2")
    bounds = [0 < hardest, hardest <= limit, low <= high]
    base = clamp(clamp(x, low, high), hardest, limit)
    prover.holds("base: always between hardest and limit", And(hardest <= base, base <= limit), *bounds)
    prover.holds(
        "base: never above the drift bound, where that is in range", Implies(high >= hardest, base <= high), *bounds
    )
    prover.holds(
        "base: never below the drift bound, where that is in range", Implies(low <= limit, base >= low), *bounds
    )
    prover.holds(
        "base: monotone in the schedule's target, so in the clock",
        base <= clamp(clamp(x2, low, high), hardest, limit),
        x <= x2, *bounds,
    )  # fmt: skip
    prover.holds(
        "base: only `hardest` and `low` can lift it above the schedule's target",
        base <= x,
        *bounds,
        x >= low,
        x >= hardest,
    )
