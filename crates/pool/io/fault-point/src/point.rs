/// A moment between two effects. C1 to C12 are the rows of the table in `docs/pool.md`, "What a crash leaves".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultPoint {
    /// C1: a share was found good and is not written. Its miner was told nothing.
    ShareNotWritten,
    /// C2: shares are written, and acknowledged, and not synced.
    ShareNotSynced,
    /// C3: the node has a block of the pool, whose own share is not written.
    BlockNotWritten,
    /// C3: the node has a block of the pool, whose own share is written and synced, and the books do not know of it.
    BlockNotTold,
    /// C4: the books know of a block that the node was not handed.
    BlockNotSubmitted,
    /// C5: what a block does to the books is written and not committed.
    ChainNotCommitted,
    /// C5, of what is paid by the share: the books know of shares, and what they earned is written and not committed.
    EarningsNotCommitted,
    /// C6: a block is credited and immature.
    BlockImmature,
    /// C7: a payout is planned, and not signed.
    PayoutNotSigned,
    /// C8: a payout is signed, and the books do not have its bytes.
    SignatureNotStored,
    /// C8, in the signer's own process: what it signed is on its disk, and the pool was not told.
    SignatureNotAnswered,
    /// C9: signed bytes are in the books, and were not sent.
    PayoutNotSent,
    /// C10: the node took a payout, and the pool has not heard it.
    PayoutNotHeard,
    /// C12: a payout is as deep as it must be, and the books do not say that it is final.
    PayoutNotFinal,
}

impl FaultPoint {
    /// Every point.
    pub const ALL: [Self; 14] = [
        Self::ShareNotWritten,
        Self::ShareNotSynced,
        Self::BlockNotWritten,
        Self::BlockNotTold,
        Self::BlockNotSubmitted,
        Self::ChainNotCommitted,
        Self::EarningsNotCommitted,
        Self::BlockImmature,
        Self::PayoutNotSigned,
        Self::SignatureNotStored,
        Self::SignatureNotAnswered,
        Self::PayoutNotSent,
        Self::PayoutNotHeard,
        Self::PayoutNotFinal,
    ];

    /// What it is armed by.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::ShareNotWritten => "share_not_written",
            Self::ShareNotSynced => "share_not_synced",
            Self::BlockNotWritten => "block_not_written",
            Self::BlockNotTold => "block_not_told",
            Self::BlockNotSubmitted => "block_not_submitted",
            Self::ChainNotCommitted => "chain_not_committed",
            Self::EarningsNotCommitted => "earnings_not_committed",
            Self::BlockImmature => "block_immature",
            Self::PayoutNotSigned => "payout_not_signed",
            Self::SignatureNotStored => "signature_not_stored",
            Self::SignatureNotAnswered => "signature_not_answered",
            Self::PayoutNotSent => "payout_not_sent",
            Self::PayoutNotHeard => "payout_not_heard",
            Self::PayoutNotFinal => "payout_not_final",
        }
    }
}
