/// How long the first block in line is waited for before others are asked. Each time that happens it doubles, because the
/// slow line may be our own; each block that arrives takes an eighth off again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Patience {
    ms: u64,
    ms_min: u64,
    ms_max: u64,
}

impl Patience {
    pub(crate) const fn new(ms_min: u64, ms_max: u64) -> Self {
        Self { ms: ms_min, ms_min, ms_max }
    }

    pub(crate) const fn ms(self) -> u64 {
        self.ms
    }

    pub(crate) fn was_too_short(&mut self) {
        self.ms = self.ms.saturating_mul(2).min(self.ms_max);
    }

    pub(crate) fn was_enough(&mut self) {
        self.ms = self.ms.saturating_sub(self.ms / 8).max(self.ms_min);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_doubles_up_to_its_end_and_comes_back() {
        let mut patience = Patience::new(2000, 64_000);
        (0..9).for_each(|_| patience.was_too_short());
        assert_eq!(patience.ms(), 64_000);
        (0..100).for_each(|_| patience.was_enough());
        assert_eq!(patience.ms(), 2000);
    }
}
