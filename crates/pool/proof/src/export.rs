use bq_pool_machine::{LogNumber, Terms};
use bq_primitives::KeyHash;
use serde::{Deserialize, Serialize};

use crate::{CoinbaseProof, Document, LogProof, PoolIdentity, ProofError, Report, ShareProof, check, document::grown};

/// What a pool wrote down of one account's shares, with all that a stranger needs to check it (SPEC 8.10.8).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountExport {
    /// Which pool.
    pub pool: PoolIdentity,
    /// Hash of the account's key.
    pub account: KeyHash,
    /// Terms of the newest event about them in the runs; nothing where the runs hold none.
    pub terms: Option<Terms>,
    /// Parts of the log, each up to a block of the pool, in order.
    #[serde(deserialize_with = "grown")]
    pub runs: Vec<Run>,
}

/// Consecutive events, the block that names their head, and shares that their frames hold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run {
    /// The events.
    pub log: LogProof,
    /// The block.
    pub coinbase: CoinbaseProof,
    /// Frames with shares of the account, in order.
    #[serde(deserialize_with = "grown")]
    pub frames: Vec<FrameShares>,
}

/// Shares of the account in one frame.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FrameShares {
    /// The event of the frame.
    pub event: LogNumber,
    /// At least one, in order.
    #[serde(deserialize_with = "grown")]
    pub shares: Vec<ShareProof>,
}

impl Document for AccountExport {}

impl Run {
    /// First and newest event of each run that proves these frames: from the first of them that no earlier run holds to the next
    /// head that a block names. Both lists rise; frames that no block covers yet are left out.
    #[must_use]
    pub fn ranges(frames: &[LogNumber], heads: &[LogNumber]) -> Vec<(LogNumber, LogNumber)> {
        let mut frames = frames.iter().copied().peekable();
        let run = |head: &LogNumber| {
            let first = frames.next_if(|frame| frame <= head)?;
            while frames.next_if(|frame| frame <= head).is_some() {}
            Some((first, *head))
        };
        heads.iter().filter_map(run).collect()
    }
}

impl AccountExport {
    /// What this export proves, once [`Report::on_chain`] has found its blocks on the best chain.
    ///
    /// # Errors
    /// [`ProofError`]: the first place that is wrong.
    pub fn verify(&self) -> Result<Report, ProofError> {
        check::check(self)
    }

    /// [`AccountExport::verify`] for the bytes of a file.
    ///
    /// # Errors
    /// [`ProofError`].
    pub fn verify_bytes(bytes: &[u8]) -> Result<Report, ProofError> {
        Self::from_bytes(bytes)?.verify()
    }
}
