use bq_ledger::{LedgerAccount, RuinBound};
use bq_primitives::{Address, Amount};

use crate::{CommitmentCheck, Outside, State};

/// A state of the pool that a person should know: every stop has one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Condition {
    /// Which.
    pub name: ConditionName,
    /// Why, and what ends it, in words that anybody may read.
    pub reason: String,
}

/// The conditions of the books.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ConditionName {
    /// The node's chain and the log's do not end at the same block.
    NodeOutOfStep,
    /// The node has other coins of the pool's key than the books.
    CoinsDiffer,
    /// The chain knows a longer or another log.
    LogBehindChain,
    /// A recovered log waits until forgotten payouts are found or impossible.
    Recovering,
    /// Coins were spent outside the books.
    CoinsMissing,
    /// A person stopped payouts.
    Paused,
    /// A payout has lost a coin and waits for the proof that it is void.
    PayoutBlocked,
    /// A payout that was final left the chain and is sent again.
    PayoutReturned,
    /// Rewards were lost beyond maturity and what was earned did not cover them.
    OrphanLoss,
    /// What could not be known is held back.
    Suspense,
    /// Miners are owed more than the pool's coins are worth.
    Short,
    /// Shares cannot be paid for themselves, though that is offered.
    ReserveLow,
    /// Something that is no fill spent coins of the cold key.
    ColdCoinsSpent,
    /// The float does not reach all that is due: somebody has to fill it from the cold key.
    FloatLow,
    /// More lies with the pool's own key than a float should hold.
    FloatHigh,
}

impl ConditionName {
    /// Every name.
    pub const ALL: [Self; 15] = [
        Self::NodeOutOfStep,
        Self::CoinsDiffer,
        Self::LogBehindChain,
        Self::Recovering,
        Self::CoinsMissing,
        Self::Paused,
        Self::PayoutBlocked,
        Self::PayoutReturned,
        Self::OrphanLoss,
        Self::Suspense,
        Self::Short,
        Self::ReserveLow,
        Self::ColdCoinsSpent,
        Self::FloatLow,
        Self::FloatHigh,
    ];

    /// The name in health, metrics, the API and on the page.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::NodeOutOfStep => "node_out_of_step",
            Self::CoinsDiffer => "coins_differ",
            Self::LogBehindChain => "log_behind_chain",
            Self::Recovering => "recovering",
            Self::CoinsMissing => "coins_missing",
            Self::Paused => "paused",
            Self::PayoutBlocked => "payout_blocked",
            Self::PayoutReturned => "payout_returned",
            Self::OrphanLoss => "orphan_loss",
            Self::Suspense => "suspense",
            Self::Short => "short_of_coins",
            Self::ReserveLow => "reserve_low",
            Self::ColdCoinsSpent => "cold_coins_spent",
            Self::FloatLow => "float_low",
            Self::FloatHigh => "float_high",
        }
    }

    /// Whether no payout is planned while it lasts.
    #[must_use]
    pub const fn stops_payouts(self) -> bool {
        match self {
            Self::NodeOutOfStep
            | Self::CoinsDiffer
            | Self::LogBehindChain
            | Self::Recovering
            | Self::CoinsMissing
            | Self::ColdCoinsSpent
            | Self::Paused => true,
            Self::PayoutBlocked
            | Self::PayoutReturned
            | Self::OrphanLoss
            | Self::Suspense
            | Self::Short
            | Self::ReserveLow
            | Self::FloatLow
            | Self::FloatHigh => false,
        }
    }
}

/// What holds now, most serious first.
#[must_use]
pub fn conditions(state: &State, outside: &Outside) -> Vec<Condition> {
    let all = [
        outside_conditions(state, outside),
        cold_coins_spent(state).into_iter().collect(),
        missing_coins(state).into_iter().collect(),
        decisions(state),
        payouts(state),
        balances(state),
        float(state, outside),
        reserve(state).into_iter().collect(),
    ];
    all.into_iter().flatten().collect()
}

fn outside_conditions(state: &State, outside: &Outside) -> Vec<Condition> {
    let mut found = Vec::new();
    if !outside.in_step {
        let reason = "the node's best chain does not end where the books do; it is followed or waited for".to_owned();
        found.push(Condition { name: ConditionName::NodeOutOfStep, reason });
    }
    if !outside.coins_match {
        let reason = "the node has other coins of the pool's key than the books; see bq pool status".to_owned();
        found.push(Condition { name: ConditionName::CoinsDiffer, reason });
    }
    let ours = state.head().number;
    let reason = match outside.commitment {
        CommitmentCheck::Fine => None,
        CommitmentCheck::Behind { seen } => Some(format!(
            "the chain knows event {} of this pool, its log ends at {ours}; see bq pool recover",
            seen.number
        )),
        CommitmentCheck::Differs { seen } => Some(format!(
            "the chain knows another event {} of this pool than its log; see bq pool recover",
            seen.number
        )),
    };
    found.extend(reason.map(|reason| Condition { name: ConditionName::LogBehindChain, reason }));
    found
}

fn missing_coins(state: &State) -> Option<Condition> {
    let missing = state.books().balance(LedgerAccount::Missing);
    if missing == 0 {
        return None;
    }
    let foreign = state.coins().filter_map(|(_, coin)| {
        let spent = coin.spent.filter(|spent| !spent.explained)?;
        let is_ours =
            coin.payout.and_then(|id| state.payout(id)).is_some_and(|payout| state.is_transaction_of(payout, spent.by));
        (!is_ours).then_some(spent.by)
    });
    let by = foreign.last().map_or_else(String::new, |txid| format!(" by transaction {txid}"));
    let twice = state.overpaid.values().fold(0_u64, |sum, beyond| sum.saturating_add(*beyond)).min(missing);
    let twice = match twice {
        0 => String::new(),
        twice => format!(
            "; {} of it was paid twice, by payouts that came back with their branch: bq pool write-off",
            coins(twice)
        ),
    };
    let way_out = match state.matured_suspense() {
        0 => "see bq pool adopt",
        // A log that lost its end lost payouts together with the shares that earned them.
        _ => "see bq pool adopt; if that paid miners what is in suspense, bq pool write-off --from suspense",
    };
    let reason = format!("{} coins were spent outside the books{by}{twice}; {way_out}", coins(missing));
    Some(Condition { name: ConditionName::CoinsMissing, reason })
}

/// The key that is on no machine of the pool was used for something else than to fill the float.
fn cold_coins_spent(state: &State) -> Option<Condition> {
    if state.books().balance(LedgerAccount::Missing) == 0 {
        return None;
    }
    let spent = state.coins().filter(|(outpoint, _)| state.is_cold(outpoint));
    let mut by = spent.filter_map(|(_, coin)| coin.spent.filter(|spent| !spent.explained)).map(|spent| spent.by);
    let by = by.next()?;
    let reason = format!(
        "coins of the cold key were spent by transaction {by}, which is not a fill of the float; nobody is paid until a person says what \
         that was: your own, bq pool adopt {by} --as withdrawal; not yours, the cold key is known to somebody: move what is left, then \
         bq pool write-off"
    );
    Some(Condition { name: ConditionName::ColdCoinsSpent, reason })
}

fn float(state: &State, outside: &Outside) -> Vec<Condition> {
    let Some(float) = state.float(&outside.upkeep) else { return Vec::new() };
    let mut found = Vec::new();
    if float.is_low() {
        let (due, held, under_way) =
            (coins(float.due), coins(float.held), float.returning.saturating_add(float.arriving));
        let way_out = match (float.missing(), state.opened()) {
            (0, _) | (_, None) => "nothing is to be done: those can be spent once they are buried".to_owned(),
            (missing, Some(opened)) => {
                let to = Address { network: opened.network, key_hash: opened.key };
                format!("send at least {} coins ({missing} atoms) to {to} from the cold key", coins(missing))
            }
        };
        let under_way = coins(under_way);
        let reason = format!("{due} coins are due, the float holds {held}, {under_way} are on their way; {way_out}");
        found.push(Condition { name: ConditionName::FloatLow, reason });
    }
    if let Some(most) = float.most.filter(|_| float.is_high()) {
        let (holds, most) = (coins(float.held.saturating_add(float.arriving)), coins(most));
        let intervals = outside.upkeep.float_intervals;
        let reason = format!(
            "the float holds {holds} coins, {most} are enough for what is payable and {intervals} payout intervals: who steals the pool's \
             key takes all of it. Nothing is to be done: payouts use it up; fill less the next time"
        );
        found.push(Condition { name: ConditionName::FloatHigh, reason });
    }
    found
}

fn decisions(state: &State) -> Vec<Condition> {
    let mut found = Vec::new();
    if let Some(recovery) = state.recovery().filter(|recovery| recovery.open) {
        let lost = match recovery.seen.number >= recovery.event {
            true => format!("the log lost its events up to {}", recovery.seen.number),
            false => "the log is taken for an old copy".to_owned(),
        };
        let reason = format!("{lost}; nobody is paid until every payout it may have forgotten is found or void");
        found.push(Condition { name: ConditionName::Recovering, reason });
    }
    if let Some(paused) = state.paused() {
        let reason = format!("payouts are paused: {}; see bq pool resume", paused.reason);
        found.push(Condition { name: ConditionName::Paused, reason });
    }
    found
}

fn payouts(state: &State) -> Vec<Condition> {
    let mut found = Vec::new();
    for payout in state.payouts().filter(|payout| payout.is_open()) {
        let (id, txid) = (payout.planned.id, payout.planned.txid);
        let is_there =
            |outpoint| state.coin(outpoint).is_some_and(|coin| coin.spent.is_none_or(|spent| spent.by == txid));
        let lost = payout.planned.inputs.iter().find(|input| !is_there(&input.outpoint));
        if let Some(input) = lost {
            let reason = format!(
                "payout {id} lost its coin {}:{}; it is void and paid again once that is buried",
                input.outpoint.txid, input.outpoint.index
            );
            found.push(Condition { name: ConditionName::PayoutBlocked, reason });
        } else if payout.returned > 0 && !payout.is_confirmed() && !payout.planned.kind.pays_nobody() {
            let reason = format!("payout {id} was final and left the chain; the same transaction {txid} is sent again");
            found.push(Condition { name: ConditionName::PayoutReturned, reason });
        }
    }
    found
}

fn balances(state: &State) -> Vec<Condition> {
    let mut found = Vec::new();
    let loss = state.books().balance(LedgerAccount::OrphanLoss);
    // The gap closes by itself with what the pool earns, which cannot be withdrawn before.
    let gap = state.shortfall();
    if loss > 0 && gap > 0 {
        let reason = format!(
            "{} coins of matured rewards were lost in reorganisations, {} more than the pool has earned: its next fees bear them, \
             or a refill",
            coins(loss),
            coins(gap)
        );
        found.push(Condition { name: ConditionName::OrphanLoss, reason });
    }
    let suspense = state.books().balance(LedgerAccount::Suspense);
    if suspense > 0 {
        let reason = format!(
            "{} coins are held because their shares are not known; see bq pool release-suspense",
            coins(suspense)
        );
        found.push(Condition { name: ConditionName::Suspense, reason });
    }
    let owed = state.books().balances().filter(|(account, _)| matches!(account, LedgerAccount::MinerPayable(_)));
    let owed = owed.fold(0_u64, |sum, (_, amount)| sum.saturating_add(amount));
    // What the cold key holds is there, though a person has to send it.
    let accounts = [LedgerAccount::ChainSpendable, LedgerAccount::ChainCold, LedgerAccount::ChainArriving];
    let held = accounts.into_iter().fold(0_u64, |sum, account| sum.saturating_add(state.books().balance(account)));
    if owed > held {
        let reason = format!("miners are owed {} coins, {} can be spent", coins(owed), coins(held));
        found.push(Condition { name: ConditionName::Short, reason });
    }
    found
}

/// Shares are paid by windows meanwhile.
fn reserve(state: &State) -> Option<Condition> {
    if !state.offer().pays_per_share() || state.pays_per_share() {
        return None;
    }
    let holds = state.pps_reserve();
    let reason = match state.reserve_needed(RuinBound::OneInThousand) {
        None if state.per_share.subsidy == Amount::ZERO => return None,
        None => "no reserve is enough for pps and fpps: lost blocks eat up their fee; raise the fee".to_owned(),
        Some(needed) => {
            let missing = coins(needed.atoms().saturating_sub(holds.atoms()));
            format!(
                "pps and fpps pay as pplns until the reserve holds {needed} coins; it holds {holds}, {missing} are missing: bq pool \
                 reserve add"
            )
        }
    };
    Some(Condition { name: ConditionName::ReserveLow, reason })
}

fn coins(atoms: u64) -> Amount {
    Amount::from_atoms(atoms).unwrap_or(Amount::MAX)
}
