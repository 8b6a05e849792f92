use super::{
    hashimoto::{EthashProof, dataset_node},
    keccak::{keccak512, keccak512_node},
    lockstep::{self, EthashTask, Remainder, prefetch},
    seed::{ETHASH_EPOCH_MAX, ethash_seed},
    sizes::{ethash_cache_bytes, ethash_dataset_bytes},
};
use crate::{
    EthashWorkHash, PowError,
    memory::{HugeTable, ZeroValid},
};

/// Passes over the cache after its first filling.
const CACHE_ROUNDS: usize = 3;

/// 64 bytes of cache or dataset, as little-endian words on a cache line of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C, align(64))]
pub(crate) struct Node(pub(crate) [u32; 16]);

impl ZeroValid for Node {
    const ZERO: Self = Self([0; 16]);
}

impl ZeroValid for [Node; 2] {
    const ZERO: Self = [Node::ZERO; 2];
}

impl Node {
    /// The 64-bit words that Keccak sees.
    #[inline(always)]
    pub(super) fn lanes(&self) -> [u64; 8] {
        std::array::from_fn(|lane| u64::from(self.0[2 * lane]) | (u64::from(self.0[2 * lane + 1]) << 32))
    }

    #[inline(always)]
    #[expect(clippy::cast_possible_truncation, reason = "splits a lane into its two halves")]
    pub(super) fn from_lanes(lanes: [u64; 8]) -> Self {
        Self(std::array::from_fn(|word| (lanes[word / 2] >> (32 * (word % 2))) as u32))
    }

    pub(super) fn from_bytes(bytes: &[u8; 64]) -> Self {
        let mut words = [0; 16];
        for (word, bytes) in words.iter_mut().zip(bytes.as_chunks().0) {
            *word = u32::from_le_bytes(*bytes);
        }
        Self(words)
    }

    pub(crate) fn to_bytes(self) -> [u8; 64] {
        let mut bytes = [0; 64];
        for (bytes, word) in bytes.as_chunks_mut().0.iter_mut().zip(self.0) {
            *bytes = word.to_le_bytes();
        }
        bytes
    }
}

/// The light cache of one epoch: 16 MiB and growing, enough to check any proof of that epoch.
pub struct EthashCache {
    epoch: u32,
    nodes: HugeTable<Node>,
    /// By the number of nodes in the cache.
    node_remainder: Remainder,
    /// By the number of 128-byte pages in the full dataset.
    page_remainder: Remainder,
}

impl EthashCache {
    /// Builds the cache of `epoch`: one thread, about a quarter of a second at epoch 0, growing by 0.8 % an epoch.
    ///
    /// # Errors
    /// [`PowError::EpochTooHigh`], [`PowError::Memory`].
    pub fn build(epoch: u32) -> Result<Self, PowError> {
        if epoch > ETHASH_EPOCH_MAX {
            return Err(PowError::EpochTooHigh { got: epoch, max: ETHASH_EPOCH_MAX });
        }
        let count = |bytes: u64, unit: u64| u32::try_from(bytes / unit).unwrap_or(u32::MAX);
        let nodes = count(ethash_cache_bytes(epoch), 64);
        let pages = count(ethash_dataset_bytes(epoch), 128);
        Self::with_sizes(epoch, &ethash_seed(epoch), nodes, pages)
    }

    /// A cache of any size from any seed, as small published vectors have it; no chain uses one. Sizes in bytes, at least
    /// one node of 64 and one page of 128.
    ///
    /// # Errors
    /// [`PowError::Memory`].
    pub fn of_sizes(seed: &[u8], cache_bytes: u32, dataset_bytes: u32) -> Result<Self, PowError> {
        Self::with_sizes(0, seed, (cache_bytes / 64).max(1), (dataset_bytes / 128).max(1))
    }

    pub(super) fn with_sizes(epoch: u32, seed: &[u8], nodes: u32, pages: u32) -> Result<Self, PowError> {
        let mut table = HugeTable::zeroed(nodes as usize, "Ethash cache")?;
        let node_remainder = Remainder::new(nodes);
        fill(&mut table, seed, node_remainder);
        Ok(Self { epoch, nodes: table, node_remainder, page_remainder: Remainder::new(pages) })
    }

    /// The epoch this cache belongs to.
    #[must_use]
    pub const fn epoch(&self) -> u32 {
        self.epoch
    }

    /// The whole cache, as published digests hash it.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        self.nodes.iter().flat_map(|node| node.to_bytes()).collect()
    }

    /// One 64-byte node of the full dataset that this cache stands for.
    #[must_use]
    pub fn dataset_node(&self, index: u32) -> [u8; 64] {
        dataset_node(&self.nodes, index).to_bytes()
    }

    /// Evaluates one proof: some 2 ms, since each of its reads waits for the one before.
    #[must_use]
    pub fn hash(&self, work_hash: &EthashWorkHash, nonce: u64) -> EthashProof {
        lockstep::hash(self, EthashTask { work_hash: *work_hash, nonce })
    }

    /// As [`EthashCache::hash`] by the slow model.
    #[cfg(test)]
    pub(super) fn model_hash(&self, task: &EthashTask) -> EthashProof {
        super::hashimoto::hashimoto(&self.nodes, self.page_remainder.divisor(), &task.work_hash, task.nonce)
    }

    /// Evaluates many proofs in lock step: eight take little longer than one, thirty-two little longer than eight. Results in
    /// the order of `tasks`.
    #[must_use]
    pub fn hash_batch(&self, tasks: &[EthashTask]) -> Vec<EthashProof> {
        lockstep::hash_batch(self, tasks)
    }

    pub(crate) fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// 128-byte pages of the full dataset that this cache stands for.
    pub(crate) const fn pages(&self) -> u32 {
        self.page_remainder.divisor()
    }

    pub(super) const fn node_remainder(&self) -> Remainder {
        self.node_remainder
    }

    pub(super) const fn page_remainder(&self) -> Remainder {
        self.page_remainder
    }
}

/// How many nodes ahead of its use the second parent of a cache node is announced to memory: some 2 microseconds.
const FILL_AHEAD: usize = 8;

/// Sequential memory-hard filling (RandMemoHash), `nodes` not empty.
fn fill(nodes: &mut [Node], seed: &[u8], remainder: Remainder) {
    let mut last = Node::from_bytes(&keccak512(seed));
    for node in nodes.iter_mut() {
        *node = last;
        keccak512_node(&mut last);
    }
    let count = nodes.len();
    for _ in 0..CACHE_ROUNDS {
        for index in 0..count {
            // A node chooses its parent by its value of the pass before, which is known long before its turn.
            prefetch(&nodes[remainder.of(nodes[(index + FILL_AHEAD) % count].0[0]) as usize]);
            let from = remainder.of(nodes[index].0[0]) as usize;
            let mut node = nodes[(index + count - 1) % count];
            for (word, other) in node.0.iter_mut().zip(nodes[from].0) {
                *word ^= other;
            }
            keccak512_node(&mut node);
            nodes[index] = node;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::keccak::keccak256;
    use super::*;

    fn vectors() -> serde_json::Value {
        serde_json::from_str(include_str!("../../../../vectors/ethash.json")).unwrap()
    }

    fn bytes(nodes: &[Node]) -> Vec<u8> {
        nodes.iter().flat_map(|node| node.to_bytes()).collect()
    }

    #[test]
    fn the_small_published_cache() {
        let case = &vectors()["small_test"];
        let seed = case["seed_ascii"].as_str().unwrap().as_bytes();
        let cache = EthashCache::with_sizes(0, seed, 1024 / 64, 32_768 / 128).unwrap();
        assert_eq!(hex::encode(bytes(cache.nodes())), case["cache_hex"].as_str().unwrap());
        assert_eq!(hex::encode(dataset_node(cache.nodes(), 0).to_bytes()), case["dag_item0_hex"].as_str().unwrap());
    }

    #[test]
    fn cache_digests_of_the_vectors() {
        let vectors = vectors();
        let cases = vectors["light_cache_digest"].as_array().unwrap();
        assert_eq!(cases.len(), 3);
        std::thread::scope(|scope| {
            for case in cases {
                scope.spawn(|| {
                    let epoch = u32::try_from(case["epoch"].as_u64().unwrap()).unwrap();
                    let cache = EthashCache::build(epoch).unwrap();
                    let digest = hex::encode(keccak256(&bytes(cache.nodes())));
                    assert_eq!(digest, case["keccak256_of_light_cache"].as_str().unwrap(), "epoch {epoch}");
                });
            }
        });
    }

    #[test]
    fn dataset_items_of_the_vectors() {
        let cache = EthashCache::build(13).unwrap();
        let vectors = vectors();
        let cases = vectors["dataset_items_epoch13"].as_array().unwrap();
        assert_eq!(cases.len(), 14);
        for case in cases {
            let page = u32::try_from(case["index"].as_u64().unwrap()).unwrap();
            for (half, name) in [(0, "half0"), (1, "half1")] {
                let node = dataset_node(cache.nodes(), 2 * page + half);
                assert_eq!(hex::encode(node.to_bytes()), case[name].as_str().unwrap(), "page {page}");
            }
        }
    }

    #[test]
    fn an_epoch_without_a_known_seed_is_refused_before_any_work() {
        let refused = EthashCache::build(32_640).err();
        assert_eq!(refused, Some(PowError::EpochTooHigh { got: 32_640, max: 32_639 }));
    }
}
