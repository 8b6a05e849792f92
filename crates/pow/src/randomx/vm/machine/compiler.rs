//! Programs as x86-64 code.
//!
//! While compiled code runs, r0 to r7 are in R8 to R15, f0 to f3 in XMM0 to 3, e0 to e3 in XMM4 to 7, a0 to a3 in XMM8 to 11.
//! RDI points to the [`Turn`], RSI to the scratchpad; RBP holds `ma` in its low and `mx` in its high half; XMM13 to 15 and K1
//! hold constants; RAX, RCX, RDX and XMM12 hold what one instruction needs.
//!
//! The memory holds, in this order: the return to the caller, the function that is called, and the turn (one iteration, or all),
//! which is repeated for each rounding mode if instructions say themselves how they round.

use std::{ffi::c_void, mem::offset_of};

use super::{
    assembler::*,
    code_memory::CodeMemory,
    program::{Address, Count, FloatSource, Instruction, PROGRAM_SIZE, R, Source},
    state::{DATASET_LINE_MASK, Registers, SCRATCHPAD_LINE_MASK, Turn, VmState},
};

const JMP_RAX_BYTES: usize = 2;
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

/// The stack while programs run. Above the frame lie six saved registers and the return address.
const FRAME_BYTES: i32 = 24;
const FRAME_HOST_CONTROL: i32 = 0;
/// Floating point control for each of the four rounding modes.
const FRAME_CONTROLS: i32 = 8;

const CALLEE_SAVED: [Register; 6] = [RBX, RBP, 12, 13, 14, 15];

type Function = unsafe extern "sysv64" fn(*mut Turn);

/// Compiles programs, and holds the one it compiled last.
pub(super) struct Compiler {
    assembler: Assembler,
    memory: CodeMemory,
    rounding: Rounding,
    /// Set by `compile`.
    code: Option<Code>,
}

/// Where parts of the code begin.
#[derive(Clone, Copy)]
struct Code {
    /// A turn, in the first rounding mode.
    turn: usize,
    /// From there to the same in the next rounding mode.
    mode_bytes: usize,
    /// The function. The return to the caller is at the start of the memory.
    enter: usize,
}

/// How code rounds.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Rounding {
    /// As the processor's floating point control says, which costs some 55 cycles to change.
    Controlled,
    /// As each instruction says (AVX-512). There is a copy of the code for each mode, and code changes the mode by going on in
    /// another copy.
    Static,
}

/// What a program does after an iteration.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Switch {
    /// The next one, with everything kept in registers.
    Never,
    /// It lets the next machine have its turn.
    Always,
}

impl Compiler {
    /// Nothing where generated code cannot run: the system forbids it, or the processor has no BMI2.
    pub(super) fn new() -> Option<Self> {
        if !is_x86_feature_detected!("bmi2") {
            return None;
        }
        let statically = is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512dq");
        let rounding = if statically { Rounding::Static } else { Rounding::Controlled };
        Some(Self { assembler: Assembler::default(), memory: CodeMemory::new()?, rounding, code: None })
    }

    /// Compiles a program with its address registers.
    pub(super) fn compile(&mut self, program: &[Instruction; PROGRAM_SIZE], read: [R; 4], switch: Switch) {
        self.assembler.clear();
        let mut emitter =
            Emitter { asm: &mut self.assembler, rounding: self.rounding, turn: 0, mode_bytes: Vec::new() };
        emitter.leave();
        let enter = emitter.asm.position();
        emitter.enter();
        emitter.asm.align(64);
        emitter.turn = emitter.asm.position();
        let turn = emitter.turn;
        emitter.turn(program, read, switch);
        let mode_bytes = emitter.copies();
        let written = self.memory.write(self.assembler.code());
        assert!(written, "no program is longer than CODE_BYTES");
        self.code = Some(Code { turn, mode_bytes, enter });
    }

    /// Sets the addresses of the code in a turn.
    pub(super) fn prepare(&self, turn: &mut Turn) {
        if let Some(code) = self.code {
            turn.first_code = self.at(code.turn);
            turn.code = self.at(code.turn + code.mode_bytes * turn.state.rounding as usize);
        }
    }

    /// There is a program.
    pub(super) const fn is_ready(&self) -> bool {
        self.code.is_some()
    }

    /// The code for [`Turn::leave`].
    pub(super) const fn leave(&self) -> *const c_void {
        self.memory.start()
    }

    fn at(&self, offset: usize) -> *const c_void {
        self.memory.start().wrapping_byte_add(offset)
    }

    /// Runs the program, and others by turns with it.
    ///
    /// # Safety
    /// Of each turn that can be reached by `next`: it was prepared; the scratchpad must be whole; the dataset must be readable for
    /// 64 bytes at each multiple of 64 below 2 GiB that the iterations read; `iterations` is at least one, the same in all;
    /// compilers live, and the last leaves.
    pub(super) unsafe fn run(&self, turn: *mut Turn) {
        let Some(code) = self.code else { return };
        // SAFETY: the memory holds a whole function of this type, made by `compile` for a processor that was found to have
        // what it uses. It keeps the registers that it must, puts floating point control back, and every address in
        // it is masked to the scratchpad or to what the caller vouches for.
        unsafe {
            let function = std::mem::transmute::<*const c_void, Function>(self.at(code.enter));
            function(turn);
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

/// A field of the turn.
fn field(offset: usize) -> Operand {
    at(RDI, i32::try_from(offset).unwrap_or(i32::MAX))
}

fn state(offset: usize) -> Operand {
    field(offset_of!(Turn, state) + offset)
}

fn state_integer(register: R) -> Operand {
    state(offset_of!(VmState, registers) + offset_of!(Registers, r) + 8 * usize::from(register))
}

fn state_float(group: usize, register: u8) -> Operand {
    state(offset_of!(VmState, registers) + group + 16 * usize::from(register))
}

fn line(index: usize) -> Operand {
    field(offset_of!(Turn, lines) + 8 * index)
}

/// Writes the code of one program.
struct Emitter<'a> {
    asm: &'a mut Assembler,
    rounding: Rounding,
    /// Where a turn begins.
    turn: usize,
    /// Positions after instructions that end with the number of bytes from one copy of the code to the next.
    mode_bytes: Vec<usize>,
}

impl Emitter<'_> {
    /// The loop: one turn of one machine.
    fn turn(&mut self, program: &[Instruction; PROGRAM_SIZE], read: [R; 4], switch: Switch) {
        self.load_state();
        if switch == Switch::Never {
            self.asm.align(64);
        }
        let iteration = self.asm.position();
        self.load_lines();
        self.instructions(program);
        self.finish_iteration(read);
        if switch == Switch::Always {
            self.store_state();
        }
        self.asm.group(DEC, field(offset_of!(Turn, iterations)));
        match switch {
            Switch::Never => {
                self.asm.jump_if_not_zero(iteration);
                self.store_state();
            }
            Switch::Always => {
                let last = self.asm.jump_forward_if_zero();
                self.asm.op(MOV, RDI, field(offset_of!(Turn, next)));
                self.asm.group(JMP, field(offset_of!(Turn, code)));
                self.asm.land(last);
            }
        }
        self.store_floats();
        self.asm.op(MOV, RAX, field(offset_of!(Turn, leave)));
        self.asm.op(MOV, RDI, field(offset_of!(Turn, next)));
        self.asm.op(TEST, RAX, reg(RAX));
        self.asm.op(CMOVZ, RAX, field(offset_of!(Turn, code)));
        self.asm.group(JMP, reg(RAX));
    }

    /// Copies the turn for the other rounding modes. Returns the bytes from one copy to the next.
    fn copies(&mut self) -> usize {
        if self.rounding == Rounding::Controlled {
            return 0;
        }
        self.asm.align(64);
        let mode_bytes = self.asm.position() - self.turn;
        for &place in &self.mode_bytes {
            self.asm.patch_before(place, mode_bytes);
        }
        for mode in 1..4 {
            self.asm.repeat_rounding(self.turn..self.turn + mode_bytes, mode);
        }
        mode_bytes
    }

    fn vector(&mut self, vector: Vector, first: Register, second: Operand) {
        match self.rounding {
            Rounding::Controlled => self.asm.sse(vector, first, second),
            Rounding::Static => self.asm.avx(vector, first, second),
        }
    }

    /// An operation whose result is rounded.
    fn rounded(&mut self, vector: Vector, first: Register, second: Register) {
        match self.rounding {
            Rounding::Controlled => self.asm.sse(vector, first, reg(second)),
            Rounding::Static => self.asm.avx_512_rounded(vector, first, second),
        }
    }

    fn enter(&mut self) {
        for register in CALLEE_SAVED {
            self.asm.push(register);
        }
        self.asm.group_word(SUB_IMMEDIATE, reg(RSP), FRAME_BYTES);
        for mode in 0..4 {
            self.asm.group_word(STORE_32_IMMEDIATE, at(RSP, FRAME_CONTROLS + 4 * mode), CONTROL | mode << 13);
        }
        self.asm.group(STMXCSR, at(RSP, FRAME_HOST_CONTROL));
        for (register, bits) in [(E_KEEP, E_KEEP_BITS), (SCALE, SCALE_BITS)] {
            self.asm.mov_immediate(RAX, bits);
            self.asm.op(MOVQ, register, reg(RAX));
            self.vector(PUNPCKLQDQ, register, reg(register));
        }
        if self.rounding == Rounding::Static {
            self.asm.group(LDMXCSR, at(RSP, FRAME_CONTROLS));
            self.asm.mov_immediate(RAX, 0b11);
            self.asm.set_k1(RAX);
        }
        self.asm.group(JMP, field(offset_of!(Turn, code)));
    }

    fn leave(&mut self) {
        if self.rounding == Rounding::Static {
            self.asm.zero_upper();
        }
        self.asm.group(LDMXCSR, at(RSP, FRAME_HOST_CONTROL));
        self.asm.group_word(ADD_IMMEDIATE, reg(RSP), FRAME_BYTES);
        for register in CALLEE_SAVED.into_iter().rev() {
            self.asm.pop(register);
        }
        self.asm.ret();
    }

    fn load_state(&mut self) {
        self.asm.op(MOV, RAX, state(offset_of!(VmState, scratchpad_address)));
        self.asm.op(MOV, RSI, field(offset_of!(Turn, scratchpad)));
        self.split_scratchpad_address();
        if self.rounding == Rounding::Controlled {
            self.asm.op(MOV_32, RCX, state(offset_of!(VmState, rounding)));
            self.asm.group(LDMXCSR, indexed(RSP, RCX, 2, FRAME_CONTROLS));
        }
        for register in 0..8 {
            self.asm.op(MOV, integer(register), state_integer(register));
        }
        for register in 0..4 {
            self.vector(MOVAPS, group_a(register), state_float(offset_of!(Registers, a), register));
        }
        self.vector(MOVAPS, E_MASK, state(offset_of!(VmState, e_mask)));
        self.asm.op(MOV, RBP, state(offset_of!(VmState, ma)));
    }

    /// Groups F and E need not be kept between two iterations.
    fn store_state(&mut self) {
        self.asm.op(STORE, RBP, state(offset_of!(VmState, ma)));
        self.asm.op(STORE_32, RAX, state(offset_of!(VmState, scratchpad_address)));
        self.asm.op(STORE_32, RDX, state(offset_of!(VmState, scratchpad_address) + 4));
        for register in 0..8 {
            self.asm.op(STORE, integer(register), state_integer(register));
        }
    }

    fn store_floats(&mut self) {
        for register in 0..4 {
            self.vector(STORE_APS, group_f(register), state_float(offset_of!(Registers, f), register));
            self.vector(STORE_APS, group_e(register), state_float(offset_of!(Registers, e), register));
        }
    }

    /// From `spAddr1` and `spAddr0` in RAX makes the former in RDX and the latter in RAX, both inside the scratchpad.
    fn split_scratchpad_address(&mut self) {
        self.asm.rorx(RDX, RAX, 32);
        for register in [RAX, RDX] {
            self.asm.group_word(AND_32_IMMEDIATE, reg(register), SCRATCHPAD_LINE_MASK.cast_signed());
        }
    }

    /// Steps 2 and 3 of an iteration.
    fn load_lines(&mut self) {
        self.asm.op(ADD, RAX, reg(RSI));
        self.asm.op(STORE, RAX, line(0));
        for register in 0..8 {
            self.asm.op(XOR, integer(register), at(RAX, 8 * i32::from(register)));
        }
        self.asm.op(ADD, RDX, reg(RSI));
        self.asm.op(STORE, RDX, line(1));
        for register in 0..8 {
            // The first four are group F, the last group E.
            self.vector(CVTDQ2PD, register, at(RDX, 8 * i32::from(register)));
        }
        for register in 0..4 {
            self.make_e(group_e(register));
        }
    }

    fn make_e(&mut self, register: Register) {
        self.vector(ANDPS, register, reg(E_KEEP));
        self.vector(ORPS, register, reg(E_MASK));
    }

    /// Steps 5 to 12 of an iteration and step 1 of the next. Leaves the next scratchpad addresses in RAX and RDX.
    fn finish_iteration(&mut self, read: [R; 4]) {
        let [read0, read1, read2, read3] = read.map(integer);
        self.asm.op(MOV_32, RAX, reg(read2));
        self.asm.op(XOR_32, RAX, reg(read3));
        self.asm.op(MOV_32, RCX, reg(RBP));
        self.asm.group_byte(ROR_IMMEDIATE, reg(RBP), 32);
        // The upper half of RAX is zero: `ma`, now above, stays.
        self.asm.op(XOR, RBP, reg(RAX));
        self.asm.op(MOV, RAX, field(offset_of!(Turn, dataset)));
        self.asm.op(MOV_32, RDX, reg(RBP));
        for register in [RCX, RDX] {
            self.asm.group_word(AND_32_IMMEDIATE, reg(register), DATASET_LINE_MASK.cast_signed());
        }
        self.asm.group(PREFETCH_NTA, indexed(RAX, RDX, 0, 0));
        for register in 0..8 {
            self.asm.op(XOR, integer(register), indexed(RAX, RCX, 0, 8 * i32::from(register)));
        }
        self.asm.op(MOV, RAX, reg(read0));
        self.asm.op(XOR, RAX, reg(read1));
        self.asm.op(MOV, RCX, line(1));
        self.split_scratchpad_address();
        self.asm.group(PREFETCH_T0, indexed(RSI, RAX, 0, 0));
        self.asm.group(PREFETCH_T0, indexed(RSI, RDX, 0, 0));
        for register in 0..8 {
            self.asm.op(STORE, integer(register), at(RCX, 8 * i32::from(register)));
        }
        self.asm.op(MOV, RCX, line(0));
        for register in 0..4 {
            self.vector(XORPS, group_f(register), reg(group_e(register)));
            self.vector(STORE_APS, group_f(register), at(RCX, 16 * i32::from(register)));
        }
    }

    fn instructions(&mut self, program: &[Instruction; PROGRAM_SIZE]) {
        let mut starts = [0; PROGRAM_SIZE];
        for (index, instruction) in program.iter().enumerate() {
            starts[index] = self.asm.position();
            if let Instruction::Cbranch { dst, addend, mask, target } = *instruction {
                self.asm.group_word(ADD_IMMEDIATE, reg(integer(dst)), addend);
                self.asm.group_word(TEST_32_IMMEDIATE, reg(integer(dst)), mask.cast_signed());
                self.asm.jump_if_zero(starts[usize::from(target)]);
            } else {
                self.straight(instruction);
            }
        }
    }

    /// Goes on after this very jump, in the copy of the code for the mode in RAX. The machine's next turn begins in that copy.
    fn go_on_in_other_copy(&mut self) {
        self.asm.op_word(IMUL_IMMEDIATE, RAX, reg(RAX), 0);
        self.mode_bytes.push(self.asm.position());
        self.asm.op(ADD, RAX, field(offset_of!(Turn, first_code)));
        self.asm.op(STORE, RAX, field(offset_of!(Turn, code)));
        self.asm.group_word(ADD_IMMEDIATE, reg(RAX), 0);
        let distance = self.asm.position() + JMP_RAX_BYTES - self.turn;
        self.asm.patch_before(self.asm.position(), distance);
        self.asm.group(JMP, reg(RAX));
    }

    /// Any instruction but a branch.
    fn straight(&mut self, instruction: &Instruction) {
        match *instruction {
            Instruction::IaddRs { dst, src, shift, offset } => {
                let dst = integer(dst);
                self.asm.op(LEA, dst, indexed(dst, integer(src), shift, offset));
            }
            Instruction::Iadd { dst, address } => {
                let address = self.place(address);
                self.asm.op(ADD, integer(dst), address);
            }
            Instruction::Isub { dst, src } => self.two_operands(SUB, SUB_IMMEDIATE, dst, src),
            Instruction::Ixor { dst, src } => self.two_operands(XOR, XOR_IMMEDIATE, dst, src),
            Instruction::Imul { dst, src } => self.multiply(integer(dst), src),
            Instruction::Imulh { dst, src } => {
                let source = self.operand(src);
                self.asm.op(MOV, RDX, reg(integer(dst)));
                self.asm.mulx(integer(dst), RAX, source);
            }
            Instruction::Ismulh { dst, src } => {
                // The product needs RAX, so the address goes elsewhere.
                let source = match src {
                    Source::Memory(address) => self.place_by(RCX, address),
                    _ => self.operand(src),
                };
                self.asm.op(MOV, RAX, reg(integer(dst)));
                self.asm.group(IMUL_RAX, source);
                self.asm.op(MOV, integer(dst), reg(RDX));
            }
            Instruction::ImulRcp { dst, reciprocal } => {
                self.asm.mov_immediate(RAX, reciprocal);
                self.asm.op(IMUL, integer(dst), reg(RAX));
            }
            Instruction::Ineg { dst } => self.asm.group(NEG, reg(integer(dst))),
            Instruction::Iror { dst, count } => self.rotate(ROR_CL, ROR_IMMEDIATE, dst, count),
            Instruction::Irol { dst, count } => self.rotate(ROL_CL, ROL_IMMEDIATE, dst, count),
            Instruction::Iswap { dst, src } => self.asm.op(XCHG, integer(dst), reg(integer(src))),
            Instruction::Fswap { dst } => {
                // Groups F and E follow one another.
                self.vector(SHUFPD, dst, reg(dst));
                self.asm.byte(1);
            }
            Instruction::Fadd { dst, src } => self.float(ADDPD, dst, src),
            Instruction::Fsub { dst, src } => self.float(SUBPD, dst, src),
            Instruction::Fscal { dst } => self.vector(XORPS, group_f(dst), reg(SCALE)),
            Instruction::Fmul { dst, src } => self.rounded(MULPD, group_e(dst), group_a(src)),
            Instruction::Fdiv { dst, address } => {
                let address = self.place(address);
                self.vector(CVTDQ2PD, TEMPORARY, address);
                self.make_e(TEMPORARY);
                self.rounded(DIVPD, group_e(dst), TEMPORARY);
            }
            Instruction::Fsqrt { dst } => self.rounded(SQRTPD, group_e(dst), group_e(dst)),
            Instruction::Cfround { src, shift } => {
                self.asm.rorx(RAX, integer(src), shift);
                self.asm.group_word(AND_32_IMMEDIATE, reg(RAX), 3);
                self.asm.op(STORE_32, RAX, state(offset_of!(VmState, rounding)));
                match self.rounding {
                    Rounding::Controlled => self.asm.group(LDMXCSR, indexed(RSP, RAX, 2, FRAME_CONTROLS)),
                    Rounding::Static => self.go_on_in_other_copy(),
                }
            }
            Instruction::Istore { address, src } => {
                let address = self.place(address);
                self.asm.op(STORE, integer(src), address);
            }
            Instruction::Cbranch { .. } | Instruction::Nop => {}
        }
    }

    /// Computes a scratchpad address, by way of RAX if need be.
    fn place(&mut self, address: Address) -> Operand {
        self.place_by(RAX, address)
    }

    fn place_by(&mut self, register: Register, address: Address) -> Operand {
        match address {
            Address::Fixed(offset) => at(RSI, offset.cast_signed()),
            Address::Based { base, offset, mask } => {
                self.asm.op(LEA_32, register, at(integer(base), offset));
                self.asm.group_word(AND_32_IMMEDIATE, reg(register), mask.cast_signed());
                indexed(RSI, register, 0, 0)
            }
        }
    }

    /// A source that is not immediate.
    fn operand(&mut self, source: Source) -> Operand {
        match source {
            Source::Register(register) => reg(integer(register)),
            Source::Memory(address) => self.place(address),
            Source::Immediate(value) => {
                self.asm.mov_immediate(RAX, i64::from(value).cast_unsigned());
                reg(RAX)
            }
        }
    }

    fn two_operands(&mut self, opcode: Opcode, immediate: Group, dst: R, src: Source) {
        if let Source::Immediate(value) = src {
            self.asm.group_word(immediate, reg(integer(dst)), value);
        } else {
            let source = self.operand(src);
            self.asm.op(opcode, integer(dst), source);
        }
    }

    fn multiply(&mut self, dst: Register, src: Source) {
        if let Source::Immediate(value) = src {
            self.asm.op_word(IMUL_IMMEDIATE, dst, reg(dst), value);
        } else {
            let source = self.operand(src);
            self.asm.op(IMUL, dst, source);
        }
    }

    fn rotate(&mut self, by_register: Group, immediate: Group, dst: R, count: Count) {
        match count {
            Count::Register(register) => {
                self.asm.op(MOV_32, RCX, reg(integer(register)));
                self.asm.group(by_register, reg(integer(dst)));
            }
            Count::Fixed(count) => {
                self.asm.group_byte(immediate, reg(integer(dst)), count);
            }
        }
    }

    fn float(&mut self, opcode: Vector, dst: u8, src: FloatSource) {
        let source = match src {
            FloatSource::Register(register) => group_a(register),
            FloatSource::Memory(address) => {
                let address = self.place(address);
                self.vector(CVTDQ2PD, TEMPORARY, address);
                TEMPORARY
            }
        };
        self.rounded(opcode, group_f(dst), source);
    }
}

#[cfg(test)]
impl Compiler {
    /// Rounds as processors without AVX-512 do.
    pub(super) fn round_controlled(&mut self) {
        self.rounding = Rounding::Controlled;
    }
}
