#![no_main]
//! What a pool gives out, as a stranger may have written it: bytes that can be read are those that would be written, and checking them never
//! panics and costs no more than they are long. The first byte says which kind the rest is read as, with the version put in front.

use bq_pool_proof::{
    AccountExport, Document, Evidence, LiabilityProof, PoolIdentity, Receipt, SignedStatement, Bytes,
};
use bq_primitives::{BlockId, KeyHash, Network};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let Some((kind, bytes)) = input.split_first() else { return };
    let bytes = [&[1], bytes].concat();
    match kind % 5 {
        0 => check::<Evidence>(&bytes, |evidence| {
            if let Ok(finding) = evidence.verify(|_, _, _| true) {
                let genesis = evidence.pool().genesis;
                drop(finding.on_chain(evidence.pool(), Network::Regtest, |_| Some(genesis)));
            }
        }),
        1 => check::<AccountExport>(&bytes, |export| drop(export.verify())),
        2 => check::<Receipt>(&bytes, |receipt| {
            let (genesis, key, tag) = (BlockId([0; 32]), KeyHash([0; 32]), Bytes(b"/bq/".to_vec()));
            drop(receipt.verify(&PoolIdentity { network: Network::Regtest, genesis, key, tag }));
        }),
        3 => check::<SignedStatement>(&bytes, |statement| drop(statement.verify(|_, _, _| true))),
        _ => check::<LiabilityProof>(&bytes, |_| {}),
    }
});

fn check<D: Document>(bytes: &[u8], verify: impl Fn(&D)) {
    if let Ok(document) = D::from_bytes(bytes) {
        assert_eq!(document.to_bytes().expect("encodes"), bytes);
        verify(&document);
    }
}
