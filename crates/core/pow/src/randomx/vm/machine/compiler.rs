//! Programs as x86-64 code.
//!
//! While compiled code runs, r0 to r7 are in R8 to R15, f0 to f3 in XMM0 to 3, e0 to e3 in XMM4 to 7, a0 to a3 in XMM8 to 11.
//! RDI points to the [`Lane`], RSI to the scratchpad; RBX counts iterations; RBP holds `ma` in its low and `mx` in its high
//! half; XMM13 to 15 hold constants; RAX, RCX, RDX and XMM12 hold what one instruction needs.

use std::mem::offset_of;

use super::{
    aes::Block,
    assembler::*,
    code_memory::CodeMemory,
    lane::{DATASET_LINE_MASK, Lane, Registers, SCRATCHPAD_LINE_MASK},
    program::{Address, Count, FloatSource, Instruction, PROGRAM_SIZE, R, Source},
};

const TEMPORARY: Register = 12;
const E_KEEP: Register = 13;
const E_MASK: Register = 14;
const SCALE: Register = 15;
/// What a value loaded for group E keeps: neither its sign nor the upper part of its exponent.
const E_KEEP_BITS: u64 = (1 << 56) - 1;
/// Negates, and changes the lower part of the exponent.
const SCALE_BITS: u64 = 0x80f0_0000_0000_0000;

/// Floating point control: round to nearest, no exceptions, subnormal numbers are zero. Two bits from 13 on say how to round.
const CONTROL: i32 = 0x9fc0;

/// The stack while a program runs. Below the frame lie six saved registers and the return address.
const FRAME_BYTES: i32 = 56;
const FRAME_HOST_CONTROL: i32 = 0;
const FRAME_DATASET: i32 = 8;
const FRAME_LINE_0: i32 = 16;
const FRAME_LINE_1: i32 = 24;
/// Floating point control for each of the four rounding modes.
const FRAME_CONTROLS: i32 = 32;

const CALLEE_SAVED: [Register; 6] = [RBX, RBP, 12, 13, 14, 15];

/// Lane, scratchpad, where the dataset's address 0 is (the program's own offset added), iterations.
type Loop = unsafe extern "sysv64" fn(*mut Lane, *mut Block, *const u8, u64);

/// Compiles programs, and holds the one it compiled last.
pub(super) struct Compiler {
    assembler: Assembler,
    memory: CodeMemory,
    compiled: bool,
}

impl Compiler {
    /// Nothing where generated code cannot run: the system forbids it, or the processor has no BMI2.
    pub(super) fn new() -> Option<Self> {
        if !std::arch::is_x86_feature_detected!("bmi2") {
            return None;
        }
        Some(Self { assembler: Assembler::default(), memory: CodeMemory::new()?, compiled: false })
    }

    /// Compiles a program with its address registers.
    pub(super) fn compile(&mut self, program: &[Instruction; PROGRAM_SIZE], read: [R; 4]) {
        self.assembler.clear();
        prologue(&mut self.assembler);
        self.assembler.align(64);
        let start = self.assembler.position();
        load_lines(&mut self.assembler);
        instructions(&mut self.assembler, program);
        finish_iteration(&mut self.assembler, read);
        self.assembler.group(DEC, reg(RBX));
        self.assembler.jump_if_not_zero(start);
        epilogue(&mut self.assembler);
        self.compiled = self.memory.write(self.assembler.code());
        assert!(self.compiled, "no program is longer than CODE_BYTES");
    }

    /// Runs the program for `iterations`, at least one.
    ///
    /// # Safety
    /// `scratchpad` must be whole, and `dataset` must point where the next `iterations` accesses may read 64 bytes, each
    /// at an offset from there that is a multiple of 64 below 2 GiB.
    pub(super) unsafe fn run(&self, lane: &mut Lane, scratchpad: &mut [Block], dataset: *const u8, iterations: u64) {
        debug_assert_eq!(size_of_val(scratchpad), super::lane::SCRATCHPAD_BYTES);
        if !self.compiled {
            return;
        }
        // SAFETY: the memory holds a whole function of this type, made by `compile` for a processor that was found to have
        // what it uses. It keeps the registers that it must, puts floating point control back, and every address in
        // it is masked to the scratchpad or to what the caller vouches for.
        unsafe {
            let function = std::mem::transmute::<*const std::ffi::c_void, Loop>(self.memory.start());
            function(lane, scratchpad.as_mut_ptr(), dataset, iterations);
        }
    }
}

const fn integer(register: R) -> Register {
    R8 + register
}

const fn group_f(register: u8) -> Register {
    register
}

const fn group_e(register: u8) -> Register {
    4 + register
}

const fn group_a(register: u8) -> Register {
    8 + register
}

/// A field of the lane.
fn lane(offset: usize) -> Operand {
    at(RDI, i32::try_from(offset).unwrap_or(i32::MAX))
}

fn lane_integer(register: R) -> Operand {
    lane(offset_of!(Lane, registers) + offset_of!(Registers, r) + 8 * usize::from(register))
}

fn lane_float(group: usize, register: u8) -> Operand {
    lane(offset_of!(Lane, registers) + group + 16 * usize::from(register))
}

fn prologue(asm: &mut Assembler) {
    for register in CALLEE_SAVED {
        asm.push(register);
    }
    asm.group(SUB_IMMEDIATE, reg(RSP));
    asm.word(FRAME_BYTES);
    asm.op(STORE, RDX, at(RSP, FRAME_DATASET));
    asm.op(MOV, RBX, reg(RCX));
    for mode in 0..4 {
        asm.group(STORE_32_IMMEDIATE, at(RSP, FRAME_CONTROLS + 4 * mode));
        asm.word(CONTROL | mode << 13);
    }
    asm.group(STMXCSR, at(RSP, FRAME_HOST_CONTROL));
    asm.op(MOV_32, RAX, lane(offset_of!(Lane, rounding)));
    asm.group(LDMXCSR, indexed(RSP, RAX, 2, FRAME_CONTROLS));
    for register in 0..8 {
        asm.op(MOV, integer(register), lane_integer(register));
    }
    for register in 0..4 {
        asm.op(MOVAPS, group_a(register), lane_float(offset_of!(Registers, a), register));
    }
    asm.op(MOVAPS, E_MASK, lane(offset_of!(Lane, e_mask)));
    for (register, bits) in [(E_KEEP, E_KEEP_BITS), (SCALE, SCALE_BITS)] {
        asm.mov_immediate(RAX, bits);
        asm.op(MOVQ, register, reg(RAX));
        asm.op(PUNPCKLQDQ, register, reg(register));
    }
    asm.op(MOV, RBP, lane(offset_of!(Lane, ma)));
    asm.op(MOV, RAX, lane(offset_of!(Lane, scratchpad_address)));
    split_scratchpad_address(asm);
}

/// From `spAddr1` and `spAddr0` in RAX makes the former in RDX and the latter in RAX, both inside the scratchpad.
fn split_scratchpad_address(asm: &mut Assembler) {
    asm.rorx(RDX, RAX, 32);
    for register in [RAX, RDX] {
        asm.group(AND_32_IMMEDIATE, reg(register));
        asm.word(SCRATCHPAD_LINE_MASK.cast_signed());
    }
}

/// Steps 2 and 3 of an iteration.
fn load_lines(asm: &mut Assembler) {
    asm.op(ADD, RAX, reg(RSI));
    asm.op(STORE, RAX, at(RSP, FRAME_LINE_0));
    for register in 0..8 {
        asm.op(XOR, integer(register), at(RAX, 8 * i32::from(register)));
    }
    asm.op(ADD, RDX, reg(RSI));
    asm.op(STORE, RDX, at(RSP, FRAME_LINE_1));
    for register in 0..8 {
        // The first four are group F, the last group E.
        asm.op(CVTDQ2PD, register, at(RDX, 8 * i32::from(register)));
    }
    for register in 0..4 {
        make_e(asm, group_e(register));
    }
}

fn make_e(asm: &mut Assembler, register: Register) {
    asm.op(ANDPS, register, reg(E_KEEP));
    asm.op(ORPS, register, reg(E_MASK));
}

/// Steps 5 to 12 of an iteration and step 1 of the next. Leaves the next scratchpad addresses in RAX and RDX.
fn finish_iteration(asm: &mut Assembler, read: [R; 4]) {
    let [read0, read1, read2, read3] = read.map(integer);
    asm.op(MOV_32, RAX, reg(read2));
    asm.op(XOR_32, RAX, reg(read3));
    asm.op(MOV_32, RCX, reg(RBP));
    asm.group(ROR_IMMEDIATE, reg(RBP));
    asm.byte(32);
    // The upper half of RAX is zero: `ma`, now above, stays.
    asm.op(XOR, RBP, reg(RAX));
    asm.op(MOV, RAX, at(RSP, FRAME_DATASET));
    asm.op(MOV_32, RDX, reg(RBP));
    for register in [RCX, RDX] {
        asm.group(AND_32_IMMEDIATE, reg(register));
        asm.word(DATASET_LINE_MASK.cast_signed());
    }
    asm.group(PREFETCH_NTA, indexed(RAX, RDX, 0, 0));
    for register in 0..8 {
        asm.op(XOR, integer(register), indexed(RAX, RCX, 0, 8 * i32::from(register)));
    }
    asm.op(MOV, RAX, reg(read0));
    asm.op(XOR, RAX, reg(read1));
    asm.op(MOV, RCX, at(RSP, FRAME_LINE_1));
    split_scratchpad_address(asm);
    asm.group(PREFETCH_T0, indexed(RSI, RAX, 0, 0));
    asm.group(PREFETCH_T0, indexed(RSI, RDX, 0, 0));
    for register in 0..8 {
        asm.op(STORE, integer(register), at(RCX, 8 * i32::from(register)));
    }
    asm.op(MOV, RCX, at(RSP, FRAME_LINE_0));
    for register in 0..4 {
        asm.op(XORPS, group_f(register), reg(group_e(register)));
        asm.op(STORE_APS, group_f(register), at(RCX, 16 * i32::from(register)));
    }
}

fn epilogue(asm: &mut Assembler) {
    asm.op(STORE, RBP, lane(offset_of!(Lane, ma)));
    asm.op(STORE_32, RAX, lane(offset_of!(Lane, scratchpad_address)));
    asm.op(STORE_32, RDX, lane(offset_of!(Lane, scratchpad_address) + 4));
    for register in 0..8 {
        asm.op(STORE, integer(register), lane_integer(register));
    }
    for register in 0..4 {
        asm.op(STORE_APS, group_f(register), lane_float(offset_of!(Registers, f), register));
        asm.op(STORE_APS, group_e(register), lane_float(offset_of!(Registers, e), register));
    }
    asm.group(STMXCSR, at(RSP, FRAME_CONTROLS));
    asm.op(MOV_32, RAX, at(RSP, FRAME_CONTROLS));
    asm.group(SHR_IMMEDIATE, reg(RAX));
    asm.byte(13);
    asm.group(AND_32_IMMEDIATE, reg(RAX));
    asm.word(3);
    asm.op(STORE_32, RAX, lane(offset_of!(Lane, rounding)));
    asm.group(LDMXCSR, at(RSP, FRAME_HOST_CONTROL));
    asm.group(ADD_IMMEDIATE, reg(RSP));
    asm.word(FRAME_BYTES);
    for register in CALLEE_SAVED.into_iter().rev() {
        asm.pop(register);
    }
    asm.ret();
}

fn instructions(asm: &mut Assembler, program: &[Instruction; PROGRAM_SIZE]) {
    let mut starts = [0; PROGRAM_SIZE];
    for (index, instruction) in program.iter().enumerate() {
        starts[index] = asm.position();
        if let Instruction::Cbranch { dst, addend, mask, target } = *instruction {
            asm.group(ADD_IMMEDIATE, reg(integer(dst)));
            asm.word(addend);
            asm.group(TEST_32_IMMEDIATE, reg(integer(dst)));
            asm.word(mask.cast_signed());
            asm.jump_if_zero(starts[usize::from(target)]);
        } else {
            straight(asm, instruction);
        }
    }
}

/// Any instruction but a branch.
fn straight(asm: &mut Assembler, instruction: &Instruction) {
    match *instruction {
        Instruction::IaddRs { dst, src, shift, offset } => {
            let dst = integer(dst);
            asm.op(LEA, dst, indexed(dst, integer(src), shift, offset));
        }
        Instruction::Iadd { dst, address } => {
            let address = place(asm, address);
            asm.op(ADD, integer(dst), address);
        }
        Instruction::Isub { dst, src } => two_operands(asm, SUB, SUB_IMMEDIATE, dst, src),
        Instruction::Ixor { dst, src } => two_operands(asm, XOR, XOR_IMMEDIATE, dst, src),
        Instruction::Imul { dst, src } => multiply(asm, integer(dst), src),
        Instruction::Imulh { dst, src } => {
            let source = operand(asm, src);
            asm.op(MOV, RDX, reg(integer(dst)));
            asm.mulx(integer(dst), RAX, source);
        }
        Instruction::Ismulh { dst, src } => {
            // The product needs RAX, so the address goes elsewhere.
            let source = match src {
                Source::Memory(address) => place_by(asm, RCX, address),
                _ => operand(asm, src),
            };
            asm.op(MOV, RAX, reg(integer(dst)));
            asm.group(IMUL_RAX, source);
            asm.op(MOV, integer(dst), reg(RDX));
        }
        Instruction::ImulRcp { dst, reciprocal } => {
            asm.mov_immediate(RAX, reciprocal);
            asm.op(IMUL, integer(dst), reg(RAX));
        }
        Instruction::Ineg { dst } => asm.group(NEG, reg(integer(dst))),
        Instruction::Iror { dst, count } => rotate(asm, ROR_CL, ROR_IMMEDIATE, dst, count),
        Instruction::Irol { dst, count } => rotate(asm, ROL_CL, ROL_IMMEDIATE, dst, count),
        Instruction::Iswap { dst, src } => asm.op(XCHG, integer(dst), reg(integer(src))),
        Instruction::Fswap { dst } => {
            // Groups F and E follow one another.
            asm.op(SHUFPD, dst, reg(dst));
            asm.byte(1);
        }
        Instruction::Fadd { dst, src } => float(asm, ADDPD, dst, src),
        Instruction::Fsub { dst, src } => float(asm, SUBPD, dst, src),
        Instruction::Fscal { dst } => asm.op(XORPS, group_f(dst), reg(SCALE)),
        Instruction::Fmul { dst, src } => asm.op(MULPD, group_e(dst), reg(group_a(src))),
        Instruction::Fdiv { dst, address } => {
            let address = place(asm, address);
            asm.op(CVTDQ2PD, TEMPORARY, address);
            make_e(asm, TEMPORARY);
            asm.op(DIVPD, group_e(dst), reg(TEMPORARY));
        }
        Instruction::Fsqrt { dst } => asm.op(SQRTPD, group_e(dst), reg(group_e(dst))),
        Instruction::Cfround { src, shift } => {
            // The mode times four.
            asm.rorx(RAX, integer(src), shift.wrapping_sub(2) % 64);
            asm.group(AND_32_IMMEDIATE, reg(RAX));
            asm.word(12);
            asm.group(LDMXCSR, indexed(RSP, RAX, 0, FRAME_CONTROLS));
        }
        Instruction::Istore { address, src } => {
            let address = place(asm, address);
            asm.op(STORE, integer(src), address);
        }
        Instruction::Cbranch { .. } | Instruction::Nop => {}
    }
}

/// Computes a scratchpad address, by way of RAX if need be.
fn place(asm: &mut Assembler, address: Address) -> Operand {
    place_by(asm, RAX, address)
}

fn place_by(asm: &mut Assembler, register: Register, address: Address) -> Operand {
    match address {
        Address::Fixed(offset) => at(RSI, offset.cast_signed()),
        Address::Based { base, offset, mask } => {
            asm.op(LEA_32, register, at(integer(base), offset));
            asm.group(AND_32_IMMEDIATE, reg(register));
            asm.word(mask.cast_signed());
            indexed(RSI, register, 0, 0)
        }
    }
}

/// A source that is not immediate.
fn operand(asm: &mut Assembler, source: Source) -> Operand {
    match source {
        Source::Register(register) => reg(integer(register)),
        Source::Memory(address) => place(asm, address),
        Source::Immediate(value) => {
            asm.mov_immediate(RAX, i64::from(value).cast_unsigned());
            reg(RAX)
        }
    }
}

fn two_operands(asm: &mut Assembler, opcode: Opcode, immediate: Group, dst: R, src: Source) {
    if let Source::Immediate(value) = src {
        asm.group(immediate, reg(integer(dst)));
        asm.word(value);
    } else {
        let source = operand(asm, src);
        asm.op(opcode, integer(dst), source);
    }
}

fn multiply(asm: &mut Assembler, dst: Register, src: Source) {
    if let Source::Immediate(value) = src {
        asm.op(IMUL_IMMEDIATE, dst, reg(dst));
        asm.word(value);
    } else {
        let source = operand(asm, src);
        asm.op(IMUL, dst, source);
    }
}

fn rotate(asm: &mut Assembler, by_register: Group, immediate: Group, dst: R, count: Count) {
    match count {
        Count::Register(register) => {
            asm.op(MOV_32, RCX, reg(integer(register)));
            asm.group(by_register, reg(integer(dst)));
        }
        Count::Fixed(count) => {
            asm.group(immediate, reg(integer(dst)));
            asm.byte(count);
        }
    }
}

fn float(asm: &mut Assembler, opcode: Opcode, dst: u8, src: FloatSource) {
    let source = match src {
        FloatSource::Register(register) => group_a(register),
        FloatSource::Memory(address) => {
            let address = place(asm, address);
            asm.op(CVTDQ2PD, TEMPORARY, address);
            TEMPORARY
        }
    };
    asm.op(opcode, group_f(dst), reg(source));
}
