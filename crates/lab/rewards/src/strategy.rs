use bq_ledger::ShareWeight;

/// What everybody can see of a pool, in weights of 2^-60 blocks.
#[derive(Clone, Copy, Debug, Default)]
pub struct Outlook {
    /// Work since the pool's last block.
    pub since_block: u128,
    /// All work so far.
    pub total: u128,
    /// Blocks in the last two units of work.
    pub blocks_in_window: usize,
    /// The difficulty is above its middle.
    pub is_hard: bool,
}

/// When a miner mines here rather than elsewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strategy {
    /// Always.
    Steady,
    /// In the first 0.435 of a round: the best against a pool that pays by rounds.
    HopOff,
    /// When no block came for more than one unit.
    AfterDrought,
    /// Every other 0.37 units.
    OnOff,
    /// When three blocks or more lie in the last two units.
    AfterBlocks,
    /// While the difficulty is high, for it will fall.
    WhileHard,
}

impl Strategy {
    /// Those that a pool of constant difficulty is tried with: four, see [`crate::Z_OF_FOUR`].
    pub const HOPPERS: [Self; 4] = [Self::HopOff, Self::AfterDrought, Self::OnOff, Self::AfterBlocks];

    /// Whether it mines here now.
    #[must_use]
    pub fn mines(self, outlook: &Outlook) -> bool {
        match self {
            Self::Steady => true,
            Self::HopOff => outlook.since_block < thousandths(435),
            Self::AfterDrought => outlook.since_block > thousandths(1000),
            Self::OnOff => (outlook.total / thousandths(370)).is_multiple_of(2),
            Self::AfterBlocks => outlook.blocks_in_window >= 3,
            Self::WhileHard => outlook.is_hard,
        }
    }

    /// Its name in a table.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Steady => "always",
            Self::HopOff => "hop off at 0.435 D",
            Self::AfterDrought => "join after a drought of 1 D",
            Self::OnOff => "on and off every 0.37 units",
            Self::AfterBlocks => "join after 3 blocks in the window",
            Self::WhileHard => "mine while the difficulty is high",
        }
    }
}

/// So many thousandths of a block.
const fn thousandths(count: u128) -> u128 {
    count * ShareWeight::ONE.parts() as u128 / 1000
}
