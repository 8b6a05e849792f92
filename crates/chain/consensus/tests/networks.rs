//! The constants of each network, and what start-up refuses.
#![expect(clippy::unwrap_used, reason = "a test ends at the first surprise")]

use bq_consensus::{
    Era, EraAlgorithm, LinearBranch, Params, ParamsError, ProofOfWork, SealedHeader, StartBits, check_header,
    check_proof, min_time, pow_key, required_bits, subsidy,
};
use bq_pow::{PowError, PowVerifier};
use bq_primitives::{
    Algorithm, Amount, CompactTarget, ExtraNonce, Header, Height, MerkleRoot, Network, PowKey, Seal, Timestamp, Work,
};

#[test]
fn every_network_passes_its_own_check() {
    for network in Network::ALL {
        let params = Params::of(network);
        assert_eq!(params.network, network);
        assert_eq!(params.check(), Ok(()), "{network}");
    }
}

#[test]
fn algorithms_by_height() {
    let active = |params: &Params, height| {
        let era = params.eras.at(Height(height));
        era.map(|era| era.algorithms.iter().map(|rule| rule.algorithm).collect::<Vec<_>>()).unwrap_or_default()
    };
    let all = Algorithm::ALL.to_vec();
    for (network, switch) in [(Network::Mainnet, 10_000), (Network::Testnet, 100)] {
        let params = Params::of(network);
        assert_eq!(active(&params, 0), []);
        assert_eq!(active(&params, 1), [Algorithm::Sha256d]);
        assert_eq!(active(&params, switch - 1), [Algorithm::Sha256d]);
        assert_eq!(active(&params, switch), all);
        assert_eq!(params.eras.first_activation(Algorithm::Ethash), Some(Height(switch)));
    }
    for network in [Network::Devnet, Network::Regtest] {
        assert_eq!(active(&Params::of(network), 1), all);
    }
}

#[test]
fn genesis_blocks_differ_and_create_nothing() {
    let ids: std::collections::BTreeSet<_> = Network::ALL.map(|network| Params::of(network).genesis_id()).into();
    assert_eq!(ids.len(), Network::ALL.len());
    for network in Network::ALL {
        let params = Params::of(network);
        let block = params.genesis_block();
        assert_eq!(block.header.tx_root, block.tx_root());
        assert_eq!(block.header.witness_root, block.witness_root());
        assert!(block.transactions.iter().all(|transaction| transaction.outputs.is_empty()));
        let entry = params.genesis_entry();
        assert_eq!((entry.id, entry.height, entry.chain_work), (block.id(), Height(0), Work::ZERO));
        // It survives the wire like any other block.
        assert_eq!(bq_primitives::Block::from_bytes(&block.to_bytes()).unwrap(), block);
    }
}

#[test]
fn devnet_starts_within_reach_of_one_thread() {
    let params = Params::of(Network::Devnet);
    let branch = LinearBranch::new(params.genesis_entry());
    let hashes = required_bits(&params, &branch).into_iter().map(|required| Work::of_target(required.target).0);
    let [sha256d, randomx, ethash] = hashes.collect::<Vec<_>>().try_into().unwrap();
    assert!((4_000_000..8_400_000).contains(&u64::try_from(sha256d).unwrap()));
    assert!((30..=34).contains(&u64::try_from(randomx).unwrap()));
    assert!((500..=520).contains(&u64::try_from(ethash).unwrap()));
}

#[test]
fn regtest_never_retargets_and_accepts_a_real_proof() {
    let params = Params::of(Network::Regtest);
    let pow = PowVerifier::default();
    let mut branch = LinearBranch::new(params.genesis_entry());
    for now in (params.genesis_time.0..).skip(1).take(30) {
        let required = required_bits(&params, &branch)[0];
        assert_eq!(required.bits, CompactTarget(0x207f_ffff));
        let proven = (0..)
            .find_map(|nonce| {
                let sealed = sealed(&params, &branch, required.bits, now, nonce);
                let checked = check_header(&params, &branch, sealed, Timestamp(now)).unwrap();
                check_proof(checked, &pow).ok()
            })
            .unwrap();
        branch.push(*proven.entry());
    }
}

#[test]
fn a_bad_proof_is_the_senders_fault() {
    let params = Params::of(Network::Regtest);
    let branch = LinearBranch::new(params.genesis_entry());
    let bits = required_bits(&params, &branch)[0].bits;
    let now = params.genesis_time.0 + 1;
    let pow = PowVerifier::default();
    let errors = (0..20).filter_map(|nonce| {
        let sealed = sealed(&params, &branch, bits, now, nonce);
        check_proof(check_header(&params, &branch, sealed, Timestamp(now)).unwrap(), &pow).err()
    });
    let errors: Vec<_> = errors.collect();
    assert!(!errors.is_empty(), "half of all nonces miss a target of one half");
    assert!(errors.iter().all(|error| error.misbehavior() == 100));
    // A verifier that could not look says nothing about the sender.
    struct Broken;
    impl ProofOfWork for Broken {
        fn verify(
            &self,
            _: &Header,
            _: &Seal,
            _: &PowKey,
            _: &bq_primitives::Target,
        ) -> Result<bq_primitives::PowHash, PowError> {
            Err(PowError::Memory { what: "cache", bytes: 1 })
        }
    }
    let sealed = sealed(&params, &branch, bits, now, 0);
    let error = check_proof(check_header(&params, &branch, sealed, Timestamp(now)).unwrap(), &Broken).unwrap_err();
    assert_eq!((error.consequence(), error.misbehavior()), (bq_consensus::Consequence::Local, 0));
}

fn sealed(params: &Params, branch: &LinearBranch, bits: CompactTarget, now: u64, nonce: u32) -> SealedHeader {
    use bq_consensus::Branch as _;
    let header = Header {
        version: 1,
        parent_id: branch.tip().id,
        tx_root: MerkleRoot::ZERO,
        witness_root: MerkleRoot::ZERO,
        time: min_time(params, branch).max(Timestamp(now)),
        height: branch.tip().height.next().unwrap(),
        bits,
        algorithm: Algorithm::Sha256d,
    };
    let seal = Seal::Sha256d { extranonce: ExtraNonce::default(), version: 0, ntime: 0, nonce };
    SealedHeader { header, seal }
}

#[test]
fn keys_follow_the_schedule() {
    let params = Params::of(Network::Devnet);
    let branch = LinearBranch::new(params.genesis_entry());
    assert_eq!(pow_key(&params, &branch, Algorithm::Sha256d), Some(PowKey::Sha256d));
    assert_eq!(pow_key(&params, &branch, Algorithm::RandomX), Some(PowKey::RandomX(params.genesis_id())));
    assert_eq!(pow_key(&params, &branch, Algorithm::Ethash), Some(PowKey::Ethash(0)));
    let mainnet = Params::of(Network::Mainnet);
    let branch = LinearBranch::new(mainnet.genesis_entry());
    assert_eq!(pow_key(&mainnet, &branch, Algorithm::Ethash), None, "not active yet");
}

#[test]
fn subsidy_halves_every_210_000_blocks() {
    let atoms = |height| subsidy(Height(height)).atoms();
    assert_eq!(atoms(0), 0);
    assert_eq!(atoms(1), 5_000_000_000);
    assert_eq!(atoms(209_999), 5_000_000_000);
    assert_eq!(atoms(210_000), 2_500_000_000);
    assert_eq!(atoms(420_000), 1_250_000_000);
    assert_eq!(atoms(210_000 * 32), 1);
    assert_eq!(atoms(210_000 * 33), 0);
    assert_eq!(atoms(u32::MAX), 0);
    let total: u128 = (0..33_u32).map(|halvings| u128::from(5_000_000_000_u64 >> halvings) * 210_000).sum();
    assert!(total < u128::from(Amount::MAX.atoms()));
}

#[test]
fn start_up_refuses_what_would_not_hold() {
    let base = Params::of(Network::Mainnet);
    let check = |change: &dyn Fn(&mut Params)| {
        let mut params = base.clone();
        change(&mut params);
        params.check().unwrap_err()
    };
    assert_eq!(check(&|p| p.eras.table.clear()), ParamsError::FirstEraStart);
    assert_eq!(check(&|p| p.eras.table[0].start = Height(2)), ParamsError::FirstEraStart);
    assert_eq!(check(&|p| p.eras.table[1].start = Height(1)), ParamsError::EraOrder(Height(1)));
    assert_eq!(check(&|p| p.eras.table[1].algorithms.reverse()), ParamsError::AlgorithmOrder(Height(10_000)));
    assert_eq!(check(&|p| p.eras.table[0].algorithms.clear()), ParamsError::AlgorithmOrder(Height(1)));
    assert_eq!(check(&|p| p.asert.half_life = 0), ParamsError::Zero("half_life"));
    assert_eq!(check(&|p| p.asert.mtp_window = 0), ParamsError::Zero("mtp_window"));
    assert_eq!(check(&|p| p.genesis_time = Timestamp(1 << 40)), ParamsError::GenesisTime);
    assert!(matches!(check(&|p| p.asert.target_block_time = 5_977), ParamsError::SpacingTooLong { .. }));
    assert!(matches!(check(&|p| p.future_limit_secs = 1_039), ParamsError::FutureLimitTooLong { .. }));
    let continues = |rule: &mut EraAlgorithm| rule.start_bits = StartBits::Continue;
    assert!(matches!(
        check(&|p| continues(&mut p.eras.table[0].algorithms[0])),
        ParamsError::NothingToContinue { algorithm: Algorithm::Sha256d, .. }
    ));
    assert!(matches!(
        check(&|p| continues(&mut p.eras.table[1].algorithms[2])),
        ParamsError::NothingToContinue { algorithm: Algorithm::Ethash, .. }
    ));
    let first = |p: &mut Params, change: &dyn Fn(&mut EraAlgorithm)| change(&mut p.eras.table[0].algorithms[0]);
    assert!(matches!(
        check(&|p| first(p, &|rule| rule.start_bits = StartBits::At(CompactTarget(0x1d01_0000)))),
        ParamsError::BitsOutOfRange { .. }
    ));
    assert!(matches!(
        check(&|p| first(p, &|rule| rule.limit_bits = CompactTarget(0x1e00_ffff))),
        ParamsError::BitsOutOfRange { .. }
    ));
    assert!(matches!(
        check(&|p| first(p, &|rule| rule.limit_bits = CompactTarget(0x2100_8000))),
        ParamsError::LimitTooEasy { .. }
    ));
    assert!(matches!(check(&|p| first(p, &|rule| rule.ref_bits = CompactTarget(0))), ParamsError::Bits(_)));
}

#[test]
fn an_algorithm_that_comes_back_starts_anew() {
    let mut params = Params::of(Network::Mainnet);
    let [first, all] = <[Era; 2]>::try_from(params.eras.table.clone()).unwrap();
    let without = Era {
        start: Height(20_000),
        algorithms: all.algorithms.iter().filter(|rule| rule.algorithm != Algorithm::RandomX).copied().collect(),
    };
    let mut back = Era { start: Height(30_000), ..all.clone() };
    params.eras.table = vec![first, all, without, back.clone()];
    assert_eq!(params.check(), Ok(()));
    back.algorithms[1].start_bits = StartBits::Continue;
    params.eras.table[3] = back;
    let error = params.check().unwrap_err();
    assert_eq!(error, ParamsError::NothingToContinue { era: Height(30_000), algorithm: Algorithm::RandomX });
}

#[test]
fn genesis_ids_never_change() {
    let ids = [
        (Network::Mainnet, "29844c830027740b38bbec624a5b21022f44fe56a1fffeb6e7be89c7a71930ad"),
        (Network::Testnet, "cf478ddb9cef69921a01c06eb780a2f0af647eccf34c299707828c5a1f720c1b"),
        (Network::Devnet, "bb129c43e75a3ee62957640703a131f152d343c9454672f7646a917368f18534"),
        (Network::Regtest, "4b77dbd3dd0b442d348415d494db376ed58ef9c8ead2cadc0fbb535ff4b95ac5"),
    ];
    let got = ids.map(|(network, _)| (network, Params::of(network).genesis_id().to_string()));
    assert_eq!(got, ids.map(|(network, id)| (network, id.to_owned())));
}
