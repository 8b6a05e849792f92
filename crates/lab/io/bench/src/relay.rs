//! Blocks from one node to another over loopback: sent, validated in full, stored.

use std::{
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use bq_chain_api::{NodeApi as _, SyncApi};
use bq_fixtures::FullBlock;
use bq_net::{Net, NetConfig, NetHandle, PeerAddress};
use bq_node::{MachineClock, Node, NodeConfig, StoreSettings};
use bq_pow::PowVerifier;
use bq_primitives::BlockId;
use tokio::runtime::Runtime;
use tokio_stream::StreamExt as _;

use super::{blocks::mine_block, table::Table};

const SMALL_BLOCKS: u32 = 500;
/// A node that has not caught up after this long never will.
const PATIENCE: Duration = Duration::from_secs(120);

/// A fresh node catches up with one that has the full block, then with one that has many small ones.
pub(super) fn relay(full: &FullBlock, table: &Table<'_>) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let old = Site::open("old", full)?;
    old.node.submit_block(full.funding.clone())?;
    let tip = old.node.submit_block(full.block.clone())?;
    let took = runtime.block_on(catch_up(&old, full, tip))?.as_secs_f64();
    let mut bytes = 0.0;
    for block in [&full.funding, &full.block] {
        bytes += f64::from(u32::try_from(block.to_bytes().len())?);
    }
    table.rate("full block and its coins, node to node", bytes / took / 1e6, "MB/s");
    table.rate("full block and its coins, node to node, time", took * 1e3, "ms");
    let mut tip = tip;
    for _ in 0..SMALL_BLOCKS {
        tip = mine_block(&*old.node, &old.pow)?;
    }
    let took_all = runtime.block_on(catch_up(&old, full, tip))?.as_secs_f64();
    let small = (took_all - took).max(f64::MIN_POSITIVE);
    table.rate("small blocks, node to node", f64::from(SMALL_BLOCKS) / small, "1/s");
    stop(runtime, old)
}

fn stop(runtime: Runtime, old: Site) -> anyhow::Result<()> {
    runtime.shutdown_timeout(Duration::from_secs(5));
    old.remove()
}

/// How long a fresh node takes from its start until it has the tip of `old`.
async fn catch_up(old: &Site, full: &FullBlock, tip: BlockId) -> anyhow::Result<Duration> {
    let serving = old.listen(None).await?;
    let address = serving.address().context("the old node does not listen")?;
    let fresh = Site::open("fresh", full)?;
    let mut tips = fresh.node.tip_changes();
    let start = Instant::now();
    let syncing = fresh.listen(Some(address.to_string().parse()?)).await?;
    let arrived = tokio::time::timeout(PATIENCE, async {
        while fresh.node.tip().id != tip {
            tips.next().await.context("the fresh node is gone")?;
        }
        anyhow::Ok(())
    })
    .await;
    let took = start.elapsed();
    arrived.context("the fresh node did not catch up")??;
    syncing.shutdown().await;
    serving.shutdown().await;
    fresh.remove()?;
    Ok(took)
}

/// A node with its own directory.
struct Site {
    node: Arc<Node>,
    pow: Arc<PowVerifier>,
    data_dir: PathBuf,
}

impl Site {
    fn open(name: &str, full: &FullBlock) -> anyhow::Result<Self> {
        let data_dir = std::env::temp_dir().join(format!("bq-bench-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&data_dir).with_context(|| data_dir.display().to_string())?;
        let pow = Arc::new(PowVerifier::default());
        let config = NodeConfig {
            params: Arc::new(full.params.clone()),
            data_dir: data_dir.clone(),
            mempool: bq_mempool::MempoolLimits::default(),
            store: StoreSettings::default(),
            clock: Arc::new(MachineClock),
        };
        Ok(Self { node: Node::open(config, Arc::clone(&pow))?, pow, data_dir })
    }

    async fn listen(&self, peer: Option<PeerAddress>) -> anyhow::Result<NetHandle> {
        let config = NetConfig {
            listen: Some(([127, 0, 0, 1], 0).into()),
            connect: peer.into_iter().collect(),
            ..NetConfig::default()
        };
        Ok(Net::start(config, Arc::clone(&self.node) as Arc<dyn SyncApi>).await?)
    }

    fn remove(self) -> anyhow::Result<()> {
        drop(self.node);
        Ok(std::fs::remove_dir_all(&self.data_dir)?)
    }
}
