//! A window that slides is the one that is filled anew.

use bq_primitives::AccountId;
use proptest::prelude::*;

use super::units;
use crate::{Head, ShareWeight, SlidingWindow, Window, WindowFold};

fn filled(window: u8, shares: &[(u32, u64)]) -> Window {
    let mut fold = WindowFold::new(units(window), Head::Whole);
    for (account, parts) in shares.iter().rev() {
        if fold.add(AccountId(*account), weight(*parts)).is_break() {
            break;
        }
    }
    fold.finish()
}

fn weight(parts: u64) -> ShareWeight {
    ShareWeight::from_parts(parts).expect("at most a block")
}

proptest! {
    #[test]
    fn at_every_share(
        window in 1_u8..4,
        shares in prop::collection::vec((0_u32..5, prop_oneof![0_u64..=1 << 60, Just(1 << 60), 0_u64..1000]), 0..60),
        known in 0_usize..60,
    ) {
        // Some are there when the window begins to be kept, the others come.
        let (before, after) = shares.split_at(known.min(shares.len()));
        let mut sliding = SlidingWindow::new(units(window));
        for (account, parts) in before.iter().rev() {
            if sliding.push_older(AccountId(*account), weight(*parts)).is_break() {
                break;
            }
        }
        prop_assert_eq!(sliding.window(), filled(window, before));
        for (come, (account, parts)) in (before.len() + 1..).zip(after) {
            sliding.push_newer(AccountId(*account), weight(*parts));
            prop_assert_eq!(sliding.window(), filled(window, &shares[..come]));
        }
    }
}
