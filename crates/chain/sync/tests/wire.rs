//! The codec: every message survives the round trip, nothing malformed gets through, no length is believed.
#![expect(clippy::unwrap_used, reason = "a broken generator should say where")]
use bq_primitives::{
    Algorithm, Amount, Block, BlockId, CompactTarget, DecodeError, ExtraNonce, Header, Height, KeyHash, MerkleRoot,
    Seal, Timestamp, Transaction, TxId, TxOut, U256, Work,
};
use bq_sync::{ChainTip, Endpoint, Kind, Message, PROTOCOL_VERSION, RawBlock, SealedHeader, Status, WireError};
use proptest::{collection::vec, prelude::*};

fn sealed() -> impl Strategy<Value = SealedHeader> {
    (any::<[u8; 32]>(), any::<u64>(), any::<u32>(), 0..3_u8, any::<[u8; 16]>()).prop_map(
        |(parent, time, height, algorithm, extranonce)| {
            let algorithm = Algorithm::try_from(algorithm).unwrap();
            let extranonce = ExtraNonce(extranonce);
            let header = Header {
                version: 1,
                parent_id: BlockId(parent),
                tx_root: MerkleRoot::ZERO,
                witness_root: MerkleRoot::ZERO,
                time: Timestamp(time),
                height: Height(height),
                bits: CompactTarget(0x207f_ffff),
                algorithm,
            };
            let seal = match algorithm {
                Algorithm::Sha256d => Seal::Sha256d { extranonce, version: 1, ntime: 2, nonce: 3 },
                Algorithm::RandomX => Seal::RandomX { extranonce, nonce: 4 },
                Algorithm::Ethash => Seal::Ethash { extranonce, nonce: 5, mix: parent },
            };
            SealedHeader { header, seal }
        },
    )
}

fn block(header: &SealedHeader) -> Block {
    let outputs = vec![TxOut { amount: Amount::from_atoms(7).unwrap(), key_hash: KeyHash::ZERO }];
    let transactions = vec![Transaction::coinbase(header.header.height, outputs, vec![1, 2, 3])];
    Block { header: header.header, seal: header.seal, transactions }
}

fn ids(max: usize) -> impl Strategy<Value = Vec<BlockId>> {
    vec(any::<[u8; 32]>().prop_map(BlockId), 0..=max)
}

fn message() -> impl Strategy<Value = Message> {
    let status = (any::<[u8; 32]>(), any::<u32>(), any::<u64>()).prop_map(|(id, height, work)| {
        let tip = ChainTip { id: BlockId(id), height: Height(height), work: Work(U256::from(work)) };
        Message::Status(Status { version: PROTOCOL_VERSION, genesis_id: BlockId(id), tip })
    });
    prop_oneof![
        status,
        ids(64).prop_map(|locator| Message::GetHeaders { locator }),
        vec(sealed(), 0..20).prop_map(Message::Headers),
        ids(16).prop_map(Message::GetBlocks),
        (vec(sealed(), 0..=16), ids(16)).prop_map(|(headers, not_found)| {
            let blocks = headers.iter().map(|header| RawBlock::from(&block(header))).collect();
            Message::Blocks { blocks, not_found }
        }),
        any::<u16>().prop_map(|port| Message::GetAddresses { port }),
        vec((any::<[u8; 4]>(), 1..u16::MAX), 0..20).prop_map(|parts| {
            let endpoint = |(ip, port): ([u8; 4], u16)| Endpoint::new(ip.into(), port);
            Message::Addresses(parts.into_iter().filter_map(endpoint).collect())
        }),
        sealed().prop_map(Message::Announce),
        sealed().prop_map(|header| Message::Transaction(Box::new(block(&header).transactions.remove(0)))),
        Just(Message::Busy),
        any::<[u8; 32]>().prop_map(|after| Message::GetMempool { after: TxId(after) }),
        vec(sealed(), 0..9).prop_map(|headers| {
            Message::Mempool(headers.iter().flat_map(|header| block(header).transactions).collect())
        }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn every_message_survives_the_round_trip(message in message()) {
        let bytes = message.to_bytes();
        prop_assert!(bytes.len() <= message.kind().bytes_max());
        prop_assert_eq!(Message::from_bytes(&bytes), Ok(message));
    }

    #[test]
    fn a_cut_or_padded_message_is_refused(message in message(), cut in any::<prop::sample::Index>(), pad in any::<u8>()) {
        let mut bytes = message.to_bytes();
        prop_assert!(Message::from_bytes(&bytes[..cut.index(bytes.len())]).is_err());
        bytes.push(pad);
        prop_assert!(Message::from_bytes(&bytes).is_err());
    }

    /// Decoding is canonical: whatever decodes encodes to the same bytes. Garbage mostly does not decode.
    #[test]
    fn flipped_bytes_never_panic(message in message(), flips in vec((any::<prop::sample::Index>(), any::<u8>()), 1..8)) {
        let mut bytes = message.to_bytes();
        for (index, byte) in flips {
            let index = index.index(bytes.len());
            bytes[index] = byte;
        }
        if let Ok(decoded) = Message::from_bytes(&bytes) {
            prop_assert_eq!(decoded.to_bytes(), bytes);
        }
    }

    #[test]
    fn garbage_never_panics(kind in 0..12_u8, rest in vec(any::<u8>(), 0..400)) {
        let mut bytes = vec![kind];
        bytes.extend(rest);
        if let Ok(decoded) = Message::from_bytes(&bytes) {
            prop_assert_eq!(decoded.to_bytes(), bytes);
        }
    }
}

/// A few bytes that claim a huge list are refused before anything is allocated for it.
#[test]
fn claimed_counts_are_not_believed() {
    for kind in [Kind::GetHeaders, Kind::Headers, Kind::GetBlocks, Kind::Blocks, Kind::Mempool] {
        let bytes = [&[kind as u8, 0xff][..], &[0xff; 8], &[0; 200]].concat();
        let error = Message::from_bytes(&bytes).unwrap_err();
        assert!(
            matches!(error, WireError::Field(DecodeError::CountTooLarge { got: u64::MAX, .. })),
            "{kind:?}: {error}"
        );
    }
}

#[test]
fn one_item_too_many_is_refused() {
    for (kind, max, item) in [(Kind::GetHeaders, 64_u8, 32), (Kind::GetBlocks, 16, 32)] {
        let bytes = |count: u8| [&[kind as u8, count][..], &vec![0; usize::from(count) * item]].concat();
        assert!(Message::from_bytes(&bytes(max)).is_ok());
        assert!(Message::from_bytes(&bytes(max + 1)).is_err(), "{kind:?}");
    }
    let too_long = vec![Kind::Transaction as u8; Kind::Transaction.bytes_max() + 1];
    assert!(matches!(Message::from_bytes(&too_long), Err(WireError::TooLong { kind: Kind::Transaction, .. })));
    assert_eq!(Message::from_bytes(&[]), Err(WireError::UnknownKind(None)));
    assert_eq!(Message::from_bytes(&[99]), Err(WireError::UnknownKind(Some(99))));
}
