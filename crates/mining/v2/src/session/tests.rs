mod conversations;
mod credit;
mod properties;

use std::sync::Arc;

use binary_sv2::{GetSize, Serialize, Str0255Owned, from_bytes};
use bq_channel::{CloseReason, FrameKind, SessionPolicy, VardiffPolicy};
use bq_primitives::{
    Algorithm, BlockId, CompactTarget, Header, Height, KeyHash, MerkleRoot, PowKey, ShareDifficulty, Target, Timestamp,
    U256,
};
use bq_share::{ExtranoncePrefix, Reject, ShareCandidate, UnixMs, Verdict, WorkTemplate};
use common_messages_sv2::{Protocol, SetupConnectionOwned};
use framing_sv2::framing::{EncodableFrame as _, MessageFrame};
use mining_sv2::{
    NewExtendedMiningJob, NewMiningJob, OpenExtendedMiningChannelOwned, OpenExtendedMiningChannelSuccess,
    OpenMiningChannelError, OpenStandardMiningChannelOwned, OpenStandardMiningChannelSuccess, SetNewPrevHash,
    SetTarget, SubmitSharesError, SubmitSharesExtendedOwned, SubmitSharesStandard, SubmitSharesSuccess,
};

use super::{ChannelOutcome, Output, Session, SessionPolicyV2, SessionSeed};

/// A template whose parent is `tip` repeated and whose body is told by `body`; blocks take 2^`bits` hashes.
pub(super) fn template(tip: u8, body: u8, bits: usize) -> Arc<WorkTemplate> {
    let header = Header {
        version: 1,
        parent_id: BlockId([tip; 32]),
        tx_root: MerkleRoot([body; 32]),
        witness_root: MerkleRoot([body; 32]),
        time: Timestamp(1_800_000_000),
        height: Height(70_000),
        bits: CompactTarget(0x1d00_ffff),
        algorithm: Algorithm::Sha256d,
    };
    Arc::new(WorkTemplate::new(
        header,
        Target(U256::MAX >> bits),
        PowKey::Sha256d,
        bq_primitives::UnsealedBody::default(),
    ))
}

pub(super) fn policy(start: u64) -> SessionPolicyV2 {
    let start = ShareDifficulty::from_hashes(start);
    let vardiff = VardiffPolicy { start, ..VardiffPolicy::default() };
    SessionPolicyV2 { common: Arc::new(SessionPolicy { vardiff, ..SessionPolicy::default() }), channels_max: 20 }
}

/// What the session said, as far as the tests look at it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Said {
    SetUp,
    SetupRefused(String),
    Opened {
        request: u32,
        channel: u32,
        group: u32,
        target: U256,
        prefix: Vec<u8>,
        rolls: u16,
    },
    Refused {
        request: u32,
        code: String,
    },
    Target {
        channel: u32,
        target: U256,
    },
    /// `is_future`: it waits for its previous hash.
    Job {
        channel: u32,
        job: u32,
        is_future: bool,
        is_extended: bool,
    },
    PrevHash {
        channel: u32,
        job: u32,
        parent: [u8; 32],
    },
    Accepted {
        channel: u32,
        last: u32,
        count: u32,
    },
    ShareRefused {
        channel: u32,
        sequence: u32,
        code: String,
    },
    Closed {
        channel: u32,
        code: String,
    },
    Other(u8),
}

/// A session with somebody at the other end who carries out its outputs.
pub(super) struct Rig {
    pub(super) session: Session,
    pub(super) now: UnixMs,
    pub(super) said: Vec<Said>,
    pub(super) shares: Vec<ShareCandidate>,
    pub(super) rejected: Vec<Reject>,
    /// Logins that were refused, and why.
    pub(super) refused: Vec<(String, String)>,
    pub(super) closed: Option<CloseReason>,
    /// Answers to channels that ask: nobody's address is `nobody`.
    pub(super) next_number: u32,
    pub(super) freed: Vec<ExtranoncePrefix>,
    pub(super) proved: Vec<ExtranoncePrefix>,
}

impl Rig {
    pub(super) fn new(policy: SessionPolicyV2) -> Self {
        let now = UnixMs(1_778_384_896_000); // ntime 6a000000
        Self {
            session: Session::new(now, policy, SessionSeed { first_job_id: 0x1f }),
            now,
            said: Vec::new(),
            shares: Vec::new(),
            rejected: Vec::new(),
            refused: Vec::new(),
            closed: None,
            next_number: 100,
            freed: Vec::new(),
            proved: Vec::new(),
        }
    }

    /// With work, and past the first exchange.
    pub(super) fn set_up(policy: SessionPolicyV2, flags: u32) -> Self {
        let mut rig = Self::new(policy);
        rig.template(&template(1, 0, 40));
        rig.message(setup(flags), 0x00);
        assert_eq!(rig.take(), [Said::SetUp]);
        rig
    }

    pub(super) fn drive(&mut self) {
        while let Some(output) = self.session.poll_output() {
            match output {
                Output::Common(bq_channel::Output::Send(frame)) => {
                    let is_job = matches!(frame.bytes[2], 0x15 | 0x1f);
                    assert_eq!(is_job, frame.kind == FrameKind::Work, "{frame:?}");
                    self.said.push(read(frame.bytes));
                }
                Output::Common(bq_channel::Output::Share(share)) => self.shares.push(*share),
                Output::Common(bq_channel::Output::Rejected { reason, .. }) => self.rejected.push(reason),
                Output::Common(bq_channel::Output::Close(reason)) => self.closed = Some(reason),
                Output::Common(bq_channel::Output::LoginRefused { login, reason, .. }) => {
                    self.refused.push((login, reason));
                }
                Output::Common(bq_channel::Output::Authorize { .. }) => panic!("channels log in by being opened"),
                Output::Open { ticket, address, .. } => {
                    let outcome = self.answer(&address);
                    self.session.handle_channel(self.now, ticket, outcome);
                }
                Output::Accepted { prefix } => self.proved.push(prefix),
                Output::Closed { prefix, .. } => self.freed.push(prefix),
            }
        }
    }

    fn answer(&mut self, address: &str) -> ChannelOutcome {
        let [account, ..] = address.as_bytes() else { return ChannelOutcome::Refused("empty".to_owned()) };
        match address {
            "nobody" => ChannelOutcome::Refused("unknown".to_owned()),
            "token" => ChannelOutcome::BadToken("wrong token".to_owned()),
            "full" => ChannelOutcome::Full,
            "later" => ChannelOutcome::Unavailable,
            _ => {
                self.next_number += 1;
                let prefix = ExtranoncePrefix { server_id: 1, connection: self.next_number };
                ChannelOutcome::Granted { prefix, payee: KeyHash([*account; 32]), remembered: None }
            }
        }
    }

    pub(super) fn frame(&mut self, mut bytes: Vec<u8>) {
        self.session.handle_frame(self.now, &mut bytes);
        self.drive();
    }

    pub(super) fn message<T: Serialize + GetSize>(&mut self, message: T, kind: u8) {
        self.frame(frame(message, kind));
    }

    pub(super) fn template(&mut self, template: &Arc<WorkTemplate>) {
        self.session.handle_template(self.now, Some(Arc::clone(template)));
        self.drive();
    }

    pub(super) fn pass(&mut self, span_ms: u64) {
        self.now = self.now.after_ms(span_ms);
        self.session.handle_timeout(self.now);
        self.drive();
    }

    /// The verdict on the share that waits longest.
    pub(super) fn verdict(&mut self, verdict: Verdict) {
        let share = self.shares.remove(0);
        self.session.handle_verdict(self.now, share.ticket, verdict);
        self.drive();
    }

    pub(super) fn open_standard(&mut self, user: &str) -> u32 {
        self.message(standard(1, user, 0.0, [0xff; 32]), 0x10);
        self.opened()
    }

    pub(super) fn open_extended(&mut self, user: &str) -> u32 {
        self.message(extended(1, user, 8), 0x13);
        self.opened()
    }

    fn opened(&self) -> u32 {
        let opened = self.said.iter().rev().find_map(|said| match said {
            Said::Opened { channel, .. } => Some(*channel),
            _ => None,
        });
        opened.unwrap_or_else(|| panic!("{:?}", self.said))
    }

    pub(super) fn submit(&mut self, channel: u32, sequence: u32, job: u32, nonce: u32) {
        let (ntime, version) = (0x6a00_0000, 0x2000_0000);
        let submit =
            SubmitSharesStandard { channel_id: channel, sequence_number: sequence, job_id: job, nonce, ntime, version };
        self.message(submit, 0x1a);
    }

    pub(super) fn submit_extended(&mut self, channel: u32, sequence: u32, job: u32, nonce: u32) {
        let submit = SubmitSharesExtendedOwned {
            channel_id: channel,
            sequence_number: sequence,
            job_id: job,
            nonce,
            ntime: 0x6a00_0000,
            version: 0x2000_0000,
            extranonce: [0; 8].try_into().unwrap(),
        };
        self.message(submit, 0x1b);
    }

    /// Said since the last look.
    pub(super) fn take(&mut self) -> Vec<Said> {
        std::mem::take(&mut self.said)
    }
}

pub(super) fn frame<T: Serialize + GetSize>(message: T, kind: u8) -> Vec<u8> {
    let frame = MessageFrame::from_message(message, kind, 0, kind >= 0x15).unwrap();
    let mut bytes = vec![0; frame.encoded_length()];
    frame.encode_into(&mut bytes).unwrap();
    bytes
}

pub(super) fn text(words: &str) -> Str0255Owned {
    words.try_into().unwrap()
}

pub(super) fn setup(flags: u32) -> SetupConnectionOwned {
    SetupConnectionOwned {
        protocol: Protocol::MiningProtocol,
        min_version: 2,
        max_version: 3,
        flags,
        endpoint_host: text("pool.example"),
        endpoint_port: 3336,
        vendor: text(""),
        hardware_version: text(""),
        firmware: text(""),
        device_id: text(""),
    }
}

pub(super) fn standard(
    request: u32,
    user: &str,
    hash_rate: f32,
    max_target: [u8; 32],
) -> OpenStandardMiningChannelOwned {
    OpenStandardMiningChannelOwned {
        request_id: request,
        user_identity: text(user),
        nominal_hash_rate: hash_rate,
        max_target: max_target.into(),
    }
}

pub(super) fn extended(request: u32, user: &str, min_extranonce_size: u16) -> OpenExtendedMiningChannelOwned {
    OpenExtendedMiningChannelOwned {
        request_id: request,
        user_identity: text(user),
        nominal_hash_rate: 0.0,
        max_target: [0xff; 32].into(),
        min_extranonce_size,
    }
}

fn words(text: &[u8]) -> String {
    String::from_utf8(text.to_vec()).unwrap()
}

/// Reads a frame as the public crates do.
fn read(mut frame: Vec<u8>) -> Said {
    let kind = frame[2];
    let payload = &mut frame[6..];
    match kind {
        0x01 => Said::SetUp,
        0x02 => {
            let refused: common_messages_sv2::SetupConnectionError<'_> = from_bytes(payload).unwrap();
            Said::SetupRefused(words(refused.error_code.as_bytes()))
        }
        0x11 => {
            let opened: OpenStandardMiningChannelSuccess<'_> = from_bytes(payload).unwrap();
            Said::Opened {
                request: opened.request_id,
                channel: opened.channel_id,
                group: opened.group_channel_id,
                target: U256::from_le_bytes(*opened.target.as_array()),
                prefix: opened.extranonce_prefix.as_bytes().to_vec(),
                rolls: 0,
            }
        }
        0x14 => {
            let opened: OpenExtendedMiningChannelSuccess<'_> = from_bytes(payload).unwrap();
            Said::Opened {
                request: opened.request_id,
                channel: opened.channel_id,
                group: opened.group_channel_id,
                target: U256::from_le_bytes(*opened.target.as_array()),
                prefix: opened.extranonce_prefix.as_bytes().to_vec(),
                rolls: opened.extranonce_size,
            }
        }
        0x12 => {
            let refused: OpenMiningChannelError<'_> = from_bytes(payload).unwrap();
            Said::Refused { request: refused.request_id, code: words(refused.error_code.as_bytes()) }
        }
        0x15 => {
            let job: NewMiningJob<'_> = from_bytes(payload).unwrap();
            Said::Job { channel: job.channel_id, job: job.job_id, is_future: job.is_future(), is_extended: false }
        }
        0x1f => {
            let job: NewExtendedMiningJob<'_> = from_bytes(payload).unwrap();
            Said::Job { channel: job.channel_id, job: job.job_id, is_future: job.is_future(), is_extended: true }
        }
        0x20 => {
            let new: SetNewPrevHash<'_> = from_bytes(payload).unwrap();
            Said::PrevHash { channel: new.channel_id, job: new.job_id, parent: *new.prev_hash.as_array() }
        }
        0x21 => {
            let new: SetTarget<'_> = from_bytes(payload).unwrap();
            Said::Target { channel: new.channel_id, target: U256::from_le_bytes(*new.maximum_target.as_array()) }
        }
        0x1c => {
            let accepted: SubmitSharesSuccess = from_bytes(payload).unwrap();
            Said::Accepted {
                channel: accepted.channel_id,
                last: accepted.last_sequence_number,
                count: accepted.new_submits_accepted_count,
            }
        }
        0x1d => {
            let refused: SubmitSharesError<'_> = from_bytes(payload).unwrap();
            let (channel, sequence) = (refused.channel_id, refused.sequence_number);
            Said::ShareRefused { channel, sequence, code: words(refused.error_code.as_bytes()) }
        }
        0x18 => {
            let closed: mining_sv2::CloseChannel<'_> = from_bytes(payload).unwrap();
            Said::Closed { channel: closed.channel_id, code: words(closed.reason_code.as_bytes()) }
        }
        kind => Said::Other(kind),
    }
}
