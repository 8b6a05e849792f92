use std::path::Path;

use anyhow::Context as _;
use bq_chain_api::{NodeApi as _, NodeError};
use bq_pool::{Blocks, NodeBlocks};
use bq_primitives::{Block, BlockId, Height, Network};
use bq_rpc::RpcClient;
use bq_runtime::DataDir;
use bq_store::{ChainStore as _, RedbStore};

use super::super::pool::{config, no_answer};
use crate::{
    cli::{ChainArgs, DataArgs},
    exit::UsageError,
};

/// Where blocks are looked up.
pub(super) enum Chain {
    Node(Box<RpcClient>),
    Files { chain: Box<StoredChain>, network: Network, _lock: DataDir },
}

/// The best chain in the files of a node that does not run.
pub(super) struct StoredChain {
    store: RedbStore,
    ids: Vec<BlockId>,
}

impl Chain {
    /// Nothing if none was named.
    pub(super) fn open(args: &ChainArgs) -> anyhow::Result<Option<Self>> {
        if let Some(rpc) = &args.rpc {
            return Ok(Some(Self::Node(Box::new(RpcClient::connect(rpc).map_err(|error| no_answer(error, rpc))?))));
        }
        let Some(folder) = &args.chain else { return Ok(None) };
        if !folder.join(bq_store::STORE_FILE).is_file() {
            return Err(UsageError(format!("chain: {} holds no chain", folder.display())).into());
        }
        let data = DataArgs { config: args.config.clone(), network: args.network, data_dir: Some(folder.clone()) };
        let settings = config(&data, None)?;
        let lock = DataDir::lock(folder)?;
        let chain = Box::new(StoredChain::open(folder, &settings.params)?);
        Ok(Some(Self::Files { chain, network: settings.network, _lock: lock }))
    }

    pub(super) fn network(&self) -> Network {
        match self {
            Self::Node(node) => node.network(),
            Self::Files { network, .. } => *network,
        }
    }

    pub(super) fn blocks(&self) -> &dyn Blocks {
        self
    }
}

impl Blocks for Chain {
    fn tip_height(&self) -> Result<Height, NodeError> {
        match self {
            Self::Node(node) => NodeBlocks(node.as_ref()).tip_height(),
            Self::Files { chain, .. } => chain.tip_height(),
        }
    }

    fn id_at(&self, height: Height) -> Result<Option<BlockId>, NodeError> {
        match self {
            Self::Node(node) => NodeBlocks(node.as_ref()).id_at(height),
            Self::Files { chain, .. } => chain.id_at(height),
        }
    }

    fn block(&self, id: &BlockId) -> Result<Option<Block>, NodeError> {
        match self {
            Self::Node(node) => NodeBlocks(node.as_ref()).block(id),
            Self::Files { chain, .. } => chain.block(id),
        }
    }
}

impl StoredChain {
    pub(super) fn open(folder: &Path, params: &bq_consensus::Params) -> anyhow::Result<Self> {
        let store = RedbStore::open(folder, &bq_node::store_identity(params))?;
        let ids = store.best_chain().with_context(|| folder.display().to_string())?;
        Ok(Self { store, ids })
    }
}

impl Blocks for StoredChain {
    fn tip_height(&self) -> Result<Height, NodeError> {
        let newest = u32::try_from(self.ids.len().saturating_sub(1));
        newest.map(Height).map_err(|_| NodeError::Store("more blocks than heights".to_owned()))
    }

    fn id_at(&self, height: Height) -> Result<Option<BlockId>, NodeError> {
        Ok(usize::try_from(height.0).ok().and_then(|at| self.ids.get(at)).copied())
    }

    fn block(&self, id: &BlockId) -> Result<Option<Block>, NodeError> {
        self.store.block(id).map_err(|error| NodeError::Store(error.to_string()))
    }
}
