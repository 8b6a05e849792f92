//! Twenty times `kill -9` while shares flow: what was acknowledged is kept, the books balance, the chain goes on.

use std::time::Duration;

use anyhow::Result;
use bq_tests::{BqOptions, BqProcess, Eras, EthashMode, Miner, booked_shares, ethash, new_address, sha256d, wait_for};

const LIMIT: Duration = Duration::from_secs(60);
const RESTARTS: u32 = 20;

fn options() -> BqOptions {
    let pool = "[pool]\npayout_min = 1000000\npayout_final_depth = 2\nshare_interval_secs = 1\n\
                [pool.sha256d]\nshare_difficulty_floor = 16384\nshare_difficulty_start = 16384\n\
                [pool.ethash]\nshare_difficulty_floor = 8\nshare_difficulty_start = 16\n";
    BqOptions { config: Eras::unhurried().then(1, &["sha256d", "ethash"]).config(4, pool), ..BqOptions::default() }
}

#[test]
fn no_acknowledged_share_is_lost() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let (sha, ether) = (new_address(folder.path(), "sha")?, new_address(folder.path(), "ether")?);
    let mut bq = BqProcess::start(folder.path(), &options())?;
    let sha_login = format!("{sha}.rig");
    let miners = [
        Miner::start(bq.stratum("sha256d")?, move || sha256d::miner(&sha_login, "x")),
        Miner::start(bq.stratum("ethash")?, move || ethash::miner(EthashMode::Stratum, &ether, "rig", 0)),
    ];
    let accepted = || miners.iter().map(|miner| miner.report().accepted).collect::<Vec<_>>();
    let mut height = 0;
    for restart in 0..RESTARTS {
        let before = accepted();
        let more = 3 + u64::from(restart % 5);
        // Most restarts hit a server that still builds its Ethash cache; every fifth waits until that port answers too.
        let everyone = restart % 5 == 4;
        wait_for("shares to flow", LIMIT, || {
            let gained: Vec<u64> = accepted().iter().zip(&before).map(|(now, before)| now - before).collect();
            Ok((gained.iter().sum::<u64>() >= more && (!everyone || gained.iter().all(|count| *count > 0)))
                .then_some(()))
        })?;
        height = bq.tip()?.height.max(height);
        bq.kill_hard()?;
        for miner in &miners {
            miner.set_address(None);
        }
        bq = BqProcess::start(folder.path(), &options())?;
        let tip = bq.tip()?;
        assert!(tip.height >= height, "restart {restart}: {tip:?} after height {height}");
        bq.ensure_balanced()?;
        let (acknowledged, sent) = miners.iter().map(Miner::report).fold((0, 0), |(acknowledged, sent), report| {
            (acknowledged + report.accepted, sent + report.accepted + report.unanswered)
        });
        let booked = booked_shares(folder.path())?;
        assert!(booked >= acknowledged, "restart {restart}: {booked} shares booked, {acknowledged} acknowledged");
        assert!(booked <= sent, "restart {restart}: {booked} shares booked, {sent} sent");
        for (miner, algorithm) in miners.iter().zip(["sha256d", "ethash"]) {
            miner.set_address(Some(bq.stratum(algorithm)?));
        }
    }
    bq.wait_for_height(height + 3, LIMIT)?;
    let reports = miners.map(Miner::stop);
    for report in &reports {
        assert_eq!(report.breaches, Vec::<String>::new(), "{report:?}");
        assert!(report.logins > 4 && report.accepted > 4, "{report:?}");
    }
    bq.ensure_balanced()?;
    assert!(bq.stop()?.success());
    Ok(())
}
