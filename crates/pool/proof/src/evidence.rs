use bq_primitives::{BlockId, Height, KeyHash, Network, PUBLIC_KEY_BYTES, SIGNATURE_BYTES, SigHash};
use serde::{Deserialize, Serialize};

use crate::{
    AccountExport, Anchor, CreditFault, CreditReceipt, Credited, Document, DocumentError, Owed, OwedFault, OwedReceipt,
    PoolIdentity, ProofError, Receipt, ReceiptFault, Receipted, Report, report::anchors_on_chain,
};

/// A file that a pool gives a miner, and that anybody can check offline (SPEC 8.10.10).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Evidence {
    /// What the pool wrote down of an account's shares.
    Account(AccountExport),
    /// One share.
    Share {
        /// Whose.
        pool: PoolIdentity,
        /// The proof.
        receipt: Receipt,
    },
    /// What a block credited to an account.
    Credit {
        /// Whose.
        pool: PoolIdentity,
        /// The proof.
        receipt: CreditReceipt,
    },
    /// What an account is owed.
    Owed {
        /// Whose.
        pool: PoolIdentity,
        /// The proof.
        receipt: Box<OwedReceipt>,
    },
}

/// What a file proves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finding {
    /// Shares of an account.
    Account(Report),
    /// One share.
    Share(Receipted),
    /// A credit.
    Credit(Credited),
    /// A balance.
    Owed(Box<Owed>),
}

/// A file proves nothing. Which part is wrong first.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EvidenceError {
    /// It is no such file.
    #[error(transparent)]
    Document(#[from] DocumentError),
    /// It is no export.
    #[error("export: {0}")]
    Account(#[from] ProofError),
    /// It is no receipt of a share.
    #[error("receipt of a share: {0}")]
    Share(#[from] Box<ReceiptFault>),
    /// It is no receipt of a credit.
    #[error("receipt of a credit: {0}")]
    Credit(#[from] Box<CreditFault>),
    /// It is no receipt of a balance.
    #[error("receipt of a balance: {0}")]
    Owed(#[from] Box<OwedFault>),
}

impl Document for Evidence {}

impl Evidence {
    /// Which pool it is of.
    #[must_use]
    pub const fn pool(&self) -> &PoolIdentity {
        match self {
            Self::Account(export) => &export.pool,
            Self::Share { pool, .. } | Self::Credit { pool, .. } | Self::Owed { pool, .. } => pool,
        }
    }

    /// What it proves, once its blocks are found on the best chain ([`Finding::on_chain`]). `is_signed` as in
    /// [`crate::SignedStatement::verify`].
    ///
    /// # Errors
    /// [`EvidenceError`]: the first place that is wrong.
    pub fn verify(
        &self,
        is_signed: impl FnOnce(&[u8; PUBLIC_KEY_BYTES], &SigHash, &[u8; SIGNATURE_BYTES]) -> bool,
    ) -> Result<Finding, EvidenceError> {
        Ok(match self {
            Self::Account(export) => Finding::Account(export.verify()?),
            Self::Share { pool, receipt } => Finding::Share(receipt.verify(pool).map_err(Box::new)?),
            Self::Credit { pool, receipt } => Finding::Credit(receipt.verify(pool).map_err(Box::new)?),
            Self::Owed { pool, receipt } => Finding::Owed(Box::new(receipt.verify(pool, is_signed).map_err(Box::new)?)),
        })
    }
}

impl Finding {
    /// Whose account it is about.
    #[must_use]
    pub fn account(&self) -> KeyHash {
        match self {
            Self::Account(report) => report.account,
            Self::Share(receipted) => receipted.share.payee,
            Self::Credit(credited) => credited.credit.payee,
            Self::Owed(owed) => owed.account,
        }
    }

    /// The blocks that name the log's heads: what is to be looked up on the chain.
    #[must_use]
    pub fn anchors(&self) -> Vec<Anchor> {
        match self {
            Self::Account(report) => report.runs.iter().map(|run| run.anchor).collect(),
            Self::Share(receipted) => vec![receipted.anchor],
            Self::Credit(credited) => vec![credited.anchor],
            Self::Owed(owed) => owed.anchor.into_iter().collect(),
        }
    }

    /// Looks the chain up, as [`Report::on_chain`] does. Whether the block of a credit is still on it is for [`Credited::block`].
    ///
    /// # Errors
    /// As [`Report::on_chain`].
    pub fn on_chain(
        &self,
        pool: &PoolIdentity,
        network: Network,
        id_at: impl FnMut(Height) -> Option<BlockId>,
    ) -> Result<(), ProofError> {
        anchors_on_chain(pool, &self.anchors(), network, id_at)
    }
}
