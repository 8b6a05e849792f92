use bq_chain_api::{
    Announcement, CoinbaseError, NodeApi, SubmitTransactionError, SyncApi, TemplateRequest, TransactionStatus,
};
use bq_primitives::{Algorithm, Amount, Height, TxId, TxOut};

use super::rig::{Rig, first_coin, key, next_now, output_of, seal_with, sha256d_params, spend};

const COIN: u64 = Amount::ATOMS_PER_COIN;
const FEE: u64 = 10_000;

/// A chain on which the first coinbase of `key(1)` can be spent in the next block.
fn rig() -> Rig {
    let rig = Rig::new(sha256d_params());
    rig.grow(Algorithm::Sha256d, &key(1));
    rig.grow(Algorithm::Sha256d, &key(9));
    rig
}

#[test]
fn a_payment_goes_from_mempool_to_chain() {
    let rig = rig();
    let (owner, payee, miner) = (key(1), key(2), key(3));
    let coin = first_coin(&rig.node, &owner);
    let payment = spend(&rig.node, &owner, coin, &payee, 20 * COIN, FEE);
    let child = spend(&rig.node, &payee, output_of(&payment, 0), &miner, 5 * COIN, FEE);
    let mut announcements = rig.node.announcements();

    assert_eq!(rig.node.transaction_status(&payment.txid()).unwrap(), TransactionStatus::Unknown);
    assert_eq!(rig.node.spender_of(&coin.0).unwrap(), None);
    rig.node.submit_transaction(payment.clone()).unwrap();
    rig.node.submit_transaction(child.clone()).unwrap();
    assert_eq!(rig.node.transaction_status(&payment.txid()).unwrap(), TransactionStatus::InMempool);
    assert_eq!(rig.node.spender_of(&coin.0).unwrap(), Some(payment.txid()));
    assert_eq!(rig.node.mempool_transaction(&child.txid()).as_deref(), Some(&child));
    assert_eq!(rig.node.mempool_txids(10).len(), 2);
    assert_eq!(rig.node.mining_info().unwrap().mempool_transactions, 2);
    assert!(matches!(next_now(&mut announcements).unwrap(), Announcement::Transaction(tx) if *tx == payment));
    let again = rig.node.submit_transaction(payment.clone()).unwrap_err();
    assert!(matches!(again, SubmitTransactionError::Duplicate));

    let template = rig.template(&miner);
    assert_eq!(template.fees, Amount::from_atoms(2 * FEE).unwrap());
    assert_eq!(*template.works[0].body.others, [payment.clone(), child.clone()]);
    let block = rig.grow(Algorithm::Sha256d, &miner);
    let confirmed = TransactionStatus::Confirmed { block_id: block.id(), height: Height(3), confirmations: 1 };
    assert_eq!(rig.node.transaction_status(&child.txid()).unwrap(), confirmed);
    assert_eq!(rig.node.spender_of(&coin.0).unwrap(), Some(payment.txid()));
    assert_eq!(rig.node.mempool_txids(10), []);
    assert_eq!(rig.balance(&payee), Amount::from_atoms(15 * COIN - FEE).unwrap());
    let earned = 50 * COIN + 2 * FEE + 5 * COIN;
    assert_eq!(rig.balance(&miner), Amount::from_atoms(earned).unwrap());
    let again = rig.node.submit_transaction(payment).unwrap_err();
    assert!(matches!(again, SubmitTransactionError::Duplicate));
}

/// A coinbase that is given to a template later, on top of transactions: the block is as valid as it was.
#[test]
fn a_coinbase_pays_whom_it_is_told_to_and_exactly_the_reward() {
    let rig = rig();
    let coin = first_coin(&rig.node, &key(1));
    rig.node.submit_transaction(spend(&rig.node, &key(1), coin, &key(2), 20 * COIN, FEE)).unwrap();
    rig.clock.advance(600);
    let request = TemplateRequest { outputs_max: 300, ..TemplateRequest::new(key(9).key_hash(), vec![0; 4]) };
    let mut template = rig.node.template(&request).unwrap();
    let algorithm = template.works[0].header.algorithm;
    let many = |count: u64| -> Vec<TxOut> {
        let part = template.reward.atoms() / count;
        let first = template.reward.atoms() - part * (count - 1);
        let amounts = std::iter::once(first).chain(std::iter::repeat_n(part, usize::try_from(count - 1).unwrap()));
        let payees = (4..7).cycle().map(|number| key(number).key_hash());
        amounts
            .zip(payees)
            .map(|(amount, key_hash)| TxOut { amount: Amount::from_atoms(amount).unwrap(), key_hash })
            .collect()
    };
    let (fits, too_many) = (many(300), many(301));
    let too_little = fits[1..].to_vec();
    let unchanged = template.works[0].header;
    assert!(matches!(template.set_coinbase(algorithm, too_many, vec![1; 4]), Err(CoinbaseError::TooHeavy { .. })));
    assert!(matches!(template.set_coinbase(algorithm, too_little, vec![1; 4]), Err(CoinbaseError::Sum { .. })));
    assert_eq!(template.works[0].header, unchanged);
    template.set_coinbase(algorithm, fits.clone(), vec![1; 4]).unwrap();
    assert_ne!(template.works[0].header.tx_root, unchanged.tx_root);

    let block = seal_with(&rig.node.pow, &template, algorithm);
    assert_eq!(rig.node.submit_block(block.clone()).unwrap(), block.id());
    assert_eq!((block.transactions.len(), &block.transactions[0].outputs), (2, &fits));
    let paid: Vec<Amount> = (4..7).map(|number| rig.balance(&key(number))).collect();
    assert_eq!(Amount::sum(paid).unwrap(), template.reward);
}

#[test]
fn a_double_spend_is_refused() {
    let rig = rig();
    let owner = key(1);
    let coin = first_coin(&rig.node, &owner);
    let first = spend(&rig.node, &owner, coin, &key(2), COIN, FEE);
    let second = spend(&rig.node, &owner, coin, &key(3), COIN, FEE);
    rig.node.submit_transaction(first).unwrap();
    assert!(matches!(rig.node.submit_transaction(second.clone()), Err(SubmitTransactionError::Invalid(_))));
    rig.grow(Algorithm::Sha256d, &key(9));
    assert!(matches!(rig.node.submit_transaction(second), Err(SubmitTransactionError::Invalid(_))));
}

#[test]
fn an_immature_or_unsigned_or_foreign_spend_is_refused() {
    let rig = rig();
    let refused = |transaction| {
        let error = rig.node.submit_transaction(transaction).unwrap_err();
        assert!(matches!(error, SubmitTransactionError::Invalid(_)), "{error}");
        error.to_string()
    };
    let immature = spend(&rig.node, &key(9), first_coin(&rig.node, &key(9)), &key(2), COIN, FEE);
    assert!(refused(immature).contains("from height 4"));
    let coin = first_coin(&rig.node, &key(1));
    let thief = spend(&rig.node, &key(5), coin, &key(5), COIN, FEE);
    assert!(refused(thief).contains("key hashes to"));
    let mut tampered = spend(&rig.node, &key(1), coin, &key(2), COIN, FEE);
    tampered.outputs[0].key_hash = key(5).key_hash();
    assert!(refused(tampered).contains("signature"));
    let mut unknown = coin;
    unknown.0.index = 7;
    assert!(refused(spend(&rig.node, &key(1), unknown, &key(2), COIN, FEE)).contains("does not exist"));
    assert!(refused(rig.template(&key(1)).works[0].body.coinbase.as_ref().clone()).contains("coinbase"));
    assert_eq!(rig.node.mempool_txids(10), []);
}

#[test]
fn a_page_of_the_mempool_goes_on_after_an_id_and_stops_at_its_limits() {
    let rig = Rig::new(sha256d_params());
    let owner = key(1);
    rig.grow_by(6, &owner);
    let mut sent = Vec::new();
    for coin in rig.node.coins_of(&owner.key_hash()).unwrap().into_iter().take(4) {
        let payment = spend(&rig.node, &owner, (coin.outpoint, coin.output), &key(2), COIN, FEE);
        rig.node.submit_transaction(payment.clone()).unwrap();
        sent.push(payment);
    }
    sent.sort_by_key(bq_primitives::Transaction::txid);
    let length = sent[0].to_bytes().len();
    let page = |after: &TxId, each_max, bytes_max| {
        let page = rig.node.mempool_page(after, each_max, bytes_max);
        page.iter().map(|transaction| transaction.as_ref().clone()).collect::<Vec<_>>()
    };
    assert_eq!(page(&TxId::ZERO, usize::MAX, usize::MAX), sent);
    assert_eq!(page(&sent[1].txid(), usize::MAX, usize::MAX), sent[2..]);
    assert_eq!(page(&TxId::ZERO, length, 2 * length + 1), sent[..2]);
    assert_eq!(page(&TxId::ZERO, length - 1, usize::MAX), [], "each is too long");
    assert_eq!(page(&sent[3].txid(), usize::MAX, usize::MAX), []);
}
