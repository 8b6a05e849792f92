use std::{thread::JoinHandle, time::Duration};

use anyhow::Context as _;
use bq_primitives::Algorithm;
use tokio::{sync::oneshot, task::JoinSet, time::sleep};

use crate::{
    FloodKind,
    forger::{Ledger, keep_forging},
    miner::Miner,
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

/// Written at once.
const CHUNK_BYTES: usize = 64 * 1024;
/// Before a connection that was closed comes again.
const PAUSE: Duration = Duration::from_millis(10);

impl Floods {
    /// Begins: each disturbs where its order says.
    pub(crate) fn begin(all: Vec<(Order, FloodKind)>, wiring: &Wiring) -> anyhow::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (stop, stopped) = oneshot::channel();
        let (wiring, ledger) = (wiring.clone(), Ledger::default());
        let of_run = ledger.clone();
        let run = move || {
            runtime.block_on(async move {
                let mut running = JoinSet::new();
                for (order, kind) in all {
                    running.spawn(keep_disturbing(kind, order, wiring.clone(), of_run.clone()));
                }
                let _dropped_is_stopped_too = stopped.await;
            });
        };
        let thread = std::thread::Builder::new().name("flood".to_owned()).spawn(run)?;
        Ok(Self { stop, thread, ledger })
    }

    /// # Errors
    /// They ended by themselves, which only a panic does.
    pub(crate) fn end(self) -> anyhow::Result<Ledger> {
        self.stop.send(()).ok().context("the floods ended by themselves")?;
        self.thread.join().ok().context("the floods panicked")?;
        Ok(self.ledger)
    }
}

async fn keep_disturbing(kind: FloodKind, order: Order, wiring: Wiring, ledger: Ledger) {
    loop {
        // Being closed is what is expected: it comes again.
        let _closed = disturb(kind, &order, &wiring, &ledger).await;
        sleep(PAUSE).await;
    }
}

async fn disturb(kind: FloodKind, order: &Order, wiring: &Wiring, ledger: &Ledger) -> anyhow::Result<()> {
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
        FloodKind::ForgedRandomX | FloodKind::ForgedEthash => keep_forging(order, wiring, ledger).await,
    }
}

async fn pour(order: &Order, wiring: &Wiring, chunk: &[u8]) -> anyhow::Result<()> {
    let mut wire = wiring.connect(order.port, order.number).await?;
    loop {
        wire.write(chunk).await?;
    }
}
