//! What stands in for code of ours on processors and systems that we have not written it for: the library does all.

use bq_primitives::PowHash;

use super::{
    items::{CacheLines, Line},
    superscalar::{PROGRAMS, Program},
};
use crate::PowError;

/// There is no value of this type.
pub(crate) enum LockStep {}

impl LockStep {
    pub(crate) const fn new(_lines: &CacheLines, _programs: &[Program; PROGRAMS]) -> Option<Self> {
        None
    }

    pub(crate) const fn fill(&self, _lines: &CacheLines, _first: u64, _items: &mut [Line]) {
        match *self {}
    }
}

/// Never asked for anything.
#[derive(Default)]
pub(crate) struct LightHashers {}

impl LightHashers {
    pub(crate) const fn hash(
        &self,
        _lines: &CacheLines,
        lockstep: &LockStep,
        _inputs: &[&[u8]],
    ) -> Result<Option<Vec<PowHash>>, PowError> {
        match *lockstep {}
    }
}
