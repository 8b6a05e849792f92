use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    thread::JoinHandle,
    time::Duration,
};

use anyhow::Context as _;
use bq_primitives::{Algorithm, PowHash};
use bq_stratum_client::{Event, FIRST_SUBMIT_ID, Found, FoundShare, Job, Proof, Work};
use tokio::{sync::oneshot, task::JoinSet, time::sleep};

use crate::{
    FloodKind, FloodPlan,
    miner::{Heard, Miner},
    order::Order,
    wire::Wiring,
};

/// Connections that disturb until they are told to stop, on a thread of their own: it is the server that they keep from others, not the
/// miners that are measured.
pub(crate) struct Floods {
    stop: oneshot::Sender<()>,
    thread: JoinHandle<()>,
    ledger: Ledger,
}

/// What forgers were told.
#[derive(Clone, Debug, Default)]
pub(crate) struct Forgeries {
    /// Submits of theirs that were answered, by what the server said.
    pub(crate) answers: BTreeMap<String, usize>,
    /// Most of one sender's that were hashed, all its connections together.
    pub(crate) hashed_max: usize,
}

type Ledger = Arc<Mutex<Forgeries>>;

/// Written at once.
const CHUNK_BYTES: usize = 64 * 1024;
/// Before a connection that was closed comes again.
const PAUSE: Duration = Duration::from_millis(10);
/// Between two submits of a forger, and before it comes again.
const FORGER_PAUSE: Duration = Duration::from_millis(200);

impl Floods {
    /// Begins; `order` says where, its number is that of the first connection.
    pub(crate) fn begin(plans: &[FloodPlan], order: &Order, wiring: &Wiring) -> anyhow::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (stop, stopped) = oneshot::channel();
        let kinds = plans.iter().flat_map(|plan| std::iter::repeat_n(plan.kind, plan.connections));
        let all: Vec<_> =
            (order.number..).zip(kinds).map(|(number, kind)| (Order { number, ..order.clone() }, kind)).collect();
        let (wiring, ledger) = (wiring.clone(), Ledger::default());
        let of_run = Arc::clone(&ledger);
        let run = move || {
            runtime.block_on(async move {
                let mut running = JoinSet::new();
                for (order, kind) in all {
                    running.spawn(keep_disturbing(kind, order, wiring.clone(), Arc::clone(&of_run)));
                }
                let _dropped_is_stopped_too = stopped.await;
            });
        };
        let thread = std::thread::Builder::new().name("flood".to_owned()).spawn(run)?;
        Ok(Self { stop, thread, ledger })
    }

    /// # Errors
    /// They ended by themselves, which only a panic does.
    pub(crate) fn end(self) -> anyhow::Result<Forgeries> {
        self.stop.send(()).ok().context("the floods ended by themselves")?;
        self.thread.join().ok().context("the floods panicked")?;
        Ok(self.ledger.lock().map_err(|_| anyhow::anyhow!("the floods panicked"))?.clone())
    }
}

async fn keep_disturbing(kind: FloodKind, order: Order, wiring: Wiring, ledger: Ledger) {
    let mut hashed = 0;
    loop {
        // Being closed is what is expected: it comes again.
        if kind.forges().is_some() {
            let _closed = forge(&order, &wiring, &ledger, &mut hashed).await;
            sleep(FORGER_PAUSE).await;
        } else {
            let _closed = disturb(kind, &order, &wiring).await;
            sleep(PAUSE).await;
        }
    }
}

/// Until the server closes. What was refused for another reason than want of time or room was computed.
async fn forge(order: &Order, wiring: &Wiring, ledger: &Ledger, hashed: &mut usize) -> anyhow::Result<()> {
    let (mut miner, _) = Miner::open(order, wiring).await?;
    let mut ids = FIRST_SUBMIT_ID..;
    loop {
        let id = ids.next().context("no more ids")?;
        let found = forged(&miner.job, id);
        let share = FoundShare { job_id: &miner.job.id, work: &miner.job.work, found: &found };
        let submit = miner.dialect.submit(&share, id);
        miner.wire.write(submit.as_bytes()).await?;
        let answer = answered(&mut miner, id).await?;
        let is_busy = answer.to_lowercase().contains("busy");
        *hashed += usize::from(!is_busy && !answer.contains("Job") && !answer.contains("Stale"));
        if let Ok(mut ledger) = ledger.lock() {
            *ledger.answers.entry(answer).or_default() += 1;
            ledger.hashed_max = ledger.hashed_max.max(*hashed);
        }
        sleep(FORGER_PAUSE).await;
    }
}

async fn answered(miner: &mut Miner, id: u64) -> anyhow::Result<String> {
    loop {
        let Heard::Line(line) = miner.hear().await? else { anyhow::bail!("closed") };
        for event in miner.understand(&line, Some(id))? {
            if let Event::Answer { refused, .. } = event {
                return Ok(refused.unwrap_or_else(|| "accepted".to_owned()));
            }
        }
    }
}

/// A result below any share's target and above any block's, which no hash comes to; of Ethash a nonce alone, which one in 2^24 would be good.
fn forged(job: &Job, number: u64) -> Found {
    let mut value = [0x55; 32];
    value[28..].fill(0);
    let proof = match &job.work {
        Work::Ethash { first_nonce, .. } => Proof::Ethash { nonce: first_nonce.wrapping_add(number), mix: [0; 32] },
        Work::Sha256d(_) | Work::RandomX { .. } => Proof::RandomX { nonce: u32::try_from(number).unwrap_or(0) },
    };
    Found { proof, value: PowHash(value) }
}

async fn disturb(kind: FloodKind, order: &Order, wiring: &Wiring) -> anyhow::Result<()> {
    match kind {
        FloodKind::Newlines => pour(order, wiring, &[b'\n'; CHUNK_BYTES]).await,
        FloodKind::Garbage => pour(order, wiring, b"{\"id\":1,\"method\":[[[[ no json\n".repeat(100).as_slice()).await,
        FloodKind::Halves => {
            let mut wire = wiring.connect(order.port, order.number).await?;
            wire.write(b"{\"id\":1,\"method\":\"mining.sub").await?;
            while wire.read(&mut Vec::new()).await? > 0 {}
            Ok(())
        }
        FloodKind::Deaf => {
            let (mut miner, _) = Miner::open(order, wiring).await?;
            let asks = b"{\"id\":9,\"method\":\"mining.ping\",\"params\":[]}\n".repeat(100);
            loop {
                miner.wire.write(&asks).await?;
            }
        }
        FloodKind::Foreign => {
            let (mut miner, _) = Miner::open(order, wiring).await?;
            debug_assert_eq!(miner.algorithm, Algorithm::Sha256d, "what is sent is that dialect's");
            let user = format!("{}.rig{}", order.address, order.number);
            let line = format!(
                "{{\"id\":7,\"method\":\"mining.submit\",\"params\":[\"{user}\",\"ffffffff\",\"{:016x}\",\"00000000\",\"00000000\"]}}\n",
                order.number
            );
            let lines = line.repeat(100);
            loop {
                miner.wire.write(lines.as_bytes()).await?;
                let mut answers = Vec::new();
                while answers.iter().filter(|byte| **byte == b'\n').count() < 100 {
                    anyhow::ensure!(miner.wire.read(&mut answers).await? > 0, "closed");
                }
            }
        }
        FloodKind::ForgedRandomX | FloodKind::ForgedEthash => Ok(()),
    }
}

async fn pour(order: &Order, wiring: &Wiring, chunk: &[u8]) -> anyhow::Result<()> {
    let mut wire = wiring.connect(order.port, order.number).await?;
    loop {
        wire.write(chunk).await?;
    }
}
