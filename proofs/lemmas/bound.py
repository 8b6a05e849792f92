"""SPEC 3.6: how far 2^f can be off, and the bound that no times can pass.

Real variables stand for exact powers of two. z3 is told what it needs of them (an exact factor lies in [1, 2]); that powers multiply
when their exponents add is used where a lemma calls a product by one name.
"""

from fractions import Fraction

from z3 import Ints, Reals, RealVal

from prover import floored

ONE = 2**63
UNIT = Fraction(1, ONE)
"""What one truncation at 63 bits loses at most."""
ROUNDING = Fraction(1, 2**33)
"""What the last rounding, to 32 bits, adds at most, relative to a value of at least 1."""


def prove(prover):
    error_above(prover)
    error_below(prover)
    step(prover)
    telescope(prover)
    blocks_in_a_span(prover)


def rational(fraction):
    return RealVal(f"{fraction.numerator}/{fraction.denominator}")


def error_above(prover):
    """Truncations only lower the product, so nothing but the last rounding lifts F above 2^f."""
    p, exact, factor, exact_factor, after = Ints("p")[0], *Reals("exact factor exact_factor after")
    unit = rational(UNIT)
    prover.holds(
        "bound: a truncated product of truncated factors stays below the exact one",
        after <= exact * exact_factor,
        1 <= factor, factor <= exact_factor, exact_factor <= 2, 1 <= exact, p * unit <= exact,
        after <= p * unit * factor, p >= 0,
    )  # fmt: skip
    rounded = Ints("rounded")[0]
    prover.holds(
        "bound: F is above 2^f by 2^-33 of it at most",
        rounded <= exact * 2**32 * (1 + rational(ROUNDING)),
        1 <= exact, p * unit <= exact, floored(rounded, p + 2**30, 2**31),
    )  # fmt: skip
    prover.is_true("bound: 2^-33 is below 1.165e-10", ROUNDING < Fraction(1165, 10**13))


def error_below(prover):
    """Each of 32 products loses a unit to its factor and one to its truncation."""
    p, exact, factor, exact_factor, after = Reals("p exact factor exact_factor after")
    unit = rational(UNIT)
    for count in range(32):
        lost = rational(2 * count * UNIT)
        lost_then = rational(2 * (count + 1) * UNIT)
        prover.holds(
            f"bound: {count + 1} products lose less than {2 * (count + 1)} units",
            after >= exact * exact_factor * (1 - lost_then),
            1 <= exact, 1 <= exact_factor, exact_factor <= 2, exact_factor - unit <= factor, 1 <= factor,
            p >= exact * (1 - lost), after >= p * factor - unit,
        )  # fmt: skip
    rounded = Ints("rounded")[0]
    total = rational(64 * UNIT + ROUNDING)
    prover.holds(
        "bound: F is below 2^f by 2^-33 and 64 units of it at most",
        rounded >= exact * 2**32 * (1 - total),
        1 <= exact, p >= exact * (1 - rational(64 * UNIT)), rounded * rational(Fraction(2**31, ONE)) >= p - rational(Fraction(2**30, ONE)),
    )  # fmt: skip
    prover.is_true("bound: which is below 1.165e-10 too", 64 * UNIT + ROUNDING < Fraction(1165, 10**13))


def step(prover):
    """The induction over the blocks of one algorithm. `schedule` proves that the base never exceeds the schedule's target x,
    `compact` that encoding never raises it, `exponential` that the exponent is a floor."""
    x, t, f, power, base, start, grown, error, slack = Reals("x t f power base start grown error slack")
    r = rational(ROUNDING)
    prover.holds(
        "bound: the schedule's target is at most the exact one and a rounding",
        x <= t * power * (1 + r),
        0 <= t, 0 <= power, f <= power * (1 + r), x <= t * f,
    )  # fmt: skip
    prover.holds(
        "bound: one more block multiplies the bound by its own power and one more rounding",
        base <= start * (grown * power) * (error * (1 + r)),
        0 <= t, 0 < start, 0 < grown, 0 < power, 1 <= error,
        t <= start * grown * error, base <= x, x <= t * power * (1 + r),
    )  # fmt: skip
    prover.holds(
        "bound: the roundings of n + 1 steps stay below (1 + 1.2e-10)^(n + 1)",
        error * (1 + r) <= slack * (1 + rational(Fraction(12, 10**11))),
        1 <= error, error <= slack,
    )  # fmt: skip


def telescope(prover):
    """The later term of one step is the earlier term of the next, so the sum of exponents knows its ends only."""
    total, start, before, now, n, spacing = Ints("total start before now n spacing")
    prover.holds(
        "bound: the first step of an era counts from its start",
        now - (start - spacing) - spacing == now - start,
        spacing > 0,
    )
    prover.holds(
        "bound: after one more block the exponents still sum to the clock less the schedule",
        total + (now - before - spacing) == now - start - (n + 1) * spacing,
        n >= 0, spacing > 0, before <= now, total == before - start - n * spacing,
    )  # fmt: skip


def blocks_in_a_span(prover):
    """What the bound means, in logarithms to base 2."""
    blocks, span, ahead, clock, spacing, half_life, log_start, log_end = Reals(
        "blocks span ahead clock spacing half_life log_start log_end"
    )
    prover.holds(
        "bound: no times get more blocks than (span + FTL) / S + (HL / S) log2(A / B)",
        blocks * spacing <= span + ahead + half_life * (log_start - log_end),
        half_life > 0, spacing > 0, clock <= span + ahead,
        half_life * (log_end - log_start) <= clock - blocks * spacing,
    )  # fmt: skip
