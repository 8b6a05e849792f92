//! Days on which a pool once froze for good: each ends in a pool that pays.

use std::{
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Result, ensure};
use bq_tests::{BqOptions, BqProcess, Eras, Miner, new_address, sha256d, wait_for, wait_for_agreement};
use serde_json::json;

const LIMIT: Duration = Duration::from_secs(180);
const MATURITY: u64 = 3;

fn options(peer: Option<&BqProcess>) -> Result<BqOptions> {
    let pool = "[pool]\npayout_mode = \"ledger\"\npayout_min = 1000000\npayout_final_depth = 2\npayout_interval_secs = 1\nshare_interval_secs = 1\n\
                [pool.sha256d]\nshare_difficulty_floor = 65536\nshare_difficulty_start = 131072\n";
    let config = Eras::unhurried().then(1, &["sha256d"]).config(u32::try_from(MATURITY)?, pool);
    let arguments = match peer {
        Some(peer) => vec!["--connect".to_owned(), peer.address("p2p")?.to_string()],
        None => Vec::new(),
    };
    Ok(BqOptions { config, arguments, ..BqOptions::default() })
}

/// A folder with the home of a pool, and a miner's address.
struct Place {
    folder: tempfile::TempDir,
    address: String,
}

impl Place {
    fn new() -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let address = new_address(folder.path(), "miner")?;
        Ok(Self { folder, address })
    }

    fn home(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn start(&self, name: &str, options: &BqOptions) -> Result<BqProcess> {
        BqProcess::start(&self.home(name), options)
    }

    fn mining(&self, bq: &BqProcess) -> Result<Miner> {
        let login = format!("{}.rig", self.address);
        Ok(Miner::start(bq.stratum("sha256d")?, move || sha256d::miner(&login, "x")))
    }

    /// Mines until the miner has more on the chain than `before`.
    fn mine_until_paid(&self, bq: &BqProcess, before: u64) -> Result<u64> {
        let miner = self.mining(bq)?;
        let paid = wait_for("a payout", LIMIT, || Ok(Some(bq.coins(&self.address)?).filter(|paid| *paid > before)));
        assert_eq!(miner.stop().breaches, Vec::<String>::new());
        paid
    }

    /// Somebody else's blocks, whose rewards are not this pool's.
    fn mine(&self, bq: &BqProcess, height: u64) -> Result<()> {
        let miner = self.mining(bq)?;
        bq.wait_for_height(height, LIMIT)?;
        assert_eq!(miner.stop().breaches, Vec::<String>::new());
        Ok(())
    }
}

/// All coins that are missing are given up.
fn write_off(bq: &BqProcess) -> Result<()> {
    match bq.balance("missing")? {
        0 => Ok(()),
        missing => bq.decide(&["write-off", &missing.to_string()]).map(drop),
    }
}

#[test]
fn the_key_file_is_lost_while_rewards_are_immature() -> Result<()> {
    let place = Place::new()?;
    let bq = place.start("a", &options(None)?)?;
    let paid = place.mine_until_paid(&bq, 0)?;
    assert!(bq.stop()?.success());

    let key = place.home("a").join("data/pool-wallet.json");
    std::fs::rename(&key, key.with_extension("lost"))?;
    let refused = BqProcess::start_expecting_exit(&place.home("a"), &options(None)?)?;
    ensure!(refused.code == Some(1) && refused.stderr.contains("--new-key"), "{refused:?}");
    let new_key = BqOptions { arguments: vec!["--new-key".to_owned()], ..options(None)? };
    let bq = place.start("a", &new_key)?;
    let miner = place.mining(&bq)?;
    wait_for("missing coins to be told", LIMIT, || Ok(bq.holds("coins_missing")?.then_some(())))?;
    // The change of what was signed with the old key goes missing when that is final: what is missing is given up as often as it
    // is told. What was signed still arrives, so only a reward of the new key shows that it pays.
    let rewards = bq.tip()?.height;
    wait_for("a payout with the new key", LIMIT, || {
        if bq.holds("coins_missing")? {
            write_off(&bq)?;
        }
        Ok((bq.coins(&place.address)? > paid && bq.tip()?.height > rewards + 2 * MATURITY).then_some(()))
    })?;
    let before = bq.coins(&place.address)?;
    wait_for("another payout", LIMIT, || Ok((bq.coins(&place.address)? > before).then_some(())))?;
    assert_eq!(miner.stop().breaches, Vec::<String>::new());
    bq.ensure_balanced()?;
    assert!(bq.stop()?.success());
    Ok(())
}

#[test]
fn the_chain_store_is_lost_and_comes_back_from_a_peer() -> Result<()> {
    let place = Place::new()?;
    let bq = place.start("a", &options(None)?)?;
    let paid = place.mine_until_paid(&bq, 0)?;
    let peer = place.start("b", &options(Some(&bq))?)?;
    let tip = wait_for_agreement(&bq, &peer, LIMIT)?;
    let orphaned = bq.get_json("/api/v1/pool")?["blocks_orphaned"].clone();
    assert!(bq.stop()?.success());

    std::fs::remove_file(place.home("a").join("data/chain.redb"))?;
    let bq = place.start("a", &options(None)?)?;
    wait_for("the pool to say that it waits", LIMIT, || Ok(bq.holds("node_out_of_step")?.then_some(())))?;
    ensure!(bq.get("/health/ready")?.status == 503, "miners would work on a chain of their own");
    bq.rpc()?.call("addnode", &json!([peer.address("p2p")?.to_string()]))?;
    bq.wait_for_height(tip.height, LIMIT)?;
    wait_for("the pool to be ready", LIMIT, || Ok((bq.get("/health/ready")?.status == 200).then_some(())))?;
    assert_eq!(bq.get_json("/api/v1/pool")?["blocks_orphaned"], orphaned, "nothing was orphaned");
    place.mine_until_paid(&bq, paid)?;
    bq.ensure_balanced()?;
    for node in [bq, peer] {
        assert!(node.stop()?.success());
    }
    Ok(())
}

#[test]
fn a_reorganisation_takes_matured_rewards_and_final_payouts() -> Result<()> {
    let place = Place::new()?;
    let bq = place.start("a", &options(None)?)?;
    place.mine_until_paid(&bq, 0)?;
    let orphans = bq.tip()?.height;
    ensure!(orphans > MATURITY, "rewards matured");
    let rival = place.start("b", &options(None)?)?;
    place.mine(&rival, orphans + 4)?;
    bq.rpc()?.call("addnode", &json!([rival.address("p2p")?.to_string()]))?;
    wait_for_agreement(&bq, &rival, LIMIT)?;
    wait_for("the loss to be told", LIMIT, || Ok(bq.holds("orphan_loss")?.then_some(())))?;
    place.mine_until_paid(&bq, bq.coins(&place.address)?)?;
    ensure!(!bq.holds("payout_blocked")?, "what could never be paid is void");
    bq.ensure_balanced()?;
    for node in [bq, rival] {
        assert!(node.stop()?.success());
    }
    Ok(())
}

/// Nothing can be written any more, or everything again.
fn limit_files(bq: &BqProcess, bytes: &str) -> Result<()> {
    let pid = bq.pid().to_string();
    let done = Command::new("prlimit").args(["--pid", &pid, &format!("--fsize={bytes}:")]).status()?;
    ensure!(done.success(), "prlimit: {done}");
    Ok(())
}

#[test]
fn nothing_can_be_written_for_a_while() -> Result<()> {
    let place = Place::new()?;
    // Without this a write beyond the limit ends the process, where a full disk only refuses it.
    let launcher = ["sh", "-c", "trap '' XFSZ; exec \"$@\"", "sh"].map(str::to_owned).to_vec();
    let bq = place.start("a", &BqOptions { launcher, ..options(None)? })?;
    let paid = place.mine_until_paid(&bq, 0)?;
    let miner = place.mining(&bq)?;
    limit_files(&bq, "0")?;
    wait_for("the pool not to be ready", LIMIT, || Ok((bq.get("/health/ready")?.status == 503).then_some(())))?;
    wait_for("the reason", LIMIT, || {
        Ok((bq.holds("shares_not_written")? || bq.holds("books_not_written")?).then_some(()))
    })?;
    limit_files(&bq, "unlimited")?;
    wait_for("the pool to be ready", LIMIT, || Ok((bq.get("/health/ready")?.status == 200).then_some(())))?;
    let height = bq.tip()?.height;
    bq.wait_for_height(height + 3, LIMIT)?;
    assert_eq!(miner.stop().breaches, Vec::<String>::new());
    place.mine_until_paid(&bq, paid)?;
    bq.ensure_balanced()?;
    assert!(bq.stop()?.success());
    audited(&place.home("a"))
}

fn audited(home: &Path) -> Result<()> {
    let [data, config] = ["data", "bq.toml"].map(|name| home.join(name).display().to_string());
    let audit = bq_tests::run_bq(["audit", "--network", "regtest", "--config", &config, "--data-dir", &data])?;
    ensure!(audit.code == Some(0), "{audit:?}");
    Ok(())
}
