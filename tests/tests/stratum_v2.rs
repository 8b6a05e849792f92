//! Stratum V2 on the real program: a device made of the public crates alone mines blocks on a standard and an extended channel and is
//! credited in the books; and the public test device itself, where it is installed.

use std::{
    path::PathBuf,
    process::{Command, Stdio},
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use bq_tests::{BqOptions, BqProcess, Device, Eras, new_address, wait_for};

const LIMIT: Duration = Duration::from_secs(120);

/// SHA-256d alone, so that a block takes some ten thousand hashes.
fn options() -> BqOptions {
    let pool = "[pool]\npayout_mode = \"ledger\"\nshare_interval_secs = 1\n\
                [pool.sha256d]\nshare_difficulty_floor = 1024\nshare_difficulty_start = 1024\n";
    BqOptions { config: Eras::unhurried().then(1, &["sha256d"]).config(16, pool), ..BqOptions::default() }
}

/// The key in the URL that devices are told.
fn authority_key(bq: &BqProcess) -> Result<String> {
    let connect = bq.get_json("/api/v1/connect")?;
    let url = connect["ports"][3]["command"].as_str().context("no port of V2")?.to_owned();
    let port = bq.address("stratum_v2")?.port();
    let key = url.strip_prefix(&format!("stratum2+tcp://HOST:{port}/")).with_context(|| url.clone())?;
    Ok(key.to_owned())
}

fn accepted(bq: &BqProcess, address: &str) -> Result<u64> {
    let miner = bq.get(&format!("/api/v1/miners/{address}"))?;
    if miner.status == 404 {
        return Ok(0);
    }
    miner.json()?["workers"][0]["shares"]["accepted"].as_u64().context("no count of shares")
}

#[test]
fn a_device_finds_blocks_on_both_kinds_of_channel_and_is_credited() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let addresses = [new_address(folder.path(), "standard")?, new_address(folder.path(), "extended")?];
    let bq = BqProcess::start(&folder.path().join("node"), &options())?;
    let mut device = Device::set_up(bq.address("stratum_v2")?, &authority_key(&bq)?, 0)?;
    let channels = [
        device.open_standard(&format!("{}.rig1", addresses[0]))?,
        device.open_extended(&format!("{}.rig2", addresses[1]))?,
    ];
    for (channel, height) in channels.into_iter().zip(1..) {
        device.wait_for_work(channel)?;
        let share = device.search(channel, 0, true)?;
        ensure!(share.is_block);
        let sequence = device.submit(&share)?;
        let answer = device.answer(sequence)?;
        ensure!(answer.is_ok(), "{answer:?}");
        bq.wait_for_height(height, LIMIT)?;
        // Both channels hear of the new tip before either goes on.
        while channels.iter().any(|channel| device.channels[channel].active == Some(share.job)) {
            device.hear()?;
        }
    }
    for (address, worker) in addresses.iter().zip(["rig1", "rig2"]) {
        wait_for("a share of each account", LIMIT, || Ok((accepted(&bq, address)? == 1).then_some(())))?;
        let miner = || bq.get_json(&format!("/api/v1/miners/{address}"));
        assert_eq!(miner()?["workers"][0]["name"], worker);
        wait_for("its part of the blocks", LIMIT, || {
            Ok(miner()?["immature"].as_str().is_some_and(|atoms| atoms != "0").then_some(()))
        })?;
    }
    assert_eq!(bq.get_json("/api/v1/blocks")?["blocks"].as_array().map(Vec::len), Some(2));
    assert!(bq.stop()?.success());

    // The key is kept: devices that know it come back.
    let again = BqProcess::start(&folder.path().join("node"), &options())?;
    drop(Device::set_up(again.address("stratum_v2")?, &authority_key(&again)?, 0)?);
    Ok(())
}

#[test]
fn another_key_is_not_the_pools_and_v2_can_be_off() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let bq = BqProcess::start(&folder.path().join("node"), &options())?;
    let other = "9auqWEzQDVyd2oe1JVGFLMLHZtCo2FFqZwtKA5gd9xbuEu7PH72";
    ensure!(Device::connect(bq.address("stratum_v2")?, other).is_err(), "the device took another's signature");
    assert!(bq.stop()?.success());
    let mut off = options();
    off.config.push_str("\n[stratum]\nv2_enabled = false\n");
    let bq = BqProcess::start(&folder.path().join("node"), &off)?;
    ensure!(bq.address("stratum_v2").is_err(), "a port is open");
    assert!(bq.stop()?.success());
    Ok(())
}

/// Where `scripts/install-deps.sh mining-device` puts it, or where `BQ_MINING_DEVICE` says.
fn mining_device() -> Option<PathBuf> {
    let beside = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../target/mining-device/bin/mining_device");
    let path = std::env::var_os("BQ_MINING_DEVICE").map_or(beside, PathBuf::from);
    path.exists().then_some(path)
}

#[test]
#[expect(clippy::print_stderr, reason = "whoever runs the tests should see what was not tested")]
fn the_public_mining_device_finds_a_block() -> Result<()> {
    let Some(program) = mining_device() else {
        eprintln!("skipped: mining_device is not installed (scripts/install-deps.sh mining-device)");
        return Ok(());
    };
    let folder = tempfile::tempdir()?;
    let address = new_address(folder.path(), "device")?;
    let bq = BqProcess::start(&folder.path().join("node"), &options())?;
    let log = std::fs::File::create(folder.path().join("device.log"))?;
    let mut device = Command::new(program)
        .args(["--address-pool", &bq.address("stratum_v2")?.to_string(), "--pubkey-pool", &authority_key(&bq)?])
        .args(["--id-user", &format!("{address}.rig1"), "--cores", "1"])
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .spawn()?;
    let found = bq.wait_for_height(3, LIMIT);
    let _gone = device.kill();
    device.wait()?;
    found.with_context(|| std::fs::read_to_string(folder.path().join("device.log")).unwrap_or_default())?;
    wait_for("its shares in the books", LIMIT, || Ok((accepted(&bq, &address)? > 0).then_some(())))?;
    Ok(())
}
