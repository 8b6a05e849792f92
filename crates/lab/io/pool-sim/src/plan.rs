use bq_pool::PayoutMode;

/// What can happen in a simulation, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PoolPlan {
    /// Name on the command line.
    pub name: &'static str,
    /// What it is, in a sentence.
    pub about: &'static str,
    /// Things that happen, a few minutes apart.
    pub steps: u32,
    /// Old copies of the books are put in the place of new ones.
    pub restores: bool,
    /// Who pays miners.
    pub mode: PayoutMode,
    /// Accounts are paid by every scheme there is, blocks have fees, and what is offered changes.
    pub schemes: bool,
    /// A wrong part, to see that it is found.
    pub planted: Option<Planted>,
}

/// A wrong part around the books, in the front end or in the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Planted {
    /// The disk says that it synced and did not.
    LyingDisk,
    /// A commit leaves its rows out.
    RowsDropped,
    /// The signer changes what it signs.
    MeddlingSigner,
    /// A share is handed on twice.
    ShareTwice,
    /// A share is acknowledged although it was not written.
    AcknowledgedUnwritten,
    /// A share is credited to another miner than the one who was acknowledged.
    WrongPayee,
    /// A share is credited what the newest job is worth, not its own.
    NewerDifficulty,
    /// A verifier takes the miner's word for what its work comes to.
    ClaimTrusted,
    /// Connections and starts are not told apart: each gives out the same work.
    SameWork,
    /// A share that may be a block is refused when the queue is full.
    RefusedUnseen,
    /// A block is handed to the node once the disk has synced.
    BlockAfterSync,
    /// Windows begin one share too early.
    WindowOffByOne,
    /// Credit comes back because a payout took long, though it may still confirm.
    ReleasedOnTimeOut,
    /// A payout that is sent again spends other coins.
    NewInputsOnRetry,
    /// A share that is paid for itself is paid without the pool's fee.
    PerShareWithoutFee,
    /// The share before those that are settled is settled once more.
    SettledTwice,
    /// A TIDES window is as long as at twice the difficulty.
    TidesDifficulty,
    /// A window counts shares that are paid for themselves.
    WindowCountsOthers,
    /// Shares are paid for themselves whatever the reserve holds.
    BegunAtOnce,
    /// Shares go on being paid for themselves when the reserve runs low.
    NeverEnded,
}

impl PoolPlan {
    /// A day.
    pub const DAY: Self = Self {
        name: "pool-day",
        about: "a day of a pool: miners, payouts, crashes, reorganisations, a thief, an operator who errs",
        steps: 300,
        restores: false,
        mode: PayoutMode::Ledger,
        schemes: false,
        planted: None,
    };
    /// A week.
    pub const WEEK: Self = Self { name: "pool-week", about: "a week of the same", steps: 2_100, ..Self::DAY };

    /// A day on which the operator restores old books too.
    pub const RESTORE: Self = Self {
        name: "pool-restore",
        about: "a day on which old copies of the books are restored and recovered too",
        restores: true,
        ..Self::DAY
    };

    /// A day of a pool that pays in the coinbase.
    pub const DIRECT: Self = Self {
        name: "pool-direct",
        about: "a day of a pool whose coinbases pay its miners",
        mode: PayoutMode::Direct,
        ..Self::DAY
    };

    /// A day of a pool whose accounts are paid by every scheme.
    pub const SCHEMES: Self = Self {
        name: "pool-schemes",
        about: "a day on which accounts change between all schemes, and the reserve runs low",
        schemes: true,
        ..Self::DAY
    };

    /// The same beside coinbases that pay windows.
    pub const SCHEMES_DIRECT: Self = Self { name: "pool-schemes-direct", mode: PayoutMode::Direct, ..Self::SCHEMES };

    /// The same with old books.
    pub const SCHEMES_RESTORE: Self = Self { name: "pool-schemes-restore", restores: true, ..Self::SCHEMES };

    /// Every plan.
    pub const ALL: [Self; 7] = [
        Self::DAY,
        Self::WEEK,
        Self::RESTORE,
        Self::DIRECT,
        Self::SCHEMES,
        Self::SCHEMES_DIRECT,
        Self::SCHEMES_RESTORE,
    ];

    /// The plan of a name.
    #[must_use]
    pub fn find(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|plan| plan.name == name)
    }
}
