//! RandomX virtual machines: the reference library's, and our own, which compiles programs itself.

mod library;
#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
#[expect(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    reason = "RandomX is defined on wrapping words; indices are register numbers and lengths known when compiling"
)]
mod machine;

use std::sync::Arc;

use bq_primitives::PowHash;

use self::library::Library;
#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
pub(super) use self::machine::{Machine, PROGRAM_ITERATIONS, PROGRAMS};
use super::{cache::Cache, dataset::Dataset};
use crate::PowError;

/// Hashes that one thread makes at a time where it can: while one waits for the dataset, the other computes.
pub const RANDOMX_INTERLEAVED: usize = 2;

/// What a VM reads: kept alive by it.
#[derive(Clone)]
pub(super) enum Table {
    /// Light mode.
    Light(Arc<Cache>),
    /// Fast mode.
    Fast(Arc<Dataset>),
}

/// Who computes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RandomXEngine {
    /// This crate's compiler, where it can run, in fast mode.
    Own,
    /// The reference library.
    Library,
}

/// What hashes by one table. One thread at a time, any thread: `Send` and not `Sync`.
pub(super) enum Vm {
    Library(Library),
    #[cfg(all(target_arch = "x86_64", target_os = "linux"))]
    Own(Box<Interleaved>),
}

impl Vm {
    /// The fastest there is.
    pub(super) fn new(table: Table) -> Result<Self, PowError> {
        Self::of(RandomXEngine::Own, table)
    }

    /// By `engine` if it can use this table.
    pub(super) fn of(engine: RandomXEngine, table: Table) -> Result<Self, PowError> {
        #[cfg(all(target_arch = "x86_64", target_os = "linux"))]
        if let (RandomXEngine::Own, Table::Fast(dataset)) = (engine, &table)
            && let Some(machines) = Interleaved::new(dataset)?
        {
            return Ok(Self::Own(Box::new(machines)));
        }
        Ok(Self::Library(Library::new(table)?))
    }

    pub(super) const fn is_fast(&self) -> bool {
        match self {
            Self::Library(library) => library.is_fast(),
            #[cfg(all(target_arch = "x86_64", target_os = "linux"))]
            Self::Own(_) => true,
        }
    }

    pub(super) const fn engine(&self) -> RandomXEngine {
        match self {
            Self::Library(_) => RandomXEngine::Library,
            #[cfg(all(target_arch = "x86_64", target_os = "linux"))]
            Self::Own(_) => RandomXEngine::Own,
        }
    }

    /// One hash from start to end. Abandons those that were begun.
    pub(super) fn hash(&mut self, input: &[u8]) -> PowHash {
        match self {
            Self::Library(library) => library.hash(input),
            #[cfg(all(target_arch = "x86_64", target_os = "linux"))]
            Self::Own(machines) => machines.hash(input),
        }
    }

    /// Begins up to [`RANDOMX_INTERLEAVED`] hashes, more are left out, and ends those that were begun before: their values, in order.
    pub(super) fn feed(&mut self, inputs: &[&[u8]]) -> Vec<PowHash> {
        let inputs = inputs.get(..RANDOMX_INTERLEAVED).unwrap_or(inputs);
        match self {
            Self::Library(library) => library.feed(inputs),
            #[cfg(all(target_arch = "x86_64", target_os = "linux"))]
            Self::Own(machines) => machines.feed(inputs),
        }
    }

    /// Ends the hashes that were begun.
    pub(super) fn drain(&mut self) -> Vec<PowHash> {
        match self {
            Self::Library(library) => library.drain(),
            #[cfg(all(target_arch = "x86_64", target_os = "linux"))]
            Self::Own(machines) => machines.feed(&[]),
        }
    }

    /// Forgets the hashes that were begun.
    pub(super) fn abandon(&mut self) {
        match self {
            Self::Library(library) => library.abandon(),
            #[cfg(all(target_arch = "x86_64", target_os = "linux"))]
            Self::Own(machines) => machines.begun = 0,
        }
    }
}

/// Our own machines on a dataset.
#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
pub(super) struct Interleaved {
    machines: [Machine; RANDOMX_INTERLEAVED],
    /// How many of them, from the first on, are in the middle of a hash.
    begun: usize,
    dataset: Arc<Dataset>,
}

#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
impl Interleaved {
    fn new(dataset: &Arc<Dataset>) -> Result<Option<Self>, PowError> {
        let (Some(first), Some(second)) = (Machine::new()?, Machine::new()?) else { return Ok(None) };
        Ok(Some(Self { machines: [first, second], begun: 0, dataset: Arc::clone(dataset) }))
    }

    fn hash(&mut self, input: &[u8]) -> PowHash {
        self.begun = 0;
        let [first, _] = &mut self.machines;
        first.begin(input);
        first.run_programs(&self.dataset);
        first.finish()
    }

    fn feed(&mut self, inputs: &[&[u8]]) -> Vec<PowHash> {
        let begun = std::mem::replace(&mut self.begun, inputs.len());
        match self.machines.get_mut(..begun) {
            Some([machine]) => machine.run_programs(&self.dataset),
            Some(machines) => Machine::run_programs_by_turns(machines, &self.dataset),
            None => {}
        }
        let mut values = Vec::with_capacity(begun);
        for (index, machine) in self.machines.iter_mut().enumerate() {
            match (index < begun, inputs.get(index)) {
                (true, Some(next)) => values.push(machine.finish_and_begin(next)),
                (true, None) => values.push(machine.finish()),
                (false, Some(next)) => machine.begin(next),
                (false, None) => {}
            }
        }
        values
    }
}
