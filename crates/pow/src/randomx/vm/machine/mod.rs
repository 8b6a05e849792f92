mod aes;
mod assembler;
mod code_memory;
mod compiler;
#[cfg(test)]
#[expect(clippy::cast_possible_truncation, reason = "halves of words are taken on purpose")]
mod interpreter;
mod program;
mod state;
#[cfg(test)]
mod tests;

use std::{ptr, slice};

use blake2::{Blake2b, Blake2b512, Digest, digest::consts::U32};
use bq_primitives::PowHash;

use self::{
    aes::Block,
    compiler::{Compiler, Switch},
    program::{Configuration, PROGRAM_BYTES, decode},
    state::{DATASET_LINE_MASK, ITERATIONS, SCRATCHPAD_BYTES, Turn},
};
use crate::{
    PowError,
    memory::{HugeTable, ZeroValid},
    randomx::dataset::Dataset,
};

/// Programs in a hash.
pub(crate) const PROGRAMS: usize = 8;
/// Iterations of a program: [`Machine::step`] is due this often for each.
pub(crate) const PROGRAM_ITERATIONS: u64 = ITERATIONS;

impl ZeroValid for Block {
    const ZERO: Self = Self([0; 64]);
}

/// A VM of our own: compiles each program for this processor. Between two iterations of a program all its state is in memory,
/// so that several machines can take turns on one thread.
///
/// A hash is `begin`; then its programs, by `run_programs` or by [`PROGRAMS`] times `start_program`, `step` for each iteration,
/// `end_program`; then `finish` or `finish_and_begin`. Another order gives meaningless values, and nothing worse.
pub(crate) struct Machine {
    turn: Box<Turn>,
    scratchpad: HugeTable<Block>,
    compiler: Compiler,
    /// State of the generator that makes the next program.
    seed: Block,
    /// In items.
    dataset_offset: u32,
}

impl Machine {
    /// Nothing where generated code cannot run, or on a processor without AES or BMI2 instructions.
    pub(crate) fn new() -> Result<Option<Self>, PowError> {
        if !std::arch::is_x86_feature_detected!("aes") {
            return Ok(None);
        }
        let Some(compiler) = Compiler::new() else { return Ok(None) };
        let scratchpad = HugeTable::zeroed(SCRATCHPAD_BYTES / size_of::<Block>(), "RandomX scratchpad")?;
        let (turn, seed) = (Box::new(Turn::idle()), Block::ZERO);
        Ok(Some(Self { turn, scratchpad, compiler, seed, dataset_offset: 0 }))
    }

    /// Begins the hash of `input`: fills the scratchpad.
    pub(crate) fn begin(&mut self, input: &[u8]) {
        self.seed = hash_512(input);
        // SAFETY: `new` found the AES instructions.
        unsafe { aes::fill(&mut self.seed, &mut self.scratchpad) };
        self.turn.state.rounding = 0;
    }

    /// Makes the next program from the seed.
    pub(crate) fn start_program(&mut self) {
        self.compile(Switch::Never);
    }

    fn compile(&mut self, switch: Switch) {
        let mut blocks = [Block::ZERO; PROGRAM_BYTES / 64];
        // SAFETY: `new` found the AES instructions.
        unsafe { aes::generate(&self.seed, &mut blocks) };
        let bytes = as_bytes(&blocks);
        let configuration = Configuration::decode(bytes);
        self.compiler.compile(&decode(bytes), configuration.read, switch);
        self.turn.state.start(&configuration);
        self.dataset_offset = configuration.dataset_offset;
    }

    /// Number of the dataset item that the next [`step`](Self::step) reads.
    pub(crate) fn next_item(&self) -> u64 {
        u64::from(self.dataset_offset) + u64::from(self.turn.state.ma & DATASET_LINE_MASK) / 64
    }

    /// One iteration of each machine's program, given the [`next_item`](Self::next_item) of each: a machine without one stays as
    /// it is. They follow one another in compiled code, since entering and leaving it takes as long as half an
    /// iteration.
    pub(crate) fn step(machines: &mut [Self], items: &[[u64; 8]]) {
        let count = machines.len().min(items.len());
        let machines = &mut machines[..count];
        for (machine, item) in machines.iter_mut().zip(items) {
            // Code adds to this where the item is said to be.
            let displacement = (machine.turn.state.ma & DATASET_LINE_MASK) as usize;
            machine.prepare(item.as_ptr().cast::<u8>().wrapping_sub(displacement), 1);
        }
        // SAFETY: the only access of each is at the `displacement` just subtracted, so it reads the item.
        unsafe { Self::take_turns(machines) };
    }

    /// All programs of the hash that was begun.
    pub(in super::super) fn run_programs(&mut self, dataset: &Dataset) {
        Self::run_all_programs(slice::from_mut(self), Switch::Never, dataset);
    }

    /// All programs of the hashes that were begun. The machines take turns after each iteration: while one computes, the
    /// other's lines arrive.
    pub(in super::super) fn run_programs_by_turns(machines: &mut [Self], dataset: &Dataset) {
        Self::run_all_programs(machines, Switch::Always, dataset);
    }

    fn run_all_programs(machines: &mut [Self], switch: Switch, dataset: &Dataset) {
        for _ in 0..PROGRAMS {
            for machine in &mut *machines {
                machine.compile(switch);
                machine.prepare(machine.dataset_start(dataset), ITERATIONS);
            }
            // SAFETY: programs read the dataset's first 2 GiB and their own offset more, which is the whole dataset.
            unsafe { Self::take_turns(machines) };
            machines.iter_mut().for_each(Self::end_program);
        }
    }

    fn dataset_start(&self, dataset: &Dataset) -> *const u8 {
        dataset.memory().wrapping_add(self.dataset_offset as usize * 64)
    }

    fn prepare(&mut self, dataset: *const u8, iterations: u64) {
        self.compiler.prepare(&mut self.turn);
        self.turn.scratchpad = self.scratchpad.as_mut_ptr();
        self.turn.dataset = dataset;
        self.turn.iterations = iterations;
    }

    /// Runs the programs of machines that were prepared for the same number of iterations.
    ///
    /// # Safety
    /// As for [`Compiler::run`], of the datasets that they were prepared for.
    unsafe fn take_turns(machines: &mut [Self]) {
        if !machines.iter().all(|machine| machine.compiler.is_ready()) {
            return;
        }
        let (mut first, mut last): (*mut Turn, *mut Turn) = (ptr::null_mut(), ptr::null_mut());
        for machine in machines.iter_mut().rev() {
            let leave = if last.is_null() { machine.compiler.leave() } else { ptr::null() };
            let turn = &raw mut *machine.turn;
            last = if last.is_null() { turn } else { last };
            // SAFETY: the turns are the machines' own, and nothing else uses them now. The last one leads back to the first.
            unsafe { ((*turn).next, (*turn).leave, (*last).next) = (first, leave, turn) };
            first = turn;
        }
        if let Some(machine) = machines.first() {
            // SAFETY: `prepare` set the scratchpads, which are whole; each turn leads to the next one of these machines, of which
            // the last leaves; the caller vouches for the dataset.
            unsafe { machine.compiler.run(first) };
        }
    }

    /// Ends a program: its registers are the next one's seed.
    pub(crate) fn end_program(&mut self) {
        self.seed = hash_512(&self.turn.state.registers.to_bytes());
    }

    /// The value of the hash whose programs have all run.
    pub(crate) fn finish(&mut self) -> PowHash {
        // SAFETY: `new` found the AES instructions.
        let fingerprint = unsafe { aes::fingerprint(&self.scratchpad) };
        self.value(&fingerprint)
    }

    /// [`finish`](Self::finish) and [`begin`](Self::begin) in one pass over the scratchpad.
    pub(crate) fn finish_and_begin(&mut self, next: &[u8]) -> PowHash {
        self.seed = hash_512(next);
        // SAFETY: `new` found the AES instructions.
        let fingerprint = unsafe { aes::fingerprint_and_fill(&mut self.seed, &mut self.scratchpad) };
        self.turn.state.rounding = 0;
        self.value(&fingerprint)
    }

    fn value(&self, fingerprint: &Block) -> PowHash {
        let mut bytes = self.turn.state.registers.to_bytes();
        bytes[192..].copy_from_slice(&fingerprint.0);
        PowHash(Blake2b::<U32>::digest(bytes).into())
    }
}

fn hash_512(input: &[u8]) -> Block {
    Block(Blake2b512::digest(input).into())
}

fn as_bytes(blocks: &[Block; PROGRAM_BYTES / 64]) -> &[u8; PROGRAM_BYTES] {
    // SAFETY: a block is 64 bytes and nothing else, so both types have the same bytes.
    unsafe { &*blocks.as_ptr().cast() }
}
