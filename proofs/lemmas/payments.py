"""SPEC 8.3, 8.8 and 8.9: what is paid is what was earned, less what is kept for later, atom by atom."""

from z3 import And, If, Implies, Ints

from prover import floored, least

ONE = 2**60


def prove(prover):
    carry(prover)
    flush(prover)
    direct(prover)
    booked(prover)


def carry(prover):
    """The residue of a block is the next one's; what a lost block took goes back."""
    first, second, carried, left, fee1, fee2, paid1, paid2 = Ints(
        "first second carried left fee1 fee2 paid1 paid2"
    )
    prover.holds(
        "carry: two blocks pay, keep and leave over what both bring",
        fee1 + fee2 + paid1 + paid2 + left == first + second,
        fee1 + paid1 + carried == first, fee2 + paid2 + left == second + carried,
    )  # fmt: skip
    held, taken, residue = Ints("held taken residue")
    prover.holds(
        "carry: what is held is never below nothing, whether the block that took all of it stays or leaves, before or after an older one matures",
        And(held - taken >= 0, held - taken + taken == held, held - taken + residue >= 0, held - taken + residue + taken >= held),
        held >= 0, taken == held, residue >= 0,
    )  # fmt: skip


def flush(prover):
    """T20: accruals are paid as far as the reserve goes, one after the other; parts of atoms are never paid."""
    earned, whole, rest, reserve, credit = Ints("earned whole rest reserve credit")
    held = [earned >= 0, earned == whole * ONE + rest, 0 <= rest, rest < ONE, reserve >= 0]
    paid = [credit == least(whole, reserve)]
    prover.holds(
        "flush: what is credited and what stays are what there was, and the reserve never goes below nothing",
        And(credit >= 0, credit * ONE + ((whole - credit) * ONE + rest) == earned, reserve - credit >= 0),
        *held, *paid,
    )  # fmt: skip
    prover.holds(
        "flush: a whole atom stays only where the reserve is empty",
        Implies(whole - credit > 0, reserve - credit == 0),
        *held, *paid,
    )  # fmt: skip
    other, other_credit = Ints("other other_credit")
    prover.holds(
        "flush: two accounts together get no more than the reserve, and all of it before one is owed an atom",
        And(credit + other_credit <= reserve, Implies(whole + other > credit + other_credit, credit + other_credit == reserve)),
        *held, *paid, other >= 0, other_credit == least(other, reserve - credit),
    )  # fmt: skip
    added, more, second, second_rest, in_all, rest_in_all = Ints("added more second second_rest in_all rest_in_all")
    then = [added >= 0, (whole - credit) * ONE + rest + added == second * ONE + second_rest, 0 <= second_rest, second_rest < ONE]
    late = [earned + added == in_all * ONE + rest_in_all, 0 <= rest_in_all, rest_in_all < ONE]
    prover.holds(
        "flush: a reserve that was short for a while pays the same in the end",
        And(credit + least(second, more) == in_all, second_rest == rest_in_all),
        *held, *paid, *then, *late, more >= second,
    )  # fmt: skip


def direct(prover):
    """SPEC 8.8.3: accounts are asked one after the other, each for what it is owed, while there is something left and an output free."""
    reward, minimum, fee, seed, carry_in, residue = Ints("reward minimum fee seed carry_in residue")
    for parties in (2, 5):
        credits, carried, paid, left, allowed = (
            Ints(" ".join(f"{name}{i}" for i in range(parties)))
            for name in ("credit", "carried", "paid", "left", "allowed")
        )
        owed = [credit + older for credit, older in zip(credits, carried)]
        before = [reward, *left]
        given = [reward >= 0, minimum >= 1]
        for i in range(parties):
            part = least(owed[i], before[i])
            given += [credits[i] >= 0, carried[i] >= 0, left[i] == before[i] - paid[i]]
            given += [paid[i] == If(And(part >= minimum, allowed[i] == 1), part, 0)]
        put_off = [sum_owed - part for sum_owed, part in zip(owed, paid)]
        prover.holds(
            f"direct: {parties} outputs and the pool's own are the reward",
            And(sum(paid) + left[-1] == reward, left[-1] >= 0),
            *given,
        )
        prover.holds(
            f"direct: none of {parties} gets more than it is owed, and what it does not get is owed still",
            And(*[And(0 <= part, part <= whole, later >= 0) for part, whole, later in zip(paid, owed, put_off)]),
            *given,
        )
        prover.holds(
            f"direct: the pool's own output is fee, seed, residue and what {parties} are owed still, less what it held of both",
            left[-1] == fee + seed + residue - carry_in + sum(put_off) - sum(carried),
            *given, fee + sum(credits) + seed + residue == reward + carry_in,
        )  # fmt: skip
    # Both hold for any number by induction: one more account is one more step of this.
    before, owed, paid = Ints("before owed paid")
    prover.holds(
        "direct: one more account leaves something between nothing and what was there",
        And(0 <= before - paid, before - paid <= before),
        before >= 0, owed >= 0, paid == If(least(owed, before) >= minimum, least(owed, before), 0),
    )  # fmt: skip


def booked(prover):
    """SPEC 8.8.4, T15: what a coinbase paid is taken off credit, carried and payable, as far as they reach, then off what the pool bears."""
    paid, credit, carried, payable = Ints("paid credit carried payable")
    of_credit = least(paid, credit)
    of_carried = least(paid - of_credit, carried)
    of_payable = least(paid - of_credit - of_carried, payable)
    borne = paid - of_credit - of_carried - of_payable
    given = [paid >= 0, credit >= 0, carried >= 0, payable >= 0]
    prover.holds(
        "booked: nothing is taken below nothing, and the pool bears what nobody was owed",
        And(of_credit <= credit, of_carried <= carried, of_payable <= payable, borne >= 0,
            Implies(borne > 0, paid > credit + carried)),
        *given,
    )  # fmt: skip
    prover.holds(
        "booked: a coinbase that pays what 8.8.3 says costs the pool nothing, and no balance of payouts",
        And(borne == 0, of_payable == 0),
        *given, paid <= credit + carried,
    )  # fmt: skip
    reward, points, fee = Ints("reward points fee")
    prover.holds(
        "solo: the finder's credit is between nothing and the reward",
        And(0 <= reward - fee, reward - fee <= reward),
        0 <= reward, 0 <= points, points <= 10_000, floored(fee, reward * points, 10_000),
    )  # fmt: skip
