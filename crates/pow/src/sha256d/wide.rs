//! What the kernels with one nonce per vector lane share: the scalar work done once per search, and the rounds.
//!
//! In the loop are rounds 4 to 63 of the inner block and 1 to 60 of the outer one, and of their 96 computed message words 91,
//! a third of them as shorter sums.

use super::{INITIAL, K, work::SearchParts};

/// What is the same for every nonce of a search, beyond [`SearchParts`].
pub(super) struct Invariant {
    /// The state before round 4 of the inner block. The nonce's word is still to be added to A and E.
    pub(super) inner: [u32; 8],
    /// Words 16 to 19 of the inner block. To the last two, sigma0 of the nonce's word and that word are still to be added.
    pub(super) words: [u32; 4],
    /// The state before round 1 of the outer block. The first word of the inner digest is still to be added to A and E.
    pub(super) outer: [u32; 8],
}

impl Invariant {
    pub(super) fn of(parts: &SearchParts) -> Self {
        let [root, time, bits] = parts.tail;
        let inner =
            [root, time, bits, 0].iter().zip(K).fold(parts.midstate, |state, (word, k)| scalar_round(&state, *word, k));
        let w16 = sigma0(time).wrapping_add(root);
        let w17 = sigma1(640).wrapping_add(sigma0(bits)).wrapping_add(time);
        let w18 = sigma1(w16).wrapping_add(bits);
        let w19 = sigma1(w17).wrapping_add(sigma0(0x8000_0000));
        Self { inner, words: [w16, w17, w18, w19], outer: scalar_round(&INITIAL, 0, K[0]) }
    }
}

/// One round (FIPS 180-4, 6.2.2). A message word is only ever added, to A and to E: it may be given as zero and added later.
const fn scalar_round(state: &[u32; 8], word: u32, k: u32) -> [u32; 8] {
    let [a, b, c, d, e, f, g, h] = *state;
    let sum1 = e.rotate_right(6) ^ e.rotate_right(11) ^ e.rotate_right(25);
    let choice = (e & f) ^ (!e & g);
    let t1 = h.wrapping_add(sum1).wrapping_add(choice).wrapping_add(k).wrapping_add(word);
    let sum0 = a.rotate_right(2) ^ a.rotate_right(13) ^ a.rotate_right(22);
    let majority = (a & b) ^ (a & c) ^ (b & c);
    [t1.wrapping_add(sum0).wrapping_add(majority), a, b, c, d.wrapping_add(t1), e, f, g]
}

pub(super) const fn sigma0(x: u32) -> u32 {
    x.rotate_right(7) ^ x.rotate_right(18) ^ (x >> 3)
}

pub(super) const fn sigma1(x: u32) -> u32 {
    x.rotate_right(17) ^ x.rotate_right(19) ^ (x >> 10)
}

// Macros, not functions, for the reason given in `sha_ni`, and because a trait's methods cannot have `target_feature`. They use
// what is in scope where they are expanded: `LANES` and the vector operations.

/// One round. Instead of moving the eight words along, each round finds them one place further on.
///
/// A round cannot begin before the one before it has given E and A, and where an addition takes two cycles that wait decides
/// the speed: so what depends on the newest word is added last, and T1 is had back from the new E instead of being summed
/// twice. `pinned` keeps the compiler from putting the sums back into an order of its own.
macro_rules! round {
    ($state:ident, $round:literal, $addend:expr) => {{
        let [a, b, c, d] = [64, 65, 66, 67].map(|i| $state[(i - $round) % 8]);
        let [e, f, g, h] = [68, 69, 70, 71].map(|i| $state[(i - $round) % 8]);
        let early = pinned(add(pinned(add(h, $addend)), d));
        let new_e = add(pinned(add(early, choose(e, f, g))), sum1(e));
        let t1 = pinned(sub(pinned(new_e), d));
        $state[(67 - $round) % 8] = new_e;
        $state[(71 - $round) % 8] = add(pinned(add(t1, majority(a, b, c))), sum0(a));
    }};
}

/// Rounds whose message words are the same for every nonce.
macro_rules! fixed_rounds {
    ($state:ident; $($round:literal: $word:expr),+) => {$(
        let addend = splat(K[$round].wrapping_add($word));
        round!($state, $round, addend);
    )+};
}

/// Rounds whose message words are there already.
macro_rules! given_rounds {
    ($state:ident, $w:ident; $($round:literal)+) => {$(
        round!($state, $round, add($w[$round], splat(K[$round])));
    )+};
}

/// Rounds whose message words are shorter sums than the rule's, because some of the words before them are zero or fixed.
macro_rules! summed_rounds {
    ($state:ident, $w:ident; $($round:literal: $sum:expr),+) => {$(
        $w[$round] = $sum;
        round!($state, $round, add($w[$round], splat(K[$round])));
    )+};
}

/// Rounds whose message words follow the rule: each from the sixteen before it.
macro_rules! expanded_rounds {
    ($state:ident, $w:ident; $($round:literal)+) => {
        summed_rounds!($state, $w; $($round: add(
            add(small1($w[$round - 2]), $w[$round - 7]),
            add(small0($w[$round - 15]), $w[$round - 16])
        )),+)
    };
}

/// Defines `search_lanes`, which appends the nonces among `first..first + count` whose hash may meet the target.
macro_rules! define_search {
    ($features:literal) => {
        #[target_feature(enable = $features)]
        fn search_lanes(parts: &SearchParts, first: u32, count: u32, candidates: &mut Vec<u32>) {
            let invariant = Invariant::of(parts);
            let [w16, w17, w18, w19] = invariant.words;
            let mut step = 0;
            while step < count {
                let start = first.wrapping_add(step);
                let mut w = [splat(0); 64];
                // The inner block: its rounds 0 to 3 are done but for the nonce. Before round 4, A is at place 4 and E at 0.
                let nonce = nonces(start);
                let [a, b, c, d, e, f, g, h] = invariant.inner.map(|word| splat(word));
                let mut state = [add(e, nonce), f, g, h, add(a, nonce), b, c, d];
                w[17] = splat(w17);
                w[18] = add(small0(nonce), splat(w18));
                w[19] = add(nonce, splat(w19));
                fixed_rounds!(state; 4: 0x8000_0000, 5: 0, 6: 0, 7: 0, 8: 0, 9: 0, 10: 0, 11: 0, 12: 0, 13: 0, 14: 0);
                fixed_rounds!(state; 15: 640, 16: w16, 17: w17);
                given_rounds!(state, w; 18 19);
                summed_rounds!(state, w;
                    20: add(small1(w[18]), splat(0x8000_0000)),
                    21: small1(w[19]),
                    22: add(small1(w[20]), splat(640)),
                    23: add(small1(w[21]), splat(w16)),
                    24: add(small1(w[22]), splat(w17)),
                    25: add(small1(w[23]), w[18]),
                    26: add(small1(w[24]), w[19]),
                    27: add(small1(w[25]), w[20]),
                    28: add(small1(w[26]), w[21]),
                    29: add(small1(w[27]), w[22]),
                    30: add(add(small1(w[28]), w[23]), splat(sigma0(640))),
                    31: add(add(small1(w[29]), w[24]), splat(sigma0(w16).wrapping_add(640))),
                    32: add(add(small1(w[30]), w[25]), splat(sigma0(w17).wrapping_add(w16)))
                );
                expanded_rounds!(state, w; 33 34 35 36 37 38 39 40 41 42 43 44 45 46 47 48);
                expanded_rounds!(state, w; 49 50 51 52 53 54 55 56 57 58 59 60 61 62 63);

                // The outer block: the inner digest, then padding. Before round 1, A is at place 7 and E at 3.
                for i in 0..8 {
                    w[i] = add(state[i], splat(parts.midstate[i]));
                }
                let [a, b, c, d, e, f, g, h] = invariant.outer.map(|word| splat(word));
                state = [b, c, d, add(e, w[0]), f, g, h, add(a, w[0])];
                given_rounds!(state, w; 1 2 3 4 5 6 7);
                fixed_rounds!(state; 8: 0x8000_0000, 9: 0, 10: 0, 11: 0, 12: 0, 13: 0, 14: 0, 15: 256);
                summed_rounds!(state, w;
                    16: add(small0(w[1]), w[0]),
                    17: add(add(small0(w[2]), w[1]), splat(sigma1(256))),
                    18: add(small1(w[16]), add(small0(w[3]), w[2])),
                    19: add(small1(w[17]), add(small0(w[4]), w[3])),
                    20: add(small1(w[18]), add(small0(w[5]), w[4])),
                    21: add(small1(w[19]), add(small0(w[6]), w[5])),
                    22: add(add(small1(w[20]), splat(256)), add(small0(w[7]), w[6])),
                    23: add(add(small1(w[21]), w[16]), add(w[7], splat(sigma0(0x8000_0000)))),
                    24: add(add(small1(w[22]), w[17]), splat(0x8000_0000)),
                    25: add(small1(w[23]), w[18]),
                    26: add(small1(w[24]), w[19]),
                    27: add(small1(w[25]), w[20]),
                    28: add(small1(w[26]), w[21]),
                    29: add(small1(w[27]), w[22]),
                    30: add(add(small1(w[28]), w[23]), splat(sigma0(256))),
                    31: add(add(small1(w[29]), w[24]), add(small0(w[16]), splat(256)))
                );
                expanded_rounds!(state, w; 32 33 34 35 36 37 38 39 40 41 42 43 44 45 46);
                expanded_rounds!(state, w; 47 48 49 50 51 52 53 54 55 56 57 58 59 60);
                // What is E after round 60 only moves on, to H, in the last three rounds: it gives the top word.
                let mut hits = hits(add(state[7], splat(INITIAL[7])), parts.top_max);
                while hits != 0 {
                    let lane = hits.trailing_zeros();
                    if step.saturating_add(lane) < count {
                        candidates.push(start.wrapping_add(lane));
                    }
                    hits &= hits - 1;
                }
                // Saturates in the last group below 2^32 - 1 nonces, which ends the loop.
                step = step.saturating_add(LANES);
            }
        }
    };
}
pub(super) use {define_search, expanded_rounds, fixed_rounds, given_rounds, round, summed_rounds};
