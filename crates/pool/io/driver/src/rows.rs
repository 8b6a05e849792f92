//! Copies of what the machine knows, for those who look.

use bq_books::{Row, RowKind};
use bq_ledger::LedgerAccount;
use bq_pool_machine::{Applied, BlockState, Payout, PayoutKind, PayoutState, PoolBlock, State};
use bq_primitives::{AccountId, Amount};
use serde::{Deserialize, Serialize};

/// A pool block as the pages list it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct BlockRow {
    pub(crate) id: String,
    pub(crate) height: u32,
    pub(crate) algorithm: String,
    pub(crate) time: u64,
    pub(crate) reward: u64,
    pub(crate) state: String,
    /// Position of its own share, while that is known.
    pub(crate) share: Option<u64>,
}

/// One account's part of a payout.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PaymentRow {
    pub(crate) txid: String,
    pub(crate) net: u64,
    pub(crate) state: String,
    pub(crate) time_ms: u64,
}

/// What the coinbase of a block paid an account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct CoinbasePaymentRow {
    pub(crate) txid: String,
    pub(crate) block: String,
    pub(crate) height: u32,
    pub(crate) algorithm: String,
    pub(crate) amount: u64,
    pub(crate) state: String,
    pub(crate) time: u64,
}

/// The rows that an event changed.
pub(crate) fn rows_of(state: &State, applied: &Applied) -> Vec<Row> {
    let mut rows = Vec::new();
    for id in &applied.blocks {
        if let Some(block) = state.block(id) {
            rows.push(block_row(block));
            rows.extend(coinbase_payment_rows(block));
            if block.state == BlockState::Matured {
                rows.push(Row { value: None, ..bytes_row(&id.to_string(), Vec::new()) });
            }
        }
    }
    for id in &applied.payouts {
        if let Some(payout) = state.payout(*id) {
            rows.extend(payment_rows(payout));
        }
    }
    let mut accounts: Vec<LedgerAccount> = applied.lines.iter().flat_map(|line| [line.debit, line.credit]).collect();
    accounts.sort_unstable();
    accounts.dedup();
    rows.extend(accounts.into_iter().map(|account| balance_row(state, account)));
    rows
}

/// The bytes of a block, while they may be needed.
pub(crate) fn bytes_row(id: &str, bytes: Vec<u8>) -> Row {
    Row { kind: RowKind::BlockBytes, key: id.to_owned(), group: String::new(), order: 0, value: Some(bytes) }
}

/// The same of a payout that was replaced: its transactions have bytes each.
pub(crate) fn replaced_row(planned: &bq_pool_machine::PlannedPayout, bytes: Vec<u8>) -> Row {
    let [key, _] = signed_keys(planned);
    Row { key, ..signed_row(planned.id, bytes) }
}

/// Where the signed bytes of a payout's transaction may be, in the order in which to look.
pub(crate) fn signed_keys(planned: &bq_pool_machine::PlannedPayout) -> [String; 2] {
    [format!("{}:{}", planned.id, planned.txid), planned.id.to_string()]
}

/// The signed bytes of a payout.
pub(crate) fn signed_row(payout: bq_pool_machine::PayoutId, bytes: Vec<u8>) -> Row {
    let (kind, key) = (RowKind::Signed, payout.to_string());
    Row { kind, key, group: String::new(), order: payout.0, value: Some(bytes) }
}

/// A balance as people read it.
pub(crate) fn balance_row(state: &State, account: LedgerAccount) -> Row {
    let balance = state.books().balance(account);
    let value = (balance > 0).then(|| balance.to_string().into_bytes());
    Row { kind: RowKind::Balance, key: account.to_string(), group: String::new(), order: 0, value }
}

pub(crate) fn block_row(block: &PoolBlock) -> Row {
    let candidate = &block.candidate;
    let row = BlockRow {
        id: candidate.id.to_string(),
        height: candidate.height.0,
        algorithm: candidate.algorithm.name().to_owned(),
        time: candidate.time,
        reward: candidate.reward().map_or(0, Amount::atoms),
        state: block.state.name().to_owned(),
        share: candidate.own_share().map(|share| share.sequence.0),
    };
    Row {
        kind: RowKind::Block,
        key: row.id.clone(),
        group: String::new(),
        order: u64::from(row.height),
        value: Some(json(&row)),
    }
}

/// What a block's coinbase paid whom: listed by height, as blocks are.
fn coinbase_payment_rows(block: &PoolBlock) -> Vec<Row> {
    let candidate = &block.candidate;
    let sums = candidate.direct().and_then(|direct| direct.by_account().ok()).unwrap_or_default();
    let row = |(account, amount): (AccountId, Amount)| {
        let value = CoinbasePaymentRow {
            txid: candidate.coinbase.to_string(),
            block: candidate.id.to_string(),
            height: candidate.height.0,
            algorithm: candidate.algorithm.name().to_owned(),
            amount: amount.atoms(),
            state: block.state.name().to_owned(),
            time: candidate.time,
        };
        Row {
            kind: RowKind::CoinbasePayment,
            key: format!("{account}:{}", candidate.id),
            group: account.to_string(),
            order: u64::from(candidate.height.0),
            value: Some(json(&value)),
        }
    };
    sums.into_iter().map(row).collect()
}

pub(crate) fn payment_rows(payout: &Payout) -> Vec<Row> {
    let planned = &payout.planned;
    let PayoutKind::Miners(plan) = &planned.kind else { return Vec::new() };
    let row = |account: AccountId, net: Amount| {
        let value = PaymentRow {
            txid: planned.txid.to_string(),
            net: net.atoms(),
            state: state_name(payout).to_owned(),
            time_ms: planned.time_ms,
        };
        Row {
            kind: RowKind::Payment,
            key: format!("{account}:{}", planned.id),
            group: account.to_string(),
            order: planned.id.0,
            // A void payout pays nobody.
            value: (payout.state != PayoutState::Void).then(|| json(&value)),
        }
    };
    plan.payees.iter().map(|payee| row(payee.account, payee.net)).collect()
}

/// Where a payout stands, as the API names it.
pub(crate) fn state_name(payout: &Payout) -> &'static str {
    match (payout.state, payout.confirmed.is_some()) {
        (PayoutState::Planned, _) => "reserved",
        (PayoutState::Signed, false) => "broadcast",
        (PayoutState::Signed, true) => "confirmed",
        (PayoutState::Final, _) => "final",
        (PayoutState::Void, _) => "void",
    }
}

fn json(value: &impl Serialize) -> Vec<u8> {
    // Structs of numbers and texts cannot fail.
    serde_json::to_vec(value).unwrap_or_default()
}
