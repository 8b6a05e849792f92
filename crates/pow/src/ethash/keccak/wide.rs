//! Eight states side by side: one vector of AVX-512 for each of the 25 lanes, or two of AVX2.

use super::scalar::permute_one;
#[cfg(target_arch = "x86_64")]
use super::{avx2, avx512};

/// States that are permuted together.
pub(super) const STATES: usize = 8;

/// Eight Keccak states: `lanes[i][state]`.
#[repr(C, align(64))]
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct States(pub(super) [[u64; STATES]; 25]);

impl States {
    /// At most eight states; missing ones are zero.
    #[inline(always)]
    pub(super) fn of(states: impl Iterator<Item = [u64; 25]>) -> Self {
        let mut all = Self([[0; STATES]; 25]);
        for (index, state) in states.take(STATES).enumerate() {
            all.set(index, &state);
        }
        all
    }

    #[inline(always)]
    fn set(&mut self, index: usize, state: &[u64; 25]) {
        for (lane, word) in self.0.iter_mut().zip(state) {
            lane[index] = *word;
        }
    }

    /// One of them.
    #[inline(always)]
    pub(super) fn state(&self, index: usize) -> [u64; 25] {
        std::array::from_fn(|lane| self.0[lane][index])
    }

    /// Keccak-f[1600] of each state, with the widest vectors that this CPU has.
    pub(super) fn permute(&mut self) {
        #[cfg(target_arch = "x86_64")]
        {
            if avx512::is_supported() {
                return avx512::permute_states(self);
            }
            if avx2::is_supported() {
                return avx2::permute_states(self);
            }
        }
        self.permute_each();
    }

    /// The same one state at a time.
    fn permute_each(&mut self) {
        for index in 0..STATES {
            let mut state = self.state(index);
            permute_one(&mut state);
            self.set(index, &state);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn every_width_equals_one_state_at_a_time(lanes in proptest::collection::vec(any::<[u64; STATES]>(), 25)) {
            let states = States(lanes.try_into().unwrap());
            let mut expected = states.clone();
            expected.permute_each();
            let mut chosen = states.clone();
            chosen.permute();
            prop_assert_eq!(&chosen, &expected);
            #[cfg(target_arch = "x86_64")]
            for (is_supported, permute) in [
                (avx2::is_supported(), avx2::permute_states as fn(&mut States)),
                (avx512::is_supported(), avx512::permute_states),
            ] {
                if is_supported {
                    let mut got = states.clone();
                    permute(&mut got);
                    prop_assert_eq!(&got, &expected);
                }
            }
        }
    }
}
