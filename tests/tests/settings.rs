//! Accounts' own settings, on the real program: signed with the wallet, waiting, cancelled, kept over a restart, honoured by
//! payouts, and told to a webhook.

use std::{
    collections::BTreeSet,
    io::{Read as _, Write as _},
    net::TcpListener,
    path::{Path, PathBuf},
    sync::mpsc,
    thread,
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use bq_tests::{
    BqOptions, BqProcess, Eras, Finished, HttpResponse, LineClient, Miner, MinerReport, atoms, http_post, new_address,
    run_bq, sha256d, wait_for,
};
use serde_json::{Value, json};

const LIMIT: Duration = Duration::from_secs(120);
const PAYOUT_MIN: u64 = 1_000_000;
const MINIMUM: u64 = 90_000_000_000;
/// Blocks for which a lowering waits: of 600 s each on this network.
const DELAY_BLOCKS: u64 = 8;

fn start(folder: &Path, private: bool) -> Result<BqProcess> {
    let pool = format!(
        "[pool]\npayout_mode = \"ledger\"\npayout_min = {PAYOUT_MIN}\npayout_final_depth = 2\npayout_interval_secs = 1\n\
         share_interval_secs = 1\nsettings_delay_secs = {}\nsettings_interval_secs = 0\nsettings_minimum_max = {MINIMUM}\n\
         notices_private = {private}\nnotice_tries_max = 1\n\
         [pool.sha256d]\nshare_difficulty_floor = 65536\nshare_difficulty_start = 131072\n[auth]\nrequests_per_second = 100\n",
        DELAY_BLOCKS * 600
    );
    let config = Eras::unhurried().then(1, &["sha256d"]).config(3, &pool);
    BqProcess::start(folder, &BqOptions { config, ..BqOptions::default() })
}

/// What a webhook is told.
struct Hook {
    url: String,
    heard: mpsc::Receiver<Value>,
}

impl Hook {
    fn open() -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let url = format!("http://{}/in", listener.local_addr()?);
        let (tell, heard) = mpsc::channel();
        thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok(mut stream) = stream else { return };
                let (mut text, mut buffer) = (Vec::new(), [0; 4096]);
                while !text.ends_with(b"}") {
                    match stream.read(&mut buffer) {
                        Ok(count) if count > 0 => text.extend_from_slice(&buffer[..count]),
                        _ => break,
                    }
                }
                let _ = stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n");
                let body = text.split(|byte| *byte == b'\n').next_back().unwrap_or_default();
                if tell.send(serde_json::from_slice(body).unwrap_or(Value::Null)).is_err() {
                    return;
                }
            }
        });
        Ok(Self { url, heard })
    }

    /// Waits until these were told, in whatever order, among others.
    fn expect(&self, names: &[&str]) -> Result<Vec<Value>> {
        let mut missing: BTreeSet<&str> = names.iter().copied().collect();
        let mut told = Vec::new();
        while !missing.is_empty() {
            let notice = self.heard.recv_timeout(LIMIT).with_context(|| format!("{missing:?} missing: {told:?}"))?;
            missing.remove(notice["event"].as_str().context("a name")?);
            told.push(notice);
        }
        Ok(told)
    }
}

struct Owner {
    address: String,
    wallet: PathBuf,
    password: PathBuf,
}

impl Owner {
    fn new(folder: &Path, name: &str) -> Result<Self> {
        let address = new_address(folder, name)?;
        let (wallet, password) = (folder.join(format!("{name}.wallet.json")), folder.join(format!("{name}.password")));
        Ok(Self { address, wallet, password })
    }

    fn run(&self, command: &[&str], arguments: &[&str]) -> Result<Finished> {
        let (wallet, password) = (self.wallet.display().to_string(), self.password.display().to_string());
        run_bq([command, arguments, &["--wallet", &wallet, "--password-file", &password]].concat())
    }

    fn sign(&self, pool: &BqProcess, arguments: &[&str]) -> Result<String> {
        let http = pool.address("http")?.to_string();
        let genesis = self.settings(pool)?["genesis"].as_str().context("an id")?.to_owned();
        let all = [arguments, &["--pool", &http, "--genesis", &genesis]].concat();
        let finished = self.run(&["wallet", "sign-settings"], &all)?;
        ensure!(finished.code == Some(0), "{finished:?}");
        Ok(finished.stdout)
    }

    fn path(&self) -> String {
        format!("/api/v1/accounts/{}/settings", self.address)
    }

    fn settings(&self, pool: &BqProcess) -> Result<Value> {
        pool.get_json(&self.path())
    }

    fn payouts(&self, pool: &BqProcess) -> Result<usize> {
        let payouts = pool.get_json(&format!("/api/v1/miners/{}/payouts?limit=500", self.address))?;
        Ok(payouts["payouts"].as_array().context("payouts")?.len())
    }
}

/// Whatever was refused on the way, the server kept to its protocol.
fn check(report: &MinerReport) {
    assert_eq!(report.breaches, Vec::<String>::new(), "{report:?}");
}

fn mine(pool: &BqProcess, owner: &Owner) -> Result<Miner> {
    let login = format!("{}.rig", owner.address);
    Ok(Miner::start(pool.stratum("sha256d")?, move || sha256d::miner(&login, "x")))
}

#[test]
fn settings_wait_are_cancelled_kept_and_honoured() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let (owner, hook) = (Owner::new(folder.path(), "miner")?, Hook::open()?);
    let place = folder.path().join("a");
    let mut pool = start(&place, true)?;
    let miner = mine(&pool, &owner)?;
    wait_for("a payout", LIMIT, || match pool.miner(&owner.address)? {
        Some(_) => Ok((owner.payouts(&pool)? > 0).then_some(())),
        None => Ok(None),
    })?;
    check(&miner.stop());

    // What protects holds at once.
    let said = owner.sign(&pool, &["--minimum", &MINIMUM.to_string(), "--webhook", &hook.url])?;
    ensure!(said.contains("it holds now"), "{said}");
    hook.expect(&["settings_changed"])?;
    let view = owner.settings(&pool)?;
    ensure!(atoms(&view["current"]["minimum"])? == MINIMUM && view["current"]["webhook"] == true, "{view}");
    ensure!(view["pending"].is_null() && !view.to_string().contains(&hook.url), "{view}");
    let shown = pool.pool(&["settings", &owner.address])?;
    ensure!(shown.stdout.contains(&hook.url), "the operator sees it: {shown:?}");

    // More than the pool's minimum is owed, and nobody is paid.
    let before = owner.payouts(&pool)?;
    let miner = mine(&pool, &owner)?;
    wait_for("a balance above the pool's minimum", LIMIT, || {
        let owed = pool.miner(&owner.address)?.map(|miner| atoms(&miner["payable"])).transpose()?;
        Ok(owed.filter(|owed| *owed > 10 * 1_000_000_000))
    })?;
    check(&miner.stop());
    ensure!(owner.payouts(&pool)? == before, "its own minimum holds payouts back");

    // What does not, waits: over a restart too, and until it is cancelled.
    let said = owner.sign(&pool, &["--minimum", "default", "--webhook", "none"])?;
    ensure!(said.contains("holds from block"), "{said}");
    let told = hook.expect(&["settings_pending"])?;
    let from = pool.tip()?.height + DELAY_BLOCKS;
    ensure!(told.iter().any(|notice| notice["from_height"] == from), "{told:?}");
    let pending = owner.settings(&pool)?["pending"].clone();
    ensure!(pending["from_height"] == from && pending["webhook"] == false, "{pending}");
    pool.stop()?;
    pool = start(&place, true)?;
    let kept = owner.settings(&pool)?["pending"].clone();
    ensure!(kept["from_height"] == from && kept["changes_webhook"] == true, "{kept}");
    owner.sign(&pool, &["--cancel"])?;
    hook.expect(&["settings_cancelled"])?;
    let view = owner.settings(&pool)?;
    ensure!(view["pending"].is_null() && atoms(&view["current"]["minimum"])? == MINIMUM, "{view}");

    refuses_by_name(&pool, &owner, folder.path(), &hook.url)?;

    // Lowered once more, and nobody cancels: paid when the wait is over.
    owner.sign(&pool, &["--minimum", "default"])?;
    let miner = mine(&pool, &owner)?;
    hook.expect(&["settings_changed", "payout_sent", "payout_final"])?;
    check(&miner.stop());
    ensure!(owner.payouts(&pool)? > before, "paid");
    let view = owner.settings(&pool)?;
    ensure!(view["current"]["minimum"].is_null() && view["pending"].is_null(), "{view}");
    pool.ensure_balanced()?;
    pool.stop()?;
    calls_nobody_inside(&place, &owner, &hook)
}

/// Each bad input by its name, on the wire.
fn refuses_by_name(pool: &BqProcess, owner: &Owner, folder: &Path, url: &str) -> Result<()> {
    let signed: Value = serde_json::from_str(&owner.sign(pool, &["--lock", "off", "--webhook", url, "--dry-run"])?)?;
    let (other, place) = ("ab".repeat(32), pool.address("http")?.to_string());
    let elsewhere = ["--lock", "off", "--pool", &place, "--genesis", &other];
    let elsewhere = owner.run(&["wallet", "sign-settings"], &elsewhere)?;
    ensure!(elsewhere.code == Some(2) && elsewhere.stderr.contains("first block"), "another chain: {elsewhere:?}");
    let http = pool.address("http")?;
    let post = |body: &Value| http_post(http, &owner.path(), None, body);
    let named = |answer: HttpResponse, name: &str| {
        let code = answer.json()?["error"]["code"].clone();
        ensure!(answer.status == 400 && code == name, "{name}: {answer:?}");
        Ok(())
    };
    let with = |field: &str, change: &dyn Fn(&str) -> String| {
        let mut body = signed.clone();
        body[field] = json!(change(signed[field].as_str().unwrap_or_default()));
        body
    };
    let text = |change: &dyn Fn(&str) -> String| with("request", change);
    let genesis = owner.settings(pool)?["genesis"].as_str().context("an id")?.to_owned();
    let pool_address = owner.settings(pool)?["pool"].as_str().context("an address")?.to_owned();
    let last = u64::MAX.to_string();
    let far = ["--lock", "off", "--number", &last, "--pool-address", &pool_address, "--dry-run"];
    let renumbered: Value = serde_json::from_str(&owner.sign(pool, &far)?)?;
    let cases = [
        (
            "other_key",
            with("signature", &|text| text.replacen(&text[..2], if &text[..2] == "00" { "01" } else { "00" }, 1)),
        ),
        ("other_key", text(&|text| text.replace("lock off", "lock on"))),
        ("other_chain", text(&|text| text.replace(&genesis, &"ab".repeat(32)))),
        ("other_pool", text(&|text| text.replace(&pool_address, &owner.address))),
        ("malformed", text(&|text| text.replace("scheme", "schema"))),
        ("unknown_scheme", text(&|text| text.replace("scheme keep", "scheme prop"))),
        ("skipped", renumbered),
        ("other_account", with("request", &|text| text.replace("address ", "address x"))),
    ];
    for (name, body) in cases {
        named(post(&body)?, name)?;
    }
    let long = text(&|text| format!("{text}{}", "x".repeat(20_000)));
    ensure!(matches!(post(&long)?.status, 400 | 413), "longer than any body");
    ensure!(post(&signed)?.status == 200, "the good one");
    named(post(&signed)?, "replayed")?;
    // Another wallet's setting for its own account, of which no share is known.
    let stranger = Owner::new(folder, "stranger")?;
    let offline = ["--number", "1", "--pool-address", &pool_address, "--genesis", &genesis, "--dry-run"];
    let made = stranger.run(&["wallet", "sign-settings"], &[offline.as_slice(), &["--lock", "on"]].concat())?;
    let made: Value = serde_json::from_str(&made.stdout).with_context(|| format!("{made:?}"))?;
    named(http_post(http, &stranger.path(), None, &made)?, "unknown_account")
}

/// Without leave to call private addresses the webhook hears nothing; and a lock that a setting made outlasts `unlock`.
fn calls_nobody_inside(place: &Path, owner: &Owner, hook: &Hook) -> Result<()> {
    let pool = start(place, false)?;
    while hook.heard.try_recv().is_ok() {}
    owner.sign(&pool, &["--lock", "on", "--webhook", &hook.url])?;
    let view = wait_for("a notice that failed", LIMIT, || {
        let view = owner.settings(&pool)?;
        Ok((view["notices"]["failed"].as_u64() > Some(0)).then_some(view))
    })?;
    let told = view["notices"]["last_failure"].as_str().unwrap_or_default().to_owned();
    ensure!(told.contains("no public address"), "{view}");
    ensure!(hook.heard.try_recv().is_err(), "nobody called");
    let http = pool.address("http")?.to_string();
    let unlocked = owner.run(&["wallet", "request", "unlock"], &["--http", &http])?;
    ensure!(unlocked.code == Some(0), "{unlocked:?}");
    let mut client = LineClient::connect(pool.stratum("sha256d")?)?;
    client.send(&json!({ "id": 1, "method": "mining.authorize", "params": [owner.address, "x"] }))?;
    let refused = client.expect_answer(1, LIMIT)?;
    ensure!(refused["error"].to_string().contains("locked it"), "{refused}");
    pool.stop()?;
    Ok(())
}
