use bq_ledger::LedgerAccount;
use bq_mining_message::{BootEpoch, FrameHeader, FrontEndId, ShareSequence};
use bq_primitives::{AccountId, Amount, BlockId, Height, KeyHash, Network, OutPoint, TxId};
use serde::{Deserialize, Serialize};

use crate::{
    Candidate, ColdEvent, LogHead, Offer, Payout, PayoutId, PlannedPayout, PoolBlock, PoolCoin, SettingEvent, Spent,
    StateDigest, Stated, Terms, VoidProof, state::STATE_LAYOUT,
};

/// A fact that money depends on (SPEC 8.6). Whatever is not told by one did not happen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Event {
    /// The log begins.
    Opened(Opened),
    /// The log begins with what older books held.
    Imported(Box<Import>),
    /// New terms hold from the next share on.
    Terms(Terms),
    /// A key was proved to work for: it gets a number, before the first frame that names it.
    Account(NewAccount),
    /// A front end's next shares.
    Frame(FrameHeader),
    /// A block that pays the pool.
    Candidate(Candidate),
    /// The best chain has a new end.
    Chain(ChainEvent),
    /// A payout was planned, signed, or proved void. That it was buried or came back, the chain tells.
    Payout(PayoutEvent),
    /// A person decided something.
    Operator(Operator),
    /// What everything so far comes to.
    Checkpoint {
        /// How the state was laid out in bytes.
        layout: u8,
        /// Of those bytes.
        digest: StateDigest,
    },
    /// What accounts may choose beside the terms, from the next share on.
    Offer(Offer),
    /// Shares that are paid for themselves, and the reserve that pays them.
    PerShare(PerShareEvent),
    /// What an account wants for itself, or what accounts may want.
    Setting(Box<SettingEvent>),
    /// The pool says something of its books that can be shown in part. Changes nothing.
    Stated(Stated),
    /// A key that is on no machine of the pool: which, its coins, and what moves them.
    Cold(ColdEvent),
}

/// Version of the encoding, its first byte.
const VERSION: u8 = 1;

/// Bytes that are no event.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EventError {
    /// There are none.
    #[error("an event of no bytes")]
    Empty,
    /// A newer software wrote them.
    #[error("event version {0} is not known, this software knows {VERSION}")]
    Version(u8),
    /// They cannot be read.
    #[error("the event cannot be read: {0}")]
    Content(String),
    /// They are a state as another software lays it out.
    #[error("state layout {0} is not known, this software knows {STATE_LAYOUT}")]
    Layout(u8),
    /// They can be read, and are not what a writer makes of it.
    #[error("the event is not in its canonical encoding")]
    NotCanonical,
}

impl Event {
    /// The canonical encoding: a version byte, then postcard.
    ///
    /// # Errors
    /// None in practice: every event can be written.
    pub fn to_bytes(&self) -> Result<Vec<u8>, EventError> {
        postcard::to_extend(self, vec![VERSION]).map_err(|error| EventError::Content(error.to_string()))
    }

    /// Reads an event.
    ///
    /// # Errors
    /// [`EventError`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, EventError> {
        match bytes.split_first() {
            Some((&VERSION, rest)) => {
                let event: Self = postcard::from_bytes(rest).map_err(|error| EventError::Content(error.to_string()))?;
                // One event, one byte string: the hash chain must not depend on who wrote it.
                if event.to_bytes()? == bytes { Ok(event) } else { Err(EventError::NotCanonical) }
            }
            Some((version, _)) => Err(EventError::Version(*version)),
            None => Err(EventError::Empty),
        }
    }

    /// Whether a state is as it was when it refuses this event; after a fault in any other it must be read anew.
    #[must_use]
    pub const fn is_refused_whole(&self) -> bool {
        match self {
            Self::Operator(_)
            | Self::Payout(_)
            | Self::Account(_)
            | Self::Terms(_)
            | Self::Candidate(_)
            | Self::Offer(_)
            | Self::PerShare(_)
            | Self::Setting(_)
            | Self::Stated(_)
            | Self::Cold(_) => true,
            Self::Opened(_) | Self::Imported(_) | Self::Frame(_) | Self::Chain(_) | Self::Checkpoint { .. } => false,
        }
    }

    /// Its name in logs, the database and the API.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Opened(_) => "opened",
            Self::Imported(_) => "imported",
            Self::Terms(_) => "terms",
            Self::Account(_) => "account",
            Self::Frame(_) => "frame",
            Self::Candidate(_) => "candidate",
            Self::Chain(_) => "chain",
            Self::Payout(_) => "payout",
            Self::Operator(_) => "operator",
            Self::Checkpoint { .. } => "checkpoint",
            Self::Offer(_) => "offer",
            Self::PerShare(_) => "per_share",
            Self::Setting(_) => "setting",
            Self::Stated(_) => "stated",
            Self::Cold(_) => "cold",
        }
    }
}

/// What a log belongs to. Never changes but for the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Opened {
    /// The chain.
    pub network: Network,
    /// Its first block.
    pub genesis: BlockId,
    /// Hash of the key that the coinbases pay and payouts are signed with.
    pub key: KeyHash,
    /// Confirmations before a coinbase may be spent.
    pub maturity: u32,
    /// Blocks after which what is buried is no longer kept in the state; more than any reorganisation that the books follow
    /// step by step.
    pub horizon: u32,
}

/// A key and its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewAccount {
    /// The next number.
    pub account: AccountId,
    /// The key.
    pub key: KeyHash,
}

/// The whole of older books.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Import {
    /// What the log belongs to.
    pub opened: Opened,
    /// Hash that commits to every line of the older journal.
    pub journal: [u8; 32],
    /// Terms in force.
    pub terms: Terms,
    /// Every account.
    pub accounts: Vec<NewAccount>,
    /// Every balance.
    pub balances: Vec<(LedgerAccount, u64)>,
    /// What each account was ever sent.
    pub paid: Vec<(AccountId, u64)>,
    /// Blocks that the chain may still move.
    pub blocks: Vec<PoolBlock>,
    /// Open payouts, and final ones whose change is not spent.
    pub payouts: Vec<Payout>,
    /// Coins of those blocks and payouts, as far as the older books know them. The chain tells the rest.
    pub coins: Vec<(OutPoint, PoolCoin)>,
    /// Number of the newest payout.
    pub newest_payout: PayoutId,
    /// The shares that were taken over, by front end: position after the newest.
    pub shares: Vec<(FrontEndId, BootEpoch, ShareSequence)>,
}

/// How the best chain changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ChainEvent {
    /// Step by step from the last tip.
    Way(ChainWay),
    /// As a whole: for a log without a tip yet, or when the way from the last tip cannot be told.
    Base(ChainBase),
}

/// The end of a chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tip {
    /// The block.
    pub id: BlockId,
    /// Its height.
    pub height: Height,
}

/// The way from one tip to the next: back to the fork, then forward. It may be cut into several events anywhere without
/// changing what it comes to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChainWay {
    /// Where it leaves the old chain: the old tip itself when nothing is taken back.
    pub fork: Tip,
    /// Where it ends.
    pub tip: Tip,
    /// Known blocks of the pool on the new part, in rising height.
    pub joined: Vec<BlockId>,
    /// Outputs to the pool's key on the new part that no joined block makes, in rising height.
    pub received: Vec<Received>,
    /// Coins of the pool that the new part spends, in rising height.
    pub spent: Vec<(OutPoint, Spent)>,
}

/// The best chain as a whole, as far as it concerns the pool.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChainBase {
    /// Its end.
    pub tip: Tip,
    /// Known blocks of the pool on it, in rising height.
    pub joined: Vec<BlockId>,
    /// Every unspent output to the pool's key that no joined block makes; of the heights that the state still knows, spent ones
    /// too.
    pub received: Vec<Received>,
    /// Coins of joined blocks and of `received`, and inputs of payouts, that are spent on it.
    pub spent: Vec<(OutPoint, Spent)>,
}

/// An output to the pool's key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Received {
    /// Its name.
    pub outpoint: OutPoint,
    /// Its worth.
    pub amount: Amount,
    /// Height of its block.
    pub height: Height,
    /// A coinbase makes it.
    pub coinbase: bool,
}

/// A step of a payout that the chain does not tell.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum PayoutEvent {
    /// T30.
    Planned(PlannedPayout),
    /// The signed bytes are stored beside this event.
    Signed {
        /// Which.
        payout: PayoutId,
        /// `SHA-256` of the bytes.
        digest: [u8; 32],
    },
    /// T32.
    Void {
        /// Which.
        payout: PayoutId,
        /// Why it can never confirm.
        proof: VoidProof,
    },
    /// An open payout is another transaction now, which pays more for its place in a block.
    Replaced(PlannedPayout),
}

/// What becomes of shares that are paid for themselves (SPEC 8.9).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum PerShareEvent {
    /// The pool made its first template at a height, or its last with other fees.
    Template {
        /// Of the block to be.
        height: Height,
        /// What all its fees come to.
        fees: Amount,
        /// What a block earns beside them.
        subsidy: Amount,
    },
    /// The reserve is enough: shares of new jobs may be paid for themselves.
    Begun,
    /// It is not: those of new jobs are paid by windows.
    Ended,
    /// A front end's shares up to a place are credited (T20).
    Settled {
        /// Whose.
        front_end: FrontEndId,
        /// After the last.
        end: ShareSequence,
    },
}

/// A decision of a person.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Operator {
    /// What.
    pub act: Act,
    /// Who says so, as far as the machine was told.
    pub who: String,
    /// Why.
    pub reason: String,
    /// When, in milliseconds since 1970; informational.
    pub time_ms: u64,
}

/// What a person can decide.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Act {
    /// No payout is planned any more.
    Pause,
    /// They are planned again.
    Resume,
    /// A transaction outside the books spent coins of the pool: what it did not send back was a withdrawal of what the pool
    /// earned.
    AdoptWithdrawal {
        /// The transaction.
        txid: TxId,
    },
    /// What a stranger's transaction sent makes good for missing coins.
    AdoptRefill {
        /// The transaction.
        txid: TxId,
    },
    /// A transaction outside the books is a payout that these books forgot.
    AdoptPayout(PlannedPayout),
    /// Missing coins are given up, at the pool's cost.
    WriteOff {
        /// How many atoms.
        amount: Amount,
    },
    /// The chain knows a longer log than this one: goes on with this one, after every payout that it may have forgotten is
    /// found on the chain or made impossible.
    Recover {
        /// The newest commitment seen on the chain; the log's own end where a person says so and no block does.
        seen: LogHead,
    },
    /// Shares that cannot be read any more count for nothing from now on.
    Forfeit {
        /// Whose.
        front_end: FrontEndId,
        /// The first.
        first: ShareSequence,
        /// After the last.
        end: ShareSequence,
    },
    /// What is held in suspense goes to the seed of the windows.
    ReleaseSuspense {
        /// How many atoms.
        amount: Amount,
    },
    /// The pool's key is another one from now on. Coins of the old one are missing until they are sent over.
    NewKey {
        /// Hash of the new key.
        key: KeyHash,
    },
    /// Missing coins paid those whose rewards are held in suspense: both are less.
    WriteOffSuspense {
        /// How many atoms.
        amount: Amount,
    },
    /// A log begins. Its time makes all that follows another log's than that of one which was lost and began the same.
    Begin,
    /// What the pool earned goes to the reserve that pays shares for themselves.
    FundReserve {
        /// How many atoms.
        amount: Amount,
    },
    /// What the reserve does not need is the pool's again.
    ReleaseReserve {
        /// How many atoms.
        amount: Amount,
    },
}
