use std::sync::Arc;

use bq_consensus::{Params, ParamsError};
use bq_mempool::Mempool;
use bq_pow::PowVerifier;
use bq_store::{ChainStore, RedbStore, StoreError, StoreIdentity};
use bq_tree::{BlockTree, ChainChange};

use crate::{Node, NodeConfig, node::Parts, upkeep::Upkeep};

/// The node cannot start.
#[derive(Debug, thiserror::Error)]
pub enum NodeOpenError {
    /// The rules' constants contradict each other.
    #[error("network parameters: {0}")]
    Params(#[from] ParamsError),
    /// The chain store cannot be opened or read; the text names the file.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The stored blocks do not form a tree with a best chain in it.
    #[error("chain store: {0}")]
    Index(String),
    /// No thread for the node's upkeep.
    #[error("cannot start a thread: {0}")]
    Thread(std::io::Error),
}

impl Node {
    /// Opens the chain in the data directory, or starts one there, and goes on where the last committed change left off.
    ///
    /// # Errors
    /// See [`NodeOpenError`].
    pub fn open(config: NodeConfig, pow: Arc<PowVerifier>) -> Result<Arc<Self>, NodeOpenError> {
        let NodeConfig { params, data_dir, mempool, clock } = config;
        params.check()?;
        let identity = StoreIdentity {
            network: params.network,
            genesis: params.genesis_block(),
            genesis_entry: params.genesis_entry(),
        };
        let store = RedbStore::open(&data_dir, &identity)?;
        let tree = load_tree(&params, &store)?;
        let upkeep = Upkeep::start(Arc::clone(&pow)).map_err(NodeOpenError::Thread)?;
        let mempool = Mempool::new(mempool);
        let store = Box::new(store);
        let node = Arc::new(Self::assemble(Parts { params, pow, clock, store, tree, mempool, upkeep }));
        node.upkeep.watch(&node);
        // A crash between storing a body and following it leaves a better branch that nobody has switched to yet.
        node.follow_best_chain(&mut node.writer.lock()).map_err(|error| NodeOpenError::Index(error.to_string()))?;
        node.publish_tip();
        Ok(node)
    }
}

fn load_tree(params: &Params, store: &dyn ChainStore) -> Result<BlockTree, NodeOpenError> {
    let broken = |error: &dyn std::fmt::Display| NodeOpenError::Index(error.to_string());
    let mut tree = BlockTree::new(params.genesis_entry());
    let blocks = store.index()?;
    // Marks come last: an invalid block's children were stored before it was found out.
    for block in blocks.iter().skip(1) {
        tree.insert(block.entry).map_err(|error| broken(&error))?;
        if block.has_body {
            tree.set_body_stored(&block.entry.id);
        }
    }
    let connect = store.best_chain()?.split_off(1);
    tree.apply(&ChainChange { disconnect: Vec::new(), connect }).map_err(|error| broken(&error))?;
    for block in blocks.iter().filter(|block| block.is_invalid) {
        tree.mark_invalid(&block.entry.id);
    }
    Ok(tree)
}
