//! Has payouts signed: by a key of this process at once, by another process on a thread of its own, so that nothing else waits for it.

use std::{
    collections::BTreeSet,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use bq_fault_point::{FaultPoint, reach};
use bq_pool_machine::{Event, PayoutEvent, PayoutId, PayoutInput};
use bq_primitives::TxOut;
use parking_lot::Mutex;
use sha2::{Digest as _, Sha256};
use tokio::sync::Notify;

use crate::{
    PayoutToSign, PoolError,
    keeper::Keeper,
    rows::{replaced_row, signed_row},
    trouble::Trouble,
    unsigned::Unsigned,
};

/// What a signer that is another process is to sign.
#[derive(Debug, Default)]
pub(crate) struct Signing {
    wanted: Mutex<BTreeSet<PayoutId>>,
    /// Something was stated that is not signed.
    pub(crate) wants_statements: AtomicBool,
    /// Asks its thread to look now.
    pub(crate) now: Notify,
    /// When the log was told last, on the keeper's clock.
    told: Mutex<Option<Duration>>,
    unsigned: Mutex<Unsigned>,
}

/// Of the bytes that a payout was signed as before, if it was.
type KnownDigest = Option<[u8; 32]>;

impl Keeper {
    /// Signs at once, or has the thread do it that waits for the signer. Returns whether it is signed.
    pub(crate) fn sign_or_ask(&self, id: PayoutId) -> Result<bool, PoolError> {
        if !self.signer.is_remote() {
            return self.sign(id);
        }
        if self.signing.wanted.lock().insert(id) {
            self.signing.now.notify_one();
        }
        Ok(false)
    }

    /// A payout is not signed.
    pub(crate) fn refused(&self, id: PayoutId, reason: String) {
        self.signing.unsigned.lock().refuse(id, reason);
    }

    /// A payout needs no signature any more.
    pub(crate) fn not_refused(&self, id: PayoutId) {
        self.signing.unsigned.lock().signed(id);
    }

    /// Tells why payouts are not signed, as long as one is refused.
    pub(crate) fn show_unsigned(&self) {
        let state = self.state.read();
        let is_open = |id| state.payout(id).is_some_and(bq_pool_machine::Payout::is_open);
        let reason = self.signing.unsigned.lock().reason(is_open);
        drop(state);
        if let Some(reason) = reason.as_ref().filter(|reason| !self.is_told(Trouble::Signer, reason)) {
            tracing::warn!(%reason, "payouts wait for the signer");
        }
        self.trouble(Trouble::Signer, reason);
    }

    /// Whether there is something to be signed, or the signer has not been told of the log for long. Waits for the signer, a while.
    pub(crate) fn sign_wanted(&self) {
        let wanted = std::mem::take(&mut *self.signing.wanted.lock());
        if self.signing.wants_statements.swap(false, Ordering::Relaxed)
            && let Err(error) = self.sign_statements()
        {
            tracing::warn!(%error, "what is owed was stated and is not signed");
        }
        let running = self.clock.running();
        let is_due = |told: Option<Duration>| {
            told.is_none_or(|told| running.saturating_sub(told) >= self.config.signer_follow_interval)
        };
        if wanted.is_empty() && !is_due(*self.signing.told.lock()) {
            return;
        }
        // Whoever is to sign is told of the log first.
        let mut untold = wanted.is_empty().then(|| self.signer.follow(self).err().map(|error| error.to_string()));
        for id in &wanted {
            match self.sign(*id) {
                Ok(true) => {
                    untold = Some(None);
                    self.look_now.notify_one();
                }
                Ok(false) => {}
                Err(error) => self.refused(*id, error.to_string()),
            }
        }
        if let Some(untold) = untold {
            self.signing.unsigned.lock().told(untold);
        }
        *self.signing.told.lock() = Some(self.clock.running());
        self.show_unsigned();
    }

    /// The same plan always gives the same transaction, so a crash between signing and storing costs nothing. Returns whether it is
    /// signed.
    fn sign(&self, id: PayoutId) -> Result<bool, PoolError> {
        let Some((payout, known)) = self.to_sign(id)? else { return Ok(false) };
        let signed = match self.signer.sign_payout(&payout, self) {
            Ok(signed) if signed.txid() == payout.planned.txid => signed,
            Ok(_) => return Err(PoolError::Inconsistent(format!("the signer changed payout {id}"))),
            Err(error) => {
                self.refused(id, error.to_string());
                return Ok(false);
            }
        };
        self.not_refused(id);
        reach(FaultPoint::SignatureNotStored);
        let bytes = signed.to_bytes();
        let digest: [u8; 32] = Sha256::digest(&bytes).into();
        let is_replaced = self.state.read().attempts(id).is_some_and(|attempts| !attempts.others.is_empty());
        let row = if is_replaced { replaced_row(&payout.planned, bytes) } else { signed_row(id, bytes) };
        if known == Some(digest) {
            self.put_back(row)?;
            return Ok(true);
        }
        let event = Event::Payout(PayoutEvent::Signed { payout: id, digest });
        let applied = self.tell(&event, vec![row])?;
        self.show_changes(&applied);
        Ok(true)
    }

    /// An open payout, and what is known of it.
    fn to_sign(&self, id: PayoutId) -> Result<Option<(PayoutToSign, KnownDigest)>, PoolError> {
        let state = self.state.read();
        let Some(payout) = state.payout(id).filter(|payout| payout.is_open()) else { return Ok(None) };
        let (planned, known) = (payout.planned.clone(), payout.signed);
        let unsigned = planned.transaction(state.accounts(), self.key_hash());
        drop(state);
        let wrong = || PoolError::Inconsistent(format!("payout {id} does not rebuild to what was planned"));
        let unsigned = unsigned.filter(|transaction| transaction.txid() == planned.txid).ok_or_else(wrong)?;
        let output = |input: &PayoutInput| TxOut { amount: input.amount, key_hash: self.key_hash() };
        let spent: Vec<TxOut> = planned.inputs.iter().map(output).collect();
        let genesis = self.node.genesis_id();
        Ok(Some((PayoutToSign { genesis, epoch: self.epoch, planned, unsigned, spent }, known)))
    }
}
