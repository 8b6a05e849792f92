use std::{sync::Arc, time::Instant};

use bq_chain_api::{BlockRefusal, NodeError, SubmitBlockError};
use bq_consensus::{
    BlockError, Consequence, ContextualHeader, IndexEntry, ProvenHeader, SealedHeader, WellFormedBlock, check_body,
    check_header, check_proof,
};
use bq_primitives::{Block, BlockId, NamedHeader, Timestamp};
use bq_store::{NewHeader, StoreChange};
use bq_tree::BlockState;

use crate::{
    Node,
    node::{Writer, broken},
};

/// How far a block's header has come before its body is looked at.
enum Place {
    /// The header is in the tree, so its proof was verified.
    Known(IndexEntry),
    /// The header fits into the chain; its proof comes next.
    New(Box<ContextualHeader>),
}

impl Node {
    /// Validates a block in full and adds it, cheapest rules first; nothing but the last step holds the writer's lock.
    pub(crate) fn accept_block(&self, block: Block) -> Result<BlockId, SubmitBlockError> {
        let started = Instant::now();
        let result = self.try_accept(block);
        self.metrics.validated(started.elapsed());
        self.publish_counters();
        result
    }

    fn try_accept(&self, block: Block) -> Result<BlockId, SubmitBlockError> {
        let Block { header, seal, .. } = block;
        let sealed = SealedHeader { header, seal };
        let named = NamedHeader::from(sealed);
        let proven = match self.place(named) {
            Ok(Place::Known(entry)) => ProvenHeader::assume(sealed, entry),
            Ok(Place::New(header)) => check_proof(*header, self.pow.as_ref()).map_err(refused)?,
            Err(SubmitBlockError::TooEarly(reason)) => {
                // Twice the limit ahead of the clock: waits at most as long as the limit itself.
                let limit = self.latest_time().0.saturating_add(self.params.future_limit_secs);
                self.writer.lock().held.hold(named.id(), block, Timestamp(limit));
                return Err(SubmitBlockError::TooEarly(reason));
            }
            Err(error) => return Err(error),
        };
        let entry = *proven.entry();
        match check_body(proven, block.transactions) {
            Ok(block) => self.add_or_keep(block),
            Err(error) => {
                if error.consequence() == Consequence::Invalid {
                    self.condemn(&mut self.writer.lock(), sealed, entry)?;
                }
                Err(refused(error))
            }
        }
    }

    /// SPEC 7.1 to 7.5, in the tree as it is now.
    fn place(&self, named: NamedHeader) -> Result<Place, SubmitBlockError> {
        let (id, parent_id) = (named.id(), named.sealed().header.parent_id);
        let tree = self.tree.read();
        match tree.state(&id) {
            Some(BlockState::Connected | BlockState::BodyStored) => return Err(SubmitBlockError::Duplicate),
            Some(BlockState::Invalid) => return Err(known_invalid(&id)),
            Some(BlockState::HeaderKnown) => {
                let entry = tree.entry(&id).copied();
                return entry.map(Place::Known).ok_or_else(|| broken("header without entry").into());
            }
            None => {}
        }
        match tree.state(&parent_id) {
            None => return Err(SubmitBlockError::UnknownParent(parent_id)),
            Some(BlockState::Invalid) => return Err(known_invalid(&parent_id)),
            Some(BlockState::Connected | BlockState::BodyStored | BlockState::HeaderKnown) => {}
        }
        let branch = tree.branch(&parent_id).ok_or(SubmitBlockError::UnknownParent(parent_id))?;
        let header = check_header(&self.params, &branch, named, self.now()).map_err(refused)?;
        if self.allow_key(&tree, &parent_id, &header) {
            Ok(Place::New(Box::new(header)))
        } else {
            Err(NodeError::Request("too many blocks that need tables of long ago".to_owned()).into())
        }
    }

    /// Adds a well-formed block and switches to it if its branch is the best.
    pub(crate) fn add(&self, writer: &mut Writer, block: WellFormedBlock) -> Result<BlockId, SubmitBlockError> {
        let entry = *block.entry();
        let (is_known, extends_tip) = {
            let tree = self.tree.read();
            // The tree may have changed since the block was placed.
            match tree.state(&entry.id) {
                Some(BlockState::Connected | BlockState::BodyStored) => return Err(SubmitBlockError::Duplicate),
                Some(BlockState::Invalid) => return Err(known_invalid(&entry.id)),
                Some(BlockState::HeaderKnown) => (true, entry.parent_id == tree.tip().id),
                None if tree.state(&entry.parent_id) == Some(BlockState::Invalid) => {
                    return Err(known_invalid(&entry.parent_id));
                }
                None => (false, entry.parent_id == tree.tip().id),
            }
        };
        let header = NewHeader { sealed: *block.sealed(), entry };
        let headers = if is_known { Vec::new() } else { vec![header] };
        if extends_tip {
            self.extend_tip(writer, headers, block)?;
            self.follow_best_chain(writer, None)?;
        } else {
            self.store_body(writer, headers, &block)?;
            self.follow_best_chain(writer, Some(&block))?;
        }
        match self.tree.read().state(&entry.id) {
            Some(BlockState::Invalid) => Err(known_invalid(&entry.id)),
            _ => Ok(entry.id),
        }
    }

    /// Stores a block that is not the tip's child.
    fn store_body(
        &self,
        writer: &mut Writer,
        headers: Vec<NewHeader>,
        block: &WellFormedBlock,
    ) -> Result<(), NodeError> {
        let bodies = vec![(block.entry().id, Arc::clone(block.transactions()))];
        self.commit(writer, StoreChange { headers, bodies, ..StoreChange::default() })
    }

    /// Remembers that a block with a good proof is invalid, and so is every descendant: nobody can make us examine it again.
    pub(crate) fn condemn(
        &self,
        writer: &mut Writer,
        sealed: SealedHeader,
        entry: IndexEntry,
    ) -> Result<(), NodeError> {
        let (is_new, is_condemned) = {
            let tree = self.tree.read();
            let is_invalid = |id: &BlockId| tree.state(id) == Some(BlockState::Invalid);
            (tree.entry(&entry.id).is_none(), is_invalid(&entry.id) || is_invalid(&entry.parent_id))
        };
        if is_condemned {
            return Ok(());
        }
        let header = NewHeader { sealed, entry };
        let headers = if is_new { vec![header] } else { Vec::new() };
        // Descendants are marked with it, here and when the tree is read at start.
        self.commit(writer, StoreChange { headers, invalid: vec![entry.id], ..StoreChange::default() })
    }

    /// Tries held blocks whose time has come.
    pub(crate) fn retry_held(&self) {
        let limit = self.latest_time();
        let due = self.writer.lock().held.take_due(limit);
        for block in due {
            let id = block.id();
            match self.accept_block(block) {
                Ok(_) => tracing::debug!(%id, "held block added"),
                Err(error) => tracing::debug!(%id, %error, "held block refused"),
            }
        }
    }

    fn latest_time(&self) -> Timestamp {
        Timestamp(self.now().0.saturating_add(self.params.future_limit_secs))
    }
}

/// What a broken rule means for whoever handed the block in: its consequence, with the rule.
pub(crate) fn refused(error: BlockError) -> SubmitBlockError {
    match error.consequence() {
        Consequence::UnknownParent => match error {
            BlockError::UnknownParent { parent_id } => SubmitBlockError::UnknownParent(parent_id),
            other => SubmitBlockError::Node(broken(other)),
        },
        Consequence::Hold => SubmitBlockError::TooEarly(error.into()),
        Consequence::Local => SubmitBlockError::Node(broken(error)),
        Consequence::Invalid | Consequence::BodyMismatch => SubmitBlockError::Invalid(error.into()),
    }
}

fn known_invalid(id: &BlockId) -> SubmitBlockError {
    SubmitBlockError::Invalid(BlockRefusal::KnownInvalid(*id))
}
