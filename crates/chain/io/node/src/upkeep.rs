use std::{
    sync::{Arc, OnceLock, Weak},
    thread,
    time::Duration,
};

use bq_pow::PowVerifier;
use bq_primitives::PowKey;
use parking_lot::{Condvar, Mutex};

use crate::Node;

/// How often held blocks are looked at.
const PERIOD: Duration = Duration::from_secs(1);

/// The node's one background thread: builds proof-of-work tables before a block needs them, tries held blocks when their
/// time comes, and opens a stopped store again. It ends when the node is dropped.
pub(crate) struct Upkeep {
    wish: Arc<Wish>,
    node: Arc<OnceLock<Weak<Node>>>,
}

/// The tables asked for last. A queue would keep what the tip has moved past and, once full, lose what it needs now.
#[derive(Default)]
struct Wish {
    state: Mutex<WishState>,
    changed: Condvar,
}

#[derive(Default)]
struct WishState {
    keys: Vec<PowKey>,
    closed: bool,
}

impl Wish {
    /// What is wanted, possibly nothing after [`PERIOD`]; no answer once the node is gone.
    fn next(&self) -> Option<Vec<PowKey>> {
        let mut state = self.state.lock();
        if state.keys.is_empty() && !state.closed {
            self.changed.wait_for(&mut state, PERIOD);
        }
        (!state.closed).then(|| std::mem::take(&mut state.keys))
    }

    fn change(&self, change: impl FnOnce(&mut WishState)) {
        change(&mut self.state.lock());
        self.changed.notify_one();
    }
}

impl Upkeep {
    pub(crate) fn start(pow: Arc<PowVerifier>) -> std::io::Result<Self> {
        let wish = Arc::new(Wish::default());
        let node = Arc::new(OnceLock::<Weak<Node>>::new());
        let (wanted, watched) = (Arc::clone(&wish), Arc::clone(&node));
        thread::Builder::new().name("bq-node-upkeep".to_owned()).spawn(move || {
            while let Some(keys) = wanted.next() {
                prepare(&pow, &keys);
                if let Some(node) = watched.get().and_then(Weak::upgrade) {
                    node.retry_store();
                    node.retry_held();
                    node.publish_counters();
                }
            }
        })?;
        Ok(Self { wish, node })
    }

    /// Looks after this node from now on.
    pub(crate) fn watch(&self, node: &Arc<Node>) {
        // A second call would be a mistake of ours and changes nothing.
        let _ = self.node.set(Arc::downgrade(node));
    }

    /// Asks for tables, in place of what was asked for before and is not begun. Returns at once.
    pub(crate) fn prepare(&self, keys: Vec<PowKey>) {
        self.wish.change(|state| state.keys = keys);
    }
}

impl Drop for Upkeep {
    fn drop(&mut self) {
        self.wish.change(|state| state.closed = true);
    }
}

fn prepare(pow: &PowVerifier, keys: &[PowKey]) {
    for key in keys {
        if let Err(error) = pow.prepare(key) {
            tracing::warn!(?key, %error, "proof-of-work table not built");
        }
    }
}
