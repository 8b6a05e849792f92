//! Carries out what the machine says.

use bq_books::RowKind;
use bq_chain_api::{SubmitBlockError, SubmitTransactionError};
use bq_fault_point::{FaultPoint, reach};
use bq_pool_machine::{Command, Outside, PayoutId};
use bq_primitives::{Block, BlockId, Decoder, Transaction};
use sha2::{Digest as _, Sha256};

use crate::{PoolError, intake::note_verdict, keeper::Keeper, rows::signed_keys};

/// Commands of one round at most: a round must end, so that shares are told meanwhile.
const COMMANDS_MAX: usize = 1000;

impl Keeper {
    /// What the machine needs to know of the world.
    pub(crate) fn outside_now(&self) -> Outside {
        let outside = *self.outside.lock();
        Outside {
            now_ms: self.now_ms(),
            in_step: outside.in_step,
            coins_match: outside.coins_match,
            commitment: outside.commitment,
            upkeep: self.config.upkeep,
        }
    }

    /// Does what is to be done until only waiting is left.
    pub(crate) fn carry_out(&self) -> Result<(), PoolError> {
        let mut done = 0;
        'again: while done < COMMANDS_MAX {
            let outside = self.outside_now();
            let commands = (self.rules.next)(&self.state.read(), &outside)?;
            for command in commands {
                done += 1;
                let changed = match command {
                    Command::Append(event) => {
                        let applied = self.tell(&event, Vec::new())?;
                        self.show_changes(&applied);
                        true
                    }
                    Command::Sign(payout) => {
                        reach(FaultPoint::PayoutNotSigned);
                        self.sign_or_ask(payout)?
                    }
                    Command::Send(payout) => self.send(payout).map(|()| false)?,
                    Command::Submit(block) => self.submit_again(&block).map(|()| false)?,
                };
                if changed {
                    continue 'again;
                }
            }
            self.show_unsigned();
            return Ok(());
        }
        self.show_unsigned();
        self.look_now.notify_one();
        Ok(())
    }

    /// The stored bytes and no others, as often as it takes.
    pub(crate) fn send(&self, id: PayoutId) -> Result<(), PoolError> {
        let bytes = match self.signed_bytes(id)? {
            Ok(bytes) => {
                // Bytes may have come back. A transaction in the place of another is not the one that is sent.
                if self.state.read().payout(id).is_some_and(|payout| payout.signed.is_some()) {
                    self.not_refused(id);
                }
                bytes
            }
            Err(lost) => match self.sign_again(id, &lost)? {
                Some(bytes) => bytes,
                None => return Ok(()),
            },
        };
        let mut decoder = Decoder::new(&bytes);
        let transaction = Transaction::decode(&mut decoder)
            .map_err(|error| PoolError::Inconsistent(format!("the signed bytes of payout {id}: {error}")))?;
        reach(FaultPoint::PayoutNotSent);
        let answer = self.node.submit_transaction(transaction);
        reach(FaultPoint::PayoutNotHeard);
        match answer {
            Ok(_) | Err(SubmitTransactionError::Duplicate) => {}
            Err(SubmitTransactionError::Node(error)) => return Err(error.into()),
            Err(error) => tracing::warn!(payout = %id, %error, "a payout is sent again later"),
        }
        Ok(())
    }

    /// The stored bytes, if they are those that the log names; otherwise what is wrong.
    fn signed_bytes(&self, id: PayoutId) -> Result<Result<Vec<u8>, String>, PoolError> {
        let payout = self.state.read().payout(id).map(|payout| (payout.planned.clone(), payout.signed));
        let Some((planned, expected)) = payout else { return Ok(Err(format!("payout {id} is not there"))) };
        let mut is_there = false;
        for key in signed_keys(&planned) {
            let Some(bytes) = self.store.row(RowKind::Signed, &key)? else { continue };
            let digest: [u8; 32] = Sha256::digest(&bytes).into();
            if expected.is_none_or(|expected| expected == digest) {
                return Ok(Ok(bytes));
            }
            is_there = true;
        }
        let what = if is_there { "were changed" } else { "are missing" };
        Ok(Err(format!("the signed bytes of payout {id} {what}")))
    }

    /// Only the plan is in the log, and signing is not the same twice; but the id of the transaction and whom it pays do not depend on
    /// the signature. Where both were sent, one of them confirms, and that is the payout.
    fn sign_again(&self, id: PayoutId, lost: &str) -> Result<Option<Vec<u8>>, PoolError> {
        let is_given_up = self.state.read().keys_given_up().last().is_some_and(|given_up| id <= given_up.payouts_to);
        if is_given_up {
            self.refused(id, format!("{lost}, and the key that could sign it again is given up"));
            return Ok(None);
        }
        tracing::warn!(payout = %id, "{lost}: it is signed again");
        if !self.sign_or_ask(id)? {
            return Ok(None);
        }
        // A store that keeps no bytes must not be asked for ever.
        self.signed_bytes(id)?.map(Some).map_err(PoolError::Inconsistent)
    }

    fn submit_again(&self, id: &BlockId) -> Result<(), PoolError> {
        let Some(bytes) = self.store.row(RowKind::BlockBytes, &id.to_string())? else { return Ok(()) };
        let block = Block::from_bytes(&bytes)
            .map_err(|error| PoolError::Inconsistent(format!("the stored bytes of block {id}: {error}")))?;
        let verdict = self.node.submit_block(block);
        match &verdict {
            Err(SubmitBlockError::Duplicate) => {}
            verdict => note_verdict(id, verdict),
        }
        Ok(())
    }
}
