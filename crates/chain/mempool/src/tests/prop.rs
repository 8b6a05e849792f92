use bq_primitives::{BlockWeight, Height, OutPoint, Transaction};
use proptest::{collection::vec, prelude::*};

use super::{candidate, confirmed, model::Model, transaction};
use crate::{Density, Mempool, MempoolLimits};

const NEXT: Height = Height(10);
const FAMILY_MAX: usize = 4;

/// One thing that happens to a pool.
#[derive(Clone, Debug)]
enum Action {
    /// Offers a transaction with these inputs: `Some` names an earlier offer, `None` a confirmed output.
    Offer { inputs: Vec<(Option<prop::sample::Index>, u32)>, outputs: usize, fee: u64 },
    /// Connects a block of the best `count` transactions and one that spends this confirmed output.
    Connect { count: usize, rival: u32 },
}

fn action() -> impl Strategy<Value = Action> {
    let input = (prop::option::weighted(0.5, any::<prop::sample::Index>()), 0..12_u32);
    let offer = (vec(input, 1..3), 1..4_usize, 600..6_000_u64);
    let offer = offer.prop_map(|(inputs, outputs, fee)| Action::Offer { inputs, outputs, fee });
    let connect = (0..3_usize, 0..12_u32).prop_map(|(count, rival)| Action::Connect { count, rival });
    prop_oneof![12 => offer, 1 => connect]
}

fn inputs_of(offered: &[Transaction], inputs: &[(Option<prop::sample::Index>, u32)]) -> Vec<OutPoint> {
    let mut points: Vec<_> = inputs
        .iter()
        .map(|(earlier, index)| match earlier {
            Some(earlier) if !offered.is_empty() => {
                let parent = earlier.get(offered);
                let count = u32::try_from(parent.outputs.len()).unwrap();
                OutPoint { txid: parent.txid(), index: index % count }
            }
            _ => confirmed(*index),
        })
        .collect();
    points.sort_unstable();
    points.dedup();
    points
}

fn check_agreement(pool: &Mempool, model: &Model) {
    assert_eq!(pool.len(), model.waiting.len());
    assert!(model.waiting.iter().all(|tx| pool.contains(&tx.txid)));
    assert_eq!(pool.bytes, model.bytes());
    assert_eq!(pool.worst_first.len(), pool.len());
    let inputs: usize = pool.iter().map(|tx| tx.transaction.inputs.len()).sum();
    assert_eq!(pool.spenders.len(), inputs);
    for tx in pool.iter() {
        let ancestors = model.ancestors(&tx.txid);
        assert_eq!(pool.ancestors(&tx.txid).len() + 1, ancestors.len());
    }
    for weight_max in [0, 1_500, 4_000, 4_000_000] {
        let selection = pool.select(BlockWeight::from_units(weight_max), NEXT);
        let chosen: Vec<_> = selection.transactions.iter().map(|tx| tx.txid).collect();
        assert_eq!(chosen, model.select(weight_max));
        let weight: u64 = selection.transactions.iter().map(|tx| tx.weight.units()).sum();
        assert_eq!(weight, selection.weight.units());
        assert!(weight <= weight_max);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn agrees_with_the_model(actions in vec(action(), 1..40), bytes_max in 20_000..80_000_usize) {
        let replaced_max = 3;
        let limits = MempoolLimits { bytes_max, family_max: FAMILY_MAX, replaced_max, ..MempoolLimits::default() };
        let mut pool = Mempool::new(limits);
        let mut model = Model { bytes_max, family_max: FAMILY_MAX, replaced_max, ..Model::default() };
        let mut offered = Vec::new();
        for (salt, action) in actions.into_iter().enumerate() {
            match action {
                Action::Offer { inputs, outputs, fee } => {
                    let inputs = inputs_of(&offered, &inputs);
                    let tx = transaction(&inputs, outputs, u64::try_from(salt).unwrap());
                    let candidate = candidate(tx.clone(), fee);
                    let accepted = pool.admit(candidate.clone(), NEXT).is_ok();
                    prop_assert_eq!(accepted, model.admit(&candidate));
                    offered.push(tx);
                }
                Action::Connect { count, rival } => {
                    let best = pool.select(BlockWeight::MAX, NEXT).transactions;
                    let mut block: Vec<_> =
                        best.iter().take(count).map(|tx| tx.transaction.as_ref().clone()).collect();
                    block.push(transaction(&[confirmed(rival)], 1, 1_000_000));
                    pool.block_connected(&block);
                    model.connect(&block);
                }
            }
        }
        check_agreement(&pool, &model);
    }

    #[test]
    fn densities_compare_as_fractions(a in 0..u64::MAX, b in 1..u64::MAX, c in 0..u64::MAX, d in 1..u64::MAX) {
        let (left, right) = (Density::of_sums(a, b), Density::of_sums(c, d));
        let exact = (u128::from(a) * u128::from(d)).cmp(&(u128::from(c) * u128::from(b)));
        prop_assert_eq!(left.cmp(&right), exact);
        prop_assert_eq!(right.cmp(&left), exact.reverse());
    }

    #[test]
    fn the_fee_for_a_density_is_the_least_one(fee in 1..1_000_000_u64, weight in 1..1_000_000_u64, of in 1..1_000_000_u64) {
        let (density, of_weight) = (Density::of_sums(fee, weight), BlockWeight::from_units(of));
        let least = density.fee_for(of_weight);
        prop_assert!(Density::of_sums(least, of) >= density);
        prop_assert!(Density::of_sums(least - 1, of) < density);
    }
}
