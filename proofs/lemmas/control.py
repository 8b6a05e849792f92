"""Statements that are false. If z3 did not refute them, its other answers would be worth nothing."""

from z3 import If, Ints, Reals

from prover import floored, least, most


def prove(prover):
    lag, floor, truncated, size = Ints("lag floor truncated size")
    prover.is_refuted(
        "control: rounding the exponent toward zero never eases",
        truncated <= floor,
        floored(floor, lag * 2**32, 14_400),
        size == If(lag < 0, -lag, lag),
        floored(If(lag < 0, -truncated, truncated), size * 2**32, 14_400),
        -(2**40) < lag, lag < 2**40,
    )  # fmt: skip
    base, cap, last = Ints("base cap last")
    prover.is_refuted(
        "control: a guard without its minimum never eases",
        most(cap, last) <= base,
        0 < base, 0 < cap, 0 < last, least(base, last) == base,
    )  # fmt: skip
    rounded, units = Ints("rounded units")
    exact = Reals("exact")[0]
    prover.is_refuted(
        "control: F is never above 2^f",
        rounded <= exact * 2**32,
        1 <= exact, exact < 2, units == exact * 2**63, floored(rounded, units + 2**30, 2**31),
    )  # fmt: skip
    reward, first, second, paid_first, paid_second = Ints("reward first second paid_first paid_second")
    prover.is_refuted(
        "control: a coinbase that does not count what is left pays no more than there is",
        paid_first + paid_second <= reward,
        reward >= 0, first >= 0, second >= 0, paid_first == least(first, reward), paid_second == least(second, reward),
    )  # fmt: skip
    whole, reserve, short, later = Ints("whole reserve short later")
    prover.is_refuted(
        "control: a reserve that forgets what it could not pay pays the same in the end",
        short + later == whole,
        whole >= 0, reserve >= 0, short == least(whole, reserve), later == 0,
    )  # fmt: skip
