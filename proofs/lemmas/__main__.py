"""Proves every lemma; exits with 1 if one fails."""

import sys
import time

import bound
import burst
import compact
import control
import exponential
import payments
import schedule
import shares
import work
from prover import Prover


def main():
    start = time.monotonic()
    prover = Prover()
    for chapter in (exponential, schedule, bound, burst, compact, work, shares, payments, control):
        chapter.prove(prover)
    failed = prover.failures
    print(
        f"{prover.proved} lemmas hold, {prover.refuted} controls are refuted, {failed} failed, {time.monotonic() - start:.1f} s"
    )
    return 1 if failed else 0


sys.exit(main())
