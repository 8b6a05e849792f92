//! The command line: one struct per subcommand, nothing but parsing.

use std::{net::SocketAddr, path::PathBuf};

use bq_primitives::{Algorithm, Network};
use clap::{Args, Parser, Subcommand};

/// Hybrid proof-of-work node, Stratum server and mining pool in one binary.
#[derive(Debug, Parser)]
#[command(name = "bq", version, propagate_version = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run the node, the Stratum ports, the pool, the dashboard and the built-in miner.
    Run(Box<RunArgs>),
    /// Mine against any pool, over Stratum.
    Miner(Box<MinerArgs>),
    /// Keys, balances and payments.
    #[command(subcommand)]
    Wallet(WalletCommand),
    /// Decide about a pool: stop and resume payouts, take what it earned, explain coins, make and put back copies.
    #[command(subcommand)]
    Pool(PoolCommand),
    /// Hold the pool's key in a process of its own, and sign the payouts that the pool's log explains.
    Signer(SignerArgs),
    /// Show and change which network addresses may not connect to the Stratum ports.
    #[command(subcommand)]
    Bans(BansCommand),
    /// Replay a stopped pool's log from its first event and compare it with everything that is stored; give proofs out, and check those of
    /// any pool.
    Audit(AuditArgs),
    /// Show what a running node and pool are doing.
    Status(StatusArgs),
    /// Measure this machine.
    #[command(subcommand)]
    Bench(BenchCommand),
    /// Simulate chains under the real difficulty and fork-choice rules.
    Sim(SimArgs),
    /// Be thousands of miners of a Stratum server, and measure it.
    Swarm(Box<SwarmArgs>),
    /// Run vector files through the real consensus and proof-of-work code.
    Conformance(ConformanceArgs),
    /// Write, check or explain a configuration.
    #[command(subcommand)]
    Config(ConfigCommand),
}

/// Every option is also a key of the configuration file and a `BQ_*` environment variable; flags win.
#[derive(Debug, Default, Args)]
pub(crate) struct RunArgs {
    /// Configuration file (TOML).
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// mainnet, testnet, devnet or regtest.
    #[arg(long)]
    pub(crate) network: Option<Network>,
    /// Where chain, shares, ledger and keys live.
    #[arg(long, value_name = "DIR")]
    pub(crate) data_dir: Option<PathBuf>,
    /// Stratum port for SHA-256d miners; port 0 picks a free one, here and below.
    #[arg(long, value_name = "ADDR")]
    pub(crate) stratum_sha256d: Option<SocketAddr>,
    /// Stratum port for RandomX miners.
    #[arg(long, value_name = "ADDR")]
    pub(crate) stratum_randomx: Option<SocketAddr>,
    /// Stratum port for Ethash miners.
    #[arg(long, value_name = "ADDR")]
    pub(crate) stratum_ethash: Option<SocketAddr>,
    /// Stratum V2 port, for SHA-256d miners.
    #[arg(long, value_name = "ADDR")]
    pub(crate) stratum_v2: Option<SocketAddr>,
    /// Dashboard, API, metrics and health.
    #[arg(long, value_name = "ADDR")]
    pub(crate) http: Option<SocketAddr>,
    /// JSON-RPC.
    #[arg(long, value_name = "ADDR")]
    pub(crate) rpc: Option<SocketAddr>,
    /// Peers connect here.
    #[arg(long, value_name = "ADDR")]
    pub(crate) p2p: Option<SocketAddr>,
    /// A peer to connect to, HOST:PORT; may be repeated.
    #[arg(long, value_name = "PEER")]
    pub(crate) connect: Vec<String>,
    /// Written as JSON with all addresses once everything is ready.
    #[arg(long, value_name = "FILE")]
    pub(crate) ready_file: Option<PathBuf>,
    /// Take over from the process that runs on this data directory: it stops, and the miners that are connected to it stay connected. With
    /// none there it is a start like any other.
    #[arg(long)]
    pub(crate) takeover: bool,
    /// Go on with another key than the pool's log names, this once: coins of the old one are missing until they are sent over.
    #[arg(long)]
    pub(crate) new_key: bool,
    /// Threads of the built-in miner; 0 turns it off.
    #[arg(long, value_name = "N")]
    pub(crate) miner_threads: Option<usize>,
    /// Pay the built-in miner's shares to this address instead of its own wallet.
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) miner_address: Option<String>,
}

/// Each but `--adopt` is also a key of the configuration file (`[signer]`) and a `BQ_*` environment variable; flags win.
#[derive(Debug, Args)]
pub(crate) struct SignerArgs {
    /// Configuration file (TOML).
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// mainnet, testnet, devnet or regtest.
    #[arg(long)]
    pub(crate) network: Option<Network>,
    /// Where to listen.
    #[arg(long, value_name = "PATH")]
    pub(crate) socket: Option<PathBuf>,
    /// The pool's key file.
    #[arg(long, value_name = "FILE")]
    pub(crate) key_file: Option<PathBuf>,
    /// File with its password.
    #[arg(long, value_name = "FILE")]
    pub(crate) password_file: Option<PathBuf>,
    /// Where to keep what was signed.
    #[arg(long, value_name = "DIR")]
    pub(crate) state: Option<PathBuf>,
    /// Begin with the state that the pool tells, this once: for a pool that is older than its signer, and after the pool's log was recovered.
    #[arg(long)]
    pub(crate) adopt: bool,
}

#[derive(Debug, Args)]
pub(crate) struct MinerArgs {
    /// [ALGORITHM=]stratum+tcp://HOST:PORT, or stratum+ssl://HOST:PORT. Repeat it for several algorithms, or for pools to fall back on in their order.
    /// Ethash dialects are tried in turn, or named: stratum1+tcp EthProxy, stratum2+tcp and stratum3+tcp EthereumStratum/1.0.0 and 2.0.0.
    #[arg(long = "url", value_name = "URL", required = true)]
    pub(crate) urls: Vec<String>,
    /// sha256d, randomx or ethash: of the URLs that name none.
    #[arg(long)]
    pub(crate) algorithm: Option<Algorithm>,
    /// Login, usually ADDRESS.worker.
    #[arg(long)]
    pub(crate) user: String,
    /// Password or options.
    #[arg(long, default_value = "x")]
    pub(crate) password: String,
    /// Mining threads.
    #[arg(long, default_value_t = 1)]
    pub(crate) threads: usize,
    /// Mine from the full dataset (RandomX 2,080 MiB, Ethash 1 GiB and more): many times faster, after a minute of building.
    #[arg(long)]
    pub(crate) full_dataset: bool,
    /// With --full-dataset, keep Ethash datasets in this directory (1 GiB and more each, this epoch's and the next one's), so
    /// that a start reads instead of computing.
    #[arg(long, value_name = "DIR", requires = "full_dataset")]
    pub(crate) dataset_dir: Option<PathBuf>,
    /// Do not prepare the next epoch's Ethash dataset in the background.
    #[arg(long, requires = "full_dataset")]
    pub(crate) no_dataset_ahead: bool,
    /// Mine SHA-256d and Ethash on every CUDA GPU too; with --threads 0 on nothing else.
    #[arg(long)]
    pub(crate) gpu: bool,
    /// JSON-RPC address of a bq node: of several algorithms mine the one with the highest expected reward, by this machine's
    /// measured rates and the node's targets. Without it they take turns.
    #[arg(long, value_name = "ADDR")]
    pub(crate) node: Option<String>,
    /// Bind threads to these processors in turn: a mask in hex, 0x5 for processors 0 and 2. By default RandomX threads are
    /// bound if there is one for every processor.
    #[arg(long, value_name = "MASK")]
    pub(crate) cpu_affinity: Option<String>,
    /// Priority of the threads: 0 lets every other thread go first, 2 is normal, 3 to 5 take a privilege.
    #[arg(long, value_name = "0-5")]
    pub(crate) cpu_priority: Option<u8>,
    /// Seconds between two lines on speed; by default 60 on a terminal, else 10.
    #[arg(long, value_name = "SECS")]
    pub(crate) print_secs: Option<std::num::NonZeroU64>,
    /// Of pools with stratum+ssl:// take only the certificate with this SHA-256, in hex, whoever issued it; may be repeated.
    #[arg(long, value_name = "SHA256", conflicts_with = "tls_insecure")]
    pub(crate) tls_fingerprint: Vec<String>,
    /// Of pools with stratum+ssl:// take every certificate: whoever is on the way can be the pool.
    #[arg(long)]
    pub(crate) tls_insecure: bool,
    #[command(flatten)]
    pub(crate) patience: PatienceArgs,
}

/// What `bq miner` puts up with from pools: the keys of `[miner]`, with their defaults and ranges (`bq config init`).
#[derive(Clone, Copy, Debug, Default, Args)]
#[command(next_help_heading = "Patience with pools")]
pub(crate) struct PatienceArgs {
    /// Seconds that an address of a pool has to take a connection; every address of a name is tried; 10 by default.
    #[arg(long, value_name = "N")]
    pub(crate) connect_secs: Option<i64>,
    /// Seconds that a pool has to answer the login; 20 by default.
    #[arg(long, value_name = "N")]
    pub(crate) login_secs: Option<i64>,
    /// Seconds from the login to the first job; 60 by default.
    #[arg(long, value_name = "N")]
    pub(crate) job_secs: Option<i64>,
    /// Seconds without a word of the pool after which it counts as gone; 180 by default.
    #[arg(long, value_name = "N")]
    pub(crate) silence_secs: Option<i64>,
    /// Seconds that a pool has to answer a share, and to accept one after the first that was sent; 120 by default.
    #[arg(long, value_name = "N")]
    pub(crate) verdict_secs: Option<i64>,
    /// Seconds with work and without an accepted share after which another pool is tried, where there is one; 3600 by default.
    #[arg(long, value_name = "N")]
    pub(crate) share_secs: Option<i64>,
    /// Refused shares in a row that end a connection; those under way at once count as one, late and busy ones not at all; 20 by default.
    #[arg(long, value_name = "N")]
    pub(crate) refusals_max: Option<i64>,
    /// Lines that cannot be read, or mean nothing, between two accepted shares; 100 by default.
    #[arg(long, value_name = "N")]
    pub(crate) nonsense_max: Option<i64>,
    /// RandomX keys or Ethash epochs between two accepted shares; each has a table to build; 16 by default.
    #[arg(long, value_name = "N")]
    pub(crate) keys_max: Option<i64>,
    /// KiB of a line of the pool; 64 by default.
    #[arg(long, value_name = "N")]
    pub(crate) line_kib_max: Option<i64>,
    /// Attempts in a row at a pool that accepts no share before the next one is tried; four where an Ethash dialect has to be found; 2 by default.
    #[arg(long, value_name = "N")]
    pub(crate) attempts_max: Option<i64>,
    /// Longest pause in milliseconds before the first attempt to reconnect, doubled after each failure; a pause is at least half as long; 500 by default.
    #[arg(long, value_name = "N")]
    pub(crate) backoff_ms: Option<i64>,
    /// Longest pause in seconds between two attempts; 30 by default.
    #[arg(long, value_name = "N")]
    pub(crate) backoff_secs_max: Option<i64>,
    /// Seconds between two looks at the first pool while another one is mined at; doubled each time that it gives no work or then accepts no share, sixteenfold at most; 60 by default.
    #[arg(long, value_name = "N")]
    pub(crate) probe_secs: Option<i64>,
    /// Longest time in seconds that a pool may send us away for; 60 by default.
    #[arg(long, value_name = "N")]
    pub(crate) reconnect_wait_secs_max: Option<i64>,
    /// Shares without an answer; fewer after the pool said that it is busy. Blocks are sent at once; 128 by default.
    #[arg(long, value_name = "N")]
    pub(crate) in_flight_max: Option<i64>,
    /// Shares that wait to be sent; threads do something else until there are fewer. None is dropped; 64 by default.
    #[arg(long, value_name = "N")]
    pub(crate) waiting_max: Option<i64>,
    /// Pause in milliseconds after a pool said that it is busy, doubled each time, sixteenfold at most; then the share is sent again; 100 by default.
    #[arg(long, value_name = "N")]
    pub(crate) busy_ms: Option<i64>,
    /// Seconds at the end of a connection that we end, for answers to the shares that were sent; 5 by default.
    #[arg(long, value_name = "N")]
    pub(crate) drain_secs: Option<i64>,
    /// Seconds without a line of ours until a keepalive goes out, where the pool's dialect has one; 60 by default.
    #[arg(long, value_name = "N")]
    pub(crate) keepalive_secs: Option<i64>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum WalletCommand {
    /// Make a key and write it, encrypted, to a new file.
    New {
        /// Network of the address.
        #[arg(long)]
        network: Network,
        /// The file to write; an existing one is never overwritten.
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
        /// File whose first line is the password.
        #[arg(long, value_name = "FILE")]
        password_file: PathBuf,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Print a wallet's address; needs no password.
    Address {
        /// The key file.
        #[arg(long, value_name = "FILE")]
        wallet: PathBuf,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Show what an address or a wallet owns.
    Balance {
        /// The key file.
        #[arg(long, value_name = "FILE", conflicts_with = "address")]
        wallet: Option<PathBuf>,
        /// Any address.
        #[arg(long, required_unless_present = "wallet")]
        address: Option<String>,
        /// The node's JSON-RPC address.
        #[arg(long, default_value = "127.0.0.1:8332")]
        rpc: SocketAddr,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Sign a request to a pool about mining to the wallet's address, and send it.
    Request {
        /// What is asked for.
        #[command(subcommand)]
        command: RequestCommand,
        /// The key file.
        #[arg(long, value_name = "FILE", global = true)]
        wallet: Option<PathBuf>,
        /// File whose first line is the password.
        #[arg(long, value_name = "FILE", global = true)]
        password_file: Option<PathBuf>,
        /// The pool's HTTP address.
        #[arg(long, default_value = "127.0.0.1:8080", global = true)]
        http: SocketAddr,
        /// Print the signed request instead of sending it.
        #[arg(long, global = true)]
        dry_run: bool,
    },
    /// Sign what the wallet's address wants for its account at a pool, and send it.
    SignSettings {
        #[command(flatten)]
        wishes: SettingArgs,
        /// The key file.
        #[arg(long, value_name = "FILE")]
        wallet: PathBuf,
        /// File whose first line is the password.
        #[arg(long, value_name = "FILE")]
        password_file: PathBuf,
        /// The pool's HTTP address.
        #[arg(long, alias = "http", value_name = "ADDR", default_value = "127.0.0.1:8080")]
        pool: SocketAddr,
        /// Number of the setting: the pool is asked nothing then. Needs --pool-address.
        #[arg(long, requires = "pool_address")]
        number: Option<u64>,
        /// The pool's own address. Without --number: it has to be this one.
        #[arg(long, value_name = "ADDRESS")]
        pool_address: Option<String>,
        /// Id of the chain's first block, where it is not the network's usual one.
        #[arg(long, value_name = "ID")]
        genesis: Option<String>,
        /// Print the signed setting instead of sending it.
        #[arg(long)]
        dry_run: bool,
    },
    /// Sign and send a payment.
    Send {
        /// The key file.
        #[arg(long, value_name = "FILE")]
        wallet: PathBuf,
        /// File whose first line is the password.
        #[arg(long, value_name = "FILE")]
        password_file: PathBuf,
        /// Address to pay.
        #[arg(long)]
        to: String,
        /// How many atoms (100,000,000 are one coin).
        #[arg(long)]
        atoms: u64,
        /// Fee in atoms per thousand weight units.
        #[arg(long, default_value_t = bq_wallet::DEFAULT_FEE_RATE.0)]
        fee_rate: u64,
        /// The node's JSON-RPC address.
        #[arg(long, default_value = "127.0.0.1:8332")]
        rpc: SocketAddr,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum PoolCommand {
    /// Show the books, open payouts and what stops them.
    Status {
        #[command(flatten)]
        node: NodeArgs,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Plan no payout until payouts are resumed; open ones go on.
    Pause(PoolChange),
    /// Plan payouts again.
    Resume(PoolChange),
    /// Send what the pool earned to an address; the network fee is part of the amount.
    Withdraw {
        /// How many atoms (100,000,000 are one coin).
        #[arg(value_name = "ATOMS")]
        atoms: u64,
        /// Whom to pay.
        address: String,
        #[command(flatten)]
        change: PoolChange,
    },
    /// Explain a transaction that moved the pool's coins outside the books.
    Adopt {
        /// The transaction.
        txid: String,
        /// What it was.
        #[arg(long = "as", value_enum)]
        meaning: AdoptAs,
        #[command(flatten)]
        change: PoolChange,
    },
    /// Give missing coins up.
    WriteOff {
        /// How many atoms.
        #[arg(value_name = "ATOMS")]
        atoms: u64,
        /// Who bears it.
        #[arg(long, value_enum, default_value = "pool")]
        from: WriteOffFrom,
        #[command(flatten)]
        change: PoolChange,
    },
    /// Go on with a log that lost its end, after every payout that it may have forgotten is found or made impossible.
    Recover {
        /// Also if no block of the pool tells of a longer log: an old copy was put back, and no block was found since it was made.
        #[arg(long)]
        forced: bool,
        #[command(flatten)]
        change: PoolChange,
    },
    /// Give what is held in suspense to the seed of the windows.
    ReleaseSuspense {
        /// How many atoms.
        #[arg(value_name = "ATOMS")]
        atoms: u64,
        #[command(flatten)]
        change: PoolChange,
    },
    /// The reserve that pays shares for themselves (schemes pps and fpps).
    #[command(subcommand)]
    Reserve(ReserveCommand),
    /// Let miners in that know a secret, and no others: see auth.mode.
    #[command(subcommand)]
    Token(TokenCommand),
    /// Show what an account set for itself, its webhook in full.
    Settings {
        /// The account's address.
        address: String,
        #[command(flatten)]
        node: NodeArgs,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Show who is logged in.
    Sessions {
        /// Of this address only.
        #[arg(long)]
        address: Option<String>,
        /// At most so many.
        #[arg(long, default_value_t = 1000)]
        limit: usize,
        #[command(flatten)]
        node: NodeArgs,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Of a stopped pool: give a damaged or missing segment of the share log up; the refusal to start names it.
    Forfeit {
        /// Name of the segment's file.
        segment: String,
        /// Why; goes into the log.
        #[arg(long, value_name = "TEXT")]
        reason: String,
        /// Who says so; goes into the log.
        #[arg(long, value_name = "NAME", default_value_t = user())]
        who: String,
        /// Only say what would happen.
        #[arg(long)]
        dry_run: bool,
        #[command(flatten)]
        data: DataArgs,
    },
    /// Copy books and shares into a new folder, as they are at one moment; of a stopped pool too, with --data-dir or --config.
    Backup {
        /// The folder; nothing is ever overwritten.
        folder: PathBuf,
        /// Only say what would happen.
        #[arg(long)]
        dry_run: bool,
        #[command(flatten)]
        node: NodeArgs,
    },
    /// Of a stopped pool: put a backup in the place of books and shares, which are moved aside.
    Restore {
        /// The backup.
        folder: PathBuf,
        /// Only say what would happen.
        #[arg(long)]
        dry_run: bool,
        #[command(flatten)]
        data: DataArgs,
    },
}

/// The reserve of pps and fpps.
#[derive(Debug, Subcommand)]
pub(crate) enum ReserveCommand {
    /// Move what the pool earned into it.
    Add {
        /// How many atoms.
        #[arg(value_name = "ATOMS")]
        atoms: u64,
        #[command(flatten)]
        change: PoolChange,
    },
    /// Take out what it does not need.
    Take {
        /// How many atoms.
        #[arg(value_name = "ATOMS")]
        atoms: u64,
        #[command(flatten)]
        change: PoolChange,
    },
}

/// Worker tokens.
#[derive(Debug, Subcommand)]
pub(crate) enum TokenCommand {
    /// Make a token and print it, this once: it is a miner's password.
    New {
        /// Whom its shares pay.
        address: String,
        /// What its miners may write instead of the address.
        #[arg(long)]
        username: Option<String>,
        /// The only worker that it is for.
        #[arg(long)]
        worker: Option<String>,
        #[command(flatten)]
        node: NodeArgs,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Show all tokens, without their secrets.
    List {
        #[command(flatten)]
        node: NodeArgs,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Take a token back and end its sessions.
    Revoke {
        /// The first 16 digits of it.
        id: String,
        #[command(flatten)]
        node: NodeArgs,
    },
}

/// `bq bans ...`.
#[derive(Debug, Subcommand)]
pub(crate) enum BansCommand {
    /// Show who may not connect, why and how long.
    List {
        #[command(flatten)]
        node: NodeArgs,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Ban a network address.
    Add {
        /// An address, or an IPv6 prefix of 56 bits.
        peer: String,
        /// For how long.
        #[arg(long, default_value_t = 86_400)]
        secs: u64,
        #[command(flatten)]
        node: NodeArgs,
    },
    /// End a ban and forget what led to it.
    Lift {
        /// An address, or an IPv6 prefix of 56 bits.
        peer: String,
        #[command(flatten)]
        node: NodeArgs,
    },
}

/// What the owner of an address may ask of a pool.
#[derive(Debug, Subcommand)]
pub(crate) enum RequestCommand {
    /// A worker token for the address.
    Token {
        /// The only worker that it is for.
        #[arg(long)]
        worker: Option<String>,
    },
    /// The address's tokens.
    Tokens,
    /// Take a token back.
    Revoke {
        /// The first 16 digits of it.
        id: String,
    },
    /// Let nobody mine to the address without one of its tokens.
    Lock,
    /// Let anyone mine to the address again.
    Unlock,
}

/// What an account wants. A setting tells all four: what is not given stays as it is wanted now.
#[derive(Debug, Args)]
pub(crate) struct SettingArgs {
    /// Atoms below which the account is not paid, or "default" for the pool's minimum.
    #[arg(long, value_name = "ATOMS|default", conflicts_with = "cancel")]
    pub(crate) minimum: Option<String>,
    /// default, pplns, pps, fpps, solo or tides, as far as the pool offers it.
    #[arg(long, value_name = "NAME", conflicts_with = "cancel")]
    pub(crate) scheme: Option<String>,
    /// Whether only worker tokens open the address: on or off.
    #[arg(long, value_name = "on|off", conflicts_with = "cancel")]
    pub(crate) lock: Option<String>,
    /// Where notices go: https://.., or "none".
    #[arg(long, value_name = "URL|none", conflicts_with = "cancel")]
    pub(crate) webhook: Option<String>,
    /// Cancel the setting that waits.
    #[arg(long)]
    pub(crate) cancel: bool,
}

/// What a transaction outside the books was.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
pub(crate) enum AdoptAs {
    /// A withdrawal of what the pool earned.
    Withdrawal,
    /// Coins sent to make good for missing ones.
    Refill,
    /// A payout to miners that a recovered log forgot.
    Payout,
}

/// Who bears missing coins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum WriteOffFrom {
    /// What the pool earned.
    Pool,
    /// What is held in suspense: the coins paid those whom it belonged to.
    Suspense,
}

/// How a decision is told to a running pool.
#[derive(Debug, Args)]
pub(crate) struct PoolChange {
    /// Why; goes into the log.
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: String,
    /// Who says so; goes into the log.
    #[arg(long, value_name = "NAME", default_value_t = user())]
    pub(crate) who: String,
    /// Only say what would happen.
    #[arg(long)]
    pub(crate) dry_run: bool,
    #[command(flatten)]
    pub(crate) node: NodeArgs,
}

/// A running process: the address is in its configuration, the login in its data directory.
#[derive(Debug, Args)]
pub(crate) struct NodeArgs {
    /// The running process's JSON-RPC address.
    #[arg(long, value_name = "ADDR")]
    pub(crate) rpc: Option<SocketAddr>,
    #[command(flatten)]
    pub(crate) data: DataArgs,
}

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct AuditArgs {
    #[command(subcommand)]
    pub(crate) command: Option<AuditCommand>,
    #[command(flatten)]
    pub(crate) data: DataArgs,
}

#[derive(Debug, Subcommand)]
pub(crate) enum AuditCommand {
    /// Write what a miner checks the pool with, or all that a stranger replays it from. The pool is stopped, or a backup is named.
    Export(Box<AuditExport>),
    /// Check a file that a pool gave out, offline; with --rpc or --chain its blocks are looked up, too.
    Verify {
        /// The file.
        #[arg(value_name = "FILE")]
        file: PathBuf,
        /// Whose it must be.
        #[arg(long, value_name = "ADDRESS")]
        account: Option<String>,
        #[command(flatten)]
        chain: ChainArgs,
    },
    /// Compute a pool anew from an export and the chain: every credit, the log byte for byte, and what its coinbases say and pay.
    Replay {
        /// The folder that `bq audit export --all` wrote.
        #[arg(value_name = "DIR")]
        folder: PathBuf,
        #[command(flatten)]
        chain: ChainArgs,
    },
}

#[derive(Debug, Args)]
pub(crate) struct AuditExport {
    /// The whole pool: every event and every share. Names of workers and keys of all miners are in it.
    #[arg(long, required_unless_present = "account", conflicts_with = "account")]
    pub(crate) all: bool,
    /// The shares of this address.
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) account: Option<String>,
    /// Only this share of it, by its number.
    #[arg(long, value_name = "NUMBER", requires = "account", conflicts_with = "credit")]
    pub(crate) share: Option<u64>,
    /// Only what this block credited it.
    #[arg(long, value_name = "BLOCK", requires = "account")]
    pub(crate) credit: Option<String>,
    /// The file, or with --all the folder; neither may be there.
    #[arg(long, value_name = "PATH")]
    pub(crate) out: PathBuf,
    /// Take it from this backup, not from the data directory.
    #[arg(long, value_name = "DIR")]
    pub(crate) backup: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) data: DataArgs,
    /// Look blocks up at this node; without it in the data directory.
    #[arg(long, value_name = "HOST:PORT")]
    pub(crate) rpc: Option<String>,
}

/// Where the chain is looked up.
#[derive(Debug, Args)]
pub(crate) struct ChainArgs {
    /// At a node, over its JSON-RPC.
    #[arg(long, value_name = "HOST:PORT", conflicts_with = "chain")]
    pub(crate) rpc: Option<String>,
    /// In the data directory of a node that does not run.
    #[arg(long, value_name = "DIR")]
    pub(crate) chain: Option<PathBuf>,
    /// With --chain: the configuration file of that node, where its chain has rules of its own.
    #[arg(long, value_name = "FILE", requires = "chain")]
    pub(crate) config: Option<PathBuf>,
    /// With --chain: mainnet, testnet, devnet or regtest.
    #[arg(long, requires = "chain")]
    pub(crate) network: Option<Network>,
}

/// Where a pool lies.
#[derive(Debug, Args)]
pub(crate) struct DataArgs {
    /// Its configuration file (TOML).
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// mainnet, testnet, devnet or regtest.
    #[arg(long)]
    pub(crate) network: Option<Network>,
    /// Where chain, shares, ledger and keys live.
    #[arg(long, value_name = "DIR")]
    pub(crate) data_dir: Option<PathBuf>,
}

impl DataArgs {
    /// A place was named.
    pub(crate) const fn is_given(&self) -> bool {
        self.config.is_some() || self.data_dir.is_some()
    }
}

#[derive(Debug, Args)]
pub(crate) struct StatusArgs {
    /// The pool's HTTP address.
    #[arg(long, default_value = "127.0.0.1:8080")]
    pub(crate) http: SocketAddr,
    /// Print JSON as the API returns it.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum BenchCommand {
    /// Everything, as one table, in some three minutes; then `compare`.
    All(BenchAll),
    /// Hashes per second of every CUDA GPU, or why there is none.
    Gpu {
        /// Seconds per figure.
        #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=600))]
        seconds: u64,
    },
    /// Hashes per second of one algorithm.
    Hash(BenchHash),
    /// Ours and public programs in turn, for those whose binary an environment variable names: BQ_BENCH_CPUMINER,
    /// BQ_BENCH_CPUMINER_OPT, BQ_BENCH_XMRIG, BQ_BENCH_RANDOMX, BQ_BENCH_ETHASH.
    Compare {
        /// How long each program hashes in its turn; some print their rate every five seconds only.
        #[arg(long, default_value_t = 12, value_parser = clap::value_parser!(u64).range(1..=3600))]
        seconds: u64,
        /// Turns of each.
        #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=1000))]
        rounds: u32,
        /// Threads of a comparison that uses the whole machine; all if not given.
        #[arg(long)]
        threads: Option<std::num::NonZeroUsize>,
    },
}

#[derive(Debug, Args)]
pub(crate) struct BenchAll {
    /// A minute: a second per figure, no full datasets, nothing compared.
    #[arg(long, conflicts_with = "exact")]
    pub(crate) quick: bool,
    /// Twenty seconds per figure and five turns of each compared program: ten minutes, and an hour for comparing all.
    #[arg(long)]
    pub(crate) exact: bool,
    /// Seconds per figure.
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..=600))]
    pub(crate) seconds: Option<u64>,
    /// Whether to build the full datasets, of 2,080 and 1,024 MiB, one after the other; auto builds what fits into free memory.
    #[arg(long, value_enum)]
    pub(crate) datasets: Option<Datasets>,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
pub(crate) enum Datasets {
    Auto,
    Always,
    Never,
}

#[derive(Debug, Args)]
pub(crate) struct BenchHash {
    /// sha256d, randomx or ethash.
    #[arg(long)]
    pub(crate) algorithm: Algorithm,
    /// Threads.
    #[arg(long, default_value_t = 1)]
    pub(crate) threads: usize,
    /// How long.
    #[arg(long, default_value_t = 10)]
    pub(crate) seconds: u64,
    /// From the full dataset: RandomX 2,080 MiB, Ethash 1 GiB.
    #[arg(long)]
    pub(crate) full_dataset: bool,
}

#[derive(Debug, Args)]
pub(crate) struct SimArgs {
    /// A scenario of chains, or all of those; or one of a pool: pool-day, pool-week, pool-restore, rewards.
    #[arg(long, value_name = "NAME", default_value = "all")]
    pub(crate) scenario: String,
    /// Same seed, same chains.
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
    /// Scenarios run at a time.
    #[arg(long, value_name = "N", default_value = "1")]
    pub(crate) jobs: std::num::NonZeroU16,
    /// Write summary.csv, and a CSV file and an SVG drawing of each scenario, into this folder.
    #[arg(long, value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,
    /// Blocks of each chain instead of the scenario's own number; races end by the clock.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub(crate) blocks: Option<u32>,
    /// Name the scenarios and run none.
    #[arg(long)]
    pub(crate) list: bool,
}

/// Acts come in this order: the crowd, its rest, tips, changes of keys, shares, floods, storms, takeovers, kills, the soak. Without --url a server is started for the run, from this
/// program, on a regtest network of its own.
#[derive(Debug, Args)]
pub(crate) struct SwarmArgs {
    /// The program whose `run` is the server.
    #[arg(long, value_name = "FILE", conflicts_with = "urls")]
    pub(crate) server: Option<PathBuf>,
    /// ALGORITHM=HOST:PORT of a server that runs; once per algorithm. Blocks of it must be within 2^28 hashes where --tips is given.
    #[arg(long = "url", value_name = "URL", requires = "user")]
    pub(crate) urls: Vec<String>,
    /// Whom shares are for, with --url.
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) user: Option<String>,
    /// The server's process, for its memory and processor time, with --url.
    #[arg(long, requires = "urls")]
    pub(crate) pid: Option<u32>,
    /// Let a server be elsewhere than on this machine. It must be yours.
    #[arg(long, requires = "urls")]
    pub(crate) allow_remote: bool,
    /// Miners that come and stay, ALGORITHM=COUNT; may be repeated. Ethash miners take three of the four dialects in turn:
    /// EthereumStratum/1.0.0 cannot say a difficulty of one hash.
    #[arg(long = "miners", value_name = "MINERS", default_value = "sha256d=1000")]
    pub(crate) miners: Vec<String>,
    /// SHA-256d miners of the crowd that have a share accepted before anything else happens.
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) proven: usize,
    /// Everybody speaks TLS.
    #[arg(long)]
    pub(crate) tls: bool,
    /// Addresses of 127.0.0.0/8 to connect from in turn; one has ports for 28,000 connections.
    #[arg(long, value_name = "N", default_value = "16")]
    pub(crate) sources: std::num::NonZeroU16,
    /// Begin each connection with a PROXY header of its own address; a server given by --url must list this machine as a proxy.
    #[arg(long)]
    pub(crate) proxy_headers: bool,
    /// Connections on their way at a time while the crowd comes; in a storm all are.
    #[arg(long, value_name = "N", default_value = "256")]
    pub(crate) opening: std::num::NonZeroU16,
    /// Seconds of silence before the server's memory is read.
    #[arg(long, value_name = "SECS", default_value_t = 0, value_parser = clap::value_parser!(u64).range(0..=86_400))]
    pub(crate) rest: u64,
    /// New tips whose way to every miner is timed.
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(0..=10_000))]
    pub(crate) tips: u32,
    /// Shares made beforehand and sent as fast as they are answered, ALGORITHM=COUNT; may be repeated. Every hash must be a share, as it is on
    /// a server started for the run.
    #[arg(long = "shares", value_name = "SHARES")]
    pub(crate) shares: Vec<String>,
    /// Connections that send them, of each algorithm.
    #[arg(long, value_name = "N", default_value = "16")]
    pub(crate) share_connections: std::num::NonZeroU16,
    /// Shares without an answer at a time, of each of them.
    #[arg(long, value_name = "N", default_value = "64")]
    pub(crate) window: std::num::NonZeroU16,
    /// Connections that disturb while twenty honest miners' answers are timed, KIND=COUNT; may be repeated: newlines, garbage, halves
    /// (a line without an end), deaf (asks and never reads), foreign (shares of jobs that never were); forged-randomx and forged-ethash (results
    /// that no hash comes to, five a second each; with --proxy-headers and --tips 0, and honest miners of that algorithm that are trusted).
    #[arg(long = "flood", value_name = "FLOOD")]
    pub(crate) floods: Vec<String>,
    /// How long they do.
    #[arg(long, value_name = "SECS", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=3_600))]
    pub(crate) flood_secs: u64,
    /// How often all leave and come back at once.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(0..=1_000))]
    pub(crate) storms: u32,
    /// How often another process takes over from the server that was started for the run, while twenty miners send shares and newcomers come.
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=1_000), conflicts_with = "urls")]
    pub(crate) takeovers: u32,
    /// An algorithm whose key (randomx) or epoch (ethash) changes while six miners mine it; may be repeated. The chain of the server that was started
    /// for the run is made 2,112 or 4,032 blocks long for it.
    #[arg(long = "key-change", value_name = "ALGORITHM", conflicts_with = "urls")]
    pub(crate) key_changes: Vec<Algorithm>,
    /// How often the server that was started for the run is killed while twenty miners send a thousand shares a second, audited and started again.
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=10_000), conflicts_with = "urls")]
    pub(crate) kills: u32,
    /// Seconds for which miners come, up to 128 a second, have a share accepted under a name of their own and leave; with --proxy-headers each
    /// has an address of its own too. Every hash must be a share, as it is on a server started for the run.
    #[arg(long, value_name = "SECS", default_value_t = 0, value_parser = clap::value_parser!(u64).range(0..=604_800))]
    pub(crate) soak: u64,
    /// Write the figures into this file too, as JSON.
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct ConformanceArgs {
    /// Vector files.
    #[arg(required = true)]
    pub(crate) files: Vec<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    /// Print a commented configuration file with every default.
    Init {
        /// The network whose defaults to print.
        #[arg(long, default_value = "devnet")]
        network: Network,
    },
    /// Check a configuration file.
    Check {
        /// The file.
        file: PathBuf,
    },
    /// Print every value in force and where it comes from.
    Explain(Box<RunArgs>),
}

/// Who is logged in, as far as the environment says.
fn user() -> String {
    std::env::var("USER").ok().filter(|name| !name.is_empty()).unwrap_or_else(|| "operator".to_owned())
}
