//! Reports and forecasts for people agree with the rules they explain.
#![expect(clippy::unwrap_used, reason = "a test ends at the first surprise")]

use bq_consensus::{
    Branch, Guard, Hashrate, LinearBranch, Params, StartBits, difficulty_reports, extend, forecast, hashrates,
    required_bits,
};
use bq_primitives::{Algorithm, BlockId, Header, Height, MerkleRoot, Network, Target, Timestamp, U256, Work};

/// All three algorithms from height 1, far from their limits.
fn params() -> Params {
    let mut params = Params::of(Network::Mainnet);
    let mut era = params.eras.table.pop().unwrap();
    era.start = Height(1);
    for rule in &mut era.algorithms {
        let start = Target(rule.limit_bits.decode().unwrap().0.wrapping_shr(20)).to_compact();
        rule.start_bits = StartBits::At(start);
        rule.ref_bits = start;
    }
    params.eras.table = vec![era];
    params
}

/// Adds blocks, each an algorithm and how long it took.
fn grow(params: &Params, branch: &mut LinearBranch, blocks: impl IntoIterator<Item = (Algorithm, u64)>) {
    for (algorithm, secs) in blocks {
        let required = required_bits(params, branch);
        let bits = required.iter().find(|required| required.algorithm == algorithm).unwrap().bits;
        let tip = *branch.tip();
        let height = tip.height.next().unwrap();
        let header = Header {
            version: 1,
            parent_id: tip.id,
            tx_root: MerkleRoot::ZERO,
            witness_root: MerkleRoot::ZERO,
            time: Timestamp(tip.time.0 + secs),
            height,
            bits,
            algorithm,
        };
        let mut id = [0; 32];
        id[..4].copy_from_slice(&height.0.to_le_bytes());
        branch.push(extend(params, branch, &header, BlockId(id)).unwrap());
    }
}

fn in_turn(count: usize, secs: u64) -> impl Iterator<Item = (Algorithm, u64)> {
    Algorithm::ALL.into_iter().cycle().take(count).map(move |algorithm| (algorithm, secs))
}

#[test]
fn a_burst_shows_and_so_does_its_end() {
    let params = params();
    let mut branch = LinearBranch::new(params.genesis_entry());
    let of_sha = |branch: &LinearBranch| difficulty_reports(&params, branch)[0];
    assert_eq!(of_sha(&branch).guard, Guard::Unarmed);
    grow(&params, &mut branch, in_turn(60, 600));
    let calm = of_sha(&branch);
    assert_eq!(calm.guard, Guard::Open { percent: 106 });
    assert!(calm.to_string().ends_with("burst cap open: 11 blocks in 106 % of the expected time"), "{calm}");

    grow(&params, &mut branch, [(Algorithm::Sha256d, 60); 14]);
    let burst = of_sha(&branch);
    let Guard::Capped { percent } = burst.guard else { panic!("{burst}") };
    assert_eq!(percent, 3, "11 intervals of 60 s in place of 1,800 s");
    assert_eq!(burst.lag_secs(), 60 - 1_800);
    assert!(burst.easing_per_mille() < 0, "{burst}");
    assert!(
        burst.to_string().contains("1740 s ahead of schedule") && burst.to_string().contains("% harder"),
        "{burst}"
    );
    assert!(burst.required.target < burst.required.base_bits.decode().unwrap());

    // Hours later the window is long again, and only the step bound holds the target down.
    grow(&params, &mut branch, [(Algorithm::RandomX, 600), (Algorithm::Ethash, 40_000)]);
    let after = of_sha(&branch);
    assert!(matches!(after.guard, Guard::Releasing { percent } if percent > 100), "{after}");
}

#[test]
fn hashrates_are_work_over_time() {
    let params = params();
    let mut branch = LinearBranch::new(params.genesis_entry());
    grow(&params, &mut branch, in_turn(300, 600));
    let work = |target: Target| Work::of_target(target).0;
    let reports = difficulty_reports(&params, &branch);
    for report in &reports {
        // On schedule: one block's work in every spacing. The next target is up to two block times early, 6 % harder.
        let expected = work(report.required.target) / U256::from(1_800);
        for rate in [report.hour, report.day] {
            let got = rate.hashes_in(1);
            assert!(got.abs_diff(expected) <= expected / U256::from(12), "{got} {expected}");
        }
    }
    let none = hashrates(&LinearBranch::new(params.genesis_entry()), 3_600);
    assert_eq!(none, [Hashrate { work: U256::ZERO, secs: 1 }; 3]);
    assert_eq!(none[0].secs_for(U256::ONE), None);
}

#[test]
fn a_forecast_goes_on_as_the_rules_would() {
    let params = params();
    let mut branch = LinearBranch::new(params.genesis_entry());
    grow(&params, &mut branch, in_turn(300, 600));
    let now = required_bits(&params, &branch);
    let steady = hashrates(&branch, 86_400);
    let calm = forecast(&params, &branch, &steady, 3_600, 6);
    assert_eq!(calm.len(), 6);
    assert_eq!(calm[5].after_secs, 21_600);
    let total: u32 = calm[5].blocks.iter().sum();
    assert!((34..=38).contains(&total), "{total} blocks in six hours");
    for (required, (algorithm, target)) in now.iter().zip(&calm[5].targets) {
        assert_eq!(required.algorithm, *algorithm);
        assert!(target.0.abs_diff(required.target.0) <= required.target.0 / U256::from(10));
    }

    // Ten times the hash rate of one algorithm: its target falls, and the forecast says how far.
    let mut surge = steady;
    surge[0].work = surge[0].work.saturating_mul(U256::from(10));
    let risen = forecast(&params, &branch, &surge, 3_600, 6);
    assert!(risen[5].blocks[0] > 2 * calm[5].blocks[0]);
    assert!(risen[5].targets[0].1.0 < calm[5].targets[0].1.0 / U256::from(2));
    let halves = risen.iter().map(|point| point.targets[0].1).collect::<Vec<_>>();
    assert!(halves.is_sorted_by(|a, b| a >= b), "{halves:?}");

    // Nobody hashes: no blocks, and targets that depend on blocks stay.
    let idle = forecast(&params, &branch, &[Hashrate { work: U256::ZERO, secs: 1 }; 3], 3_600, 6);
    assert_eq!(idle[5].blocks, [0; 3]);
    assert_eq!(idle[5].targets[0].1, now[0].target);
}

#[test]
fn a_forecast_has_an_end_even_on_a_network_without_difficulty() {
    let params = Params::regtest();
    let branch = LinearBranch::new(params.genesis_entry());
    let fast = [Hashrate { work: U256::from(1_000_000), secs: 1 }; 3];
    let points = forecast(&params, &branch, &fast, 3_600, 6);
    // One block a second at most, 2,000 blocks in all: the first hour is not over by then.
    assert!(points.is_empty());
    assert!(difficulty_reports(&params, &branch).iter().all(|report| report.guard == Guard::Fixed));
}
