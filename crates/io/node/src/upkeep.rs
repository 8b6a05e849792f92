use std::{
    sync::{Arc, OnceLock, Weak, mpsc},
    thread,
    time::Duration,
};

use bq_pow::PowVerifier;
use bq_primitives::PowKey;

use crate::Node;

/// How often held blocks are looked at.
const PERIOD: Duration = Duration::from_secs(1);
/// Requests that may wait. A full queue drops the newest: the next tip asks again.
const REQUESTS_MAX: usize = 4;

/// The node's one background thread: builds proof-of-work tables before a block needs them, and tries held blocks when
/// their time comes. It ends when the node is dropped.
pub(crate) struct Upkeep {
    requests: mpsc::SyncSender<Vec<PowKey>>,
    node: Arc<OnceLock<Weak<Node>>>,
}

impl Upkeep {
    pub(crate) fn start(pow: Arc<PowVerifier>) -> std::io::Result<Self> {
        let (requests, receiver) = mpsc::sync_channel::<Vec<PowKey>>(REQUESTS_MAX);
        let node = Arc::new(OnceLock::<Weak<Node>>::new());
        let watched = Arc::clone(&node);
        thread::Builder::new().name("bq-node-upkeep".to_owned()).spawn(move || {
            loop {
                match receiver.recv_timeout(PERIOD) {
                    Ok(keys) => prepare(&pow, &keys),
                    Err(mpsc::RecvTimeoutError::Timeout) => {}
                    Err(mpsc::RecvTimeoutError::Disconnected) => return,
                }
                if let Some(node) = watched.get().and_then(Weak::upgrade) {
                    node.retry_held();
                    node.publish_pow_counters();
                }
            }
        })?;
        Ok(Self { requests, node })
    }

    /// Looks after this node from now on.
    pub(crate) fn watch(&self, node: &Arc<Node>) {
        // A second call would be a mistake of ours and changes nothing.
        let _ = self.node.set(Arc::downgrade(node));
    }

    /// Asks for tables. Returns at once.
    pub(crate) fn prepare(&self, keys: Vec<PowKey>) {
        if self.requests.try_send(keys).is_err() {
            tracing::debug!("tables are still being built; the next tip asks again");
        }
    }
}

fn prepare(pow: &PowVerifier, keys: &[PowKey]) {
    for key in keys {
        if let Err(error) = pow.prepare(key) {
            tracing::warn!(?key, %error, "proof-of-work table not built");
        }
    }
}
