use bq_consensus::{Branch, IndexEntry, LinearBranch, Params, RequiredBits, SealedHeader, check_header, required_bits};
use bq_primitives::{Algorithm, Timestamp};

/// A chain as a rule sees it.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    /// The network's constants.
    pub params: &'a Params,
    /// Genesis to the parent of the block in question.
    pub branch: &'a LinearBranch,
    /// Blocks of each algorithm on the branch, by [`Algorithm::index`].
    pub found: &'a [u32; Algorithm::COUNT],
}

impl View<'_> {
    /// The parent.
    #[must_use]
    pub fn tip(&self) -> &IndexEntry {
        self.branch.tip()
    }
}

/// What a simulated chain is judged by. [`Consensus`] is the only one the simulator offers; tests bring others, wrong on
/// purpose, to see that a criterion can fail.
pub trait Rule: Sync {
    /// The bits of the next block, for each algorithm that is active.
    fn required(&self, view: &View<'_>) -> Vec<RequiredBits>;

    /// The index entry of the next block. `now` is the local clock of whoever judges it.
    ///
    /// # Panics
    /// On a block that breaks the rules: the simulator makes none.
    fn entry(&self, view: &View<'_>, sealed: SealedHeader, now: Timestamp) -> IndexEntry;
}

/// The rules of `bq-consensus`, called and not copied.
#[derive(Clone, Copy, Debug, Default)]
pub struct Consensus;

impl Rule for Consensus {
    fn required(&self, view: &View<'_>) -> Vec<RequiredBits> {
        required_bits(view.params, view.branch)
    }

    fn entry(&self, view: &View<'_>, sealed: SealedHeader, now: Timestamp) -> IndexEntry {
        match check_header(view.params, view.branch, sealed, now) {
            Ok(header) => *header.entry(),
            Err(error) => panic!("the simulator made a block that the rules refuse: {error}"),
        }
    }
}
