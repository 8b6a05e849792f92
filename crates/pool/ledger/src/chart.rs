use std::{fmt, str::FromStr};

use bq_primitives::{AccountId, Algorithm, BlockId};

/// One account of the books (SPEC 8.4). What a miner calls its account is three of these: immature, payable, in flight.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
pub enum LedgerAccount {
    /// Asset: rewards of credited blocks that may not be spent yet, per lane.
    ChainImmature(Algorithm),
    /// Asset: coins that the pool can spend.
    ChainSpendable,
    /// Asset: coins set aside for payouts that are not final.
    ChainInFlight,
    /// Liability: credited, not matured.
    MinerImmature(AccountId),
    /// Liability: can be paid out.
    MinerPayable(AccountId),
    /// Liability: reserved for a payout that is not final.
    MinerInFlight(AccountId),
    /// Income: the pool's fee, per lane.
    FeeIncome(Algorithm),
    /// Equity: the rounding residue of one block that has not matured.
    CarryPending(BlockId),
    /// Equity: matured residue, spent by the lane's next block.
    Carry(Algorithm),
    /// Equity: what unfilled windows earned, per lane; earmarked for winding down.
    Seed(Algorithm),
    /// Equity: PPS block income that has not matured.
    PpsImmature,
    /// Equity: the matured PPS reserve.
    PpsReserve,
    /// Expense: network fees that the pool pays itself.
    NetFeeExpense,
    /// Expense: rewards lost to reorganisations deeper than maturity.
    OrphanLoss,
    /// Liability: what is not explained yet.
    Suspense,
    /// Liability: fees and gifts that the operator is being sent, not final.
    WithdrawalInFlight,
    /// Income: coins that somebody sent to the pool's key.
    GiftIncome,
    /// Asset, in name only: coins that were spent outside the books, until a person says what that was.
    Missing,
    /// Expense: missing coins that a person gave up.
    WriteOff,
    /// Liability: matured, and paid by a coinbase to come (SPEC 8.8).
    MinerCarried(AccountId),
    /// Asset: coins of the cold key, which the pool cannot spend (SPEC 8.13).
    ChainCold,
    /// Asset: coins on their way from the cold key to the pool's own, not buried.
    ChainArriving,
}

/// The side on which an account grows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// Assets and expenses.
    Debit,
    /// Liabilities, equity and income.
    Credit,
}

/// A text that names no account.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown ledger account {0:?}")]
pub struct ParseAccountError(pub String);

impl LedgerAccount {
    /// The side on which its balance is positive. No account's balance may be negative.
    #[must_use]
    pub const fn side(&self) -> Side {
        match self {
            Self::ChainImmature(_)
            | Self::ChainSpendable
            | Self::ChainInFlight
            | Self::ChainCold
            | Self::ChainArriving
            | Self::NetFeeExpense
            | Self::OrphanLoss
            | Self::Missing
            | Self::WriteOff => Side::Debit,
            Self::MinerImmature(_)
            | Self::MinerPayable(_)
            | Self::MinerInFlight(_)
            | Self::FeeIncome(_)
            | Self::CarryPending(_)
            | Self::Carry(_)
            | Self::Seed(_)
            | Self::PpsImmature
            | Self::PpsReserve
            | Self::Suspense
            | Self::WithdrawalInFlight
            | Self::GiftIncome
            | Self::MinerCarried(_) => Side::Credit,
        }
    }

    /// Whose account it is, if it is a miner's.
    #[must_use]
    pub const fn miner(&self) -> Option<AccountId> {
        match self {
            Self::MinerImmature(miner)
            | Self::MinerPayable(miner)
            | Self::MinerInFlight(miner)
            | Self::MinerCarried(miner) => Some(*miner),
            _ => None,
        }
    }

    const fn kind(&self) -> &'static str {
        match self {
            Self::ChainImmature(_) => "chain_immature",
            Self::ChainSpendable => "chain_spendable",
            Self::ChainInFlight => "chain_in_flight",
            Self::ChainCold => "chain_cold",
            Self::ChainArriving => "chain_arriving",
            Self::MinerImmature(_) => "miner_immature",
            Self::MinerPayable(_) => "miner_payable",
            Self::MinerInFlight(_) => "miner_in_flight",
            Self::FeeIncome(_) => "fee_income",
            Self::CarryPending(_) => "carry_pending",
            Self::Carry(_) => "carry",
            Self::Seed(_) => "seed",
            Self::PpsImmature => "pps_immature",
            Self::PpsReserve => "pps_reserve",
            Self::NetFeeExpense => "net_fee_expense",
            Self::OrphanLoss => "orphan_loss",
            Self::Suspense => "suspense",
            Self::WithdrawalInFlight => "withdrawal_in_flight",
            Self::GiftIncome => "gift_income",
            Self::Missing => "missing",
            Self::WriteOff => "write_off",
            Self::MinerCarried(_) => "miner_carried",
        }
    }
}

/// The name in the database and in the journal hash: `miner_payable:17`, `carry:randomx`, `chain_spendable`.
impl fmt::Display for LedgerAccount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = self.kind();
        match self {
            Self::ChainImmature(lane) | Self::FeeIncome(lane) | Self::Carry(lane) | Self::Seed(lane) => {
                write!(f, "{kind}:{lane}")
            }
            Self::MinerImmature(account)
            | Self::MinerPayable(account)
            | Self::MinerInFlight(account)
            | Self::MinerCarried(account) => write!(f, "{kind}:{account}"),
            Self::CarryPending(block) => write!(f, "{kind}:{block}"),
            Self::ChainSpendable
            | Self::ChainInFlight
            | Self::ChainCold
            | Self::ChainArriving
            | Self::PpsImmature
            | Self::PpsReserve
            | Self::NetFeeExpense
            | Self::OrphanLoss
            | Self::Suspense
            | Self::WithdrawalInFlight
            | Self::GiftIncome
            | Self::Missing
            | Self::WriteOff => f.write_str(kind),
        }
    }
}

impl FromStr for LedgerAccount {
    type Err = ParseAccountError;

    fn from_str(text: &str) -> Result<Self, ParseAccountError> {
        let unknown = || ParseAccountError(text.to_owned());
        let Some((kind, key)) = text.split_once(':') else {
            return [
                Self::ChainSpendable,
                Self::ChainInFlight,
                Self::ChainCold,
                Self::ChainArriving,
                Self::PpsImmature,
                Self::PpsReserve,
                Self::NetFeeExpense,
                Self::OrphanLoss,
                Self::Suspense,
                Self::WithdrawalInFlight,
                Self::GiftIncome,
                Self::Missing,
                Self::WriteOff,
            ]
            .into_iter()
            .find(|account| account.kind() == text)
            .ok_or_else(unknown);
        };
        let lane = || key.parse::<Algorithm>().map_err(|_| unknown());
        let miner = || key.parse().map(AccountId).map_err(|_| unknown());
        let account = match kind {
            "chain_immature" => Self::ChainImmature(lane()?),
            "miner_immature" => Self::MinerImmature(miner()?),
            "miner_payable" => Self::MinerPayable(miner()?),
            "miner_in_flight" => Self::MinerInFlight(miner()?),
            "miner_carried" => Self::MinerCarried(miner()?),
            "fee_income" => Self::FeeIncome(lane()?),
            "carry_pending" => Self::CarryPending(key.parse().map_err(|_| unknown())?),
            "carry" => Self::Carry(lane()?),
            "seed" => Self::Seed(lane()?),
            _ => return Err(unknown()),
        };
        // One spelling per account: `miner_payable:007` would be a second name of account 7.
        if account.to_string() == text { Ok(account) } else { Err(unknown()) }
    }
}
