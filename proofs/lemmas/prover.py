"""What a lemma is: a claim that no assignment within its assumptions breaks."""

import time

import z3

# A lemma that takes longer is a lemma stated badly.
TIMEOUT_MS = 30_000


class Prover:
    """Asks z3 for a counterexample to each claim and counts what it finds."""

    def __init__(self):
        self.proved = 0
        self.refuted = 0
        self.failures = 0

    def holds(self, name, claim, *assumptions):
        """The claim holds whenever the assumptions do, and they can."""
        solver = self._solver(assumptions)
        if not self._consistent(solver):
            self._fail(name, "the assumptions contradict each other: the lemma would say nothing")
            return
        answer, model, seconds = self._ask(solver, z3.Not(claim))
        if answer == z3.unsat:
            self.proved += 1
            print(f"holds    {name} ({seconds:.2f} s)")
        else:
            self._fail(name, f"counterexample {model}" if answer == z3.sat else "undecided")

    def is_true(self, name, fact):
        """A fact about constants, decided by Python's own integers."""
        if fact:
            self.proved += 1
            print(f"holds    {name}")
        else:
            self._fail(name, "not so")

    def is_refuted(self, name, claim, *assumptions):
        """A control: the claim is false, and a counterexample must be found."""
        answer, model, seconds = self._ask(self._solver(assumptions), z3.Not(claim))
        if answer == z3.sat:
            self.refuted += 1
            print(f"refuted  {name} ({seconds:.2f} s): {model}")
        else:
            self._fail(name, "a false statement was not refuted")

    def _solver(self, assumptions):
        solver = z3.Solver()
        solver.set("timeout", TIMEOUT_MS)
        solver.add(*assumptions)
        return solver

    def _consistent(self, solver):
        # Undecided is good enough here: only a proof of contradiction makes a lemma empty.
        return solver.check() != z3.unsat

    def _ask(self, solver, negation):
        start = time.monotonic()
        solver.add(negation)
        answer = solver.check()
        model = solver.model() if answer == z3.sat else None
        return answer, model, time.monotonic() - start

    def _fail(self, name, why):
        self.failures += 1
        print(f"FAILED   {name}: {why}")


def floored(quotient, numerator, divisor):
    """quotient = numerator // divisor, rounded toward minus infinity, for a positive divisor."""
    return z3.And(quotient * divisor <= numerator, numerator < (quotient + 1) * divisor)


def least(a, b):
    """The smaller."""
    return z3.If(a <= b, a, b)


def most(a, b):
    """The larger."""
    return z3.If(a >= b, a, b)


def clamp(value, low, high):
    """`low` if below it, else `high` if above that."""
    return most(least(value, high), low)
