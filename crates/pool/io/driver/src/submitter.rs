use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};

use bq_chain_api::{NodeApi, SubmitBlockError};
use bq_fault_point::{FaultPoint, hold, reach};
use bq_primitives::{Block, BlockId};
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, TrySendError, bounded};
use parking_lot::Mutex;

use crate::intake::note_verdict;

/// Blocks that may wait for the node; one more is submitted by the thread that found it. No chain gives a pool so
/// many while one is handed over, so the number bounds memory and nothing else.
const WAITING_MAX: usize = 1024;

/// Hands found blocks to the node on a thread that exists before the first one: nothing lies on a block's way.
pub(crate) struct Submitter {
    blocks: Mutex<Option<Sender<Waiting>>>,
    thread: Mutex<Option<JoinHandle<()>>>,
    node: Arc<dyn NodeApi>,
    refused: Arc<Mutex<Option<Refused>>>,
    /// The node took longer than somebody waited, and has not taken a block since.
    is_slow: Arc<AtomicBool>,
}

/// A block on its way to the node; the sender goes with it.
struct Waiting {
    block: Block,
    _until_handed_over: Sender<()>,
}

/// A block that was handed in: ends when the node has it.
pub(crate) struct Submission(Receiver<()>);

/// The newest block that the node refused.
#[derive(Clone, Debug)]
pub(crate) struct Refused {
    pub(crate) id: BlockId,
    pub(crate) reason: String,
}

impl Submitter {
    pub(crate) fn start(node: Arc<dyn NodeApi>) -> std::io::Result<Self> {
        let (blocks, all) = bounded::<Waiting>(WAITING_MAX);
        let (refused, is_slow) = (Arc::new(Mutex::new(None)), Arc::new(AtomicBool::new(false)));
        let of_thread = (Arc::clone(&node), Arc::clone(&refused), Arc::clone(&is_slow));
        let run = move || {
            let (node, refused, is_slow) = of_thread;
            for waiting in all {
                hand_over(node.as_ref(), &refused, waiting.block);
                is_slow.store(false, Ordering::Relaxed);
            }
        };
        let thread = std::thread::Builder::new().name("pool-submit".to_owned()).spawn(run)?;
        Ok(Self { blocks: Mutex::new(Some(blocks)), thread: Mutex::new(Some(thread)), node, refused, is_slow })
    }

    /// Without a thread: whoever finds a block submits it. For a pool that is driven step by step.
    pub(crate) fn inline(node: Arc<dyn NodeApi>) -> Self {
        Self {
            blocks: Mutex::default(),
            thread: Mutex::default(),
            node,
            refused: Arc::default(),
            is_slow: Arc::default(),
        }
    }

    /// Returns at once, or once the node has the block when too many wait.
    pub(crate) fn submit(&self, block: Block) -> Submission {
        let (until_handed_over, handed_over) = bounded(0);
        let waiting = Waiting { block, _until_handed_over: until_handed_over };
        let sender = self.blocks.lock().clone();
        let unsent = match sender {
            Some(blocks) => match blocks.try_send(waiting) {
                Ok(()) => None,
                Err(TrySendError::Full(waiting) | TrySendError::Disconnected(waiting)) => Some(waiting),
            },
            None => Some(waiting),
        };
        if let Some(waiting) = unsent {
            hand_over(self.node.as_ref(), &self.refused, waiting.block);
        }
        Submission(handed_over)
    }

    /// Returns once the node has the block, or after `limit`. While the node is slow nobody waits: other blocks are found meanwhile.
    pub(crate) fn wait(&self, submission: &Submission, limit: Duration) {
        if self.is_slow.load(Ordering::Relaxed) {
            return;
        }
        // The other end is dropped with the block.
        if submission.0.recv_timeout(limit) == Err(RecvTimeoutError::Timeout) {
            self.is_slow.store(true, Ordering::Relaxed);
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
    hold(FaultPoint::BlockNotSubmitted);
    // A panic in the node must not end the only thread that submits.
    let submit = std::panic::AssertUnwindSafe(|| node.submit_block(block));
    let outcome = std::panic::catch_unwind(submit);
    reach(FaultPoint::BlockNotWritten);
    match outcome {
        Ok(verdict) => {
            note_verdict(&id, &verdict);
            if let Err(SubmitBlockError::Invalid(reason)) = verdict {
                *refused.lock() = Some(Refused { id, reason: reason.to_string() });
            }
        }
        Err(_) => tracing::error!(block = %id, "the node panicked over a block; it is submitted again"),
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::Arc, time::Duration};

    use bq_chain_api::{NodeApi, TemplateRequest};
    use bq_primitives::{Algorithm, KeyHash};

    use super::Submitter;
    use crate::tests::fake_node::FakeNode;

    #[test]
    fn an_answer_waits_for_the_node_unless_that_is_stuck() {
        let node = FakeNode::new();
        let submitter = Submitter::start(Arc::clone(&node) as Arc<dyn NodeApi>).expect("a thread");
        let request = TemplateRequest::new(KeyHash([1; 32]), Vec::new());
        let template = node.template(&request).expect("a template");
        let blocks = [(); 3].map(|()| node.seal(&template, Algorithm::Sha256d));

        let stuck = node.hold();
        let [first, second, third] = blocks.clone().map(|block| submitter.submit(block));
        submitter.wait(&first, Duration::from_millis(1));
        // Blocks forever if it waited.
        submitter.wait(&second, Duration::MAX);
        drop(stuck);
        let _the_node_is_back = first.0.recv();
        submitter.wait(&third, Duration::MAX);
        for block in &blocks {
            assert!(node.block(&block.id()).expect("no failure").is_some());
        }
        submitter.stop();
    }
}
