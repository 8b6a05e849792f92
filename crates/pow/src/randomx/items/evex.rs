//! Programs as machine code: each instruction once for all lanes, in AVX-512 (encodings as in the Intel 64 manual, volume 2,
//! section 2.7 and the pages of the instructions).

use crate::randomx::superscalar::{Instruction, Operation, Program};

/// Register `r` of vector `v` lives in `zmm(r * vectors + v)`; these lie above the registers of two vectors and are free.
const SCRATCH: [u8; 5] = [16, 17, 18, 19, 20];
/// Ones in the lower half of each lane.
const LOW_HALVES: u8 = 31;

/// Where the registers are on entry: `rdi`, vector after vector.
const STATE: u8 = 7;
/// Where the constants are: `rsi`. It points this many constants past the first, so that one byte reaches 256 of them.
const CONSTANTS: u8 = 6;
pub(super) const CONSTANTS_BEFORE: usize = 128;

/// A function `extern "sysv64" fn(registers, constants)` and its constants.
pub(super) struct Code {
    pub(super) bytes: Vec<u8>,
    pub(super) constants: Vec<u64>,
}

/// Compiles `program` for one or two vectors side by side.
pub(super) fn compile(program: &Program, vectors: usize) -> Code {
    let mut assembler = Assembler { vectors, code: Vec::with_capacity(1 << 14), constants: vec![u64::from(u32::MAX)] };
    let registers = 8 * vectors as u8;
    assembler.broadcast_load(LOW_HALVES, 0);
    for register in 0..registers {
        assembler.load(register, register);
    }
    for instruction in &program.instructions {
        assembler.instruction(*instruction);
    }
    for register in 0..registers {
        assembler.store(register, register);
    }
    assembler.return_to_caller();
    Code { bytes: assembler.code, constants: assembler.constants }
}

/// Opcode, map and prefix of an instruction on 64-bit lanes.
#[derive(Clone, Copy)]
struct Opcode {
    /// 1: 0F, 2: 0F 38.
    map: u8,
    /// 1: 66, 2: F3.
    prefix: u8,
    byte: u8,
}

impl Opcode {
    const ADD: Self = Self::in_0f(0xd4);
    const SUB: Self = Self::in_0f(0xfb);
    const XOR: Self = Self::in_0f(0xef);
    const AND: Self = Self::in_0f(0xdb);
    const MULTIPLY_LOW_HALVES: Self = Self::in_0f(0xf4);
    const SHIFT: Self = Self::in_0f(0x73);
    const ROTATE: Self = Self::in_0f(0x72);
    const LOAD: Self = Self { map: 1, prefix: 2, byte: 0x6f };
    const STORE: Self = Self { map: 1, prefix: 2, byte: 0x7f };
    const MULTIPLY: Self = Self { map: 2, prefix: 1, byte: 0x40 };
    const BROADCAST: Self = Self { map: 2, prefix: 1, byte: 0x59 };
    const SIGNS: Self = Self { map: 2, prefix: 2, byte: 0x39 };

    const fn in_0f(byte: u8) -> Self {
        Self { map: 1, prefix: 1, byte }
    }
}

struct Assembler {
    vectors: usize,
    code: Vec<u8>,
    constants: Vec<u64>,
}

impl Assembler {
    fn instruction(&mut self, Instruction { dst, operation }: Instruction) {
        let constant = match operation {
            Operation::AddConstant(value) | Operation::XorConstant(value) | Operation::MultiplyConstant(value) => {
                self.constants.push(value);
                self.constants.len() - 1
            }
            _ => 0,
        };
        let vectors = self.vectors;
        for vector in 0..vectors {
            let zmm = |register: usize| (register * vectors + vector) as u8;
            let dst = zmm(dst);
            match operation {
                Operation::Subtract { src } => self.registers(Opcode::SUB, dst, dst, zmm(src)),
                Operation::Xor { src } => self.registers(Opcode::XOR, dst, dst, zmm(src)),
                Operation::AddShifted { src, shift: 0 } => self.registers(Opcode::ADD, dst, dst, zmm(src)),
                Operation::AddShifted { src, shift } => {
                    self.shift_left(SCRATCH[0], zmm(src), shift);
                    self.registers(Opcode::ADD, dst, dst, SCRATCH[0]);
                }
                Operation::Multiply { src } => self.registers(Opcode::MULTIPLY, dst, dst, zmm(src)),
                Operation::MultiplyHigh { src } => self.multiply_high(dst, zmm(src)),
                Operation::MultiplyHighSigned { src } => self.multiply_high_signed(dst, zmm(src)),
                Operation::RotateRight { bits } => self.immediate(Opcode::ROTATE, 0, dst, dst, bits),
                Operation::AddConstant(_) => self.constant(Opcode::ADD, dst, dst, constant),
                Operation::XorConstant(_) => self.constant(Opcode::XOR, dst, dst, constant),
                Operation::MultiplyConstant(_) => self.constant(Opcode::MULTIPLY, dst, dst, constant),
            }
        }
    }

    /// There is no vector instruction for the upper half of a product: four products of halves, with their carries.
    fn multiply_high(&mut self, dst: u8, src: u8) {
        let [dst_high, src_high, low, middle, other_middle] = SCRATCH;
        self.shift_right(dst_high, dst, 32);
        self.shift_right(src_high, src, 32);
        self.registers(Opcode::MULTIPLY_LOW_HALVES, low, dst, src);
        self.registers(Opcode::MULTIPLY_LOW_HALVES, middle, dst_high, src);
        self.registers(Opcode::MULTIPLY_LOW_HALVES, other_middle, dst, src_high);
        self.registers(Opcode::MULTIPLY_LOW_HALVES, dst, dst_high, src_high);
        // Neither of the two sums can overflow: (2^32 - 1)^2 + 2^32 - 1 < 2^64.
        self.shift_right(low, low, 32);
        self.registers(Opcode::ADD, middle, middle, low);
        self.registers(Opcode::AND, low, middle, LOW_HALVES);
        self.registers(Opcode::ADD, other_middle, other_middle, low);
        self.shift_right(middle, middle, 32);
        self.shift_right(other_middle, other_middle, 32);
        self.registers(Opcode::ADD, dst, dst, middle);
        self.registers(Opcode::ADD, dst, dst, other_middle);
    }

    /// The unsigned result, less each factor where the other is negative.
    fn multiply_high_signed(&mut self, dst: u8, src: u8) {
        const DST: u8 = 21;
        const DST_NEGATIVE: u8 = 1;
        const SRC_NEGATIVE: u8 = 2;
        self.vector(Opcode::SIGNS, DST_NEGATIVE, 0, Operand::Register(dst), 0);
        self.vector(Opcode::SIGNS, SRC_NEGATIVE, 0, Operand::Register(src), 0);
        self.vector(Opcode::LOAD, DST, 0, Operand::Register(dst), 0);
        self.multiply_high(dst, src);
        let src = if src == dst { DST } else { src };
        self.vector(Opcode::SUB, dst, dst, Operand::Register(src), DST_NEGATIVE);
        self.vector(Opcode::SUB, dst, dst, Operand::Register(DST), SRC_NEGATIVE);
    }

    /// `dst = left (opcode) right`.
    fn registers(&mut self, opcode: Opcode, dst: u8, left: u8, right: u8) {
        self.vector(opcode, dst, left, Operand::Register(right), 0);
    }

    /// `dst = left (opcode) constant`, in every lane.
    fn constant(&mut self, opcode: Opcode, dst: u8, left: u8, constant: usize) {
        self.vector(opcode, dst, left, Operand::Constant(constant), 0);
    }

    fn shift_left(&mut self, dst: u8, src: u8, bits: u8) {
        self.immediate(Opcode::SHIFT, 6, dst, src, bits);
    }

    fn shift_right(&mut self, dst: u8, src: u8, bits: u8) {
        self.immediate(Opcode::SHIFT, 2, dst, src, bits);
    }

    /// Shifts and rotations: the opcode's `extension` stands where others name a register.
    fn immediate(&mut self, opcode: Opcode, extension: u8, dst: u8, src: u8, bits: u8) {
        self.vector(opcode, extension, dst, Operand::Register(src), 0);
        self.code.push(bits);
    }

    fn broadcast_load(&mut self, dst: u8, constant: usize) {
        // This instruction broadcasts by itself and must not ask for it.
        self.vector(Opcode::BROADCAST, dst, 0, Operand::Single(constant), 0);
    }

    fn load(&mut self, dst: u8, index: u8) {
        self.vector(Opcode::LOAD, dst, 0, Operand::State(index), 0);
    }

    fn store(&mut self, src: u8, index: u8) {
        self.vector(Opcode::STORE, src, 0, Operand::State(index), 0);
    }

    fn return_to_caller(&mut self) {
        // vzeroupper; ret
        self.code.extend([0xc5, 0xf8, 0x77, 0xc3]);
    }

    /// One instruction with an EVEX prefix on whole vectors: `reg` and `rm` as the manual calls them, `middle` its `vvvv`.
    /// With a `mask` other than zero, lanes without that mask's bit stay as they are.
    fn vector(&mut self, opcode: Opcode, reg: u8, middle: u8, rm: Operand, mask: u8) {
        let bit = |value: u8, bit: u8| (value >> bit) & 1;
        let (rm_register, broadcast) = match rm {
            Operand::Register(register) => (register, 0),
            Operand::Constant(_) => (CONSTANTS, 1),
            Operand::Single(_) => (CONSTANTS, 0),
            Operand::State(_) => (STATE, 0),
        };
        // Register bits above the third are kept inverted; the fifth bit of a vector in `rm` takes the index bit.
        let inverted = [bit(!reg, 3), bit(!rm_register, 4), bit(!rm_register, 3), bit(!reg, 4)];
        let high_bits = inverted.iter().fold(0, |bits, bit| bits << 1 | bit);
        const WIDE_LANES: u8 = 0x84;
        const WHOLE_VECTOR: u8 = 0b10 << 5;
        self.code.extend([
            0x62,
            high_bits << 4 | opcode.map,
            WIDE_LANES | (!middle & 15) << 3 | opcode.prefix,
            WHOLE_VECTOR | broadcast << 4 | bit(!middle, 4) << 3 | mask,
            opcode.byte,
        ]);
        let modes = |mode: u8| mode << 6 | (reg & 7) << 3 | rm_register & 7;
        match rm {
            Operand::Register(_) => self.code.push(modes(0b11)),
            // The displacement counts vectors.
            Operand::State(index) => self.code.extend([modes(0b01), index]),
            Operand::Constant(index) | Operand::Single(index) => {
                let offset = index as i32 - CONSTANTS_BEFORE as i32;
                match i8::try_from(offset) {
                    // The displacement counts constants.
                    Ok(offset) => self.code.extend([modes(0b01), offset.cast_unsigned()]),
                    Err(_) => {
                        self.code.push(modes(0b10));
                        self.code.extend((offset * 8).to_le_bytes());
                    }
                }
            }
        }
    }
}

/// What `rm` can be.
#[derive(Clone, Copy)]
enum Operand {
    Register(u8),
    /// A constant in every lane.
    Constant(usize),
    /// A constant as it lies in memory.
    Single(usize),
    /// A vector of the registers in memory.
    State(u8),
}
