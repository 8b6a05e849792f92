use bq_primitives::{Algorithm, BlockId, CompactTarget, Height, Timestamp, Work};

/// The light index of one block: all that difficulty, time and fork choice need to know about it (SPEC 3, SPEC 4).
/// Every field can be recomputed from the header chain, and none is ever taken from a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IndexEntry {
    /// The block's name.
    pub id: BlockId,
    /// Its parent's name; zero for genesis.
    pub parent_id: BlockId,
    /// Its height.
    pub height: Height,
    /// The time in its header.
    pub time: Timestamp,
    /// The chain clock at it: the latest time of it and all its ancestors (SPEC 2.4).
    pub clock: Timestamp,
    /// What sealed it; nothing for genesis, which has no proof.
    pub algorithm: Option<Algorithm>,
    /// The bits in its header.
    pub bits: CompactTarget,
    /// The base target (SPEC 3.3) of each algorithm that was active at its height, by [`Algorithm::index`].
    pub base_bits: [Option<CompactTarget>; Algorithm::COUNT],
    /// How many blocks in a row, ending with it and within its era, its algorithm has sealed; stays at 255.
    pub run: u8,
    /// The latest block that each algorithm sealed at or below this height, in whichever era, by [`Algorithm::index`].
    pub last_of_algorithm: [Option<Height>; Algorithm::COUNT],
    /// Sum of block weights from genesis up to it (SPEC 4.4).
    pub chain_work: Work,
}

impl IndexEntry {
    /// The base bits of an algorithm that was active at this height.
    #[must_use]
    pub fn base_bits_of(&self, algorithm: Algorithm) -> Option<CompactTarget> {
        self.base_bits.get(algorithm.index()).copied().flatten()
    }

    /// The latest block of an algorithm at or below this one.
    #[must_use]
    pub fn last_of(&self, algorithm: Algorithm) -> Option<Height> {
        self.last_of_algorithm.get(algorithm.index()).copied().flatten()
    }
}

/// One branch of the block tree, from genesis up to a tip that a new block would build on.
///
/// Look-ups are expected to be cheap and in memory: a retarget makes about 25 per algorithm, a median 11, a RandomX key
/// one. `entry` must answer for every height up to the tip's, and for none above it.
pub trait Branch {
    /// The block of this branch at `height`.
    fn entry(&self, height: Height) -> Option<&IndexEntry>;

    /// The end of the branch.
    fn tip(&self) -> &IndexEntry;
}

/// A branch as a plain list of entries: what simulations, vector files and tests feed the rules with.
#[derive(Clone, Debug)]
pub struct LinearBranch {
    genesis: IndexEntry,
    above: Vec<IndexEntry>,
}

impl LinearBranch {
    /// A branch of genesis alone.
    #[must_use]
    pub const fn new(genesis: IndexEntry) -> Self {
        Self { genesis, above: Vec::new() }
    }

    /// Puts a child of the tip on top.
    pub fn push(&mut self, entry: IndexEntry) {
        self.above.push(entry);
    }

    /// Takes the tip off; genesis stays.
    pub fn pop(&mut self) -> Option<IndexEntry> {
        self.above.pop()
    }
}

impl Branch for LinearBranch {
    fn entry(&self, height: Height) -> Option<&IndexEntry> {
        match height.previous() {
            None => Some(&self.genesis),
            Some(below) => self.above.get(usize::try_from(below.0).ok()?),
        }
    }

    fn tip(&self) -> &IndexEntry {
        self.above.last().unwrap_or(&self.genesis)
    }
}
