//! What people see of the coinbases: those being mined, and those that paid a miner.

use std::{collections::BTreeMap, sync::Arc};

use bq_books::RowKind;
use bq_chain_api::TemplateWork;
use bq_pool_machine::CoinbasePlan;
use bq_primitives::{Address, Algorithm, Amount, BlockWeight, KeyHash};
use bq_views::{
    BlockCursor, CoinbaseOutputView, CoinbasePaymentView, CoinbasePaymentsView, CoinbaseView, LaneCoinbaseView, Page,
    PartView,
};

use crate::{
    PoolError,
    keeper::Keeper,
    miner_views::Miner,
    rows::CoinbasePaymentRow,
    views::{atoms, mode_name},
};

impl Keeper {
    /// The coinbases of the newest template.
    pub(crate) fn coinbase_view(&self) -> Option<CoinbaseView> {
        let template = Arc::clone(&self.template.borrow().as_ref()?.shared);
        let coinbases = self.coinbases.read().clone();
        let view = |work: &TemplateWork| {
            let lane = work.header.algorithm;
            let plan = coinbases.lanes.get(lane.index()).and_then(Option::as_deref);
            (lane.name().to_owned(), self.lane_view(work, plan))
        };
        Some(CoinbaseView {
            height: template.height.0,
            parent: template.parent_id.to_string(),
            algorithms: template.works.iter().map(view).collect(),
        })
    }

    fn lane_view(&self, work: &TemplateWork, plan: Option<&CoinbasePlan>) -> LaneCoinbaseView {
        let coinbase = &work.body.coinbase;
        let sum = |ours: bool| {
            let outputs = coinbase.outputs.iter().filter(|output| self.owns(&output.key_hash) == ours);
            outputs.fold(0, |sum: u64, output| sum.saturating_add(output.amount.atoms()))
        };
        let outputs = coinbase.outputs.iter().filter(|output| !self.owns(&output.key_hash));
        let put_off = plan.map_or(&[][..], |plan| &plan.put_off);
        LaneCoinbaseView {
            payout_mode: mode_name(plan.is_some()),
            reward: atoms(sum(true).saturating_add(sum(false))),
            own: atoms(sum(true)),
            outputs: outputs.map(|output| self.output_view(output.key_hash, output.amount)).collect(),
            put_off: atoms(put_off.iter().fold(0, |sum, (_, amount)| sum.saturating_add(amount.atoms()))),
            put_off_miners: u64::try_from(put_off.len()).unwrap_or(u64::MAX),
            weight: coinbase.weight().map_or(u64::MAX, BlockWeight::units),
            transaction: hex::encode(coinbase.to_bytes()),
        }
    }

    fn output_view(&self, key_hash: KeyHash, amount: Amount) -> CoinbaseOutputView {
        let address = Address { network: self.config.network, key_hash };
        CoinbaseOutputView { address: address.to_string(), amount: amount.into() }
    }

    /// A miner's part of the next block, by algorithm.
    pub(crate) fn next_block_view(&self, miner: Miner) -> BTreeMap<String, PartView> {
        let Some(account) = miner.account else { return BTreeMap::new() };
        let coinbases = self.coinbases.read().clone();
        let of =
            |list: &[(_, Amount)]| list.iter().find(|(of, _)| *of == account).map_or(Amount::ZERO, |(_, part)| *part);
        let lanes = Algorithm::ALL.into_iter().zip(coinbases.lanes);
        let parts = lanes.filter_map(|(lane, plan)| Some((lane, plan?)));
        let parts = parts.map(|(lane, plan)| {
            (lane.name().to_owned(), PartView { pays: of(&plan.outputs).into(), put_off: of(&plan.put_off).into() })
        });
        parts.collect()
    }

    /// What coinbases paid a miner.
    pub(crate) fn coinbase_payments_view(
        &self,
        miner: Miner,
        page: &Page<BlockCursor>,
    ) -> Result<CoinbasePaymentsView, PoolError> {
        let Some(account) = miner.account else {
            return Ok(CoinbasePaymentsView { coinbases: Vec::new(), next: None });
        };
        let after = page.after.map(|after| (u64::from(after.height), format!("{account}:{}", after.id)));
        let after = after.as_ref().map(|(height, key)| (*height, key.as_str()));
        let max = page.limit.saturating_add(1);
        let rows = self.store.page(RowKind::CoinbasePayment, &account.to_string(), after, max)?;
        let mut rows: Vec<_> =
            rows.into_iter().filter_map(|row| serde_json::from_slice::<CoinbasePaymentRow>(&row.value).ok()).collect();
        let next =
            page.cut(&mut rows, |row| BlockCursor { height: row.height, id: row.block.parse().unwrap_or_default() });
        let view = |row: CoinbasePaymentRow| CoinbasePaymentView {
            txid: row.txid,
            block: row.block,
            height: row.height,
            algorithm: row.algorithm,
            amount: atoms(row.amount),
            state: row.state,
            time: row.time,
        };
        Ok(CoinbasePaymentsView { coinbases: rows.into_iter().map(view).collect(), next })
    }
}
