mod keys;
mod kills;
mod soak;

use std::{
    collections::BTreeMap,
    num::NonZeroUsize,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use bq_miner::TlsTrust;
use bq_primitives::Algorithm;
use bq_stratum_client::EthashDialect;
use rustls::{ClientConfig, client::Resumption};
use tokio::{task::JoinSet, time::sleep};

use crate::{
    Figures, Plan, SharePlan,
    board::{Board, Hearing},
    crowd::{Coming, Crowd},
    figures::{float, millis},
    finder::Finder,
    flood::Floods,
    forger::Forgeries,
    lab::{Lab, TRUSTED_AFTER, replace},
    metrics::Metrics,
    miner::Miner,
    order::Order,
    plan::HONEST,
    quiver::Fletcher,
    server_process::{ServerProcess, Usage},
    shares::{Archer, Fate, prove_all, ready, send_all, send_paced},
    wire::Wiring,
};

/// Runs a plan on this thread, and tells what it found.
///
/// # Errors
/// The plan is refused, the server does not start or end as it should, or a miner that must not be lost was.
pub fn swarm(plan: &Plan) -> anyhow::Result<Figures> {
    plan.check()?;
    let lab = Lab::open(plan)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut run = Run::new(plan, &lab)?;
    runtime.block_on(run.play())?;
    let figures = run.figures;
    drop(runtime);
    lab.close()?;
    Ok(figures)
}

/// How long the last miner may take to hear of a tip.
const TIP_PATIENCE: Duration = Duration::from_secs(20);
/// After the crowd came, and between tips: what the server still does then is not counted.
const CALM: Duration = Duration::from_millis(500);
/// How memory is looked at until it stands still: so many times in a row, and no more than so many times in all.
const LOOK: Duration = Duration::from_millis(250);
const LOOKS_QUIET: u32 = 16;
const LOOKS_MAX: u32 = 480;
/// What each honest miner sends while others flood.
const HONEST_INTERVAL: Duration = Duration::from_millis(200);
/// The same where work is forged whose hash costs milliseconds: ten a second of all twenty together.
const HONEST_COSTLY_INTERVAL: Duration = Duration::from_secs(2);
/// Accepted shares that make a miner trusted in the lab, and some.
const PROOF: usize = TRUSTED_AFTER as usize + 2;

/// Around a change of process: a quarter of it before.
const TAKEOVER_WATCH: Duration = Duration::from_secs(8);
/// Between two newcomers.
const NEWCOMER_PAUSE: Duration = Duration::from_millis(50);
const NEWCOMERS_MAX: usize = 200;

struct Run<'a> {
    plan: &'a Plan,
    lab: &'a Lab,
    wiring: Wiring,
    board: Board,
    crowd: Crowd,
    figures: Figures,
    /// Numbers that are taken.
    numbers: usize,
}

impl<'a> Run<'a> {
    fn new(plan: &'a Plan, lab: &'a Lab) -> anyhow::Result<Self> {
        let tls = plan.crowd.tls.then(any_certificate).transpose()?.map(Arc::new);
        let (sources, proxy_headers) = (plan.crowd.sources.get(), plan.crowd.proxy_headers);
        let wiring = Wiring { tls, sources, proxy_headers };
        let board = Board::default();
        let crowd = Crowd::new(&plan.crowd, lab, wiring.clone(), board.clone())?;
        let numbers = crowd.len();
        Ok(Self { plan, lab, wiring, board, crowd, figures: Figures::default(), numbers })
    }

    async fn play(&mut self) -> anyhow::Result<()> {
        if self.plan.rest > Duration::ZERO {
            self.wait_for_tables().await;
        }
        let before = self.usage();
        let coming = self.crowd.come(self.plan.crowd.opening_max.get()).await;
        self.note_coming("crowd", coming)?;
        sleep(CALM + self.plan.rest).await;
        self.note_memory(&before);
        self.hear_of_tips().await?;
        for algorithm in &self.plan.key_changes {
            self.change_key(*algorithm).await?;
        }
        for algorithm in Algorithm::ALL {
            if let Some(shares) = self.plan.shares[algorithm.index()] {
                self.send_shares(algorithm, &shares).await?;
            }
        }
        if !self.plan.floods.is_empty() {
            self.be_flooded().await?;
        }
        for number in 1..=self.plan.storms {
            self.crowd.leave().await;
            let coming = self.crowd.come(self.crowd.len().max(1)).await;
            self.note_coming(&format!("storm {number}"), coming)?;
        }
        for number in 1..=self.plan.takeovers {
            self.be_taken_over(number).await?;
        }
        if self.plan.kills > 0 {
            self.be_killed().await?;
        }
        if self.plan.soak > Duration::ZERO {
            self.soak().await?;
        }
        self.end().await
    }

    /// A server that has just begun builds tables of hundreds of megabytes, which would be taken for the miners'.
    async fn wait_for_tables(&self) {
        let (mut quiet, mut before) = (0, self.usage().resident_kib);
        for _ in 0..LOOKS_MAX {
            sleep(LOOK).await;
            let now = self.usage().resident_kib;
            quiet = if now.abs_diff(before) < 256 { quiet + 1 } else { 0 };
            before = now;
            if quiet == LOOKS_QUIET {
                return;
            }
        }
    }

    fn note_coming(&mut self, what: &str, coming: Coming) -> anyhow::Result<()> {
        let Coming { took, arrived, again, lost, why } = coming;
        let figures = &mut self.figures;
        figures.count(format!("{what}: miners with work"), arrived.len());
        figures.add(format!("{what}: all after"), millis(took), "ms");
        figures.percentiles(&format!("{what}: connected"), arrived.iter().map(|one| one.connected).collect());
        figures.percentiles(&format!("{what}: first job"), arrived.iter().map(|one| one.working).collect());
        figures.count(format!("{what}: turned away at first"), again);
        figures.count(format!("{what}: lost"), lost);
        anyhow::ensure!(lost == 0, "{what}: {lost} miners were lost; the last failure: {}", why.unwrap_or_default());
        Ok(())
    }

    fn note_memory(&mut self, before: &Usage) {
        let (now, miners) = (self.usage(), float(self.crowd.len()));
        if now.resident_kib == 0 || miners < 1.0 {
            return;
        }
        self.memory("server: resident before", before.resident_kib);
        self.memory("server: resident with the crowd", now.resident_kib);
        let grown = now.resident_kib.saturating_sub(before.resident_kib);
        self.figures.add("server: resident per miner", kib(grown) / miners, "KiB");
        let spent = now.cpu.saturating_sub(before.cpu);
        self.figures.add("server: processor per miner that came", spent.as_secs_f64() * 1e6 / miners, "us");
    }

    fn memory(&mut self, what: &str, amount_kib: u64) {
        self.figures.add(what, kib(amount_kib) / 1024.0, "MiB");
    }

    async fn hear_of_tips(&mut self) -> anyhow::Result<()> {
        if self.plan.tips == 0 {
            return Ok(());
        }
        let order = self.order(Algorithm::Sha256d)?;
        let mut finder = Finder::open(&order, &self.wiring).await?;
        let (mut from_submit, mut from_first, mut proven, mut last) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        let mut spent = Duration::ZERO;
        for number in 1..=self.plan.tips {
            sleep(CALM).await;
            let expected = self.crowd.present();
            self.board.begin(expected);
            let before = self.usage().cpu;
            let submitted = finder.find().await?;
            let heard = self.board.heard(TIP_PATIENCE).await;
            spent += self.usage().cpu.saturating_sub(before);
            anyhow::ensure!(heard.len() >= expected, "tip {number}: {} of {expected} miners heard", heard.len());
            finder.next_work().await?;
            if let (Some(first), Some(end)) = (heard.first(), heard.last()) {
                let since = |from: Instant| move |hearing: &Hearing| hearing.at.saturating_duration_since(from);
                last.push(since(first.at)(end));
                from_first.extend(heard.iter().map(since(first.at)));
                proven.extend(heard.iter().filter(|hearing| hearing.is_proven).map(since(first.at)));
                from_submit.extend(heard.iter().map(since(submitted)));
            }
        }
        let figures = &mut self.figures;
        figures.percentiles("tip: from the submit to a miner", from_submit);
        figures.percentiles("tip: from the first miner to another", from_first);
        figures.percentiles("tip: from the first miner to a proven one", proven);
        figures.percentiles("tip: from the first miner to the last", last);
        let each = f64::from(self.plan.tips) * float(self.crowd.len().max(1));
        figures.add("tip: server's processor per miner", spent.as_secs_f64() * 1e6 / each, "us");
        Ok(())
    }

    async fn send_shares(&mut self, algorithm: Algorithm, plan: &SharePlan) -> anyhow::Result<()> {
        let orders = self.orders(algorithm, plan.connections)?;
        let fletcher = Arc::new(Fletcher::new());
        let archers = ready(&orders, &self.wiring, plan.count, &fletcher).await?;
        let before = self.usage().cpu;
        let fate = send_all(archers, plan).await?;
        let spent = self.usage().cpu.saturating_sub(before);
        self.note_fate(&format!("{algorithm} shares"), fate, Some(spent))
    }

    /// `spent` is the server's processor time, where that is known.
    fn note_fate(&mut self, what: &str, fate: Fate, spent: Option<Duration>) -> anyhow::Result<()> {
        let refused = fate.refusals();
        let answered = float(fate.accepted + refused).max(1.0);
        let figures = &mut self.figures;
        figures.count(format!("{what}: accepted"), fate.accepted);
        figures.count(format!("{what}: refused"), refused);
        for (reason, count) in &fate.refused {
            figures.count(format!("{what}: refused, {reason}"), *count);
        }
        if fate.took > Duration::ZERO {
            figures.add(format!("{what}: answered"), answered / fate.took.as_secs_f64(), "1/s");
        }
        if let Some(spent) = spent {
            figures.add(format!("{what}: server's processor each"), spent.as_secs_f64() * 1e6 / answered, "us");
        }
        let waited: Duration = fate.waits.iter().sum();
        figures.add(format!("{what}: answer, mean"), millis(waited) / float(fate.accepted).max(1.0), "ms");
        figures.percentiles(&format!("{what}: answer"), fate.waits);
        anyhow::ensure!(fate.accepted > 0, "{what}: none was accepted");
        Ok(())
    }

    async fn be_flooded(&mut self) -> anyhow::Result<()> {
        let forged = self.plan.forged();
        let honest = if forged.is_empty() { vec![Algorithm::Sha256d] } else { forged.clone() };
        let fletcher = Arc::new(Fletcher::new());
        let mut sides = Vec::new();
        for algorithm in honest {
            sides.push((algorithm, self.honest(algorithm, &forged, &fletcher).await?));
        }
        let floods = self.begin_floods(&forged)?;
        let (before, reading) = (self.usage().cpu, self.lab.metrics());
        let interval = if forged.is_empty() { HONEST_INTERVAL } else { HONEST_COSTLY_INTERVAL };
        let mut sending = JoinSet::new();
        for (algorithm, archers) in sides {
            let time = self.plan.flood;
            sending.spawn(async move { (algorithm, send_paced(archers, interval, time).await) });
        }
        let mut fates = BTreeMap::new();
        while let Some(joined) = sending.join_next().await {
            let (algorithm, fate) = joined?;
            fates.insert(algorithm.index(), (algorithm, fate?));
        }
        let (spent, reading) = (self.usage().cpu.saturating_sub(before), self.lab.metrics().zip(reading));
        let ledger = floods.end()?;
        for algorithm in &forged {
            self.note_forgeries(*algorithm, &ledger.of(*algorithm), reading.as_ref());
        }
        let kinds: Vec<_> =
            self.plan.floods.iter().map(|flood| format!("{} {}", flood.connections, flood.kind.name())).collect();
        let only_one = fates.len() == 1;
        for (algorithm, fate) in fates.into_values() {
            let who = if only_one { "honest".to_owned() } else { format!("honest {algorithm}") };
            self.note_fate(&format!("{who} beside {}", kinds.join(", ")), fate, Some(spent))?;
        }
        Ok(())
    }

    /// Those whose answers are timed. Where work is forged, the server has come to trust them: they are who must not be kept from mining.
    async fn honest(
        &mut self,
        algorithm: Algorithm,
        forged: &[Algorithm],
        fletcher: &Arc<Fletcher>,
    ) -> anyhow::Result<Vec<Archer>> {
        let mut orders = self.orders(algorithm, NonZeroUsize::new(HONEST).unwrap_or(NonZeroUsize::MIN))?;
        if !forged.contains(&algorithm) {
            return ready(&orders, &self.wiring, 64 * HONEST, fletcher).await;
        }
        orders.iter_mut().for_each(|order| order.easiest = true);
        let archers = ready(&orders, &self.wiring, 0, fletcher).await?;
        let more = self.plan.flood.as_millis() / HONEST_COSTLY_INTERVAL.as_millis().max(1) + 2;
        prove_all(archers, PROOF, usize::try_from(more)?).await
    }

    /// Whoever forges comes to the port of its algorithm, all others to that of SHA-256d.
    fn begin_floods(&mut self, forged: &[Algorithm]) -> anyhow::Result<Floods> {
        let mut disturbing = Vec::new();
        for plan in &self.plan.floods {
            let algorithm = plan.kind.forges().unwrap_or(Algorithm::Sha256d);
            let count = NonZeroUsize::new(plan.connections);
            for mut order in count.map(|count| self.orders(algorithm, count)).transpose()?.unwrap_or_default() {
                order.ethash = forged.contains(&algorithm).then_some(EthashDialect::Version2);
                disturbing.push((order, plan.kind));
            }
        }
        Floods::begin(disturbing, &self.wiring)
    }

    fn note_forgeries(&mut self, algorithm: Algorithm, forgeries: &Forgeries, reading: Option<&(Metrics, Metrics)>) {
        let figures = &mut self.figures;
        for (answer, count) in &forgeries.answers {
            figures.count(format!("forged {algorithm}: answered {answer}"), *count);
        }
        figures.count(format!("forged {algorithm}: most hashed of one address"), forgeries.hashed_max);
        let Some((after, before)) = reading else { return };
        for (trust, whose) in [("stranger", "forged"), ("trusted", "honest")] {
            let labels = [("algorithm", algorithm.name()), ("trust", trust)];
            let grown = |name: &str| after.value(name, &labels) - before.value(name, &labels);
            let (count, sum) = (grown("bq_stratum_verdict_seconds_count"), grown("bq_stratum_verdict_seconds_sum"));
            figures.add(format!("{whose} {algorithm}: hashed, by the server's count"), count, "");
            figures.add(
                format!("{whose} {algorithm}: to the verdict, by the server's clock, mean"),
                1e3 * sum / count.max(1.0),
                "ms",
            );
        }
        figures.add(
            "addresses banned".to_owned(),
            after.value("bq_bans_total", &[]) - before.value("bq_bans_total", &[]),
            "",
        );
    }

    async fn be_taken_over(&mut self, number: u32) -> anyhow::Result<()> {
        let own = self.lab.own().context("only a server that was started for the run is taken over")?;
        let orders = self.orders(Algorithm::Sha256d, NonZeroUsize::new(HONEST).unwrap_or(NonZeroUsize::MIN))?;
        let archers = ready(&orders, &self.wiring, 64 * HONEST, &Arc::new(Fletcher::new())).await?;
        let newcomer = self.order(Algorithm::Sha256d)?;
        self.numbers += NEWCOMERS_MAX;
        let (before, watched) = (self.crowd.present(), Instant::now() + TAKEOVER_WATCH);
        let newcomers = tokio::spawn(come_one_by_one(newcomer, self.wiring.clone(), watched));
        let replaced = async move {
            sleep(TAKEOVER_WATCH / 4).await;
            let begun = Instant::now();
            tokio::task::spawn_blocking(move || replace(&own)).await??;
            Ok::<_, anyhow::Error>(begun.elapsed())
        };
        let (fate, took) = tokio::join!(send_paced(archers, HONEST_INTERVAL, TAKEOVER_WATCH), replaced);
        let (arrived, failed) = newcomers.await?;
        let lost = before.saturating_sub(self.crowd.present());
        let (what, figures) = (format!("takeover {number}"), &mut self.figures);
        figures.add(format!("{what}: from the start of the newer process to its being ready"), millis(took?), "ms");
        figures.count(format!("{what}: miners that lost their connection"), lost);
        figures.count(format!("{what}: newcomers with work"), arrived.len());
        figures.count(format!("{what}: newcomers without"), failed);
        figures.percentiles(&format!("{what}: a newcomer's first job"), arrived);
        self.note_fate(&format!("{what}: honest"), fate?, None)
    }

    async fn end(&mut self) -> anyhow::Result<()> {
        let (expected, present) = (self.crowd.len(), self.crowd.present());
        self.figures.count("end: miners still connected", present);
        let usage = self.usage();
        if usage.peak_kib > 0 {
            self.memory("end: server's peak (VmHWM)", usage.peak_kib);
            self.memory("end: server resident", usage.resident_kib);
        }
        self.crowd.leave().await;
        anyhow::ensure!(present == expected, "{} of {expected} miners were dropped on the way", expected - present);
        Ok(())
    }

    fn usage(&self) -> Usage {
        self.lab.process().map(ServerProcess::usage).unwrap_or_default()
    }

    fn order(&mut self, algorithm: Algorithm) -> anyhow::Result<Order> {
        let port = self.lab.port(algorithm).context("this act needs it")?;
        self.numbers += 1;
        let address = self.lab.user.clone();
        Ok(Order { number: self.numbers, algorithm, port, address, proves: false, easiest: false, ethash: None })
    }

    fn orders(&mut self, algorithm: Algorithm, count: NonZeroUsize) -> anyhow::Result<Vec<Order>> {
        (0..count.get()).map(|_| self.order(algorithm)).collect()
    }
}

/// Newcomers, one after the other, until then: how long each took to its first job, and how many had none.
async fn come_one_by_one(mut order: Order, wiring: Wiring, until: Instant) -> (Vec<Duration>, usize) {
    let (mut arrived, mut failed) = (Vec::new(), 0);
    while Instant::now() < until && arrived.len() + failed < NEWCOMERS_MAX {
        order.number += 1;
        match Miner::open(&order, &wiring).await {
            Ok((_miner, steps)) => arrived.push(steps.working),
            Err(_) => failed += 1,
        }
        sleep(NEWCOMER_PAUSE).await;
    }
    (arrived, failed)
}

/// A server under test shows a certificate of its own making. Ten thousand miners resume no session: each pays for its handshake.
fn any_certificate() -> Result<ClientConfig, rustls::Error> {
    let mut config = TlsTrust::Anyone.client_config()?;
    config.resumption = Resumption::disabled();
    Ok(config)
}

fn kib(amount: u64) -> f64 {
    u32::try_from(amount).map_or(f64::INFINITY, f64::from)
}
