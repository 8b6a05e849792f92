use std::{sync::Arc, thread::JoinHandle};

use bq_chain_api::{NodeApi, SubmitBlockError};
use bq_primitives::{Block, BlockId};
use crossbeam_channel::{Sender, TrySendError, bounded};
use parking_lot::Mutex;

use crate::intake::note_verdict;

/// Blocks that may wait for the node; one more is submitted by the thread that found it.
const WAITING_MAX: usize = 1024;

/// Hands found blocks to the node on a thread that exists before the first one: nothing lies on a block's way.
pub(crate) struct Submitter {
    blocks: Mutex<Option<Sender<Block>>>,
    thread: Mutex<Option<JoinHandle<()>>>,
    node: Arc<dyn NodeApi>,
    refused: Arc<Mutex<Option<Refused>>>,
}

/// The newest block that the node refused.
#[derive(Clone, Debug)]
pub(crate) struct Refused {
    pub(crate) id: BlockId,
    pub(crate) reason: String,
}

impl Submitter {
    pub(crate) fn start(node: Arc<dyn NodeApi>) -> std::io::Result<Self> {
        let (blocks, waiting) = bounded::<Block>(WAITING_MAX);
        let refused = Arc::new(Mutex::new(None));
        let of_thread = (Arc::clone(&node), Arc::clone(&refused));
        let run = move || {
            let (node, refused) = of_thread;
            for block in waiting {
                hand_over(node.as_ref(), &refused, block);
            }
        };
        let thread = std::thread::Builder::new().name("pool-submit".to_owned()).spawn(run)?;
        Ok(Self { blocks: Mutex::new(Some(blocks)), thread: Mutex::new(Some(thread)), node, refused })
    }

    /// Without a thread: whoever finds a block submits it. For a pool that is driven step by step.
    pub(crate) fn inline(node: Arc<dyn NodeApi>) -> Self {
        Self { blocks: Mutex::default(), thread: Mutex::default(), node, refused: Arc::default() }
    }

    /// Returns at once, or once the node has the block when too many wait.
    pub(crate) fn submit(&self, block: Block) {
        let sender = self.blocks.lock().clone();
        let unsent = match sender {
            Some(blocks) => match blocks.try_send(block) {
                Ok(()) => None,
                Err(TrySendError::Full(block) | TrySendError::Disconnected(block)) => Some(block),
            },
            None => Some(block),
        };
        if let Some(block) = unsent {
            hand_over(self.node.as_ref(), &self.refused, block);
        }
    }

    pub(crate) fn refused(&self) -> Option<Refused> {
        self.refused.lock().clone()
    }

    /// Returns once the node has every block.
    pub(crate) fn stop(&self) {
        drop(self.blocks.lock().take());
        if let Some(thread) = self.thread.lock().take()
            && thread.join().is_err()
        {
            tracing::error!("the submitting thread panicked");
        }
    }
}

fn hand_over(node: &dyn NodeApi, refused: &Mutex<Option<Refused>>, block: Block) {
    let id = block.id();
    // A panic in the node must not end the only thread that submits.
    let submit = std::panic::AssertUnwindSafe(|| node.submit_block(block));
    match std::panic::catch_unwind(submit) {
        Ok(verdict) => {
            note_verdict(&id, &verdict);
            if let Err(SubmitBlockError::Invalid(reason)) = verdict {
                *refused.lock() = Some(Refused { id, reason: reason.to_string() });
            }
        }
        Err(_) => tracing::error!(block = %id, "the node panicked over a block; it is submitted again"),
    }
}
