//! Shares: to the judge, to the verifier, and what becomes of a verdict.

use bq_channel::{CloseReason, FrameKind, Output};
use bq_share::{Claim, JobId, Reject, Rolled, ShareTicket, Submit, UnixMs, Verdict};
use mining_sv2::{
    ERROR_CODE_SUBMIT_SHARES_BAD_EXTRANONCE_SIZE, ERROR_CODE_SUBMIT_SHARES_DIFFICULTY_TOO_LOW,
    ERROR_CODE_SUBMIT_SHARES_DUPLICATE_SHARE, ERROR_CODE_SUBMIT_SHARES_INVALID_CHANNEL_ID,
    ERROR_CODE_SUBMIT_SHARES_INVALID_JOB_ID, ERROR_CODE_SUBMIT_SHARES_INVALID_NON_ROLLABLE_VERSION_BIT,
    ERROR_CODE_SUBMIT_SHARES_INVALID_SHARE, ERROR_CODE_SUBMIT_SHARES_STALE_SHARE, SubmitSharesExtended,
    SubmitSharesStandard,
};

use super::{Output as SessionOutput, Session};
use crate::{
    open_channel::{ChannelId, Kind},
    reply::{self, JOB_VERSION},
};

/// A submit that waits for its verdict.
#[derive(Clone, Copy, Debug)]
pub(super) struct Unanswered {
    ticket: ShareTicket,
    channel: ChannelId,
    sequence: u32,
}

/// Version bits that miners may roll: 24 of them (BIP323), more than those of V1, which a miner asks for (SPEC 11.10).
const VERSION_MASK: u32 = 0x1fff_ffe0;
/// As the pool spells a share that has to come again later; the protocol has no word for it.
const ERROR_CODE_BUSY: &str = "busy";

const VERSION_BITS: Reject = Reject::Malformed("version bits outside the mask");
const EXTRANONCE_SIZE: Reject = Reject::Malformed("the extranonce has 8 bytes");
const OTHER_KIND: Reject = Reject::Malformed("the channel is of the other kind");

/// A submit as it came.
struct Sent {
    channel: ChannelId,
    sequence: u32,
    job: u32,
    version: u32,
    ntime: u32,
    nonce: u32,
}

impl Session {
    pub(super) fn submit_standard(&mut self, now: UnixMs, submit: &SubmitSharesStandard) {
        let sent = Sent {
            channel: ChannelId(submit.channel_id),
            sequence: submit.sequence_number,
            job: submit.job_id,
            version: submit.version,
            ntime: submit.ntime,
            nonce: submit.nonce,
        };
        self.submit(now, &sent, Kind::Standard, Some([0; 8]));
    }

    pub(super) fn submit_extended(&mut self, now: UnixMs, submit: &SubmitSharesExtended<'_>) {
        let sent = Sent {
            channel: ChannelId(submit.channel_id),
            sequence: submit.sequence_number,
            job: submit.job_id,
            version: submit.version,
            ntime: submit.ntime,
            nonce: submit.nonce,
        };
        self.submit(now, &sent, Kind::Extended, submit.extranonce.as_bytes().try_into().ok());
    }

    fn submit(&mut self, now: UnixMs, sent: &Sent, kind: Kind, extranonce2: Option<[u8; 8]>) {
        let ticket = ShareTicket(self.next_ticket());
        let rolled = rolled(sent, extranonce2);
        let Some(open) = self.channels.get_mut(&sent.channel) else {
            return self.refuse(sent.channel, sent.sequence, Reject::Unauthorized);
        };
        let rolled = if open.kind == kind { rolled } else { Err(OTHER_KIND) };
        let submit = |rolled| Submit { job: JobId(sent.job), rolled, claim: Claim::None, worker: open.worker.clone() };
        match rolled.map(submit).and_then(|submit| open.channel.admit(ticket, submit)) {
            Ok(candidate) => {
                self.unanswered.push(Unanswered { ticket, channel: sent.channel, sequence: sent.sequence });
                self.common(Output::Share(Box::new(candidate)));
            }
            Err(reason) => {
                open.channel.refused(now, reason);
                self.refuse(sent.channel, sent.sequence, reason);
                self.push_job(now, sent.channel);
            }
        }
    }

    /// Answers a submit that earns nothing, and counts it.
    fn refuse(&mut self, channel: ChannelId, sequence: u32, reason: Reject) {
        let miner = self.channels.get(&channel).map(|open| (open.payee, open.worker.clone()));
        self.send(FrameKind::Reply, reply::share_refused(channel.0, sequence, error_code(reason)));
        self.common(Output::Rejected { miner, reason });
    }

    /// Takes in a verdict. Returns the channel that it changed.
    pub(super) fn finish_share(&mut self, now: UnixMs, ticket: ShareTicket, verdict: Verdict) -> Option<ChannelId> {
        let index = self.unanswered.iter().position(|share| share.ticket == ticket)?;
        let Unanswered { channel, sequence, .. } = self.unanswered.swap_remove(index);
        if let Verdict::Accepted { .. } = verdict {
            self.presence.refund_line();
            self.presence.note_share(now);
        }
        let open = self.channels.get_mut(&channel)?;
        let judged = open.channel.finish(now, ticket, verdict)?;
        match verdict {
            Verdict::Accepted { .. } => {
                open.accepted(sequence, judged.difficulty);
                let prefix = open.channel.prefix();
                self.outputs.push_back(SessionOutput::Accepted { prefix });
            }
            Verdict::Rejected(reason) => {
                self.send(FrameKind::Reply, reply::share_refused(channel.0, sequence, error_code(reason)));
                let miner = Some((judged.payee, judged.worker));
                self.common(Output::Rejected { miner, reason });
            }
        }
        if judged.is_forger {
            self.close(CloseReason::ForgedShares);
        }
        Some(channel)
    }

    /// Tells of all accepted shares that were not told of, one message for each channel.
    pub(super) fn acknowledge_shares(&mut self) {
        let told: Vec<Vec<u8>> = self.channels.iter_mut().filter_map(|(id, open)| open.acknowledge(*id)).collect();
        for bytes in told {
            self.send(FrameKind::Reply, Some(bytes));
        }
    }
}

/// The format alone.
fn rolled(sent: &Sent, extranonce2: Option<[u8; 8]>) -> Result<Rolled, Reject> {
    let extranonce2 = extranonce2.ok_or(EXTRANONCE_SIZE)?;
    if sent.version & !VERSION_MASK != JOB_VERSION & !VERSION_MASK {
        return Err(VERSION_BITS);
    }
    Ok(Rolled::Sha256d { extranonce2, version: sent.version, ntime: sent.ntime, nonce: sent.nonce })
}

fn error_code(reason: Reject) -> &'static str {
    match reason {
        VERSION_BITS => ERROR_CODE_SUBMIT_SHARES_INVALID_NON_ROLLABLE_VERSION_BIT,
        EXTRANONCE_SIZE => ERROR_CODE_SUBMIT_SHARES_BAD_EXTRANONCE_SIZE,
        Reject::Malformed(_) | Reject::BadProof => ERROR_CODE_SUBMIT_SHARES_INVALID_SHARE,
        Reject::Unauthorized => ERROR_CODE_SUBMIT_SHARES_INVALID_CHANNEL_ID,
        Reject::UnknownJob => ERROR_CODE_SUBMIT_SHARES_INVALID_JOB_ID,
        Reject::Stale => ERROR_CODE_SUBMIT_SHARES_STALE_SHARE,
        Reject::Duplicate => ERROR_CODE_SUBMIT_SHARES_DUPLICATE_SHARE,
        Reject::LowDifficulty => ERROR_CODE_SUBMIT_SHARES_DIFFICULTY_TOO_LOW,
        Reject::Busy => ERROR_CODE_BUSY,
    }
}
