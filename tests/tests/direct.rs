//! A pool that pays in the coinbase, on the real program: the blocks of each algorithm pay that algorithm's miners, and nothing is left to
//! be paid out.

use std::{collections::BTreeMap, path::Path, time::Duration};

use anyhow::{Context, Result, ensure};
use bq_tests::{
    BqOptions, BqProcess, Eras, EthashMode, Miner, atoms, ethash, new_address, randomx, run_bq, sha256d, wait_for,
};
use serde_json::{Value, json};

const LIMIT: Duration = Duration::from_secs(240);
const ALGORITHMS: [&str; 3] = ["sha256d", "randomx", "ethash"];

fn options() -> BqOptions {
    let pool = "[pool]\nshare_interval_secs = 1\n\
                [pool.sha256d]\nshare_difficulty_floor = 16384\nshare_difficulty_start = 16384\n\
                [pool.randomx]\nshare_difficulty_floor = 4\nshare_difficulty_start = 4\n\
                [pool.ethash]\nshare_difficulty_floor = 8\nshare_difficulty_start = 16\n";
    BqOptions { config: Eras::unhurried().then(1, &ALGORITHMS).config(6, pool), ..BqOptions::default() }
}

#[test]
fn each_block_pays_the_miners_of_its_algorithm() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let addresses = [
        new_address(folder.path(), "sha")?,
        new_address(folder.path(), "random")?,
        new_address(folder.path(), "ether")?,
    ];
    let mut bq = BqProcess::start(folder.path(), &options())?;
    let [sha, random, ether] = addresses.clone();
    let miners = [
        Miner::start(bq.stratum("sha256d")?, move || sha256d::miner(&format!("{sha}.rig"), "x")),
        Miner::start(bq.stratum("randomx")?, move || randomx::miner(&format!("{random}.rig"), "x")),
        Miner::start(bq.stratum("ethash")?, move || ethash::miner(EthashMode::Stratum, &ether, "rig", 0)),
    ];
    for address in &addresses {
        wait_for(&format!("a matured coinbase that pays {address}"), LIMIT, || matured(&bq, address))?;
    }
    what_is_mined_is_what_is_shown(&bq, &addresses)?;
    // A crash in the middle changes nothing of it.
    bq.kill_hard()?;
    miners.iter().for_each(|miner| miner.set_address(None));
    bq = BqProcess::start(folder.path(), &options())?;
    for (miner, algorithm) in miners.iter().zip(ALGORITHMS) {
        miner.set_address(Some(bq.stratum(algorithm)?));
    }
    let height = bq.tip()?.height;
    bq.wait_for_height(height + 4, LIMIT)?;
    for report in miners.map(Miner::stop) {
        assert_eq!(report.breaches, Vec::<String>::new(), "{report:?}");
    }
    for (address, algorithm) in addresses.iter().zip(ALGORITHMS) {
        wait_for("the books to have followed", LIMIT, || Ok(books_and_chain(&bq, address, algorithm).ok()))?;
        books_and_chain(&bq, address, algorithm)?;
    }
    bq.ensure_balanced()?;
    let status = bq.get_json("/api/v1/pool")?;
    ensure!(status["payout_mode"] == "direct" && status["payable"] == "0" && status["in_flight"] == "0", "{status}");
    assert!(bq.stop()?.success());
    audited(folder.path())
}

/// A coinbase that pays an address matured.
fn matured(bq: &BqProcess, address: &str) -> Result<Option<()>> {
    let Some(miner) = bq.miner(address)? else { return Ok(None) };
    let coinbases = miner["coinbases"].as_array().context("coinbases")?;
    Ok(coinbases.iter().any(|coinbase| coinbase["state"] == "matured").then_some(()))
}

/// What `/api/v1/coinbase` says is what `getblocktemplate` gives, and sums to the reward.
fn what_is_mined_is_what_is_shown(bq: &BqProcess, addresses: &[String; 3]) -> Result<()> {
    let same = || {
        let shown = bq.get_json("/api/v1/coinbase")?;
        let template = bq.rpc()?.call("getblocktemplate", &json!([{}]))?;
        let works = template["works"].as_array().context("works")?;
        let is_same = works.iter().all(|work| {
            let name = work["algorithm"].as_str().unwrap_or_default();
            work["coinbase"]["data"] == shown["algorithms"][name]["transaction"]
        });
        Ok(is_same.then_some(shown))
    };
    let shown: Value = wait_for("page and template of one moment", LIMIT, same)?;
    for (address, algorithm) in addresses.iter().zip(ALGORITHMS) {
        let lane = &shown["algorithms"][algorithm];
        let outputs = lane["outputs"].as_array().context("outputs")?;
        let mut sum = atoms(&lane["own"])?;
        for output in outputs {
            ensure!(output["address"] == address.as_str(), "{algorithm} pays {output}");
            sum += atoms(&output["amount"])?;
        }
        ensure!(!outputs.is_empty() && sum == atoms(&lane["reward"])?, "{lane}");
    }
    Ok(())
}

/// Each block that paid an address is one of its algorithm, the books have every coinbase that pays it, and no payout does.
fn books_and_chain(bq: &BqProcess, address: &str, algorithm: &str) -> Result<()> {
    let miner = bq.miner(address)?.context("it mined here")?;
    let mut by_state: BTreeMap<&str, u64> = BTreeMap::new();
    for coinbase in miner["coinbases"].as_array().context("coinbases")? {
        ensure!(coinbase["algorithm"] == algorithm, "{coinbase}");
        *by_state.entry(coinbase["state"].as_str().context("a state")?).or_default() += atoms(&coinbase["amount"])?;
    }
    let on_chain: u64 = ["immature", "matured"].iter().filter_map(|state| by_state.get(state)).sum();
    ensure!(bq.coins(address)? == on_chain, "{} on the chain, {by_state:?}", bq.coins(address)?);
    ensure!(atoms(&miner["paid"])? == by_state.get("matured").copied().unwrap_or(0), "{miner}");
    ensure!(miner["payouts"] == json!([]) && miner["payable"] == "0", "{miner}");
    Ok(())
}

fn audited(folder: &Path) -> Result<()> {
    let place = |name: &str| folder.join(name).display().to_string();
    let (config, data) = (place("bq.toml"), place("data"));
    let audit = run_bq(["audit", "--network", "regtest", "--config", &config, "--data-dir", &data])?;
    ensure!(audit.code == Some(0), "{audit:?}");
    Ok(())
}
