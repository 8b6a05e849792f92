use bq_chain_api::{Announcement, NodeError};
use bq_consensus::SealedHeader;
use bq_primitives::Algorithm;
use bq_store::{ChainStep, StoreChange};
use bq_tree::{BlockTree, ChainChange};
use parking_lot::RwLockWriteGuard;

use crate::{Node, node::Writer, trouble::out_of_step};

impl Node {
    /// Every change of the chain goes through here: to the store, then to memory, then everyone is told. Readers wait
    /// meanwhile, so that nobody sees the one without the other.
    pub(crate) fn commit(&self, writer: &mut Writer, change: StoreChange) -> Result<(), NodeError> {
        let tree = self.tree.write();
        match self.store.commit(&change) {
            Ok(()) => self.apply(tree, change),
            Err(error) => Err(self.doubt(writer, change, &error)),
        }
    }

    /// Brings memory to a change that is stored.
    pub(crate) fn apply(
        &self,
        mut tree: RwLockWriteGuard<'_, BlockTree>,
        change: StoreChange,
    ) -> Result<(), NodeError> {
        let StoreChange { headers, bodies, invalid, chain } = change;
        for header in &headers {
            tree.insert(header.entry).map_err(out_of_step)?;
        }
        for (id, _) in &bodies {
            tree.set_body_stored(id);
        }
        for id in &invalid {
            tree.mark_invalid(id);
        }
        let Some(update) = chain else { return Ok(()) };
        let ids = |steps: &[ChainStep]| steps.iter().map(|step| step.id).collect::<Vec<_>>();
        let plan = ChainChange { disconnect: ids(&update.disconnect), connect: ids(&update.connect) };
        let height_before = tree.tip().height;
        tree.apply(&plan).map_err(out_of_step)?;
        let next = tree.tip().height.next().unwrap_or(tree.tip().height);
        let algorithms: Vec<Option<Algorithm>> =
            plan.connect.iter().map(|id| tree.entry(id).and_then(|entry| entry.algorithm)).collect();
        self.update_mempool(&update, height_before, next);
        drop(tree);
        self.count(&plan, &algorithms);
        self.publish_tip();
        if let Some(tip) = update.connect.last() {
            self.announce(tip.sealed);
        }
        Ok(())
    }

    fn count(&self, plan: &ChainChange, algorithms: &[Option<Algorithm>]) {
        for algorithm in algorithms.iter().copied().flatten() {
            self.metrics.block_connected(algorithm);
        }
        if !plan.disconnect.is_empty() {
            self.metrics.reorg(plan.disconnect.len());
            tracing::info!(disconnected = plan.disconnect.len(), connected = plan.connect.len(), "reorganised");
        }
    }

    /// Tells peers about a block that is, or would be but for our disk, the end of the best chain.
    pub(crate) fn announce(&self, sealed: SealedHeader) {
        // No receiver is no error: nobody wants to know yet.
        let _ = self.announcements.send(Announcement::Block(Box::new(sealed)));
    }
}
