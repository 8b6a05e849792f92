use bq_pool_machine::{Event, LogHead, LogNumber, Stated};
use bq_primitives::{Amount, KeyHash, PUBLIC_KEY_BYTES, SIGNATURE_BYTES, SigHash};
use serde::{Deserialize, Serialize};

use crate::{
    Anchor, CoinbaseFault, CoinbaseProof, LiabilityFault, LiabilityProof, LogFault, LogProof, PoolIdentity,
    SignedStatement, Statement, StatementFault,
};

/// What a pool shows an account of what it owes it (SPEC 8.10.6, 8.10.7): the statement that it signed, the account's way to its root, and
/// the root's way onto the chain, once a block of the pool names it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OwedReceipt {
    /// Whose.
    pub account: KeyHash,
    /// What the pool signed.
    pub statement: SignedStatement,
    /// The account's part of it.
    pub proof: LiabilityProof,
    /// The event that holds the root, on the chain.
    pub on_chain: Option<StatedOnChain>,
}

/// From the event that states something to the block that names it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatedOnChain {
    /// From that event to the head that the coinbase names.
    pub log: LogProof,
    /// The block.
    pub coinbase: CoinbaseProof,
}

/// What such a receipt proves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Owed {
    /// Whose.
    pub account: KeyHash,
    /// What the pool says it owes it.
    pub balance: Amount,
    /// What it says it owes in all, and when.
    pub statement: Statement,
    /// The block that names it; nothing while there is none.
    pub anchor: Option<Anchor>,
}

/// A receipt proves no balance. Which part is wrong.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OwedFault {
    /// The statement is not the pool's.
    #[error("statement: {0}")]
    Statement(#[from] StatementFault),
    /// The statement is another pool's.
    #[error("a statement of pool {got}, not {expected}")]
    OtherPool {
        /// In the statement.
        got: KeyHash,
        /// The receipt's.
        expected: KeyHash,
    },
    /// The balance is not in it.
    #[error("balance: {0}")]
    Liability(#[from] LiabilityFault),
    /// The events are no part of a log.
    #[error(transparent)]
    Log(#[from] LogFault),
    /// The first event holds no root, or another one than was signed.
    #[error("event {0} does not hold the root that was signed")]
    NotStated(LogNumber),
    /// The statement was signed for another place of the log.
    #[error("signed for event {}, which has another hash than event {}", .signed.number, .got.number)]
    Place {
        /// By the events.
        got: LogHead,
        /// In the statement.
        signed: LogHead,
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
        anchor: Box<Anchor>,
    },
}

impl OwedReceipt {
    /// What this receipt proves; its block counts once it is found on the best chain. `is_signed` as in [`SignedStatement::verify`].
    ///
    /// # Errors
    /// [`OwedFault`].
    pub fn verify(
        &self,
        pool: &PoolIdentity,
        is_signed: impl FnOnce(&[u8; PUBLIC_KEY_BYTES], &SigHash, &[u8; SIGNATURE_BYTES]) -> bool,
    ) -> Result<Owed, OwedFault> {
        let statement = *self.statement.verify(is_signed)?;
        if (statement.pool, statement.genesis) != (pool.key, pool.genesis) {
            return Err(OwedFault::OtherPool { got: statement.pool, expected: pool.key });
        }
        let balance = self.proof.verify(&self.account, &statement)?;
        let anchor = self.on_chain.as_ref().map(|on_chain| on_chain.verify(pool, &statement)).transpose()?;
        Ok(Owed { account: self.account, balance, statement, anchor })
    }
}

impl StatedOnChain {
    fn verify(&self, pool: &PoolIdentity, statement: &Statement) -> Result<Anchor, OwedFault> {
        let event = self.log.first;
        match self.log.events()?.next() {
            Some(Ok((_, Event::Stated(stated)))) if statement.is(&stated) => {}
            Some(Err(fault)) => return Err(fault.into()),
            _ => return Err(OwedFault::NotStated(event)),
        }
        let alone = LogProof { events: self.log.events.iter().take(1).cloned().collect(), ..self.log.clone() };
        let (got, signed) = (alone.head(), statement.head);
        if got != signed {
            return Err(OwedFault::Place { got, signed });
        }
        let (got, anchor) = (self.log.verify()?, self.coinbase.verify(pool)?);
        if got != anchor.head {
            return Err(OwedFault::Head { got, anchor: Box::new(anchor) });
        }
        Ok(anchor)
    }
}

impl Statement {
    /// Whether an event holds this root.
    fn is(&self, stated: &Stated) -> bool {
        let Self { epoch, depth, root, sum, .. } = *self;
        *stated == Stated::Liabilities { epoch: epoch.0, depth, root, sum }
    }
}
