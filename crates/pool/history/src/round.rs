use bq_ledger::ShareWeight;
use bq_mining_message::ShareSequence;
use bq_primitives::{BlockId, Timestamp};

use crate::{
    HistoryError,
    codec::{Reader, put},
};

/// Version of both encodings, their first byte.
const VERSION: u8 = 1;

/// The work on a lane since the last block that the pool found there.
///
/// A round's effort is the sum of the weights of its shares, in 2^-60 of the expected work for a block, the block's own share among them: it is
/// 1 on average, whatever difficulties the shares have. Luck is one over that. The sum is exact: weights are whole numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Round {
    /// Sum of weights, in 2^-60 of a block; stays at the end of `u128`.
    pub parts: u128,
    /// How many shares.
    pub shares: u64,
    /// The newest share that is counted, here or in a round before.
    pub counted_to: ShareSequence,
}

impl Round {
    /// Another share; one that is counted already changes nothing. A block ends the round, which is returned: the next one begins empty.
    pub fn add(
        &mut self,
        at: Timestamp,
        sequence: ShareSequence,
        weight: ShareWeight,
        block: Option<BlockId>,
    ) -> Option<(BlockId, EndedRound)> {
        if sequence <= self.counted_to {
            return None;
        }
        self.counted_to = sequence;
        self.parts = self.parts.saturating_add(weight.parts().into());
        self.shares = self.shares.saturating_add(1);
        let block = block?;
        let ended = EndedRound { parts: self.parts, shares: self.shares, at };
        (self.parts, self.shares) = (0, 0);
        Some((block, ended))
    }

    /// As [`Series::log_ends_before`](crate::Series::log_ends_before).
    pub fn log_ends_before(&mut self, next: ShareSequence) {
        self.counted_to = self.counted_to.min(ShareSequence(next.0.saturating_sub(1)));
    }

    /// The canonical encoding.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = vec![VERSION];
        put(&mut bytes, self.parts);
        put(&mut bytes, self.shares);
        put(&mut bytes, self.counted_to.0);
        bytes
    }

    /// Reads a round.
    ///
    /// # Errors
    /// [`HistoryError`]: no writer made these bytes.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, HistoryError> {
        Reader::all(bytes, VERSION, |reader| {
            let (parts, shares) = (reader.wide("effort")?, reader.number("number of shares")?);
            Ok(Self { parts, shares, counted_to: ShareSequence(reader.number("sequence")?) })
        })
    }
}

/// What a block took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EndedRound {
    /// As [`Round::parts`].
    pub parts: u128,
    /// As [`Round::shares`].
    pub shares: u64,
    /// When the block was found.
    pub at: Timestamp,
}

impl EndedRound {
    /// The canonical encoding.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = vec![VERSION];
        put(&mut bytes, self.parts);
        put(&mut bytes, self.shares);
        put(&mut bytes, self.at.0);
        bytes
    }

    /// Reads an ended round.
    ///
    /// # Errors
    /// [`HistoryError`]: no writer made these bytes.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, HistoryError> {
        Reader::all(bytes, VERSION, |reader| {
            let (parts, shares) = (reader.wide("effort")?, reader.number("number of shares")?);
            Ok(Self { parts, shares, at: Timestamp(reader.number("moment")?) })
        })
    }
}
