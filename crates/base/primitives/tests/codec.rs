//! One value, one byte string; and no byte string makes a decoder panic.
#![expect(clippy::unwrap_used, reason = "a test ends at the first surprise")]

use bq_primitives::{
    Algorithm, Amount, Block, BlockId, BlockWeight, COINBASE_DATA_BYTES_MAX, CompactTarget, DecodeError, Decoder,
    ExtraNonce, HEADER_BYTES, Header, Height, KeyHash, MerkleRoot, OutPoint, PUBLIC_KEY_BYTES, SIGNATURE_BYTES, Seal,
    Timestamp, Transaction, TxId, TxOut, Witness, WtxId, put_compact_size, tagged_hash,
};
use proptest::prelude::*;

fn algorithm() -> impl Strategy<Value = Algorithm> {
    prop::sample::select(Algorithm::ALL.to_vec())
}

fn seal(algorithm: Algorithm) -> impl Strategy<Value = Seal> {
    (any::<[u8; 16]>(), any::<[u8; 32]>(), any::<u64>(), any::<[u32; 3]>()).prop_map(
        move |(extranonce, mix, wide, [version, ntime, nonce])| {
            let extranonce = ExtraNonce(extranonce);
            match algorithm {
                Algorithm::Sha256d => Seal::Sha256d { extranonce, version, ntime, nonce },
                Algorithm::RandomX => Seal::RandomX { extranonce, nonce },
                Algorithm::Ethash => Seal::Ethash { extranonce, nonce: wide, mix },
            }
        },
    )
}

fn sealed_header() -> impl Strategy<Value = (Header, Seal)> {
    let fields = (any::<[u32; 3]>(), any::<[[u8; 32]; 3]>(), any::<u64>());
    (algorithm(), fields).prop_flat_map(|(algorithm, ([version, height, bits], [parent, tx, witness], time))| {
        let header = Header {
            version,
            parent_id: BlockId(parent),
            tx_root: MerkleRoot(tx),
            witness_root: MerkleRoot(witness),
            time: Timestamp(time),
            height: Height(height),
            bits: CompactTarget(bits),
            algorithm,
        };
        seal(algorithm).prop_map(move |seal| (header, seal))
    })
}

fn output() -> impl Strategy<Value = TxOut> {
    let atoms = 0..=Amount::MAX.atoms();
    (atoms, any::<[u8; 32]>())
        .prop_map(|(atoms, hash)| TxOut { amount: Amount::from_atoms(atoms).unwrap(), key_hash: KeyHash(hash) })
}

fn coinbase() -> impl Strategy<Value = Transaction> {
    let data = prop::collection::vec(any::<u8>(), 0..=COINBASE_DATA_BYTES_MAX);
    (any::<u32>(), prop::collection::vec(output(), 0..4), data)
        .prop_map(|(height, outputs, data)| Transaction::coinbase(Height(height), outputs, data))
}

fn transfer() -> impl Strategy<Value = Transaction> {
    let input = (any::<[u8; 32]>(), any::<u32>(), any::<u8>()).prop_map(|(mut txid, index, fill)| {
        txid[0] |= 1; // Never the zero txid of a coinbase.
        let witness =
            Witness { public_key: Box::new([fill; PUBLIC_KEY_BYTES]), signature: Box::new([!fill; SIGNATURE_BYTES]) };
        (OutPoint { txid: TxId(txid), index }, witness)
    });
    let parts = (prop::collection::vec(input, 0..3), prop::collection::vec(output(), 0..4));
    (any::<u32>(), parts, any::<u32>()).prop_map(|(version, (inputs, outputs), lock)| {
        let (inputs, witnesses) = inputs.into_iter().unzip();
        Transaction { version, inputs, outputs, lock_height: Height(lock), coinbase_data: Vec::new(), witnesses }
    })
}

fn transaction() -> impl Strategy<Value = Transaction> {
    prop_oneof![coinbase(), transfer()]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn headers_and_seals_round_trip((header, seal) in sealed_header()) {
        let bytes = header.to_bytes();
        prop_assert_eq!(bytes.len(), HEADER_BYTES);
        let mut decoder = Decoder::new(&bytes);
        prop_assert_eq!(Header::decode(&mut decoder).unwrap(), header);
        prop_assert_eq!(decoder.finish(), Ok(()));
        let bytes = seal.to_bytes();
        prop_assert_eq!(bytes.len(), Seal::encoded_len(header.algorithm));
        let mut decoder = Decoder::new(&bytes);
        prop_assert_eq!(Seal::decode(header.algorithm, &mut decoder).unwrap(), seal);
        prop_assert_eq!(decoder.finish(), Ok(()));
    }

    #[test]
    fn transactions_round_trip(transaction in transaction()) {
        let bytes = transaction.to_bytes();
        let mut decoder = Decoder::new(&bytes);
        prop_assert_eq!(&Transaction::decode(&mut decoder).unwrap(), &transaction);
        prop_assert_eq!(decoder.finish(), Ok(()));
        prop_assert_eq!(transaction.base_len(), transaction.base_bytes().len());
        prop_assert_eq!(transaction.wtxid(), WtxId(tagged_hash("BQIP0002/wtx", &[&bytes])));
        prop_assert_eq!([transaction.base_bytes(), transaction.witness_bytes()].concat(), bytes);
        let weight = 4 * transaction.base_bytes().len() + 384 * transaction.witnesses.len();
        prop_assert_eq!(transaction.weight().unwrap().units(), u64::try_from(weight).unwrap());
    }

    #[test]
    fn blocks_round_trip((header, seal) in sealed_header(), transactions in prop::collection::vec(transaction(), 0..4)) {
        let block = Block { header, seal, transactions };
        let mut bytes = block.to_bytes();
        prop_assert_eq!(&Block::from_bytes(&bytes).unwrap(), &block);
        let frame = 4 * (HEADER_BYTES + Seal::encoded_len(header.algorithm));
        let sum: u64 = block.transactions.iter().map(|transaction| transaction.weight().unwrap().units()).sum();
        prop_assert_eq!(block.weight().unwrap().units(), u64::try_from(frame).unwrap() + sum);
        // Neither more nor less is the same block.
        bytes.push(0);
        prop_assert_eq!(Block::from_bytes(&bytes), Err(DecodeError::TrailingBytes(1)));
        prop_assert!(Block::from_bytes(&bytes[..bytes.len() - 2]).is_err());
    }

    #[test]
    fn an_encoding_that_decodes_is_the_only_one(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let mut decoder = Decoder::new(&bytes);
        if let Ok(transaction) = Transaction::decode(&mut decoder) {
            let read = bytes.len() - decoder.remaining();
            prop_assert_eq!(transaction.to_bytes(), bytes[..read].to_vec());
        }
        let mut decoder = Decoder::new(&bytes);
        if let Ok(size) = decoder.compact_size() {
            let mut again = Vec::new();
            put_compact_size(&mut again, usize::try_from(size).unwrap());
            prop_assert_eq!(&bytes[..again.len()], again.as_slice());
        }
    }

    #[test]
    fn changed_bytes_never_panic_and_never_pose_as_the_same(
        (header, seal) in sealed_header(),
        transactions in prop::collection::vec(transaction(), 1..3),
        at in any::<prop::sample::Index>(),
        flip in 1_u8..=255,
    ) {
        let block = Block { header, seal, transactions };
        let mut bytes = block.to_bytes();
        let at = at.index(bytes.len());
        bytes[at] ^= flip;
        if let Ok(changed) = Block::from_bytes(&bytes) {
            prop_assert_ne!(&changed, &block);
            prop_assert_eq!(changed.to_bytes(), bytes);
        }
    }
}

proptest! {
    #[test]
    fn decoders_survive_any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        // Each may refuse; none may panic, or allocate more than a small multiple of the input.
        let _ = Block::from_bytes(&bytes);
        let _ = Header::decode(&mut Decoder::new(&bytes));
        let _ = Transaction::decode(&mut Decoder::new(&bytes));
        for algorithm in Algorithm::ALL {
            let _ = Seal::decode(algorithm, &mut Decoder::new(&bytes));
        }
        for item in [0, 1, 36, usize::MAX] {
            if let Ok(count) = Decoder::new(&bytes).count(item) {
                prop_assert!(count.saturating_mul(item) <= bytes.len());
            }
        }
    }
}

#[test]
fn compact_sizes_are_shortest() {
    let encoded = |value| {
        let mut out = Vec::new();
        put_compact_size(&mut out, value);
        out
    };
    let cases: [(usize, &[u8]); 6] = [
        (0, &[0]),
        (0xfc, &[0xfc]),
        (0xfd, &[0xfd, 0xfd, 0]),
        (0xffff, &[0xfd, 0xff, 0xff]),
        (0x1_0000, &[0xfe, 0, 0, 1, 0]),
        (0x1_0000_0000, &[0xff, 0, 0, 0, 0, 1, 0, 0, 0]),
    ];
    for (value, bytes) in cases {
        assert_eq!(encoded(value), bytes);
        assert_eq!(Decoder::new(bytes).compact_size().unwrap(), u64::try_from(value).unwrap());
    }
    let longer: [&[u8]; 6] = [
        &[0xfd, 0, 0],
        &[0xfd, 0xfc, 0],
        &[0xfe, 0xff, 0xff, 0, 0],
        &[0xfe, 0, 0, 0, 0],
        &[0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0],
        &[0xff, 0, 0, 0, 0, 0, 0, 0, 0],
    ];
    for bytes in longer {
        assert_eq!(Decoder::new(bytes).compact_size(), Err(DecodeError::NonCanonicalSize), "{bytes:02x?}");
    }
}

#[test]
fn a_count_beyond_the_input_is_refused_before_anything_is_allocated() {
    let mut bytes = vec![1, 0, 0, 0];
    put_compact_size(&mut bytes, 0xffff_ffff);
    bytes.extend([0; 100]);
    let error = Transaction::decode(&mut Decoder::new(&bytes)).unwrap_err();
    assert_eq!(error, DecodeError::CountTooLarge { got: 0xffff_ffff, max: 100 / 36 });
}

#[test]
fn reserved_bytes_and_unknown_algorithms_are_refused() {
    let good = [0; HEADER_BYTES];
    assert!(Header::decode(&mut Decoder::new(&good)).is_ok());
    for at in 117..120 {
        let mut bytes = good;
        bytes[at] = 1;
        assert_eq!(Header::decode(&mut Decoder::new(&bytes)), Err(DecodeError::ReservedNotZero));
    }
    let mut bytes = good;
    bytes[116] = 3;
    assert_eq!(Header::decode(&mut Decoder::new(&bytes)), Err(DecodeError::UnknownAlgorithm(3)));
    let end = DecodeError::UnexpectedEnd { needed: 3, left: 2 };
    assert_eq!(Header::decode(&mut Decoder::new(&good[..119])), Err(end));
}

#[test]
fn coinbase_data_has_a_limit_and_only_a_coinbase_has_it() {
    let coinbase = |bytes| Transaction::coinbase(Height(7), Vec::new(), vec![0xdd; bytes]).to_bytes();
    assert!(Transaction::decode(&mut Decoder::new(&coinbase(96))).is_ok());
    let error = Transaction::decode(&mut Decoder::new(&coinbase(97))).unwrap_err();
    assert_eq!(error, DecodeError::CountTooLarge { got: 97, max: 96 });
    let mut other = Transaction::coinbase(Height(7), Vec::new(), vec![0xdd; 5]);
    other.inputs[0].txid = TxId([1; 32]);
    assert!(!other.base_bytes().ends_with(&[0xdd]));
}

#[test]
fn an_amount_above_the_range_is_refused() {
    let mut bytes = vec![1, 0, 0, 0, 0, 1];
    bytes.extend((1_u64 << 53).to_le_bytes());
    bytes.extend([0; 36]);
    let error = Transaction::decode(&mut Decoder::new(&bytes)).unwrap_err();
    assert_eq!(error, DecodeError::Amount(bq_primitives::AmountError::TooLarge));
}

#[test]
fn weights_never_wrap() {
    assert_eq!(BlockWeight::of(1_000_000, 0).unwrap(), BlockWeight::MAX);
    assert_eq!(BlockWeight::of(232, 10_414).unwrap().units(), 928 + 3_998_976);
    assert!(BlockWeight::of(usize::MAX, 0).is_err());
    assert!(BlockWeight::of(0, usize::MAX).is_err());
    assert!(BlockWeight::of(usize::MAX / 4, 10).is_err(), "each product fits, the sum does not");
    assert!(BlockWeight::from_units(u64::MAX).checked_add(BlockWeight::from_units(1)).is_err());
    assert!(BlockWeight::MAX < BlockWeight::from_units(4_000_001));
}
