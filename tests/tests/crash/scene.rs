use std::{
    os::unix::process::ExitStatusExt as _,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use bq_tests::{
    BqOptions, BqProcess, EndedEarly, Eras, Miner, booked_shares, new_address, reckon, run_audit, said, sha256d,
    tear_newest_share, wait_for,
};

pub(crate) const LIMIT: Duration = Duration::from_secs(240);
const ABORTED: i32 = 6;
/// Miners of a scene: a window has more than one payee.
const MINERS: [&str; 2] = ["first", "second"];

/// A pool that dies, and its miners, who do not.
pub(crate) struct Scene {
    folder: tempfile::TempDir,
    pub(crate) options: BqOptions,
    addresses: Vec<String>,
    miners: Vec<Miner>,
    /// Acknowledged shares that a torn tail may have taken.
    torn: u64,
    height: u64,
}

/// Settings of a pool whose blocks, maturity and payouts take moments.
pub(crate) fn options(extra: &str) -> BqOptions {
    let pool = format!(
        "[pool]\npayout_min = 1000000\npayout_final_depth = 2\npayout_interval_secs = 1\nshare_interval_secs = 1\n{extra}\n\
         [pool.sha256d]\nshare_difficulty_floor = 16384\nshare_difficulty_start = 16384\n"
    );
    BqOptions { config: Eras::unhurried().then(1, &["sha256d"]).config(3, &pool), ..BqOptions::default() }
}

impl Scene {
    pub(crate) fn new(options: BqOptions) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let addresses: Vec<_> = MINERS.iter().map(|name| new_address(folder.path(), name)).collect::<Result<_>>()?;
        Ok(Self { folder, options, addresses, miners: Vec::new(), torn: 0, height: 0 })
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn home(&self) -> PathBuf {
        self.folder.path().join("pool")
    }

    pub(crate) fn addresses(&self) -> &[String] {
        &self.addresses
    }

    /// What all miners were told is accepted, and what they sent.
    pub(crate) fn shares(&self) -> (u64, u64) {
        let reports = self.miners.iter().map(Miner::report);
        reports.fold((0, 0), |(accepted, sent), report| {
            (accepted + report.accepted, sent + report.accepted + report.unanswered)
        })
    }

    /// A life that nobody ends, with everybody mining.
    pub(crate) fn start(&mut self) -> Result<BqProcess> {
        let bq = BqProcess::start(&self.home(), &self.options)?;
        self.begin(&bq)?;
        Ok(bq)
    }

    /// Miners come, to a pool that has what it had.
    fn begin(&mut self, bq: &BqProcess) -> Result<()> {
        let tip = bq.tip()?;
        ensure!(tip.height >= self.height, "{tip:?} after height {}", self.height);
        bq.ensure_balanced()?;
        let port = bq.stratum("sha256d")?;
        if self.miners.is_empty() {
            for address in &self.addresses {
                let login = format!("{address}.rig");
                self.miners.push(Miner::start(port, move || sha256d::miner(&login, "x")));
            }
        }
        self.miners.iter().for_each(|miner| miner.set_address(Some(port)));
        Ok(())
    }

    /// Miners stay away until the next life; what they were told is in the log, and nothing twice.
    pub(crate) fn ended(&mut self) -> Result<()> {
        self.miners.iter().for_each(|miner| miner.set_address(None));
        let (acknowledged, sent) = self.shares();
        let booked = booked_shares(&self.home())?;
        ensure!(booked + self.torn >= acknowledged, "{booked} shares booked, {acknowledged} acknowledged");
        ensure!(booked <= sent, "{booked} shares booked, {sent} sent");
        Ok(())
    }

    /// A life up to a point where it dies.
    pub(crate) fn die_at(&mut self, point: &str) -> Result<()> {
        let deaths = |home: &Path| said(home).unwrap_or_default().matches("died at ").count();
        let before = deaths(&self.home());
        let environment = vec![("BQ_FAULT_POINT".to_owned(), point.to_owned())];
        let options = BqOptions { environment, ..self.options.clone() };
        let status = match BqProcess::start(&self.home(), &options) {
            Ok(bq) => {
                // It may die while it is looked at.
                let _ = self.begin(&bq);
                bq.ended().with_context(|| format!("{point} was not reached"))?
            }
            Err(error) => error.downcast_ref::<EndedEarly>().map(|ended| ended.0).context(error.to_string())?,
        };
        ensure!(status.signal() == Some(ABORTED), "{point}: {status}");
        ensure!(deaths(&self.home()) == before + 1, "{point}: another death");
        self.ended().with_context(|| point.to_owned())
    }

    /// What power loss may do to what was not synced, to the newest share.
    pub(crate) fn tear(&mut self) -> Result<()> {
        self.torn += u64::from(tear_newest_share(&self.home())?);
        Ok(())
    }

    /// Waits until the chain has so many more blocks.
    pub(crate) fn blocks(&mut self, bq: &BqProcess, more: u64) -> Result<()> {
        self.height = bq.tip()?.height + more;
        bq.wait_for_height(self.height, LIMIT)?;
        Ok(())
    }

    /// The end: everybody was paid what the books say, once, and the log is whole. Returns what the chain paid.
    pub(crate) fn close(mut self, bq: BqProcess) -> Result<u64> {
        for miner in std::mem::take(&mut self.miners) {
            let report = miner.stop();
            ensure!(report.breaches.is_empty(), "{report:?}");
        }
        let paid = reckon(&bq, &self.addresses)?;
        ensure!(bq.stop()?.success());
        run_audit(&self.home())?;
        Ok(paid)
    }
}

/// Payouts that are final, as the miners' pages tell.
pub(crate) fn wait_for_payouts(scene: &Scene, bq: &BqProcess) -> Result<()> {
    for address in scene.addresses() {
        wait_for("a final payout", LIMIT, || {
            let Some(miner) = bq.miner(address)? else { return Ok(None) };
            let payouts = miner["payouts"].as_array().context("payouts")?;
            Ok(payouts.iter().any(|payout| payout["state"] == "final").then_some(()))
        })?;
    }
    Ok(())
}
