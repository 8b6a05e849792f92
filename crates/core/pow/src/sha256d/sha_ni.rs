//! Four nonces interleaved on the SHA extensions: one stream waits four cycles for each `sha256rnds2`, four streams fill
//! that wait. More streams spill registers.

use std::arch::{
    is_x86_feature_detected,
    x86_64::{
        __m128i, _mm_add_epi32, _mm_alignr_epi8, _mm_cvtsi128_si32, _mm_set_epi32, _mm_setzero_si128,
        _mm_sha256msg1_epu32, _mm_sha256msg2_epu32, _mm_sha256rnds2_epu32, _mm_shuffle_epi32, _mm_unpackhi_epi64,
        _mm_unpacklo_epi64,
    },
};

use super::{INITIAL, work::SearchParts};

/// Nonces side by side.
const LANES: usize = 4;

/// Round constants (FIPS 180-4, 4.2.2).
const K: [u32; 64] = [
    0x428a_2f98,
    0x7137_4491,
    0xb5c0_fbcf,
    0xe9b5_dba5,
    0x3956_c25b,
    0x59f1_11f1,
    0x923f_82a4,
    0xab1c_5ed5,
    0xd807_aa98,
    0x1283_5b01,
    0x2431_85be,
    0x550c_7dc3,
    0x72be_5d74,
    0x80de_b1fe,
    0x9bdc_06a7,
    0xc19b_f174,
    0xe49b_69c1,
    0xefbe_4786,
    0x0fc1_9dc6,
    0x240c_a1cc,
    0x2de9_2c6f,
    0x4a74_84aa,
    0x5cb0_a9dc,
    0x76f9_88da,
    0x983e_5152,
    0xa831_c66d,
    0xb003_27c8,
    0xbf59_7fc7,
    0xc6e0_0bf3,
    0xd5a7_9147,
    0x06ca_6351,
    0x1429_2967,
    0x27b7_0a85,
    0x2e1b_2138,
    0x4d2c_6dfc,
    0x5338_0d13,
    0x650a_7354,
    0x766a_0abb,
    0x81c2_c92e,
    0x9272_2c85,
    0xa2bf_e8a1,
    0xa81a_664b,
    0xc24b_8b70,
    0xc76c_51a3,
    0xd192_e819,
    0xd699_0624,
    0xf40e_3585,
    0x106a_a070,
    0x19a4_c116,
    0x1e37_6c08,
    0x2748_774c,
    0x34b0_bcb5,
    0x391c_0cb3,
    0x4ed8_aa4a,
    0x5b9c_ca4f,
    0x682e_6ff3,
    0x748f_82ee,
    0x78a5_636f,
    0x84c8_7814,
    0x8cc7_0208,
    0x90be_fffa,
    0xa450_6ceb,
    0xbef9_a3f7,
    0xc671_78f2,
];

/// This CPU has every instruction that `search` uses.
pub(super) fn is_supported() -> bool {
    is_x86_feature_detected!("sha") && is_x86_feature_detected!("sse4.1") && is_x86_feature_detected!("ssse3")
}

/// Appends the nonces among `first..first + count` whose hash may meet the target.
pub(super) fn search(parts: &SearchParts, first: u32, count: u32, candidates: &mut Vec<u32>) {
    if is_supported() {
        // SAFETY: the CPU has the features the function is compiled for.
        unsafe { search_lanes(parts, first, count, candidates) }
    } else {
        super::portable::search(parts, first, count, candidates);
    }
}

#[target_feature(enable = "sha,sse4.1,ssse3")]
fn search_lanes(parts: &SearchParts, first: u32, count: u32, candidates: &mut Vec<u32>) {
    let [root, time, bits] = parts.tail;
    let (midstate, initial) = (State::from_words(&parts.midstate), State::from_words(&INITIAL));
    let inner_padding = [words([0x8000_0000, 0, 0, 0]), _mm_setzero_si128(), words([0, 0, 0, 640])];
    let outer_padding = [words([0x8000_0000, 0, 0, 0]), words([0, 0, 0, 256])];
    let mut step = 0;
    while step < count {
        let nonces: [u32; LANES] = lanes(|lane| first.wrapping_add(step).wrapping_add(lane as u32));
        let mut message: [[__m128i; LANES]; 4] = [
            lanes(|lane| words([root, time, bits, nonces[lane].swap_bytes()])),
            [inner_padding[0]; LANES],
            [inner_padding[1]; LANES],
            [inner_padding[2]; LANES],
        ];
        let mut state = Lanes { abef: [midstate.abef; LANES], cdgh: [midstate.cdgh; LANES] };
        state.rounds::<16>(&mut message);
        let digest: [[__m128i; 2]; LANES] = lanes(|lane| {
            State {
                abef: _mm_add_epi32(state.abef[lane], midstate.abef),
                cdgh: _mm_add_epi32(state.cdgh[lane], midstate.cdgh),
            }
            .to_words()
        });
        let mut message: [[__m128i; LANES]; 4] = [
            lanes(|lane| digest[lane][0]),
            lanes(|lane| digest[lane][1]),
            [outer_padding[0]; LANES],
            [outer_padding[1]; LANES],
        ];
        let mut state = Lanes { abef: [initial.abef; LANES], cdgh: [initial.cdgh; LANES] };
        state.rounds_but_last_two(&mut message);
        for lane in 0..LANES {
            // Two rounds before the end the future H stands where F is: the lowest word.
            let top = INITIAL[7].wrapping_add(_mm_cvtsi128_si32(state.abef[lane]).cast_unsigned());
            if top.swap_bytes() <= parts.top_max && step.saturating_add(lane as u32) < count {
                candidates.push(nonces[lane]);
            }
        }
        // Saturates in the last group below 2^32 - 1 nonces, which ends the loop.
        step = step.saturating_add(LANES as u32);
    }
}

/// The state as the instructions want it, most significant word first: A B E F and C D G H.
#[derive(Clone, Copy)]
struct State {
    abef: __m128i,
    cdgh: __m128i,
}

impl State {
    #[inline]
    #[target_feature(enable = "sha,sse4.1,ssse3")]
    fn from_words(state: &[u32; 8]) -> Self {
        let [a, b, c, d, e, f, g, h] = *state;
        Self { abef: words([f, e, b, a]), cdgh: words([h, g, d, c]) }
    }

    /// The digest as two groups of message words.
    #[inline]
    #[target_feature(enable = "sha,sse4.1,ssse3")]
    fn to_words(self) -> [__m128i; 2] {
        let abef = _mm_shuffle_epi32::<0x1b>(self.abef);
        let cdgh = _mm_shuffle_epi32::<0x1b>(self.cdgh);
        [_mm_unpacklo_epi64(abef, cdgh), _mm_unpackhi_epi64(abef, cdgh)]
    }
}

struct Lanes {
    abef: [__m128i; LANES],
    cdgh: [__m128i; LANES],
}

impl Lanes {
    /// `GROUPS` times four rounds, the message schedule running along in `message`.
    #[inline]
    #[target_feature(enable = "sha,sse4.1,ssse3")]
    fn rounds<const GROUPS: usize>(&mut self, message: &mut [[__m128i; LANES]; 4]) {
        for group in 0..GROUPS {
            self.expand(message, group);
            self.two_rounds(&message[group % 4], group, 0);
            self.two_rounds(&message[group % 4], group, 2);
        }
    }

    /// 62 rounds: the last two do not change what becomes H.
    #[inline]
    #[target_feature(enable = "sha,sse4.1,ssse3")]
    fn rounds_but_last_two(&mut self, message: &mut [[__m128i; LANES]; 4]) {
        self.rounds::<15>(message);
        self.expand(message, 15);
        self.two_rounds(&message[15 % 4], 15, 0);
    }

    /// Makes the message words of `group` from the four groups before it; the first four are given.
    #[inline]
    #[target_feature(enable = "sha,sse4.1,ssse3")]
    fn expand(&self, message: &mut [[__m128i; LANES]; 4], group: usize) {
        if group < 4 {
            return;
        }
        for lane in 0..LANES {
            let ago = |groups: usize| message[(group - groups) % 4][lane];
            let partial = _mm_add_epi32(_mm_sha256msg1_epu32(ago(4), ago(3)), _mm_alignr_epi8::<4>(ago(1), ago(2)));
            message[group % 4][lane] = _mm_sha256msg2_epu32(partial, ago(1));
        }
    }

    #[inline]
    #[target_feature(enable = "sha,sse4.1,ssse3")]
    fn two_rounds(&mut self, message: &[__m128i; LANES], group: usize, offset: usize) {
        let round = 4 * group;
        let constants = words([K[round], K[round + 1], K[round + 2], K[round + 3]]);
        for lane in 0..LANES {
            let sum = _mm_add_epi32(message[lane], constants);
            let pair = if offset == 0 { sum } else { _mm_shuffle_epi32::<0x0e>(sum) };
            let next = _mm_sha256rnds2_epu32(self.cdgh[lane], self.abef[lane], pair);
            (self.cdgh[lane], self.abef[lane]) = (self.abef[lane], next);
        }
    }
}

/// Four words, the first in the lowest lane.
#[inline]
#[target_feature(enable = "sse2")]
fn words(words: [u32; 4]) -> __m128i {
    let [w0, w1, w2, w3] = words.map(u32::cast_signed);
    _mm_set_epi32(w3, w2, w1, w0)
}

/// `std::array::from_fn` for closures that use the instructions above: those must be inlined into a function that has them.
#[inline(always)]
fn lanes<T>(make: impl FnMut(usize) -> T) -> [T; LANES] {
    std::array::from_fn(make)
}
