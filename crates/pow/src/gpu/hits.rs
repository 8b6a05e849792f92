use std::sync::Arc;

use super::{
    GpuError,
    driver::{Context, Memory},
};

/// Hits that one launch may note. Further ones are counted, and their range is searched again in halves.
pub(super) const HITS_MAX: u32 = 1023;
/// Words of the kernels' `Hits`: the count, and the offsets.
const HITS_WORDS: usize = 1024;

/// Where the search kernels note their hits.
#[derive(Debug)]
pub(super) struct HitBuffer {
    memory: Memory,
}

impl HitBuffer {
    pub(super) fn new(context: &Arc<Context>) -> Result<Self, GpuError> {
        Ok(Self { memory: Memory::allocate(context, HITS_WORDS * size_of::<u32>(), "the list of hits")? })
    }

    /// Where it lies, as kernels get it.
    pub(super) const fn address(&self) -> u64 {
        self.memory.address()
    }

    /// The offsets below `count` that `launch(start, length)` notes, each launch counting from its start; in order. A range
    /// with more hits than fit is halved until they do.
    pub(super) fn collect(
        &self,
        count: u32,
        mut launch: impl FnMut(u32, u32) -> Result<(), GpuError>,
    ) -> Result<Vec<u32>, GpuError> {
        let mut found = Vec::new();
        // At most 32 halves wait.
        let mut ranges = vec![(0, count)];
        while let Some((start, length)) = ranges.pop() {
            self.memory.clear(size_of::<u32>())?;
            launch(start, length)?;
            let mut words = [0; HITS_WORDS];
            self.memory.read(0, &mut words)?;
            let [hits, offsets @ ..] = words;
            if hits <= HITS_MAX {
                let mut offsets: Vec<u32> = offsets.into_iter().take(hits as usize).collect();
                offsets.sort_unstable();
                if offsets.last().is_some_and(|last| *last >= length) {
                    return Err(GpuError::Wrong { what: "a hit outside the range that was searched" });
                }
                found.extend(offsets.into_iter().map(|offset| start + offset));
            } else if length > HITS_MAX {
                let half = length / 2;
                ranges.push((start + half, length - half));
                ranges.push((start, half));
            } else {
                return Err(GpuError::Wrong { what: "more hits than nonces" });
            }
        }
        Ok(found)
    }
}
