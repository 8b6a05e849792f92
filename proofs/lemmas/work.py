"""SPEC 4: work of a target, weight of a block, chain work."""

from z3 import And, Implies, Ints

from prover import floored


def prove(prover):
    closed_form(prover)
    widths(prover)
    root(prover)
    sums(prover)


def closed_form(prover):
    t, q, less = Ints("t q less")
    target = [0 <= t, t < 2**256]
    prover.holds(
        "work: 2^256 // (t + 1) is (2^256 - 1 - t) // (t + 1) + 1",
        q == less + 1,
        *target, floored(q, 2**256, t + 1), floored(less, 2**256 - 1 - t, t + 1),
    )  # fmt: skip
    prover.holds(
        "work: at least 1, at most 2^256", And(1 <= q, q <= 2**256), *target, q >= 0, floored(q, 2**256, t + 1)
    )
    u, r = Ints("u r")
    prover.holds(
        "work: an easier target is never more work",
        r <= q,
        *target, t <= u, u < 2**256, 0 <= q, 0 <= r, floored(q, 2**256, t + 1), floored(r, 2**256, u + 1),
    )  # fmt: skip


def widths(prover):
    a, b, c = Ints("a b c")
    works = [1 <= a, a < 2**256, 1 <= b, b < 2**256]
    prover.holds("weight: two works fit 512 bits", And(1 <= a * b, a * b < 2**512), *works)
    prover.holds(
        "weight: three works fit 768 bits", And(1 <= a * b, a * b < 2**768), 1 <= a, a < 2**512, 1 <= b, b < 2**256
    )
    prover.holds("weight: ... and shifted by 192 they fit 1024", c * 2**192 < 2**1024, 1 <= c, c < 2**768)


def root(prover):
    """Newton's method starts above the root and stops when it no longer falls. It never steps below the root's floor,
    so where it stops is the floor."""
    x, q, v, r, y = Ints("x q v r y")
    positive = [x >= 1, v >= 0, r >= 0, q >= 0]
    prover.holds("root: (x - r)^2 >= 0 in the form that squares need", r * r >= 2 * r * x - x * x)
    prover.holds(
        "root: a step of the square root never falls below it",
        y >= r,
        *positive, r * r <= v, r * r >= 2 * (r * x) - x * x, floored(q, v, x), floored(y, x + q, 2),
    )  # fmt: skip
    rxx, xxx, rrr, xx = Ints("rxx xxx rrr xx")
    prover.holds("root: a square is not negative, so (x - r)^2 (2x + r) is not either", (x - r) * (x - r) >= 0)
    prover.holds(
        "root: r^3 >= 3 r x^2 - 2 x^3 follows by expanding it",
        rrr >= 3 * rxx - 2 * xxx,
        rxx == r * x * x, xxx == x * x * x, rrr == r * r * r, (x - r) * (x - r) * (2 * x + r) >= 0,
    )  # fmt: skip
    prover.holds(
        "root: a step of the cube root never falls below it",
        y >= r,
        *positive, xx >= 1, rrr <= v, rrr >= 3 * (r * xx) - 2 * (x * xx), floored(q, v, xx), floored(y, 2 * x + q, 3),
    )  # fmt: skip
    prover.holds(
        "root: where the square root stops falling it is not too large",
        x * x <= v,
        *positive, floored(q, v, x), floored(y, x + q, 2), y >= x,
    )  # fmt: skip
    prover.holds(
        "root: where the cube root stops falling it is not too large",
        x * xx <= v,
        *positive, xx >= 1, floored(q, v, xx), floored(y, 2 * x + q, 3), y >= x,
    )  # fmt: skip


def sums(prover):
    total, weight, blocks, most = Ints("total weight blocks most")
    prover.holds(
        "chain work: 2^32 blocks of up to 2^159 times the reference never overflow 256 bits",
        total + weight < 2**256,
        0 <= blocks, blocks < 2**32, most == 2 ** (64 + 159), 0 <= total, total <= blocks * most, 1 <= weight, weight <= most,
    )  # fmt: skip
    other = Ints("other")[0]
    prover.holds("chain work: a block always adds to it", total + weight > total, weight >= 1)
    prover.holds(
        "chain work: equal weights keep the order of two chains",
        Implies(total < other, total + weight < other + weight),
    )
    half, shift = Ints("half shift")
    for bits in range(7):
        prover.holds(
            f"run discount: halving {bits} times never adds",
            And(half <= weight, half >= 0),
            weight >= 1,
            shift == bits,
            floored(half, weight, 2**bits),
        )
