//! The few x86-64 encodings that RandomX programs need (Intel's manual, volume 2, chapter 2). Knows nothing of RandomX.

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
/// Takes another four bytes.
pub(super) const IMUL_IMMEDIATE: Opcode = wide(0x69);
pub(super) const ADDPD: Opcode = escaped(0x66, 0x58);
pub(super) const SUBPD: Opcode = escaped(0x66, 0x5c);
pub(super) const MULPD: Opcode = escaped(0x66, 0x59);
pub(super) const DIVPD: Opcode = escaped(0x66, 0x5e);
pub(super) const SQRTPD: Opcode = escaped(0x66, 0x51);
pub(super) const XORPS: Opcode = escaped(0, 0x57);
pub(super) const ANDPS: Opcode = escaped(0, 0x54);
pub(super) const ORPS: Opcode = escaped(0, 0x56);
/// Takes another byte.
pub(super) const SHUFPD: Opcode = escaped(0x66, 0xc6);
pub(super) const CVTDQ2PD: Opcode = escaped(0xf3, 0xe6);
pub(super) const MOVAPS: Opcode = escaped(0, 0x28);
pub(super) const STORE_APS: Opcode = escaped(0, 0x29);
pub(super) const PUNPCKLQDQ: Opcode = escaped(0x66, 0x6c);
pub(super) const MOVQ: Opcode = Opcode { prefix: 0x66, wide: true, bytes: [0x0f, 0x6e] };

/// An opcode that the field of the first operand is a part of.
#[derive(Clone, Copy)]
pub(super) struct Group(Opcode, u8);

/// Takes another four bytes.
pub(super) const ADD_IMMEDIATE: Group = Group(wide(0x81), 0);
/// Takes another four bytes.
pub(super) const SUB_IMMEDIATE: Group = Group(wide(0x81), 5);
/// Takes another four bytes.
pub(super) const XOR_IMMEDIATE: Group = Group(wide(0x81), 6);
/// Takes another four bytes.
pub(super) const AND_32_IMMEDIATE: Group = Group(narrow(0x81), 4);
/// Takes another four bytes.
pub(super) const TEST_32_IMMEDIATE: Group = Group(narrow(0xf7), 0);
/// Takes another four bytes.
pub(super) const STORE_32_IMMEDIATE: Group = Group(narrow(0xc7), 0);
/// RDX:RAX = RAX times the operand, signed.
pub(super) const IMUL_RAX: Group = Group(wide(0xf7), 5);
pub(super) const NEG: Group = Group(wide(0xf7), 3);
pub(super) const DEC: Group = Group(wide(0xff), 1);
/// By the number in CL.
pub(super) const ROR_CL: Group = Group(wide(0xd3), 1);
/// By the number in CL.
pub(super) const ROL_CL: Group = Group(wide(0xd3), 0);
/// Takes another byte.
pub(super) const ROR_IMMEDIATE: Group = Group(wide(0xc1), 1);
/// Takes another byte.
pub(super) const ROL_IMMEDIATE: Group = Group(wide(0xc1), 0);
/// Takes another byte.
pub(super) const SHR_IMMEDIATE: Group = Group(wide(0xc1), 5);
pub(super) const LDMXCSR: Group = Group(escaped(0, 0xae), 2);
pub(super) const STMXCSR: Group = Group(escaped(0, 0xae), 3);
pub(super) const PREFETCH_NTA: Group = Group(escaped(0, 0x18), 0);
pub(super) const PREFETCH_T0: Group = Group(escaped(0, 0x18), 1);

/// Machine code under construction.
#[derive(Default)]
pub(super) struct Assembler {
    code: Vec<u8>,
}

impl Assembler {
    pub(super) fn clear(&mut self) {
        self.code.clear();
    }

    pub(super) fn code(&self) -> &[u8] {
        &self.code
    }

    /// Where the next instruction will be.
    pub(super) const fn position(&self) -> usize {
        self.code.len()
    }

    /// Fills up with instructions that do nothing to a multiple of `bytes`.
    pub(super) fn align(&mut self, bytes: usize) {
        while !self.position().is_multiple_of(bytes) {
            self.code.push(0x90);
        }
    }

    /// `opcode first, second`.
    pub(super) fn op(&mut self, opcode: Opcode, first: Register, second: Operand) {
        let (x, b) = extensions(second);
        if opcode.prefix != 0 {
            self.code.push(opcode.prefix);
        }
        let rex = u8::from(opcode.wide) << 3 | (first >> 3) << 2 | x << 1 | b;
        if rex != 0 {
            self.code.push(0x40 | rex);
        }
        if opcode.bytes[0] != 0 {
            self.code.push(opcode.bytes[0]);
        }
        self.code.push(opcode.bytes[1]);
        self.operands(first, second);
    }

    /// `group operand`.
    pub(super) fn group(&mut self, group: Group, operand: Operand) {
        self.op(group.0, group.1, operand);
    }

    pub(super) fn byte(&mut self, value: u8) {
        self.code.push(value);
    }

    pub(super) fn word(&mut self, value: i32) {
        self.code.extend_from_slice(&value.to_le_bytes());
    }

    /// `mov register, value`.
    pub(super) fn mov_immediate(&mut self, register: Register, value: u64) {
        self.code.extend_from_slice(&[0x48 | register >> 3, 0xb8 | register & 7]);
        self.code.extend_from_slice(&value.to_le_bytes());
    }

    /// `rorx register, source, count`: rotates without touching the flags or its source (BMI2).
    pub(super) fn rorx(&mut self, register: Register, source: Register, count: u8) {
        self.vex(3, 0, 0xf0, register, reg(source));
        self.code.push(count);
    }

    /// `mulx high, low, operand`: RDX times the operand (BMI2). If both are one register it gets the high half.
    pub(super) fn mulx(&mut self, high: Register, low: Register, operand: Operand) {
        self.vex(2, low, 0xf6, high, operand);
    }

    pub(super) fn push(&mut self, register: Register) {
        self.short(0x50, register);
    }

    pub(super) fn pop(&mut self, register: Register) {
        self.short(0x58, register);
    }

    pub(super) fn ret(&mut self) {
        self.code.push(0xc3);
    }

    /// Jumps back to `target` if the result before was zero.
    pub(super) fn jump_if_zero(&mut self, target: usize) {
        self.jump_back(4, target);
    }

    /// Jumps back to `target` if the result before was not zero.
    pub(super) fn jump_if_not_zero(&mut self, target: usize) {
        self.jump_back(5, target);
    }

    fn jump_back(&mut self, condition: u8, target: usize) {
        let back = self.position() - target;
        if let Ok(distance) = i8::try_from(back + 2) {
            self.code.extend_from_slice(&[0x70 | condition, distance.wrapping_neg().cast_unsigned()]);
        } else {
            let distance = i32::try_from(back + 6).unwrap_or(i32::MAX);
            self.code.extend_from_slice(&[0x0f, 0x80 | condition]);
            self.word(distance.wrapping_neg());
        }
    }

    fn short(&mut self, opcode: u8, register: Register) {
        if register >= 8 {
            self.code.push(0x41);
        }
        self.code.push(opcode | register & 7);
    }

    /// A 64-bit BMI2 instruction, prefix `F2`, of opcode map `map`.
    fn vex(&mut self, map: u8, second: Register, opcode: u8, first: Register, operand: Operand) {
        // The extensions and the second register are stored inverted; an unused second register is given as zero.
        let (x, b) = extensions(operand);
        let inverted = ((first >> 3) << 7 | x << 6 | b << 5) ^ 0xe0;
        self.code.extend_from_slice(&[0xc4, inverted | map, 0x80 | (second ^ 15) << 3 | 3, opcode]);
        self.operands(first, operand);
    }

    fn operands(&mut self, first: Register, operand: Operand) {
        let field = (first & 7) << 3;
        match operand {
            Operand::Register(register) => self.code.push(0xc0 | field | register & 7),
            Operand::Memory { base, index, scale, offset } => {
                let (mode, short) = match i8::try_from(offset) {
                    // Without an offset this base would mean another mode.
                    Ok(0) if base & 7 != RBP => (0, None),
                    Ok(offset) => (0x40, Some(offset)),
                    Err(_) => (0x80, None),
                };
                if index.is_some() || base & 7 == RSP {
                    let index = index.unwrap_or(RSP);
                    self.code.extend_from_slice(&[mode | field | RSP, scale << 6 | (index & 7) << 3 | base & 7]);
                } else {
                    self.code.push(mode | field | base & 7);
                }
                match short {
                    Some(offset) => self.code.push(offset.cast_unsigned()),
                    None if mode == 0x80 => self.word(offset),
                    None => {}
                }
            }
        }
    }
}

/// The fourth bits of index and base.
fn extensions(operand: Operand) -> (u8, u8) {
    match operand {
        Operand::Register(register) => (0, register >> 3),
        Operand::Memory { base, index, .. } => (index.unwrap_or(0) >> 3, base >> 3),
    }
}
