use bq_mining_message::{Share, SharePosition};
use bq_pool_machine::{Event, LogHead, LogNumber};
use serde::{Deserialize, Serialize};

use crate::{Anchor, CoinbaseFault, CoinbaseProof, Document, LogFault, LogProof, PoolIdentity, ShareFault, ShareProof};

/// Proof that the pool wrote a share down before a block was mined (SPEC 8.10.4): the share in its frame, the frame in the log,
/// the log in a coinbase.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipt {
    /// The share in the frame that is the first event of `log`.
    pub share: ShareProof,
    /// From the frame to the head that the coinbase names.
    pub log: LogProof,
    /// The block.
    pub coinbase: CoinbaseProof,
}

/// What a receipt proves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipted {
    /// The share.
    pub share: Share,
    /// Its name.
    pub position: SharePosition,
    /// The event of its frame.
    pub frame: LogNumber,
    /// The block, which counts once it is on the best chain.
    pub anchor: Anchor,
}

/// A receipt proves nothing. Which part is wrong.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReceiptFault {
    /// The events are no part of a log.
    #[error(transparent)]
    Log(#[from] LogFault),
    /// The first event tells no shares.
    #[error("event {0} is no frame")]
    NotAFrame(LogNumber),
    /// The share does not stand in the frame.
    #[error("frame {frame}: {source}")]
    Share {
        /// The event of the frame.
        frame: LogNumber,
        /// Why.
        source: ShareFault,
    },
    /// The block names no head.
    #[error("coinbase: {0}")]
    Coinbase(#[from] CoinbaseFault),
    /// The block names another head than the events lead to.
    #[error("the events lead to another head than block {} names", .anchor.block)]
    Head {
        /// Where they lead.
        got: LogHead,
        /// What the block says.
        anchor: Anchor,
    },
}

impl Document for Receipt {}

impl Receipt {
    /// What this receipt proves, once its block is found on the best chain.
    ///
    /// # Errors
    /// [`ReceiptFault`].
    pub fn verify(&self, pool: &PoolIdentity) -> Result<Receipted, ReceiptFault> {
        let frame = self.log.first;
        let header = match self.log.events()?.next() {
            Some(Ok((_, Event::Frame(header)))) => header,
            Some(Err(fault)) => return Err(fault.into()),
            _ => return Err(ReceiptFault::NotAFrame(frame)),
        };
        let (got, anchor) = (self.log.verify()?, self.coinbase.verify(pool)?);
        if got != anchor.head {
            return Err(ReceiptFault::Head { got, anchor });
        }
        let share = self.share.verify(&header).map_err(|source| ReceiptFault::Share { frame, source })?;
        let sequence = header.first.after(u64::from(self.share.index));
        let position = SharePosition { front_end: header.front_end, sequence };
        Ok(Receipted { share, position, frame, anchor })
    }
}
