use std::collections::BTreeMap;

use bq_primitives::{Algorithm, Amount, BlockId};

use crate::{Books, Cause, ChainedTransfer, JournalHash, LedgerAccount, LedgerError, Transfer};

/// Replays the journal that the books before the log of events kept, line by line, for their migration, and checks what must
/// hold of it (SPEC 8.4): the hash chain, that no balance goes below zero (I2), that debits equal credits (I1, I3), that each
/// block's lines net to its coinbase (I4), and that a lane's residue stays below the number of payees it came from (I5).
#[derive(Clone, Debug, Default)]
pub struct Auditor {
    books: Books,
    head: JournalHash,
    lines: u64,
    batch: Vec<Transfer>,
    batch_number: u64,
    blocks: BTreeMap<BlockId, BlockFacts>,
    carry_bounds: BTreeMap<Algorithm, u64>,
}

/// What the journal folds to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditReport {
    /// Every balance.
    pub books: Books,
    /// Commits to every line.
    pub head: JournalHash,
    /// How many lines.
    pub lines: u64,
}

/// The journal contradicts itself.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AuditError {
    /// A line was changed, left out or put in.
    #[error("journal line {0} does not continue the hash chain")]
    Chain(u64),
    /// A batch cannot be booked.
    #[error("batch {batch}: {error}")]
    Batch {
        /// Number of the batch.
        batch: u64,
        /// Why.
        error: LedgerError,
    },
    /// I1, I3: sum of debits less credits is not zero.
    #[error("debits less credits are {0} atoms")]
    Imbalance(i128),
    /// I4: what a block's lines brought onto the chain accounts is not its coinbase.
    #[error("block {block} nets to {got} atoms, its coinbase pays {expected}")]
    BlockNet {
        /// The block.
        block: BlockId,
        /// Sum of its lines.
        got: i128,
        /// Its coinbase while it is on the chain, else 0.
        expected: i128,
    },
    /// I5: more residue than rounding can leave.
    #[error("carry of {lane} is {got} atoms, below {bound} was expected")]
    Carry {
        /// The lane.
        lane: Algorithm,
        /// Its residue.
        got: u64,
        /// Payees of the blocks that matured since the lane's last credit.
        bound: u64,
    },
}

#[derive(Clone, Debug, Default)]
struct BlockFacts {
    reward: Amount,
    payees: u64,
    lane: Option<Algorithm>,
    carry_bound_taken: u64,
    net: i128,
    on_chain: bool,
}

impl Auditor {
    /// Tells what a pool block's coinbase pays and how many payees its window had. Must come before the lines that
    /// credit it are checked.
    pub fn note_block(&mut self, block: BlockId, reward: Amount, payees: u32) {
        let facts = self.blocks.entry(block).or_default();
        facts.reward = reward;
        facts.payees = u64::from(payees);
    }

    /// The next line.
    ///
    /// # Errors
    /// A broken hash chain, or a finished batch that cannot be booked.
    pub fn line(&mut self, line: &ChainedTransfer) -> Result<(), AuditError> {
        let id = self.lines.saturating_add(1);
        if line.previous != self.head || line.transfer.chained(id, line.batch, self.head) != *line {
            return Err(AuditError::Chain(id));
        }
        if line.batch != self.batch_number {
            self.end_batch()?;
            self.batch_number = line.batch;
        }
        self.lines = id;
        self.head = line.hash;
        self.batch.push(line.transfer);
        Ok(())
    }

    /// Checks the whole of what was read so far, which must end with a whole batch. More lines may follow.
    ///
    /// # Errors
    /// See [`AuditError`].
    pub fn check(&mut self) -> Result<AuditReport, AuditError> {
        self.end_batch()?;
        match self.books.imbalance() {
            0 => {}
            other => return Err(AuditError::Imbalance(other)),
        }
        for (block, facts) in &self.blocks {
            let expected = if facts.on_chain { i128::from(facts.reward.atoms()) } else { 0 };
            if facts.net != expected {
                return Err(AuditError::BlockNet { block: *block, got: facts.net, expected });
            }
        }
        Ok(AuditReport { books: self.books.clone(), head: self.head, lines: self.lines })
    }

    fn end_batch(&mut self) -> Result<(), AuditError> {
        let batch = std::mem::take(&mut self.batch);
        let number = self.batch_number;
        self.books.apply(&batch).map_err(|error| AuditError::Batch { batch: number, error })?;
        for transfer in &batch {
            self.note_net(transfer);
        }
        if let Some(transfer) = batch.first() {
            self.note_event(&batch, transfer.cause);
        }
        self.check_carry(&batch)
    }

    /// What the pool has on the chain because of a block: its coin in either chain account, or, once lost, in suspense.
    fn note_net(&mut self, transfer: &Transfer) {
        let Some(block) = block_of(transfer.cause) else { return };
        let facts = self.blocks.entry(block).or_default();
        let counts = |account: LedgerAccount| {
            let coin = matches!(account, LedgerAccount::ChainImmature(_) | LedgerAccount::ChainSpendable);
            coin || account == LedgerAccount::Suspense
        };
        let amount = i128::from(transfer.amount.atoms());
        if counts(transfer.debit) {
            facts.net = facts.net.saturating_add(amount);
        }
        if counts(transfer.credit) {
            facts.net = facts.net.saturating_sub(amount);
        }
    }

    fn note_event(&mut self, batch: &[Transfer], cause: Cause) {
        let Some(block) = block_of(cause) else { return };
        let facts = self.blocks.entry(block).or_default();
        match cause {
            Cause::BlockCredited { .. } => {
                facts.on_chain = true;
                facts.lane = batch.iter().find_map(|line| lane_of(line.debit));
                if let Some(lane) = facts.lane {
                    // A credit takes the lane's residue whole, so the bound starts again.
                    facts.carry_bound_taken = self.carry_bounds.insert(lane, 0).unwrap_or(0);
                }
            }
            Cause::BlockOrphaned { .. } => {
                facts.on_chain = false;
                raise(&mut self.carry_bounds, facts.lane, facts.carry_bound_taken);
            }
            // At maturity it still is.
            Cause::PpsIncome { .. } => facts.on_chain = true,
            Cause::BlockMatured { .. } => raise(&mut self.carry_bounds, facts.lane, facts.payees),
            Cause::BlockLost { .. } => facts.on_chain = false,
            Cause::BlockRegained { .. } => facts.on_chain = true,
            // Not about a block: answered above.
            _ => {}
        }
    }

    fn check_carry(&self, batch: &[Transfer]) -> Result<(), AuditError> {
        let lanes = batch.iter().flat_map(|line| [line.debit, line.credit]).filter_map(|account| match account {
            LedgerAccount::Carry(lane) => Some(lane),
            _ => None,
        });
        for lane in lanes {
            let got = self.books.balance(LedgerAccount::Carry(lane));
            let bound = self.carry_bounds.get(&lane).copied().unwrap_or(0);
            if got > 0 && got >= bound {
                return Err(AuditError::Carry { lane, got, bound });
            }
        }
        Ok(())
    }
}

fn raise(bounds: &mut BTreeMap<Algorithm, u64>, lane: Option<Algorithm>, by: u64) {
    if let Some(lane) = lane {
        let bound = bounds.entry(lane).or_default();
        *bound = bound.saturating_add(by);
    }
}

const fn lane_of(account: LedgerAccount) -> Option<Algorithm> {
    match account {
        LedgerAccount::ChainImmature(lane) | LedgerAccount::Carry(lane) => Some(lane),
        _ => None,
    }
}

const fn block_of(cause: Cause) -> Option<BlockId> {
    match cause {
        Cause::BlockCredited { block, .. }
        | Cause::BlockMatured { block, .. }
        | Cause::BlockOrphaned { block, .. }
        | Cause::BlockLost { block, .. }
        | Cause::BlockRegained { block, .. }
        | Cause::PpsIncome { block, .. } => Some(block),
        _ => None,
    }
}
