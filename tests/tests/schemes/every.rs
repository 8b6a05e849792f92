//! Accounts of every scheme at once, by a signed setting or by their port, in two algorithms, over a crash.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use bq_tests::{BqOptions, BqProcess, Eras, EthashMode, Miner, atoms, ethash, new_address, run_bq, sha256d, wait_for};

use crate::{
    COIN, LIMIT, audited, is_paid,
    recount::{Block, Pay, Terms, credits, shares},
};

const TERMS: Terms =
    Terms { fee_bp: 5000, window: 2, solo_fee_bp: 100, tides_fee_bp: 200, tides_window: 3, maturity: 4 };
/// Who mines, where and what: an account's scheme is that of its port, or what its owner signed.
const MINERS: [(&str, &str, &str); 7] = [
    ("pplns", "sha256d", ""),
    ("pps", "sha256d", "pps"),
    ("fpps", "sha256d", ""),
    ("solo", "sha256d", "solo"),
    ("tides", "sha256d", "tides"),
    ("fpps", "ethash", ""),
    ("tides", "ethash", "tides"),
];

/// Nobody is paid out, so that what is owed is all that was ever credited.
fn options() -> BqOptions {
    let Terms { fee_bp, window, solo_fee_bp, tides_fee_bp, tides_window, maturity } = TERMS;
    let pool = format!(
        "[stratum]\nscheme_ports = [\"pps sha256d 127.0.0.1:0\", \"solo sha256d 127.0.0.1:0\", \"tides sha256d 127.0.0.1:0\", \
         \"tides ethash 127.0.0.1:0\"]\n\
         [pool]\nshare_interval_secs = 1\npayout_mode = \"ledger\"\npayout_min = 1000000000000000\npayout_interval_secs = 1\n\
         payout_fee_rate = 100000\nfee_bp = {fee_bp}\npplns_window_units = {window}\nsettings_interval_secs = 0\n\
         scheme = \"pplns\"\nschemes = [\"pps\", \"fpps\", \"solo\", \"tides\"]\npps_fee_bp = 8000\nfpps_fee_bp = 8000\n\
         solo_fee_bp = {solo_fee_bp}\ntides_fee_bp = {tides_fee_bp}\ntides_window_units = {tides_window}\n\
         [pool.sha256d]\nshare_difficulty_floor = 16384\nshare_difficulty_start = 16384\n\
         [pool.ethash]\nshare_difficulty_floor = 8\nshare_difficulty_start = 16\n"
    );
    let config = Eras::unhurried().then(1, &["sha256d", "ethash"]).config(u32::try_from(maturity).unwrap_or(4), &pool);
    BqOptions { config, ..BqOptions::default() }
}

struct Accounts<'a> {
    folder: &'a Path,
    addresses: Vec<(&'static str, String)>,
}

impl<'a> Accounts<'a> {
    fn new(folder: &'a Path) -> Result<Self> {
        let names = ["pplns", "pps", "fpps", "solo", "tides", "owner"];
        let addresses = names.into_iter().map(|name| Ok((name, new_address(folder, name)?))).collect::<Result<_>>()?;
        Ok(Self { folder, addresses })
    }

    fn address(&self, name: &str) -> Result<&str> {
        let found = self.addresses.iter().find(|(known, _)| *known == name);
        Ok(&found.context("an account")?.1)
    }

    fn choose(&self, pool: &BqProcess, name: &str, scheme: &str) -> Result<()> {
        let place = |end: &str| self.folder.join(format!("{name}.{end}")).display().to_string();
        let (wallet, password, http) = (place("wallet.json"), place("password"), pool.address("http")?.to_string());
        let asked = ["wallet", "sign-settings", "--scheme", scheme, "--pool", &http];
        let done = run_bq([&asked[..], &["--wallet", &wallet, "--password-file", &password]].concat())?;
        ensure!(done.code == Some(0), "{done:?}");
        Ok(())
    }

    fn mine(&self, pool: &BqProcess, (name, lane, port): (&'static str, &str, &str)) -> Result<Miner> {
        let (port, address) = (pool.address(&place(lane, port))?, self.address(name)?.to_owned());
        Ok(match lane {
            "ethash" => Miner::start(port, move || ethash::miner(EthashMode::Stratum, &address, name, 0)),
            _ => Miner::start(port, move || sha256d::miner(&format!("{address}.{name}"), "x")),
        })
    }
}

fn place(lane: &str, port: &str) -> String {
    if port.is_empty() { format!("stratum_{lane}") } else { format!("stratum_{lane}_{port}") }
}

#[test]
fn every_scheme_at_once_credits_what_a_slow_recount_says() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let accounts = Accounts::new(folder.path())?;
    let mut bq = BqProcess::start(folder.path(), &options())?;
    // A reserve, out of what windows leave the pool; and an account that chooses once it has a share.
    let first = [accounts.mine(&bq, MINERS[0])?, accounts.mine(&bq, MINERS[2])?];
    let fund = || {
        let added = bq.decision(&["reserve", "add", &(200 * COIN).to_string()])?.code == Some(0);
        Ok((added && is_paid(&bq, "fpps")?).then_some(()))
    };
    wait_for("a reserve that pays shares for themselves", LIMIT, fund)?;
    let [pplns, fpps] = first;
    assert_eq!(fpps.stop().breaches, Vec::<String>::new());
    accounts.choose(&bq, "fpps", "fpps")?;
    let mut miners = vec![pplns];
    for of in &MINERS[1..] {
        miners.push(accounts.mine(&bq, *of)?);
    }
    spend(&bq, &accounts)?;
    all_are_credited(&bq, &accounts)?;
    bq.kill_hard()?;
    miners.iter().for_each(|miner| miner.set_address(None));
    bq = BqProcess::start(folder.path(), &options())?;
    for (miner, (_, lane, port)) in miners.iter().zip(MINERS) {
        miner.set_address(Some(bq.address(&place(lane, port))?));
    }
    let height = bq.tip()?.height;
    bq.wait_for_height(height + 12, LIMIT)?;
    // The blocks of the last settle what the others' shares earned.
    let last = miners.remove(0);
    for report in miners.into_iter().map(Miner::stop) {
        assert_eq!(report.breaches, Vec::<String>::new(), "{report:?}");
    }
    let height = bq.tip()?.height;
    bq.wait_for_height(height + 3, LIMIT)?;
    assert_eq!(last.stop().breaches, Vec::<String>::new());
    bq.ensure_balanced()?;
    let owed = settled(&bq, &accounts)?;
    let blocks = blocks(&bq)?;
    assert!(bq.stop()?.success());
    compare(folder.path(), &owed, &blocks)?;
    audited(folder.path())
}

/// Withdrawals are transactions with a fee.
fn spend(bq: &BqProcess, accounts: &Accounts<'_>) -> Result<()> {
    for _ in 0..3 {
        let withdraw = ["withdraw", "100000000", accounts.address("owner")?];
        wait_for("a withdrawal", LIMIT, || Ok((bq.decision(&withdraw)?.code == Some(0)).then_some(())))?;
        let height = bq.tip()?.height;
        bq.wait_for_height(height + 2, LIMIT)?;
    }
    wait_for("what was withdrawn", LIMIT, || Ok((bq.coins(accounts.address("owner")?)? > 0).then_some(())))
}

fn all_are_credited(bq: &BqProcess, accounts: &Accounts<'_>) -> Result<()> {
    for name in ["pplns", "pps", "fpps", "solo", "tides"] {
        let credited = || Ok((owed(bq, accounts.address(name)?)? > 0).then_some(()));
        wait_for(&format!("a credit of {name}"), LIMIT, credited)?;
    }
    Ok(())
}

fn owed(bq: &BqProcess, address: &str) -> Result<u64> {
    let Some(view) = bq.miner(address)? else { return Ok(0) };
    let parts = ["immature", "payable", "carried", "in_flight", "paid"].map(|part| atoms(&view[part]));
    parts.into_iter().sum()
}

/// What everybody is owed once nothing moves any more.
fn settled(bq: &BqProcess, accounts: &Accounts<'_>) -> Result<Vec<(&'static str, u64)>> {
    let names = ["pplns", "pps", "fpps", "solo", "tides"];
    let read = || names.iter().map(|name| Ok((*name, owed(bq, accounts.address(name)?)?))).collect::<Result<Vec<_>>>();
    wait_for("books that follow the chain", LIMIT, || {
        let before = (read()?, bq.tip()?);
        let pool = bq.get_json("/api/v1/pool")?;
        let in_step = bq.decision(&["reserve", "add", "1"]).is_ok();
        let same = (read()?, bq.tip()?) == before && pool["height"] == before.1.height;
        Ok((same && in_step).then_some(before.0))
    })
}

/// Blocks of the pool on the best chain, oldest first.
fn blocks(bq: &BqProcess) -> Result<Vec<Block>> {
    let list = bq.get_json("/api/v1/blocks?limit=500")?;
    let mut blocks = Vec::new();
    for block in list["blocks"].as_array().context("blocks")? {
        if block["state"] == "immature" || block["state"] == "matured" {
            let lane = if block["algorithm"] == "ethash" { 2 } else { 0 };
            let (id, height) = (block["id"].as_str().context("an id")?.to_owned(), block["height"].as_u64());
            blocks.push(Block { id, height: height.context("a height")?, lane, reward: atoms(&block["reward"])? });
        }
    }
    ensure!(blocks.len() < 500, "a page is too small");
    blocks.sort_by_key(|block| block.height);
    Ok(blocks)
}

fn compare(folder: &Path, owed: &[(&'static str, u64)], blocks: &[Block]) -> Result<()> {
    let shares = shares(folder)?;
    let of = |who: &str, lane: u8, is: fn(&Pay) -> bool| {
        shares.iter().filter(|share| share.who == who && share.lane == lane && is(&share.pay)).count()
    };
    let with_fees = of("fpps", 0, |pay| matches!(pay, Pay::Alone { fees: Some(1..), .. }));
    ensure!(with_fees > 0, "no share was paid fees");
    ensure!(of("pps", 0, |pay| matches!(pay, Pay::Alone { fees: None, .. })) > 0, "pps");
    ensure!(of("fpps", 2, |pay| matches!(pay, Pay::Alone { fees: Some(_), .. })) > 0, "fpps in another lane");
    ensure!(of("solo", 0, |pay| *pay != Pay::Solo) == 0, "its port says that it is paid so");
    for lane in [0, 2] {
        ensure!(of("tides", lane, |pay| *pay == Pay::Tides) > 0, "tides in lane {lane}");
    }
    let Some(expected) = credits(&shares, blocks, &TERMS)? else { return Ok(()) };
    for (name, owed) in owed {
        let expected = expected.get(*name).copied().unwrap_or(0);
        ensure!(*owed == expected, "{name} is owed {owed}, the recount says {expected}");
    }
    Ok(())
}
