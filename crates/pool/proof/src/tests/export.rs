use bq_pool_machine::{Act, LogNumber};
use bq_primitives::{Algorithm, BlockId, Height, Network};
use proptest::prelude::*;

use super::world::{Pool, miner, terms};
use crate::{AccountExport, CoinbaseFault, Document, LogFault, OrderFault, ProofError, Report, Run, ShareFault};

fn pool() -> Pool {
    Pool::busy(miner(0xee), b"/bq/", 5)
}

/// Checks everything that can be checked, as a reader with a node does.
fn judge(pool: &Pool, export: &AccountExport) -> Result<Report, ProofError> {
    let report = export.verify()?;
    report.on_chain(Network::Regtest, |height| pool.id_at(height))?;
    Ok(report)
}

#[test]
fn an_export_proves_every_share_of_the_account() {
    let pool = pool();
    for payee in 1..=4 {
        let export = pool.export(payee);
        let report = judge(&pool, &export).expect("whole");
        let mine = |algorithm| {
            let all = pool.frames.values().flatten();
            all.filter(move |share| share.payee == miner(payee) && share.algorithm == algorithm)
        };
        for algorithm in Algorithm::ALL {
            let lane = report.lanes[algorithm.index()];
            assert_eq!(lane.shares, u64::try_from(mine(algorithm).count()).unwrap());
            let weight = |share: &bq_mining_message::Share| {
                u128::from(share.difficulty.hashes()) * (1 << 60) / share.network_difficulty.hashes()
            };
            assert_eq!(lane.weight, mine(algorithm).map(weight).sum::<u128>());
        }
        assert_eq!(report.runs.len(), export.runs.len());
        assert_eq!(AccountExport::verify_bytes(&export.to_bytes().expect("encodes")), Ok(report));
    }
}

#[test]
fn every_flipped_bit_is_found() {
    let pool = Pool::busy(miner(0xee), b"/bq/", 3);
    let export = pool.export(1);
    let report = judge(&pool, &export).expect("whole");
    let bytes = export.to_bytes().expect("encodes");
    let (mut flips, mut only_by_the_chain) = (0, 0);
    for bit in 0..bytes.len() * 8 {
        let mut flipped = bytes.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        flips += 1;
        let Ok(mut other) = AccountExport::verify_bytes(&flipped) else { continue };
        only_by_the_chain += 1;
        assert!(other.on_chain(Network::Regtest, |height| pool.id_at(height)).is_err(), "bit {bit}");
        // What the file alone does not bind: header and seal, by their block's id; the chain, where no event told it.
        (other.pool.network, other.pool.genesis) = (report.pool.network, report.pool.genesis);
        for (run, good) in other.runs.iter_mut().zip(&report.runs) {
            run.anchor.block = good.anchor.block;
        }
        assert_eq!(other, report, "bit {bit}");
    }
    assert!(flips > 10_000 && only_by_the_chain > 1000, "{flips} {only_by_the_chain}");
}

#[test]
fn a_file_that_is_cut_is_refused_at_every_length() {
    let bytes = pool().export(2).to_bytes().expect("encodes");
    for length in 0..bytes.len() {
        assert!(matches!(AccountExport::verify_bytes(&bytes[..length]), Err(ProofError::Document(_))), "{length}");
    }
}

/// The fault of an export with one change.
#[track_caller]
fn fault(pool: &Pool, change: impl FnOnce(&mut AccountExport)) -> ProofError {
    let mut export = pool.export(1);
    change(&mut export);
    judge(pool, &export).expect_err("changed")
}

fn frame_at(export: &AccountExport, run: usize) -> usize {
    // Distance of the last frame of the run from its first event.
    let run = &export.runs[run];
    usize::try_from(run.frames.last().expect("frames").event.0 - run.log.first.0).expect("small")
}

#[test]
fn an_event_that_is_missing_is_named() {
    let pool = pool();
    let good = pool.export(1);
    let run = &good.runs[2];
    let at = frame_at(&good, 2);
    assert!(at > 0);
    // A frame of the middle: the next one does not follow on it any more, and has its number now.
    let event = LogNumber(run.log.first.0 + 1);
    let missing = fault(&pool, |export| {
        export.runs[2].log.events.remove(1);
    });
    assert!(
        matches!(missing, ProofError::Order { event: named, source: OrderFault::Frame { .. } } if named == event),
        "{missing}"
    );
    // The last one: nothing follows, but the block names another head.
    let last = fault(&pool, |export| {
        export.runs[2].log.events.pop();
        export.runs[2].frames.pop();
    });
    assert!(
        matches!(&last, ProofError::Head { first, anchor, .. } if *first == run.log.first && Some(anchor.block) == pool.id_at(Height(3))),
        "{last}"
    );
    let none = fault(&pool, |export| export.runs[2].log.events.clear());
    assert_eq!(none, ProofError::Log { run: 2, source: LogFault::Empty });
}

#[test]
fn events_out_of_order_are_named() {
    let pool = pool();
    let good = pool.export(1);
    let second = LogNumber(good.runs[2].log.first.0 + 1);
    let swapped = fault(&pool, |export| export.runs[2].log.events.swap(1, 2));
    assert!(matches!(swapped, ProofError::Order { event, .. } if event == second), "{swapped}");
}

#[test]
fn runs_frames_and_shares_out_of_order_are_named() {
    let pool = pool();
    let good = pool.export(1);
    let after = good.runs[2].log.head().number;
    let runs = fault(&pool, |export| export.runs.swap(1, 2));
    assert_eq!(runs, ProofError::RunOrder { run: 2, first: good.runs[1].log.first, after });
    let twice = fault(&pool, |export| export.runs.push(export.runs[4].clone()));
    assert!(matches!(twice, ProofError::RunOrder { run: 5, .. }), "{twice}");
    let (run, list) = good.runs.iter().enumerate().find(|(_, run)| run.frames.len() > 1).expect("several frames");
    let frames = fault(&pool, |export| export.runs[run].frames.swap(0, 1));
    assert_eq!(frames, ProofError::NotAFrame { run, event: list.frames[0].event });
    let frame = |(run, frame): (usize, usize)| &good.runs[run].frames[frame];
    let places = (0..good.runs.len()).flat_map(|run| (0..good.runs[run].frames.len()).map(move |frame| (run, frame)));
    let (run, at) = places.clone().find(|place| frame(*place).shares.len() > 1).expect("several shares");
    let event = frame((run, at)).event;
    let shares = fault(&pool, |export| export.runs[run].frames[at].shares.swap(0, 1));
    assert_eq!(shares, ProofError::ShareOrder { event, index: frame((run, at)).shares[0].index });
    let twice = fault(&pool, |export| {
        let list = &mut export.runs[run].frames[at].shares;
        list.insert(0, list[0].clone());
    });
    assert!(matches!(twice, ProofError::ShareOrder { .. }), "{twice}");
    let empty = fault(&pool, |export| export.runs[run].frames[at].shares.clear());
    assert_eq!(empty, ProofError::EmptyFrame { event });
}

#[test]
fn a_share_that_is_changed_somebody_elses_or_elsewhere_is_named() {
    let pool = pool();
    let good = pool.export(1);
    let frame = &good.runs[3].frames[0];
    let (event, index) = (frame.event, frame.shares[0].index);
    let changed = fault(&pool, |export| export.runs[3].frames[0].shares[0].share.0[40] ^= 1);
    let is_named = |fault: &ProofError| matches!(fault, ProofError::Share { event: named, index: at, .. } if (*named, *at) == (event, index));
    assert!(is_named(&changed), "{changed}");
    let elsewhere =
        fault(&pool, |export| export.runs[3].frames[0].shares[0] = export.runs[2].frames[0].shares[0].clone());
    assert!(
        matches!(elsewhere, ProofError::Share { source: ShareFault::Count { .. } | ShareFault::Digest { .. }, .. }),
        "{elsewhere}"
    );
    let theirs = pool.export(2);
    let others = fault(&pool, |export| export.runs = theirs.runs.clone());
    assert!(
        matches!(others, ProofError::OtherAccount { got, expected, .. } if got == miner(2) && expected == miner(1)),
        "{others}"
    );
    let moved = fault(&pool, |export| export.runs[3].frames[0].event = LogNumber(1));
    assert_eq!(moved, ProofError::NotAFrame { run: 3, event: LogNumber(1) });
    let none = fault(&pool, |export| export.runs.iter_mut().for_each(|run| run.frames.clear()));
    assert_eq!(none, ProofError::NoShares);
    let no_runs = fault(&pool, |export| {
        export.runs.clear();
        export.terms = None;
    });
    assert_eq!(no_runs, ProofError::NoShares);
}

#[test]
fn what_is_mixed_from_two_pools_is_named() {
    let (pool, other) = (pool(), Pool::busy(miner(0xdd), b"/bq/", 5));
    let theirs = other.export(1);
    let whole = fault(&pool, |export| export.runs[2] = theirs.runs[2].clone());
    assert!(
        matches!(
            whole,
            ProofError::Joint { run: 2, .. } | ProofError::Coinbase { source: CoinbaseFault::NotThePools { .. }, .. }
        ),
        "{whole}"
    );
    let block = fault(&pool, |export| export.runs[2].coinbase = theirs.runs[2].coinbase.clone());
    assert!(matches!(block, ProofError::Coinbase { source: CoinbaseFault::NotThePools { .. }, .. }), "{block}");
    let events = fault(&pool, |export| export.runs[0].log = theirs.runs[0].log.clone());
    assert!(
        matches!(events, ProofError::Head { .. } | ProofError::Order { .. } | ProofError::NotAFrame { .. }),
        "{events}"
    );
    let all = fault(&pool, |export| export.pool = theirs.pool.clone());
    assert!(matches!(all, ProofError::Coinbase { source: CoinbaseFault::NotThePools { .. }, .. }), "{all}");
    // The same key and another log: what was lost and begun again. Its blocks are not on this chain.
    let mut again = Pool::new(miner(0xee), b"/bq/");
    again.frame(&[1, 1]);
    again.block(1);
    let export = again.export(1);
    let lost = export.verify().expect("whole").on_chain(Network::Regtest, |height| pool.id_at(height));
    assert!(matches!(lost, Err(ProofError::NotOnChain { .. })), "{lost:?}");
    // One tag for another.
    let tagged = Pool::busy(miner(0xee), b"/qb/", 5).export(1);
    let tag = fault(&pool, |export| export.runs = tagged.runs.clone());
    assert!(matches!(tag, ProofError::Coinbase { source: CoinbaseFault::Data, .. }), "{tag}");
}

#[test]
fn runs_that_follow_on_each_other_are_joined_by_hash() {
    let mut pool = Pool::new(miner(0xee), b"/bq/");
    pool.frame(&[1]);
    pool.block(1);
    pool.frame(&[1]);
    pool.block(2);
    let export = pool.export(1);
    let report = judge(&pool, &export).expect("whole");
    assert!(report.is_gapless && export.runs.len() == 2);
    let mut other = export.clone();
    other.runs[1].log.before.0[0] ^= 1;
    let fault = judge(&pool, &other).expect_err("another log");
    assert!(matches!(fault, ProofError::Joint { run: 1, after: LogNumber(5), .. }), "{fault}");

    pool.frame(&[2]);
    pool.frame(&[1]);
    pool.block(1);
    let report = judge(&pool, &pool.export(1)).expect("whole");
    assert!(!report.is_gapless, "a frame of somebody else is left out");
}

#[test]
fn terms_are_those_of_the_events() {
    let pool = pool();
    let good = pool.export(1);
    assert_eq!(good.terms, Some(terms(50)), "they changed before the second block");
    assert_eq!(fault(&pool, |export| export.terms = Some(terms(100))), ProofError::Terms);
    let mut silent = good.clone();
    silent.terms = None;
    assert_eq!(judge(&pool, &silent).expect("whole").terms, None);
    let late = fault(&pool, |export| {
        export.runs.drain(..2);
    });
    assert_eq!(late, ProofError::Terms, "no event of these runs tells them");
}

#[test]
fn an_export_across_a_change_of_key_is_two() {
    let mut pool = Pool::new(miner(0xee), b"/bq/");
    pool.frame(&[1]);
    pool.decide(Act::NewKey { key: miner(0xdd) });
    pool.block(1);
    let old = pool.run(1, LogNumber(5), LogNumber(6));
    let export = AccountExport { runs: vec![old], terms: None, ..pool.export(1) };
    let expected = ProofError::Key { event: LogNumber(6), got: miner(0xdd), expected: miner(0xee) };
    assert_eq!(judge(&pool, &export), Err(expected));
    // The coinbase pays the new key.
    pool.identity.key = miner(0xdd);
    pool.blocks.clear();
    pool.block(1);
    let run = pool.run(1, LogNumber(5), LogNumber(6));
    let export = AccountExport { runs: vec![run], terms: None, ..pool.export(1) };
    assert!(judge(&pool, &export).is_ok());
}

#[test]
fn the_chain_has_the_last_word() {
    let pool = pool();
    let report = pool.export(1).verify().expect("whole");
    let network = report.on_chain(Network::Mainnet, |height| pool.id_at(height));
    assert_eq!(network, Err(ProofError::Network { got: Network::Regtest, expected: Network::Mainnet }));
    let genesis = report.on_chain(Network::Regtest, |_| Some(BlockId([4; 32])));
    assert!(matches!(genesis, Err(ProofError::Genesis { expected: Some(_), .. })), "{genesis:?}");
    let reorganised = report.on_chain(Network::Regtest, |height| {
        if height == Height(3) { Some(BlockId([4; 32])) } else { pool.id_at(height) }
    });
    let expected = ProofError::NotOnChain { anchor: report.runs[2].anchor, found: Some(BlockId([4; 32])) };
    assert_eq!(reorganised, Err(expected));
}

#[test]
fn runs_reach_from_the_first_frame_to_the_next_block() {
    let n = |numbers: &[u64]| -> Vec<LogNumber> { numbers.iter().copied().map(LogNumber).collect() };
    let ranges = |frames: &[u64], heads: &[u64]| -> Vec<(u64, u64)> {
        Run::ranges(&n(frames), &n(heads)).into_iter().map(|(first, last)| (first.0, last.0)).collect()
    };
    assert_eq!(ranges(&[3, 5, 9, 20], &[4, 6, 6, 8, 9, 15]), [(3, 4), (5, 6), (9, 9)]);
    assert_eq!(ranges(&[3, 5], &[2]), []);
    assert_eq!(ranges(&[], &[2]), []);
    assert_eq!(ranges(&[3, 4, 5], &[5]), [(3, 5)]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn any_life_of_a_pool_is_exported_and_proved(steps in prop::collection::vec((0_u8..6, prop::collection::vec(1_u8..5, 1..20)), 1..30)) {
        let mut pool = Pool::new(miner(0xee), b"/bq/");
        for (step, payees) in steps {
            match step {
                0 => pool.block(payees.len()),
                1 => pool.decide(Act::Pause),
                _ => {
                    pool.frame(&payees);
                }
            }
        }
        pool.block(1);
        for payee in 1..5 {
            let export = pool.export(payee);
            let has_shares = pool.frames.values().flatten().any(|share| share.payee == miner(payee));
            match judge(&pool, &export) {
                Ok(report) => {
                    let shares: u64 = report.lanes.iter().map(|lane| lane.shares).sum();
                    let written = pool.frames.values().flatten().filter(|share| share.payee == miner(payee)).count();
                    prop_assert_eq!(shares, u64::try_from(written).unwrap());
                }
                Err(fault) => {
                    prop_assert_eq!(fault, ProofError::NoShares);
                    prop_assert!(!has_shares);
                }
            }
        }
    }
}
