use bq_ledger::ShareWeight;
use bq_mining_message::ShareSequence;
use bq_primitives::{BlockId, Timestamp};
use proptest::prelude::*;

use crate::Round;

proptest! {
    /// Shares in the order of the log, some read twice as after a crash: every weight counts once, in the round it belongs to.
    #[test]
    fn a_round_is_the_exact_sum_of_its_weights(
        shares in prop::collection::vec((0_u64..=ShareWeight::ONE.parts(), prop::bool::weighted(0.1)), 0..100),
        read_again_from in any::<prop::sample::Index>(),
    ) {
        let shares: Vec<_> = (1_u64..).zip(shares).map(|(number, (parts, is_block))| {
            let weight = ShareWeight::from_parts(parts).expect("in range");
            let mut id = [0; 32];
            id[..8].copy_from_slice(&number.to_le_bytes());
            (ShareSequence(number), weight, is_block.then_some(BlockId(id)))
        }).collect();
        let again = if shares.is_empty() { 0 } else { read_again_from.index(shares.len()) };
        let mut round = Round::default();
        let mut ended = Vec::new();
        for (sequence, weight, block) in shares.iter().chain(&shares[again..]) {
            ended.extend(round.add(Timestamp(sequence.0), *sequence, *weight, *block));
        }
        let mut sum = (0_u128, 0_u64);
        let mut expected = Vec::new();
        for (sequence, weight, block) in &shares {
            sum = (sum.0 + u128::from(weight.parts()), sum.1 + 1);
            if let Some(block) = block {
                expected.push((*block, sum.0, sum.1, Timestamp(sequence.0)));
                sum = (0, 0);
            }
        }
        let got: Vec<_> = ended.iter().map(|(block, ended)| (*block, ended.parts, ended.shares, ended.at)).collect();
        prop_assert_eq!(got, expected);
        prop_assert_eq!((round.parts, round.shares), sum);
    }
}
