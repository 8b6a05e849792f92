use std::sync::Arc;

use bq_primitives::{
    Algorithm, BlockId, CompactTarget, Header, Height, KeyHash, MerkleRoot, PowKey, ShareDifficulty, Timestamp,
};
use bq_share::{Claim, ExtranoncePrefix, SessionTicket, SessionTicketId, UnixMs, Verdict};
use bq_stratum_v1::{
    JobTemplate, LINE_BYTES_MAX, LoginOutcome, Output, Session, SessionPolicy, SessionSeed, VardiffPolicy,
};

/// Bytes that the script of a session gives a meaning instead of sending them to the miner's line.
const TICK: u8 = 0xfe;
const NEW_TIP: u8 = 0xfd;
const REFUSE: u8 = 0xfc;

/// Plays a connection: lines of `data` are the miner's, a few bytes that no UTF-8 text has are time, a new tip, and
/// refusals by the pool. Asserts what must hold of everything the session wants to send.
pub fn fuzz_session(algorithm: Algorithm, data: &[u8]) {
    let mut now = UnixMs(1_700_000_000_000);
    let policy = SessionPolicy {
        vardiff: VardiffPolicy { start: ShareDifficulty::MIN, ..VardiffPolicy::default() },
        lines_per_second: 100_000,
        line_burst: 100_000,
        ..SessionPolicy::default()
    };
    let ticket = SessionTicket { id: SessionTicketId(7), tag: [7; 16] };
    let prefix = ExtranoncePrefix { server_id: 1, connection: 7 };
    let seed = SessionSeed { session_id: 7, first_job_id: 1, prefix, ticket };
    let mut session = Session::new(now, algorithm, Arc::new(policy), seed);
    session.handle_template(now, template(algorithm, 1));
    let mut refuse = false;
    for (number, line) in data.split(|byte| *byte == b'\n').take(200).enumerate() {
        match line.first() {
            Some(&TICK) => {
                now = now.after_ms(1_000 * u64::try_from(line.len()).unwrap_or(1));
                session.handle_timeout(now);
            }
            Some(&NEW_TIP) => {
                let height = u32::try_from(number).unwrap_or(0) + 2;
                session.handle_template(now, template(algorithm, height));
            }
            Some(&REFUSE) => refuse = !refuse,
            _ if line.len() < LINE_BYTES_MAX => session.handle_line(now, line),
            _ => {}
        }
        carry_out(&mut session, now, refuse);
        let _ = (session.next_timeout(), session.parting(), session.settled_difficulty());
    }
}

fn carry_out(session: &mut Session, now: UnixMs, refuse: bool) {
    for _ in 0..100 {
        match session.poll_output() {
            None => return,
            Some(Output::Send(frame)) => {
                assert_eq!(frame.bytes.last(), Some(&b'\n'), "a frame is whole lines");
                assert!(std::str::from_utf8(&frame.bytes).is_ok());
            }
            Some(Output::Authorize { ticket, .. }) => {
                let granted = LoginOutcome::Granted { payee: KeyHash([1; 32]), remembered: None, trust: None };
                let outcome = if refuse { LoginOutcome::Refused("no".to_owned()) } else { granted };
                session.handle_login(now, ticket, outcome);
            }
            Some(Output::Share(share)) => {
                assert_eq!(share.seal.algorithm(), share.template.algorithm());
                assert!(matches!(share.claim, Claim::None | Claim::RandomX(_) | Claim::EthashMix(_)));
                session.handle_verdict(now, share.ticket, Verdict::Accepted { block: refuse });
            }
            Some(Output::LoginRefused { .. } | Output::Rejected { .. } | Output::Close(_)) => {}
        }
    }
    panic!("a session must not talk for ever");
}

fn template(algorithm: Algorithm, height: u32) -> Option<Arc<JobTemplate>> {
    let bits = CompactTarget(0x1d00_ffff);
    let key = match algorithm {
        Algorithm::Sha256d => PowKey::Sha256d,
        Algorithm::RandomX => PowKey::RandomX(BlockId([9; 32])),
        Algorithm::Ethash => PowKey::Ethash(0),
    };
    let header = Header {
        version: 1,
        parent_id: BlockId([height.to_le_bytes()[0]; 32]),
        tx_root: MerkleRoot([1; 32]),
        witness_root: MerkleRoot([2; 32]),
        time: Timestamp(1_700_000_000),
        height: Height(height),
        bits,
        algorithm,
    };
    JobTemplate::new(header, bits.decode().ok()?, key, Arc::new(Vec::new())).map(Arc::new)
}
