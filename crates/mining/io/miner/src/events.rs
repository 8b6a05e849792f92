use std::time::Duration;

use bq_primitives::Algorithm;

/// Something that happened, for whoever shows it.
#[derive(Clone, Debug, PartialEq)]
pub enum MinerEvent {
    /// A pool answers.
    Connected {
        /// What is mined there.
        algorithm: Algorithm,
        /// Host and port.
        pool: String,
    },
    /// A pool is gone.
    Disconnected {
        /// What was mined there.
        algorithm: Algorithm,
        /// Host and port.
        pool: String,
        /// Why.
        reason: String,
        /// When it, or the next pool, is tried again.
        retry_in: Duration,
    },
    /// New work.
    Job {
        /// For what.
        algorithm: Algorithm,
        /// The pool's name for it.
        id: String,
        /// Expected hashes of a share.
        share_hashes: f64,
        /// Of the block, if the pool tells.
        height: Option<u64>,
    },
    /// A pool has something to say to people.
    Message {
        /// The connection it came over.
        algorithm: Algorithm,
        /// What it says, printable characters only.
        text: String,
    },
    /// The pool judged a share.
    Share {
        /// Of what.
        algorithm: Algorithm,
        /// Nothing when it was accepted, else the pool's reason.
        refused: Option<String>,
        /// Expected hashes of such a share.
        hashes: f64,
        /// From sending it to its answer.
        latency: Duration,
        /// It met the block target too, as far as we know.
        is_block: bool,
    },
    /// Tables for a new key or epoch are there.
    TablesReady {
        /// Whose.
        algorithm: Algorithm,
        /// How long that took.
        took: Duration,
    },
    /// A GPU was found, works, or is given up; or there is none.
    Gpu {
        /// Which and what, for people.
        text: String,
    },
    /// `auto` goes on with another algorithm, or with none.
    Chose {
        /// Which.
        choice: Option<Algorithm>,
        /// Why, for people.
        why: String,
    },
}
