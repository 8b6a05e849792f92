//! What a person may decide, and where it is said.

use std::path::Path;

use bq_ledger::LedgerAccount;
use bq_primitives::{Address, Amount, KeyHash, Network, TxId};

use crate::{AccountSettings, Act, LogHead, Operator, Paused, PayoutId, PayoutKind, Recovery, State, Tip};

/// A decision as a person words it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// No payout is planned any more.
    Pause,
    /// They are planned again.
    Resume,
    /// What the pool earned is sent to an address; the network fee is part of the amount.
    Withdraw {
        /// How much.
        amount: Amount,
        /// To whom.
        to: Address,
    },
    /// A transaction outside the books was a withdrawal of what the pool earned.
    AdoptWithdrawal(TxId),
    /// A stranger's transaction makes good for missing coins.
    AdoptRefill(TxId),
    /// Missing coins are given up, at the pool's cost.
    WriteOff(Amount),
    /// The log lost its end: go on with what there is.
    Recover,
    /// The same though no block on the chain says so: a person knows that an old copy was put back.
    RecoverForced,
    /// What is held in suspense goes to the seed of the windows.
    ReleaseSuspense(Amount),
    /// What the pool earned goes to the reserve that pays shares for themselves.
    FundReserve(Amount),
    /// What that reserve does not need is the pool's again.
    ReleaseReserve(Amount),
    /// Missing coins paid those whose rewards are held in suspense.
    WriteOffSuspense(Amount),
    /// A transaction outside the books is a payout to miners that these books forgot.
    AdoptPayout(TxId),
}

/// Who decides, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reason {
    /// Who says so.
    pub who: String,
    /// Why; not empty.
    pub why: String,
}

impl Reason {
    /// Bytes of [`Reason::who`] at most. Both stay in the log for ever and nothing depends on them, so no setting reaches these.
    pub const WHO_BYTES_MAX: usize = 100;
    /// Bytes of [`Reason::why`] at most.
    pub const WHY_BYTES_MAX: usize = 1000;

    /// The event that says so.
    #[must_use]
    pub fn to_operator(&self, act: Act, time_ms: u64) -> Operator {
        Operator { act, who: self.who.clone(), reason: self.why.clone(), time_ms }
    }

    /// The same, and what was the reason before, as far as there is room.
    #[must_use]
    pub fn and(&self, before: &str) -> Self {
        let mut why = format!("{}; paused when it was made: {before}", self.why);
        why.truncate(why.floor_char_boundary(Self::WHY_BYTES_MAX));
        Self { why, who: self.who.clone() }
    }

    /// What is wrong with it: the field, and why.
    #[must_use]
    pub fn fault(&self) -> Option<(&'static str, String)> {
        let fields = [("reason", &self.why, Self::WHY_BYTES_MAX), ("who", &self.who, Self::WHO_BYTES_MAX)];
        fields.into_iter().find_map(|(field, text, max)| {
            let reason = match text.len() {
                _ if text.trim().is_empty() => "must not be empty".to_owned(),
                // It is shown on terminals and pages.
                _ if text.chars().any(char::is_control) => "must not hold control characters".to_owned(),
                length if length > max => format!("{length} bytes are more than {max}"),
                _ => return None,
            };
            Some((field, reason))
        })
    }
}

/// Why a decision was not carried out; nothing was changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecisionError {
    /// A value is wrong.
    #[error("{field}: {reason}")]
    Value {
        /// Which: `amount`, `address`, `txid`, `reason` or `folder`.
        field: &'static str,
        /// Why, and what is allowed.
        reason: String,
    },
    /// The pool is not in a state that allows it.
    #[error("{0}")]
    State(String),
    /// The books cannot be written now.
    #[error("{0}")]
    Failed(String),
}

/// A running pool as its operator sees it. Every call may block on disk.
pub trait PoolOperator: Send + Sync + 'static {
    /// The chain, for reading addresses.
    fn network(&self) -> Network;

    /// How the pool stands.
    fn pool_status(&self) -> PoolStatus;

    /// What an account set for itself; nothing if it never did.
    fn account_settings(&self, key: &KeyHash) -> Option<AccountSettings>;

    /// Carries a decision out, or with `dry_run` only checks it; says what happens in words.
    ///
    /// # Errors
    /// [`DecisionError`]; nothing was changed.
    fn decide(&self, decision: &Decision, reason: &Reason, dry_run: bool) -> Result<String, DecisionError>;

    /// Copies books and shares as they are at one moment into a new folder, or with `dry_run` only checks that it may; says
    /// what happens in words.
    ///
    /// # Errors
    /// [`DecisionError`]; what was begun in the folder is no backup.
    fn back_up(&self, folder: &Path, dry_run: bool) -> Result<String, DecisionError>;
}

/// How a pool stands, for its operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PoolStatus {
    /// Whom the coinbases pay; nothing before the log is opened.
    pub address: Option<Address>,
    /// The newest event.
    pub head: LogHead,
    /// The end of the chain as far as the books were told.
    pub tip: Option<Tip>,
    /// Who stopped payouts, if somebody did.
    pub paused: Option<Paused>,
    /// The newest recovery.
    pub recovery: Option<Recovery>,
    /// Balances that belong to no single miner and are not zero, in atoms.
    pub balances: Vec<(LedgerAccount, u64)>,
    /// What all miners are owed and may be paid, in atoms.
    pub miners_payable: u64,
    /// What all miners will be owed once it matures, in atoms.
    pub miners_immature: u64,
    /// What coinbases to come pay them, in atoms.
    pub miners_carried: u64,
    /// What is being sent to miners, in atoms.
    pub miners_in_flight: u64,
    /// Accounts that have reached the minimum.
    pub due: usize,
    /// Payouts that are not final.
    pub open_payouts: Vec<OpenPayout>,
}

/// A payout that is not final.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenPayout {
    /// Its number.
    pub id: PayoutId,
    /// `miners`, `withdrawal` or `fence`.
    pub kind: &'static str,
    /// The transaction.
    pub txid: TxId,
    /// It is in a block just now.
    pub is_confirmed: bool,
}

impl PoolStatus {
    /// Of these books.
    #[must_use]
    pub fn of(state: &State) -> Self {
        let mut status = Self {
            address: state.opened().map(|opened| Address { network: opened.network, key_hash: opened.key }),
            head: state.head(),
            tip: state.tip(),
            paused: state.paused().cloned(),
            recovery: state.recovery().copied(),
            balances: Vec::new(),
            miners_payable: 0,
            miners_immature: 0,
            miners_carried: 0,
            miners_in_flight: 0,
            due: state.due().count(),
            open_payouts: open_payouts(state),
        };
        for (account, balance) in state.books().balances() {
            let sum = match account {
                LedgerAccount::MinerPayable(_) => &mut status.miners_payable,
                LedgerAccount::MinerImmature(_) => &mut status.miners_immature,
                LedgerAccount::MinerCarried(_) => &mut status.miners_carried,
                LedgerAccount::MinerInFlight(_) => &mut status.miners_in_flight,
                other => {
                    if balance > 0 {
                        status.balances.push((other, balance));
                    }
                    continue;
                }
            };
            *sum = sum.saturating_add(balance);
        }
        status
    }
}

fn open_payouts(state: &State) -> Vec<OpenPayout> {
    let open = state.payouts().filter(|payout| payout.is_open());
    open.map(|payout| OpenPayout {
        id: payout.planned.id,
        kind: match payout.planned.kind {
            PayoutKind::Miners(_) => "miners",
            PayoutKind::Withdrawal { .. } => "withdrawal",
            PayoutKind::Fence => "fence",
            PayoutKind::Consolidation => "consolidation",
        },
        txid: payout.planned.txid,
        is_confirmed: payout.is_confirmed(),
    })
    .collect()
}
