use bq_primitives::NetworkDifficulty;
use bq_random::Rng;

/// How the difficulty of the network moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Difficulties {
    /// Not at all.
    Constant,
    /// With each block of the pool it doubles, halves or stays, between a quarter and four times the middle.
    Steps,
}

/// Expected hashes of a block in the middle.
pub(crate) const MIDDLE: u128 = 1_000_000_000;

impl Difficulties {
    /// Expected hashes of a share.
    pub(crate) const fn share(self) -> u128 {
        match self {
            Self::Constant => MIDDLE / 250,
            Self::Steps => MIDDLE / 1000,
        }
    }

    /// Shares after which every window is full: eight blocks, of four times the middle.
    pub(crate) const fn warm_up(self) -> u32 {
        match self {
            Self::Constant => 4_000,
            Self::Steps => 40_000,
        }
    }

    /// The next one.
    pub(crate) fn after(self, now: NetworkDifficulty, rng: &mut Rng) -> NetworkDifficulty {
        match self {
            Self::Constant => now,
            Self::Steps => {
                let hashes = match rng.between(0, 2) {
                    0 => now.hashes() / 2,
                    1 => now.hashes(),
                    _ => now.hashes() * 2,
                };
                NetworkDifficulty::from_hashes(hashes.clamp(MIDDLE / 4, MIDDLE * 4))
            }
        }
    }
}
