use std::fmt;

/// A block's distance from genesis, which has height 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
pub struct Height(pub u32);

impl Height {
    /// Height of the genesis block.
    pub const GENESIS: Self = Self(0);

    /// The height of a child, or nothing at the end of `u32`.
    #[must_use]
    pub const fn next(self) -> Option<Self> {
        match self.0.checked_add(1) {
            Some(height) => Some(Self(height)),
            None => None,
        }
    }

    /// The height of the parent, or nothing at genesis.
    #[must_use]
    pub const fn previous(self) -> Option<Self> {
        match self.0.checked_sub(1) {
            Some(height) => Some(Self(height)),
            None => None,
        }
    }

    /// How many blocks `self` lies above `lower`, or nothing when it lies below.
    #[must_use]
    pub const fn above(self, lower: Self) -> Option<u32> {
        self.0.checked_sub(lower.0)
    }
}

impl fmt::Display for Height {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}
