use blake2::{Blake2b512, Digest};

/// Longest seed; the reference library takes no notice of what follows.
const SEED_BYTES_MAX: usize = 60;

/// BlakeGenerator (RandomX specification 3.5): a stream of pseudo-random bytes from a key.
pub(super) struct BlakeGenerator {
    state: [u8; 64],
    /// Bytes of `state` already given out.
    used: usize,
}

impl BlakeGenerator {
    /// The stream of `seed`.
    pub(super) fn new(seed: &[u8]) -> Self {
        let mut state = [0; 64];
        let seed = &seed[..seed.len().min(SEED_BYTES_MAX)];
        state[..seed.len()].copy_from_slice(seed);
        // Nothing is left of the seed itself: it is hashed before the first byte is given out.
        Self { state, used: 64 }
    }

    pub(super) fn byte(&mut self) -> u8 {
        let [byte] = self.take();
        byte
    }

    pub(super) fn word(&mut self) -> u32 {
        u32::from_le_bytes(self.take())
    }

    /// The next bytes; what is left of a state too short for them is skipped.
    fn take<const BYTES: usize>(&mut self) -> [u8; BYTES] {
        if self.used + BYTES > self.state.len() {
            self.state = Blake2b512::digest(self.state).into();
            self.used = 0;
        }
        let bytes = std::array::from_fn(|i| self.state[self.used + i]);
        self.used += BYTES;
        bytes
    }
}
