//! The few x86-64 encodings that RandomX programs need (Intel's manual, volume 2, chapter 2). Knows nothing of RandomX.

use std::ops::Range;

/// A general purpose or vector register's number, 0 to 15.
pub(super) type Register = u8;

pub(super) const RAX: Register = 0;
pub(super) const RCX: Register = 1;
pub(super) const RDX: Register = 2;
pub(super) const RBX: Register = 3;
pub(super) const RSP: Register = 4;
pub(super) const RBP: Register = 5;
pub(super) const RSI: Register = 6;
pub(super) const RDI: Register = 7;
pub(super) const R8: Register = 8;

/// The operand that an instruction can have in a register or in memory.
#[derive(Clone, Copy)]
pub(super) enum Operand {
    Register(Register),
    Memory { base: Register, index: Option<Register>, scale: u8, offset: i32 },
}

/// `register`.
pub(super) const fn reg(register: Register) -> Operand {
    Operand::Register(register)
}

/// `[base + offset]`.
pub(super) const fn at(base: Register, offset: i32) -> Operand {
    Operand::Memory { base, index: None, scale: 0, offset }
}

/// `[base + index * 2^scale + offset]`. The index is any register but RSP.
pub(super) const fn indexed(base: Register, index: Register, scale: u8, offset: i32) -> Operand {
    Operand::Memory { base, index: Some(index), scale, offset }
}

/// An opcode with what stands around it.
#[derive(Clone, Copy)]
pub(super) struct Opcode {
    /// `66`, `F2`, `F3`, or zero for none.
    prefix: u8,
    /// 64-bit operands.
    wide: bool,
    /// One or two bytes; the first is zero if there is one.
    bytes: [u8; 2],
}

const fn wide(byte: u8) -> Opcode {
    Opcode { prefix: 0, wide: true, bytes: [0, byte] }
}

const fn narrow(byte: u8) -> Opcode {
    Opcode { prefix: 0, wide: false, bytes: [0, byte] }
}

const fn escaped(prefix: u8, byte: u8) -> Opcode {
    Opcode { prefix, wide: false, bytes: [0x0f, byte] }
}

pub(super) const ADD: Opcode = wide(0x03);
pub(super) const SUB: Opcode = wide(0x2b);
pub(super) const XOR: Opcode = wide(0x33);
pub(super) const XOR_32: Opcode = narrow(0x33);
pub(super) const MOV: Opcode = wide(0x8b);
pub(super) const MOV_32: Opcode = narrow(0x8b);
/// Stores the register.
pub(super) const STORE: Opcode = wide(0x89);
pub(super) const STORE_32: Opcode = narrow(0x89);
pub(super) const LEA: Opcode = wide(0x8d);
pub(super) const LEA_32: Opcode = narrow(0x8d);
pub(super) const XCHG: Opcode = wide(0x87);
pub(super) const IMUL: Opcode = Opcode { prefix: 0, wide: true, bytes: [0x0f, 0xaf] };
pub(super) const IMUL_IMMEDIATE: Opcode = wide(0x69);
pub(super) const TEST: Opcode = wide(0x85);
/// Moves if the result before was zero.
pub(super) const CMOVZ: Opcode = Opcode { prefix: 0, wide: true, bytes: [0x0f, 0x44] };
/// Moves a general purpose register into a vector register.
pub(super) const MOVQ: Opcode = Opcode { prefix: 0x66, wide: true, bytes: [0x0f, 0x6e] };

/// An operation on vector registers.
#[derive(Clone, Copy)]
pub(super) struct Vector {
    opcode: Opcode,
    /// The first operand is a source too.
    merges: bool,
}

const fn merging(prefix: u8, byte: u8) -> Vector {
    Vector { opcode: escaped(prefix, byte), merges: true }
}

const fn moving(prefix: u8, byte: u8) -> Vector {
    Vector { opcode: escaped(prefix, byte), merges: false }
}

pub(super) const ADDPD: Vector = merging(0x66, 0x58);
pub(super) const SUBPD: Vector = merging(0x66, 0x5c);
pub(super) const MULPD: Vector = merging(0x66, 0x59);
pub(super) const DIVPD: Vector = merging(0x66, 0x5e);
pub(super) const SQRTPD: Vector = moving(0x66, 0x51);
pub(super) const XORPS: Vector = merging(0, 0x57);
pub(super) const ANDPS: Vector = merging(0, 0x54);
pub(super) const ORPS: Vector = merging(0, 0x56);
pub(super) const SHUFPD: Vector = merging(0x66, 0xc6);
pub(super) const CVTDQ2PD: Vector = moving(0xf3, 0xe6);
pub(super) const MOVAPS: Vector = moving(0, 0x28);
pub(super) const STORE_APS: Vector = moving(0, 0x29);
pub(super) const PUNPCKLQDQ: Vector = merging(0x66, 0x6c);

/// An opcode that the field of the first operand is a part of.
#[derive(Clone, Copy)]
pub(super) struct Group(Opcode, u8);

pub(super) const ADD_IMMEDIATE: Group = Group(wide(0x81), 0);
pub(super) const SUB_IMMEDIATE: Group = Group(wide(0x81), 5);
pub(super) const XOR_IMMEDIATE: Group = Group(wide(0x81), 6);
pub(super) const AND_32_IMMEDIATE: Group = Group(narrow(0x81), 4);
pub(super) const TEST_32_IMMEDIATE: Group = Group(narrow(0xf7), 0);
pub(super) const STORE_32_IMMEDIATE: Group = Group(narrow(0xc7), 0);
/// RDX:RAX = RAX times the operand, signed.
pub(super) const IMUL_RAX: Group = Group(wide(0xf7), 5);
pub(super) const NEG: Group = Group(wide(0xf7), 3);
pub(super) const DEC: Group = Group(wide(0xff), 1);
/// By the number in CL.
pub(super) const ROR_CL: Group = Group(wide(0xd3), 1);
/// By the number in CL.
pub(super) const ROL_CL: Group = Group(wide(0xd3), 0);
pub(super) const ROR_IMMEDIATE: Group = Group(wide(0xc1), 1);
pub(super) const ROL_IMMEDIATE: Group = Group(wide(0xc1), 0);
pub(super) const JMP: Group = Group(narrow(0xff), 4);
pub(super) const LDMXCSR: Group = Group(escaped(0, 0xae), 2);
pub(super) const STMXCSR: Group = Group(escaped(0, 0xae), 3);
pub(super) const PREFETCH_NTA: Group = Group(escaped(0, 0x18), 0);
pub(super) const PREFETCH_T0: Group = Group(escaped(0, 0x18), 1);

/// A jump whose target is not known yet: the position after it.
pub(super) struct Jump(usize);

/// Machine code under construction.
#[derive(Default)]
pub(super) struct Assembler {
    /// Longer than `length` by what the last instruction might have been longer.
    code: Vec<u8>,
    length: usize,
    /// Where the bytes lie that say how to round.
    rounded: Vec<usize>,
}

/// One instruction, put together in a register: the first byte is the lowest.
#[derive(Clone, Copy, Default)]
struct Bytes {
    bits: u128,
    count: usize,
}

impl Bytes {
    const MAX: usize = 16;

    #[inline(always)]
    const fn push(&mut self, byte: u8) {
        self.bits |= (byte as u128) << (8 * self.count);
        self.count += 1;
    }

    #[inline(always)]
    const fn push_word(&mut self, word: i32) {
        self.bits |= (word.cast_unsigned() as u128) << (8 * self.count);
        self.count += 4;
    }
}

impl Assembler {
    pub(super) fn clear(&mut self) {
        self.length = 0;
        self.rounded.clear();
    }

    pub(super) fn code(&self) -> &[u8] {
        &self.code[..self.length]
    }

    #[inline(always)]
    fn emit(&mut self, bytes: Bytes) {
        let end = self.length + Bytes::MAX;
        if self.code.len() < end {
            self.code.resize(2 * end, 0);
        }
        self.code[self.length..end].copy_from_slice(&bytes.bits.to_le_bytes());
        self.length += bytes.count;
    }

    #[inline(always)]
    fn emit_all<const N: usize>(&mut self, bytes: [u8; N]) {
        let mut all = Bytes::default();
        for byte in bytes {
            all.push(byte);
        }
        self.emit(all);
    }

    /// Where the next instruction will be.
    pub(super) const fn position(&self) -> usize {
        self.length
    }

    /// Fills up with instructions that do nothing to a multiple of `bytes`.
    pub(super) fn align(&mut self, bytes: usize) {
        while !self.position().is_multiple_of(bytes) {
            self.emit_all([0x90]);
        }
    }

    /// `opcode first, second`.
    #[inline(always)]
    pub(super) fn op(&mut self, opcode: Opcode, first: Register, second: Operand) {
        self.emit(encode(opcode, first, second));
    }

    /// `opcode first, second, byte`.
    #[inline(always)]
    pub(super) fn op_byte(&mut self, opcode: Opcode, first: Register, second: Operand, byte: u8) {
        let mut bytes = encode(opcode, first, second);
        bytes.push(byte);
        self.emit(bytes);
    }

    /// `opcode first, second, word`.
    #[inline(always)]
    pub(super) fn op_word(&mut self, opcode: Opcode, first: Register, second: Operand, word: i32) {
        let mut bytes = encode(opcode, first, second);
        bytes.push_word(word);
        self.emit(bytes);
    }

    /// `vector first, second`, in the encoding that leaves the upper parts of registers alone.
    #[inline(always)]
    pub(super) fn sse(&mut self, vector: Vector, first: Register, second: Operand) {
        self.op(vector.opcode, first, second);
    }

    /// `vector first, second`, in the encoding that zeroes the upper parts of registers.
    #[inline(always)]
    pub(super) fn avx(&mut self, vector: Vector, first: Register, second: Operand) {
        let (x, b) = extensions(second);
        let inverted = ((first >> 3) << 7 | x << 6 | b << 5) ^ 0xe0;
        let source = if vector.merges { first } else { 0 };
        let rest = (source ^ 15) << 3 | compressed(vector.opcode.prefix);
        let mut bytes = Bytes::default();
        if x | b == 0 {
            bytes.push(0xc5);
            bytes.push(inverted & 0x80 | rest);
        } else {
            bytes.push(0xc4);
            bytes.push(inverted | 1);
            bytes.push(rest);
        }
        bytes.push(vector.opcode.bytes[1]);
        operands(&mut bytes, first, second);
        self.emit(bytes);
    }

    /// `vector first, second` of two registers on the halves that K1 selects, zeroing all else, rounding to nearest; copies
    /// made by [`repeat_rounding`](Self::repeat_rounding) round otherwise (AVX-512F).
    #[inline(always)]
    pub(super) fn avx_512_rounded(&mut self, vector: Vector, first: Register, second: Register) {
        let extensions = ((first >> 3) << 7 | (second >> 3) << 5) ^ 0xf0;
        let source = if vector.merges { first } else { 0 };
        self.rounded.push(self.position() + 3);
        self.emit_all([
            0x62,
            extensions | 1,
            0x80 | (source ^ 15) << 3 | 4 | compressed(vector.opcode.prefix),
            0x99,
            vector.opcode.bytes[1],
            0xc0 | (first & 7) << 3 | second & 7,
        ]);
    }

    /// Appends a copy of code that rounds in mode 1 (down), 2 (up) or 3 (to zero).
    pub(super) fn repeat_rounding(&mut self, original: Range<usize>, mode: u8) {
        let copy = self.position();
        let end = copy + original.len();
        if self.code.len() < end {
            self.code.resize(end, 0);
        }
        self.code.copy_within(original.clone(), copy);
        self.length = end;
        for place in self.rounded.iter().filter(|place| original.contains(place)) {
            self.code[place - original.start + copy] |= mode << 5;
        }
    }

    /// Sets the four bytes before a position.
    pub(super) fn patch_before(&mut self, position: usize, value: usize) {
        let value = i32::try_from(value).unwrap_or(i32::MAX);
        self.code[position - 4..position].copy_from_slice(&value.to_le_bytes());
    }

    /// `kmovb k1, register` (AVX-512DQ).
    pub(super) fn set_k1(&mut self, register: Register) {
        self.avx(K_MOVE, 1, reg(register));
    }

    /// Zeroes the upper parts of all vector registers, without which older encodings run slowly.
    pub(super) fn zero_upper(&mut self) {
        self.emit_all([0xc5, 0xf8, 0x77]);
    }

    /// `group operand`.
    #[inline(always)]
    pub(super) fn group(&mut self, group: Group, operand: Operand) {
        self.op(group.0, group.1, operand);
    }

    /// `group operand, byte`.
    #[inline(always)]
    pub(super) fn group_byte(&mut self, group: Group, operand: Operand, byte: u8) {
        self.op_byte(group.0, group.1, operand, byte);
    }

    /// `group operand, word`.
    #[inline(always)]
    pub(super) fn group_word(&mut self, group: Group, operand: Operand, word: i32) {
        self.op_word(group.0, group.1, operand, word);
    }

    /// `mov register, value`.
    pub(super) fn mov_immediate(&mut self, register: Register, value: u64) {
        let mut bytes = Bytes::default();
        bytes.push(0x48 | register >> 3);
        bytes.push(0xb8 | register & 7);
        self.emit(Bytes { bits: bytes.bits | u128::from(value) << 16, count: 10 });
    }

    /// `rorx register, source, count`: rotates without touching the flags or its source (BMI2).
    pub(super) fn rorx(&mut self, register: Register, source: Register, count: u8) {
        let mut bytes = vex(3, 0, 0xf0, register, reg(source));
        bytes.push(count);
        self.emit(bytes);
    }

    /// `mulx high, low, operand`: RDX times the operand (BMI2). If both are one register it gets the high half.
    pub(super) fn mulx(&mut self, high: Register, low: Register, operand: Operand) {
        self.emit(vex(2, low, 0xf6, high, operand));
    }

    /// What some instructions end with.
    pub(super) fn byte(&mut self, value: u8) {
        self.emit_all([value]);
    }

    pub(super) fn push(&mut self, register: Register) {
        self.short(0x50, register);
    }

    pub(super) fn pop(&mut self, register: Register) {
        self.short(0x58, register);
    }

    pub(super) fn ret(&mut self) {
        self.emit_all([0xc3]);
    }

    /// Jumps back to `target` if the result before was zero.
    pub(super) fn jump_if_zero(&mut self, target: usize) {
        self.jump_back(4, target);
    }

    /// Jumps back to `target` if the result before was not zero.
    pub(super) fn jump_if_not_zero(&mut self, target: usize) {
        self.jump_back(5, target);
    }

    /// Jumps to where [`land`](Self::land) will be called if the result before was zero.
    pub(super) fn jump_forward_if_zero(&mut self) -> Jump {
        self.emit_all([0x0f, 0x84, 0, 0, 0, 0]);
        Jump(self.position())
    }

    /// Here is where `jump` goes.
    pub(super) fn land(&mut self, jump: Jump) {
        self.patch_before(jump.0, self.position() - jump.0);
    }

    fn jump_back(&mut self, condition: u8, target: usize) {
        let back = self.position() - target;
        if let Ok(distance) = i8::try_from(back + 2) {
            self.emit_all([0x70 | condition, distance.wrapping_neg().cast_unsigned()]);
        } else {
            let mut bytes = Bytes::default();
            bytes.push(0x0f);
            bytes.push(0x80 | condition);
            bytes.push_word(i32::try_from(back + 6).unwrap_or(i32::MAX).wrapping_neg());
            self.emit(bytes);
        }
    }

    fn short(&mut self, opcode: u8, register: Register) {
        if register >= 8 {
            self.emit_all([0x41, opcode | register & 7]);
        } else {
            self.emit_all([opcode | register]);
        }
    }
}

#[inline(always)]
fn encode(opcode: Opcode, first: Register, second: Operand) -> Bytes {
    let mut bytes = Bytes::default();
    let (x, b) = extensions(second);
    if opcode.prefix != 0 {
        bytes.push(opcode.prefix);
    }
    let rex = u8::from(opcode.wide) << 3 | (first >> 3) << 2 | x << 1 | b;
    if rex != 0 {
        bytes.push(0x40 | rex);
    }
    if opcode.bytes[0] != 0 {
        bytes.push(opcode.bytes[0]);
    }
    bytes.push(opcode.bytes[1]);
    operands(&mut bytes, first, second);
    bytes
}

/// A 64-bit BMI2 instruction, prefix `F2`, of opcode map `map`.
fn vex(map: u8, second: Register, opcode: u8, first: Register, operand: Operand) -> Bytes {
    // The extensions and the second register are stored inverted; an unused second register is given as zero.
    let (x, b) = extensions(operand);
    let inverted = ((first >> 3) << 7 | x << 6 | b << 5) ^ 0xe0;
    let mut bytes = Bytes::default();
    bytes.push(0xc4);
    bytes.push(inverted | map);
    bytes.push(0x80 | (second ^ 15) << 3 | 3);
    bytes.push(opcode);
    operands(&mut bytes, first, operand);
    bytes
}

#[inline(always)]
fn operands(bytes: &mut Bytes, first: Register, operand: Operand) {
    let field = (first & 7) << 3;
    match operand {
        Operand::Register(register) => bytes.push(0xc0 | field | register & 7),
        Operand::Memory { base, index, scale, offset } => {
            let (mode, short) = match i8::try_from(offset) {
                // Without an offset this base would mean another mode.
                Ok(0) if base & 7 != RBP => (0, None),
                Ok(offset) => (0x40, Some(offset)),
                Err(_) => (0x80, None),
            };
            if index.is_some() || base & 7 == RSP {
                let index = index.unwrap_or(RSP);
                bytes.push(mode | field | RSP);
                bytes.push(scale << 6 | (index & 7) << 3 | base & 7);
            } else {
                bytes.push(mode | field | base & 7);
            }
            match short {
                Some(offset) => bytes.push(offset.cast_unsigned()),
                None if mode == 0x80 => bytes.push_word(offset),
                None => {}
            }
        }
    }
}

const K_MOVE: Vector = moving(0x66, 0x92);

/// A prefix as it is in newer encodings.
const fn compressed(prefix: u8) -> u8 {
    match prefix {
        0x66 => 1,
        0xf3 => 2,
        0xf2 => 3,
        _ => 0,
    }
}

/// The fourth bits of index and base.
fn extensions(operand: Operand) -> (u8, u8) {
    match operand {
        Operand::Register(register) => (0, register >> 3),
        Operand::Memory { base, index, .. } => (index.unwrap_or(0) >> 3, base >> 3),
    }
}
