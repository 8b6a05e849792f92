use bq_ledger::{LedgerAccount, Side};
use bq_primitives::{AccountId, Amount};
use rusqlite::{Connection, Transaction};

use super::{
    Fault, journal,
    values::{all, amount, atoms, first, parse, unsigned},
};
use crate::{MinerBalances, Totals};

pub(super) fn payable(connection: &Connection, payout_min: Amount) -> Result<Vec<(AccountId, Amount)>, Fault> {
    let sql = "SELECT account, balance FROM balances
        WHERE account >= 'miner_payable:' AND account < 'miner_payable;' AND balance >= max(?1, 1)";
    let mut due = all(connection, sql, [atoms(payout_min)?], |row| match parse(&row.get::<_, String>(0)?)? {
        LedgerAccount::MinerPayable(account) => Ok((account, amount(row.get(1)?)?)),
        other => Err(Fault::Content(format!("{other} among payable balances"))),
    })?;
    due.sort_by_key(|(account, _)| *account);
    Ok(due)
}

pub(super) fn miner(connection: &Connection, account: AccountId) -> Result<MinerBalances, Fault> {
    let balance = |account| Ok::<_, Fault>(Amount::from_atoms(journal::balance(connection, account)?)?);
    let sql = "SELECT coalesce(sum(gross - fee), 0) FROM payout_entries JOIN payouts ON id = payout
        WHERE account = ?1 AND state = 'final'";
    Ok(MinerBalances {
        immature: balance(LedgerAccount::MinerImmature(account))?,
        payable: balance(LedgerAccount::MinerPayable(account))?,
        in_flight: balance(LedgerAccount::MinerInFlight(account))?,
        paid: first(connection, sql, [account.0], |row| amount(row.get(0)?))?.unwrap_or_default(),
    })
}

pub(super) fn totals(connection: &Transaction<'_>) -> Result<Totals, Fault> {
    let mut totals = Totals::default();
    for (account, balance) in balances(connection)? {
        let sum = match account {
            LedgerAccount::MinerImmature(_) => &mut totals.miners.immature,
            LedgerAccount::MinerPayable(_) => &mut totals.miners.payable,
            LedgerAccount::MinerInFlight(_) => &mut totals.miners.in_flight,
            LedgerAccount::ChainImmature(_) => &mut totals.chain_immature,
            LedgerAccount::ChainSpendable => &mut totals.chain_spendable,
            LedgerAccount::ChainInFlight => &mut totals.chain_in_flight,
            _ => continue,
        };
        *sum = sum.checked_add(Amount::from_atoms(balance)?)?;
    }
    let sql = "SELECT coalesce(sum(gross - fee), 0) FROM payout_entries JOIN payouts ON id = payout
        WHERE state = 'final'";
    totals.miners.paid = first(connection, sql, [], |row| amount(row.get(0)?))?.unwrap_or_default();
    Ok(totals)
}

pub(super) fn imbalance(connection: &Transaction<'_>) -> Result<i128, Fault> {
    let balances = balances(connection)?;
    Ok(balances.into_iter().fold(0, |sum, (account, balance)| match account.side() {
        Side::Debit => sum + i128::from(balance),
        Side::Credit => sum - i128::from(balance),
    }))
}

/// Every stored balance.
pub(super) fn balances(connection: &Connection) -> Result<Vec<(LedgerAccount, u64)>, Fault> {
    all(connection, "SELECT account, balance FROM balances", [], |row| {
        Ok((parse(&row.get::<_, String>(0)?)?, unsigned(row.get(1)?)?))
    })
}
