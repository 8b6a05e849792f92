use std::sync::Arc;

use super::{
    GpuError,
    driver::{Context, Kernel, Memory, Module, Plain, parameter},
    hits::HitBuffer,
};
use crate::{EthashCache, EthashTask, EthashWorkHash, ethash::Node};

pub(super) const PTX: &str = include_str!("kernels/ethash.ptx");

/// Nodes of one launch of the generating kernel: short enough for GPUs that also draw a screen.
const NODES_PER_LAUNCH: u32 = 1 << 20;
/// Pages of a new dataset that are compared with the cache's.
const PAGES_COMPARED: u64 = 256;
/// Nonces that a new dataset is searched at.
const NONCES_COMPARED: u32 = 40;

// SAFETY: sixteen words, no padding; any bytes are a value.
unsafe impl Plain for Node {}

/// Divides by multiplication. Same layout as `Divisor` of the kernels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub(super) struct Divisor {
    divisor: u32,
    inverse: u32,
}

impl Divisor {
    /// `divisor` from 1 to 2^31.
    pub(super) fn new(divisor: u32) -> Self {
        let inverse = (1_u64 << 32).checked_div(divisor.into()).unwrap_or(0);
        Self { divisor, inverse: u32::try_from(inverse).unwrap_or(u32::MAX) }
    }
}

/// What is searched for. Same layout as `EthashParams` of the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub(super) struct EthashParams {
    work_hash: [u64; 4],
    first_nonce: u64,
    top_max: u64,
}

/// The kernels on one device.
#[derive(Debug)]
pub(super) struct EthashKernels {
    context: Arc<Context>,
    generate: Kernel,
    search: Kernel,
}

/// The full dataset of one epoch in the device's memory.
#[derive(Debug)]
pub(super) struct GpuDataset {
    epoch: u32,
    pages: u32,
    memory: Memory,
}

impl GpuDataset {
    pub(super) const fn epoch(&self) -> u32 {
        self.epoch
    }

    /// One page, as two nodes.
    fn page(&self, page: u32) -> Result<[Node; 2], GpuError> {
        let mut nodes = [Node([0; 16]); 2];
        self.memory.read(page as usize * size_of::<[Node; 2]>(), &mut nodes)?;
        Ok(nodes)
    }
}

impl EthashKernels {
    pub(super) fn new(context: &Arc<Context>) -> Result<Self, GpuError> {
        let module = Module::load(context, PTX)?;
        let kernel = |name| Kernel::new(&module, name, 128);
        Ok(Self {
            context: Arc::clone(context),
            generate: kernel("ethash_generate")?,
            search: kernel("ethash_search")?,
        })
    }

    /// Builds the dataset of `cache` on the device, and compares a part of it, and of what a search finds, with the CPU's.
    pub(super) fn build(&self, cache: &EthashCache, hits: &HitBuffer) -> Result<GpuDataset, GpuError> {
        let dataset = self.generate(cache)?;
        self.compare_pages(cache, &dataset)?;
        self.compare_search(cache, &dataset, hits)?;
        Ok(dataset)
    }

    /// The offsets below `count` whose nonce, counted from `first`, may give a value whose top 64 bits are at most `top_max`.
    pub(super) fn candidates(
        &self,
        dataset: &GpuDataset,
        task: &EthashTask,
        top_max: u64,
        count: u32,
        hits: &HitBuffer,
    ) -> Result<Vec<u32>, GpuError> {
        let mut work_hash = [0; 4];
        for (lane, bytes) in work_hash.iter_mut().zip(task.work_hash.0.as_chunks().0) {
            *lane = u64::from_le_bytes(*bytes);
        }
        let pages = Divisor::new(dataset.pages);
        hits.collect(count, |start, length| {
            let params = EthashParams { work_hash, first_nonce: task.nonce.wrapping_add(start.into()), top_max };
            let (pages_at, hits_at) = (dataset.memory.address(), hits.address());
            let mut parameters =
                [parameter(&pages_at), parameter(&pages), parameter(&params), parameter(&length), parameter(&hits_at)];
            // SAFETY: the kernel's parameters by type and order, which a test compares with the PTX; it reads pages below
            // their number, writes to its list of hits only, and checks the list's end.
            unsafe { self.search.launch(length, &mut parameters) }
        })
    }

    fn generate(&self, cache: &EthashCache) -> Result<GpuDataset, GpuError> {
        let pages = cache.pages();
        let bytes = pages as usize * size_of::<[Node; 2]>();
        let memory = Memory::allocate(&self.context, bytes, "the Ethash dataset")?;
        let cache_memory = Memory::allocate(&self.context, size_of_val(cache.nodes()), "the Ethash cache")?;
        cache_memory.write(cache.nodes())?;
        let cache_nodes = Divisor::new(u32::try_from(cache.nodes().len()).unwrap_or(u32::MAX));
        let (cache_at, dataset_at, nodes) = (cache_memory.address(), memory.address(), pages * 2);
        let mut first = 0;
        while first < nodes {
            let count = NODES_PER_LAUNCH.min(nodes - first);
            let mut parameters = [
                parameter(&cache_at),
                parameter(&cache_nodes),
                parameter(&dataset_at),
                parameter(&first),
                parameter(&count),
            ];
            // SAFETY: the kernel's parameters by type and order, which a test compares with the PTX; it reads cache nodes
            // below their number, and writes dataset nodes below `first + count`.
            unsafe { self.generate.launch(count, &mut parameters)? };
            first += count;
        }
        Ok(GpuDataset { epoch: cache.epoch(), pages, memory })
    }

    /// Pages from the first to the last one, evenly spread.
    fn compare_pages(&self, cache: &EthashCache, dataset: &GpuDataset) -> Result<(), GpuError> {
        let last = u64::from(dataset.pages.saturating_sub(1));
        for step in 0..PAGES_COMPARED {
            let page = u32::try_from(last * step / (PAGES_COMPARED - 1)).unwrap_or(0);
            let expected = [2 * page, 2 * page + 1].map(|index| cache.dataset_node(index));
            if dataset.page(page)?.map(Node::to_bytes) != expected {
                return Err(GpuError::Wrong { what: "the Ethash dataset" });
            }
        }
        Ok(())
    }

    /// What is found among some nonces, for bounds that all of them meet, half of them, one, and none.
    fn compare_search(&self, cache: &EthashCache, dataset: &GpuDataset, hits: &HitBuffer) -> Result<(), GpuError> {
        // The nonce carries from its low into its high half.
        let first = EthashTask { work_hash: EthashWorkHash([0x5a; 32]), nonce: u64::from(u32::MAX) - 20 };
        let tasks: Vec<EthashTask> = (0..NONCES_COMPARED)
            .map(|offset| EthashTask { nonce: first.nonce.wrapping_add(offset.into()), ..first })
            .collect();
        let tops: Vec<u64> = cache.hash_batch(&tasks).iter().map(|proof| top_be(&proof.value.0)).collect();
        let least = tops.iter().min().copied().unwrap_or(0);
        for top_max in [u64::MAX, u64::MAX >> 1, least, least.saturating_sub(1)] {
            let expected: Vec<u32> = (0..).zip(&tops).filter(|(_, top)| **top <= top_max).map(|(at, _)| at).collect();
            if self.candidates(dataset, &first, top_max, NONCES_COMPARED, hits)? != expected {
                return Err(GpuError::Wrong { what: "what an Ethash search finds" });
            }
        }
        Ok(())
    }
}

/// The most significant 64 bits of a big-endian value.
pub(super) const fn top_be(value: &[u8; 32]) -> u64 {
    let [b0, b1, b2, b3, b4, b5, b6, b7, ..] = *value;
    u64::from_be_bytes([b0, b1, b2, b3, b4, b5, b6, b7])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As the kernels do it.
    fn remainder(x: u32, by: Divisor) -> u32 {
        let quotient = u32::try_from((u64::from(x) * u64::from(by.inverse)) >> 32).unwrap();
        let rest = x.wrapping_sub(quotient.wrapping_mul(by.divisor));
        rest.min(rest.wrapping_sub(by.divisor))
    }

    proptest::proptest! {
        #[test]
        fn remainders_are_exact(x: u32, divisor in 1..=1_u32 << 31) {
            for divisor in [divisor, divisor >> 10 | 1, 1, 1 << 31] {
                for x in [x, u32::MAX, u32::MAX - u32::MAX % divisor, divisor - 1, divisor, 0] {
                    proptest::prop_assert_eq!(remainder(x, Divisor::new(divisor)), x % divisor, "{} mod {}", x, divisor);
                }
            }
        }
    }
}
