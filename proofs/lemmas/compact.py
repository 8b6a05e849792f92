"""SPEC 3.1: compact bits. One case for each length of a target in bytes."""

from z3 import And, BitVec, BitVecVal, If, Implies, LShR, ULE, ULT, UGE

SIGN = 0x800000


def prove(prover):
    # 264 bits: a mantissa whose sign bit would be set moves up by a byte.
    t = BitVec("t", 264)
    for length in range(1, 33):
        given = [UGE(t, BitVecVal(256 ** (length - 1), 264)), ULT(t, BitVecVal(256**length, 264))]
        mantissa, decoded = encode(t, length)
        prover.holds(
            f"compact: {length} bytes, decode(encode(t)) <= t, mantissa below the sign bit",
            And(ULE(decoded, t), ULT(mantissa, SIGN), decoded != 0),
            *given,
        )
        if length >= 3:
            lost = t - decoded
            prover.holds(
                f"compact: {length} bytes, less than one part in 32,768 is lost", ULE(lost << 7, LShR(t, 8)), *given
            )
        again, twice = encode(decoded, length)
        prover.holds(
            f"compact: {length} bytes, encoding again changes nothing", And(again == mantissa, twice == decoded), *given
        )
        u = BitVec("u", 264)
        _, decoded_u = encode(u, length)
        within = [UGE(u, BitVecVal(256 ** (length - 1), 264)), ULT(u, BitVecVal(256**length, 264))]
        prover.holds(
            f"compact: {length} bytes, an easier target is never encoded harder",
            Implies(ULE(t, u), ULE(decoded, decoded_u)),
            *given,
            *within,
        )


def encode(t, length):
    """Mantissa, and what the encoding decodes to, of a target that is `length` bytes long."""
    mantissa = LShR(t, 8 * (length - 3)) if length >= 3 else t << 8 * (3 - length)
    signed = (mantissa & SIGN) != 0
    mantissa = If(signed, LShR(mantissa, 8), mantissa)
    plain, moved = (shifted(mantissa, exponent) for exponent in (length, length + 1))
    return mantissa, If(signed, moved, plain)


def shifted(mantissa, exponent):
    """mantissa * 256^(exponent - 3)."""
    return mantissa << 8 * (exponent - 3) if exponent >= 3 else LShR(mantissa, 8 * (3 - exponent))
