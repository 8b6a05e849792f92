//! Addresses, amounts, names, difficulties and Merkle trees.

use bq_primitives::{
    Address, AddressError, Algorithm, Amount, AmountError, BlockId, CompactTarget, Height, KeyHash, MerkleRoot,
    Network, NetworkDifficulty, PowHash, PowValue, ShareDifficulty, Target, U256, Work, WorkerName,
    merkle_path_of_first, merkle_root, merkle_root_of_first, tagged_hash,
};
use proptest::prelude::*;

fn network() -> impl Strategy<Value = Network> {
    prop::sample::select(Network::ALL.to_vec())
}

proptest! {
    #[test]
    fn addresses_round_trip(network in network(), hash in any::<[u8; 32]>(), other in network()) {
        let address = Address { network, key_hash: KeyHash(hash) };
        let text = address.to_string();
        prop_assert_eq!(Address::parse_any(&text), Ok(address));
        // Upper case is the same address; QR codes use it.
        prop_assert_eq!(Address::parse_any(&text.to_uppercase()), Ok(address));
        let parsed = Address::parse(&text, other);
        if network == other {
            prop_assert_eq!(parsed, Ok(address));
        } else {
            prop_assert_eq!(parsed, Err(AddressError::WrongNetwork { got: network, expected: other }));
        }
    }

    #[test]
    fn targets_are_read_as_they_are_printed(limbs in any::<[u64; 4]>(), bits in any::<u32>()) {
        let (target, compact) = (Target(U256::from_limbs(limbs)), CompactTarget(bits));
        prop_assert_eq!(target.to_string().parse(), Ok(target));
        prop_assert_eq!(compact.to_string().parse(), Ok(compact));
        for text in [&target.to_string()[1..], "", "0x1d00ffff"] {
            prop_assert!(text.parse::<Target>().is_err() && text.parse::<CompactTarget>().is_err());
        }
    }

    #[test]
    fn one_wrong_character_is_noticed(hash in any::<[u8; 32]>(), at in any::<prop::sample::Index>(), letter in 0_usize..32) {
        let text = Address { network: Network::Devnet, key_hash: KeyHash(hash) }.to_string();
        let mut bytes = text.clone().into_bytes();
        let at = at.index(bytes.len());
        bytes[at] = b"qpzry9x8gf2tvdw0s3jn54khce6mua7l"[letter];
        let changed = String::from_utf8(bytes).unwrap();
        if changed != text {
            prop_assert!(Address::parse_any(&changed).is_err());
        }
    }

    #[test]
    fn address_parser_survives_any_text(text in ".{0,120}") {
        let _ = Address::parse_any(&text);
    }

    #[test]
    fn hashes_print_and_parse(bytes in any::<[u8; 32]>(), text in ".{0,80}") {
        let id = BlockId(bytes);
        prop_assert_eq!(id.to_string().parse::<BlockId>(), Ok(id));
        prop_assert_eq!(id.to_string(), hex::encode(bytes));
        if let Ok(parsed) = text.parse::<BlockId>() {
            prop_assert_eq!(parsed.to_string(), text.to_lowercase());
        }
    }

    #[test]
    fn amounts_add_like_numbers(a in 0_u64..1 << 53, b in 0_u64..1 << 53) {
        let (left, right) = (Amount::from_atoms(a).unwrap(), Amount::from_atoms(b).unwrap());
        let sum = left.checked_add(right).map(Amount::atoms);
        prop_assert_eq!(sum, if a + b < 1 << 53 { Ok(a + b) } else { Err(AmountError::TooLarge) });
        let rest = left.checked_sub(right).map(Amount::atoms);
        prop_assert_eq!(rest, a.checked_sub(b).ok_or(AmountError::Negative { left: a, right: b }));
    }

    #[test]
    fn merkle_root_is_the_models(leaves in prop::collection::vec(any::<[u8; 32]>(), 1..40)) {
        prop_assert_eq!(merkle_root(leaves.iter().copied()), MerkleRoot(slow_root(&leaves)));
    }

    #[test]
    fn the_first_leaf_is_proved_by_its_path(leaves in prop::collection::vec(any::<[u8; 32]>(), 1..40), bit in any::<u8>()) {
        let path = merkle_path_of_first(leaves.iter().copied());
        let root = MerkleRoot(slow_root(&leaves));
        prop_assert_eq!(merkle_root_of_first(&leaves[0], &path), root);
        // 2^levels is the first power of two that holds all leaves.
        prop_assert_eq!(1 << path.len(), leaves.len().next_power_of_two());
        for at in 0..path.len() {
            let mut other = path.clone();
            other[at][usize::from(bit) / 8] ^= 1 << (bit % 8);
            prop_assert_ne!(merkle_root_of_first(&leaves[0], &other), root);
            let shorter = [&path[..at], &path[at + 1..]].concat();
            prop_assert_ne!(merkle_root_of_first(&leaves[0], &shorter), root);
        }
    }

    #[test]
    fn share_targets_are_floors(hashes in 1_u64..) {
        let target = ShareDifficulty::from_hashes(hashes).target().0;
        if hashes == 1 {
            prop_assert_eq!(target, U256::MAX);
        } else {
            // t = floor(2^256 / d): what t * d leaves of 2^256 is less than d.
            let rest = target.wrapping_mul(U256::from(hashes)).wrapping_neg();
            prop_assert!(rest < U256::from(hashes));
        }
    }

    #[test]
    fn work_is_a_floor(limbs in any::<[u64; 4]>()) {
        let target = Target(U256::from_limbs(limbs));
        let Some(divisor) = target.0.checked_add(U256::ONE) else { return Ok(()) };
        let work = Work::of_target(target).0;
        // w = floor(2^256 / (t + 1)): what is left of 2^256 is less than the divisor.
        let rest = work.wrapping_mul(divisor).wrapping_neg();
        prop_assert!(rest < divisor);
        prop_assert!(work >= U256::ONE);
    }
}

/// The root by definition: the left tree takes the largest power of two of leaves that leaves something for the right. That
/// is where promoting odd nodes leads.
fn slow_root(leaves: &[[u8; 32]]) -> [u8; 32] {
    if let [leaf] = leaves {
        return tagged_hash("BQIP0002/leaf", &[leaf]);
    }
    let mut half = 1;
    while half * 2 < leaves.len() {
        half *= 2;
    }
    let (left, right) = leaves.split_at(half);
    tagged_hash("BQIP0002/node", &[&slow_root(left), &slow_root(right)])
}

#[test]
fn no_two_lists_of_leaves_share_a_root() {
    let [a, b, c] = [[1; 32], [2; 32], [3; 32]];
    let root = |leaves: &[[u8; 32]]| merkle_root(leaves.iter().copied());
    assert_eq!(root(&[]), MerkleRoot::ZERO);
    // The classical trap: with duplicated odd nodes these would be equal.
    assert_ne!(root(&[a, b, c]), root(&[a, b, c, c]));
    assert_ne!(root(&[a, b]), root(&[b, a]));
    // An inner node cannot pose as a leaf.
    let node = tagged_hash("BQIP0002/node", &[&root(&[a]).0, &root(&[b]).0]);
    assert_eq!(root(&[a, b]).0, node);
    assert_ne!(root(&[node]), root(&[a, b]));
    // The odd one is promoted unchanged.
    assert_eq!(root(&[a, b, c]).0, tagged_hash("BQIP0002/node", &[&root(&[a, b]).0, &root(&[c]).0]));
}

#[test]
fn addresses_of_other_kinds_are_refused() {
    let refuse = |text: &str| Address::parse_any(text).unwrap_err();
    // BIP-0350's own examples: good bech32m, foreign prefixes.
    assert_eq!(refuse("A1LQFN3A"), AddressError::UnknownPrefix("a".to_owned()));
    assert_eq!(
        refuse("abcdef1l7aum6echk45nj3s0wdvt2fg8x9yrzpqzd3ryx"),
        AddressError::UnknownPrefix("abcdef".to_owned())
    );
    // The older checksum.
    assert_eq!(refuse("A12UEL5L"), AddressError::Encoding);
    for text in ["", "bq1", "1", "bq", &"q".repeat(91)] {
        assert_eq!(refuse(text), AddressError::Encoding, "{text:?}");
    }
    let address = Address { network: Network::Mainnet, key_hash: KeyHash([5; 32]) }.to_string();
    assert!(address.starts_with("bq1q"), "version zero shows as q");
    let mixed = address.replacen('b', "B", 1);
    assert_eq!(refuse(&mixed), AddressError::Encoding);
}

#[test]
fn worker_names_are_harmless_everywhere() {
    for name in ["a", "rig-1", "A.b_C-9", &"x".repeat(64)] {
        assert_eq!(WorkerName::new(name).unwrap().as_str(), name);
    }
    for name in ["", "a b", "a/b", "=1", "\u{e9}", "a\n", "<b>", &"x".repeat(65)] {
        assert!(WorkerName::new(name).is_err(), "{name:?}");
    }
    assert_eq!(WorkerName::new(WorkerName::default().as_str()), Ok(WorkerName::default()));
}

#[test]
fn amounts_read_as_coins() {
    let text = |atoms| Amount::from_atoms(atoms).unwrap().to_string();
    assert_eq!(text(0), "0.00000000");
    assert_eq!(text(1_250_000_001), "12.50000001");
    assert_eq!(Amount::MAX.to_string(), "90071992.54740991");
    assert_eq!(Amount::from_atoms(1 << 53), Err(AmountError::TooLarge));
    assert_eq!(Amount::sum([Amount::MAX, Amount::ZERO]), Ok(Amount::MAX));
}

#[test]
fn names_and_ids_round_trip() {
    for algorithm in Algorithm::ALL {
        assert_eq!(Algorithm::try_from(algorithm.id()), Ok(algorithm));
        assert_eq!(algorithm.name().parse(), Ok(algorithm));
        assert_eq!(Algorithm::ALL[algorithm.index()], algorithm);
    }
    assert!(Algorithm::try_from(3).is_err() && "SHA256d".parse::<Algorithm>().is_err());
    for network in Network::ALL {
        assert_eq!(network.name().parse(), Ok(network));
    }
    assert!("main".parse::<Network>().is_err());
}

#[test]
fn heights_end() {
    assert_eq!(Height(u32::MAX).next(), None);
    assert_eq!(Height::GENESIS.previous(), None);
    assert_eq!(Height(5).above(Height(7)), None);
    assert_eq!(Height(7).above(Height(5)), Some(2));
}

#[test]
fn byte_order_of_proofs() {
    let mut hash = PowHash::ZERO;
    hash.0[31] = 1;
    let small = Target(U256::from(1));
    assert!(PowValue::of(Algorithm::Ethash, &hash).meets(&small), "the last byte is the least of a big-endian value");
    assert!(!PowValue::of(Algorithm::Sha256d, &hash).meets(&small), "and the greatest of a little-endian one");
    assert_eq!(PowValue::of(Algorithm::RandomX, &hash), PowValue::of(Algorithm::Sha256d, &hash));
    for algorithm in Algorithm::ALL {
        assert!(PowValue::of(algorithm, &PowHash([0xff; 32])).meets(&Target::MAX));
    }
}

#[test]
fn difficulties() {
    assert_eq!(ShareDifficulty::from_hashes(0), ShareDifficulty::MIN);
    let half = Target(U256::MAX.wrapping_shr(1));
    assert_eq!(NetworkDifficulty::of_target(half).hashes(), 1);
    assert_eq!(NetworkDifficulty::of_target(Target(U256::ZERO)), NetworkDifficulty::MAX);
    assert_eq!(NetworkDifficulty::of_target(Target::MAX).hashes(), 1);
    let target = Target(U256::from(0xffff).wrapping_shl(208));
    assert_eq!(NetworkDifficulty::of_target(target).hashes(), 0x1_0001_0001);
}
