//! The JSON of every answer. `docs/rpc.md` shows an example of each.
use std::collections::BTreeMap;

use bq_chain_api::{BlockSummary, Coin, PeerInfo, TransactionStatus};
use bq_mining_message::{AlgorithmMining, MiningStatus};
use bq_primitives::{Address, Algorithm, Amount, Block, CompactTarget, Network, PowKey, Transaction};
use serde::{Deserialize, Serialize};

/// An amount: exact atoms, and coins for people. Both are strings, so that no reader rounds them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AmountShape {
    /// Atoms, decimal.
    pub atoms: String,
    /// Coins with eight decimals.
    pub coins: String,
}

impl From<Amount> for AmountShape {
    fn from(amount: Amount) -> Self {
        Self { atoms: amount.atoms().to_string(), coins: amount.to_string() }
    }
}

/// `getblockchaininfo`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlockchainInfo {
    /// `mainnet`, `testnet`, `devnet` or `regtest`.
    pub chain: String,
    /// Id of the genesis block.
    pub genesishash: String,
    /// Height of the tip.
    pub blocks: u32,
    /// Height of the best header.
    pub headers: u32,
    /// Id of the tip.
    pub bestblockhash: String,
    /// Time of the tip, seconds since 1970.
    pub time: u64,
    /// Sum of block weights up to the tip, hex.
    pub chainwork: String,
    /// Confirmations before a coinbase output may be spent.
    pub coinbasematurity: u32,
    /// The bits that the next block needs, by algorithm.
    pub nextbits: BTreeMap<String, String>,
}

/// `getdifficulty`: expected hashes for the next block, by algorithm, as decimal strings.
pub type DifficultyShape = BTreeMap<String, String>;

/// `getmininginfo`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MiningInfoShape {
    /// Which chain.
    pub chain: String,
    /// Height of the tip.
    pub blocks: u32,
    /// Id of the tip.
    pub bestblockhash: String,
    /// Expected hashes for the next block, by algorithm.
    pub difficulty: DifficultyShape,
    /// The bits that the next block needs, by algorithm.
    pub nextbits: BTreeMap<String, String>,
    /// Hashes per second over the last hour of chain time, by algorithm.
    pub networkhashps: BTreeMap<String, f64>,
    /// Transactions waiting.
    pub pooledtx: usize,
    /// Their weight.
    pub pooledweight: u64,
    /// Connected peers.
    pub connections: usize,
}

/// `getblockheader`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlockHeaderShape {
    /// The block's id.
    pub hash: String,
    /// Blocks from it to the tip, itself included; -1 when it lies on a side branch.
    pub confirmations: i64,
    /// Its height.
    pub height: u32,
    /// Format of the block.
    pub version: u32,
    /// Algorithm name.
    pub algorithm: String,
    /// Its time, seconds since 1970.
    pub time: u64,
    /// Its bits, eight hex digits.
    pub bits: String,
    /// Root of the transaction ids.
    pub merkleroot: String,
    /// Root of the witness transaction ids.
    pub witnessroot: String,
    /// Sum of block weights up to it, hex.
    pub chainwork: String,
    /// Its parent.
    pub previousblockhash: String,
    /// Header (120 bytes) and seal in hex.
    pub hex: String,
}

impl From<&BlockSummary> for BlockHeaderShape {
    fn from(summary: &BlockSummary) -> Self {
        let header = &summary.header;
        let bytes = [header.to_bytes().as_slice(), &summary.seal.to_bytes()].concat();
        Self {
            hash: summary.id.to_string(),
            confirmations: summary.confirmations.map_or(-1, i64::from),
            height: header.height.0,
            version: header.version,
            algorithm: header.algorithm.name().to_owned(),
            time: header.time.0,
            bits: header.bits.to_string(),
            merkleroot: header.tx_root.to_string(),
            witnessroot: header.witness_root.to_string(),
            chainwork: summary.chain_work.to_string(),
            previousblockhash: header.parent_id.to_string(),
            hex: hex::encode(bytes),
        }
    }
}

/// `getblock` with verbosity 1 (transaction ids) or 2 (whole transactions).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlockShape {
    /// As in `getblockheader`.
    #[serde(flatten)]
    pub header: BlockHeaderShape,
    /// Bytes of the encoded block.
    pub size: usize,
    /// Weight units.
    pub weight: u64,
    /// Number of transactions.
    #[serde(rename = "nTx")]
    pub transaction_count: usize,
    /// Verbosity 1: transaction ids, the coinbase first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tx: Vec<String>,
    /// Verbosity 2: the transactions.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub transactions: Vec<TransactionShape>,
}

impl BlockShape {
    pub(crate) fn new(network: Network, block: &Block, summary: &BlockSummary, with_transactions: bool) -> Self {
        let whole = |transaction: &Transaction| TransactionShape::new(network, transaction);
        let txids = || block.transactions.iter().map(|transaction| transaction.txid().to_string()).collect();
        Self {
            header: summary.into(),
            size: block.to_bytes().len(),
            // A stored block was weighed before.
            weight: block.weight().map_or(u64::MAX, |weight| weight.units()),
            transaction_count: block.transactions.len(),
            tx: if with_transactions { Vec::new() } else { txids() },
            transactions: if with_transactions { block.transactions.iter().map(whole).collect() } else { Vec::new() },
        }
    }
}

/// A decoded transaction.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TransactionShape {
    /// Hash of the base part.
    pub txid: String,
    /// Hash of base part and witness.
    pub hash: String,
    /// Format of the transaction.
    pub version: u32,
    /// Bytes of the encoding.
    pub size: usize,
    /// Weight units.
    pub weight: u64,
    /// The lowest height of a block that may contain it.
    pub locktime: u32,
    /// What it spends; empty for a coinbase.
    pub vin: Vec<PrevoutShape>,
    /// What it makes.
    pub vout: Vec<OutputShape>,
    /// A coinbase's free data in hex.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub coinbase: Option<String>,
    /// The whole encoding in hex.
    pub hex: String,
    /// The block that holds it, if it is confirmed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blockhash: Option<String>,
    /// Blocks from there to the tip; 0 while it waits.
    #[serde(default)]
    pub confirmations: u32,
}

/// Names an output: in `vin`, and in the question and answer of `gettxspendingprevout`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PrevoutShape {
    /// The transaction that made it.
    pub txid: String,
    /// Position among its outputs.
    pub vout: u32,
    /// The transaction that spends it, in `gettxspendingprevout`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spendingtxid: Option<String>,
}

/// One output of a transaction.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutputShape {
    /// Position.
    pub n: u32,
    /// How much.
    pub value: AmountShape,
    /// Whose.
    pub address: String,
}

impl TransactionShape {
    pub(crate) fn new(network: Network, transaction: &Transaction) -> Self {
        let bytes = transaction.to_bytes();
        let vin = transaction.inputs.iter().filter(|_| !transaction.is_coinbase());
        let vout = transaction.outputs.iter().zip(0..).map(|(output, n)| OutputShape {
            n,
            value: output.amount.into(),
            address: Address { network, key_hash: output.key_hash }.to_string(),
        });
        Self {
            txid: transaction.txid().to_string(),
            hash: transaction.wtxid().to_string(),
            version: transaction.version,
            size: bytes.len(),
            weight: transaction.weight().map_or(u64::MAX, |weight| weight.units()),
            locktime: transaction.lock_height.0,
            vin: vin
                .map(|input| PrevoutShape { txid: input.txid.to_string(), vout: input.index, spendingtxid: None })
                .collect(),
            vout: vout.collect(),
            coinbase: transaction.is_coinbase().then(|| hex::encode(&transaction.coinbase_data)),
            hex: hex::encode(bytes),
            blockhash: None,
            confirmations: 0,
        }
    }
}

/// `gettransactionstatus`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "status", rename_all = "snake_case")]
pub enum TransactionStatusShape {
    /// Never seen, evicted, or replaced.
    Unknown,
    /// Waits for a block.
    Mempool,
    /// In the best chain.
    Confirmed {
        /// The block that holds it.
        blockhash: String,
        /// Its height.
        height: u32,
        /// Blocks from it to the tip, itself included.
        confirmations: u32,
    },
}

impl From<TransactionStatus> for TransactionStatusShape {
    fn from(status: TransactionStatus) -> Self {
        match status {
            TransactionStatus::Unknown => Self::Unknown,
            TransactionStatus::InMempool => Self::Mempool,
            TransactionStatus::Confirmed { block_id, height, confirmations } => {
                Self::Confirmed { blockhash: block_id.to_string(), height: height.0, confirmations }
            }
        }
    }
}

/// `getblocktemplate`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TemplateShape {
    /// The tip it builds on.
    pub previousblockhash: String,
    /// Pass it back to wait for the next tip.
    pub longpollid: String,
    /// Height of the block to be.
    pub height: u32,
    /// Subsidy and fees: the sum of the coinbase's outputs.
    pub coinbasevalue: AmountShape,
    /// Fees alone.
    pub fees: AmountShape,
    /// The coinbase of the first of the works, then the transactions that the blocks of all have.
    pub transactions: Vec<TemplateTransactionShape>,
    /// One candidate header per active algorithm.
    pub works: Vec<TemplateWorkShape>,
}

/// A transaction of a template.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TemplateTransactionShape {
    /// The encoding in hex.
    pub data: String,
    /// Its id.
    pub txid: String,
    /// Weight units.
    pub weight: u64,
}

/// One candidate header of a template.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TemplateWorkShape {
    /// Algorithm name.
    pub algorithm: String,
    /// The 120 header bytes in hex: append a seal and the transactions to get the block.
    pub header: String,
    /// What every algorithm works on.
    pub sealhash: String,
    /// Eight hex digits.
    pub bits: String,
    /// What the bits decode to, 64 hex digits, most significant first.
    pub target: String,
    /// Which table the algorithm uses.
    pub key: KeyShape,
    /// The coinbase that the header commits to: first of the block's transactions, in place of the template's.
    pub coinbase: TemplateTransactionShape,
}

/// Which table an algorithm uses.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeyShape {
    /// SHA-256d has none.
    None,
    /// RandomX: the key block's id.
    KeyBlock(String),
    /// Ethash: the epoch.
    Epoch(u32),
}

impl From<PowKey> for KeyShape {
    fn from(key: PowKey) -> Self {
        match key {
            PowKey::Sha256d => Self::None,
            PowKey::RandomX(block) => Self::KeyBlock(block.to_string()),
            PowKey::Ethash(epoch) => Self::Epoch(epoch),
        }
    }
}

/// `getcoins`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CoinsShape {
    /// Whose.
    pub address: String,
    /// Height of the tip that this is true for.
    pub height: u32,
    /// Sum of all coins.
    pub total: AmountShape,
    /// Every unspent output, oldest first.
    pub coins: Vec<CoinShape>,
}

/// One unspent output.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CoinShape {
    /// The transaction that made it.
    pub txid: String,
    /// Position among its outputs.
    pub vout: u32,
    /// How much.
    pub value: AmountShape,
    /// Height of the block that holds it.
    pub height: u32,
    /// Made by a coinbase.
    pub coinbase: bool,
    /// May be spent in the next block, unless a waiting transaction does.
    pub mature: bool,
}

impl CoinShape {
    pub(crate) fn new(coin: &Coin, tip: u32, maturity: u32) -> Self {
        let age = tip.saturating_add(1).saturating_sub(coin.height.0);
        Self {
            txid: coin.outpoint.txid.to_string(),
            vout: coin.outpoint.index,
            value: coin.output.amount.into(),
            height: coin.height.0,
            coinbase: coin.is_coinbase,
            mature: !coin.is_coinbase || age >= maturity,
        }
    }
}

/// `getminingconfig` and `setminingconfig`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MiningConfigShape {
    /// Switched on.
    pub enabled: bool,
    /// Worker threads in all.
    pub threads: usize,
    /// What it may mine.
    pub algorithms: Vec<String>,
    /// Hashes per second over the last minute, by algorithm.
    pub hashrate: BTreeMap<String, f64>,
    /// Blocks found since start.
    pub blocksfound: u64,
    /// Connections are kept and nothing is hashed.
    pub paused: bool,
    /// How threads choose among the algorithms: `turns` or `auto`.
    pub mode: String,
    /// What `auto` mines now.
    pub choice: Option<String>,
    /// More about each algorithm that has a pool.
    pub details: BTreeMap<String, AlgorithmMiningShape>,
    /// The SHA-256d kernel in use.
    pub sha256dkernel: Option<String>,
    /// Per GPU, what it is and what became of it; or one line on why there is none. Empty if none was asked for.
    pub gpus: Vec<String>,
}

/// What the built-in miner knows of one algorithm.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AlgorithmMiningShape {
    /// May be mined now.
    pub active: bool,
    /// Hashes per second over 10 seconds, 60 seconds, 15 minutes; `null` while it has not run that long.
    pub hashrates: [Option<f64>; 3],
    /// Hashes per second of all threads together, if they mined nothing else.
    pub measured: Option<f64>,
    /// Atoms per second that all threads together would earn on average.
    pub expectedreward: Option<f64>,
    /// Shares that the pool credited.
    pub accepted: u64,
    /// Shares that the pool refused.
    pub rejected: u64,
    /// Shares that came too late.
    pub stale: u64,
    /// Shares that no pool heard of.
    pub lost: u64,
}

impl From<AlgorithmMining> for AlgorithmMiningShape {
    fn from(mining: AlgorithmMining) -> Self {
        Self {
            active: mining.is_active,
            hashrates: mining.hashrates,
            measured: mining.measured_hashrate,
            expectedreward: mining.expected_reward,
            accepted: mining.accepted,
            rejected: mining.rejected,
            stale: mining.stale,
            lost: mining.lost,
        }
    }
}

impl From<MiningStatus> for MiningConfigShape {
    fn from(status: MiningStatus) -> Self {
        Self {
            enabled: status.enabled,
            threads: status.threads,
            algorithms: status.algorithms.iter().map(|algorithm| algorithm.name().to_owned()).collect(),
            hashrate: by_name(status.hashrate),
            blocksfound: status.blocks_found,
            paused: status.paused,
            mode: status.mode.name().to_owned(),
            choice: status.choice.map(|algorithm| algorithm.name().to_owned()),
            details: by_name(status.details.into_iter().map(|mining| (mining.algorithm, mining.into()))),
            sha256dkernel: status.sha256d_kernel.map(str::to_owned),
            gpus: status.gpus,
        }
    }
}

/// One entry of `getpeerinfo`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PeerShape {
    /// Name of its key.
    pub id: String,
    /// Where it is, as a multiaddress.
    pub addr: String,
    /// It connected to us.
    pub inbound: bool,
    /// Who wanted the connection: `inbound`, `manual`, `automatic` or `probe`.
    pub connection_type: String,
    /// What it says it runs.
    pub subver: String,
    /// Seconds since it connected.
    pub conntime: u64,
    /// Height of the tip it claims; -1 before it said so.
    pub synced_blocks: i64,
    /// Points of misbehaviour, 0 to 99.
    pub banscore: u32,
}

impl From<PeerInfo> for PeerShape {
    fn from(peer: PeerInfo) -> Self {
        Self {
            id: peer.id,
            addr: peer.address,
            inbound: peer.is_inbound,
            connection_type: peer.kind.name().to_owned(),
            subver: peer.agent,
            conntime: peer.connected_secs,
            synced_blocks: peer.height.map_or(-1, |height| i64::from(height.0)),
            banscore: peer.misbehavior,
        }
    }
}

/// A value per algorithm, under the algorithm's name.
pub(crate) fn by_name<T>(values: impl IntoIterator<Item = (Algorithm, T)>) -> BTreeMap<String, T> {
    values.into_iter().map(|(algorithm, value)| (algorithm.name().to_owned(), value)).collect()
}

/// Bits per algorithm.
pub(crate) fn bits_by_name(bits: &[(Algorithm, CompactTarget)]) -> BTreeMap<String, String> {
    by_name(bits.iter().map(|(algorithm, bits)| (*algorithm, bits.to_string())))
}
