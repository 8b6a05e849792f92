use bq_ledger::{Cause, LedgerAccount, Transfer};
use bq_mining_message::SharePosition;
use bq_primitives::{Algorithm, Amount, AmountError, BlockId, Height, OutPoint, TxId};
use serde::{Deserialize, Serialize};

use crate::DirectBlock;

/// A block that pays the pool, as it is told to the log: when one of the pool's shares turned out to be it, or when it was
/// found on the chain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Candidate {
    /// Its id.
    pub id: BlockId,
    /// Its height.
    pub height: Height,
    /// The algorithm that sealed it.
    pub algorithm: Algorithm,
    /// Its coinbase transaction. Blocks sealed from one template share it.
    pub coinbase: TxId,
    /// The outputs of the coinbase that are the pool's, by index.
    pub outputs: Vec<(u32, Amount)>,
    /// Which shares it pays.
    pub winning: Winning,
    /// Time of its header, seconds since 1970; informational.
    pub time: u64,
}

/// Where the window of a block begins.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Winning {
    /// With its own share, which counts half.
    Share(SharePosition),
    /// Its own share was never written: with this one, the newest before it, which counts whole.
    After(SharePosition),
    /// There was no share before it.
    NoShares,
    /// The shares of its time are not in this log: what it brings is held in suspense until a person decides.
    Lost,
    /// Before its own share: its coinbase pays the window.
    Coinbase(DirectBlock),
}

/// A pool block and where it stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PoolBlock {
    /// As it was told.
    pub candidate: Candidate,
    /// Where it stands.
    pub state: BlockState,
    /// Counts how often its credit was reversed or its loss undone.
    pub generation: u32,
    /// While it is immature, the lines of its credit and of what its coinbase paid (T10, T15); of the latter, once it matured, those that
    /// took off what the books owed before; while it is lost, those of its loss (T13).
    pub lines: Vec<Line>,
}

/// Where a pool block stands. Only the chain moves it.
///
/// `Found -> Immature -> Matured`; `Found -> Orphaned -> Immature`; `Immature -> Orphaned`; `Matured -> Lost -> Matured`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum BlockState {
    /// Submitted, nothing booked.
    Found,
    /// On the best chain, credited (T10).
    Immature,
    /// On the best chain, payable (T11).
    Matured,
    /// Off the best chain: its credit reversed (T12), or the chain moved past it before it had one.
    Orphaned,
    /// Off the best chain after it had matured (T13).
    Lost,
}

/// A transfer without its cause, which follows from where it is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    /// The account that is debited.
    pub debit: LedgerAccount,
    /// The account that is credited.
    pub credit: LedgerAccount,
    /// How much.
    pub amount: Amount,
}

impl Candidate {
    /// What it pays the pool.
    ///
    /// # Errors
    /// The sum leaves the range of amounts.
    pub fn own(&self) -> Result<Amount, AmountError> {
        Amount::sum(self.outputs.iter().map(|(_, amount)| *amount))
    }

    /// What it pays the pool and its miners.
    ///
    /// # Errors
    /// The sum leaves the range of amounts.
    pub fn reward(&self) -> Result<Amount, AmountError> {
        self.own()?.checked_add(self.direct().map_or(Amount::ZERO, |direct| direct.total))
    }

    /// What its coinbase pays miners, if it is a block that does.
    #[must_use]
    pub const fn direct(&self) -> Option<&DirectBlock> {
        match &self.winning {
            Winning::Coinbase(direct) => Some(direct),
            Winning::Share(_) | Winning::After(_) | Winning::NoShares | Winning::Lost => None,
        }
    }

    /// Its own share, if that is known.
    #[must_use]
    pub const fn own_share(&self) -> Option<SharePosition> {
        match &self.winning {
            Winning::Share(share) => Some(*share),
            Winning::Coinbase(direct) => direct.share,
            Winning::After(_) | Winning::NoShares | Winning::Lost => None,
        }
    }

    /// The pool's coins that it makes.
    pub fn coins(&self) -> impl Iterator<Item = (OutPoint, Amount)> + '_ {
        self.outputs.iter().map(|(index, amount)| (OutPoint { txid: self.coinbase, index: *index }, *amount))
    }
}

impl PoolBlock {
    pub(crate) const fn new(candidate: Candidate) -> Self {
        Self { candidate, state: BlockState::Found, generation: 0, lines: Vec::new() }
    }

    /// Whether the books hold it as part of the best chain.
    #[must_use]
    pub const fn is_on_chain(&self) -> bool {
        matches!(self.state, BlockState::Immature | BlockState::Matured)
    }

    pub(crate) fn transfers(&self, cause: Cause) -> Vec<Transfer> {
        let of = |line: &Line| Transfer { cause, debit: line.debit, credit: line.credit, amount: line.amount };
        self.lines.iter().map(of).collect()
    }
}

impl BlockState {
    /// Every state.
    pub const ALL: [Self; 5] = [Self::Found, Self::Immature, Self::Matured, Self::Orphaned, Self::Lost];

    /// The name in the database, the API and metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Found => "found",
            Self::Immature => "immature",
            Self::Matured => "matured",
            Self::Orphaned => "orphaned",
            Self::Lost => "lost",
        }
    }
}

impl From<&Transfer> for Line {
    fn from(transfer: &Transfer) -> Self {
        Self { debit: transfer.debit, credit: transfer.credit, amount: transfer.amount }
    }
}
