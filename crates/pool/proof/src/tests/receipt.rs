use bq_mining_message::{FrontEndId, SharePosition, ShareSequence};
use bq_pool_machine::LogNumber;

use super::world::{Pool, miner};
use crate::{CoinbaseProof, Document, LogProof, Receipt, ReceiptFault, ShareProof};

/// The receipt of one share, by the block after it.
fn receipt(pool: &Pool, frame: LogNumber, index: usize) -> Receipt {
    let (last, block) = pool.blocks.iter().find(|(number, _)| *number >= frame).expect("a block after it");
    let (at, end) = (usize::try_from(frame.0).unwrap(), usize::try_from(last.0).unwrap());
    Receipt {
        share: ShareProof::all_of(&pool.frames[&frame]).swap_remove(index),
        log: LogProof::of(frame, pool.heads[at - 1].hash, &pool.log[at - 1..end]).expect("encodes"),
        coinbase: CoinbaseProof::of(block),
    }
}

#[test]
fn every_share_before_a_block_has_a_receipt() {
    let pool = Pool::busy(miner(0xee), b"/bq/", 3);
    let mut sequence = 1;
    for (frame, shares) in &pool.frames {
        for (index, share) in shares.iter().enumerate() {
            let receipt = receipt(&pool, *frame, index);
            let proved = receipt.verify(&pool.identity).expect("whole");
            assert_eq!(&proved.share, share);
            let position = SharePosition { front_end: FrontEndId(0), sequence: ShareSequence(sequence) };
            assert_eq!((proved.position, proved.frame), (position, *frame));
            assert_eq!(pool.id_at(proved.anchor.height), Some(proved.anchor.block));
            assert_eq!(Receipt::from_bytes(&receipt.to_bytes().expect("encodes")), Ok(receipt));
            sequence += 1;
        }
    }
    assert!(sequence > 20);
}

#[test]
fn no_bit_of_a_receipt_is_free() {
    let pool = Pool::busy(miner(0xee), b"/bq/", 2);
    let (frame, _) = pool.frames.iter().nth(1).expect("frames");
    let receipt = receipt(&pool, *frame, 0);
    let proved = receipt.verify(&pool.identity).expect("whole");
    let bytes = receipt.to_bytes().expect("encodes");
    for bit in 0..bytes.len() * 8 {
        let mut flipped = bytes.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        let Ok(other) = Receipt::from_bytes(&flipped) else { continue };
        // What only the block's id binds is found on the chain.
        if let Ok(other) = other.verify(&pool.identity) {
            assert_ne!(pool.id_at(other.anchor.height), Some(other.anchor.block), "bit {bit}");
            assert_eq!((other.share, other.position), (proved.share.clone(), proved.position));
        }
    }
}

#[test]
fn the_fault_says_which_part_is_wrong() {
    let pool = Pool::busy(miner(0xee), b"/bq/", 3);
    let frames: Vec<LogNumber> = pool.frames.keys().copied().collect();
    let good = receipt(&pool, frames[3], 0);
    let fault = |change: &dyn Fn(&mut Receipt)| {
        let mut other = good.clone();
        change(&mut other);
        other.verify(&pool.identity).expect_err("changed")
    };
    let next = receipt(&pool, frames[7], 0);
    let elsewhere = fault(&|receipt| receipt.coinbase = next.coinbase.clone());
    assert!(matches!(elsewhere, ReceiptFault::Head { .. }), "{elsewhere}");
    let frame = fault(&|receipt| receipt.share = next.share.clone());
    assert!(matches!(frame, ReceiptFault::Share { frame, .. } if frame == frames[3]), "{frame}");
    let before = LogProof::of(LogNumber(1), pool.heads[0].hash, &pool.log).expect("encodes");
    assert_eq!(fault(&|receipt| receipt.log = before.clone()), ReceiptFault::NotAFrame(LogNumber(1)));
    let shorter = fault(&|receipt| receipt.log.events.truncate(1));
    assert!(matches!(shorter, ReceiptFault::Head { .. }), "{shorter}");
    assert!(matches!(fault(&|receipt| receipt.log.events.clear()), ReceiptFault::Log(_)));
    assert!(matches!(fault(&|receipt| receipt.coinbase.path.clear()), ReceiptFault::Coinbase(_)));
    let other = Pool::new(miner(0xdd), b"/bq/").identity;
    assert!(matches!(good.verify(&other), Err(ReceiptFault::Coinbase(_))));
}
