//! Shares: to the judge, to the verifier, and what becomes of a verdict.

use bq_primitives::{KeyHash, WorkerName};
use bq_share::{Reject, ShareTicket, Submit, UnixMs, Verdict};

use super::{Exchange, Unanswered};
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
        match submit.and_then(|submit| self.channel.admit(ticket, submit)) {
            Ok(candidate) => {
                self.replies.wait(ticket.0);
                self.unanswered.push(Unanswered { ticket, id: id.clone() });
                self.outputs.push_back(Output::Share(Box::new(candidate)));
            }
            Err(reason) => {
                self.reply(reply(id, Verdict::Rejected(reason)));
                let miner = self.miners.first().map(|miner| (miner.payee, miner.worker.clone()));
                self.note_rejected(miner, reason);
                self.channel.refused(now, reason);
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
        let Some(judged) = self.channel.finish(now, ticket, verdict) else { return };
        if let Some(index) = self.unanswered.iter().position(|share| share.ticket == ticket) {
            let share = self.unanswered.swap_remove(index);
            self.resolve(ticket.0, reply(&share.id));
        }
        match verdict {
            Verdict::Accepted { .. } => {
                self.presence.refund_line();
                self.presence.note_share(now);
            }
            Verdict::Rejected(reason) => self.note_rejected(Some((judged.payee, judged.worker)), reason),
        }
        if judged.is_forger {
            self.close(CloseReason::ForgedShares);
        }
    }

    fn note_rejected(&mut self, miner: Option<(KeyHash, WorkerName)>, reason: Reject) {
        self.outputs.push_back(Output::Rejected { miner, reason });
    }
}
