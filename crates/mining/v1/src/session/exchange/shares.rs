//! Shares: to the judge, to the verifier, and what becomes of a verdict.

use bq_primitives::{KeyHash, WorkerName};
use bq_share::{Reject, ShareTicket, Strike, Submit, UnixMs, Verdict};

use super::{Exchange, Unanswered, Wanted};
use crate::{CloseReason, Output, request::RequestId};

impl Exchange {
    /// Hands a submit to the judge and on for verification, or refuses it.
    pub(in crate::session) fn submit(
        &mut self,
        now: UnixMs,
        id: &RequestId,
        submit: Result<Submit, Reject>,
        reply: impl Fn(&RequestId, Verdict) -> Option<Vec<u8>>,
    ) {
        let ticket = ShareTicket(self.next_ticket());
        let tip = self.template.as_ref().map(|template| template.parent_id());
        match submit.and_then(|submit| self.judge.admit(tip, ticket, submit)) {
            Ok(candidate) => {
                self.replies.wait(ticket.0);
                self.unanswered.push(Unanswered { ticket, id: id.clone() });
                self.outputs.push_back(Output::Share(Box::new(candidate)));
            }
            Err(reason) => {
                self.reply(reply(id, Verdict::Rejected(reason)));
                let miner = self.miners.first().map(|miner| (miner.payee, miner.worker.clone()));
                self.note_rejected(now, miner, reason, None);
            }
        }
    }

    /// Takes in a verdict and answers the submit it is for.
    pub(in crate::session) fn finish_share(
        &mut self,
        now: UnixMs,
        ticket: ShareTicket,
        verdict: Verdict,
        reply: impl Fn(&RequestId) -> Option<Vec<u8>>,
    ) {
        let Some(judged) = self.judge.finish(ticket, verdict) else { return };
        if let Some(index) = self.unanswered.iter().position(|share| share.ticket == ticket) {
            let share = self.unanswered.swap_remove(index);
            self.resolve(ticket.0, reply(&share.id));
        }
        match verdict {
            Verdict::Accepted { .. } => {
                // A fast miner is slowed by what it has in verification, not by its lines: its difficulty rises meanwhile.
                self.rate.refund();
                if judged.job_is_worked_out {
                    self.want_job(Wanted::Now);
                }
                if self.vardiff.on_share(now, judged.difficulty) {
                    self.want_new_difficulty();
                }
            }
            Verdict::Rejected(reason) => {
                self.note_rejected(now, Some((judged.payee, judged.worker)), reason, judged.strike);
            }
        }
        if judged.is_forger {
            self.close(CloseReason::ForgedShares);
        }
    }

    fn note_rejected(
        &mut self,
        now: UnixMs,
        miner: Option<(KeyHash, WorkerName)>,
        reason: Reject,
        strike: Option<Strike>,
    ) {
        self.outputs.push_back(Output::Rejected { miner, reason, strike });
        if reason == Reject::Busy && self.vardiff.on_busy(now) {
            self.want_new_difficulty();
        }
    }
}
