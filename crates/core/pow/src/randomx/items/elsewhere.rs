use super::{CacheLines, Line};
use crate::randomx::superscalar::{PROGRAMS, Program};

/// Items side by side, on processors and systems that we have not written it for: there is no value of this type.
pub(crate) enum LockStep {}

impl LockStep {
    pub(crate) const fn new(_cache: &CacheLines, _programs: &[Program; PROGRAMS]) -> Option<Self> {
        None
    }

    pub(crate) const fn fill(&self, _cache: &CacheLines, _first: u64, _items: &mut [Line]) {
        match *self {}
    }
}
