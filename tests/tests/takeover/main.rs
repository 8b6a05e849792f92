//! A process that takes over from another: miners stay connected, on the real program.

mod faults;

use std::{
    io::{Read as _, Write as _},
    os::unix::{net::UnixStream, process::ExitStatusExt as _},
    path::Path,
    process::{Child, Command},
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use bq_tests::{
    BqOptions, BqProcess, Dialect as _, Eras, EthashMode, LineClient, Miner, ethash, new_address, randomx, sha256d,
    wait_for,
};
use serde_json::Value;

const LIMIT: Duration = Duration::from_secs(60);
const TAKEOVERS: u32 = 4;

fn options() -> BqOptions {
    let pool = "[pool]\nshare_interval_secs = 1\n\
                [pool.sha256d]\nshare_difficulty_floor = 16384\nshare_difficulty_start = 16384\n\
                [pool.randomx]\nshare_difficulty_floor = 4\nshare_difficulty_start = 4\n\
                [pool.ethash]\nshare_difficulty_floor = 8\nshare_difficulty_start = 16\n";
    let eras = Eras::unhurried().then(1, &["sha256d", "randomx", "ethash"]);
    BqOptions { config: eras.config(4, pool), ..BqOptions::default() }
}

fn ports(bq: &BqProcess) -> Result<Vec<std::net::SocketAddr>> {
    ["http", "rpc", "stratum_sha256d", "stratum_randomx", "stratum_ethash", "stratum_v2"]
        .into_iter()
        .map(|port| bq.address(port))
        .collect()
}

/// Three dialects mine on while the process is replaced again and again: one login each, and no share lost.
#[test]
fn miners_stay_connected_over_a_change_of_process() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let [sha, monero, ether] = ["sha", "monero", "ether"].map(|name| new_address(folder.path(), name));
    let (sha, monero, ether) = (format!("{}.rig", sha?), format!("{}.rig", monero?), ether?);
    let mut bq = BqProcess::start(folder.path(), &options())?;
    let miners = [
        Miner::start(bq.stratum("sha256d")?, move || sha256d::miner(&sha, "x")),
        Miner::start(bq.stratum("randomx")?, move || randomx::miner(&monero, "x")),
        Miner::start(bq.stratum("ethash")?, move || ethash::miner(EthashMode::EthProxy, &ether, "rig", 0)),
    ];
    let open = ports(&bq)?;
    for _ in 0..TAKEOVERS {
        let before = miners.each_ref().map(|miner| miner.report().accepted);
        wait_for("shares of everybody", LIMIT, || {
            let all = miners.iter().zip(&before).all(|(miner, before)| miner.report().accepted >= before + 2);
            Ok(all.then_some(()))
        })?;
        bq = bq.taken_over(&options())?;
        assert_eq!(ports(&bq)?, open, "the same ports");
        bq.ensure_balanced()?;
    }
    let before = miners.each_ref().map(|miner| miner.report().accepted);
    wait_for("shares after the last change", LIMIT, || {
        let all = miners.iter().zip(&before).all(|(miner, before)| miner.report().accepted >= before + 2);
        Ok(all.then_some(()))
    })?;
    for report in miners.map(Miner::stop) {
        assert_eq!((report.logins, report.unanswered, report.silences), (1, 0, 0), "{report:?}");
        assert!(report.breaches.is_empty(), "{report:?}");
        // A block of another miner makes shares stale whoever serves them.
        assert!(report.rejected.iter().all(|reason| reason.to_lowercase().contains("stale")), "{report:?}");
    }
    bq.stop()?;
    Ok(())
}

fn answer(client: &mut LineClient, miner: &mut impl bq_tests::Dialect, share: &Value) -> Result<Value> {
    client.send(share)?;
    loop {
        let line = client.expect(LIMIT)?;
        if line["id"] == share["id"] && line["method"].is_null() {
            return Ok(line);
        }
        miner.notified(&line)?;
    }
}

/// A server, and a miner of SHA-256d that has work.
fn with_one_miner(folder: &Path) -> Result<(BqOptions, BqProcess, LineClient, impl bq_tests::Dialect)> {
    let options = BqOptions {
        config: Eras::unhurried()
            .then(1, &["sha256d"])
            .config(4, "[stratum]\ntakeover_secs = 20\n[pool.sha256d]\nshare_difficulty_floor = 4096\nshare_difficulty_start = 4096\n"),
        ..BqOptions::default()
    };
    let login = format!("{}.rig", new_address(folder, "sha")?);
    let bq = BqProcess::start(folder, &options)?;
    let mut client = LineClient::connect(bq.stratum("sha256d")?)?;
    let mut miner = sha256d::miner(&login, "x");
    miner.log_in(&mut client)?;
    while !miner.has_job() {
        miner.notified(&client.expect(LIMIT)?)?;
    }
    Ok((options, bq, client, miner))
}

/// What was credited before is a duplicate after; a share of a job from before counts; who may not come in any more does not stay.
#[test]
fn a_share_counts_once_whoever_hears_of_it() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let (options, bq, mut client, mut miner) = with_one_miner(folder.path())?;
    let shares = [find(&mut miner)?, find(&mut miner)?];
    let first = answer(&mut client, &mut miner, &shares[0])?;
    ensure!(first["result"] == true, "{first}");
    let bq = bq.taken_over(&options)?;
    let again = answer(&mut client, &mut miner, &shares[0])?;
    ensure!(again["error"][1].as_str().is_some_and(|text| text.to_lowercase().contains("duplicate")), "{again}");
    let second = answer(&mut client, &mut miner, &shares[1])?;
    ensure!(second["result"] == true, "{second}");
    let sessions = sessions(&bq, folder.path())?;
    ensure!(sessions.as_array().is_some_and(|all| all.len() == 1) && sessions[0]["worker"] == "rig", "{sessions}");
    let strict = BqOptions { config: format!("{}\n[auth]\nmode = \"token\"\n", options.config), ..options };
    let bq = bq.taken_over(&strict)?;
    client.expect_close(LIMIT)?;
    bq.stop()?;
    Ok(())
}

/// The last that is said before the heir asks whether it may go on.
const FREE: [u8; 1] = [9];

/// An heir as a stranger would write it: says what it must to be left everything, hears the first so many frames, and is gone.
fn false_heir(data: &Path, version: u8, frames: usize) -> Result<Vec<u8>> {
    let mut link = UnixStream::connect(data.join("successor"))?;
    link.write_all(&[0, 0, 0, 0, 2, 0, version])?;
    let mut first = Vec::new();
    for _ in 0..frames {
        let mut head = [0; 5];
        if link.read_exact(&mut head).is_err() {
            break;
        }
        let mut frame = vec![0; usize::try_from(u32::from_be_bytes([head[1], head[2], head[3], head[4]]))?];
        link.read_exact(&mut frame)?;
        let was_last = frame == FREE;
        if first.is_empty() {
            first = frame;
            // That it is ready, unless it is gone by then.
            if frames > 1 {
                link.write_all(&[0, 0, 0, 0, 1, 3])?;
            }
        }
        if was_last {
            break;
        }
    }
    Ok(first)
}

/// An heir of a process of its own that gets ready, reads all and then does nothing.
fn silent_heir(data: &Path, version: u8) -> Result<Child> {
    let script = format!(
        "import socket\n\
         link = socket.socket(socket.AF_UNIX)\n\
         link.connect({:?})\n\
         link.sendall(bytes([0, 0, 0, 0, 2, 0, {version}]) + bytes([0, 0, 0, 0, 1, 3]))\n\
         while link.recv(4096): pass\n\
         socket.socketpair()[0].recv(1)\n",
        data.join("successor")
    );
    Ok(Command::new("python3").arg("-c").arg(script).spawn()?)
}

/// Whoever takes over and fails, early or late, leaves the older process with its miners: none of them notices.
#[test]
fn an_heir_that_fails_leaves_everything_to_the_older_process() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let (data, ready) = (folder.path().join("data"), folder.path().join("ready.json"));
    let (options, bq, mut client, mut miner) = with_one_miner(folder.path())?;
    let first = find(&mut miner)?;
    ensure!(answer(&mut client, &mut miner, &first)?["result"] == true);

    // What can be seen beforehand is: the older one does not even stop.
    let told = std::fs::read(&ready)?;
    let arguments = vec!["--takeover".to_owned()];
    let heir = BqOptions { arguments, ..options.clone() };
    for key in ["node-key", "token-key", "ticket-key", "stratum-certificate-key.pem"] {
        let damaged = data.join(key);
        let whole = std::fs::read(&damaged)?;
        std::fs::write(&damaged, "no key")?;
        let refused = BqProcess::start_expecting_exit(folder.path(), &heir)?;
        ensure!(refused.code == Some(2) && refused.stderr.contains(key), "{refused:?}");
        ensure!(!ready.exists() && !refused.stderr.contains("stopping"), "the older one went on: {refused:?}");
        std::fs::write(&damaged, whole)?;
    }
    std::fs::write(&ready, told)?;

    // The rest is not: the older one begins anew, and says so with its ready file.
    let refusal = false_heir(&data, 0, 1)?;
    let [1, version] = refusal[..] else { anyhow::bail!("no refusal with a version: {refusal:?}") };
    let granted = false_heir(&data, version, 1)?;
    ensure!(granted.first() == Some(&2), "{granted:?}");
    let share = find(&mut miner)?;
    ensure!(answer(&mut client, &mut miner, &share)?["result"] == true && ready.exists(), "it never got ready");
    for frames in [2, 3, 4, 100] {
        std::fs::remove_file(&ready)?;
        let granted = false_heir(&data, version, frames)?;
        ensure!(granted.first() == Some(&2), "{granted:?}");
        wait_for("the older process to serve again", LIMIT, || Ok(ready.exists().then_some(())))?;
        let again = answer(&mut client, &mut miner, &first)?;
        ensure!(again["error"][1].as_str().is_some_and(|text| text.to_lowercase().contains("duplicate")), "{again}");
        let share = find(&mut miner)?;
        let counted = answer(&mut client, &mut miner, &share)?;
        ensure!(counted["result"] == true, "after {frames} frames: {counted}");
        bq.ensure_balanced()?;
    }
    let sessions = sessions(&bq, folder.path())?;
    ensure!(sessions.as_array().is_some_and(|all| all.len() == 1), "{sessions}");

    // One that neither fails nor serves is killed.
    std::fs::remove_file(&ready)?;
    let mut silent = silent_heir(&data, version)?;
    let ended = wait_for("the end of the silent heir", LIMIT, || Ok(silent.try_wait()?))?;
    ensure!(ended.signal() == Some(9), "{ended}");
    wait_for("the older process to serve again", LIMIT, || Ok(ready.exists().then_some(())))?;
    let share = find(&mut miner)?;
    ensure!(answer(&mut client, &mut miner, &share)?["result"] == true);
    // And one that does not fail is heir still.
    bq.taken_over(&options)?.stop()?;
    Ok(())
}

/// A share that is no block, so that the tip stays where it is.
fn find(miner: &mut impl bq_tests::Dialect) -> Result<Value> {
    wait_for("a share", LIMIT, || Ok(miner.search()?.filter(|share| !share.is_block))).map(|share| share.request)
}

fn sessions(bq: &BqProcess, folder: &Path) -> Result<Value> {
    let (rpc, data) = (bq.address("rpc")?.to_string(), folder.join("data").display().to_string());
    let told = bq_tests::run_bq(["pool", "sessions", "--json", "--rpc", &rpc, "--data-dir", &data])?;
    serde_json::from_str(&told.stdout).with_context(|| format!("{told:?}"))
}

/// What `/metrics` counted.
fn counted(bq: &BqProcess, name: &str) -> Result<f64> {
    Ok(bq.get("/metrics")?.metric(name).unwrap_or(0.0))
}

/// SPEC 11.14: a stop and a start cost a miner that shows its ticket no trust. Its first share after it is one of the trusted; without a ticket
/// it is a stranger's.
#[test]
fn a_miner_comes_back_trusted_over_a_restart() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let config = "[stratum]\ntrusted_after = 2\n\
                  [pool.sha256d]\nshare_difficulty_floor = 4096\nshare_difficulty_start = 4096\n";
    let options =
        BqOptions { config: Eras::unhurried().then(1, &["sha256d"]).config(4, config), ..BqOptions::default() };
    let login = format!("{}.rig", new_address(folder.path(), "sha")?);
    let verdicts = |trust| format!("bq_stratum_verdict_seconds_count{{algorithm=\"sha256d\",trust=\"{trust}\"}}");
    let resumed = "bq_session_tickets_total{result=\"resumed\"}";
    let mut miner = sha256d::miner(&login, "x");
    let mut seen = Vec::new();
    for shares in [3, 1, 1] {
        let bq = BqProcess::start(folder.path(), &options)?;
        if seen.len() == 2 {
            miner = sha256d::miner(&login, "x");
        }
        let mut client = LineClient::connect(bq.stratum("sha256d")?)?;
        miner.log_in(&mut client)?;
        while !miner.has_job() {
            miner.notified(&client.expect(LIMIT)?)?;
        }
        for _ in 0..shares {
            let share = find(&mut miner)?;
            let accepted = answer(&mut client, &mut miner, &share)?;
            ensure!(accepted["result"] == true, "{accepted}");
        }
        seen.push((counted(&bq, &verdicts("stranger"))?, counted(&bq, &verdicts("trusted"))?, counted(&bq, resumed)?));
        bq.stop()?;
    }
    assert_eq!(seen, [(2.0, 1.0, 0.0), (0.0, 1.0, 1.0), (1.0, 0.0, 0.0)]);
    Ok(())
}
