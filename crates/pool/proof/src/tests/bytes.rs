use super::world::{Dice, Pool, miner};
use crate::{AccountExport, Document, DocumentError, LiabilityProof, Receipt};

fn varint(mut value: u64) -> Vec<u8> {
    let mut out = Vec::new();
    while value >= 0x80 {
        out.push(u8::try_from(value & 0x7f).expect("7 bits") | 0x80);
        value >>= 7;
    }
    out.push(u8::try_from(value).expect("7 bits"));
    out
}

#[test]
fn a_document_has_one_byte_string() {
    let export = Pool::busy(miner(0xee), b"/bq/", 2).export(1);
    let bytes = export.to_bytes().expect("encodes");
    assert_eq!(AccountExport::from_bytes(&bytes), Ok(export));
    assert_eq!(AccountExport::from_bytes(&[]), Err(DocumentError::Empty));
    let newer = [&[2], &bytes[1..]].concat();
    assert_eq!(AccountExport::from_bytes(&newer), Err(DocumentError::Version(2)));
    let longer = [bytes.as_slice(), &[0]].concat();
    assert_eq!(AccountExport::from_bytes(&longer), Err(DocumentError::NotCanonical));
    // The network is 3: written with a needless byte it means the same.
    let padded = [&[1, 0x83, 0], &bytes[2..]].concat();
    assert!(matches!(AccountExport::from_bytes(&padded), Err(DocumentError::NotCanonical)), "{padded:?}");
    for length in 1..bytes.len() {
        assert!(matches!(AccountExport::from_bytes(&bytes[..length]), Err(DocumentError::Content(_))), "{length}");
    }
}

#[test]
fn a_count_is_not_believed() {
    let export = Pool::busy(miner(0xee), b"/bq/", 1).export(1);
    let empty = AccountExport { runs: Vec::new(), terms: None, ..export };
    let bytes = empty.to_bytes().expect("encodes");
    let (last, head) = bytes.split_last().expect("bytes");
    assert_eq!(*last, 0, "no runs");
    for count in [1, 1 << 20, 1 << 40, u64::MAX] {
        // Runs, then events of a run, then the bytes of one event.
        let runs = [head, &varint(count)].concat();
        let events = [&runs[..], &[1], &[0; 32], &varint(count)].concat();
        let event = [&events[..], &varint(count)].concat();
        for bytes in [runs, events, event] {
            assert!(matches!(AccountExport::from_bytes(&bytes), Err(DocumentError::Content(_))));
        }
    }
}

/// Whatever is read is written as it was.
fn read_and_write<D: Document>(bytes: &[u8]) -> bool {
    D::from_bytes(bytes).map(|read| assert_eq!(read.to_bytes().as_deref(), Ok(bytes))).is_ok()
}

#[test]
fn any_bytes_are_read_as_they_are_or_refused() {
    let good = Pool::busy(miner(0xee), b"/bq/", 2).export(1).to_bytes().expect("encodes");
    let mut dice = Dice(77);
    let mut read = 0;
    for _ in 0..3000 {
        let mut bytes = good.clone();
        for _ in 0..1 + dice.below(3) {
            let at = 1 + dice.below(bytes.len() - 1);
            bytes[at] = u8::try_from(dice.below(256)).expect("a byte");
        }
        bytes.truncate(bytes.len() - dice.below(2) * dice.below(bytes.len()));
        read += u32::from(read_and_write::<AccountExport>(&bytes));
        read_and_write::<Receipt>(&bytes);
        read_and_write::<LiabilityProof>(&bytes);
    }
    assert!((500..2500).contains(&read), "{read}");
}
