use bq_pool_machine::{Credit, CreditsDigest, Event, LogNumber, Stated};
use bq_primitives::BlockId;

use super::world::{Pool, atoms, miner};
use crate::{CoinbaseProof, CreditFault, CreditProof, CreditReceipt, Document, Evidence, Finding, LogProof};

const FOUND: BlockId = BlockId([0x44; 32]);

fn credits(count: u8) -> Vec<Credit> {
    (1..=count).map(|number| Credit { payee: miner(number), amount: atoms(1000 * u64::from(number)) }).collect()
}

/// A pool that stated the credits of a block, some frames before the next one.
fn pool(credits: &[Credit]) -> (Pool, LogNumber) {
    let mut pool = Pool::busy(miner(0xee), b"/bq/", 2);
    let count = u32::try_from(credits.len()).expect("small");
    let digest = CreditsDigest::of(&FOUND, 3, credits);
    let number = pool.tell(Event::Stated(Stated::Credits { block: FOUND, generation: 3, count, digest }));
    pool.frame(&[1, 2]);
    pool.block(2);
    (pool, number)
}

fn receipt(pool: &Pool, number: LogNumber, credits: &[Credit], index: usize) -> CreditReceipt {
    let (last, block) = pool.blocks.last().expect("a block");
    let (at, end) = (usize::try_from(number.0).unwrap(), usize::try_from(last.0).unwrap());
    CreditReceipt {
        proof: CreditProof::of(credits, index).expect("a place"),
        log: LogProof::of(number, pool.heads[at - 1].hash, &pool.log[at - 1..end]).expect("encodes"),
        coinbase: CoinbaseProof::of(block),
    }
}

#[test]
fn every_credit_of_a_block_has_a_receipt() {
    for count in 1..=17 {
        let credits = credits(count);
        let (pool, number) = pool(&credits);
        for (index, credit) in credits.iter().enumerate() {
            let credited = receipt(&pool, number, &credits, index).verify(&pool.identity).expect("whole");
            assert_eq!((credited.credit, credited.block, credited.generation), (*credit, FOUND, 3));
            assert_eq!(pool.id_at(credited.anchor.height), Some(credited.anchor.block));
        }
        assert_eq!(CreditProof::of(&credits, credits.len()), None);
    }
}

#[test]
fn no_bit_of_it_is_free() {
    let credits = credits(6);
    let (pool, number) = pool(&credits);
    let receipt = receipt(&pool, number, &credits, 4);
    let proved = receipt.verify(&pool.identity).expect("whole");
    let evidence = Evidence::Credit { pool: pool.identity.clone(), receipt };
    let bytes = evidence.to_bytes().expect("encodes");
    for bit in 0..bytes.len() * 8 {
        let mut flipped = bytes.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        let Ok(other) = Evidence::from_bytes(&flipped) else { continue };
        let Ok(Finding::Credit(found)) = other.verify(|_, _, _| panic!("nothing is signed")) else { continue };
        // What only the chain binds is found there.
        let on_chain =
            Finding::Credit(found).on_chain(other.pool(), pool.identity.network, |height| pool.id_at(height));
        assert!(on_chain.is_err() || found == proved, "bit {bit}");
    }
}

#[test]
fn the_fault_says_which_part_is_wrong() {
    let credits = credits(6);
    let (pool, number) = pool(&credits);
    let good = receipt(&pool, number, &credits, 2);
    let fault = |change: &dyn Fn(&mut CreditReceipt)| {
        let mut receipt = good.clone();
        change(&mut receipt);
        receipt.verify(&pool.identity).expect_err("changed")
    };
    let event = number;
    let more = fault(&|receipt| receipt.proof.credit.amount = atoms(9999));
    assert_eq!(more, CreditFault::Digest { event });
    let place = fault(&|receipt| receipt.proof.index = 6);
    assert_eq!(place, CreditFault::Index { event, index: 6, count: 6 });
    let path = fault(&|receipt| {
        receipt.proof.path.pop();
    });
    assert!(matches!(path, CreditFault::PathLength { .. }), "{path:?}");
    let cut = fault(&|receipt| drop(receipt.log.events.pop()));
    assert!(matches!(cut, CreditFault::Head { .. }), "{cut:?}");
    let other = fault(&|receipt| drop(receipt.log.events.remove(0)));
    assert!(matches!(other, CreditFault::NotCredits(_)), "{other:?}");
}
