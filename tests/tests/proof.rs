//! What a pool gives out, checked by who does not trust it, on the real program: a direct pool's log replayed by another machine that has
//! only the export and the chain, and a miner's receipts verified offline.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use bq_tests::{BqOptions, BqProcess, Eras, Finished, Miner, http_get, new_address, run_bq, sha256d, wait_for};
use serde_json::{Value, json};

const LIMIT: Duration = Duration::from_secs(240);
/// Number of that kind of event (SPEC 8.6.2).
const FRAME: u8 = 4;

fn options(more: &str) -> BqOptions {
    let pool = format!(
        "[pool]\npayout_mode = \"direct\"\nshare_interval_secs = 1\nstatement_interval_secs = 1\n{more}\
         [pool.sha256d]\nshare_difficulty_floor = 16384\nshare_difficulty_start = 16384\n"
    );
    BqOptions { config: Eras::unhurried().then(1, &["sha256d"]).config(4, &pool), ..BqOptions::default() }
}

fn text(path: &Path) -> String {
    path.display().to_string()
}

fn audit(arguments: &[&str]) -> Result<Finished> {
    run_bq([&["audit"], arguments].concat())
}

#[track_caller]
fn proves(arguments: &[&str], said: &str) -> Result<()> {
    let done = audit(arguments)?;
    ensure!(done.code == Some(0) && done.stdout.contains(said), "{arguments:?}: {done:?}");
    Ok(())
}

#[track_caller]
fn fails(arguments: &[&str], code: i32, said: &str) -> Result<()> {
    let done = audit(arguments)?;
    ensure!(done.code == Some(code) && done.stderr.contains(said), "{arguments:?}: {done:?}");
    Ok(())
}

#[test]
fn a_stranger_replays_a_pool_and_a_miner_verifies_his_receipts() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let folder = folder.path();
    let (one, two) = (new_address(folder, "one")?, new_address(folder, "two")?);
    let pool_folder = folder.join("pool");
    fs::create_dir(&pool_folder)?;
    let bq = BqProcess::start(&pool_folder, &options(""))?;
    let stranger_folder = folder.join("stranger");
    fs::create_dir(&stranger_folder)?;
    let mut beside = options("");
    beside.arguments.extend(["--connect".to_owned(), bq.address("p2p")?.to_string()]);
    let stranger = BqProcess::start(&stranger_folder, &beside)?;
    let miners = [one.clone(), two.clone()].map(|address| {
        let login = format!("{address}.rig");
        bq.stratum("sha256d").map(|port| Miner::start(port, move || sha256d::miner(&login, "x")))
    });
    let miners = miners.into_iter().collect::<Result<Vec<_>>>()?;
    let receipts = receipts(&bq, folder, &one)?;
    let height = bq.tip()?.height;
    bq.wait_for_height(height + 6, LIMIT)?;
    for miner in miners {
        let report = miner.stop();
        assert_eq!(report.breaches, Vec::<String>::new(), "{report:?}");
    }
    let rpc = stranger.address("rpc")?.to_string();
    wait_for(
        "the stranger's node to have the chain",
        LIMIT,
        || Ok((stranger.tip()?.id == bq.tip()?.id).then_some(())),
    )?;
    for receipt in &receipts {
        proves(&["verify", &text(receipt), "--account", &one], "are not looked up")?;
        // What is owed is stated before a block names it.
        let looked_up = audit(&["verify", &text(receipt), "--account", &one, "--rpc", &rpc])?;
        let is_named = looked_up.stdout.contains("its blocks are on the chain");
        let is_unnamed =
            ["no block of the pool named", "no block names it"].map(|text| looked_up.stdout.contains(text));
        ensure!(looked_up.code == Some(0) && is_unnamed == [!is_named; 2], "{looked_up:?}");
        fails(&["verify", &text(receipt), "--account", &two], 1, "it is of ")?;
        damaged_file_is_refused(receipt, &rpc)?;
    }
    ensure!(bq.stop()?.success());
    let export = folder.join("export");
    exported(&pool_folder, &export)?;
    account_export(&pool_folder, &folder.join("shares"), &one, &rpc)?;
    replayed_to_the_byte(&export, &["--rpc", &rpc])?;
    ensure!(stranger.stop()?.success());
    // The same from the files of the stranger's node, which got every block from the pool's.
    let files = Files::of(&stranger_folder);
    let coinbases = replayed_to_the_byte(&export, &files.as_chain())?;
    ensure!(!coinbases.contains(" 0 pay miners"), "{coinbases}");
    let theirs = folder.join("theirs");
    exported(&stranger_folder, &theirs)?;
    cut_reordered_and_mixed(&export, &theirs, &files)
}

/// As above, where accounts chose how they are paid: for each share, by their own blocks, by a long window, by the lane's.
#[test]
fn a_second_machine_replays_a_pool_whose_accounts_are_paid_by_schemes() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let folder = folder.path();
    let (pool_folder, second_folder) = (folder.join("pool"), folder.join("second"));
    fs::create_dir(&pool_folder)?;
    fs::create_dir(&second_folder)?;
    let schemes = "fee_bp = 5000\nschemes = [\"pps\", \"solo\", \"tides\"]\npps_fee_bp = 9000\n\
                   settings_interval_secs = 0\n";
    let options = options(schemes);
    let bq = BqProcess::start(&pool_folder, &options)?;
    let names = ["pplns", "pps", "solo", "tides"];
    let addresses = names.iter().map(|name| new_address(folder, name)).collect::<Result<Vec<_>>>()?;
    let mine = |address: &String| {
        let login = format!("{address}.rig");
        bq.stratum("sha256d").map(|port| Miner::start(port, move || sha256d::miner(&login, "x")))
    };
    let miners = addresses.iter().map(mine).collect::<Result<Vec<_>>>()?;
    for (name, address) in names.iter().zip(&addresses) {
        wait_for("the account to be known", LIMIT, || Ok(bq.miner(address)?.map(drop)))?;
        choose(&bq, folder, name)?;
    }
    // Shares are paid for themselves out of what the pool earned.
    let fund = || {
        let atoms = (200 * 100_000_000_u64).to_string();
        Ok((bq.decision(&["reserve", "add", &atoms])?.code == Some(0)).then_some(()))
    };
    wait_for("200 coins that the pool earned", LIMIT, fund)?;
    for (name, address) in names.iter().zip(&addresses) {
        let is_paid_so = || Ok(bq.miner(address)?.filter(|view| view["scheme"] == *name).map(drop));
        wait_for(&format!("{name} to pay"), LIMIT, is_paid_so)?;
    }
    let height = bq.tip()?.height;
    bq.wait_for_height(height + 8, LIMIT)?;
    for miner in miners {
        let report = miner.stop();
        assert_eq!(report.breaches, Vec::<String>::new(), "{report:?}");
    }
    let tip = bq.tip()?;
    let mut beside = options;
    beside.arguments.extend(["--connect".to_owned(), bq.address("p2p")?.to_string()]);
    let second = BqProcess::start(&second_folder, &beside)?;
    wait_for("the second machine to have the chain", LIMIT, || Ok((second.tip()?.id == tip.id).then_some(())))?;
    ensure!(bq.stop()?.success() && second.stop()?.success());
    let export = folder.join("export");
    exported(&pool_folder, &export)?;
    replayed_to_the_byte(&export, &Files::of(&second_folder).as_chain())?;
    Ok(())
}

/// Signs for an account how it wants to be paid; nothing for the lane's window, which is what it has.
fn choose(bq: &BqProcess, folder: &Path, scheme: &str) -> Result<()> {
    let file = |end: &str| text(&folder.join(format!("{scheme}.{end}")));
    let (wallet, password, pool) = (file("wallet.json"), file("password"), bq.address("http")?.to_string());
    let owner = ["--wallet", &wallet, "--password-file", &password, "--pool", &pool];
    let sign = ["wallet", "sign-settings", "--scheme", scheme];
    let done = run_bq([sign.as_slice(), owner.as_slice()].concat())?;
    ensure!(done.code == Some(0), "{done:?}");
    Ok(())
}

/// Where a stopped process has its data.
struct Files {
    data: String,
    config: String,
}

impl Files {
    fn of(folder: &Path) -> Self {
        Self { data: text(&folder.join("data")), config: text(&folder.join("bq.toml")) }
    }

    fn as_pool(&self) -> [&str; 6] {
        ["--network", "regtest", "--config", &self.config, "--data-dir", &self.data]
    }

    fn as_chain(&self) -> [&str; 6] {
        ["--network", "regtest", "--config", &self.config, "--chain", &self.data]
    }
}

/// Shares, the newest share, a credit and what is owed, as the running pool gives them out.
fn receipts(bq: &BqProcess, folder: &Path, address: &str) -> Result<Vec<PathBuf>> {
    let credited = || -> Result<Option<String>> {
        let blocks = bq.get_json("/api/v1/blocks?limit=50")?;
        let blocks = blocks["blocks"].as_array().context("blocks")?;
        for block in blocks.iter().rev() {
            let id = block["id"].as_str().context("an id")?;
            let path = format!("/api/v1/miners/{address}/proof/credit?block={id}");
            if bq.get(&path)?.status == 200 {
                return Ok(Some(path));
            }
        }
        Ok(None)
    };
    let credit = wait_for("a credit that is on the chain", LIMIT, credited)?;
    let of = |what: &str| format!("/api/v1/miners/{address}/proof/{what}");
    let wanted = [of("shares"), of("share"), credit, of("owed")];
    let mut files = Vec::new();
    for (number, path) in wanted.iter().enumerate() {
        let got = wait_for(path, LIMIT, || {
            let got = http_get(bq.address("http")?, path)?;
            Ok((got.status == 200).then_some(got))
        })?;
        let file = folder.join(format!("receipt-{number}"));
        fs::write(&file, &got.raw)?;
        files.push(file);
    }
    let bad = bq.get(&of("nonsense"))?;
    ensure!(bad.status == 400, "{bad:?}");
    let said: Value = bq.get_json("/api/v1/liabilities")?;
    ensure!(said["statements"][0]["signature"].as_str().is_some_and(|hex| hex.len() == 2 * 3309), "{said}");
    Ok(files)
}

/// One bit in each of a few places, and one byte less. A header that was changed is another block's, which only the chain can tell.
fn damaged_file_is_refused(file: &Path, rpc: &str) -> Result<()> {
    let good = fs::read(file)?;
    let path = file.with_extension("damaged");
    let flipped = (0..8).map(|part| {
        let mut bytes = good.clone();
        bytes[good.len() * part / 8] ^= 4;
        bytes
    });
    for bytes in flipped.chain([good[..good.len() - 1].to_vec()]) {
        fs::write(&path, bytes)?;
        let done = audit(&["verify", &text(&path), "--rpc", rpc])?;
        ensure!(done.code == Some(1) && !done.stderr.is_empty(), "{done:?}");
    }
    Ok(())
}

/// Everything of a stopped pool, for a stranger.
fn exported(pool: &Path, export: &Path) -> Result<()> {
    let files = Files::of(pool);
    let done = audit(&files.as_pool())?;
    ensure!(done.code == Some(0), "{done:?}");
    let all = ["export", "--all", "--out", &text(export)];
    proves(&[all.as_slice(), &files.as_pool()].concat(), "and their shares are in")
}

/// The shares of one account, of the same files.
fn account_export(pool: &Path, shares: &Path, address: &str, rpc: &str) -> Result<()> {
    let files = Files::of(pool);
    let shares = text(shares);
    let export = [&["export", "--account", address, "--out", &shares], files.as_pool().as_slice()].concat();
    proves(&export, "written to")?;
    proves(&["verify", &shares, "--account", address, "--rpc", rpc], "its blocks are on the chain")?;
    fails(&export, 2, "is there already")
}

/// Returns what is said of coinbases.
fn replayed_to_the_byte(export: &Path, chain: &[&str]) -> Result<String> {
    let done = audit(&[&["replay", &text(export)], chain].concat())?;
    ensure!(done.code == Some(0) && done.stdout.contains("nothing differs"), "{done:?}");
    let line = |start: &str| done.stdout.lines().find(|line| line.starts_with(start)).context("a line");
    // The hash of the newest event is that of the pool's own books.
    let manifest: Value = serde_json::from_slice(&fs::read(export.join("export.json"))?)?;
    let (log, hash) = (line("log ")?, manifest["hash"].as_str().context("a hash")?);
    ensure!(log.ends_with(hash), "{log}, the pool's is {hash}");
    Ok(line("blocks ")?.to_owned())
}

/// Whoever changes an export leaves its hashes wrong, or makes them fit: either is named.
fn cut_reordered_and_mixed(export: &Path, theirs: &Path, files: &Files) -> Result<()> {
    let good = fs::read(export.join("events"))?;
    let says = |events: &[u8], is_fitting: bool, said: &str| -> Result<()> {
        let manifest = fs::read(export.join("export.json"))?;
        fs::write(export.join("events"), events)?;
        if is_fitting {
            let mut fitting: Value = serde_json::from_slice(&manifest)?;
            fitting["files"]["events"] = json!({ "bytes": events.len(), "sha256": sha256(events) });
            fs::write(export.join("export.json"), serde_json::to_vec(&fitting)?)?;
        }
        let outcome = fails(&[&["replay", &text(export)], files.as_chain().as_slice()].concat(), 1, said);
        fs::write(export.join("export.json"), manifest)?;
        fs::write(export.join("events"), &good)?;
        outcome
    };
    let places = places(&good)?;
    let event = |number: usize| &good[places[number - 1]..places[number]];
    let count = places.len() - 1;
    // Cut: within the last event, or before it.
    says(&good[..good.len() - 3], false, "events is not as it was")?;
    says(&good[..good.len() - 3], true, &format!("events ends within event {count}"))?;
    says(&good[..places[count - 1]], true, &format!("events end with event {}", count - 1))?;
    // Reordered: frames follow on each other, what may come in either order is noticed by the next thing that names a hash of the log.
    let frames: Vec<usize> = (1..=count).filter(|number| is_frame(event(*number))).collect();
    let [first, .., last] = frames.as_slice() else { anyhow::bail!("{frames:?}") };
    let swapped = |(one, other): (usize, usize)| {
        let between = &good[places[one]..places[other - 1]];
        [&good[..places[one - 1]], event(other), between, event(one), &good[places[other]..]].concat()
    };
    says(&swapped((*first, *last)), true, &format!("the first difference: event {first} (frame)"))?;
    says(&swapped((2, 3)), true, "the first difference: event ")?;
    // Mixed: the second half of another pool's log. It opened once, so the place is known.
    let other = fs::read(theirs.join("events"))?;
    let half = places[count / 2];
    let mixed = [&good[..half], &other[8..]].concat();
    says(&mixed, true, &format!("the first difference: event {} (opened)", count / 2 + 1))
}

/// The number of an event's kind comes behind length and version.
fn is_frame(event: &[u8]) -> bool {
    event.get(4..6) == Some(&[1, FRAME])
}

/// Where events begin in the file, and where the last one ends.
fn places(events: &[u8]) -> Result<Vec<usize>> {
    let mut places = vec![8];
    while let Some(at) = places.last().copied().filter(|at| *at < events.len()) {
        let length: [u8; 4] = events.get(at..at + 4).context("a length")?.try_into()?;
        places.push(at + 4 + usize::try_from(u32::from_le_bytes(length))?);
    }
    Ok(places)
}

fn sha256(bytes: &[u8]) -> String {
    use sha2::Digest as _;
    hex::encode(sha2::Sha256::digest(bytes))
}
