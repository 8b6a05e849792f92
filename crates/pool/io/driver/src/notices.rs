//! What accounts' webhooks are told of an event (SPEC 8.11.7).

use bq_ledger::{Cause, LedgerAccount};
use bq_notices::Notice;
use bq_pool_machine::{
    Applied, Event, PayoutEvent, PayoutId, PayoutKind, SettingChange, SettingEvent, SettingWish, State, Webhook,
};
use bq_primitives::{AccountId, Address, Amount};
use serde_json::{Value, json};

use crate::keeper::Keeper;

impl Keeper {
    /// Tells whom an event concerns. Nothing waits for it.
    pub(crate) fn notify(&self, event: &Event, applied: &Applied) {
        let state = self.state.read();
        for (account, webhook, what) in notices_of(&state, event, applied) {
            let Some(account) = state.accounts().key(account) else { continue };
            let address = Address { network: self.config.network, key_hash: account }.to_string();
            let mut body =
                json!({ "address": address, "time": self.now_ms() / 1000, "log_event": applied.head.number.0 });
            let event = what.get("event").and_then(Value::as_str).unwrap_or_default().to_owned();
            if let (Some(body), Value::Object(what)) = (body.as_object_mut(), what) {
                body.extend(what);
            }
            self.notices.send(Notice { account, webhook, event, body: body.to_string() });
        }
    }
}

/// Whom to tell what, and where.
fn notices_of(state: &State, event: &Event, applied: &Applied) -> Vec<(AccountId, Webhook, Value)> {
    let mut told = payouts(state, event, applied);
    for (account, before) in &applied.settings {
        let Some(settings) = state.settings_of(*account) else { continue };
        // Whoever was told so far hears of a change, also of one that takes the notices away.
        let Some(webhook) = before.clone().or_else(|| settings.current.webhook.clone()) else { continue };
        let what = match &settings.pending {
            Some(pending) => json!({ "event": "settings_pending", "from_height": pending.from.0 }),
            None if is_cancel(event) => json!({ "event": "settings_cancelled" }),
            None => json!({ "event": "settings_changed" }),
        };
        told.push((*account, webhook, what));
    }
    told
}

fn payouts(state: &State, event: &Event, applied: &Applied) -> Vec<(AccountId, Webhook, Value)> {
    let webhook = |account: AccountId| state.settings_of(account)?.current.webhook.clone();
    let told = |name: &str, id: PayoutId, account: AccountId, amount: Amount| {
        let txid = state.payout(id).map(|payout| payout.planned.txid.to_string());
        let what = json!({ "event": name, "payout": id.0, "txid": txid, "amount_atoms": amount.atoms() });
        Some((account, webhook(account)?, what))
    };
    if let Event::Payout(PayoutEvent::Signed { payout, .. }) = event {
        let kind = state.payout(*payout).map(|payout| &payout.planned.kind);
        let Some(PayoutKind::Miners(plan)) = kind else { return Vec::new() };
        let payees = plan.payees.iter();
        return payees.filter_map(|payee| told("payout_sent", *payout, payee.account, payee.net)).collect();
    }
    let of_line = |line: &bq_ledger::Transfer| match (line.cause, line.debit, line.credit) {
        (Cause::PayoutFinal { payout }, LedgerAccount::MinerInFlight(account), _) => {
            told("payout_final", PayoutId(payout), account, net(state, payout, account)?)
        }
        (Cause::PayoutReturned { payout, .. }, _, LedgerAccount::MinerInFlight(account)) => {
            told("payout_returned", PayoutId(payout), account, net(state, payout, account)?)
        }
        _ => None,
    };
    applied.lines.iter().filter_map(of_line).collect()
}

/// What a payout sends an account, its part of the network fee taken off.
fn net(state: &State, payout: u64, account: AccountId) -> Option<Amount> {
    match &state.payout(PayoutId(payout))?.planned.kind {
        PayoutKind::Miners(plan) => plan.payees.iter().find(|payee| payee.account == account).map(|payee| payee.net),
        PayoutKind::Withdrawal { .. } | PayoutKind::Fence | PayoutKind::Consolidation => None,
    }
}

fn is_cancel(event: &Event) -> bool {
    let Event::Setting(setting) = event else { return false };
    let SettingEvent::Signed(signed) = setting.as_ref() else { return false };
    let wish = signed.request.lines().nth(4).and_then(|line| line.parse::<SettingWish>().ok());
    wish.is_some_and(|wish| wish.change == SettingChange::Cancel)
}
