//! What a coinbase pays, compared with what the books gave where it was made (SPEC 8.8).

use std::ops::ControlFlow;

use bq_ledger::{Head, WindowFold, WindowUnits};
use bq_mining_message::{FrontEndId, SharePay, SharePosition, ShareSequence};
use bq_pool_machine::{CommitmentCheck, EarnedShare, Fault, Outside, Shares, State, Upkeep, pays_balances};
use bq_primitives::{Amount, TxOut};

use super::chain::NamingBlock;

/// What a coinbase turned out to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Paid {
    /// As the books gave.
    AsPlanned,
    /// As they gave but for older balances, which it leaves to a later block: only the pool knows why (SPEC 8.5.11).
    WithoutBalances,
    /// It pays the pool alone, as it does where payouts pay miners.
    Pool,
    /// Something else.
    Otherwise(String),
}

/// The newest share of a front end where the log stands.
pub(super) fn newest_share(state: &State, front_end: FrontEndId) -> Option<SharePosition> {
    let next = state.front_end(front_end)?.next;
    let sequence = next.0.checked_sub(1).filter(|newest| *newest >= ShareSequence::FIRST.0)?;
    Some(SharePosition { front_end, sequence: ShareSequence(sequence) })
}

/// Compares the coinbase of a block that names the event at which `state` stands.
pub(super) fn compare(
    state: &State,
    shares: &dyn Shares,
    front_end: FrontEndId,
    block: &NamingBlock,
) -> Result<Paid, Fault> {
    let own = state.coinbase_key().ok_or(Fault::NotOpened)?;
    let reward = Amount::sum(block.coinbase.outputs.iter().map(|output| output.amount))?;
    let newest = newest_share(state, front_end);
    let Some((direct, lane)) = state.direct_terms(block.algorithm, newest) else {
        let foreign = block.coinbase.outputs.iter().position(|output| output.key_hash != own);
        return Ok(match foreign {
            None => Paid::Pool,
            Some(index) => Paid::Otherwise(format!("output {index} pays somebody else, and payouts pay miners")),
        });
    };
    let terms = newest.map_or_else(|| state.terms(), |share| state.terms_of(share));
    let units = terms.map_or(WindowUnits::DEFAULT, |terms| terms.window(block.algorithm));
    let mut fold = WindowFold::new(units, Head::Whole);
    if let Some(newest) = newest {
        let mut each = |share: &EarnedShare| match share.pay {
            SharePay::Window => fold.add(share.account, share.weight),
            SharePay::PerShare(_) | SharePay::Solo | SharePay::Tides => ControlFlow::Continue(()),
        };
        shares.walk_back(block.algorithm, newest, state.accounts(), &mut each)?;
    }
    let (commitment, upkeep) = (CommitmentCheck::Fine, Upkeep::LEAST);
    let outside = Outside { now_ms: 0, in_step: true, coins_match: true, commitment, upkeep };
    let is_there = state.tip().is_some_and(|tip| tip.id == block.parent);
    let pays = is_there && pays_balances(state, &outside);
    let window = fold.finish();
    let basis_of = |pays| {
        let mut basis = state.coinbase_basis(block.algorithm, (direct, lane), window.clone(), pays)?;
        if !is_there {
            basis.leave_older();
        }
        Ok::<_, Fault>(basis)
    };
    let planned = |basis: &bq_pool_machine::CoinbaseBasis| -> Result<Vec<TxOut>, Fault> {
        let plan = basis.plan(reward)?;
        let key = |account| state.accounts().key(account).ok_or(Fault::UnknownAccount(account));
        let output = |(account, amount): &(_, Amount)| Ok(TxOut { amount: *amount, key_hash: key(*account)? });
        let mut outputs = plan.outputs.iter().map(output).collect::<Result<Vec<_>, Fault>>()?;
        if plan.own > Amount::ZERO {
            outputs.push(TxOut { amount: plan.own, key_hash: own });
        }
        Ok(outputs)
    };
    let expected = planned(&basis_of(pays)?)?;
    if expected == block.coinbase.outputs {
        return Ok(Paid::AsPlanned);
    }
    if pays && planned(&basis_of(false)?)? == block.coinbase.outputs {
        return Ok(Paid::WithoutBalances);
    }
    // Shares that no window pays are mined on a coinbase of the pool's own (SPEC 8.9.13).
    if state.offers_others() && block.coinbase.outputs.iter().all(|output| output.key_hash == own) {
        return Ok(Paid::Pool);
    }
    Ok(Paid::Otherwise(first_difference(&block.coinbase.outputs, &expected)))
}

fn first_difference(got: &[TxOut], expected: &[TxOut]) -> String {
    let said = |output: Option<&TxOut>| {
        output.map_or_else(
            || "nothing".to_owned(),
            |output| format!("{} atoms to key {}", output.amount.atoms(), output.key_hash),
        )
    };
    let most = got.len().max(expected.len());
    let index = (0..most).find(|index| got.get(*index) != expected.get(*index)).unwrap_or(0);
    format!("output {index} pays {}, by the books {}", said(got.get(index)), said(expected.get(index)))
}
