use std::fmt;

/// Position of a share in the share log: 1 for the first, no gaps, never reused. Windows are cut by it, never by time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ShareSequence(pub u64);

impl ShareSequence {
    /// The first share.
    pub const FIRST: Self = Self(1);

    /// The share after this one; stays at the end of `u64`.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

impl fmt::Display for ShareSequence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}
