//! The wallet's commands against a node that holds a few coins.

use std::{fs, sync::Mutex};

use bq_chain_api::{
    BlockSummary, BoxStream, Coin, MiningInfo, NodeApi, NodeError, Route, SubmitBlockError, SubmitTransactionError,
    Template, TemplateRequest, TipSummary, TransactionStatus,
};
use bq_primitives::{
    Amount, Block, BlockId, Height, KeyHash, Network, OutPoint, Timestamp, Transaction, TxId, TxOut, Work,
};
use bq_wallet::{
    DEFAULT_FEE_RATE, Password, SendError, SpendError, Wallet, address_in_file, balance, new_wallet, send,
};
use tokio::sync::watch;
use tokio_stream::wrappers::WatchStream;

const GENESIS: BlockId = BlockId([1; 32]);

/// Holds coins and remembers what it was sent.
struct ShelfNode {
    coins: Vec<Coin>,
    sent: Mutex<Vec<Transaction>>,
    tip: watch::Sender<TipSummary>,
}

impl ShelfNode {
    fn new(coins: Vec<Coin>) -> Self {
        let tip = TipSummary {
            id: BlockId([2; 32]),
            height: Height(50),
            time: Timestamp(0),
            chain_work: Work::ZERO,
            next_bits: Vec::new(),
        };
        Self { coins, sent: Mutex::default(), tip: watch::channel(tip).0 }
    }

    fn unasked() -> NodeError {
        NodeError::Request("the wallet does not ask this".to_owned())
    }
}

impl NodeApi for ShelfNode {
    fn network(&self) -> Network {
        Network::Regtest
    }
    fn genesis_id(&self) -> BlockId {
        GENESIS
    }
    fn coinbase_maturity(&self) -> u32 {
        10
    }
    fn tip(&self) -> TipSummary {
        self.tip.borrow().clone()
    }
    fn tip_changes(&self) -> BoxStream<'static, TipSummary> {
        Box::pin(WatchStream::from_changes(self.tip.subscribe()))
    }
    fn template(&self, _: &TemplateRequest) -> Result<Template, NodeError> {
        Err(Self::unasked())
    }
    fn submit_block(&self, _: Block) -> Result<BlockId, SubmitBlockError> {
        Err(Self::unasked().into())
    }
    fn block(&self, _: &BlockId) -> Result<Option<Block>, NodeError> {
        Err(Self::unasked())
    }
    fn block_summary(&self, _: &BlockId) -> Result<Option<BlockSummary>, NodeError> {
        Err(Self::unasked())
    }
    fn block_id_at(&self, _: Height) -> Result<Option<BlockId>, NodeError> {
        Err(Self::unasked())
    }
    fn route(&self, _: &BlockId, _: usize) -> Result<Route, NodeError> {
        Err(Self::unasked())
    }
    fn coins_of(&self, key_hash: &KeyHash) -> Result<Vec<Coin>, NodeError> {
        Ok(self.coins.iter().filter(|coin| coin.output.key_hash == *key_hash).cloned().collect())
    }
    fn spender_of(&self, outpoint: &OutPoint) -> Result<Option<TxId>, NodeError> {
        let sent = self.sent.lock().map_err(|_| Self::unasked())?;
        Ok(sent.iter().find(|tx| tx.inputs.contains(outpoint)).map(Transaction::txid))
    }
    fn submit_transaction(&self, transaction: Transaction) -> Result<TxId, SubmitTransactionError> {
        let txid = transaction.txid();
        self.sent.lock().map_err(|_| Self::unasked())?.push(transaction);
        Ok(txid)
    }
    fn transaction_status(&self, _: &TxId) -> Result<TransactionStatus, NodeError> {
        Err(Self::unasked())
    }
    fn mining_info(&self) -> Result<MiningInfo, NodeError> {
        Err(Self::unasked())
    }
}

fn coin(index: u32, atoms: u64, height: u32, is_coinbase: bool, key_hash: KeyHash) -> Coin {
    let amount = Amount::from_atoms(atoms).expect("in range");
    Coin {
        outpoint: OutPoint { txid: TxId([3; 32]), index },
        output: TxOut { amount, key_hash },
        height: Height(height),
        is_coinbase,
    }
}

#[test]
fn a_payment_leaves_and_the_balance_tells() {
    let wallet = Wallet::from_seed(Network::Regtest, &[6; 32]).unwrap();
    let ours = wallet.key_hash();
    let node = ShelfNode::new(vec![
        coin(0, 50_000, 41, true, ours),
        coin(1, 70_000, 42, true, ours),
        coin(2, 20_000, 50, false, ours),
        coin(3, 99_000, 1, false, KeyHash([4; 32])),
    ]);
    let before = balance(&node, wallet.address()).unwrap();
    assert_eq!((before.spendable.0.as_str(), before.immature.0.as_str()), ("70000", "70000"));
    assert_eq!((before.pending.0.as_str(), before.coins), ("0", 3));

    let payment = TxOut { amount: Amount::from_atoms(30_000).unwrap(), key_hash: KeyHash([9; 32]) };
    let sent = send(&node, &wallet, vec![payment], DEFAULT_FEE_RATE).unwrap();
    assert_eq!((sent.amount.0.as_str(), sent.fee.0.as_str()), ("30000", "888"));
    assert_eq!(sent.change.0, "19112");
    {
        let taken = node.sent.lock().unwrap();
        let [transaction] = taken.as_slice() else { panic!("one transaction, got {}", taken.len()) };
        assert_eq!(transaction.txid().to_string(), sent.txid);
        let message = transaction.sighash(&GENESIS, &[node.coins[0].output]);
        let [witness] = transaction.witnesses.as_slice() else { panic!("one witness") };
        assert!(bq_signature::verify(&witness.public_key, &message, &witness.signature));
    }

    let after = balance(&node, wallet.address()).unwrap();
    assert_eq!((after.spendable.0.as_str(), after.pending.0.as_str()), ("20000", "50000"));
    let again = send(&node, &wallet, vec![payment], DEFAULT_FEE_RATE).unwrap_err();
    assert!(matches!(again, SendError::Spend(SpendError::InsufficientFunds { .. })), "{again}");
}

#[test]
fn another_network_is_refused() {
    let wallet = Wallet::from_seed(Network::Devnet, &[6; 32]).unwrap();
    let node = ShelfNode::new(Vec::new());
    let error = send(&node, &wallet, Vec::new(), DEFAULT_FEE_RATE).unwrap_err();
    assert_eq!(error.to_string(), "wallet is on devnet, the node on regtest");
    assert!(balance(&node, wallet.address()).is_err());
}

#[test]
fn new_makes_a_file_that_tells_its_address() {
    let dir = tempfile::tempdir().unwrap();
    let (path, password) = (dir.path().join("key.json"), dir.path().join("password"));
    fs::write(&password, "open sesame\n").unwrap();
    let made = new_wallet(Network::Regtest, &path, &password).unwrap();
    assert_eq!(address_in_file(&path).unwrap().to_string(), made.address);
    let json = serde_json::to_string(&made).unwrap();
    assert_eq!(json, format!("{{\"address\":\"{}\"}}", made.address));
    assert_eq!(Wallet::open(&path, &Password::new("open sesame")).unwrap().address().to_string(), made.address);
}
