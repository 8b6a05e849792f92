//! SuperscalarHash (RandomX specification 6): the eight random programs that stand between the cache and a dataset item.

mod generator;
mod reference_cpu;

use super::blake_generator::BlakeGenerator;

/// The registers that a program works on.
pub(super) type Registers = [u64; 8];

/// Programs per key, which is also the number of cache lines that an item reads.
pub(super) const PROGRAMS: usize = 8;

/// One program, and which register says where the cache is read next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Program {
    pub(super) instructions: Vec<Instruction>,
    pub(super) address_register: usize,
}

/// An operation on the register `dst`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Instruction {
    pub(super) dst: usize,
    pub(super) operation: Operation,
}

/// What becomes of `dst`. Operands called `src` are registers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operation {
    /// `dst - src`
    Subtract { src: usize },
    /// `dst ^ src`
    Xor { src: usize },
    /// `dst + (src << shift)`, the shift being at most 3.
    AddShifted { src: usize, shift: u8 },
    /// `dst * src`
    Multiply { src: usize },
    /// The upper half of the unsigned product of `dst` and `src`.
    MultiplyHigh { src: usize },
    /// The upper half of the signed product of `dst` and `src`.
    MultiplyHighSigned { src: usize },
    /// `dst` rotated right by 1 to 63 bits.
    RotateRight { bits: u8 },
    /// `dst + constant`
    AddConstant(u64),
    /// `dst ^ constant`
    XorConstant(u64),
    /// `dst * constant`, the constant being a [`reciprocal`].
    MultiplyConstant(u64),
}

impl Program {
    /// The programs of `key`, in the order they run.
    pub(super) fn of_key(key: &[u8]) -> [Self; PROGRAMS] {
        let mut random = BlakeGenerator::new(key);
        std::array::from_fn(|_| generator::generate(&mut random))
    }

    /// Runs the program, one plain operation after the other.
    pub(super) fn run(&self, registers: &mut Registers) {
        for Instruction { dst, operation } in &self.instructions {
            registers[*dst] = operation.apply(registers[*dst], registers);
        }
    }
}

impl Operation {
    #[expect(clippy::cast_sign_loss, reason = "the bits of a product")]
    fn apply(self, dst: u64, registers: &Registers) -> u64 {
        match self {
            Self::Subtract { src } => dst.wrapping_sub(registers[src]),
            Self::Xor { src } => dst ^ registers[src],
            Self::AddShifted { src, shift } => dst.wrapping_add(registers[src] << shift),
            Self::Multiply { src } => dst.wrapping_mul(registers[src]),
            Self::MultiplyHigh { src } => ((u128::from(dst) * u128::from(registers[src])) >> 64) as u64,
            Self::MultiplyHighSigned { src } => {
                let [a, b] = [dst, registers[src]].map(|value| i128::from(value.cast_signed()));
                ((a * b) >> 64) as u64
            }
            Self::RotateRight { bits } => dst.rotate_right(u32::from(bits)),
            Self::AddConstant(constant) => dst.wrapping_add(constant),
            Self::XorConstant(constant) => dst ^ constant,
            Self::MultiplyConstant(constant) => dst.wrapping_mul(constant),
        }
    }
}

/// `2^x / divisor`, rounded down, for the largest `x` with which that is below `2^64` (RandomX specification 5.2.6). The
/// divisor must be neither zero nor a power of two.
#[expect(clippy::cast_possible_truncation, reason = "divisor > 2^(bits - 1), so the quotient is below 2^64")]
pub(super) fn reciprocal(divisor: u32) -> u64 {
    let bits = u32::BITS - divisor.leading_zeros();
    ((1_u128 << (63 + bits)) / u128::from(divisor)) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reciprocals_of_the_vectors() {
        let vectors: serde_json::Value =
            serde_json::from_str(include_str!("../../../../../vectors/randomx.json")).unwrap();
        let cases = vectors["reciprocal"].as_array().unwrap();
        assert_eq!(cases.len(), 7);
        for case in cases {
            let divisor = u32::try_from(case["divisor"].as_u64().unwrap()).unwrap();
            assert_eq!(reciprocal(divisor).to_string(), case["value"].as_str().unwrap());
        }
    }

    #[test]
    fn operations_do_as_they_are_described() {
        use Operation::{
            AddConstant, AddShifted, Multiply, MultiplyConstant, MultiplyHigh, MultiplyHighSigned, RotateRight,
            Subtract, Xor, XorConstant,
        };
        let all = u64::MAX;
        let cases = [
            (Subtract { src: 1 }, 3, 5, all - 1),
            (Xor { src: 1 }, 0b1100, 0b1010, 0b0110),
            (AddShifted { src: 1, shift: 3 }, 1, 5, 41),
            (Multiply { src: 1 }, 1 << 63, 3, 1 << 63),
            (MultiplyHigh { src: 1 }, all, all, all - 1),
            (MultiplyHighSigned { src: 1 }, all, all, 0),
            (MultiplyHighSigned { src: 1 }, all, 2, all),
            (MultiplyHighSigned { src: 1 }, 1 << 63, 1 << 63, 1 << 62),
            (RotateRight { bits: 1 }, 1, 0, 1 << 63),
            (AddConstant(all), 1, 0, 0),
            (XorConstant(all), 1, 0, all - 1),
            (MultiplyConstant(3), 1 << 63, 0, 1 << 63),
        ];
        for (operation, dst, src, expected) in cases {
            assert_eq!(operation.apply(dst, &[dst, src, 0, 0, 0, 0, 0, 0]), expected, "{operation:?}");
        }
    }
}
