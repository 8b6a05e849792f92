use bq_primitives::Algorithm;

/// Someone who mines.
#[derive(Clone, Debug)]
pub struct Miner {
    /// What tables call it.
    pub name: &'static str,
    /// Its hash power in each algorithm, by [`Algorithm::index`].
    pub power: [Power; Algorithm::COUNT],
    /// Which times it writes into headers.
    pub stamps: Stamps,
}

impl Miner {
    /// A miner with the same power in every algorithm and honest times.
    #[must_use]
    pub fn honest(power: Power) -> Self {
        Self { name: "honest", power: [power.clone(), power.clone(), power], stamps: Stamps::Honest }
    }

    /// The same miner under another name.
    #[must_use]
    pub fn named(self, name: &'static str) -> Self {
        Self { name, ..self }
    }

    /// The same miner with other times.
    #[must_use]
    pub fn stamping(self, stamps: Stamps) -> Self {
        Self { stamps, ..self }
    }

    /// The same miner with another power in one algorithm.
    #[must_use]
    pub fn with(mut self, algorithm: Algorithm, power: Power) -> Self {
        self.power[algorithm.index()] = power;
        self
    }
}

/// Hash power over time, in units of [`crate::Setup::unit_hashes`]. Times in seconds from the start of the run.
#[derive(Clone, Debug, PartialEq)]
pub enum Power {
    /// Always the same.
    Steady(f64),
    /// `before`, and from `at_secs` on `after`.
    Step {
        /// At first.
        before: f64,
        /// When it changes.
        at_secs: f64,
        /// From then on.
        after: f64,
    },
    /// `outside`, except `inside` between two times.
    Window {
        /// Before and after.
        outside: f64,
        /// Start of the window.
        from_secs: f64,
        /// End of the window.
        to_secs: f64,
        /// In the window.
        inside: f64,
    },
    /// `low` and `high` in turn, each for `half_secs`, `low` first.
    Square {
        /// In even halves.
        low: f64,
        /// In odd halves.
        high: f64,
        /// Length of a half.
        half_secs: f64,
    },
    /// Comes when the difficulty, as a multiple of the start's, falls to `joins_at`; goes when it rises to `leaves_at`.
    Hopper {
        /// Power while here.
        power: f64,
        /// Lower threshold.
        joins_at: f64,
        /// Upper threshold.
        leaves_at: f64,
    },
}

impl Power {
    /// None.
    pub const OFF: Self = Self::Steady(0.0);

    /// The power at a time. `here` is whether a hopper is.
    #[must_use]
    pub fn at(&self, now_secs: f64, here: bool) -> f64 {
        match *self {
            Self::Steady(power) => power,
            Self::Step { before, at_secs, after } => pick(now_secs < at_secs, before, after),
            Self::Window { outside, from_secs, to_secs, inside } => {
                pick((from_secs..to_secs).contains(&now_secs), inside, outside)
            }
            Self::Square { low, high, half_secs } => pick(((now_secs / half_secs) as u64).is_multiple_of(2), low, high),
            Self::Hopper { power, .. } => pick(here, power, 0.0),
        }
    }

    /// When it changes next by the clock; infinity for never. Hoppers look at the difficulty, not at the clock.
    #[must_use]
    pub fn next_change_secs(&self, now_secs: f64) -> f64 {
        let times = match *self {
            Self::Steady(_) | Self::Hopper { .. } => [f64::INFINITY; 2],
            Self::Step { at_secs, .. } => [at_secs, f64::INFINITY],
            Self::Window { from_secs, to_secs, .. } => [from_secs, to_secs],
            Self::Square { half_secs, .. } => [((now_secs / half_secs).floor() + 1.0) * half_secs, f64::INFINITY],
        };
        times.into_iter().filter(|time| *time > now_secs).fold(f64::INFINITY, f64::min)
    }

    /// Whether a hopper is here after seeing this difficulty.
    #[must_use]
    pub fn hops(&self, here: bool, difficulty: f64) -> bool {
        match *self {
            Self::Hopper { joins_at, leaves_at, .. } => {
                if here {
                    difficulty < leaves_at
                } else {
                    difficulty <= joins_at
                }
            }
            Self::Steady(_) | Self::Step { .. } | Self::Window { .. } | Self::Square { .. } => true,
        }
    }
}

fn pick(first: bool, yes: f64, no: f64) -> f64 {
    if first { yes } else { no }
}

/// Which times a miner writes into its headers. Legal ones lie between the median of the past plus one (MTP + 1) and the
/// local clock plus the future limit (FTL).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stamps {
    /// Its clock, or the earliest legal time if that is later.
    Honest,
    /// MTP + 1.
    Earliest,
    /// Clock + FTL.
    Latest,
    /// MTP + 1 at even heights, clock + FTL at odd ones: the Verge pattern.
    Alternate,
    /// Anywhere in the legal range.
    Random,
    /// A secret chain that will be shown at `until_secs` of the run: times run ahead as fast as easing follows them, and the
    /// rest of the blocks is packed into the latest time legal by then.
    RampThenPack {
        /// When it will be shown.
        until_secs: u32,
    },
    /// A secret chain that will be shown at `until_secs` of the run: anywhere in the range legal by then, but never far ahead
    /// at once, since a used-up future cannot be used again.
    SecretRandom {
        /// When it will be shown.
        until_secs: u32,
    },
}

impl Stamps {
    /// The same habit for a secret chain that will be shown at `secs` of the run.
    #[must_use]
    pub fn shown_at(self, secs: f64) -> Self {
        let until_secs = secs as u32;
        match self {
            Self::RampThenPack { .. } => Self::RampThenPack { until_secs },
            Self::SecretRandom { .. } => Self::SecretRandom { until_secs },
            Self::Honest | Self::Earliest | Self::Latest | Self::Alternate | Self::Random => self,
        }
    }

    /// The clock by which the blocks will be judged, when the real one says `now_secs`.
    #[must_use]
    pub fn judged_at_secs(self, now_secs: f64) -> f64 {
        match self {
            Self::Honest | Self::Earliest | Self::Latest | Self::Alternate | Self::Random => now_secs,
            Self::RampThenPack { until_secs } | Self::SecretRandom { until_secs } => {
                now_secs.max(f64::from(until_secs))
            }
        }
    }
}
