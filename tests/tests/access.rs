//! Who may mine, on the real program: tokens, locks, bans, and why somebody cannot.

use std::{fs, path::Path, time::Duration};

use anyhow::{Context, Result, ensure};
use bq_tests::{BqOptions, BqProcess, Finished, LineClient, new_address, run_bq, wait_for};
use serde_json::{Value, json};

const LIMIT: Duration = Duration::from_secs(60);

fn options(config: &str) -> BqOptions {
    BqOptions { config: config.to_owned(), ..BqOptions::default() }
}

/// `bq` about a running process.
fn bq(of: &BqProcess, arguments: &[&str]) -> Result<Finished> {
    let rpc = of.address("rpc")?.to_string();
    let data = of.folder().join("data").display().to_string();
    run_bq([arguments, &["--rpc", &rpc, "--data-dir", &data]].concat())
}

fn authorize(bq: &BqProcess, login: &str, password: &str) -> Result<(LineClient, Value)> {
    let mut client = LineClient::connect(bq.stratum("sha256d")?)?;
    client.send(&json!({ "id": 1, "method": "mining.authorize", "params": [login, password] }))?;
    let answer = client.expect_answer(1, LIMIT)?;
    Ok((client, answer))
}

fn request(bq: &BqProcess, folder: &Path, what: &[&str]) -> Result<Finished> {
    let (wallet, password) = (folder.join("miner.wallet.json"), folder.join("miner.password"));
    let http = bq.address("http")?.to_string();
    let (wallet, password) = (wallet.display().to_string(), password.display().to_string());
    run_bq(
        [&["wallet", "request"], what, &["--wallet", &wallet, "--password-file", &password, "--http", &http]].concat(),
    )
}

#[test]
fn an_address_is_locked_by_its_key_and_opened_by_its_token() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let folder = folder.path();
    let address = new_address(folder, "miner")?;
    let mut process = BqProcess::start(&folder.join("a"), &options(""))?;
    let early = request(&process, folder, &["lock"])?;
    ensure!(early.code == Some(1) && early.stderr.contains("make a token first"), "{early:?}");
    let token = request(&process, folder, &["token"])?.stdout.trim().to_owned();
    ensure!(token.starts_with("bqt_"), "{token}");
    let (mut open, answer) = authorize(&process, &format!("{address}.rig"), "x")?;
    ensure!(answer["result"] == true, "{answer}");
    let locked = request(&process, folder, &["lock"])?;
    ensure!(locked.stdout.contains("1 sessions without one ended"), "{locked:?}");
    open.expect_close(LIMIT)?;
    for restart in [false, true] {
        if restart {
            process.stop()?;
            process = BqProcess::start(&folder.join("a"), &options(""))?;
        }
        let (_, refused) = authorize(&process, &format!("{address}.rig"), "x")?;
        ensure!(refused["error"].to_string().contains("locked it"), "{refused}");
        let (_, answer) = authorize(&process, &format!("{address}.rig"), &format!("d=5000000,{token}"))?;
        ensure!(answer["result"] == true, "{answer}");
        let why = process.get_json(&format!("/api/v1/why/{address}"))?;
        ensure!(why["locked"] == true, "{why}");
        ensure!(why["refusals"][0]["reason"].as_str().is_some_and(|reason| reason.contains("locked it")), "{why}");
    }
    ensure!(request(&process, folder, &["unlock"])?.code == Some(0), "unlock");
    ensure!(authorize(&process, &address, "x")?.1["result"] == true, "anyone again");
    process.stop()?;
    Ok(())
}

#[test]
fn with_tokens_the_built_in_miner_mines_and_strangers_do_not() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let folder = folder.path();
    let address = new_address(folder, "miner")?;
    let config = "[auth]\nmode = \"token\"\n[miner]\nenabled = true\nthreads = 1\nalgorithms = [\"sha256d\"]\n";
    let process = BqProcess::start(&folder.join("a"), &options(config))?;
    wait_for("a session of the built-in miner", LIMIT, || {
        let sessions: Value = serde_json::from_str(&bq(&process, &["pool", "sessions", "--json"])?.stdout)?;
        let builtin = sessions.as_array().context("a list")?.iter().find(|session| session["worker"] == "builtin");
        Ok(builtin.filter(|session| session["token"].is_string()).map(|_| ()))
    })?;
    let (_, refused) = authorize(&process, &address, "x")?;
    ensure!(refused["error"].to_string().contains("wants a worker token"), "{refused}");
    let made = bq(&process, &["pool", "token", "new", &address, "--username", "alice", "--json"])?;
    let made: Value = serde_json::from_str(&made.stdout)?;
    let (token, id) = (made["token"].as_str().context("a token")?, made["id"].as_str().context("an id")?);
    let (mut client, answer) = authorize(&process, "alice.rig", token)?;
    ensure!(answer["result"] == true, "{answer}");
    let kept = fs::read_to_string(process.folder().join("data/access"))?;
    ensure!(kept.contains(id) && !kept.contains(&token[20..]), "what opens is kept nowhere: {kept}");
    let revoked = bq(&process, &["pool", "token", "revoke", id])?;
    ensure!(revoked.stdout.contains("1 sessions ended"), "{revoked:?}");
    client.expect_close(LIMIT)?;
    let none = bq(&process, &["pool", "token", "revoke", id])?;
    ensure!(none.code == Some(1) && none.stderr.contains("no token"), "{none:?}");
    process.stop()?;
    Ok(())
}

#[test]
fn an_operator_bans_and_lifts() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let process = BqProcess::start(folder.path(), &options(""))?;
    let list = || Ok::<_, anyhow::Error>(bq(&process, &["bans", "list"])?.stdout);
    ensure!(list()?.trim() == "none", "{}", list()?);
    ensure!(bq(&process, &["bans", "add", "198.51.100.7", "--secs", "600"])?.code == Some(0), "add");
    ensure!(list()?.starts_with("198.51.100.7") && list()?.contains("operator"), "{}", list()?);
    ensure!(bq(&process, &["bans", "lift", "198.51.100.7"])?.stdout.trim() == "lifted", "lift");
    ensure!(list()?.trim() == "none", "{}", list()?);
    let wrong = bq(&process, &["bans", "add", "everybody"])?;
    ensure!(wrong.code == Some(2) && wrong.stderr.contains("everybody"), "{wrong:?}");
    process.stop()?;
    Ok(())
}

/// Whom a lock keeps out must not depend on a torn file.
#[test]
fn a_damaged_file_of_tokens_ends_the_start_with_code_2() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let process = BqProcess::start(folder.path(), &options(""))?;
    let address = new_address(folder.path(), "miner")?;
    ensure!(bq(&process, &["pool", "token", "new", &address])?.code == Some(0), "a token");
    process.stop()?;
    let (file, key) = (folder.path().join("data/access"), folder.path().join("data/token-key"));
    let good = fs::read_to_string(&file)?;
    fs::remove_file(folder.path().join("ready.json"))?;
    for (path, text, said) in [
        (&file, good.replace("token ", "tokens "), "line 2 cannot be read"),
        (&file, String::new(), "line 1 cannot be read"),
        (&key, "short".to_owned(), "64 hex digits"),
    ] {
        let before = fs::read(path)?;
        fs::write(path, &text)?;
        let finished = BqProcess::start_expecting_exit(folder.path(), &options(""))?;
        ensure!(finished.code == Some(2) && finished.stderr.contains(said), "{finished:?}");
        fs::write(path, before)?;
    }
    fs::remove_file(&key)?;
    let finished = BqProcess::start_expecting_exit(folder.path(), &options(""))?;
    ensure!(finished.code == Some(2) && finished.stderr.contains("token-key"), "{finished:?}");
    Ok(())
}
