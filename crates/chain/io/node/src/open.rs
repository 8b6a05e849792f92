use std::sync::Arc;

use bq_chain_api::NodeError;
use bq_consensus::{Params, ParamsError, ProvenHeader, SealedHeader, check_body};
use bq_mempool::Mempool;
use bq_pow::PowVerifier;
use bq_primitives::Height;
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
    /// A better branch was stored before the last stop, and cannot be followed.
    #[error(transparent)]
    Follow(NodeError),
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
        config.params.check()?;
        let store = RedbStore::open(&config.data_dir, &store_identity(&config.params))?;
        Self::open_on(Box::new(store), config, pow)
    }

    /// [`Node::open`] on a store that is open already; the data directory is not looked at.
    ///
    /// # Errors
    /// See [`NodeOpenError`].
    pub fn open_on(
        store: Box<dyn ChainStore>,
        config: NodeConfig,
        pow: Arc<PowVerifier>,
    ) -> Result<Arc<Self>, NodeOpenError> {
        let NodeConfig { params, mempool, store: settings, clock, .. } = config;
        params.check()?;
        let tree = load_tree(&params, store.as_ref())?;
        check_newest(&tree, store.as_ref(), settings.check_blocks)?;
        let upkeep = Upkeep::start(Arc::clone(&pow)).map_err(NodeOpenError::Thread)?;
        let mempool = Mempool::new(mempool);
        let node = Arc::new(Self::assemble(Parts { params, pow, clock, store, settings, tree, mempool, upkeep }));
        node.upkeep.watch(&node);
        // A crash between storing a body and following it leaves a better branch that nobody has switched to yet.
        node.follow_best_chain(&mut node.writer.lock(), None).map_err(NodeOpenError::Follow)?;
        node.publish_tip();
        Ok(node)
    }
}

/// What a store of the chain under these rules must say that it is.
#[must_use]
pub fn store_identity(params: &Params) -> StoreIdentity {
    StoreIdentity { network: params.network, genesis: params.genesis_block(), genesis_entry: params.genesis_entry() }
}

fn load_tree(params: &Params, store: &dyn ChainStore) -> Result<BlockTree, StoreError> {
    let broken = |error: &dyn std::fmt::Display| store.damaged(format!("its blocks are no chain: {error}"));
    let mut tree = BlockTree::new(params.genesis_entry());
    let blocks = store.index()?;
    // Marks come last: an invalid block's children were stored before it was found out.
    for block in blocks.iter().skip(1) {
        tree.insert(block.entry).map_err(|error| broken(&error))?;
        if block.has_body {
            tree.set_body_stored(&block.entry.id);
        }
    }
    let connect = store.best_chain()?.into_iter().skip(1).collect();
    tree.apply(&ChainChange { disconnect: Vec::new(), connect }).map_err(|error| broken(&error))?;
    for block in blocks.iter().filter(|block| block.is_invalid) {
        tree.mark_invalid(&block.entry.id);
    }
    Ok(tree)
}

/// The newest blocks of the best chain must be what their headers say, and have what disconnecting them needs: a file whose
/// checksums hold may still have been written by something that went wrong.
fn check_newest(tree: &BlockTree, store: &dyn ChainStore, blocks: u32) -> Result<(), StoreError> {
    let tip = tree.tip().height;
    let lowest = tip.0.saturating_sub(blocks).saturating_add(1);
    for entry in (lowest..=tip.0).filter_map(|height| tree.connected_at(Height(height))) {
        let (id, height) = (entry.id, entry.height);
        let damaged = |what: &dyn std::fmt::Display| store.damaged(format!("block {id} at height {height}: {what}"));
        let block = store.block(&id)?.ok_or_else(|| damaged(&"has no body"))?;
        let sealed = SealedHeader { header: block.header, seal: block.seal };
        if sealed.id() != id || block.header.parent_id != entry.parent_id {
            return Err(damaged(&"header of another block"));
        }
        let spends = block.transactions.iter().skip(1).map(|transaction| transaction.inputs.len()).sum::<usize>();
        check_body(ProvenHeader::assume(sealed, *entry), block.transactions).map_err(|error| damaged(&error))?;
        let undo = store.undo(&id)?.ok_or_else(|| damaged(&"has no undo record"))?;
        if undo.spent.len() != spends {
            return Err(damaged(&"undo record of another block"));
        }
    }
    Ok(())
}
