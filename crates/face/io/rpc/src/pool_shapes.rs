use std::collections::BTreeMap;

use bq_pool_machine::{AccountSettings, OpenPayout, PoolStatus, Wishes};
use bq_primitives::Amount;
use serde::{Deserialize, Serialize};

use crate::AmountShape;

/// `getpoolstatus`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PoolStatusShape {
    /// Whom the coinbases pay.
    pub address: Option<String>,
    /// Number of the newest event in the log.
    pub event: u64,
    /// Its hash.
    pub eventhash: String,
    /// Height of the chain as far as the books were told.
    pub height: Option<u32>,
    /// Why payouts are paused, if they are.
    pub paused: Option<String>,
    /// Nobody is paid until payouts that the log may have forgotten are found or void.
    pub recovering: bool,
    /// What miners are owed.
    pub miners: MinersShape,
    /// Accounts that have reached the minimum and wait.
    pub due: usize,
    /// Other balances that are not zero, by account.
    pub balances: BTreeMap<String, AmountShape>,
    /// Payouts that are not final.
    pub payouts: Vec<OpenPayoutShape>,
}

/// Sums over all miners.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MinersShape {
    /// Rewards that are not mature.
    pub immature: AmountShape,
    /// Matured, and paid by a coinbase to come.
    pub carried: AmountShape,
    /// May be paid.
    pub payable: AmountShape,
    /// In payouts that are not final.
    pub inflight: AmountShape,
}

/// A payout that is not final.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenPayoutShape {
    /// Its number.
    pub id: u64,
    /// `miners`, `withdrawal` or `fence`.
    pub kind: String,
    /// The transaction.
    pub txid: String,
    /// It is in a block just now.
    pub confirmed: bool,
}

/// `getaccountsettings`: what an account set for itself, its webhook in full.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountSettingsShape {
    /// Number of the newest setting.
    pub number: u64,
    /// When it was taken, in seconds since 1970.
    pub taken: u64,
    /// What holds.
    pub current: WishesShape,
    /// What will hold.
    pub pending: Option<WishesShape>,
    /// Height from which on that holds.
    pub pendingfrom: Option<u32>,
}

/// What an account wants for itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WishesShape {
    /// It is not paid less; nothing: the pool's minimum.
    pub minimum: Option<AmountShape>,
    /// Name of the scheme.
    pub scheme: String,
    /// Only worker tokens open the address.
    pub locked: bool,
    /// Where notices go.
    pub webhook: Option<String>,
}

impl From<AccountSettings> for AccountSettingsShape {
    fn from(settings: AccountSettings) -> Self {
        let pendingfrom = settings.pending.as_ref().map(|pending| pending.from.0);
        Self {
            number: settings.sequence,
            taken: settings.taken_ms / 1000,
            current: settings.current.into(),
            pending: settings.pending.map(|pending| pending.wishes.into()),
            pendingfrom,
        }
    }
}

impl From<Wishes> for WishesShape {
    fn from(wishes: Wishes) -> Self {
        Self {
            minimum: wishes.minimum.map(AmountShape::from),
            scheme: wishes.scheme.name().to_owned(),
            locked: wishes.locked,
            webhook: wishes.webhook.map(String::from),
        }
    }
}

impl From<PoolStatus> for PoolStatusShape {
    fn from(status: PoolStatus) -> Self {
        Self {
            address: status.address.map(|address| address.to_string()),
            event: status.head.number.0,
            eventhash: hex::encode(status.head.hash.0),
            height: status.tip.map(|tip| tip.height.0),
            paused: status.paused.map(|paused| paused.reason),
            recovering: status.recovery.is_some_and(|recovery| recovery.open),
            miners: MinersShape {
                immature: shape(status.miners_immature),
                carried: shape(status.miners_carried),
                payable: shape(status.miners_payable),
                inflight: shape(status.miners_in_flight),
            },
            due: status.due,
            balances: status.balances.iter().map(|(name, atoms)| (name.to_string(), shape(*atoms))).collect(),
            payouts: status.open_payouts.into_iter().map(OpenPayoutShape::from).collect(),
        }
    }
}

impl From<OpenPayout> for OpenPayoutShape {
    fn from(payout: OpenPayout) -> Self {
        let OpenPayout { id, kind, txid, is_confirmed } = payout;
        Self { id: id.0, kind: kind.to_owned(), txid: txid.to_string(), confirmed: is_confirmed }
    }
}

fn shape(atoms: u64) -> AmountShape {
    AmountShape::from(Amount::from_atoms(atoms).unwrap_or(Amount::MAX))
}
