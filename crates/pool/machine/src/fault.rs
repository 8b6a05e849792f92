use bq_ledger::{LedgerAccount, LedgerError};
use bq_mining_message::{FrontEndId, ShareSequence};
use bq_primitives::{AccountId, Amount, AmountError, BlockId, Height, KeyHash, OutPoint};

use crate::{EventError, LogNumber, PayoutId, SettingRefusal, SharesError, StateDigest};

/// Why an event is refused. It was not applied; [`crate::State::apply`] says when the state must be read anew.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "fields are what was got and what was expected")]
pub enum Fault {
    #[error("the first event must open the log")]
    NotOpened,
    #[error("the log is open already")]
    OpenedAgain,
    #[error(transparent)]
    Event(#[from] EventError),
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    #[error(transparent)]
    Amount(#[from] AmountError),
    #[error(transparent)]
    Shares(#[from] SharesError),
    #[error("terms: {field} {reason}")]
    Terms { field: &'static str, reason: &'static str },
    #[error("account {account} for key {key}: number or key is taken")]
    AccountTaken { account: AccountId, key: KeyHash },
    #[error("account {got} is out of order, {expected} is next")]
    AccountOrder { got: AccountId, expected: AccountId },
    #[error("the pool's own key {0} cannot be an account")]
    OwnKey(KeyHash),
    #[error("account {0} does not exist")]
    UnknownAccount(AccountId),
    #[error("a frame of {0} shares")]
    FrameCount(u16),
    #[error("front end {front_end}: shares from {got} on, {expected} is next")]
    FrameOrder { front_end: FrontEndId, got: ShareSequence, expected: ShareSequence },
    #[error("front end {0}: a frame of an earlier start")]
    FrameEpoch(FrontEndId),
    #[error("block {0} is in the log already")]
    BlockKnown(BlockId),
    #[error("block {0} is not in the log")]
    UnknownBlock(BlockId),
    #[error("block {0} pays the pool nothing")]
    BlockPaysNothing(BlockId),
    #[error("block {block} pays miners {got}, it says {total}")]
    DirectSum { block: BlockId, got: Amount, total: Amount },
    #[error("block {block} names share {sequence} of front end {front_end}, which is in no frame")]
    WinningShare { block: BlockId, front_end: FrontEndId, sequence: ShareSequence },
    #[error("block {block} at height {height} cannot join: {reason}")]
    BlockPlace { block: BlockId, height: Height, reason: &'static str },
    #[error("the way starts at {got}, the tip is {expected:?}")]
    WayStart { got: BlockId, expected: Option<BlockId> },
    #[error("the way is impossible: {0}")]
    Way(&'static str),
    #[error("the way goes back to height {fork}, the state reaches back to {kept}")]
    WayTooDeep { fork: Height, kept: Height },
    #[error("coin {}:{} is not one that this can be said of", .0.txid, .0.index)]
    Coin(OutPoint),
    #[error("payout {0} does not exist")]
    UnknownPayout(PayoutId),
    #[error("payout {got} is out of order, {expected} is next")]
    PayoutOrder { got: PayoutId, expected: PayoutId },
    #[error("payout {payout}: {reason}")]
    Payout { payout: PayoutId, reason: &'static str },
    #[error("{account} holds {has} atoms that can be taken, {needed} are asked for")]
    NotCovered { account: LedgerAccount, has: u64, needed: u64 },
    #[error("{has} atoms can be taken of what the pool itself earned, {needed} are asked for")]
    NotEarned { has: u64, needed: u64 },
    #[error("{has} atoms of coins are free just now, {needed} are asked for: wait until payouts are final")]
    NotFree { has: u64, needed: u64 },
    #[error("{0}")]
    Operator(&'static str),
    #[error("cold key: {0}")]
    Cold(&'static str),
    #[error("shares that are paid for themselves: {0}")]
    PerShare(&'static str),
    #[error("checkpoint {0}: the state comes to {1}")]
    Checkpoint(StateDigest, StateDigest),
    #[error(transparent)]
    Setting(#[from] SettingRefusal),
    #[error("stated: {0}")]
    Stated(&'static str),
    #[error("after event {0}: {1}")]
    Invariant(LogNumber, String),
}
