//! What 2,176 random bytes mean to the VM (specification, chapters 4.5 and 5).

/// Instructions in a program.
pub(super) const PROGRAM_SIZE: usize = 256;
/// Bytes that one program is made of: 16 words of configuration, then the instructions.
pub(super) const PROGRAM_BYTES: usize = 128 + 8 * PROGRAM_SIZE;

const SCRATCHPAD_L1_MASK: u32 = (16 << 10) - 8;
const SCRATCHPAD_L2_MASK: u32 = (256 << 10) - 8;
const SCRATCHPAD_L3_MASK: u32 = (2 << 20) - 8;
/// Last 64-byte item that a program's own offset can be: 33,554,368 bytes beyond the dataset's first 2 GiB.
const DATASET_EXTRA_ITEMS: u64 = 33_554_368 / 64;

/// An integer register's number, 0 to 7.
pub(super) type R = u8;
/// The number of a register of group F, E or A, 0 to 3.
pub(super) type F = u8;

/// A place in the scratchpad, always a multiple of eight.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Address {
    /// `(base + offset) & mask`, in 32 bits.
    Based {
        base: R,
        offset: i32,
        mask: u32,
    },
    Fixed(u32),
}

/// The second operand of an integer instruction.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Source {
    Register(R),
    /// Extended with its sign.
    Immediate(i32),
    Memory(Address),
}

/// The second operand of an addition or subtraction of floating point numbers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum FloatSource {
    /// Of group A.
    Register(F),
    Memory(Address),
}

/// The second operand of a rotation.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Count {
    Register(R),
    /// 0 to 63.
    Fixed(u8),
}

/// A decoded instruction, named as in the specification.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Instruction {
    /// `dst + (src << shift) + offset`. The offset is zero unless `dst` is r5.
    IaddRs {
        dst: R,
        src: R,
        shift: u8,
        offset: i32,
    },
    Iadd {
        dst: R,
        address: Address,
    },
    Isub {
        dst: R,
        src: Source,
    },
    Imul {
        dst: R,
        src: Source,
    },
    /// Upper half of the product.
    Imulh {
        dst: R,
        src: Source,
    },
    /// Upper half of the product of signed numbers.
    Ismulh {
        dst: R,
        src: Source,
    },
    ImulRcp {
        dst: R,
        reciprocal: u64,
    },
    Ineg {
        dst: R,
    },
    Ixor {
        dst: R,
        src: Source,
    },
    Iror {
        dst: R,
        count: Count,
    },
    Irol {
        dst: R,
        count: Count,
    },
    /// Of two different registers.
    Iswap {
        dst: R,
        src: R,
    },
    /// 0 to 3 of group F, 4 to 7 of group E.
    Fswap {
        dst: u8,
    },
    Fadd {
        dst: F,
        src: FloatSource,
    },
    Fsub {
        dst: F,
        src: FloatSource,
    },
    Fscal {
        dst: F,
    },
    Fmul {
        dst: F,
        src: F,
    },
    Fdiv {
        dst: F,
        address: Address,
    },
    Fsqrt {
        dst: F,
    },
    /// Adds `addend`, then goes to `target` if the sum has none of the bits of `mask`.
    Cbranch {
        dst: R,
        addend: i32,
        mask: u32,
        target: u8,
    },
    /// The rounding mode is bits `shift` and `shift + 1` of `src`, counted round.
    Cfround {
        src: R,
        shift: u8,
    },
    Istore {
        address: Address,
        src: R,
    },
    Nop,
}

/// What a program starts from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Configuration {
    /// Bits of a0 to a3, low half first.
    pub(super) a: [[u64; 2]; 4],
    pub(super) ma: u32,
    pub(super) mx: u32,
    /// The four address registers.
    pub(super) read: [R; 4],
    /// In items of 64 bytes.
    pub(super) dataset_offset: u32,
    /// Bits that every value loaded for group E gets.
    pub(super) e_mask: [u64; 2],
}

impl Configuration {
    /// Of the first sixteen words.
    pub(super) fn decode(bytes: &[u8; PROGRAM_BYTES]) -> Self {
        let word = |index: usize| word(bytes, index);
        let select = word(12);
        Self {
            a: [0, 2, 4, 6].map(|index| [word(index), word(index + 1)].map(positive_float)),
            ma: low_half(word(8)),
            mx: low_half(word(10)),
            read: [0, 1, 2, 3].map(|pair| 2 * pair + u8::from(select >> pair & 1 == 1)),
            dataset_offset: low_half(word(13) % (DATASET_EXTRA_ITEMS + 1)),
            e_mask: [14, 15].map(|index| e_mask(word(index))),
        }
    }
}

/// `+1.fraction * 2^exponent` with the fraction from the low 52 bits, the exponent from the top five.
const fn positive_float(word: u64) -> u64 {
    ((word >> 59) + 1023) << 52 | word & ((1 << 52) - 1)
}

/// Exponent `0b01m_mmmm_011` less its sign, with the four variable bits from the top of the word; fraction's low 22 bits.
const fn e_mask(word: u64) -> u64 {
    (0b011 << 8 | (word >> 60) << 4) << 52 | word & ((1 << 22) - 1)
}

/// Decodes the instructions.
pub(super) fn decode(bytes: &[u8; PROGRAM_BYTES]) -> [Instruction; PROGRAM_SIZE] {
    // Per integer register the instruction after its last change: where a branch on it goes.
    let mut resume = [0_u8; 8];
    let mut program = [Instruction::Nop; PROGRAM_SIZE];
    for (index, slot) in (0..=u8::MAX).zip(&mut program) {
        let encoded = Encoded(word(bytes, 16 + usize::from(index)));
        *slot = encoded.decode(&resume);
        let next = index.wrapping_add(1);
        match *slot {
            Instruction::IaddRs { dst, .. }
            | Instruction::Iadd { dst, .. }
            | Instruction::Isub { dst, .. }
            | Instruction::Imul { dst, .. }
            | Instruction::Imulh { dst, .. }
            | Instruction::Ismulh { dst, .. }
            | Instruction::ImulRcp { dst, .. }
            | Instruction::Ineg { dst }
            | Instruction::Ixor { dst, .. }
            | Instruction::Iror { dst, .. }
            | Instruction::Irol { dst, .. } => resume[usize::from(dst)] = next,
            Instruction::Iswap { dst, src } => {
                resume[usize::from(dst)] = next;
                resume[usize::from(src)] = next;
            }
            Instruction::Cbranch { .. } => resume = [next; 8],
            _ => {}
        }
    }
    program
}

fn word(bytes: &[u8; PROGRAM_BYTES], index: usize) -> u64 {
    let mut word = [0; 8];
    word.copy_from_slice(&bytes[8 * index..8 * index + 8]);
    u64::from_le_bytes(word)
}

const fn low_half(word: u64) -> u32 {
    (word & 0xffff_ffff) as u32
}

/// An instruction as it lies in the program: opcode, dst, src, mod, imm32.
#[derive(Clone, Copy)]
struct Encoded(u64);

impl Encoded {
    const fn byte(self, index: u32) -> u8 {
        (self.0 >> (8 * index) & 0xff) as u8
    }

    const fn immediate(self) -> i32 {
        ((self.0 >> 32) as u32).cast_signed()
    }

    const fn dst(self) -> R {
        self.byte(1) % 8
    }

    const fn src(self) -> R {
        self.byte(2) % 8
    }

    /// Level 1 unless `mod.mem` is zero.
    const fn near_mask(self) -> u32 {
        if self.byte(3).is_multiple_of(4) { SCRATCHPAD_L2_MASK } else { SCRATCHPAD_L1_MASK }
    }

    const fn condition(self) -> u8 {
        self.byte(3) >> 4
    }

    /// Where an integer instruction reads.
    const fn read(self) -> Address {
        if self.src() == self.dst() {
            Address::Fixed(self.immediate().cast_unsigned() & SCRATCHPAD_L3_MASK)
        } else {
            self.float_read()
        }
    }

    /// Where a floating point instruction reads, which has no register in common with its source.
    const fn float_read(self) -> Address {
        Address::Based { base: self.src(), offset: self.immediate(), mask: self.near_mask() }
    }

    const fn memory(self) -> Source {
        Source::Memory(self.read())
    }

    const fn register_or_immediate(self) -> Source {
        if self.src() == self.dst() { Source::Immediate(self.immediate()) } else { Source::Register(self.src()) }
    }

    const fn count(self) -> Count {
        if self.src() == self.dst() { Count::Fixed(self.byte(4) % 64) } else { Count::Register(self.src()) }
    }

    /// The opcode's ranges are the specification's frequencies, added up.
    fn decode(self, resume: &[u8; 8]) -> Instruction {
        let (dst, src) = (self.dst(), self.src());
        match self.byte(0) {
            0..=15 => Instruction::IaddRs {
                dst,
                src,
                shift: self.byte(3) >> 2 & 3,
                offset: if dst == 5 { self.immediate() } else { 0 },
            },
            16..=22 => Instruction::Iadd { dst, address: self.read() },
            23..=38 => Instruction::Isub { dst, src: self.register_or_immediate() },
            39..=45 => Instruction::Isub { dst, src: self.memory() },
            46..=61 => Instruction::Imul { dst, src: self.register_or_immediate() },
            62..=65 => Instruction::Imul { dst, src: self.memory() },
            66..=69 => Instruction::Imulh { dst, src: Source::Register(src) },
            70 => Instruction::Imulh { dst, src: self.memory() },
            71..=74 => Instruction::Ismulh { dst, src: Source::Register(src) },
            75 => Instruction::Ismulh { dst, src: self.memory() },
            76..=83 => reciprocal(self.immediate().cast_unsigned())
                .map_or(Instruction::Nop, |reciprocal| Instruction::ImulRcp { dst, reciprocal }),
            84..=85 => Instruction::Ineg { dst },
            86..=100 => Instruction::Ixor { dst, src: self.register_or_immediate() },
            101..=105 => Instruction::Ixor { dst, src: self.memory() },
            106..=113 => Instruction::Iror { dst, count: self.count() },
            114..=115 => Instruction::Irol { dst, count: self.count() },
            116..=119 if dst == src => Instruction::Nop,
            116..=119 => Instruction::Iswap { dst, src },
            120..=123 => Instruction::Fswap { dst },
            124..=139 => Instruction::Fadd { dst: dst % 4, src: FloatSource::Register(src % 4) },
            140..=144 => Instruction::Fadd { dst: dst % 4, src: FloatSource::Memory(self.float_read()) },
            145..=160 => Instruction::Fsub { dst: dst % 4, src: FloatSource::Register(src % 4) },
            161..=165 => Instruction::Fsub { dst: dst % 4, src: FloatSource::Memory(self.float_read()) },
            166..=171 => Instruction::Fscal { dst: dst % 4 },
            172..=203 => Instruction::Fmul { dst: dst % 4, src: src % 4 },
            204..=207 => Instruction::Fdiv { dst: dst % 4, address: self.float_read() },
            208..=213 => Instruction::Fsqrt { dst: dst % 4 },
            214..=238 => {
                let bit = self.condition() + 8;
                Instruction::Cbranch {
                    dst,
                    // The bit below the checked ones is cleared so that a branch is taken twice in a row at most.
                    addend: (self.immediate() | 1 << bit) & !(1 << (bit - 1)),
                    mask: 0xff << bit,
                    target: resume[usize::from(dst)],
                }
            }
            239 => Instruction::Cfround { src, shift: self.byte(4) % 64 },
            240..=255 => {
                let mask = if self.condition() >= 14 { SCRATCHPAD_L3_MASK } else { self.near_mask() };
                Instruction::Istore { address: Address::Based { base: dst, offset: self.immediate(), mask }, src }
            }
        }
    }
}

/// `2^x / divisor` for the largest `x` that keeps it below 2^64; nothing for zero and powers of two.
fn reciprocal(divisor: u32) -> Option<u64> {
    if divisor == 0 || divisor.is_power_of_two() {
        return None;
    }
    let x = 64 + divisor.ilog2();
    u64::try_from((1_u128 << x) / u128::from(divisor)).ok()
}
