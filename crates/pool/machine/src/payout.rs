use std::fmt;

use bq_ledger::{LedgerAccount, PayoutPlan};
use bq_primitives::{Amount, AmountError, Height, KeyHash, OutPoint, Transaction, TxId, TxOut};
use serde::{Deserialize, Serialize};

use crate::Accounts;

/// Number of a payout: 1 for the first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct PayoutId(pub u64);

/// A transaction of the pool as it was planned. It never changes: every retry sends the same bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedPayout {
    /// Its number.
    pub id: PayoutId,
    /// Whom it pays.
    pub kind: PayoutKind,
    /// The coins it spends, in order. Whatever ever replaces it must spend the first one too.
    pub inputs: Vec<PayoutInput>,
    /// What returns to the pool; zero when there is no change output. The last output.
    pub change: Amount,
    /// What the miner of its block gets.
    pub network_fee: Amount,
    /// The transaction, known before it is signed.
    pub txid: TxId,
    /// When it was planned, in milliseconds since 1970; rounds are counted by it.
    pub time_ms: u64,
}

/// Whom a payout pays.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum PayoutKind {
    /// Miners, in increasing account number; they bear the network fee.
    Miners(PayoutPlan),
    /// The operator, out of what the pool itself earned.
    Withdrawal {
        /// The key that gets it.
        to: KeyHash,
        /// What it costs the pool: payment and network fee.
        gross: Amount,
    },
    /// The pool itself: it spends coins that an unknown payout may spend, or one that lost a gift, so that one of the two is
    /// void for ever.
    Fence,
    /// The pool itself: many small coins become one.
    Consolidation,
}

/// A coin that a payout spends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PayoutInput {
    /// Its name.
    pub outpoint: OutPoint,
    /// Its worth.
    pub amount: Amount,
}

/// A payout and where it stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Payout {
    /// As it was planned.
    pub planned: PlannedPayout,
    /// Where it stands.
    pub state: PayoutState,
    /// What a withdrawal is taken from.
    pub sources: Vec<(LedgerAccount, Amount)>,
    /// `SHA-256` of the signed bytes, once there are some: the only bytes that are sent from then on.
    pub signed: Option<[u8; 32]>,
    /// Height of the block on the best chain that holds it.
    pub confirmed: Option<Height>,
    /// Height of the tip when it was proved void.
    pub voided: Option<Height>,
    /// How often it left the chain after it was final.
    pub returned: u32,
}

/// Where a payout stands (SPEC 8.5). Whether it is in a block just now is [`Payout::confirmed`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum PayoutState {
    /// Amounts are set aside (T30).
    Planned,
    /// The signed bytes are stored.
    Signed,
    /// Buried (T31).
    Final,
    /// Proved that it never can be (T32); the amounts are payable again.
    Void,
}

/// Why a payout can never confirm. Time proves nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum VoidProof {
    /// Another transaction spent this input, and is buried.
    SpentElsewhere(OutPoint),
    /// This input was the reward of a block that is off the chain, and the block in its place is buried.
    InputOrphaned(OutPoint),
    /// This input was the change of a payout that is void.
    ParentVoid(OutPoint),
    /// This input was a stranger's, as are all others, and every one of them has been off the chain for long: the books hold
    /// nothing that the transaction could spend.
    GiftsLost(OutPoint),
}

impl PlannedPayout {
    /// The sum of its inputs.
    ///
    /// # Errors
    /// It leaves the range of amounts.
    pub fn spent(&self) -> Result<Amount, AmountError> {
        Amount::sum(self.inputs.iter().map(|input| input.amount))
    }

    /// Where its change lies, if it has any.
    #[must_use]
    pub fn change_outpoint(&self) -> Option<OutPoint> {
        let payments = match &self.kind {
            PayoutKind::Miners(plan) => plan.payees.len(),
            PayoutKind::Withdrawal { .. } => 1,
            PayoutKind::Fence | PayoutKind::Consolidation => 0,
        };
        let index = u32::try_from(payments).ok()?;
        (self.change > Amount::ZERO).then_some(OutPoint { txid: self.txid, index })
    }

    /// The unsigned transaction: one output per payee in account order, then the change. Nothing if a payee has no key or
    /// a payment leaves its range.
    #[must_use]
    pub fn transaction(&self, accounts: &Accounts, pool: KeyHash) -> Option<Transaction> {
        let mut outputs = match &self.kind {
            PayoutKind::Miners(plan) => plan
                .payees
                .iter()
                .map(|payee| Some(TxOut { amount: payee.net, key_hash: accounts.key(payee.account)? }))
                .collect::<Option<Vec<_>>>()?,
            PayoutKind::Withdrawal { to, gross } => {
                vec![TxOut { amount: gross.checked_sub(self.network_fee).ok()?, key_hash: *to }]
            }
            PayoutKind::Fence | PayoutKind::Consolidation => Vec::new(),
        };
        if self.change > Amount::ZERO {
            outputs.push(TxOut { amount: self.change, key_hash: pool });
        }
        Some(Transaction {
            version: 1,
            inputs: self.inputs.iter().map(|input| input.outpoint).collect(),
            outputs,
            lock_height: Height::GENESIS,
            coinbase_data: Vec::new(),
            witnesses: Vec::new(),
        })
    }
}

impl PayoutKind {
    /// Whether it only moves coins of the pool.
    #[must_use]
    pub const fn pays_nobody(&self) -> bool {
        match self {
            Self::Fence | Self::Consolidation => true,
            Self::Miners(_) | Self::Withdrawal { .. } => false,
        }
    }
}

impl Payout {
    /// Whether its amounts are still set aside.
    #[must_use]
    pub const fn is_open(&self) -> bool {
        matches!(self.state, PayoutState::Planned | PayoutState::Signed)
    }

    /// Whether it only waits to be buried.
    #[must_use]
    pub const fn is_confirmed(&self) -> bool {
        self.confirmed.is_some()
    }
}

impl PayoutState {
    /// Every state.
    pub const ALL: [Self; 4] = [Self::Planned, Self::Signed, Self::Final, Self::Void];

    /// The name in the database, the API and metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Planned => "planned",
            Self::Signed => "signed",
            Self::Final => "final",
            Self::Void => "void",
        }
    }
}

impl fmt::Display for PayoutId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}
