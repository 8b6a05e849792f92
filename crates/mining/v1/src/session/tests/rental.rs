//! What services that rent out miners say and need: NiceHash's conversation with a pool (`mining.subscribe` with agent, time and digest,
//! `mining.extranonce.subscribe`, a check of the first difficulty), MiningRigRentals' name, ckpool-like floors for both.

use crate::AgentFloor;

use super::*;

const ACCEPTED: Verdict = Verdict::Accepted { block: false };

/// Floors of 7 units for SHA-256d, of as many hashes as make them elsewhere.
fn rig(algorithm: Algorithm, network: u64) -> Rig {
    let floor = AgentFloor { name: "NiceHash".to_owned(), least: ShareDifficulty::from_hashes(7 << 32) };
    let mut rig = Rig::new(algorithm, SessionPolicy { agent_floors: vec![floor], ..policy(1 << 32) });
    let mut work = template(algorithm, 1, 1);
    Arc::make_mut(&mut work.work).network_difficulty = bq_primitives::NetworkDifficulty::from_hashes(network.into());
    rig.template(&work);
    rig
}

fn log_in(rig: &mut Rig, algorithm: Algorithm, agent: &str, password: &str) {
    if algorithm == Algorithm::RandomX {
        return rig.line(&format!(
            r#"{{"id":1,"method":"login","params":{{"login":"wallet.order","pass":"{password}","agent":"{agent}"}}}}"#
        ));
    }
    let kind = if algorithm == Algorithm::Ethash { "EthereumStratum/1.0.0" } else { "1778384896" };
    rig.line(&format!(r#"{{"id":1,"method":"mining.subscribe","params":["{agent}","{kind}","5ad0"]}}"#));
    rig.line(r#"{"id":2,"method":"mining.extranonce.subscribe","params":[]}"#);
    rig.line(&format!(r#"{{"id":3,"method":"mining.authorize","params":["wallet.order","{password}"]}}"#));
}

/// What the first job is worth to such a client, in hashes.
fn first_job(algorithm: Algorithm, agent: &str, password: &str, network: u64) -> u64 {
    let mut rig = rig(algorithm, network);
    log_in(&mut rig, algorithm, agent, password);
    assert_eq!(rig.closed, None);
    rig.session.newest_difficulty().unwrap().hashes()
}

#[test]
fn a_rental_services_first_job_is_as_hard_as_it_wants() {
    for algorithm in Algorithm::ALL {
        let first = |agent: &str, password: &str, network: u64| first_job(algorithm, agent, password, network);
        assert_eq!(first("NiceHash/1.0.0", "x", 1 << 60), 7 << 32, "{algorithm}");
        assert_eq!(first("nicehash", "x", 1 << 60), 7 << 32, "{algorithm}: in any case");
        assert_eq!(first("cpuminer/2.5.1", "x", 1 << 60), 1 << 32, "{algorithm}: nobody else");
        assert_eq!(
            first("NiceHash/1.0.0", "x", 20 << 32),
            2 << 32,
            "{algorithm}: a share is a tenth of a block at most"
        );
        let (asked, hashes) =
            if algorithm == Algorithm::Sha256d { ("d=3", 3 << 32) } else { ("d=30000000", 30_000_000) };
        assert_eq!(first("NiceHash/1.0.0", asked, 1 << 60), hashes, "{algorithm}: what is asked for is kept");
    }
}

#[test]
fn nicehash_verifies_a_sha256d_pool() {
    let mut rig = rig(Algorithm::Sha256d, 1 << 60);
    log_in(&mut rig, Algorithm::Sha256d, "NiceHash/1.0.0", "x");
    let lines = rig.take();
    assert!(lines[0].ends_with(r#",8],"error":null}"#), "room for its own nonce, and a null error: {}", lines[0]);
    assert_eq!(lines[1], r#"{"id":2,"result":true,"error":null}"#);
    assert_eq!(lines[2], r#"{"id":3,"result":true,"error":null}"#);
    assert_eq!(lines[3], r#"{"id":null,"method":"mining.set_difficulty","params":[7]}"#, "before any job");
    assert!(lines[4].contains("mining.notify") && lines.len() == 5);
}

/// An order that has little behind it stays where the service wants it, and one with much goes up.
#[test]
fn difficulty_moves_above_the_floor_and_never_below() {
    let mut rig = rig(Algorithm::Sha256d, 1 << 60);
    log_in(&mut rig, Algorithm::Sha256d, "NiceHash/1.0.0", "x");
    let difficulty = |rig: &Rig| rig.session.newest_difficulty().unwrap().hashes();
    for _ in 0..120 {
        rig.pass(1_000);
        assert_eq!(difficulty(&rig), 7 << 32, "silence");
    }
    for nonce in 0..400 {
        rig.pass(20);
        let (job, ntime) = (rig.session.exchange.newest_job().unwrap().id_hex(), rig.now.timestamp().0);
        rig.line(&format!(
            r#"{{"id":4,"method":"mining.submit","params":["wallet.order","{job}","0000000000000000","{ntime:08x}","{nonce:08x}"]}}"#
        ));
        rig.verdict(ACCEPTED);
    }
    assert!(difficulty(&rig) >= 28 << 32, "fifty shares a second are far too many");
    for _ in 0..1_200 {
        rig.pass(1_000);
    }
    assert_eq!(difficulty(&rig), 7 << 32, "all is gone, and the floor is left");
}
