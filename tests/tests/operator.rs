//! What an operator decides, on the real program: stops have a voice and an end, wrong values are refused, nothing is paid twice.

use std::{path::Path, time::Duration};

use anyhow::{Context, Result, ensure};
use bq_tests::{BqOptions, BqProcess, Eras, LineClient, Miner, RpcClient, new_address, run_bq, sha256d, wait_for};
use serde_json::{Value, json};

const LIMIT: Duration = Duration::from_secs(120);
/// What the tests withdraw: a fifth of a block's fee at most.
const SOME: u64 = 10_000_000;

fn options() -> BqOptions {
    let pool = "[pool]\npayout_mode = \"ledger\"\nfee_bp = 1000\npayout_min = 1000000\npayout_final_depth = 2\npayout_interval_secs = 1\nshare_interval_secs = 1\n\
                [pool.sha256d]\nshare_difficulty_floor = 65536\nshare_difficulty_start = 131072\n";
    let config = Eras::unhurried().then(1, &["sha256d"]).config(3, pool);
    BqOptions { config, ..BqOptions::default() }
}

fn refused(bq: &BqProcess, arguments: &[&str], code: i32, said: &str) -> Result<()> {
    let done = bq.decision(arguments)?;
    ensure!(done.code == Some(code) && done.stderr.contains(said), "{arguments:?}: {done:?}");
    Ok(())
}

fn mining(bq: &BqProcess, address: &str) -> Result<Miner> {
    let login = format!("{address}.rig");
    Ok(Miner::start(bq.stratum("sha256d")?, move || sha256d::miner(&login, "x")))
}

fn file(path: &Path) -> String {
    path.display().to_string()
}

#[test]
fn an_operator_stops_and_resumes_takes_and_explains() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let folder = folder.path();
    let (miner_address, operator) = (new_address(folder, "miner")?, new_address(folder, "operator")?);
    let bq = BqProcess::start(&folder.join("a"), &options())?;
    let own = bq.rpc()?.call("getpoolstatus", &json!([]))?["address"].as_str().context("an address")?.to_owned();
    own_address_is_no_miner(&bq, &own)?;
    let miner = mining(&bq, &miner_address)?;
    let withdraw = ["withdraw", &SOME.to_string(), operator.as_str()].map(str::to_owned);
    let withdraw: Vec<&str> = withdraw.iter().map(String::as_str).collect();
    wait_for("something earned", LIMIT, || {
        let tried = bq.pool(&[withdraw.as_slice(), &["--dry-run", "--reason", "a test"]].concat())?;
        Ok((tried.code == Some(0) && tried.stdout.starts_with("Would do")).then_some(()))
    })?;
    wrong_values_are_refused(&bq, &operator)?;
    strangers_are_refused(folder, &bq, &operator)?;
    pause_and_resume(&bq)?;
    // Payouts to miners may have every coin in flight just now.
    wait_for("coins for the withdrawal", LIMIT, || {
        let tried = bq.pool(&[withdraw.as_slice(), &["--reason", "a test"]].concat())?;
        Ok((tried.code == Some(0)).then_some(()))
    })?;
    wait_for("the withdrawal", LIMIT, || Ok((bq.coins(&operator)? > SOME / 2).then_some(())))?;
    spent_outside(folder, &bq, &operator)?;
    let report = miner.stop();
    assert_eq!(report.breaches, Vec::<String>::new(), "{report:?}");
    bq.ensure_balanced()?;
    let cookie = bq.folder().join("data/rpc-cookie");
    ensure!(cookie.exists());
    assert!(bq.stop()?.success());
    ensure!(!cookie.exists(), "it goes with the process");
    Ok(())
}

fn own_address_is_no_miner(bq: &BqProcess, own: &str) -> Result<()> {
    let mut client = LineClient::connect(bq.stratum("sha256d")?)?;
    client.send(&json!({ "id": 1, "method": "mining.authorize", "params": [format!("{own}.rig"), "x"] }))?;
    let answer = client.expect_answer(1, LIMIT)?;
    ensure!(answer["result"] != true && answer["error"] != Value::Null, "{answer}");
    Ok(())
}

fn wrong_values_are_refused(bq: &BqProcess, operator: &str) -> Result<()> {
    let txid = "07".repeat(32);
    refused(bq, &["withdraw", "0", operator], 2, "amount")?;
    refused(bq, &["withdraw", "9000000000000000", operator], 2, "amount")?;
    refused(bq, &["withdraw", "many", operator], 2, "many")?;
    refused(bq, &["withdraw", &SOME.to_string(), "nobody"], 2, "address")?;
    refused(bq, &["adopt", &txid, "--as", "withdrawal"], 2, "txid")?;
    refused(bq, &["adopt", "07", "--as", "refill"], 2, "txid")?;
    refused(bq, &["adopt", &txid, "--as", "gift"], 2, "gift")?;
    refused(bq, &["write-off", "5"], 2, "missing holds 0")?;
    refused(bq, &["write-off", "5", "--from", "suspense"], 2, "missing holds 0")?;
    refused(bq, &["write-off", "5", "--from", "miners"], 2, "miners")?;
    refused(bq, &["release-suspense", "5"], 2, "amount")?;
    refused(bq, &["resume"], 1, "not paused")?;
    refused(bq, &["recover"], 1, "--forced")?;
    let forced = bq.decide(&["recover", "--forced", "--dry-run"])?;
    ensure!(forced.starts_with("Would do: the log is taken for an old copy"), "{forced}");
    let nothing = bq.pool(&["pause", "--reason", " "])?;
    ensure!(nothing.code == Some(2) && nothing.stderr.contains("reason"), "{nothing:?}");
    ensure!(!bq.holds("paused")?);
    Ok(())
}

/// Whoever reaches the port without being able to read the data directory may look and no more.
fn strangers_are_refused(folder: &Path, bq: &BqProcess, to: &str) -> Result<()> {
    let (rpc, amount) = (bq.address("rpc")?.to_string(), SOME.to_string());
    let elsewhere = folder.join("elsewhere");
    std::fs::create_dir_all(&elsewhere)?;
    let elsewhere_text = file(&elsewhere);
    // Without any cookie, and with one of another process.
    for cookie in [None, Some(format!("__cookie__:{}", "07".repeat(32)))] {
        if let Some(cookie) = cookie {
            std::fs::write(elsewhere.join("rpc-cookie"), cookie)?;
        }
        let place = ["--rpc", rpc.as_str(), "--data-dir", &elsewhere_text];
        let taken = run_bq([&["pool", "withdraw", &amount, to, "--reason", "a test"], place.as_slice()].concat())?;
        ensure!(taken.code == Some(2) && taken.stderr.contains("rpc-cookie"), "{taken:?}");
        let looked = run_bq([&["pool", "status"], place.as_slice()].concat())?;
        ensure!(looked.code == Some(0), "{looked:?}");
    }
    let answer = RpcClient::new(bq.address("rpc")?).call_raw("setminingconfig", &json!({ "threads": 9 }))?;
    ensure!(answer["error"]["code"] == -13, "{answer}");
    // The client of these tests reads the cookie.
    bq.rpc()?.call("setminingconfig", &json!({ "enabled": false }))?;
    Ok(())
}

fn pause_and_resume(bq: &BqProcess) -> Result<()> {
    ensure!(bq.decide(&["pause", "--dry-run"])?.starts_with("Would do"));
    ensure!(!bq.holds("paused")?);
    bq.decide(&["pause"])?;
    ensure!(bq.holds("paused")?);
    ensure!(bq.get("/metrics")?.body.contains("bq_condition{component=\"pool\",name=\"paused\"} 1"));
    let status = run_bq(["status", "--http", &bq.address("http")?.to_string()])?;
    ensure!(status.code == Some(0) && status.stdout.contains("pool: paused"), "{status:?}");
    let status = bq.pool(&["status"])?;
    ensure!(status.code == Some(0) && status.stdout.contains("paused: a test"), "{status:?}");
    let told = bq.rpc()?.call("getconditions", &json!([]))?;
    ensure!(told.to_string().contains("payouts are paused: a test"), "{told}");
    ensure!(bq.get("/health/ready")?.status == 200, "a pause is no reason to send miners away");
    refused(bq, &["pause"], 1, "paused already")?;
    bq.decide(&["resume"])?;
    ensure!(!bq.holds("paused")?);
    Ok(())
}

/// Coins of the pool's key are sent by somebody else: payouts stop until a person explains it.
fn spent_outside(folder: &Path, bq: &BqProcess, to: &str) -> Result<()> {
    // Payouts of the pool itself must not race for the same coin.
    bq.decide(&["pause"])?;
    wait_for("no open payout", LIMIT, || {
        let status = bq.rpc()?.call("getpoolstatus", &json!([]))?;
        Ok(status["payouts"].as_array().is_some_and(Vec::is_empty).then_some(()))
    })?;
    let data = folder.join("a/data");
    let (key, password, copy) = (data.join("pool-wallet.json"), data.join("wallet-password"), folder.join("copy.json"));
    std::fs::copy(&key, &copy)?;
    let send = |wallet: &Path, rpc: String| {
        let (wallet, password, atoms) = (file(wallet), file(&password), (SOME / 10).to_string());
        run_bq([
            "wallet",
            "send",
            "--json",
            "--wallet",
            &wallet,
            "--password-file",
            &password,
            "--to",
            to,
            "--atoms",
            &atoms,
            "--rpc",
            &rpc,
        ])
    };
    for wallet in [&key, &copy] {
        let sent = send(wallet, bq.address("rpc")?.to_string())?;
        ensure!(sent.code == Some(2) && sent.stderr.contains("bq pool withdraw"), "{sent:?}");
    }
    // Another node knows nothing of this pool.
    let connect =
        vec!["--connect".to_owned(), bq.address("p2p")?.to_string(), "--miner-threads".to_owned(), "0".to_owned()];
    let other = BqProcess::start(&folder.join("b"), &BqOptions { arguments: connect, ..options() })?;
    let sent = wait_for("the other node to know the coins", LIMIT, || {
        let sent = send(&copy, other.address("rpc")?.to_string())?;
        Ok((sent.code == Some(0)).then_some(sent))
    })?;
    let answer: Value = serde_json::from_str(&sent.stdout)?;
    let txid = answer["txid"].as_str().with_context(|| format!("no txid in {answer}"))?.to_owned();
    wait_for("missing coins to be told", LIMIT, || Ok(bq.holds("coins_missing")?.then_some(())))?;
    let health = bq.get_json("/health")?.to_string();
    ensure!(health.contains(&txid), "{health}");
    bq.decide(&["resume"])?;
    ensure!(bq.holds("coins_missing")?, "resuming explains nothing");
    wait_for("the transaction to be explained", LIMIT, || {
        let tried = bq.pool(&["adopt", &txid, "--as", "withdrawal", "--reason", "it was me"])?;
        Ok((tried.code == Some(0)).then_some(()))
    })?;
    wait_for("payouts to go on", LIMIT, || Ok((!bq.holds("coins_missing")?).then_some(())))?;
    assert!(other.stop()?.success());
    Ok(())
}

#[test]
fn an_old_backup_pays_nobody_until_it_is_recovered() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let folder = folder.path();
    let miner_address = new_address(folder, "miner")?;
    let home = folder.join("a");
    let bq = BqProcess::start(&home, &options())?;
    let miner = mining(&bq, &miner_address)?;
    wait_for("a first payout", LIMIT, || Ok((bq.coins(&miner_address)? > 0).then_some(())))?;
    let backup = file(&folder.join("backup"));
    let made = bq.pool(&["backup", &backup])?;
    ensure!(made.code == Some(0) && made.stdout.contains("are copied to"), "{made:?}");
    let again = bq.pool(&["backup", &backup])?;
    ensure!(again.code == Some(2) && again.stderr.contains("folder"), "{again:?}");
    let before = bq.coins(&miner_address)?;
    wait_for("a later payout", LIMIT, || Ok((bq.coins(&miner_address)? > before).then_some(())))?;
    let height = |bq: &BqProcess| bq.rpc()?.call("getblockcount", &json!([]));
    let then = height(&bq)?.as_u64().context("a height")?;
    wait_for("later blocks", LIMIT, || Ok((height(&bq)?.as_u64() > Some(then + 3)).then_some(())))?;
    assert_eq!(miner.stop().breaches, Vec::<String>::new());

    let (data, config) = (file(&home.join("data")), file(&home.join("bq.toml")));
    let place = ["--network", "regtest", "--config", &config, "--data-dir", &data];
    let running = run_bq([&["audit"], place.as_slice()].concat())?;
    ensure!(running.code == Some(1) && running.stderr.contains("in use"), "{running:?}");
    assert!(bq.stop()?.success());
    audited(&place)?;
    let restored = run_bq([&["pool", "restore", &backup], place.as_slice()].concat())?;
    ensure!(restored.code == Some(0) && restored.stdout.contains("before-restore-1"), "{restored:?}");
    ensure!(restored.stdout.contains("payouts are paused"), "{restored:?}");
    audited(&place)?;

    let bq = BqProcess::start(&home, &options())?;
    wait_for("the lost end to be told", LIMIT, || Ok(bq.holds("log_behind_chain")?.then_some(())))?;
    let miner = mining(&bq, &miner_address)?;
    let paid = bq.coins(&miner_address)?;
    let then = height(&bq)?.as_u64().context("a height")?;
    wait_for("blocks in which a payout would have come", LIMIT, || {
        Ok((height(&bq)?.as_u64() > Some(then + 8)).then_some(()))
    })?;
    assert_eq!(bq.coins(&miner_address)?, paid, "nobody is paid");
    bq.decide(&["recover"])?;
    ensure!(bq.holds("paused")?, "a backup that was put back waits for a person");
    bq.decide(&["resume"])?;
    wait_for("payouts after the recovery", LIMIT, || Ok((bq.coins(&miner_address)? > paid).then_some(())))?;
    assert_eq!(miner.stop().breaches, Vec::<String>::new());
    bq.ensure_balanced()?;
    assert!(bq.stop()?.success());
    audited(&place)
}

/// Only the chain and the key are left.
#[test]
fn what_lost_books_owed_is_held_and_no_operator_can_take_it() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let folder = folder.path();
    let (miner_address, operator) = (new_address(folder, "miner")?, new_address(folder, "operator")?);
    let home = folder.join("a");
    let bq = BqProcess::start(&home, &options())?;
    let miner = mining(&bq, &miner_address)?;
    wait_for("some payouts", LIMIT, || Ok((bq.coins(&miner_address)? > 20 * SOME).then_some(())))?;
    assert_eq!(miner.stop().breaches, Vec::<String>::new());
    assert!(bq.stop()?.success());
    let data = home.join("data");
    std::fs::remove_file(data.join("books.sqlite"))?;
    std::fs::remove_dir_all(data.join("share-log"))?;

    let bq = BqProcess::start(&home, &options())?;
    wait_for("the lost log to be told", LIMIT, || Ok(bq.holds("log_behind_chain")?.then_some(())))?;
    let miner = mining(&bq, &miner_address)?;
    refused(&bq, &["withdraw", "1000000", &operator], 1, "lost its end")?;
    refused(&bq, &["write-off", "5"], 1, "lost its end")?;
    refused(&bq, &["release-suspense", "5"], 1, "lost its end")?;
    wait_for("the books to be where the node is", LIMIT, || {
        Ok((bq.pool(&["recover", "--reason", "a test"])?.code == Some(0)).then_some(()))
    })?;
    wait_for("the recovery's end", LIMIT, || Ok((!bq.holds("recovering")?).then_some(())))?;
    take_over_payouts(&bq)?;
    let (missing, held) = (bq.balance("missing")?, bq.balance("suspense")?);
    ensure!(held >= missing, "what was paid was earned: {held} {missing}");
    refused(&bq, &["release-suspense", "5"], 1, "coins are missing")?;
    bq.decide(&["write-off", &missing.to_string(), "--from", "suspense"])?;
    assert_eq!(bq.balance("suspense")?, held - missing);
    let paid = bq.coins(&miner_address)?;
    wait_for("payouts of the new log", LIMIT, || Ok((bq.coins(&miner_address)? > paid).then_some(())))?;
    assert_eq!(miner.stop().breaches, Vec::<String>::new());
    ensure!(!bq.holds("coins_missing")? && bq.holds("suspense")?);
    bq.ensure_balanced()?;
    assert!(bq.stop()?.success());
    let (data, config) = (file(&data), file(&home.join("bq.toml")));
    audited(&["--network", "regtest", "--config", &config, "--data-dir", &data])
}

/// Payments to a single key that has no account might be withdrawals; here all of them paid the miner.
fn take_over_payouts(bq: &BqProcess) -> Result<()> {
    wait_for("every payout to be taken over", LIMIT, || {
        let conditions = bq.rpc()?.call("getconditions", &json!([]))?.to_string();
        let Some((_, rest)) = conditions.split_once("by transaction ") else { return Ok(Some(())) };
        let txid = rest.get(..64).context("an id")?;
        // It may have been taken over since.
        bq.pool(&["adopt", txid, "--as", "payout", "--reason", "a test"])?;
        Ok(None)
    })
}

fn audited(place: &[&str]) -> Result<()> {
    let audit = run_bq([&["audit"], place].concat())?;
    ensure!(audit.code == Some(0), "{audit:?}");
    Ok(())
}
