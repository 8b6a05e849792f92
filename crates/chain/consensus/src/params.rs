use bq_primitives::{Algorithm, Amount, CompactError, CompactTarget, Height, Network, Target, Timestamp, U256, Work};

use crate::{AsertParams, Era, EraAlgorithm, Eras, StartBits, UnitFraction, mul_exp2, schedule_exponent};

/// Everything that differs between networks (SPEC 1.2). Rules read these fields and never ask which network it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Params {
    /// The network these are for.
    pub network: Network,
    /// Constants of the difficulty rule.
    pub asert: AsertParams,
    /// How far a block's time may lie ahead of the local clock, in seconds (SPEC 2.3).
    pub future_limit_secs: u64,
    /// Which algorithms are active when.
    pub eras: Eras,
    /// Blocks that must pass before a coinbase output may be spent (SPEC 6.6).
    pub coinbase_maturity: u32,
    /// Whether targets move at all; only a test network says no.
    pub retarget: bool,
    /// The time in the genesis header.
    pub genesis_time: Timestamp,
    /// Chain work that the network is known to have. No rule of consensus: a node fetches no block of a header chain that
    /// does not show it (SPEC 9.2). A release may raise it to what the chain had by then; zero asks for nothing.
    pub min_chain_work: Work,
}

/// Constants under which the rules would not hold what they promise (SPEC 1.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParamsError {
    /// There is no era, or the first does not start at height 1.
    #[error("the first era must start at height 1")]
    FirstEraStart,
    /// An era starts at or below the one before it.
    #[error("era at height {0} does not start above the one before it")]
    EraOrder(Height),
    /// An era without algorithms, with one twice, or out of order.
    #[error("algorithms of the era at height {0} are not in increasing id")]
    AlgorithmOrder(Height),
    /// An algorithm continues a difficulty that the era before it does not have.
    #[error("{algorithm} cannot continue at height {era}: the era before has no {algorithm}")]
    NothingToContinue {
        /// Start of the era.
        era: Height,
        /// The algorithm.
        algorithm: Algorithm,
    },
    /// A constant is not a target.
    #[error(transparent)]
    Bits(#[from] CompactError),
    /// Bits that must lie between hardest and limit, or a limit outside the network's difficulty range.
    #[error("{algorithm} in the era at height {era}: {bits} is out of range")]
    BitsOutOfRange {
        /// Start of the era.
        era: Height,
        /// The algorithm.
        algorithm: Algorithm,
        /// The offending bits.
        bits: CompactTarget,
    },
    /// A limit of 2^255 or more, which has no room for easing.
    #[error("{algorithm} in the era at height {era}: limit is not below 2^255")]
    LimitTooEasy {
        /// Start of the era.
        era: Height,
        /// The algorithm.
        algorithm: Algorithm,
    },
    /// One block found at once would harden a target by more than the drift bound.
    #[error("spacing of {spacing_secs} s is too long for a half-life of {half_life} s")]
    SpacingTooLong {
        /// Spacing of one algorithm's blocks.
        spacing_secs: i64,
        /// The half-life.
        half_life: u32,
    },
    /// Times from the future could move the difficulty noticeably.
    #[error("future limit of {future_limit_secs} s is too long for a half-life of {half_life} s")]
    FutureLimitTooLong {
        /// The limit.
        future_limit_secs: u64,
        /// The half-life.
        half_life: u32,
    },
    /// A constant that must not be zero is.
    #[error("{0} must not be zero")]
    Zero(&'static str),
    /// A genesis time that no block may state.
    #[error("genesis time is not below 2^40")]
    GenesisTime,
}

impl Params {
    /// The constants of a network.
    #[must_use]
    pub fn of(network: Network) -> Self {
        match network {
            Network::Mainnet => Self::mainnet(),
            Network::Testnet => Self::testnet(),
            Network::Devnet => Self::devnet(),
            Network::Regtest => Self::regtest(),
        }
    }

    /// The chain with real value: SHA-256d alone up to height 9,999, then all three algorithms.
    #[must_use]
    pub fn mainnet() -> Self {
        Self::public(Network::Mainnet, Height(10_000))
    }

    /// The public test chain: as mainnet, with all three algorithms from height 100.
    #[must_use]
    pub fn testnet() -> Self {
        Self::public(Network::Testnet, Height(100))
    }

    /// A chain that one processor core can mine with all three algorithms.
    #[must_use]
    pub fn devnet() -> Self {
        // About 2^22 hashes, 32 and 512: seconds each, for one thread that all three share.
        let limits = [0x1e03_ffff, 0x2007_ffff, 0x1f7f_ffff].map(CompactTarget);
        let rules = Algorithm::ALL.into_iter().zip(limits).map(|(algorithm, limit)| rule(algorithm, limit));
        Self {
            network: Network::Devnet,
            asert: AsertParams { target_block_time: 15, half_life: 360, ..asert(limits) },
            future_limit_secs: 25,
            eras: Eras { table: vec![Era { start: Height(1), algorithms: rules.collect() }] },
            coinbase_maturity: 10,
            retarget: true,
            genesis_time: GENESIS_TIME,
            min_chain_work: Work::ZERO,
        }
    }

    /// A chain for tests: every hash is worth a try, nothing retargets. Fields may be changed, the era table included.
    #[must_use]
    pub fn regtest() -> Self {
        let limit = CompactTarget(0x207f_ffff);
        let algorithms = Algorithm::ALL.into_iter().map(|algorithm| rule(algorithm, limit)).collect();
        Self {
            network: Network::Regtest,
            asert: asert([limit; Algorithm::COUNT]),
            future_limit_secs: 600,
            eras: Eras { table: vec![Era { start: Height(1), algorithms }] },
            coinbase_maturity: 10,
            retarget: false,
            genesis_time: GENESIS_TIME,
            min_chain_work: Work::ZERO,
        }
    }

    fn public(network: Network, second_era: Height) -> Self {
        let limits = [0x1d00_ffff, 0x1f00_ffff, 0x1e00_ffff].map(CompactTarget);
        let [sha256d, randomx, ethash] = limits;
        let first = Era { start: Height(1), algorithms: vec![rule(Algorithm::Sha256d, sha256d)] };
        let continued = EraAlgorithm {
            start_bits: StartBits::Continue,
            // A third of the limit: with a third of the blocks, the same hash rate asks three times the work of each.
            ref_bits: CompactTarget(0x1c55_5500),
            ..rule(Algorithm::Sha256d, sha256d)
        };
        let newcomers = [rule(Algorithm::RandomX, randomx), rule(Algorithm::Ethash, ethash)];
        let second = Era { start: second_era, algorithms: std::iter::once(continued).chain(newcomers).collect() };
        Self {
            network,
            asert: asert(limits),
            future_limit_secs: 600,
            eras: Eras { table: vec![first, second] },
            coinbase_maturity: 100,
            retarget: true,
            genesis_time: GENESIS_TIME,
            min_chain_work: Work::ZERO,
        }
    }

    /// The new coins that the block at `height` may create (SPEC 6.3).
    #[must_use]
    pub fn subsidy(&self, height: Height) -> Amount {
        crate::subsidy(height)
    }

    /// Whether the rules keep their promises under these constants (SPEC 1.1). To be called once, at start-up.
    ///
    /// # Errors
    /// The first constant that is out of order.
    pub fn check(&self) -> Result<(), ParamsError> {
        self.check_constants()?;
        self.check_era_order()?;
        for (index, era) in self.eras.table.iter().enumerate() {
            let before = index.checked_sub(1).and_then(|below| self.eras.table.get(below));
            self.check_spacing(era)?;
            for rule in &era.algorithms {
                self.check_rule(era, before, rule)?;
            }
        }
        Ok(())
    }

    fn check_constants(&self) -> Result<(), ParamsError> {
        let AsertParams { target_block_time, half_life, mtp_window, .. } = self.asert;
        for (value, name) in
            [(target_block_time, "target_block_time"), (half_life, "half_life"), (mtp_window, "mtp_window")]
        {
            if value == 0 {
                return Err(ParamsError::Zero(name));
            }
        }
        if self.genesis_time >= crate::TIME_END {
            return Err(ParamsError::GenesisTime);
        }
        self.check_future_limit()
    }

    /// `FTL * 20 * ln 2 <= half-life`: a time from the future moves a target by less than one part in twenty.
    fn check_future_limit(&self) -> Result<(), ParamsError> {
        const LN_2_BILLIONTHS: u128 = 693_147_181;
        let moved = u128::from(self.future_limit_secs).saturating_mul(20 * LN_2_BILLIONTHS);
        let half_life = self.asert.half_life;
        if moved > u128::from(half_life).saturating_mul(1_000_000_000) {
            return Err(ParamsError::FutureLimitTooLong { future_limit_secs: self.future_limit_secs, half_life });
        }
        Ok(())
    }

    fn check_era_order(&self) -> Result<(), ParamsError> {
        let table = &self.eras.table;
        if table.first().map(|era| era.start) != Some(Height(1)) {
            return Err(ParamsError::FirstEraStart);
        }
        for (era, next) in table.iter().zip(table.iter().skip(1)) {
            if next.start <= era.start {
                return Err(ParamsError::EraOrder(next.start));
            }
        }
        let sorted = |era: &&Era| era.algorithms.is_sorted_by(|a, b| a.algorithm < b.algorithm);
        match table.iter().find(|era| era.algorithms.is_empty() || !sorted(era)) {
            Some(era) => Err(ParamsError::AlgorithmOrder(era.start)),
            None => Ok(()),
        }
    }

    /// A block that follows at once hardens by `2^(-spacing / half-life)`, which must stay inside the drift bound: then the
    /// bound never holds a target easier than the schedule (SPEC 3.6). Asked of the rule's own arithmetic.
    fn check_spacing(&self, era: &Era) -> Result<(), ParamsError> {
        let AsertParams { half_life, max_drift, .. } = self.asert;
        let spacing_secs = self.asert.spacing_secs(era.active_count());
        let sample = U256::ONE.wrapping_shl(254);
        let stepped = mul_exp2(sample, schedule_exponent(spacing_secs.saturating_neg(), half_life));
        if stepped > sample.saturating_sub(max_drift.of(sample)) {
            return Ok(());
        }
        Err(ParamsError::SpacingTooLong { spacing_secs, half_life })
    }

    fn check_rule(&self, era: &Era, before: Option<&Era>, rule: &EraAlgorithm) -> Result<(), ParamsError> {
        let algorithm = rule.algorithm;
        let bounds = rule.bounds()?;
        let out_of_range = |bits| ParamsError::BitsOutOfRange { era: era.start, algorithm, bits };
        if bounds.limit >= Target(U256::ONE.wrapping_shl(255)) {
            return Err(ParamsError::LimitTooEasy { era: era.start, algorithm });
        }
        if bounds.hardest > bounds.limit || bounds.hardest < self.hardest_of(algorithm)? {
            return Err(out_of_range(rule.hardest_bits));
        }
        if bounds.limit > self.easiest_of(algorithm)? {
            return Err(out_of_range(rule.limit_bits));
        }
        rule.ref_bits.decode()?;
        match rule.start_bits {
            StartBits::At(bits) if !bounds.contains(bits.decode()?) => Err(out_of_range(bits)),
            StartBits::Continue if before.is_none_or(|old| old.algorithm(algorithm).is_none()) => {
                Err(ParamsError::NothingToContinue { era: era.start, algorithm })
            }
            StartBits::At(_) | StartBits::Continue => Ok(()),
        }
    }

    fn easiest_of(&self, algorithm: Algorithm) -> Result<Target, CompactError> {
        self.asert.min_difficulty.get(algorithm.index()).map_or(Ok(Target::MAX), |bits| bits.decode())
    }

    fn hardest_of(&self, algorithm: Algorithm) -> Result<Target, CompactError> {
        self.asert.max_difficulty.get(algorithm.index()).map_or(Ok(Target(U256::ONE)), |bits| bits.decode())
    }
}

/// 2026-01-01 00:00:00 UTC, for every network: genesis blocks differ by the network's name in their coinbase.
const GENESIS_TIME: Timestamp = Timestamp(1_767_225_600);

/// Target 1: no network's hash rate will ever get near it.
const HARDEST_BITS: CompactTarget = CompactTarget(0x0101_0000);

fn asert(limits: [CompactTarget; Algorithm::COUNT]) -> AsertParams {
    AsertParams {
        target_block_time: 600,
        half_life: 14_400,
        max_drift: UnitFraction::QUARTER,
        mtp_window: 11,
        min_difficulty: limits,
        max_difficulty: [HARDEST_BITS; Algorithm::COUNT],
    }
}

/// An algorithm that starts at its limit, and whose limit is the unit of its work.
fn rule(algorithm: Algorithm, limit: CompactTarget) -> EraAlgorithm {
    EraAlgorithm {
        algorithm,
        start_bits: StartBits::At(limit),
        limit_bits: limit,
        hardest_bits: HARDEST_BITS,
        ref_bits: limit,
    }
}
