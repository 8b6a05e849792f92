"""SPEC 3.4 and 3.5: the burst cap and the required bits."""

from z3 import And, Implies, Ints

from prover import clamp, floored, least, most


def prove(prover):
    widths(prover)
    closed_form(prover)
    guard(prover)


def widths(prover):
    work, spacing, secs = Ints("work spacing secs")
    given = [0 <= work, work <= 11 * 2**256, 0 <= spacing, spacing <= 3 * 2**32, 1 <= secs, secs < 2**64]
    prover.holds("cap: eleven works times the spacing fit 512 bits", work * spacing < 2**512, *given)
    prover.holds("cap: three times the window fits 512 bits", And(0 < 3 * secs, 3 * secs < 2**512), *given)


def closed_form(prover):
    d, q, less = Ints("d q less")
    prover.holds(
        "cap: 2^256 // d - 1 is (2^256 - d) // d",
        less == q - 1,
        1 <= d, d <= 2**256, 1 <= q, floored(q, 2**256, d), floored(less, 2**256 - d, d),
    )  # fmt: skip
    prover.holds(
        "cap: it fits 256 bits when d > 1", And(0 <= q - 1, q - 1 < 2**256), 1 < d, d <= 2**256, floored(q, 2**256, d)
    )
    work, secs, more, a, b = Ints("work secs more a b")
    prover.holds(
        "cap: a later clock never asks for more hashes",
        b <= a,
        0 <= work, 1 <= secs, secs <= more, 0 <= a, 0 <= b,
        floored(a, work, 3 * secs), floored(b, work, 3 * more),
    )  # fmt: skip
    prover.holds(
        "cap: fewer hashes never give a harder cap",
        q <= less,
        1 <= a, a <= 2**256, 1 <= b, b <= a, floored(q, 2**256, a), floored(less, 2**256, b),
    )  # fmt: skip


def guard(prover):
    base, cap, last, quarter, high, hardest, limit = Ints("base cap last quarter high hardest limit")
    given = [
        0 < hardest, hardest <= base, base <= limit, hardest <= last, last <= limit, 0 <= cap, cap < 2**256,
        floored(quarter, last, 4), last <= high, high <= limit,
    ]  # fmt: skip
    tight = last - quarter
    target = clamp(least(least(base, most(cap, tight)), high), hardest, limit)
    prover.holds("guard: the required target is never easier than the base", target <= base, *given)
    prover.holds("guard: the required target is in range", And(hardest <= target, target <= limit), *given)
    prover.holds(
        "guard: it tightens by a quarter at most, unless the base asks for more", target >= least(base, tight), *given
    )
    prover.holds("guard: it never rises above the release bound", target <= high, *given)
    prover.holds(
        "guard: a block at once after the last releases a quarter at most",
        target * 4 <= last * 5,
        *given,
        high == least(last + quarter, limit),
    )
    prover.holds(
        "guard: with no burst and nothing to release it is the base",
        Implies(And(cap >= base, base <= high), target == base),
        *given,
    )
    later, later_cap = Ints("later later_cap")
    later_target = clamp(least(least(later, most(later_cap, tight)), high), hardest, limit)
    prover.holds(
        "guard: monotone in base and cap, so in the clock",
        target <= later_target,
        *given, base <= later, later <= limit, cap <= later_cap, later_cap < 2**256,
    )  # fmt: skip
