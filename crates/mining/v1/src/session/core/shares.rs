//! Shares: the checks that cost nothing, and what becomes of a verdict.

use std::sync::Arc;

use bq_primitives::{PowHash, PowValue};

use super::{Core, InFlight, Submit};
use crate::{
    Claim, CloseReason, Output, Reject, ShareCandidate, ShareKey, ShareTicket, TimeMs, Verdict, job::Miner,
    request::RequestId,
};

impl Core {
    /// Takes a submit through the checks that cost nothing and hands it on for verification, or refuses it.
    pub(in crate::session) fn submit(
        &mut self,
        now: TimeMs,
        id: &RequestId,
        submit: Result<Submit, Reject>,
        reply: impl Fn(&RequestId, Verdict) -> Option<Vec<u8>>,
    ) {
        match submit.and_then(|submit| self.check(submit)) {
            Ok((submit, key)) => self.emit(id, submit, key),
            Err(reason) => {
                self.reply(reply(id, Verdict::Rejected(reason)));
                let miner = self.miners.first().cloned();
                self.note_rejected(now, miner.as_deref(), reason);
            }
        }
    }

    /// Job, duplicate, cheap target, room: in this order.
    fn check(&self, submit: Submit) -> Result<(Submit, ShareKey), Reject> {
        let template = &submit.job.template;
        let parent = self.template.as_ref().map(|template| template.parent_id());
        if parent != Some(template.parent_id()) {
            return Err(Reject::Stale);
        }
        if self.over_rate {
            return Err(Reject::Busy);
        }
        let key = ShareKey::of(template, &submit.share.seal);
        if self.in_flight.iter().any(|share| share.key == key) {
            return Err(Reject::Duplicate);
        }
        if let Claim::RandomX(result) = submit.share.claim
            && !PowValue::of(self.algorithm, &PowHash(result)).meets(&submit.share.share_target)
        {
            return Err(Reject::LowDifficulty);
        }
        let trusted_with = self.policy.unproven_in_flight_max.saturating_add(self.proven);
        if self.in_flight.len() >= trusted_with.min(self.policy.shares_in_flight_max) {
            return Err(Reject::Busy);
        }
        Ok((submit, key))
    }

    fn emit(&mut self, id: &RequestId, submit: Submit, key: ShareKey) {
        let Submit { job, share, miner } = submit;
        let ticket = self.next_ticket();
        self.replies.wait(ticket);
        self.in_flight.push(InFlight {
            ticket,
            id: id.clone(),
            key,
            difficulty: job.difficulty,
            miner: Arc::clone(&miner),
        });
        self.outputs.push_back(Output::Share(Box::new(ShareCandidate {
            ticket: ShareTicket(ticket),
            template: job.template,
            seal: share.seal,
            claim: share.claim,
            share_target: share.share_target,
            difficulty: job.difficulty,
            account: job.miner.account,
            worker: miner.worker.clone(),
            key,
        })));
    }

    /// Takes in a verdict and answers the submit it is for.
    pub(in crate::session) fn finish_share(
        &mut self,
        now: TimeMs,
        ticket: ShareTicket,
        verdict: Verdict,
        reply: impl Fn(&RequestId) -> Option<Vec<u8>>,
    ) {
        let Some(index) = self.in_flight.iter().position(|share| share.ticket == ticket.0) else { return };
        let share = self.in_flight.swap_remove(index);
        self.resolve(ticket.0, reply(&share.id));
        match verdict {
            Verdict::Accepted { .. } => {
                self.proven = self.proven.saturating_add(1);
                if self.vardiff.on_share(now, share.difficulty) {
                    self.want_new_difficulty();
                }
            }
            Verdict::Rejected(reason) => self.note_rejected(now, Some(&share.miner), reason),
        }
    }

    fn note_rejected(&mut self, now: TimeMs, miner: Option<&Miner>, reason: Reject) {
        let miner = miner.map(|miner| (miner.account, miner.worker.clone()));
        self.outputs.push_back(Output::Rejected { miner, reason });
        match reason {
            Reject::Busy if self.vardiff.on_busy(now) => self.want_new_difficulty(),
            Reject::BadProof => {
                self.proven = 0;
                self.forged = self.forged.saturating_add(1);
                if self.forged >= self.policy.forged_shares_max {
                    self.close(CloseReason::ForgedShares);
                }
            }
            _ => {}
        }
    }
}
