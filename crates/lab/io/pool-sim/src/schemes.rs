//! Accounts that are paid by other schemes than windows: what is offered, the reserve, and what each share alone earned.

use std::collections::BTreeMap;

use bq_mining_message::{AccountScheme, FrontEndId, Share, SharePay, ShareSequence};
use bq_pool::{Decision, PoolConfig};
use bq_pool_machine::State;
use bq_primitives::{Algorithm, Amount, KeyHash};

use crate::{
    model::weight,
    slow,
    world::{World, atoms},
};

/// What is offered beside windows: the operator changes it now and then.
#[derive(Clone, Debug)]
pub(crate) struct Schemes {
    usual: AccountScheme,
    offered: Vec<AccountScheme>,
    /// Shares are paid for themselves.
    is_open: bool,
    /// How often that changed.
    turns: u64,
}

impl Default for Schemes {
    fn default() -> Self {
        Self { usual: AccountScheme::Pplns, offered: AccountScheme::ALL.to_vec(), is_open: false, turns: 0 }
    }
}

impl Schemes {
    pub(crate) fn apply(&self, config: PoolConfig) -> PoolConfig {
        PoolConfig {
            scheme: self.usual,
            schemes: self.offered.clone(),
            fee_bp: slow::FEE,
            pplns_window_units: slow::WINDOW,
            pps_fee_bp: slow::PPS_FEE,
            fpps_fee_bp: slow::FPPS_FEE,
            solo_fee_bp: slow::SOLO_FEE,
            tides_fee_bp: slow::TIDES_FEE,
            tides_window_units: slow::TIDES_WINDOW,
            reserve_orphan_bp: slow::ORPHAN,
            reserve_withheld_bp: slow::WITHHELD,
            ..config
        }
    }
}

impl World {
    /// The operator fills the reserve, takes out of it, or offers something else.
    pub(crate) fn operator_minds_schemes(&mut self) -> Result<(), String> {
        match self.lot(16) {
            0..=11 => self.move_all(Decision::FundReserve),
            12 | 13 => self.move_all(Decision::ReleaseReserve),
            14 => {
                let amount = self.lots.between(1, 4_000_000_000);
                self.decide(&Decision::ReleaseReserve(atoms(amount)));
            }
            _ => return self.offer_otherwise(),
        }
        Ok(())
    }

    /// As much as may be, to some thousand atoms.
    fn move_all(&mut self, decision: impl Fn(Amount) -> Decision) {
        for bits in (12..40).rev() {
            self.decide(&decision(atoms(1 << bits)));
        }
    }

    /// What is offered is read at start.
    fn offer_otherwise(&mut self) -> Result<(), String> {
        let all = AccountScheme::ALL;
        self.schemes.usual = all[self.lot(all.len() as u64) as usize];
        self.schemes.offered = all.into_iter().filter(|_| self.lot(4) > 0).collect();
        self.tell(format!(
            "the pool offers {:?}, {:?} to whoever chose nothing",
            self.schemes.offered, self.schemes.usual
        ));
        self.open()
    }

    /// Shares are not paid for themselves out of less than the bound.
    pub(crate) fn check_reserve(&mut self) -> Result<(), String> {
        let is_open = self.pool.as_ref().is_some_and(|pool| pool.look(State::pays_per_share));
        let was_open = std::mem::replace(&mut self.schemes.is_open, is_open);
        self.schemes.turns += u64::from(was_open != is_open);
        let Some(pool) = self.pool.as_ref().filter(|_| self.plan.schemes && !self.death.is_full()) else {
            return Ok(());
        };
        pool.look(|state| match state.pays_per_share() && slow::is_below(state) {
            true => Err(format!("shares are paid for themselves out of {} atoms", state.pps_reserve())),
            false => Ok(()),
        })
    }

    /// Figures for the end of a story.
    pub(crate) fn scheme_figures(&self) -> Vec<(&'static str, u64)> {
        if !self.plan.schemes {
            return Vec::new();
        }
        let alone = self.credited_alone().unwrap_or_default();
        let found =
            self.matured.keys().filter_map(|id| self.shares.values().find(|(share, _)| share.block_id == Some(*id)));
        let found: Vec<SharePay> = found.map(|(share, _)| share.pay).collect();
        let blocks = |of: fn(&SharePay) -> bool| found.iter().filter(|pay| of(pay)).count() as u64;
        vec![
            ("alone_atoms", alone.values().sum()),
            ("turns_of_the_reserve", self.schemes.turns),
            ("blocks_of_windows", blocks(|pay| *pay == SharePay::Window)),
            ("blocks_solo", blocks(|pay| *pay == SharePay::Solo)),
            ("blocks_of_tides", blocks(|pay| *pay == SharePay::Tides)),
            ("blocks_pps", blocks(|pay| matches!(pay, SharePay::PerShare(price) if price.fees.is_none()))),
            ("blocks_fpps", blocks(|pay| matches!(pay, SharePay::PerShare(price) if price.fees.is_some()))),
            ("shares_with_fees", self.shares.values().filter(|(share, _)| has_fees(share.pay)).count() as u64),
        ]
    }

    /// What only the books of now have credited for shares alone is forgotten with them, once an old copy is in their place.
    pub(crate) fn credited_alone(&self) -> Result<BTreeMap<KeyHash, u64>, String> {
        let Some(pool) = &self.pool else { return Ok(BTreeMap::new()) };
        let log = pool.shares().map_err(|error| error.to_string())?;
        pool.look(|state| self.earned_alone(state, &log))
    }

    /// What shares alone earned and were credited by now, to the atom.
    pub(crate) fn earned_alone(
        &self,
        state: &State,
        shares: &[(ShareSequence, Share)],
    ) -> Result<BTreeMap<KeyHash, u64>, String> {
        let mut sums: BTreeMap<(KeyHash, Algorithm), u128> = BTreeMap::new();
        let settled = state.unsettled_from(FrontEndId(0)).unwrap_or(ShareSequence::FIRST);
        for (_, share) in shares.iter().filter(|(sequence, _)| *sequence < settled) {
            if !slow::is_promised(share.pay) {
                return Err(format!("a share was promised {:?}", share.pay));
            }
            if let SharePay::PerShare(price) = share.pay {
                *sums.entry((share.payee, share.algorithm)).or_default() += weight(share) * slow::paid(price);
            }
        }
        let mut earned = BTreeMap::new();
        for ((key, lane), sum) in sums {
            let account = state.accounts().find(&key).ok_or("a share without an account")?;
            let credited = sum.checked_sub(state.accrual(account, lane).parts());
            let credited = credited.ok_or_else(|| format!("{key} is owed more than its shares earned"))?;
            if !credited.is_multiple_of(1 << 60) {
                return Err(format!("{key} was credited {credited} parts of an atom"));
            }
            *earned.entry(key).or_default() += (credited >> 60) as u64;
        }
        Ok(earned)
    }
}

fn has_fees(pay: SharePay) -> bool {
    matches!(pay, SharePay::PerShare(price) if price.fees.is_some_and(|fees| fees > Amount::ZERO))
}
