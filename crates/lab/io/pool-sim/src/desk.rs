//! Where proofs are judged and booked, as the verification threads of a front end do it: one after the other here.

use std::time::Duration;

use bq_mining_message::Share;
use bq_pool::{Clock as _, DrivenPool};
use bq_primitives::{Block, BlockId};
use bq_share::{Evaluator as _, Proven, Reject, ShareCandidate, Verdict, prove};

use crate::{
    Planted,
    lottery::Lottery,
    queue::Waiting,
    world::{World, miner},
};

impl World {
    /// Proofs are looked at in turn and booked, and their sessions hear of it.
    pub(crate) fn judge(&mut self) {
        let lottery = Lottery { trusts_claims: self.plan.planted == Some(Planted::ClaimTrusted) };
        while let Some(Waiting { connection, mut candidate }) = self.front.next_proof() {
            if self.plan.planted == Some(Planted::NewerDifficulty) {
                candidate.difficulty = self.front.newest_difficulty(connection).unwrap_or(candidate.difficulty);
            }
            let evaluated = lottery.evaluate(candidate.template.key, &[&candidate]);
            let evaluation = evaluated
                .map_err(|error| Reject::from(&error))
                .and_then(|all| all.first().copied().ok_or(Reject::Busy));
            let verdict = match evaluation.and_then(|evaluation| prove(&candidate, &evaluation)) {
                Ok(proven) => self.book(&candidate, &proven),
                Err(reason) => Verdict::Rejected(reason),
            };
            if self.death.is_dead() {
                return;
            }
            self.front.answer(self.now(), connection, &candidate, verdict);
            self.front_reads(connection, &[]);
        }
    }

    /// Hands a proven share to the pool, and remembers what that said.
    fn book(&mut self, candidate: &ShareCandidate, proven: &Proven) -> Verdict {
        let serial = self.proofs.serial(candidate);
        let (mut share, block) = proven.share_of(candidate, self.now());
        // Informational to the pool; here it names the share.
        share.time_ms = serial;
        let Some(pool) = &self.pool else { return Verdict::Rejected(Reject::Busy) };
        let block_id = share.block_id;
        let planted = serial.is_multiple_of(16).then_some(self.plan.planted).flatten();
        let began = self.clock.running();
        if self.plan.planted == Some(Planted::BlockAfterSync) && block.is_some() {
            self.speed.sync();
        }
        let is_booked = hand_on(pool, &share, block, planted);
        self.check_submitted(block_id, began);
        self.shares.entry(serial).or_insert_with(|| (share.clone(), false));
        if is_booked {
            self.proofs.note_booked(serial, candidate, &share);
            return Verdict::Accepted { block: proven.is_block };
        }
        if self.death.is_dead() || block_id.is_some() {
            self.proofs.in_doubt.insert(share.payee);
        }
        Verdict::Rejected(Reject::Busy)
    }

    /// A block goes to the node before anything is written, however slow the disk is.
    fn check_submitted(&mut self, block_id: Option<BlockId>, found: Duration) {
        let Some(id) = block_id else { return };
        let submitted = self.net.lock().submitted.get(&id).copied();
        if submitted.is_none_or(|submitted| submitted > found) {
            self.proofs.complain(format!("block {id} was not handed to the node at once"));
        }
        let waited = self.clock.running().saturating_sub(found);
        self.tally.waited_max = self.tally.waited_max.max(waited);
    }
}

/// Whether the pool says that it took the share.
fn hand_on(pool: &DrivenPool, share: &Share, block: Option<Block>, planted: Option<Planted>) -> bool {
    let outcome = match planted {
        Some(Planted::ShareTwice) => pool.record(share, None).and_then(|()| pool.record(share, block)),
        Some(Planted::AcknowledgedUnwritten) if block.is_none() => Ok(()),
        Some(Planted::WrongPayee) => pool.record(&Share { payee: miner(1), ..share.clone() }, block),
        _ => pool.record(share, block),
    };
    outcome.is_ok()
}
