//! The model: one instruction after the other as the specification words them, compared with what the compiler makes.

use super::{
    aes::Block,
    program::{Address, Count, FloatSource, Instruction, PROGRAM_SIZE, R, Source},
    state::{DATASET_LINE_MASK, SCRATCHPAD_LINE_MASK, VmState},
};

/// `$operation` of two pairs of floating point numbers in one rounding mode, which no Rust code runs in.
macro_rules! rounded {
    ($operation:literal, $mode:expr, $left:expr, $right:expr) => {{
        let (left, right): ([u64; 2], [u64; 2]) = ($left, $right);
        let control = 0x9fc0_u32 | $mode << 13;
        let mut host = 0_u32;
        let mut result = left;
        // SAFETY: reads and writes only what it is given, and puts the processor's floating point control back.
        unsafe {
            std::arch::asm!(
                "stmxcsr [{host}]",
                "ldmxcsr [{control}]",
                "movupd {x}, [{result}]",
                "movupd {y}, [{right}]",
                concat!($operation, " {x}, {y}"),
                "movupd [{result}], {x}",
                "ldmxcsr [{host}]",
                host = in(reg) &raw mut host,
                control = in(reg) &raw const control,
                result = in(reg) &raw mut result,
                right = in(reg) &raw const right,
                x = out(xmm_reg) _,
                y = out(xmm_reg) _,
            );
        }
        result
    }};
}

/// What a model runs on.
pub(super) struct Interpreter<'a> {
    pub(super) program: &'a [Instruction; PROGRAM_SIZE],
    pub(super) read: [R; 4],
    pub(super) state: &'a mut VmState,
    pub(super) scratchpad: &'a mut [Block],
}

impl Interpreter<'_> {
    /// One iteration (specification, chapter 4.6.2). `item` gives the dataset's 64 bytes at an address below 2 GiB.
    pub(super) fn iterate(&mut self, item: impl Fn(u32) -> [u64; 8]) {
        let [read0, read1, read2, read3] = self.read.map(usize::from);
        let lines = [self.state.scratchpad_address, self.state.scratchpad_address >> 32]
            .map(|address| (address & u64::from(SCRATCHPAD_LINE_MASK)) as usize / 8);
        for index in 0..8 {
            self.state.registers.r[index] ^= self.load(lines[0] + index);
        }
        for index in 0..4 {
            self.state.registers.f[index] = as_f(self.load(lines[1] + index));
            self.state.registers.e[index] = self.as_e(self.load(lines[1] + 4 + index));
        }
        self.run();
        let r = &mut self.state.registers.r;
        self.state.mx ^= (r[read2] ^ r[read3]) as u32;
        for (register, word) in r.iter_mut().zip(item(self.state.ma & DATASET_LINE_MASK)) {
            *register ^= word;
        }
        let masks = u64::from(SCRATCHPAD_LINE_MASK) << 32 | u64::from(SCRATCHPAD_LINE_MASK);
        self.state.scratchpad_address = (r[read0] ^ r[read1]) & masks;
        std::mem::swap(&mut self.state.ma, &mut self.state.mx);
        for index in 0..8 {
            self.store(lines[1] + index, self.state.registers.r[index]);
        }
        for index in 0..4 {
            for half in 0..2 {
                self.state.registers.f[index][half] ^= self.state.registers.e[index][half];
                self.store(lines[0] + 2 * index + half, self.state.registers.f[index][half]);
            }
        }
    }

    /// The 256 instructions, once.
    pub(super) fn run(&mut self) {
        let mut next = 0;
        while let Some(instruction) = self.program.get(next) {
            next += 1;
            if let Some(target) = self.execute(instruction) {
                next = usize::from(target);
            }
        }
    }

    /// Where to go on, if elsewhere.
    fn execute(&mut self, instruction: &Instruction) -> Option<u8> {
        let mode = self.state.rounding;
        match *instruction {
            Instruction::IaddRs { dst, src, shift, offset } => {
                let sum = (self.r(src) << shift).wrapping_add(sign_extend(offset));
                self.change(dst, |value| value.wrapping_add(sum));
            }
            Instruction::Iadd { dst, address } => {
                let addend = self.read(address);
                self.change(dst, |value| value.wrapping_add(addend));
            }
            Instruction::Isub { dst, src } => {
                let source = self.source(src);
                self.change(dst, |value| value.wrapping_sub(source));
            }
            Instruction::Imul { dst, src } => {
                let source = self.source(src);
                self.change(dst, |value| value.wrapping_mul(source));
            }
            Instruction::Imulh { dst, src } => {
                let source = self.source(src);
                self.change(dst, |value| ((u128::from(value) * u128::from(source)) >> 64) as u64);
            }
            Instruction::Ismulh { dst, src } => {
                let source = i128::from(self.source(src).cast_signed());
                self.change(dst, |value| (((i128::from(value.cast_signed()) * source) >> 64) as i64).cast_unsigned());
            }
            Instruction::ImulRcp { dst, reciprocal } => self.change(dst, |value| value.wrapping_mul(reciprocal)),
            Instruction::Ineg { dst } => self.change(dst, u64::wrapping_neg),
            Instruction::Ixor { dst, src } => {
                let source = self.source(src);
                self.change(dst, |value| value ^ source);
            }
            Instruction::Iror { dst, count } => {
                let count = self.count(count);
                self.change(dst, |value| value.rotate_right(count));
            }
            Instruction::Irol { dst, count } => {
                let count = self.count(count);
                self.change(dst, |value| value.rotate_left(count));
            }
            Instruction::Iswap { dst, src } => self.state.registers.r.swap(usize::from(dst), usize::from(src)),
            Instruction::Fswap { dst } => {
                let registers = &mut self.state.registers;
                let index = usize::from(dst % 4);
                if dst < 4 { registers.f[index].reverse() } else { registers.e[index].reverse() }
            }
            Instruction::Fadd { dst, src } => {
                let source = self.float_source(src);
                let f = &mut self.state.registers.f[usize::from(dst)];
                *f = rounded!("addpd", mode, *f, source);
            }
            Instruction::Fsub { dst, src } => {
                let source = self.float_source(src);
                let f = &mut self.state.registers.f[usize::from(dst)];
                *f = rounded!("subpd", mode, *f, source);
            }
            Instruction::Fscal { dst } => {
                let f = &mut self.state.registers.f[usize::from(dst)];
                *f = f.map(|half| half ^ 0x80f0_0000_0000_0000);
            }
            Instruction::Fmul { dst, src } => {
                let a = self.state.registers.a[usize::from(src)];
                let e = &mut self.state.registers.e[usize::from(dst)];
                *e = rounded!("mulpd", mode, *e, a);
            }
            Instruction::Fdiv { dst, address } => {
                let divisor = self.as_e(self.read(address));
                let e = &mut self.state.registers.e[usize::from(dst)];
                *e = rounded!("divpd", mode, *e, divisor);
            }
            Instruction::Fsqrt { dst } => {
                let e = &mut self.state.registers.e[usize::from(dst)];
                *e = rounded!("sqrtpd", mode, *e, *e);
            }
            Instruction::Cbranch { dst, addend, mask, target } => {
                self.change(dst, |value| value.wrapping_add(sign_extend(addend)));
                return (self.r(dst) & u64::from(mask) == 0).then_some(target);
            }
            Instruction::Cfround { src, shift } => {
                self.state.rounding = (self.r(src).rotate_right(shift.into()) & 3) as u32;
            }
            Instruction::Istore { address, src } => self.store(self.place(address), self.r(src)),
            Instruction::Nop => {}
        }
        None
    }

    fn r(&self, register: R) -> u64 {
        self.state.registers.r[usize::from(register)]
    }

    fn change(&mut self, register: R, change: impl FnOnce(u64) -> u64) {
        let register = &mut self.state.registers.r[usize::from(register)];
        *register = change(*register);
    }

    fn source(&self, source: Source) -> u64 {
        match source {
            Source::Register(register) => self.r(register),
            Source::Immediate(value) => sign_extend(value),
            Source::Memory(address) => self.read(address),
        }
    }

    fn count(&self, count: Count) -> u32 {
        match count {
            Count::Register(register) => (self.r(register) & 63) as u32,
            Count::Fixed(count) => count.into(),
        }
    }

    fn float_source(&self, source: FloatSource) -> [u64; 2] {
        match source {
            FloatSource::Register(register) => self.state.registers.a[usize::from(register)],
            FloatSource::Memory(address) => as_f(self.read(address)),
        }
    }

    /// Index of the word at an address.
    fn place(&self, address: Address) -> usize {
        match address {
            Address::Fixed(place) => place as usize / 8,
            Address::Based { base, offset, mask } => {
                ((self.r(base) as u32).wrapping_add(offset.cast_unsigned()) & mask) as usize / 8
            }
        }
    }

    fn read(&self, address: Address) -> u64 {
        self.load(self.place(address))
    }

    fn load(&self, word: usize) -> u64 {
        u64::from_le_bytes(self.scratchpad[word / 8].0[word % 8 * 8..][..8].try_into().unwrap())
    }

    fn store(&mut self, word: usize, value: u64) {
        self.scratchpad[word / 8].0[word % 8 * 8..][..8].copy_from_slice(&value.to_le_bytes());
    }

    fn as_e(&self, word: u64) -> [u64; 2] {
        let [low, high] = as_f(word);
        [low & ((1 << 56) - 1) | self.state.e_mask[0], high & ((1 << 56) - 1) | self.state.e_mask[1]]
    }
}

/// Two 32-bit integers as floating point numbers, which is exact.
fn as_f(word: u64) -> [u64; 2] {
    [word as u32, (word >> 32) as u32].map(|half| f64::from(half.cast_signed()).to_bits())
}

fn sign_extend(value: i32) -> u64 {
    i64::from(value).cast_unsigned()
}
