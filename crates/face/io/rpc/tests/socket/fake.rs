//! A node of three blocks, a miner and a peer, all made up, whose answers the tests know.
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use bq_chain_api::{
    AddHeadersError, AddNodeError, AlgorithmDifficultyView, Announcement, BlockSummary, BoxStream, Coin,
    DifficultyForecastView, DifficultyView, HeaderTip, HeadersAdded, MiningInfo, NodeApi, NodeError, PeerInfo,
    PeerKind, PeerNetwork, Route, SubmitBlockError, SubmitTransactionError, SyncApi, Template, TemplateRequest,
    TemplateWork, TipSummary, TransactionStatus,
};
use bq_mining_message::{AlgorithmMining, MiningChange, MiningControl, MiningControlError, MiningStatus};
use bq_pool_machine::{Decision, DecisionError, LogHead, LogNumber, PoolOperator, PoolStatus, Reason, State};
use bq_primitives::{
    Address, Algorithm, Amount, Block, BlockId, CoinbasePaths, CompactTarget, ExtraNonce, Header, Height, KeyHash,
    MerkleRoot, Network, OutPoint, PUBLIC_KEY_BYTES, PowKey, SIGNATURE_BYTES, Seal, SealedHeader, Target, Timestamp,
    Transaction, TxId, TxOut, U256, UnsealedBody, Witness, Work,
};
use tokio::sync::{broadcast, watch};
use tokio_stream::{
    StreamExt as _,
    wrappers::{BroadcastStream, WatchStream},
};

pub(crate) const BITS: CompactTarget = CompactTarget(0x2000_7fff);

pub(crate) struct FakeNode {
    pub(crate) blocks: Vec<Block>,
    pub(crate) tips: watch::Sender<TipSummary>,
    pub(crate) refuse_block: Mutex<Option<SubmitBlockError>>,
    pub(crate) refuse_transaction: Mutex<Option<SubmitTransactionError>>,
    pub(crate) fail: Mutex<Option<NodeError>>,
    news: broadcast::Sender<Announcement>,
}

pub(crate) fn key_hash() -> KeyHash {
    KeyHash([7; 32])
}

pub(crate) fn spend() -> Transaction {
    let witness = Witness { public_key: Box::new([1; PUBLIC_KEY_BYTES]), signature: Box::new([2; SIGNATURE_BYTES]) };
    Transaction {
        version: 1,
        inputs: vec![OutPoint { txid: TxId([9; 32]), index: 1 }],
        outputs: vec![TxOut { amount: amount(123), key_hash: key_hash() }],
        lock_height: Height(2),
        coinbase_data: Vec::new(),
        witnesses: vec![witness],
    }
}

pub(crate) fn amount(atoms: u64) -> Amount {
    Amount::from_atoms(atoms).unwrap()
}

pub(crate) fn seal(algorithm: Algorithm) -> Seal {
    let extranonce = ExtraNonce([5; 16]);
    match algorithm {
        Algorithm::Sha256d => Seal::Sha256d { extranonce, version: 1, ntime: 2, nonce: 3 },
        Algorithm::RandomX => Seal::RandomX { extranonce, nonce: 4 },
        Algorithm::Ethash => Seal::Ethash { extranonce, nonce: 5, mix: [6; 32] },
    }
}

fn header(parent_id: BlockId, height: u32, algorithm: Algorithm) -> Header {
    Header {
        version: 1,
        parent_id,
        tx_root: MerkleRoot([3; 32]),
        witness_root: MerkleRoot([4; 32]),
        time: Timestamp(1_700_000_000 + u64::from(height)),
        height: Height(height),
        bits: BITS,
        algorithm,
    }
}

pub(crate) fn child(parent_id: BlockId, height: u32) -> Block {
    let algorithm = Algorithm::ALL[height as usize % Algorithm::COUNT];
    let reward = vec![TxOut { amount: amount(5_000_000_000), key_hash: key_hash() }];
    let coinbase = Transaction::coinbase(Height(height), reward, b"fake".to_vec());
    Block { header: header(parent_id, height, algorithm), seal: seal(algorithm), transactions: vec![coinbase] }
}

impl FakeNode {
    pub(crate) fn new() -> Arc<Self> {
        let mut blocks = vec![child(BlockId::ZERO, 0)];
        for height in 1..3 {
            blocks.push(child(blocks.last().unwrap().id(), height));
        }
        blocks[2].transactions.push(spend());
        let tips = watch::Sender::new(summary(&blocks[2]));
        Arc::new(Self {
            blocks,
            tips,
            refuse_block: Mutex::default(),
            refuse_transaction: Mutex::default(),
            fail: Mutex::default(),
            news: broadcast::Sender::new(1),
        })
    }

    fn healthy(&self) -> Result<(), NodeError> {
        self.fail.lock().unwrap().clone().map_or(Ok(()), Err)
    }
}

pub(crate) fn summary(block: &Block) -> TipSummary {
    TipSummary {
        id: block.id(),
        height: block.header.height,
        time: block.header.time,
        chain_work: Work(U256::from(0x1234_5678_9abc_u64)),
        next_bits: vec![(Algorithm::Sha256d, BITS), (Algorithm::Ethash, CompactTarget(0x1f00_ffff))],
    }
}

impl NodeApi for FakeNode {
    fn network(&self) -> Network {
        Network::Regtest
    }

    fn genesis_id(&self) -> BlockId {
        self.blocks[0].id()
    }

    fn coinbase_maturity(&self) -> u32 {
        2
    }

    fn tip(&self) -> TipSummary {
        self.tips.borrow().clone()
    }

    fn tip_changes(&self) -> BoxStream<'static, TipSummary> {
        Box::pin(WatchStream::from_changes(self.tips.subscribe()))
    }

    fn template(&self, request: &TemplateRequest) -> Result<Template, NodeError> {
        self.healthy()?;
        let (tip, reward) = (self.tip(), amount(5_000_000_010));
        let height = tip.height.next().unwrap();
        let outputs = vec![TxOut { amount: reward, key_hash: request.payout }];
        let coinbase = Transaction::coinbase(height, outputs, request.coinbase_data.clone());
        let body = UnsealedBody::of_transactions(vec![coinbase, spend()]).unwrap();
        let keys = [PowKey::Sha256d, PowKey::RandomX(self.genesis_id()), PowKey::Ethash(3)];
        let work = |(algorithm, key)| TemplateWork {
            header: header(tip.id, height.0, algorithm),
            target: BITS.decode().unwrap(),
            key,
            body: body.clone(),
        };
        Ok(Template {
            parent_id: tip.id,
            height,
            reward,
            fees: amount(10),
            coinbase_weight_max: body.coinbase.weight().unwrap(),
            paths: CoinbasePaths::of([spend()].iter().map(|spend| (spend.txid(), spend.wtxid()))),
            works: Algorithm::ALL.into_iter().zip(keys).map(work).collect(),
        })
    }

    fn submit_block(&self, block: Block) -> Result<BlockId, SubmitBlockError> {
        self.refuse_block.lock().unwrap().take().map_or_else(|| Ok(block.id()), Err)
    }

    fn block(&self, id: &BlockId) -> Result<Option<Block>, NodeError> {
        self.healthy()?;
        Ok(self.blocks.iter().find(|block| block.id() == *id).cloned())
    }

    fn block_summary(&self, id: &BlockId) -> Result<Option<BlockSummary>, NodeError> {
        let block = self.block(id)?;
        Ok(block.map(|block| BlockSummary {
            id: *id,
            header: block.header,
            seal: block.seal,
            chain_work: Work(U256::from(block.header.height.0)),
            // The first block lies on a side branch, as far as the tests are concerned.
            confirmations: 3_u32.checked_sub(block.header.height.0).filter(|count| *count < 3),
        }))
    }

    fn block_id_at(&self, height: Height) -> Result<Option<BlockId>, NodeError> {
        self.healthy()?;
        Ok(self.blocks.get(height.0 as usize).map(Block::id))
    }

    fn route(&self, _: &BlockId, _: usize) -> Result<Route, NodeError> {
        Err(NodeError::Request("no RPC method asks this".to_owned()))
    }

    fn coins_of(&self, key_hash: &KeyHash) -> Result<Vec<Coin>, NodeError> {
        self.healthy()?;
        let coin = |block: &Block| Coin {
            outpoint: OutPoint { txid: block.transactions[0].txid(), index: 0 },
            output: block.transactions[0].outputs[0],
            height: block.header.height,
            is_coinbase: true,
        };
        Ok(self.blocks.iter().map(coin).filter(|coin| coin.output.key_hash == *key_hash).collect())
    }

    fn spender_of(&self, outpoint: &OutPoint) -> Result<Option<TxId>, NodeError> {
        self.healthy()?;
        Ok((*outpoint == spend().inputs[0]).then(|| spend().txid()))
    }

    fn submit_transaction(&self, transaction: Transaction) -> Result<TxId, SubmitTransactionError> {
        self.refuse_transaction.lock().unwrap().take().map_or_else(|| Ok(transaction.txid()), Err)
    }

    fn transaction_status(&self, txid: &TxId) -> Result<TransactionStatus, NodeError> {
        self.healthy()?;
        let holds = |block: &&Block| block.transactions.iter().any(|transaction| transaction.txid() == *txid);
        Ok(match self.blocks.iter().find(holds) {
            Some(block) => TransactionStatus::Confirmed {
                block_id: block.id(),
                height: block.header.height,
                confirmations: 3 - block.header.height.0,
            },
            None if *txid == waiting().txid() => TransactionStatus::InMempool,
            None => TransactionStatus::Unknown,
        })
    }

    fn mining_info(&self) -> Result<MiningInfo, NodeError> {
        self.healthy()?;
        Ok(MiningInfo {
            tip: self.tip(),
            network_hashrate: vec![(Algorithm::Sha256d, 1e9), (Algorithm::Ethash, 12.5)],
            mempool_transactions: 1,
            mempool_weight: 500,
            peers: 4,
        })
    }

    fn difficulty(&self) -> Result<DifficultyView, NodeError> {
        self.healthy()?;
        let algorithm = AlgorithmDifficultyView {
            last_difficulty: hashes(512),
            difficulty: hashes(640),
            bits: CompactTarget(0x2000_7fff),
            target: Target(U256::ZERO),
            base_difficulty: Some(hashes(520)),
            easing_percent: -20.0,
            lag_secs: -1_740,
            burst_active: true,
            state: "burst cap active: 11 blocks in 31 % of the expected time".to_owned(),
            hashrate_1h: 12.5,
            hashrate_24h: 4.25,
            forecast: vec![DifficultyForecastView { hours: 1, difficulty: hashes(700), blocks: 6 }],
        };
        Ok(DifficultyView {
            height: Height(2),
            tip_id: self.tip().id,
            algorithms: BTreeMap::from([(Algorithm::Sha256d, algorithm)]),
        })
    }
}

fn hashes(hashes: u64) -> Work {
    Work(U256::from(hashes))
}

/// The transaction in the mempool.
pub(crate) fn waiting() -> Transaction {
    Transaction { version: 2, ..spend() }
}

impl SyncApi for FakeNode {
    fn best_header(&self) -> HeaderTip {
        let tip = self.tip();
        HeaderTip { id: tip.id, height: Height(tip.height.0 + 5), chain_work: tip.chain_work }
    }

    fn has_header(&self, _: &BlockId) -> bool {
        false
    }

    fn locator(&self) -> Vec<BlockId> {
        Vec::new()
    }

    fn headers_after(&self, _: &[BlockId], _: usize) -> Result<Vec<SealedHeader>, NodeError> {
        Err(NodeError::Closed)
    }

    fn add_headers(&self, _: &[SealedHeader]) -> Result<HeadersAdded, AddHeadersError> {
        Err(NodeError::Closed.into())
    }

    fn missing_bodies(&self, _: usize) -> Vec<BlockId> {
        Vec::new()
    }

    fn mempool_transaction(&self, txid: &TxId) -> Option<Arc<Transaction>> {
        Some(waiting()).filter(|transaction| transaction.txid() == *txid).map(Arc::new)
    }

    fn mempool_page(&self, _: &TxId, _: usize, _: usize) -> Vec<Arc<Transaction>> {
        vec![Arc::new(waiting())]
    }

    fn mempool_txids(&self, _: usize) -> Vec<TxId> {
        vec![waiting().txid()]
    }

    fn announcements(&self) -> BoxStream<'static, Announcement> {
        Box::pin(BroadcastStream::new(self.news.subscribe()).filter_map(Result::ok))
    }

    fn set_peers(&self, _: usize) {}
}

pub(crate) struct FakeMiner(Mutex<MiningStatus>);

impl FakeMiner {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self(Mutex::new(MiningStatus {
            enabled: true,
            threads: 1,
            algorithms: vec![Algorithm::RandomX],
            hashrate: vec![(Algorithm::RandomX, 321.5)],
            blocks_found: 9,
            details: vec![AlgorithmMining {
                algorithm: Algorithm::RandomX,
                is_active: true,
                hashrates: [Some(320.0), Some(321.5), None],
                measured_hashrate: Some(322.0),
                expected_reward: Some(1000.5),
                accepted: 5,
                rejected: 1,
                stale: 2,
                lost: 0,
            }],
            sha256d_kernel: Some("avx2"),
            gpus: vec!["none: no CUDA driver (libcuda.so.1 not found)".to_owned()],
            ..MiningStatus::default()
        })))
    }
}

impl MiningControl for FakeMiner {
    fn mining_status(&self) -> MiningStatus {
        self.0.lock().unwrap().clone()
    }

    fn set_mining(&self, change: &MiningChange) -> Result<MiningStatus, MiningControlError> {
        if change.threads.is_some_and(|threads| threads > 8) {
            return Err(MiningControlError { field: "threads", reason: "at most 8".to_owned() });
        }
        let mut status = self.0.lock().unwrap();
        status.enabled = change.enabled.unwrap_or(status.enabled);
        status.paused = change.paused.unwrap_or(status.paused);
        status.mode = change.mode.unwrap_or(status.mode);
        status.threads = change.threads.unwrap_or(status.threads);
        status.algorithms = change.algorithms.clone().unwrap_or_else(|| status.algorithms.clone());
        Ok(status.clone())
    }
}

pub(crate) struct FakePeers;

impl PeerNetwork for FakePeers {
    fn peers(&self) -> Vec<PeerInfo> {
        let peer = PeerInfo {
            id: "12D3KooW".to_owned(),
            address: "/ip4/192.0.2.1/tcp/8333".to_owned(),
            is_inbound: false,
            kind: PeerKind::Automatic,
            agent: "bq/0.1.0".to_owned(),
            connected_secs: 60,
            height: Some(Height(2)),
            misbehavior: 5,
        };
        vec![peer.clone(), PeerInfo { height: None, is_inbound: true, ..peer }]
    }

    fn add_node(&self, address: &str) -> Result<(), AddNodeError> {
        match address {
            "192.0.2.1:8333" => Ok(()),
            "full:1" => Err(AddNodeError::TooMany(64)),
            "closing:1" => Err(AddNodeError::Closed),
            other => Err(AddNodeError::Address(other.to_owned())),
        }
    }
}

/// Repeats what it is told.
pub(crate) struct FakePool;

pub(crate) fn pool_address() -> String {
    Address { network: Network::Regtest, key_hash: KeyHash([5; 32]) }.to_string()
}

impl PoolOperator for FakePool {
    fn network(&self) -> Network {
        Network::Regtest
    }

    fn pool_status(&self) -> PoolStatus {
        PoolStatus {
            address: Address::parse(&pool_address(), Network::Regtest).ok(),
            head: LogHead { number: LogNumber(7), ..LogHead::default() },
            ..PoolStatus::of(&State::default())
        }
    }

    fn account_settings(&self, _: &KeyHash) -> Option<bq_pool_machine::AccountSettings> {
        None
    }

    fn decide(&self, decision: &Decision, reason: &Reason, dry_run: bool) -> Result<String, DecisionError> {
        match decision {
            Decision::Resume => Err(DecisionError::State("payouts are not paused".to_owned())),
            Decision::AdoptRefill(txid) => Ok(format!("AdoptRefill({txid}) {} {} {dry_run}", reason.why, reason.who)),
            other => Ok(format!("{other:?} {} {} {dry_run}", reason.why, reason.who)),
        }
    }

    fn back_up(&self, folder: &std::path::Path, dry_run: bool) -> Result<String, DecisionError> {
        Ok(format!("{} {dry_run}", folder.display()))
    }
}
