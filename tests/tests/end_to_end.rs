//! The whole mining workflow on the real program: three stock-like miners, an era table that switches the algorithm set
//! at two heights, a reorganisation across a switch, payouts on the chain, and a second node that validates it all.

use std::{path::Path, time::Duration};

use anyhow::{Context, Result};
use bq_tests::{
    BqOptions, BqProcess, Eras, EthashMode, Miner, MinerReport, atoms, ethash, new_address, randomx, sha256d, wait_for,
    wait_for_agreement,
};
use serde_json::Value;

const LIMIT: Duration = Duration::from_secs(240);
const ALL_FROM: u32 = 8;
const TWO_FROM: u32 = 32;
/// Deeper than the reorganisation, as on any network where it is chosen well: nothing that was paid is undone.
const MATURITY: u32 = 16;

fn options(peer: Option<&BqProcess>) -> Result<BqOptions> {
    let pool = "[pool]\npayout_mode = \"ledger\"\npayout_min = 1000000\npayout_final_depth = 12\nshare_interval_secs = 1\n\
                [pool.sha256d]\nshare_difficulty_floor = 65536\nshare_difficulty_start = 131072\n\
                [pool.ethash]\nshare_difficulty_floor = 8\nshare_difficulty_start = 16\n";
    let config = Eras::unhurried()
        .then(1, &["sha256d"])
        .then(ALL_FROM, &["sha256d", "randomx", "ethash"])
        .then(TWO_FROM, &["randomx", "ethash"])
        .config(MATURITY, pool);
    let arguments = match peer {
        Some(peer) => vec!["--connect".to_owned(), peer.address("p2p")?.to_string()],
        None => Vec::new(),
    };
    Ok(BqOptions { config, arguments, ..BqOptions::default() })
}

fn start(root: &Path, name: &str, peer: Option<&BqProcess>) -> Result<BqProcess> {
    BqProcess::start(&root.join(name), &options(peer)?)
}

/// One miner per algorithm, each with an address of its own.
struct Rigs {
    addresses: [String; 3],
    miners: [Miner; 3],
}

impl Rigs {
    fn start(node: &BqProcess, addresses: &[String; 3], mode: EthashMode, nonce_start: u64) -> Result<Self> {
        let [sha, random, ether] = addresses.clone();
        let miners = [
            Miner::start(node.stratum("sha256d")?, move || sha256d::miner(&format!("{sha}.rig"), "x")),
            Miner::start(node.stratum("randomx")?, move || randomx::miner(&format!("{random}.rig"), "x")),
            Miner::start(node.stratum("ethash")?, move || ethash::miner(mode, &ether, "rig", nonce_start)),
        ];
        Ok(Self { addresses: addresses.clone(), miners })
    }

    /// Until every miner has had a share accepted.
    fn wait_for_shares(&self) -> Result<()> {
        wait_for("a share of every miner", LIMIT, || {
            Ok(self.miners.iter().all(|miner| miner.report().accepted > 0).then_some(()))
        })
    }

    fn stop(self) -> [MinerReport; 3] {
        let reports = self.miners.map(Miner::stop);
        assert_eq!(reports[0].silences, 0, "{reports:?}");
        for report in &reports {
            assert_eq!(report.breaches, Vec::<String>::new(), "{report:?}");
            // Stale and late shares are everyday business when the tip moves every second; wrong ones are not.
            for reason in &report.rejected {
                let lower = reason.to_lowercase();
                let everyday = ["stale", "job not found", "expired", "unknown"].iter().any(|word| lower.contains(word));
                assert!(everyday, "{reason}: {report:?}");
            }
        }
        reports
    }
}

#[test]
fn three_algorithms_are_mined_reorganised_and_paid() -> Result<()> {
    let root = tempfile::tempdir()?;
    let root = root.path();
    let addresses = [new_address(root, "sha")?, new_address(root, "random")?, new_address(root, "ether")?];

    // A common beginning inside the first era.
    let main = start(root, "main", None)?;
    let login = format!("{}.rig", addresses[0]);
    let first = Miner::start(main.stratum("sha256d")?, move || sha256d::miner(&login, "x"));
    main.wait_for_height(4, LIMIT)?;
    let report = first.stop();
    assert_eq!(report.breaches, Vec::<String>::new(), "{report:?}");
    let rival = start(root, "rival", Some(&main))?;
    let fork = wait_for_agreement(&main, &rival, LIMIT)?;
    assert!(fork.height < u64::from(ALL_FROM) - 1, "{fork:?}");
    assert!(rival.stop()?.success());

    // Apart, both cross the first switch; the rival goes on to more blocks.
    let rival = start(root, "rival", None)?;
    assert_eq!(rival.tip()?, fork, "a restart keeps the chain");
    let rigs = Rigs::start(&main, &addresses, EthashMode::EthProxy, 0)?;
    main.wait_for_height(u64::from(ALL_FROM) + 2, LIMIT)?;
    let reports = rigs.stop();
    assert!(reports.iter().all(|report| report.logins > 0), "{reports:?}");
    let given_up = main.tip()?;
    let rival_rigs = Rigs::start(&rival, &addresses, EthashMode::Version2, 1 << 20)?;
    rival.wait_for_height(given_up.height + 8, LIMIT)?;
    rival_rigs.wait_for_shares()?;
    rival_rigs.stop();
    let heavier = rival.tip()?;
    assert!(rival.stop()?.success());

    let rival = start(root, "rival", Some(&main))?;
    let agreed = wait_for_agreement(&main, &rival, LIMIT)?;
    assert_eq!(agreed, heavier, "the heavier branch wins on both");
    // Everything above the fork was the pool's own.
    let expected = given_up.height - fork.height;
    wait_for(&format!("{expected} orphaned blocks in the books"), LIMIT, || {
        let orphaned = main.get_json("/api/v1/pool")?["blocks_orphaned"].as_u64();
        Ok(orphaned.filter(|count| *count >= expected))
    })?;
    main.ensure_balanced()?;

    // On through the second switch until everyone has found a block that counts and was paid for good.
    let rigs = Rigs::start(&main, &addresses, EthashMode::Stratum, 1 << 50)?;
    main.wait_for_height(u64::from(TWO_FROM) + 1, LIMIT)?;
    for address in &rigs.addresses {
        wait_for(&format!("a matured block and a payout of {address}"), LIMIT, || paid(&main, address))?;
    }
    rigs.stop();
    main.ensure_balanced()?;
    check_algorithms(&main)?;

    // Blocks keep coming from nobody now, so the two can agree, and a fresh node validates everything from genesis.
    wait_for_agreement(&main, &rival, LIMIT)?;
    let fresh = start(root, "fresh", Some(&main))?;
    wait_for_agreement(&main, &fresh, LIMIT)?;
    for node in [main, rival, fresh] {
        node.ensure_balanced()?;
        assert!(node.stop()?.success());
    }
    Ok(())
}

/// A block found by `address` matured, and a payout of it is final.
fn paid(node: &BqProcess, address: &str) -> Result<Option<()>> {
    let blocks = pool_blocks(node)?;
    let found = blocks.iter().any(|block| block["finder"] == address && block["state"] == "matured");
    let Some(miner) = node.miner(address)? else { return Ok(None) };
    let final_payout =
        |payout: &Value| payout["state"] == "final" && payout["txid"].as_str().is_some_and(|t| t.len() == 64);
    let payouts = miner["payouts"].as_array().context("payouts")?;
    Ok((found && atoms(&miner["paid"])? > 0 && payouts.iter().any(final_payout)).then_some(()))
}

/// Every block of the best chain that the pool found has an algorithm of its era.
fn check_algorithms(node: &BqProcess) -> Result<()> {
    let mut seen = std::collections::BTreeSet::new();
    for block in pool_blocks(node)? {
        let height = u32::try_from(block["height"].as_u64().context("height")?)?;
        let algorithm = block["algorithm"].as_str().context("algorithm")?;
        match height {
            ..ALL_FROM => assert_eq!(algorithm, "sha256d", "{block}"),
            TWO_FROM.. => assert_ne!(algorithm, "sha256d", "{block}"),
            _ => {}
        }
        seen.insert(algorithm.to_owned());
    }
    assert_eq!(seen.len(), 3, "{seen:?}");
    Ok(())
}

/// As many of the pool's blocks as one answer holds: a fast machine finds more than are shown unasked.
fn pool_blocks(node: &BqProcess) -> Result<Vec<Value>> {
    let blocks = node.get_json("/api/v1/blocks?limit=500")?;
    Ok(blocks["blocks"].as_array().context("blocks")?.clone())
}
