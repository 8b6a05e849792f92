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
    /// How accounts are paid that chose nothing: `pplns`, `pps`, `fpps`, `solo` or `tides`.
    pub scheme: String,
    /// All that an account may be paid by.
    pub schemes: Vec<SchemeView>,
    /// What pays shares for themselves; nothing where that is not offered.
    pub reserve: Option<ReserveView>,
    /// Who pays miners: `direct`, the coinbase of each block, or `ledger`, payouts. As the newest template does.
    pub payout_mode: String,
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
    /// Sum of the matured balances that coinbases to come pay.
    pub carried: AtomsView,
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
    /// Expected and found blocks of all miners here, of the newest 30 days with shares and those before.
    pub luck: Vec<LuckView>,
    /// Blocks found since the first day.
    pub blocks: u64,
}

/// How many blocks shares were expected to be, and were, in one of the fixed periods of 30 days.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LuckView {
    /// When the period began, seconds since 1970.
    pub since: u64,
    /// Expected blocks.
    pub expected: f64,
    /// The same in units of 2^-60, exact, as a decimal string.
    pub expected_parts: String,
    /// Found blocks, whatever became of them.
    pub found: u64,
    /// How likely it is to find no more than that.
    pub chance: f64,
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
    /// How its work is paid from now on.
    pub scheme: String,
    /// What it earned by shares that are paid for themselves and was not credited yet.
    pub accrued: AtomsView,
    /// Hashes per second by algorithm name, over the last 10 minutes.
    pub hashrate: BTreeMap<String, f64>,
    /// The same over four windows.
    pub hashrates: BTreeMap<String, RatesView>,
    /// The best share since the first day by algorithm name.
    pub best_shares: BTreeMap<String, BestShareView>,
    /// Expected and found blocks by algorithm name, of the newest 30 days with shares and those before.
    pub luck: BTreeMap<String, Vec<LuckView>>,
    /// Shares since the first day by algorithm name, as far as the statistics go back.
    pub shares: BTreeMap<String, ShareCountsView>,
    /// Credited, not matured.
    pub immature: AtomsView,
    /// Can be paid.
    pub payable: AtomsView,
    /// Matured, and paid by a coinbase to come.
    pub carried: AtomsView,
    /// Reserved or sent, not final.
    pub in_flight: AtomsView,
    /// Paid for good: final payouts, and matured coinbases.
    pub paid: AtomsView,
    /// Its part of the next block by algorithm name, as that is being mined; empty where payouts pay.
    pub next_block: BTreeMap<String, PartView>,
    /// Its first machines by name, 1,000 at most; all of them are under `/workers`.
    pub workers: Vec<WorkerView>,
    /// Newest first, 100 at most; all of them are under `/payouts`.
    pub payouts: Vec<PayoutView>,
    /// What coinbases paid it, newest first, 100 at most; all of them are under `/coinbases`.
    pub coinbases: Vec<CoinbasePaymentView>,
    /// The newest 30 days that earned something; all of them are under `/earnings`.
    pub earnings: Vec<EarningView>,
}

/// A scheme that a pool offers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SchemeView {
    /// `pplns`, `pps`, `fpps`, `solo` or `tides`.
    pub name: String,
    /// Its fee in hundredths of a percent.
    pub fee_bp: u16,
    /// Work is paid so now. PPS and FPPS pay as PPLNS while the reserve is too small.
    pub is_paid: bool,
}

/// The reserve of PPS and FPPS.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReserveView {
    /// What it holds.
    pub holds: AtomsView,
    /// What it must hold for shares to be paid for themselves; nothing if no amount is enough, or that is not known yet.
    pub needed: Option<AtomsView>,
    /// What was earned and could not be credited yet.
    pub accrued: AtomsView,
}

/// A miner's part of a block that is being mined.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartView {
    /// What the coinbase pays it.
    pub pays: AtomsView,
    /// What the block would credit it that a later coinbase pays.
    pub put_off: AtomsView,
}

/// What the coinbase of a block paid a miner.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CoinbasePaymentView {
    /// The coinbase transaction.
    pub txid: String,
    /// The block.
    pub block: String,
    /// Its height.
    pub height: u32,
    /// Algorithm name.
    pub algorithm: String,
    /// What it pays this miner.
    pub amount: AtomsView,
    /// State of the block: `immature`, `matured`, `orphaned` or `lost`; `found` while it is on no chain.
    pub state: String,
    /// Time of the block, seconds since 1970.
    pub time: u64,
}

/// `GET /api/v1/miners/{address}/coinbases`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CoinbasePaymentsView {
    /// Newest first.
    pub coinbases: Vec<CoinbasePaymentView>,
    /// Where the next page goes on; nothing after the last.
    pub next: Option<String>,
}

/// `GET /api/v1/coinbase`: what is being mined.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CoinbaseView {
    /// Height of the block to be.
    pub height: u32,
    /// The block it builds on.
    pub parent: String,
    /// By algorithm name, those that may seal it.
    pub algorithms: BTreeMap<String, LaneCoinbaseView>,
}

/// The coinbase of one algorithm.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LaneCoinbaseView {
    /// `direct`: it pays miners; `ledger`: it pays the pool.
    pub payout_mode: String,
    /// Subsidy and fees: the sum of all outputs.
    pub reward: AtomsView,
    /// What the pool's own output gets.
    pub own: AtomsView,
    /// Those to miners, in order.
    pub outputs: Vec<CoinbaseOutputView>,
    /// What the window gives miners that a later coinbase pays, in all.
    pub put_off: AtomsView,
    /// How many these are.
    pub put_off_miners: u64,
    /// Weight units of the transaction.
    pub weight: u64,
    /// Its encoding in hex.
    pub transaction: String,
}

/// An output to a miner.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CoinbaseOutputView {
    /// Whom it pays.
    pub address: String,
    /// What.
    pub amount: AtomsView,
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
