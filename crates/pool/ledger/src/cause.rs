use std::fmt;

use bq_primitives::{Algorithm, BlockId, TxId};

/// The event that a transfer books. With the two accounts it is the key of the transfer (SPEC 8.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Cause {
    /// T10: a block is on the best chain. The generation counts how often it came back.
    BlockCredited {
        /// The block.
        block: BlockId,
        /// 0 at first, one more after each time it was orphaned.
        generation: u32,
    },
    /// T11: its reward may be spent.
    BlockMatured {
        /// The block.
        block: BlockId,
        /// As in the credit it matures.
        generation: u32,
    },
    /// T12: it left the best chain before maturity.
    BlockOrphaned {
        /// The block.
        block: BlockId,
        /// As in the credit it reverses.
        generation: u32,
    },
    /// T13: it left the best chain after maturity; the pool bears the loss.
    BlockLost {
        /// The block.
        block: BlockId,
        /// As in the credit, plus how often it was lost and regained since.
        generation: u32,
    },
    /// T14: a lost block is back; the loss is undone.
    BlockRegained {
        /// The block.
        block: BlockId,
        /// As in the loss it undoes.
        generation: u32,
    },
    /// T20: shares of a lane that pays per share are credited.
    PpsCredited {
        /// The lane.
        algorithm: Algorithm,
        /// Which run of its shares.
        segment: u64,
    },
    /// T21: a block whose shares are paid for already is on the best chain; or its reward may be spent.
    PpsIncome {
        /// The block.
        block: BlockId,
        /// 0 at first, one more after each time it was orphaned.
        generation: u32,
    },
    /// T15: the coinbase of a block that joined pays miners (SPEC 8.8).
    BlockPaid {
        /// The block.
        block: BlockId,
        /// As in its credit.
        generation: u32,
    },
    /// T16: balances are paid by coinbases from now on, or by payouts again.
    BalanceMoved {
        /// The event of the pool's log that moved them.
        event: u64,
    },
    /// T30: a payout is planned; its amounts are set aside.
    PayoutReserved {
        /// Number of the payout.
        payout: u64,
    },
    /// T31: its transaction is buried deep enough.
    PayoutFinal {
        /// Number of the payout.
        payout: u64,
    },
    /// T32: its transaction can never confirm; proved, not assumed after a time.
    PayoutVoid {
        /// Number of the payout.
        payout: u64,
    },
    /// T33: a final payout left the best chain; or T35: a void one is on it after all. It is open again.
    PayoutReturned {
        /// Number of the payout.
        payout: u64,
        /// How often it was final before.
        generation: u32,
    },
    /// T34: a payout that these books did not know was found on the chain.
    PayoutAdopted {
        /// Number that it was given.
        payout: u64,
    },
    /// T40: coins that somebody sent to the pool's key are buried.
    GiftBooked {
        /// The event of the pool's log that buried them.
        event: u64,
    },
    /// T41: coins of the pool were spent by a transaction that no payout explains.
    SpentOutside {
        /// The event of the pool's log that told it.
        event: u64,
    },
    /// T42: that transaction, or a gift, left the best chain again.
    OutsideUndone {
        /// The event of the pool's log that told it.
        event: u64,
    },
    /// T43: coins of the cold key are on their way to the pool's own.
    Filled {
        /// The transaction.
        fill: TxId,
        /// The event of the pool's log that told it.
        event: u64,
    },
    /// T44: they are buried.
    FillBuried {
        /// The transaction.
        fill: TxId,
        /// The event of the pool's log that buried it.
        event: u64,
    },
    /// T45: that transaction left the best chain.
    FillUndone {
        /// The transaction.
        fill: TxId,
        /// The event of the pool's log that told it.
        event: u64,
    },
    /// T90: a person decided.
    Operator {
        /// The event of the pool's log that holds the decision.
        event: u64,
    },
}

/// The number of a [`Cause`] in the journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TransferCode(pub u8);

impl Cause {
    /// Its number in the journal.
    #[must_use]
    pub const fn code(&self) -> TransferCode {
        TransferCode(match self {
            Self::BlockCredited { .. } => 10,
            Self::BlockMatured { .. } => 11,
            Self::BlockOrphaned { .. } => 12,
            Self::BlockLost { .. } => 13,
            Self::BlockRegained { .. } => 14,
            Self::BlockPaid { .. } => 15,
            Self::BalanceMoved { .. } => 16,
            Self::PpsCredited { .. } => 20,
            Self::PpsIncome { .. } => 21,
            Self::PayoutReserved { .. } => 30,
            Self::PayoutFinal { .. } => 31,
            Self::PayoutVoid { .. } => 32,
            Self::PayoutReturned { .. } => 33,
            Self::PayoutAdopted { .. } => 34,
            Self::GiftBooked { .. } => 40,
            Self::SpentOutside { .. } => 41,
            Self::OutsideUndone { .. } => 42,
            Self::Filled { .. } => 43,
            Self::FillBuried { .. } => 44,
            Self::FillUndone { .. } => 45,
            Self::Operator { .. } => 90,
        })
    }

    /// The cause with this code, subject and generation, as the books before the log of events stored it; nothing when no
    /// such cause exists. Only the migration of those books reads causes back.
    #[must_use]
    pub fn from_parts(code: TransferCode, subject: &str, generation: u32) -> Option<Self> {
        let block = || subject.parse::<BlockId>().ok();
        let number = || if generation == 0 { subject.parse::<u64>().ok() } else { None };
        let cause = match code.0 {
            10 => Self::BlockCredited { block: block()?, generation },
            11 => Self::BlockMatured { block: block()?, generation },
            12 => Self::BlockOrphaned { block: block()?, generation },
            13 => Self::BlockLost { block: block()?, generation },
            14 => Self::BlockRegained { block: block()?, generation },
            15 => Self::BlockPaid { block: block()?, generation },
            16 => Self::BalanceMoved { event: number()? },
            20 if generation == 0 => {
                let (lane, segment) = subject.split_once(':')?;
                Self::PpsCredited { algorithm: lane.parse().ok()?, segment: segment.parse().ok()? }
            }
            21 => Self::PpsIncome { block: block()?, generation },
            30 => Self::PayoutReserved { payout: number()? },
            31 => Self::PayoutFinal { payout: number()? },
            32 => Self::PayoutVoid { payout: number()? },
            33 => Self::PayoutReturned { payout: subject.parse().ok()?, generation },
            34 => Self::PayoutAdopted { payout: number()? },
            40 => Self::GiftBooked { event: number()? },
            41 => Self::SpentOutside { event: number()? },
            42 => Self::OutsideUndone { event: number()? },
            43..=45 if generation == 0 => {
                let (fill, event) = subject.split_once(':')?;
                let (fill, event) = (fill.parse().ok()?, event.parse().ok()?);
                match code.0 {
                    43 => Self::Filled { fill, event },
                    44 => Self::FillBuried { fill, event },
                    _ => Self::FillUndone { fill, event },
                }
            }
            90 => Self::Operator { event: number()? },
            _ => return None,
        };
        if cause.subject() == subject { Some(cause) } else { None }
    }

    /// What the event is about: a block id, lane and segment, a payout number or the number of an event.
    #[must_use]
    pub fn subject(&self) -> String {
        match self {
            Self::BlockCredited { block, .. }
            | Self::BlockMatured { block, .. }
            | Self::BlockOrphaned { block, .. }
            | Self::BlockLost { block, .. }
            | Self::BlockRegained { block, .. }
            | Self::BlockPaid { block, .. }
            | Self::PpsIncome { block, .. } => block.to_string(),
            Self::PpsCredited { algorithm, segment } => format!("{algorithm}:{segment}"),
            Self::PayoutReserved { payout }
            | Self::PayoutFinal { payout }
            | Self::PayoutVoid { payout }
            | Self::PayoutReturned { payout, .. }
            | Self::PayoutAdopted { payout } => payout.to_string(),
            Self::GiftBooked { event }
            | Self::SpentOutside { event }
            | Self::OutsideUndone { event }
            | Self::BalanceMoved { event }
            | Self::Operator { event } => event.to_string(),
            Self::Filled { fill, event } | Self::FillBuried { fill, event } | Self::FillUndone { fill, event } => {
                format!("{fill}:{event}")
            }
        }
    }

    /// How often the subject came back; 0 for what cannot.
    #[must_use]
    pub const fn generation(&self) -> u32 {
        match self {
            Self::BlockCredited { generation, .. }
            | Self::BlockMatured { generation, .. }
            | Self::BlockOrphaned { generation, .. }
            | Self::BlockLost { generation, .. }
            | Self::BlockRegained { generation, .. }
            | Self::BlockPaid { generation, .. }
            | Self::PpsIncome { generation, .. }
            | Self::PayoutReturned { generation, .. } => *generation,
            Self::PpsCredited { .. }
            | Self::PayoutReserved { .. }
            | Self::PayoutFinal { .. }
            | Self::PayoutVoid { .. }
            | Self::PayoutAdopted { .. }
            | Self::GiftBooked { .. }
            | Self::SpentOutside { .. }
            | Self::OutsideUndone { .. }
            | Self::BalanceMoved { .. }
            | Self::Filled { .. }
            | Self::FillBuried { .. }
            | Self::FillUndone { .. }
            | Self::Operator { .. } => 0,
        }
    }
}

impl fmt::Display for TransferCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "T{}", self.0)
    }
}
