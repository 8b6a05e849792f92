use std::sync::Arc;

use bq_channel::{SessionPolicy, VardiffPolicy};
use bq_primitives::{
    Algorithm, BlockId, CompactTarget, Header, Height, KeyHash, MerkleRoot, PowKey, ShareDifficulty, Timestamp,
};
use bq_share::{ExtranoncePrefix, UnixMs, Verdict, WorkTemplate};
use bq_stratum_v2::{ChannelOutcome, FrameBuffer, Output, Session, SessionPolicyV2, SessionSeed, payload_bytes};

/// Message types that the script of a session gives a meaning instead of handing them in.
const TICK: u8 = 0xfe;
const NEW_TIP: u8 = 0xfd;
const REFUSE: u8 = 0xfc;
/// A client that asks for nothing special, so that not every input has to find this first.
const SETUP: [u8; 22] = [0, 0, 0, 16, 0, 0, 0, 2, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];

/// Plays a connection of V2: `data` is what its client sends, a few message types that no client has are time, a new tip, and refusals by
/// the pool. Asserts what must hold of everything that the session wants to send.
pub fn fuzz_session_v2(data: &[u8]) {
    let mut now = UnixMs(1_700_000_000_000);
    let vardiff = VardiffPolicy { start: ShareDifficulty::MIN, ..VardiffPolicy::default() };
    let common = SessionPolicy { vardiff, lines_per_second: 100_000, line_burst: 100_000, ..SessionPolicy::default() };
    let policy = SessionPolicyV2 { common: Arc::new(common), channels_max: 5 };
    let mut session = Session::new(now, policy, SessionSeed { first_job_id: 1 });
    session.handle_template(now, template(1));
    let mut script = Script { number: 0, refuse: false };
    session.handle_frame(now, &mut SETUP.clone());
    script.carry_out(&mut session, now);
    let mut frames = FrameBuffer::default();
    frames.push(data);
    for number in 0..200 {
        let Ok(Some(frame)) = frames.next_frame() else { break };
        match frame[2] {
            TICK => {
                now = now.after_ms(1_000 * u64::try_from(frame.len()).unwrap_or(1));
                session.handle_timeout(now);
            }
            NEW_TIP => session.handle_template(now, template(number + 2)),
            REFUSE => script.refuse = !script.refuse,
            _ => session.handle_frame(now, frame),
        }
        script.carry_out(&mut session, now);
        let _ = (session.next_timeout(), session.settled(false), session.reads_at());
        assert!(session.channels() <= 5);
    }
}

struct Script {
    number: u32,
    refuse: bool,
}

impl Script {
    fn carry_out(&mut self, session: &mut Session, now: UnixMs) {
        for _ in 0..200 {
            match session.poll_output() {
                None => return,
                Some(Output::Open { ticket, .. }) => {
                    self.number += 1;
                    let prefix = ExtranoncePrefix { server_id: 1, connection: self.number };
                    let granted = ChannelOutcome::Granted { prefix, payee: KeyHash([1; 32]), remembered: None };
                    let outcome = if self.refuse { ChannelOutcome::Refused("no".to_owned()) } else { granted };
                    session.handle_channel(now, ticket, outcome);
                }
                Some(Output::Common(bq_channel::Output::Send(frame))) => {
                    let length = frame.bytes.first_chunk().map(|header| payload_bytes(*header));
                    assert_eq!(length, Some(Ok(frame.bytes.len() - 6)), "a frame is whole");
                }
                Some(Output::Common(bq_channel::Output::Share(share))) => {
                    assert_eq!(share.seal.algorithm(), Algorithm::Sha256d);
                    session.handle_verdict(now, share.ticket, Verdict::Accepted { block: self.refuse });
                }
                Some(Output::Accepted { .. } | Output::Closed { .. } | Output::Common(_)) => {}
            }
        }
        panic!("a session must not talk for ever");
    }
}

fn template(height: u32) -> Option<Arc<WorkTemplate>> {
    let bits = CompactTarget(0x1d00_ffff);
    let header = Header {
        version: 1,
        parent_id: BlockId([height.to_le_bytes()[0]; 32]),
        tx_root: MerkleRoot([1; 32]),
        witness_root: MerkleRoot([2; 32]),
        time: Timestamp(1_700_000_000),
        height: Height(height),
        bits,
        algorithm: Algorithm::Sha256d,
    };
    Some(Arc::new(WorkTemplate::new(header, bits.decode().ok()?, PowKey::Sha256d, Arc::default())))
}
