"""SPEC 8: what shares are worth and how a reward is split."""

from z3 import And, Implies, Ints

from prover import floored

ONE = 2**60
AMOUNT = 2**53


def prove(prover):
    widths(prover)
    fee(prover)
    split(prover)
    accrual(prover)
    reserve(prover)


def widths(prover):
    net, part, length, difficulty, weight = Ints("net part length difficulty weight")
    amount = [0 <= net, net < AMOUNT]
    windows = [1 <= length, length <= 64]
    prover.holds(
        "pplns: net times a part of the window fits 119 bits",
        net * part < 2**119,
        *amount, *windows, 0 <= part, part <= length * ONE,
    )  # fmt: skip
    prover.holds(
        "tides: net times a part of the window fits 155 bits",
        net * part < 2**155,
        *amount, *windows, 1 <= difficulty, difficulty < 2**96, 0 <= part, part <= length * difficulty,
    )  # fmt: skip
    prover.holds(
        "per share: the value of a share fits 113 bits", weight * net < 2**113, *amount, 0 <= weight, weight <= ONE
    )


def fee(prover):
    reward, points, taken = Ints("reward points taken")
    prover.holds(
        "fee: it is between nothing and the reward",
        And(0 <= taken, taken <= reward),
        0 <= reward, 0 <= points, points <= 10_000, floored(taken, reward * points, 10_000),
    )  # fmt: skip


def split(prover):
    """The products are given by name: they sum to net * whole because the parts sum to the whole."""
    net, whole = Ints("net whole")
    for parties in (2, 5):
        credits = Ints(" ".join(f"credit{i}" for i in range(parties)))
        products = Ints(" ".join(f"product{i}" for i in range(parties)))
        contracts = [floored(credit, product, whole) for credit, product in zip(credits, products)]
        given = [whole >= 1, sum(products) == net * whole, *contracts]
        prover.holds(f"split: {parties} credits are never more than there is", sum(credits) <= net, *given)
        prover.holds(
            f"split: what {parties} credits leave is less than an atom for each", net - sum(credits) < parties, *given
        )
    part, more, a, b = Ints("part more a b")
    prover.holds(
        "split: a larger part never earns less",
        a <= b,
        net >= 0, whole >= 1, 0 <= part, part <= more, floored(a, net * part, whole), floored(b, net * more, whole),
        net * part <= net * more,
    )  # fmt: skip
    prover.holds("split: ... because its product is larger", net * part <= net * more, net >= 0, 0 <= part, part <= more)


def accrual(prover):
    earned, added, credit, rest, second, end, all_at_once, left = Ints(
        "earned added credit rest second end all_at_once left"
    )
    flush = [earned >= 0, earned == credit * ONE + rest, 0 <= rest, rest < ONE]
    then = [added >= 0, rest + added == second * ONE + end, 0 <= end, end < ONE]
    late = [earned + added == all_at_once * ONE + left, 0 <= left, left < ONE]
    prover.holds("accrual: a credit is never negative, and what stays is less than an atom", credit >= 0, *flush)
    prover.holds(
        "accrual: crediting twice is crediting once",
        And(credit + second == all_at_once, end == left),
        *flush, *then, *late,
    )  # fmt: skip
    prover.holds(
        "accrual: two accounts earn no more than one would, and less than an atom less",
        And(credit + second <= all_at_once, all_at_once <= credit + second + 1),
        *flush, added >= 0, added == second * ONE + end, 0 <= end, end < ONE, *late,
    )  # fmt: skip


def reserve(prover):
    fees, subsidy, clip, term = Ints("fees subsidy clip term")
    prover.holds(
        "reserve: a clipped term is never above a tenth of the subsidy",
        And(term >= 0, 10 * term <= subsidy),
        fees >= 0, subsidy >= 0, floored(clip, subsidy, 10), Implies(fees <= clip, term == fees), Implies(fees > clip, term == clip),
    )  # fmt: skip
    block, points, value, taken = Ints("block points value taken")
    prover.holds(
        "reserve: two atoms a block cover the rounding of the fee",
        (value - taken) * 10_000 <= value * (10_000 - points) + 10_000,
        1 <= value, 0 <= points, points <= 10_000, floored(taken, value * points, 10_000),
    )  # fmt: skip
    prover.holds(
        "reserve: ... for an atom of a value is no more than two of a block, when the value is half of it or more",
        block * 10_000 <= value * 20_000,
        1 <= value, block <= 2 * value,
    )  # fmt: skip
    paid, received, x, product = Ints("paid received x product")
    prover.holds(
        "reserve: all of it fits 256 bits: what is paid at x in units of 2^-96, and the logarithm of a millionth times an amount",
        And(paid * x + received < 2**256, product * AMOUNT < 2**256),
        0 <= paid, paid < received, received <= 10**8 * AMOUNT, 0 <= x, x <= 10_000 * 2**96, 0 <= product, product < 14 * 2**96,
    )  # fmt: skip
