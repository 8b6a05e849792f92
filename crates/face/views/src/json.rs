use std::collections::BTreeMap;

use bq_chain_api::AtomsView;
use serde::{Deserialize, Serialize};

use crate::{BestShareView, EarningView, RatesView};

/// `GET /api/v1/pool`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PoolView {
    /// `mainnet`, `testnet`, `devnet` or `regtest`.
    pub network: String,
    /// Height of the tip.
    pub height: u32,
    /// Id of the tip.
    pub tip_id: String,
    /// `pplns`.
    pub scheme: String,
    /// Pool fee in hundredths of a percent.
    pub fee_bp: u16,
    /// A miner is paid when its payable balance reaches this many atoms.
    pub payout_min: AtomsView,
    /// Confirmations before a reward is payable.
    pub coinbase_maturity: u32,
    /// Per algorithm name.
    pub algorithms: BTreeMap<String, AlgorithmView>,
    /// Open Stratum connections.
    pub connections: u64,
    /// Accounts with a share in the last hour.
    pub miners_active: u64,
    /// Blocks found since the pool's first day: on the chain now, and orphaned.
    pub blocks_found: u64,
    /// Of those, how many are orphaned now.
    pub blocks_orphaned: u64,
    /// Sum of all miners' immature balances.
    pub immature: AtomsView,
    /// Sum of all miners' payable balances.
    pub payable: AtomsView,
    /// Sum of all payouts reserved or sent but not final.
    pub in_flight: AtomsView,
    /// Sum of all final payouts.
    pub paid: AtomsView,
    /// Sum of debits less credits: `"0"` or the books are wrong.
    pub ledger_imbalance: String,
}

/// One algorithm of the pool.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AlgorithmView {
    /// May seal the next block.
    pub active: bool,
    /// Expected hashes for a block, as a decimal string.
    pub network_difficulty: String,
    /// The next block's bits, eight hex digits.
    pub bits: String,
    /// Hashes per second of all miners here, over the last 10 minutes.
    pub pool_hashrate: f64,
    /// Hashes per second of the whole network, over the last hour of chain time.
    pub network_hashrate: f64,
    /// Hashes per second of all miners here, over four windows.
    pub hashrates: RatesView,
    /// Shares since the first day, as far as the statistics go back.
    pub shares: ShareCountsView,
    /// Work since the pool's last block of this algorithm, as a fraction of the expected work for one.
    pub effort: f64,
    /// The same in units of 2^-60, exact, as a decimal string.
    pub effort_parts: String,
    /// The best share since the first day.
    pub best_share: Option<BestShareView>,
    /// Blocks found since the first day.
    pub blocks: u64,
}

/// Shares by result.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShareCountsView {
    /// Credited.
    pub accepted: u64,
    /// Refused, by reason.
    pub rejected: BTreeMap<String, u64>,
}

/// `GET /api/v1/blocks`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BlocksView {
    /// Newest first.
    pub blocks: Vec<BlockView>,
    /// `after` of the next page; nothing on the last one.
    pub next: Option<String>,
}

/// One block found by the pool.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BlockView {
    /// Its id.
    pub id: String,
    /// Its height.
    pub height: u32,
    /// Algorithm name.
    pub algorithm: String,
    /// Its header's time, seconds since 1970.
    pub time: u64,
    /// Subsidy and fees.
    pub reward: AtomsView,
    /// Where it stands.
    pub state: BlockStateView,
    /// Blocks from it to the tip, itself included; 0 when orphaned.
    pub confirmations: u32,
    /// Address of the miner whose share it was.
    pub finder: String,
    /// What it took; nothing if the statistics do not know.
    pub round: Option<RoundView>,
}

/// The work between one block of an algorithm and the next.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RoundView {
    /// Work as a fraction of the expected work for one block, the block's own share counted: 1 on average.
    pub effort: f64,
    /// The same in units of 2^-60, exact, as a decimal string.
    pub effort_parts: String,
    /// One over effort: above 1 the pool was lucky.
    pub luck: f64,
    /// Accepted shares.
    pub shares: u64,
}

/// Where a pool block stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BlockStateView {
    /// Submitted, not credited yet.
    Found,
    /// On the chain, its reward not spendable yet.
    Immature,
    /// Its reward was credited as payable.
    Matured,
    /// Not on the best chain.
    Orphaned,
}

/// `GET /api/v1/miners/{address}`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MinerView {
    /// Payout address.
    pub address: String,
    /// Hashes per second by algorithm name, over the last 10 minutes.
    pub hashrate: BTreeMap<String, f64>,
    /// The same over four windows.
    pub hashrates: BTreeMap<String, RatesView>,
    /// The best share since the first day by algorithm name.
    pub best_shares: BTreeMap<String, BestShareView>,
    /// Shares since the first day by algorithm name, as far as the statistics go back.
    pub shares: BTreeMap<String, ShareCountsView>,
    /// Credited, not matured.
    pub immature: AtomsView,
    /// Can be paid.
    pub payable: AtomsView,
    /// Reserved or sent, not final.
    pub in_flight: AtomsView,
    /// Paid for good.
    pub paid: AtomsView,
    /// Its first machines by name, 1,000 at most; all of them are under `/workers`.
    pub workers: Vec<WorkerView>,
    /// Newest first, 100 at most; all of them are under `/payouts`.
    pub payouts: Vec<PayoutView>,
    /// The newest 30 days that earned something; all of them are under `/earnings`.
    pub earnings: Vec<EarningView>,
}

/// One machine of a miner.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WorkerView {
    /// Its name.
    pub name: String,
    /// Algorithm name.
    pub algorithm: String,
    /// Hashes per second over the last 10 minutes.
    pub hashrate: f64,
    /// Hashes per second over the last minute.
    pub hashrate_minute: f64,
    /// The same over four windows.
    pub hashrates: RatesView,
    /// The best share since the first day.
    pub best_share: Option<BestShareView>,
    /// Shares since the first day, as far as the statistics go back.
    pub shares: ShareCountsView,
    /// When its last share was accepted, seconds since 1970; 0 if all were refused.
    pub last_share: u64,
    /// When its last share came, whatever became of it, seconds since 1970.
    pub last_seen: u64,
}

/// One payment to a miner.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PayoutView {
    /// The transaction.
    pub txid: String,
    /// What was sent to this miner.
    pub amount: AtomsView,
    /// `reserved`, `signed`, `broadcast`, `confirmed` or `final`.
    pub state: String,
    /// When it was planned, seconds since 1970.
    pub time: u64,
}
