use std::collections::{BTreeMap, BTreeSet};

use bq_mining_message::BootEpoch;
use bq_pool_machine::{LogHead, PayoutId, State};
use bq_primitives::{Amount, TxId};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::SignedStatements;

/// What the signer has signed (SPEC 8.12.4). It is on disk before a signature leaves.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// The newest start of a pool that asked.
    pub epoch: BootEpoch,
    /// The log at the newest signature.
    pub head: LogHead,
    /// By number of the payout: more than one of a payout that was replaced.
    signed: BTreeMap<PayoutId, Vec<SignedPayout>>,
    /// Numbers up to this are closed unless they are above or below.
    closed_to: PayoutId,
    /// Numbers up to it that were open when a state was adopted.
    open_when_adopted: BTreeSet<PayoutId>,
    /// When, in seconds since 1970, how many atoms left; of the last day.
    left: Vec<(u64, u64)>,
    /// What it stated.
    pub statements: SignedStatements,
}

/// One payout that was signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignedPayout {
    /// Its transaction.
    pub txid: TxId,
    /// `SHA-256` of the signed bytes.
    pub digest: [u8; 32],
    /// What leaves the pool with it.
    pub leaves: Amount,
}

/// Bytes that are no record.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// Another software wrote them.
    #[error("record version {0} is not known, this software knows {VERSION}")]
    Version(u8),
    /// They are not what was written.
    #[error("the record is damaged")]
    Damaged,
}

const VERSION: u8 = 2;
/// The same, before there were statements.
const WITHOUT_STATEMENTS: u8 = 1;
const DIGEST_BYTES: usize = 32;
/// What left within this counts against what may leave in a day.
const DAY_SECS: u64 = 24 * 3600;

impl Record {
    /// What was signed under a number.
    #[must_use]
    pub fn signed(&self, payout: PayoutId) -> &[SignedPayout] {
        self.signed.get(&payout).map_or(&[], Vec::as_slice)
    }

    /// Whether one of those is this transaction.
    #[must_use]
    pub fn signed_as(&self, payout: PayoutId, txid: TxId) -> Option<&SignedPayout> {
        self.signed(payout).iter().find(|signed| signed.txid == txid)
    }

    /// Every transaction whose bytes are kept.
    pub fn transactions(&self) -> impl Iterator<Item = TxId> + '_ {
        self.signed.values().flatten().map(|signed| signed.txid)
    }

    /// What more would leave with a payout of which only one transaction ever confirms.
    #[must_use]
    pub fn more_leaves(&self, payout: PayoutId, leaves: Amount) -> u64 {
        let before = self.signed(payout).iter().map(|signed| signed.leaves.atoms()).max().unwrap_or(0);
        leaves.atoms().saturating_sub(before)
    }

    /// Nothing is signed under this number any more.
    #[must_use]
    pub fn is_closed(&self, payout: PayoutId) -> bool {
        let is_known = self.signed.contains_key(&payout) || self.open_when_adopted.contains(&payout);
        payout <= self.closed_to && !is_known
    }

    /// Atoms that left within 24 hours before `now_secs`. What a clock that went back puts into the future counts too.
    #[must_use]
    pub fn left_within_a_day(&self, now_secs: u64) -> u64 {
        let within = self.left.iter().filter(|(at, _)| now_secs.saturating_sub(*at) < DAY_SECS);
        within.fold(0, |sum, (_, atoms)| sum.saturating_add(*atoms))
    }

    /// A payout was signed, for the first time or anew.
    pub fn note(&mut self, payout: PayoutId, signed: SignedPayout, now_secs: u64) {
        let more = self.more_leaves(payout, signed.leaves);
        self.left.retain(|(at, _)| now_secs.saturating_sub(*at) < DAY_SECS);
        if more > 0 {
            self.left.push((now_secs, more));
        }
        let all = self.signed.entry(payout).or_default();
        all.retain(|other| other.txid != signed.txid);
        all.push(signed);
    }

    /// Drops payouts that the state has forgotten, and closes their numbers.
    pub fn forget(&mut self, state: &State) {
        let is_forgotten = |payout: PayoutId| state.payout(payout).is_none();
        let newest = self.signed.keys().copied().filter(|payout| is_forgotten(*payout)).max();
        self.closed_to = self.closed_to.max(newest.unwrap_or_default());
        self.signed.retain(|payout, _| !is_forgotten(*payout));
        self.open_when_adopted.retain(|payout| !is_forgotten(*payout));
    }

    /// A person says that this state is the pool's (SPEC 8.12.9).
    pub fn adopt(&mut self, state: &State) {
        let open = || state.payouts().filter(|payout| payout.is_open()).map(|payout| &payout.planned);
        self.signed.retain(|number, signed| {
            let is_it = |txid| open().any(|open| open.id == *number && open.txid == txid);
            signed.iter().any(|signed| is_it(signed.txid))
        });
        self.open_when_adopted = open().map(|open| open.id).collect();
        self.closed_to = state.newest_payout();
        self.head = state.head();
        self.epoch = BootEpoch(0);
    }

    /// In bytes: version, content, and their `SHA-256`.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        // Every record can be written.
        let mut bytes = postcard::to_extend(self, vec![VERSION]).unwrap_or_default();
        let digest = Sha256::digest(&bytes);
        bytes.extend(digest);
        bytes
    }

    /// Reads a record.
    ///
    /// # Errors
    /// [`RecordError`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, RecordError> {
        let split = bytes.len().checked_sub(DIGEST_BYTES).and_then(|at| bytes.split_at_checked(at));
        let (content, digest) = split.ok_or(RecordError::Damaged)?;
        if Sha256::digest(content).as_slice() != digest {
            return Err(RecordError::Damaged);
        }
        match content.split_first() {
            Some((&VERSION, rest)) => postcard::from_bytes(rest).map_err(|_| RecordError::Damaged),
            Some((&WITHOUT_STATEMENTS, rest)) => {
                let bytes = postcard::to_extend(&SignedStatements::default(), rest.to_vec());
                bytes.and_then(|bytes| postcard::from_bytes(&bytes)).map_err(|_| RecordError::Damaged)
            }
            Some((version, _)) => Err(RecordError::Version(*version)),
            None => Err(RecordError::Damaged),
        }
    }
}
