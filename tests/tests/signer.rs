//! The pool's key in a process of its own: payouts wait while it is away, hangs or is somebody else, and go on with nothing lost.

use std::{
    fs,
    io::{Read as _, Write as _},
    os::unix::net::{UnixListener, UnixStream},
    path::Path,
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use bq_tests::{BqOptions, BqProcess, Eras, Miner, SignerProcess, new_address, run_bq, sha256d, wait_for};
use serde_json::Value;

const LIMIT: Duration = Duration::from_secs(120);

fn config(socket: &Path) -> String {
    let pool = format!(
        "[pool]\npayout_mode = \"ledger\"\npayout_min = 1000000\npayout_final_depth = 2\npayout_interval_secs = 1\n\
         share_interval_secs = 1\nsigner_socket = {socket:?}\nsigner_patience_ms = 500\nsigner_follow_secs = 1\n\
         statement_interval_secs = 1\n\
         [pool.sha256d]\nshare_difficulty_floor = 65536\nshare_difficulty_start = 131072\n"
    );
    Eras::unhurried().then(1, &["sha256d"]).config(3, &pool)
}

/// Why payouts are not signed; nothing while they are.
fn unsigned(bq: &BqProcess) -> Result<Option<String>> {
    let health = bq.get("/health")?.json()?;
    let conditions = health["components"]["pool"]["conditions"].as_array().with_context(|| health.to_string())?;
    let held = conditions.iter().find(|condition| condition["name"] == "payouts_not_signed");
    Ok(held.map(|condition| condition["reason"].as_str().unwrap_or_default().to_owned()))
}

fn told(bq: &BqProcess, why: &str) -> Result<()> {
    wait_for(why, LIMIT, || Ok(unsigned(bq)?.filter(|reason| reason.contains(why)))).map(|_| ())
}

/// The address has more than it had: the payouts that waited, and one after them.
fn paid_more(bq: &BqProcess, address: &str, than: u64) -> Result<u64> {
    wait_for("payouts that go on", LIMIT, || {
        let coins = bq.coins(address)?;
        Ok((coins > than && unsigned(bq)?.is_none()).then_some(coins))
    })
}

/// The event of the newest statement that is so.
fn newest_stated(bq: &BqProcess, is_so: impl Fn(&Value) -> bool) -> Result<Option<u64>> {
    let stated = bq.get_json("/api/v1/liabilities")?;
    let list = stated["statements"].as_array().with_context(|| stated.to_string())?;
    Ok(list.iter().find(|statement| is_so(statement)).and_then(|statement| statement["event"].as_u64()))
}

/// The signer signs what is owed, newer than an event.
fn is_stated(bq: &BqProcess, than: u64) -> Result<()> {
    wait_for("a statement that is signed", LIMIT, || {
        let signed = newest_stated(bq, |statement| statement["signature"].as_str().is_some_and(|hex| !hex.is_empty()))?;
        Ok(signed.filter(|event| *event > than).map(|_| ()))
    })
}

/// Says that it signed, whatever it is asked.
fn imposter(socket: &Path) -> Result<()> {
    let _ = fs::remove_file(socket);
    let listener = UnixListener::bind(socket)?;
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let _ = answer_nonsense(stream);
        }
    });
    Ok(())
}

fn answer_nonsense(mut stream: UnixStream) -> Result<()> {
    loop {
        let mut length = [0; 4];
        stream.read_exact(&mut length)?;
        let mut question = vec![0; usize::try_from(u32::from_be_bytes(length))?];
        stream.read_exact(&mut question)?;
        // Version 1, answer 1 (signed), three bytes.
        let answer = [1, 1, 3, 7, 7, 7];
        stream.write_all(&u32::try_from(answer.len())?.to_be_bytes())?;
        stream.write_all(&answer)?;
    }
}

#[test]
fn payouts_wait_for_their_signer_and_nothing_is_lost() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let folder = folder.path();
    let (signer_folder, pool_folder) = (folder.join("signer"), folder.join("pool"));
    let socket = SignerProcess::socket(&signer_folder);
    let address = new_address(folder, "miner")?;
    let text = config(&socket);
    let signer_config = folder.join("signer.toml");
    fs::write(&signer_config, &text)?;
    let start_signer = || SignerProcess::start(&signer_folder, &signer_config, &[]);
    let options = BqOptions { config: text, ..BqOptions::default() };

    // Nobody knows its key yet.
    let refused = BqProcess::start_expecting_exit(&pool_folder, &options)?;
    ensure!(refused.code == Some(1) && refused.stderr.contains("no signer at"), "{refused:?}");
    let signer = start_signer()?;
    let bq = BqProcess::start(&pool_folder, &options)?;
    let login = format!("{address}.rig");
    let miner = Miner::start(bq.stratum("sha256d")?, move || sha256d::miner(&login, "x"));
    let paid = paid_more(&bq, &address, 0)?;
    ensure!(!pool_folder.join("data/pool-wallet.json").exists(), "the pool has no key");
    ensure!(signer.log()?.contains("signed"), "{}", signer.log()?);

    is_stated(&bq, 0)?;

    drop(signer);
    told(&bq, "no signer at")?;
    let event = newest_stated(&bq, |_| true)?.unwrap_or(0);
    let signer = start_signer()?;
    let paid = paid_more(&bq, &address, paid)?;
    is_stated(&bq, event)?;

    signer.signal("STOP")?;
    told(&bq, "not answered within")?;
    signer.signal("CONT")?;
    let paid = paid_more(&bq, &address, paid)?;

    drop(signer);
    imposter(&socket)?;
    told(&bq, "answered something else")?;
    fs::remove_file(&socket)?;
    // The pool starts without its signer, too.
    drop(miner.stop());
    ensure!(bq.stop()?.success());
    let bq = BqProcess::start(&pool_folder, &options)?;
    told(&bq, "no signer at")?;
    let login = format!("{address}.rig");
    let miner = Miner::start(bq.stratum("sha256d")?, move || sha256d::miner(&login, "x"));
    let signer = start_signer()?;
    paid_more(&bq, &address, paid)?;

    let report = miner.stop();
    assert_eq!(report.breaches, Vec::<String>::new(), "{report:?}");
    bq.ensure_balanced()?;
    ensure!(bq.stop()?.success());
    drop(signer);
    let data = pool_folder.join("data").display().to_string();
    let config = pool_folder.join("bq.toml").display().to_string();
    let audit = run_bq(["audit", "--network", "regtest", "--config", &config, "--data-dir", &data])?;
    ensure!(audit.code == Some(0), "{audit:?}");
    Ok(())
}
