//! A node and a pool that answer from memory, and a client that speaks just enough HTTP.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use bq_chain_api::AtomsView;
use bq_chain_api::{
    BlockSummary, BoxStream, Coin, Condition, DifficultyView, MiningInfo, NodeApi, NodeError, Route, SubmitBlockError,
    SubmitTransactionError, Template, TemplateRequest, TipSummary, TransactionStatus,
};
use bq_condition::ConditionList;
use bq_http::{HttpHandle, HttpParts, HttpServer, StratumPort, StratumV2Port, install_metrics};
use bq_primitives::{
    Address, Algorithm, Amount, Block, BlockId, Height, KeyHash, Network, OutPoint, Timestamp, Transaction, TxId, Work,
    WorkerName,
};
use bq_views::{
    AlgorithmView, BestShareView, BlockCursor, BlockStateView, BlockView, BlocksView, CoinbaseOutputView,
    CoinbasePaymentView, CoinbasePaymentsView, CoinbaseView, EarningView, EarningsView, Event, EvidenceWanted,
    HistoryView, LaneCoinbaseView, MinerView, NoticesView, Page, PartView, PayoutView, PayoutsView,
    PendingSettingsView, PoolView, PoolViews, RatesView, RoundView, SettingsView, ShareCountsView, StepView, ViewError,
    WishesView, WorkerCursor, WorkerView, WorkersView,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    sync::{broadcast, watch},
};
use tokio_stream::wrappers::WatchStream;

pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

pub(crate) fn address_of(byte: u8, network: Network) -> String {
    Address { network, key_hash: KeyHash([byte; 32]) }.to_string()
}

/// Stands at height 7 of a devnet.
pub(crate) struct StillNode {
    tip: watch::Sender<TipSummary>,
    /// Its store is stopped.
    stopped: Arc<AtomicBool>,
}

impl StillNode {
    pub(crate) fn new(stopped: Arc<AtomicBool>) -> Self {
        let tip = TipSummary {
            id: BlockId([2; 32]),
            height: Height(7),
            time: Timestamp(1_800_000_000),
            chain_work: Work::ZERO,
            next_bits: Vec::new(),
        };
        Self { tip: watch::channel(tip).0, stopped }
    }

    fn unasked() -> NodeError {
        NodeError::Request("the http server does not ask this".to_owned())
    }
}

impl NodeApi for StillNode {
    fn network(&self) -> Network {
        Network::Devnet
    }
    fn genesis_id(&self) -> BlockId {
        BlockId([1; 32])
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
    fn coins_of(&self, _: &KeyHash) -> Result<Vec<Coin>, NodeError> {
        Err(Self::unasked())
    }
    fn spender_of(&self, _: &OutPoint) -> Result<Option<TxId>, NodeError> {
        Err(Self::unasked())
    }
    fn submit_transaction(&self, _: Transaction) -> Result<TxId, SubmitTransactionError> {
        Err(Self::unasked().into())
    }
    fn transaction_status(&self, _: &TxId) -> Result<TransactionStatus, NodeError> {
        Err(Self::unasked())
    }
    fn mining_info(&self) -> Result<MiningInfo, NodeError> {
        Err(Self::unasked())
    }
    fn conditions(&self) -> Vec<Condition> {
        let condition = Condition {
            name: "chain_store_stopped",
            reason: "no room".to_owned(),
            since_ms: 1,
            blocks_readiness: true,
        };
        let harmless = Condition { name: "draughty", blocks_readiness: false, ..condition.clone() };
        if self.stopped.load(Ordering::Relaxed) { vec![harmless, condition] } else { Vec::new() }
    }
    fn difficulty(&self) -> Result<DifficultyView, NodeError> {
        Ok(DifficultyView { height: Height(7), ..DifficultyView::default() })
    }
}

/// Knows one miner and a hundred blocks. `broken` makes every answer fail.
#[derive(Default)]
pub(crate) struct ShelfPool {
    pub(crate) broken: bool,
    /// What looks through shares waits for it.
    pub(crate) gate: Option<Arc<Gate>>,
}

/// Closed until it is opened once.
#[derive(Default)]
pub(crate) struct Gate {
    is_open: parking_lot::Mutex<bool>,
    opened: parking_lot::Condvar,
    /// How many came to it.
    begun: AtomicUsize,
}

impl Gate {
    pub(crate) fn open(&self) {
        *self.is_open.lock() = true;
        self.opened.notify_all();
    }

    pub(crate) fn begun(&self) -> usize {
        self.begun.load(Ordering::SeqCst)
    }

    pub(crate) async fn first(&self) {
        while self.begun() == 0 {
            tokio::task::yield_now().await;
        }
    }

    fn pass(&self) {
        self.begun.fetch_add(1, Ordering::SeqCst);
        let mut is_open = self.is_open.lock();
        while !*is_open {
            self.opened.wait(&mut is_open);
        }
    }
}

impl ShelfPool {
    fn answer<T>(&self, view: T) -> Result<T, ViewError> {
        if self.broken { Err(ViewError("/secret/ledger.db: disk on fire".to_owned())) } else { Ok(view) }
    }
}

pub(crate) fn atoms(atoms: u64) -> AtomsView {
    Amount::from_atoms(atoms).map(AtomsView::from).expect("in range")
}

pub(crate) fn block(height: u32) -> BlockView {
    BlockView {
        id: format!("{height:064x}"),
        height,
        algorithm: "randomx".to_owned(),
        time: 1_800_000_000 + u64::from(height),
        reward: atoms(5_000_000_000),
        state: BlockStateView::Immature,
        confirmations: 3,
        finder: address_of(5, Network::Devnet),
        round: Some(RoundView { effort: 0.5, effort_parts: (1_u64 << 59).to_string(), luck: 2.0, shares: 12 }),
    }
}

pub(crate) fn worker(number: u32) -> WorkerView {
    WorkerView {
        name: format!("rig-{number:03}"),
        algorithm: "randomx".to_owned(),
        hashrate: 321.0,
        hashrate_minute: 300.0,
        hashrates: RatesView { minute: 300.0, ten_minutes: 321.0, hour: 320.0, day: 310.0 },
        best_share: Some(BestShareView { difficulty: "123456789".to_owned(), time: 1_800_000_000 }),
        shares: ShareCountsView { accepted: 9, rejected: BTreeMap::from([("low_difficulty".to_owned(), 1)]) },
        last_share: 1_800_000_000,
        last_seen: 1_800_000_001,
    }
}

fn payout(time: u64) -> PayoutView {
    let (txid, amount) = (TxId([6; 32]).to_string(), atoms(55_500_000_000));
    PayoutView { txid, amount, state: "final".to_owned(), time }
}

fn coinbase_payment(height: u32) -> CoinbasePaymentView {
    CoinbasePaymentView {
        txid: TxId([6; 32]).to_string(),
        block: block(height).id,
        height,
        algorithm: "randomx".to_owned(),
        amount: atoms(5),
        state: "matured".to_owned(),
        time: 1_800_000_000,
    }
}

fn is_known(address: &str) -> bool {
    address == address_of(5, Network::Devnet)
}

fn history(step: &str) -> HistoryView {
    let rejected = BTreeMap::from([("stale".to_owned(), 1)]);
    let of_step = StepView { time: 1_800_000_000, hashrate: 2.5, work: "750".to_owned(), accepted: 3, rejected };
    let algorithms = BTreeMap::from([("randomx".to_owned(), vec![of_step])]);
    HistoryView { step: step.to_owned(), step_secs: 300, steps_max: 288, algorithms }
}

impl PoolViews for ShelfPool {
    fn pool(&self) -> Result<PoolView, ViewError> {
        let lane = AlgorithmView {
            active: true,
            network_difficulty: "1048576".to_owned(),
            bits: "1f00ffff".to_owned(),
            pool_hashrate: 1_234.5,
            network_hashrate: 4_000.0,
            shares: ShareCountsView { accepted: 17, rejected: BTreeMap::from([("stale".to_owned(), 2)]) },
            effort: 0.42,
            effort_parts: "484235472".to_owned(),
            hashrates: RatesView::default(),
            best_share: None,
            luck: Vec::new(),
            blocks: 5,
        };
        self.answer(PoolView {
            network: "devnet".to_owned(),
            height: 7,
            tip_id: BlockId([2; 32]).to_string(),
            scheme: "pplns".to_owned(),
            schemes: Vec::new(),
            reserve: None,
            payout_mode: "direct".to_owned(),
            fee_bp: 100,
            payout_min: atoms(100_000_000),
            coinbase_maturity: 10,
            algorithms: Algorithm::ALL.map(|algorithm| (algorithm.name().to_owned(), lane.clone())).into(),
            connections: 3,
            miners_active: 2,
            blocks_found: 15,
            blocks_orphaned: 1,
            immature: atoms(10_000_000_000),
            payable: atoms(123_456_789),
            carried: atoms(1_234),
            in_flight: atoms(0),
            paid: atoms(55_500_000_000),
            ledger_imbalance: "0".to_owned(),
        })
    }

    fn blocks(&self, page: &Page<BlockCursor>) -> Result<BlocksView, ViewError> {
        let before = page.after.map_or(101, |after| after.height);
        let mut blocks: Vec<_> = (1..before).rev().map(block).take(page.limit + 1).collect();
        let next =
            page.cut(&mut blocks, |block| BlockCursor { height: block.height, id: block.id.parse().expect("an id") });
        self.answer(BlocksView { blocks, next })
    }

    fn history(&self, step: &str) -> Result<Option<HistoryView>, ViewError> {
        self.answer(Some(history(step)))
    }

    fn miner(&self, address: &str) -> Result<Option<MinerView>, ViewError> {
        self.answer(is_known(address).then(|| MinerView {
            address: address.to_owned(),
            scheme: "pplns".to_owned(),
            accrued: Amount::ZERO.into(),
            hashrate: BTreeMap::from([("randomx".to_owned(), 321.0)]),
            hashrates: BTreeMap::from([("randomx".to_owned(), worker(1).hashrates)]),
            best_shares: BTreeMap::new(),
            luck: BTreeMap::new(),
            shares: BTreeMap::from([("randomx".to_owned(), worker(1).shares)]),
            immature: atoms(10_000_000_000),
            payable: atoms(123_456_789),
            carried: atoms(1_234),
            in_flight: atoms(0),
            paid: atoms(55_500_000_000),
            next_block: BTreeMap::from([("randomx".to_owned(), PartView { pays: atoms(5), put_off: atoms(0) })]),
            coinbases: vec![coinbase_payment(7)],
            workers: vec![worker(1)],
            payouts: vec![payout(1_800_000_000)],
            earnings: vec![EarningView { day: 1_799_971_200, amount: atoms(7) }],
        }))
    }

    fn coinbase(&self) -> Result<Option<CoinbaseView>, ViewError> {
        let outputs = vec![CoinbaseOutputView { address: address_of(5, Network::Devnet), amount: atoms(5) }];
        let lane = LaneCoinbaseView {
            payout_mode: "direct".to_owned(),
            reward: atoms(10),
            own: atoms(5),
            outputs,
            put_off: atoms(2),
            put_off_miners: 1,
            weight: 1_000,
            transaction: "00".to_owned(),
        };
        let algorithms = BTreeMap::from([("randomx".to_owned(), lane)]);
        self.answer(Some(CoinbaseView { height: 8, parent: BlockId([2; 32]).to_string(), algorithms }))
    }

    fn settings(&self, address: &str) -> Result<Option<SettingsView>, ViewError> {
        let wishes = WishesView { minimum: Some(atoms(7)), scheme: "pplns".to_owned(), locked: true, webhook: true };
        let pending = PendingSettingsView {
            from_height: 440,
            blocks_left: 9,
            about: 1_800_000_000,
            changes_webhook: true,
            wishes: wishes.clone(),
        };
        let view = SettingsView {
            address: address.to_owned(),
            has_account: true,
            genesis: BlockId([0; 32]).to_string(),
            pool: Some(address_of(6, Network::Devnet)),
            is_taken: true,
            next_number: 3,
            minimum_least: atoms(5),
            minimum_most: atoms(9),
            delay_blocks: 432,
            schemes: vec!["default".to_owned(), "pplns".to_owned()],
            current: wishes,
            pending: Some(pending),
            changed: Some(1_800_000_000),
            notices: NoticesView { sent: 4, failed: 1, left_out: 0, last_failure: Some("it took too long".to_owned()) },
        };
        self.answer(is_known(address).then_some(view))
    }

    fn coinbases(&self, address: &str, page: &Page<BlockCursor>) -> Result<Option<CoinbasePaymentsView>, ViewError> {
        let before = page.after.map_or(101, |after| after.height);
        let mut coinbases: Vec<_> = (1..before).rev().map(coinbase_payment).take(page.limit + 1).collect();
        let cursor =
            |row: &CoinbasePaymentView| BlockCursor { height: row.height, id: row.block.parse().expect("an id") };
        let next = page.cut(&mut coinbases, cursor);
        self.answer(is_known(address).then_some(CoinbasePaymentsView { coinbases, next }))
    }

    fn workers(&self, address: &str, page: &Page<WorkerCursor>) -> Result<Option<WorkersView>, ViewError> {
        let after = page.after.as_ref().map_or("", |after| after.name.as_str()).to_owned();
        let mut workers: Vec<_> =
            (0..100).map(worker).filter(|worker| worker.name > after).take(page.limit + 1).collect();
        let next = page.cut(&mut workers, |worker| WorkerCursor {
            name: worker.name.clone().try_into().expect("plain"),
            algorithm: Algorithm::RandomX,
        });
        self.answer(is_known(address).then_some(WorkersView { workers, next }))
    }

    fn payouts(&self, address: &str, page: &Page<u64>) -> Result<Option<PayoutsView>, ViewError> {
        let mut payouts: Vec<_> = (1..page.after.unwrap_or(100)).rev().map(payout).take(page.limit + 1).collect();
        let next = page.cut(&mut payouts, |payout| payout.time);
        self.answer(is_known(address).then_some(PayoutsView { payouts, next }))
    }

    fn earnings(&self, address: &str, page: &Page<u32>) -> Result<Option<EarningsView>, ViewError> {
        let days = (1..page.after.unwrap_or(100)).rev();
        let mut earnings: Vec<_> =
            days.map(|day| EarningView { day: day.into(), amount: atoms(1) }).take(page.limit + 1).collect();
        let next = page.cut(&mut earnings, |earning| u32::try_from(earning.day).expect("small"));
        self.answer(is_known(address).then_some(EarningsView { earnings, next }))
    }

    fn miner_history(
        &self,
        address: &str,
        _: Option<&WorkerName>,
        step: &str,
    ) -> Result<Option<HistoryView>, ViewError> {
        self.answer(is_known(address).then(|| history(step)))
    }

    fn evidence(&self, _: &str, wanted: &EvidenceWanted) -> Result<Option<Vec<u8>>, ViewError> {
        if let (Some(gate), EvidenceWanted::Shares(_)) = (&self.gate, wanted) {
            gate.pass();
        }
        Ok(None)
    }

    fn ledger_imbalance_atoms(&self) -> Result<i128, ViewError> {
        self.answer(0)
    }
}

/// A running server and what feeds it.
pub(crate) struct Site {
    pub(crate) http: HttpHandle,
    pub(crate) events: broadcast::Sender<Event>,
    /// Whether the node says that its store is stopped.
    pub(crate) stopped: Arc<AtomicBool>,
    /// Whether the pool says that it has no template.
    pub(crate) idle: Arc<AtomicBool>,
}

pub(crate) async fn site(pool: ShelfPool) -> Site {
    site_with(pool, bq_http::HttpLimits::default()).await
}

pub(crate) async fn site_with(pool: ShelfPool, limits: bq_http::HttpLimits) -> Site {
    let (events, _) = broadcast::channel(4);
    let (stopped, idle) = (Arc::<AtomicBool>::default(), Arc::<AtomicBool>::default());
    let node = Arc::new(StillNode::new(Arc::clone(&stopped)));
    let (of_node, is_idle) = (Arc::clone(&node), Arc::clone(&idle));
    let no_template = move || {
        let condition = Condition {
            name: "no_template",
            reason: "no work yet".to_owned(),
            since_ms: 1_800_000_000_999,
            blocks_readiness: true,
        };
        if is_idle.load(Ordering::Relaxed) { vec![condition] } else { Vec::new() }
    };
    let conditions = ConditionList::default()
        .with("node", Arc::new(move || of_node.conditions()))
        .with("pool", Arc::new(no_template));
    let stratum = |algorithm, port| StratumPort { algorithm, address: SocketAddr::from(([127, 0, 0, 1], port)) };
    let parts = HttpParts {
        node,
        conditions,
        views: Arc::new(pool),
        access: None,
        events: events.clone(),
        stratum: vec![
            stratum(Algorithm::Sha256d, 3333),
            stratum(Algorithm::RandomX, 3334),
            stratum(Algorithm::Ethash, 3335),
        ],
        stratum_v2: Some(StratumV2Port { address: SocketAddr::from(([127, 0, 0, 1], 3336)), key: "KEY".to_owned() }),
        metrics: install_metrics().expect("this process has no other recorder"),
        limits,
        proxies: vec!["127.0.0.0/8".parse().expect("a network")],
    };
    let http = HttpServer::start(SocketAddr::from(([127, 0, 0, 1], 0)), parts).await.expect("a free port");
    Site { http, events, stopped, idle }
}

/// An answer in parts.
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Reply {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error} in {:?}", self.body))
    }
}

impl Site {
    pub(crate) async fn get(&self, path: &str) -> Reply {
        self.ask(&format!("GET {path} HTTP/1.1\r\nHost: pool\r\nConnection: close\r\n\r\n")).await
    }

    /// Sends `request` and reads to the end of the connection.
    pub(crate) async fn ask(&self, request: &str) -> Reply {
        let mut stream = self.connect().await;
        stream.write_all(request.as_bytes()).await.expect("sends");
        let mut bytes = Vec::new();
        tokio::time::timeout(PATIENCE, stream.read_to_end(&mut bytes)).await.expect("in time").expect("reads");
        let text = String::from_utf8(bytes).expect("text");
        let (head, body) = text.split_once("\r\n\r\n").expect("a head");
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
        Reply { status, head: head.to_owned(), body: body.to_owned() }
    }

    pub(crate) async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.http.address()).await.expect("connects")
    }

    /// An open event stream, past its greeting.
    pub(crate) async fn listen(&self) -> Feed {
        let mut stream = self.connect().await;
        stream.write_all(b"GET /api/v1/events HTTP/1.1\r\nHost: pool\r\n\r\n").await.expect("sends");
        let mut feed = Feed { stream, text: String::new() };
        feed.until("event: hello").await;
        feed
    }
}

pub(crate) struct Feed {
    stream: TcpStream,
    pub(crate) text: String,
}

impl Feed {
    /// Reads until `wanted` has come; fails if it does not.
    pub(crate) async fn until(&mut self, wanted: &str) {
        let read = async {
            while !self.text.contains(wanted) {
                let mut buffer = [0; 4096];
                let count = self.stream.read(&mut buffer).await.expect("reads");
                assert!(count > 0, "closed before {wanted:?}: {}", self.text);
                self.text.push_str(std::str::from_utf8(&buffer[..count]).expect("text"));
            }
        };
        tokio::time::timeout(PATIENCE, read).await.expect("in time");
    }

    /// Reads until the server closes.
    pub(crate) async fn remainder(mut self) -> String {
        let mut rest = String::new();
        tokio::time::timeout(PATIENCE, self.stream.read_to_string(&mut rest)).await.expect("in time").expect("reads");
        self.text + &rest
    }
}
