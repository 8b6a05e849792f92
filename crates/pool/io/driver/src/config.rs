use std::{path::PathBuf, time::Duration};

use bq_ledger::{FeeBasisPoints, LossRate, WindowUnits};
use bq_mining_message::{AccountScheme, FrontEndId};
use bq_notices::NoticePolicy;
use bq_pool_machine::{
    COMMITMENT_BYTES, DirectTerms, LaneTerms, Offer, PayoutTerms, Scheme, Terms, TidesTerms, Upkeep,
};
use bq_primitives::{Amount, COINBASE_DATA_BYTES_MAX, KeyHash, Network};
use bq_segments::LogOptions;

use crate::PoolError;

/// How a pool works. Start from [`PoolConfig::new`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PoolConfig {
    /// Holds `books.sqlite`, `share-log/` and `statistics.sqlite`.
    pub data_dir: PathBuf,
    /// The chain.
    pub network: Network,
    /// Which of several front ends this one is; 0 for the only one.
    pub front_end: FrontEndId,
    /// The pool's fee in hundredths of a percent, at most 10,000. A change holds for shares after it.
    pub fee_bp: u16,
    /// Length of the PPLNS window in expected blocks, 1 to 64. A change holds for shares after it.
    pub pplns_window_units: u32,
    /// How accounts are paid that chose no scheme.
    pub scheme: AccountScheme,
    /// Which schemes an account may choose beside [`AccountScheme::Pplns`].
    pub schemes: Vec<AccountScheme>,
    /// The fee of PPS in hundredths of a percent, at most 10,000.
    pub pps_fee_bp: u16,
    /// The fee of FPPS.
    pub fpps_fee_bp: u16,
    /// The fee of SOLO.
    pub solo_fee_bp: u16,
    /// The fee of TIDES.
    pub tides_fee_bp: u16,
    /// Length of the TIDES window in blocks of the difficulty of the one that is found, 1 to 64.
    pub tides_window_units: u32,
    /// The part of blocks that leave the best chain, in hundredths of a percent, as the reserve of PPS and FPPS is reckoned.
    pub reserve_orphan_bp: u16,
    /// The part of blocks that miners withhold, likewise.
    pub reserve_withheld_bp: u16,
    /// Who pays miners: the coinbase of each block, or payouts. Nothing: as the log says, and the coinbase for a log that begins.
    pub payout_mode: Option<PayoutMode>,
    /// The coinbase pays whom it would pay at least this; the others are paid by a later block.
    pub direct_min: Amount,
    /// Miners that one coinbase pays at most.
    pub direct_payees_max: u32,
    /// A miner is paid when its payable balance reaches this.
    pub payout_min: Amount,
    /// Confirmations after which a payout is final.
    pub final_depth: u32,
    /// Pause between the starts of two payout rounds.
    pub payout_interval: Duration,
    /// Transactions of one payout round at most.
    pub payout_round_max: u32,
    /// Coins that one payout spends at most; bounds its weight.
    pub payout_inputs_max: u32,
    /// Miners that one payout pays at most.
    pub payout_payees_max: u32,
    /// Network fee in atoms per 1,000 weight units; the payees bear it.
    pub fee_rate: u64,
    /// Coins from strangers below this are left alone.
    pub gift_min: Amount,
    /// When small coins are joined, payouts replaced, and how much the float should hold.
    pub upkeep: Upkeep,
    /// Whom the pool's own output of a coinbase pays; nothing: the pool's key. Nobody here has this key (SPEC 8.13).
    pub cold_key: Option<KeyHash>,
    /// How old a template gets at most before it is made anew, also without a new tip.
    pub template_interval: Duration,
    /// How long accepted shares wait at most until they are told to the books.
    pub frame_interval: Duration,
    /// How long the answer to a share that is a block waits for the node to have it.
    pub block_wait: Duration,
    /// How long the books wait at most for something to happen.
    pub settle_interval: Duration,
    /// Longest time for which a signer that is another process is told nothing of the log.
    pub signer_follow_interval: Duration,
    /// How long the books may be behind the node before that counts as a condition: a new block takes them a moment.
    pub out_of_step_grace: Duration,
    /// How often the books' coins are compared with the node's.
    pub compare_interval: Duration,
    /// Events after which the state is written, so that a start need not read more than these.
    pub checkpoint_events: u64,
    /// How long it is at least between two states that are written because a block was credited.
    pub checkpoint_interval: Duration,
    /// Pause between two statements of what is owed; zero: none is made.
    pub statement_interval: Duration,
    /// Newest statements of which parts can be shown.
    pub statements_kept: u32,
    /// Newest blocks of whose credits parts can be shown.
    pub credits_kept: u32,
    /// Events that one proof may hold at most, when it is asked for from outside.
    pub proof_events_max: u32,
    /// Shares that are looked through for one proof at most, when it is asked for from outside.
    pub proof_shares_max: u32,
    /// How many of the newest shares are checked against the books at start, beside the files' own hashes.
    pub verify_shares: u64,
    /// Days for which shares are kept beyond those that a window may still want; 0 keeps all for ever.
    pub keep_days: u32,
    /// Shares in one file of the share log at most, at least 1: what is dropped, is so by the file.
    pub segment_shares: u32,
    /// Workers of one account that are shown one by one at most, all algorithms together.
    pub workers_per_account_max: usize,
    /// Workers of all accounts that are shown one by one at most.
    pub workers_max: usize,
    /// Workers of one account of whom every share was refused that are shown one by one at most.
    pub refused_workers_per_account_max: usize,
    /// The same of all accounts.
    pub refused_workers_max: usize,
    /// How often statistics are written: what a crash may take of them.
    pub statistics_interval: Duration,
    /// How long a thread that panicked and was started again stays a condition.
    pub panic_shown: Duration,
    /// Starts the data of every coinbase; with it the pool knows its own blocks, so a pool keeps the one that it began with.
    /// At most [`PoolConfig::TAG_BYTES_MAX`] bytes.
    pub pool_tag: Vec<u8>,
    /// Accounts may have settings of their own.
    pub settings: bool,
    /// The highest minimum that an account may choose.
    pub settings_minimum_max: Amount,
    /// Blocks for which what lowers an account's protection waits; at least 1.
    pub settings_delay_blocks: u32,
    /// What a block takes on average, in seconds: for people, who think in hours.
    pub settings_block_secs: u64,
    /// Pause between two settings of an account.
    pub settings_interval: Duration,
    /// How far from now a setting may have been signed.
    pub settings_window: Duration,
    /// What telling accounts' webhooks may cost.
    pub notices: NoticePolicy,
    /// Goes on with another key than the log names: coins of the old one are missing until they are sent over.
    pub accept_new_key: bool,
}

/// Who pays miners.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PayoutMode {
    /// The coinbase of each block (SPEC 8.8).
    Direct,
    /// Transactions out of the pool's coins (SPEC 8.5).
    Ledger,
}

impl PoolConfig {
    /// The longest [`PoolConfig::pool_tag`]: what a coinbase may carry less the commitment.
    pub const TAG_BYTES_MAX: usize = COINBASE_DATA_BYTES_MAX - COMMITMENT_BYTES;

    /// The usual values: fee 1 %, window of 2, payouts from 1 coin, final after 60 blocks; on devnet and regtest payouts
    /// every 10 s that are final after 6.
    #[must_use]
    pub fn new(data_dir: PathBuf, network: Network) -> Self {
        let is_small = matches!(network, Network::Devnet | Network::Regtest);
        Self {
            data_dir,
            network,
            front_end: FrontEndId(0),
            fee_bp: 100,
            pplns_window_units: u32::from(WindowUnits::DEFAULT.units()),
            scheme: AccountScheme::Pplns,
            schemes: Vec::new(),
            pps_fee_bp: 400,
            fpps_fee_bp: 400,
            solo_fee_bp: 100,
            tides_fee_bp: 100,
            tides_window_units: 8,
            reserve_orphan_bp: 50,
            reserve_withheld_bp: 100,
            payout_mode: None,
            direct_min: Amount::from_atoms(1_000_000).unwrap_or(Amount::MAX),
            direct_payees_max: 1000,
            payout_min: Amount::from_atoms(Amount::ATOMS_PER_COIN).unwrap_or(Amount::MAX),
            final_depth: if is_small { 6 } else { 60 },
            payout_interval: Duration::from_secs(if is_small { 10 } else { 3600 }),
            payout_round_max: 4,
            payout_inputs_max: 100,
            payout_payees_max: 500,
            fee_rate: 1000,
            gift_min: Amount::from_atoms(100_000).unwrap_or(Amount::MAX),
            upkeep: Upkeep { coins_max: 200, replace_after: 20, fees_max: 10, float_intervals: 2, block_ms: 600_000 },
            cold_key: None,
            template_interval: Duration::from_secs(15),
            frame_interval: Duration::from_millis(50),
            block_wait: Duration::from_secs(2),
            settle_interval: Duration::from_secs(10),
            signer_follow_interval: Duration::from_secs(30),
            out_of_step_grace: Duration::from_secs(5),
            compare_interval: Duration::from_secs(60),
            checkpoint_events: 10_000,
            checkpoint_interval: Duration::from_secs(10),
            statement_interval: Duration::from_secs(3600),
            statements_kept: 8,
            credits_kept: 1000,
            proof_events_max: 100_000,
            proof_shares_max: 200_000,
            verify_shares: 500_000,
            keep_days: 30,
            workers_per_account_max: 1000,
            workers_max: 100_000,
            refused_workers_per_account_max: 16,
            refused_workers_max: 10_000,
            statistics_interval: Duration::from_secs(30),
            panic_shown: Duration::from_secs(600),
            segment_shares: LogOptions::default().segment_shares_max,
            pool_tag: b"/bq/".to_vec(),
            settings: true,
            settings_minimum_max: Amount::from_atoms(100 * Amount::ATOMS_PER_COIN).unwrap_or(Amount::MAX),
            settings_delay_blocks: 432,
            settings_block_secs: 600,
            settings_interval: Duration::from_secs(60),
            settings_window: Duration::from_secs(86_400),
            notices: NoticePolicy::default(),
            accept_new_key: false,
        }
    }

    /// What accounts may choose.
    pub(crate) fn offer(&self) -> Result<Offer, PoolError> {
        let field = |field, reason: String| PoolError::Config { field, reason };
        let has = |scheme| self.scheme == scheme || self.schemes.contains(&scheme);
        let fee = |name, bp| FeeBasisPoints::new(bp).map_err(|error| field(name, error.to_string()));
        let loss = |name, bp| LossRate::new(bp).map_err(|error| field(name, error.to_string()));
        let units = u8::try_from(self.tides_window_units).ok().and_then(WindowUnits::new);
        let window =
            units.ok_or_else(|| field("tides_window_units", format!("{} is not 1 to 64", self.tides_window_units)))?;
        let tides = TidesTerms { window, fee: fee("tides_fee_bp", self.tides_fee_bp)? };
        Ok(Offer {
            usual: self.scheme,
            pps: Some(fee("pps_fee_bp", self.pps_fee_bp)?).filter(|_| has(AccountScheme::Pps)),
            fpps: Some(fee("fpps_fee_bp", self.fpps_fee_bp)?).filter(|_| has(AccountScheme::Fpps)),
            solo: Some(fee("solo_fee_bp", self.solo_fee_bp)?).filter(|_| has(AccountScheme::Solo)),
            tides: Some(tides).filter(|_| has(AccountScheme::Tides)),
            orphan: loss("reserve_orphan_bp", self.reserve_orphan_bp)?,
            withheld: loss("reserve_withheld_bp", self.reserve_withheld_bp)?,
        })
    }

    /// Checks every field and returns the terms that miners are promised; `before` are those of the log, if it has any.
    pub(crate) fn terms(&self, before: Option<&Terms>) -> Result<Terms, PoolError> {
        let field = |field, reason: String| PoolError::Config { field, reason };
        let fee = FeeBasisPoints::new(self.fee_bp).map_err(|error| field("fee_bp", error.to_string()))?;
        let units = u8::try_from(self.pplns_window_units).ok().and_then(WindowUnits::new);
        let window =
            units.ok_or_else(|| field("pplns_window_units", format!("{} is not 1 to 64", self.pplns_window_units)))?;
        let ranges = [
            ("payout_inputs_max", self.payout_inputs_max, 600),
            ("payout_payees_max", self.payout_payees_max, 5_000),
            ("direct_payees_max", self.direct_payees_max, 5_000),
            ("payout_round_max", self.payout_round_max, 1_000),
            ("segment_shares", self.segment_shares, 1_500_000),
        ];
        for (name, value, max) in ranges {
            if !(1..=max).contains(&value) {
                return Err(field(name, format!("{value} is not 1 to {max}")));
            }
        }
        if self.pool_tag.is_empty() || self.pool_tag.len() > Self::TAG_BYTES_MAX {
            let reason = format!("{} bytes are not 1 to {}", self.pool_tag.len(), Self::TAG_BYTES_MAX);
            return Err(field("pool_tag", reason));
        }
        let payouts = PayoutTerms {
            payout_min: self.payout_min,
            payees_max: self.payout_payees_max,
            inputs_max: self.payout_inputs_max,
            round_payouts_max: self.payout_round_max,
            interval_ms: u64::try_from(self.payout_interval.as_millis()).unwrap_or(u64::MAX),
            fee_rate: self.fee_rate,
            final_depth: self.final_depth,
            gift_min: self.gift_min,
        };
        let of_log = before.is_none_or(Terms::is_direct);
        let scheme = match self.payout_mode.map_or(of_log, |mode| mode == PayoutMode::Direct) {
            true => {
                let terms = DirectTerms { min: self.direct_min, payees_max: self.direct_payees_max };
                Scheme::Direct { window, terms }
            }
            false => Scheme::Pplns { window },
        };
        let terms = Terms { lanes: [LaneTerms { scheme, fee }; 3], payouts };
        match terms.fault() {
            Some((name, reason)) => Err(field(name, reason.to_owned())),
            None => Ok(terms),
        }
    }
}
