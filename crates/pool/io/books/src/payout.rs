use std::fmt;

use bq_ledger::PayoutPlan;
use bq_primitives::{Amount, OutPoint, TxId};

/// Number of a payout: 1 for the first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PayoutId(pub u64);

impl fmt::Display for PayoutId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// A payout that is about to be reserved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewPayout {
    /// Who gets how much.
    pub plan: PayoutPlan,
    /// The coins it spends, in the order of the transaction. The first one is the anchor: whatever ever replaces this
    /// transaction must spend it too.
    pub inputs: Vec<PayoutInput>,
    /// What returns to the pool; zero when there is no change output.
    pub change: Amount,
    /// The transaction, known before it is signed.
    pub txid: TxId,
    /// When it was planned, in milliseconds since 1970.
    pub time_ms: u64,
}

/// A coin that a payout spends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PayoutInput {
    /// Its name.
    pub outpoint: OutPoint,
    /// Its worth.
    pub amount: Amount,
}

/// A payout and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Payout {
    /// Its number.
    pub id: PayoutId,
    /// Where it stands.
    pub state: PayoutState,
    /// What was planned.
    pub planned: NewPayout,
    /// The signed transaction, once there is one: the only bytes that are ever sent.
    pub signed: Option<Vec<u8>>,
}

/// Where a payout stands (SPEC 8.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum PayoutState {
    /// Amounts are set aside (T30).
    Reserved,
    /// The signed bytes are stored.
    Signed,
    /// A node took them.
    Broadcast,
    /// On the best chain, not buried yet.
    Confirmed,
    /// Buried (T31).
    Final,
    /// It cannot confirm now: an input is gone or spent otherwise. Amounts stay set aside; a person looks.
    Blocked,
    /// Proved that it never can (T32); the amounts are payable again.
    Void,
}

impl PayoutState {
    /// Every state.
    pub const ALL: [Self; 7] =
        [Self::Reserved, Self::Signed, Self::Broadcast, Self::Confirmed, Self::Final, Self::Blocked, Self::Void];

    /// The name in the database, the API and metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Reserved => "reserved",
            Self::Signed => "signed",
            Self::Broadcast => "broadcast",
            Self::Confirmed => "confirmed",
            Self::Final => "final",
            Self::Blocked => "blocked",
            Self::Void => "void",
        }
    }

    /// Whether its amounts are still set aside.
    #[must_use]
    pub const fn is_open(self) -> bool {
        !matches!(self, Self::Final | Self::Void)
    }

    pub(crate) fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.name() == name)
    }
}

/// One account's part of a payout, for its owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PayoutEntry {
    /// The payout.
    pub id: PayoutId,
    /// Its transaction.
    pub txid: TxId,
    /// What the account is sent: its debit less its part of the network fee.
    pub net: Amount,
    /// Where the payout stands.
    pub state: PayoutState,
    /// When it was planned, in milliseconds since 1970.
    pub time_ms: u64,
}
