//! Joins the parts: node, pool, Stratum ports, HTTP, RPC, peers, built-in miner. Starts them in the order in which they
//! need each other and stops them in reverse, so that nothing is accepted that could no longer be kept.

use std::{
    net::{SocketAddr, TcpListener},
    num::NonZeroUsize,
    path::PathBuf,
    sync::{Arc, Weak},
    time::Duration,
};

use anyhow::Context as _;
use bq_chain_api::{NodeApi, SyncApi};
use bq_condition::ConditionList;
use bq_front::{AccessConfig, StratumConfig, StratumHandle, StratumServer, TicketConfig, TlsConfig, V2Config};
use bq_http::{HttpHandle, HttpLimits, HttpParts, HttpServer, StratumPort, StratumV2Port};
use bq_miner::{BlockSource, Miner, MinerConfig, NextBlock, log_huge_pages};
use bq_mining_message::{MiningControl, MiningMode, PoolApi, TokenInfo, TokenWish};
use bq_net::{Net, NetConfig, NetError, NetHandle, PeerAddress};
use bq_node::{MachineClock, Node, NodeConfig, StoreSettings};
use bq_pool::{NoticePolicy, Pool, PoolConfig, PoolOperator};
use bq_pow::{PowConfig, PowError, PowVerifier, RandomXMode};
use bq_primitives::{Algorithm, BlockId, PowKey};
use bq_rpc::{LongPollLimits, RpcAccess, RpcHandle, RpcOptions, RpcServer, RpcServices};
use bq_runtime::{Config, OpenFiles, Shutdown, open_files_max};
use bq_views::PoolViews;
use metrics_exporter_prometheus::PrometheusHandle;
use tokio::runtime::Handle;
use tokio_stream::StreamExt as _;

use super::{access, authority, certificates, keys, stratum::stratum_config, takeover::Taken};
use crate::{
    cookie::{self, Cookie},
    exit::UsageError,
};

/// Everything that runs.
pub(crate) struct System {
    pub(crate) pow: Arc<PowVerifier>,
    pub(crate) node: Arc<Node>,
    pub(crate) pool: Arc<Pool>,
    pub(crate) stratum: StratumHandle,
    pub(crate) http: HttpHandle,
    pub(crate) rpc: RpcHandle,
    pub(crate) net: NetHandle,
    pub(crate) miner: Arc<Miner>,
    /// What every part says of itself; health, metrics, RPC and status line all read this list.
    pub(crate) conditions: ConditionList,
    /// Whom the built-in miner's shares pay.
    pub(crate) miner_address: String,
    /// The ports of HTTP and JSON-RPC once more, for a process that takes over.
    ports: [TcpListener; 2],
    /// There as long as the process answers.
    _cookie: Option<Cookie>,
}

/// What a process opens before it serves anybody, and what may fail for as long as a disk is full or a file cannot be read.
pub(crate) struct Opened {
    tls: Option<TlsConfig>,
    access: (AccessConfig, TicketConfig),
    v2: Option<V2Config>,
    rpc_access: RpcAccess,
    cookie: Option<Cookie>,
    pow: Arc<PowVerifier>,
    node: Arc<Node>,
    pool: Arc<Pool>,
    miner_address: String,
}

impl Opened {
    /// Reads settings' files and opens the books. The data directory must be locked already.
    ///
    /// # Errors
    /// The first that cannot be read or opened; the text names the file or field.
    pub(crate) async fn new(config: &Config, pow: Arc<PowVerifier>) -> anyhow::Result<Self> {
        let (tls, access, v2) = (certificates::tls(config)?, access::access(config)?, authority::v2(config)?);
        let access = (access, access::tickets(config)?);
        let (rpc_access, cookie) = cookie::access(config)?;
        let (node, pool, miner_address) = {
            let (config, pow) = (config.clone(), Arc::clone(&pow));
            tokio::task::spawn_blocking(move || open_books(&config, pow)).await??
        };
        Ok(Self { tls, access, v2, rpc_access, cookie, pow, node, pool, miner_address })
    }
}

impl System {
    /// Starts every part with what was opened; `stop` may be asked while another process is waited for.
    ///
    /// # Errors
    /// The first part that cannot start; the text names the file, address or field.
    pub(crate) async fn start(
        config: &Config,
        (opened, taken): (Opened, Taken),
        metrics: PrometheusHandle,
        stop: Shutdown,
    ) -> anyhow::Result<Self> {
        Self::start_with(config, (opened, taken), metrics, stop, |_| {}).await
    }

    /// [`System::start`] with limits that only a benchmark would lift.
    pub(super) async fn start_with(
        config: &Config,
        (opened, taken): (Opened, Taken),
        metrics: PrometheusHandle,
        stop: Shutdown,
        adjust: impl FnOnce(&mut StratumConfig),
    ) -> anyhow::Result<Self> {
        let Opened { tls, access, v2, rpc_access, cookie, pow, node, pool, miner_address } = opened;
        let api: Arc<dyn NodeApi> = Arc::clone(&node) as _;
        // First of all that listen, because its key may be damaged.
        let net = Net::start(net_config(config)?, Arc::clone(&node) as Arc<dyn SyncApi>).await.map_err(of_setting)?;
        let files = open_files(config)?;
        let mut stratum_config = stratum_config((config, pool.pays_directly()), &files, tls, access, v2)?;
        adjust(&mut stratum_config);
        let (http_port, http_again) =
            port(taken.http, config.http).with_context(|| format!("http address {}", config.http))?;
        let at_rpc = || format!("rpc address {}", config.rpc);
        let (rpc_port, rpc_again) = port(taken.rpc, config.rpc).with_context(at_rpc)?;
        let evaluator = Arc::<PowVerifier>::clone(&pow);
        let pool_api = Arc::clone(&pool) as _;
        // What can be wrong was found before: a process that fails leaves the connections to the one that it was to replace.
        let begins = move || match taken.predecessor {
            Some(predecessor) => tokio::task::block_in_place(|| predecessor.ask(&stop)).map_err(std::io::Error::other),
            None => Ok(()),
        };
        let stratum = StratumServer::resume(stratum_config, pool_api, evaluator, (taken.stratum, begins)).await?;
        if config.randomx.mode == bq_runtime::RandomXMode::Fast {
            tokio::spawn(keep_dataset(Arc::clone(&pow), Arc::clone(&pool)));
        }
        tokio::spawn(count_connections(stratum.connection_counter(), Arc::downgrade(&pool)));
        let conditions = conditions(&api, &pool, &stratum);
        let http_parts = HttpParts {
            node: Arc::clone(&api),
            views: Arc::clone(&pool) as Arc<dyn PoolViews>,
            access: Some(stratum.access()),
            conditions: conditions.clone(),
            events: pool.events(),
            stratum: ports(&stratum).map(|(algorithm, address)| StratumPort { algorithm, address }).collect(),
            stratum_v2: stratum.v2_url_parts().map(|(address, key)| StratumV2Port { address, key }),
            metrics,
            limits: HttpLimits {
                connections_max: files.http.saturating_sub(config.http_probes_max).max(1),
                event_streams_max: config.http_events_max,
                page_max: config.http_page_max,
                probes_max: config.http_probes_max,
                proofs_max: config.http_proofs_max,
                share_proofs_max: config.http_share_proofs_max,
                lists_max: config.http_lists_max,
                waiting_max: config.http_waiting_max,
                wait: Duration::from_secs(config.http_waiting_secs),
            },
            proxies: config.http_proxies.clone(),
        };
        let http_port = tokio::net::TcpListener::from_std(http_port)?;
        let http_address = http_port.local_addr()?;
        let http = HttpServer::serve((http_port, http_address), http_parts);
        let miner = Arc::new(start_miner(config, &pool, &stratum, &miner_address, Arc::clone(&pow))?);
        let services = RpcServices {
            node: api,
            sync: Some(Arc::clone(&node) as Arc<dyn SyncApi>),
            mining: Some(Arc::clone(&miner) as Arc<dyn MiningControl>),
            pool: Some(Arc::clone(&pool) as Arc<dyn PoolOperator>),
            access: Some(stratum.access()),
            pool_template: Some({
                let pool = Arc::clone(&pool);
                Arc::new(move || pool.template())
            }),
            conditions: conditions.clone(),
            peers: Some(net.peer_network()),
        };
        let options = rpc_options(config, files.rpc, rpc_access);
        let rpc = RpcServer::serve(rpc_port, options, services).with_context(at_rpc)?;
        let ports = [http_again, rpc_again];
        Ok(Self { pow, node, pool, stratum, http, rpc, net, miner, conditions, miner_address, ports, _cookie: cookie })
    }

    /// Returns once the pool has work to hand out.
    pub(crate) async fn ready(&self) -> anyhow::Result<()> {
        self.pool.templates().next().await.context("the pool stopped before it had a template")?;
        Ok(())
    }

    /// The addresses that were really bound, as the ready file and the tests want them.
    pub(crate) fn addresses(&self) -> serde_json::Value {
        let mut addresses = serde_json::json!({
            "http": self.http.address().to_string(),
            "rpc": self.rpc.address().to_string(),
            "p2p": self.net.address().map(|address| address.to_string()),
        });
        for (algorithm, address) in ports(&self.stratum) {
            addresses[format!("stratum_{algorithm}")] = address.to_string().into();
        }
        if let Some((address, _)) = self.stratum.v2_url_parts() {
            addresses["stratum_v2"] = address.to_string().into();
        }
        for (port, address) in self.stratum.addresses() {
            if let Some(scheme) = port.scheme() {
                addresses[format!("stratum_{}_{scheme}", port.algorithm())] = address.to_string().into();
            }
        }
        addresses
    }

    /// Stops taking work, then stops telling, then closes the books. Returns blocks that the chain store could not take.
    pub(crate) async fn stop(self) -> Vec<BlockId> {
        self.end(false).await.0
    }

    /// The same, but ports and miners' connections are left open for another process.
    pub(crate) async fn hand_over(self) -> (Vec<BlockId>, Taken) {
        self.end(true).await
    }

    async fn end(self, hands_over: bool) -> (Vec<BlockId>, Taken) {
        let miner = self.miner;
        let stopped = tokio::task::spawn_blocking(move || miner.stop()).await;
        let taken = if hands_over {
            let [http, rpc] = self.ports;
            Taken { http: Some(http), rpc: Some(rpc), stratum: self.stratum.hand_over().await, ..Taken::default() }
        } else {
            drop(self.ports);
            self.stratum.shutdown().await;
            Taken::default()
        };
        self.net.shutdown().await;
        self.rpc.shutdown().await;
        self.http.shutdown().await;
        let pool = self.pool;
        let closed = tokio::task::spawn_blocking(move || pool.shutdown()).await;
        let node = self.node;
        let stored = tokio::task::spawn_blocking(move || node.store_kept()).await;
        let unstored = stopped.and(closed).and(stored).unwrap_or_else(|error| {
            tracing::error!(%error, "a part did not stop cleanly; the books are recovered at the next start");
            Vec::new()
        });
        (unstored, taken)
    }
}

/// Reads what a start reads beside the books, and writes what it would write, so that what is wrong is told while another process still serves.
///
/// # Errors
/// As [`System::start`].
pub(crate) fn rehearse(config: &Config) -> anyhow::Result<()> {
    certificates::tls(config)?;
    access::access(config)?;
    access::tickets(config)?;
    authority::v2(config)?;
    keys::payout_signer(config)?;
    keys::miner_address(config)?;
    bq_net::check_key(&node_key(config)).map_err(of_setting)?;
    open_files(config)?;
    cookie::rehearse(config)?;
    let (room, ready_file) = (config.data_dir.join("takeover"), config.ready_file.as_ref());
    for (path, bytes) in [(Some(&room), REHEARSED_BYTES), (ready_file, 1)] {
        let Some(path) = path else { continue };
        bq_private_file::rehearse(path, &vec![0; bytes]).with_context(|| path.display().to_string())?;
    }
    Ok(())
}

/// What opening the books writes is less.
const REHEARSED_BYTES: usize = 1 << 20;

/// The port that another process left open if it is the one that is wanted, or a new one; and the same once more.
fn port(taken: Option<TcpListener>, wanted: SocketAddr) -> std::io::Result<(TcpListener, TcpListener)> {
    let taken = taken.filter(|open| open.local_addr().is_ok_and(|open| bq_front::is_wanted(open, wanted)));
    let listener = taken.map_or_else(|| TcpListener::bind(wanted), Ok)?;
    listener.set_nonblocking(true)?;
    let again = listener.try_clone()?;
    Ok((listener, again))
}

/// A damaged file is for people to mend, as a wrong setting is.
fn of_setting(error: NetError) -> anyhow::Error {
    match error {
        NetError::NodeKey { .. } => UsageError(error.to_string()).into(),
        NetError::Listen { .. } | NetError::Transport(_) | NetError::Thread(_) => error.into(),
    }
}

/// What the system lets each part open. Told when that is less than the settings say.
fn open_files(config: &Config) -> anyhow::Result<OpenFiles> {
    let rpc = rpc_sockets(config.rpc_connections_max);
    let http = config.http_connections_max.saturating_add(config.http_probes_max);
    let wanted = OpenFiles { stratum: config.stratum_limits.connections_max, http, rpc };
    let (limit, reserved) = (open_files_max(), config.stratum_limits.files_reserved);
    wanted.within(limit, reserved).ok_or_else(|| {
        UsageError(format!("stratum.files_reserved: the system allows {limit} open files, {reserved} are kept back"))
            .into()
    })
}

/// The sockets of the JSON-RPC server: one for each request that it answers at a time, and some for those that it tells that it will not.
fn rpc_sockets(requests: u32) -> usize {
    usize::try_from(requests.saturating_add(requests.div_ceil(RPC_SPARE_SOCKETS))).unwrap_or(usize::MAX)
}

/// One in so many.
const RPC_SPARE_SOCKETS: u32 = 8;

/// How the JSON-RPC server listens with so many sockets.
fn rpc_options(config: &Config, sockets_max: usize, access: RpcAccess) -> RpcOptions {
    let fits = |requests: &u32| rpc_sockets(*requests) <= sockets_max;
    let connections_max = (1..=config.rpc_connections_max).rev().find(fits).unwrap_or(1);
    let long_polls = u64::from(connections_max).saturating_mul(u64::from(config.rpc_long_polls_percent)) / 100;
    RpcOptions {
        connections_max,
        sockets_max,
        long_polls: LongPollLimits {
            total: usize::try_from(long_polls).unwrap_or(usize::MAX).max(1),
            per_address: config.rpc_long_polls_per_address_max,
        },
        head_patience: Duration::from_secs(config.rpc_head_secs),
        body_patience: Duration::from_secs(config.rpc_body_secs),
        ..RpcOptions::new(config.rpc, access)
    }
}

/// The Stratum ports that are open.
pub(crate) fn ports(stratum: &StratumHandle) -> impl Iterator<Item = (Algorithm, SocketAddr)> + '_ {
    Algorithm::ALL.into_iter().filter_map(|algorithm| Some((algorithm, stratum.address(algorithm)?)))
}

/// Opens everything that lives on disk.
fn open_books(config: &Config, pow: Arc<PowVerifier>) -> anyhow::Result<(Arc<Node>, Arc<Pool>, String)> {
    let signer = keys::payout_signer(config)?;
    let miner_address = keys::miner_address(config)?;
    if miner_address.key_hash == signer.key_hash() {
        let reason = "is the pool's own: what its miner earns would be owed to itself; name another one, or none";
        return Err(UsageError(format!("miner.address: {miner_address} {reason}")).into());
    }
    let miner_address = miner_address.to_string();
    let node_config = NodeConfig {
        params: Arc::new(config.params.clone()),
        data_dir: config.data_dir.clone(),
        mempool: bq_mempool::MempoolLimits::default(),
        store: store_settings(config),
        clock: Arc::new(MachineClock),
    };
    let node = Node::open(node_config, pow)?;
    let pool = Pool::open(pool_config(config), Arc::clone(&node) as _, signer)?;
    Ok((node, pool, miner_address))
}

fn store_settings(config: &Config) -> StoreSettings {
    let bq_runtime::ChainConfig { check_blocks, kept_blocks_max, kept_mib_max, retry_secs_max } = config.chain;
    StoreSettings {
        check_blocks,
        kept_blocks_max,
        kept_bytes_max: kept_mib_max.saturating_mul(1 << 20),
        retry_secs_max,
    }
}

pub(super) fn pow_config(config: &Config) -> PowConfig {
    let cores = std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
    let randomx_mode = match config.randomx.mode {
        bq_runtime::RandomXMode::Light => RandomXMode::Light,
        bq_runtime::RandomXMode::Fast => RandomXMode::Fast,
    };
    // Verification threads, the node and the built-in miner may all hash at once.
    PowConfig { randomx_mode, build_threads: cores, idle_vms_max: cores.get().saturating_add(config.miner.threads) }
}

fn conditions(node: &Arc<dyn NodeApi>, pool: &Arc<Pool>, stratum: &StratumHandle) -> ConditionList {
    // Weak: whoever reads the list must not keep books open that are being closed.
    let (node, pool) = (Arc::downgrade(node), Arc::downgrade(pool));
    ConditionList::default()
        .with("node", Arc::new(move || node.upgrade().map_or_else(Vec::new, |node| node.conditions())))
        .with("pool", Arc::new(move || pool.upgrade().map_or_else(Vec::new, |pool| pool.conditions())))
        .with("stratum", stratum.condition_reader())
}

/// Tells the pool, which shows it, how many miners are connected.
async fn count_connections(counter: Arc<dyn Fn() -> u64 + Send + Sync>, pool: Weak<Pool>) {
    let mut ticks = tokio::time::interval(Duration::from_secs(1));
    while let Some(pool) = pool.upgrade() {
        pool.set_connections(counter());
        drop(pool);
        ticks.tick().await;
    }
}

/// Builds the RandomX dataset of each new key as soon as a template names it.
async fn keep_dataset(pow: Arc<PowVerifier>, pool: Arc<Pool>) {
    let mut templates = pool.templates();
    drop(pool);
    let mut built = None;
    while let Some(template) = templates.next().await {
        let key = template.shared.work(Algorithm::RandomX).map(|work| work.key);
        let Some(key @ PowKey::RandomX(_)) = key.filter(|key| built != Some(*key)) else { continue };
        let pow = Arc::clone(&pow);
        let build = move || {
            if pow.prepare_fast(&key)? {
                log_huge_pages(&pow, &key);
            }
            Ok::<_, PowError>(())
        };
        match tokio::task::spawn_blocking(build).await {
            Ok(Ok(())) => built = Some(key),
            Ok(Err(error)) => tracing::warn!(%error, "no RandomX dataset: verification stays in light mode"),
            Err(_) => return,
        }
    }
}

fn pool_config(config: &Config) -> PoolConfig {
    let pool = &config.pool;
    let block_secs = u64::from(config.params.asert.target_block_time).max(1);
    PoolConfig {
        fee_bp: pool.fee_bp,
        scheme: pool.scheme,
        schemes: pool.schemes.clone(),
        pps_fee_bp: pool.pps_fee_bp,
        fpps_fee_bp: pool.fpps_fee_bp,
        solo_fee_bp: pool.solo_fee_bp,
        tides_fee_bp: pool.tides_fee_bp,
        tides_window_units: pool.tides_window_units,
        reserve_orphan_bp: pool.reserve_orphan_bp,
        reserve_withheld_bp: pool.reserve_withheld_bp,
        payout_mode: pool.payout_mode.map(|mode| match mode {
            bq_runtime::PayoutMode::Direct => bq_pool::PayoutMode::Direct,
            bq_runtime::PayoutMode::Ledger => bq_pool::PayoutMode::Ledger,
        }),
        direct_min: pool.direct_min,
        direct_payees_max: pool.direct_payees_max,
        payout_min: pool.payout_min,
        pplns_window_units: pool.pplns_window_units,
        final_depth: pool.payout_final_depth,
        payout_interval: Duration::from_secs(pool.payout_interval_secs),
        payout_round_max: pool.payout_round_max,
        payout_inputs_max: pool.payout_inputs_max,
        payout_payees_max: pool.payout_payees_max,
        fee_rate: pool.payout_fee_rate,
        gift_min: pool.gift_min,
        upkeep: bq_pool::Upkeep {
            coins_max: pool.payout_coins_max,
            replace_after: pool.payout_replace_blocks,
            fees_max: pool.payout_fees_max,
            float_intervals: pool.float_intervals,
            block_ms: block_secs.saturating_mul(1000),
        },
        cold_key: pool.cold_key,
        frame_interval: Duration::from_millis(pool.frame_interval_ms),
        share_sync: Some(Duration::from_millis(pool.share_sync_ms)),
        block_wait: Duration::from_millis(pool.block_wait_ms),
        template_interval: Duration::from_secs(pool.template_interval_secs),
        workers_per_account_max: pool.workers_per_account_max,
        workers_max: pool.workers_max,
        refused_workers_per_account_max: pool.refused_workers_per_account_max,
        refused_workers_max: pool.refused_workers_max,
        withholding_alarm_ppm: pool.withholding_alarm_ppm,
        statistics_interval: Duration::from_secs(pool.statistics_interval_secs),
        panic_shown: Duration::from_secs(config.stratum_limits.panic_shown_secs),
        compare_interval: Duration::from_secs(pool.compare_interval_secs),
        checkpoint_events: pool.checkpoint_events,
        checkpoint_interval: Duration::from_secs(pool.checkpoint_secs),
        statement_interval: Duration::from_secs(pool.statement_interval_secs),
        statements_kept: pool.statements_kept,
        credits_kept: pool.credits_kept,
        proof_events_max: pool.proof_events_max,
        proof_shares_max: pool.proof_shares_max,
        verify_shares: pool.verify_shares,
        keep_days: pool.keep_days,
        segment_shares: pool.segment_shares,
        out_of_step_grace: Duration::from_secs(pool.out_of_step_secs),
        settings: pool.settings.are_taken,
        settings_minimum_max: pool.settings.minimum_max,
        settings_delay_blocks: u32::try_from(pool.settings.delay_secs.div_ceil(block_secs)).unwrap_or(u32::MAX),
        settings_block_secs: block_secs,
        settings_interval: Duration::from_secs(pool.settings.interval_secs),
        settings_hour_max: pool.settings.hour_max,
        settings_window: Duration::from_secs(pool.settings.window_secs),
        notices: notice_policy(&pool.notices),
        accept_new_key: pool.new_key,
        signer_follow_interval: Duration::from_secs(pool.signer_follow_secs),
        ..PoolConfig::new(config.data_dir.clone(), config.network)
    }
}

fn notice_policy(notices: &bq_runtime::NoticesConfig) -> NoticePolicy {
    NoticePolicy {
        is_on: notices.are_on,
        may_call_private: notices.may_call_private,
        timeout: Duration::from_secs(notices.timeout_secs),
        tries_max: notices.tries_max,
        retry_pause: Duration::from_secs(notices.retry_secs),
        at_once_max: notices.at_once_max,
        queue_max: notices.queue_max,
        per_hour_max: notices.per_hour_max,
    }
}

/// Who this node is to its peers.
fn node_key(config: &Config) -> PathBuf {
    config.data_dir.join("node-key")
}

fn net_config(config: &Config) -> anyhow::Result<NetConfig> {
    let connect = config
        .connect
        .iter()
        .map(|peer| peer.parse::<PeerAddress>().map_err(|error| UsageError(format!("connect: {error}")).into()))
        .collect::<anyhow::Result<_>>()?;
    Ok(NetConfig {
        listen: Some(config.p2p),
        connect,
        key_file: Some(node_key(config)),
        peers_file: Some(config.data_dir.join("peers")),
        ..NetConfig::default()
    })
}

/// Starts the built-in miner on this process's own Stratum ports, as any miner would; with no threads it waits for
/// `setminingconfig`.
fn start_miner(
    config: &Config,
    pool: &Arc<Pool>,
    stratum: &StratumHandle,
    address: &str,
    pow: Arc<PowVerifier>,
) -> anyhow::Result<Miner> {
    let endpoints = ports(stratum).map(|(algorithm, address)| (algorithm, address.into())).collect();
    let miner_config = MinerConfig {
        threads: config.miner.threads.max(1),
        enabled: config.miner.threads > 0,
        algorithms: config.miner.algorithms.clone(),
        mode: if config.miner.is_auto { MiningMode::Auto } else { MiningMode::Turns },
        gpu: config.miner.gpu,
        client: crate::patience::client_settings(&config.miner.patience),
        blocks: Some(next_blocks(pool)),
        password: miner_password(config, stratum, address)?,
        ..MinerConfig::new(endpoints, format!("{address}.{BUILTIN_WORKER}"))
    };
    Ok(Miner::start(miner_config, pow, &Handle::current())?)
}

/// The worker that the built-in miner is.
const BUILTIN_WORKER: &str = "builtin";

/// Where miners need tokens the built-in one does too: a new one at every start, for its text is kept nowhere.
fn miner_password(config: &Config, stratum: &StratumHandle, address: &str) -> anyhow::Result<String> {
    let access = stratum.access();
    let is_ours = |token: &TokenInfo| {
        token.address == address && token.worker.as_deref() == Some(BUILTIN_WORKER) && token.made_by == "operator"
    };
    for old in access.tokens().iter().filter(|token| is_ours(token)) {
        access.revoke_token(&old.id)?;
    }
    if !config.auth.needs_token && !access.why(address, None).locked {
        return Ok("x".to_owned());
    }
    let wish = TokenWish { address: address.to_owned(), worker: Some(BUILTIN_WORKER.to_owned()), username: None };
    Ok(access.make_token(&wish)?.token)
}

/// What the pool's newest template says of the next block.
fn next_blocks(pool: &Arc<Pool>) -> BlockSource {
    let pool = Arc::downgrade(pool);
    Arc::new(move |algorithm| {
        let template = pool.upgrade()?.template()?;
        let target = template.work(algorithm)?.target;
        Some(NextBlock { target, reward_atoms: template.reward.atoms() })
    })
}
