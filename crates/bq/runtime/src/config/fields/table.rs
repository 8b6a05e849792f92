use bq_primitives::Amount;

use super::{Field, Kind};

const SHARE_DIFFICULTY: Kind = Kind::Integer(1..=1 << 48);
const AMOUNT_MAX: i64 = 9_007_199_254_740_991;
const _: () = assert!(AMOUNT_MAX.unsigned_abs() == Amount::MAX.atoms());

const FLOOR: &str = "Easiest share, in expected hashes. Vardiff and miners' wishes never go below it, unless it is more than the network allows (a tenth of a block, or less where coinbases pay).";
const FLOOR_RISK: &str = "Too low: one miner can flood the verifier. Too high: small devices never find a share.";
const START: &str = "What an unknown worker begins with, in expected hashes. At least the floor.";
const START_RISK: &str = "Too high: a slow worker looks dead until vardiff has come down.";
const PUBLIC_RISK: &str = "Anything but 127.0.0.1 makes it reachable from the network.";

const VERIFY_THREADS: &str = "Threads that verify shares; 0 takes as many as suits the algorithm and this machine.";
const VERIFY_THREADS_RISK: &str = "More than cores slow everything down.";
const QUEUE_MAX: &str =
    "Most shares of trusted miners that wait for verification; half as many of others have places of their own.";
const QUEUE_MAX_RISK: &str = "Too low: bursts are refused as busy. Too high: shares wait until they are stale.";
const SHARES_IN_FLIGHT_MAX: &str = "Most shares of a connection in verification at a time.";
const SHARES_IN_FLIGHT_MAX_RISK: &str =
    "Too low: fast miners are refused as busy. Too high: one connection fills the queue.";
const UNPROVEN_IN_FLIGHT_MAX: &str = "As many for a connection that proved nothing yet; each accepted share adds one.";
const UNPROVEN_IN_FLIGHT_MAX_RISK: &str = "Too high: a stranger makes the verifier do more for nothing.";

macro_rules! field {
    ($name:literal, $kind:expr, $meaning:expr, $risk:expr) => {
        Field { name: $name, meaning: $meaning, risk: $risk, kind: $kind }
    };
}

/// Every field, in the order of the file.
pub static FIELDS: [Field; 249] = [
    field!("network", Kind::Choice(&["mainnet", "testnet", "devnet", "regtest"]), "Which chain to follow.", ""),
    field!(
        "data_dir",
        Kind::Path,
        "Where chain, shares, ledger and keys live. Made if missing, and locked.",
        "The ledger is money: back it up, and never run two processes on a copy of it."
    ),
    field!("stratum_sha256d", Kind::Address, "Stratum port for SHA-256d miners; port 0 picks a free one.", PUBLIC_RISK),
    field!("stratum_randomx", Kind::Address, "Stratum port for RandomX miners.", PUBLIC_RISK),
    field!("stratum_ethash", Kind::Address, "Stratum port for Ethash miners.", PUBLIC_RISK),
    field!("stratum_v2", Kind::Address, "Stratum V2 port, for SHA-256d miners.", PUBLIC_RISK),
    field!("http", Kind::Address, "Dashboard, /api/v1, /metrics and /health.", PUBLIC_RISK),
    field!(
        "rpc",
        Kind::Address,
        "JSON-RPC of the node.",
        "It is not encrypted, and whoever reaches it can look and hand in blocks and transactions. Keep it on 127.0.0.1."
    ),
    field!(
        "rpc_auth",
        Kind::Choice(&["cookie", "none"]),
        "What methods need that change something: the login in the file rpc-cookie of data_dir, new at every start; or nothing.",
        "none: every account of this machine can take what the pool earned."
    ),
    field!(
        "rpc_login_file",
        Kind::Path,
        "File whose first line is USER:PASSWORD, taken beside the cookie; none = only the cookie.",
        "Readable to its owner only. The password goes over the wire as it is."
    ),
    field!(
        "rpc_connections_max",
        Kind::Integer(2..=10_000),
        "Most requests that the JSON-RPC server answers at a time; beyond it the oldest of the address that has most makes room for other addresses, and else the next is answered 429. An eighth more sockets may be open.",
        "Each may hold an answer of 84 MB."
    ),
    field!(
        "rpc_long_polls_percent",
        Kind::Integer(1..=90),
        "How many of those, in percent, may be long polls (getblocktemplate with longpollid) that wait for a block; one at least.",
        "Too high: who polls keeps short requests out. Too low: programs that wait for blocks are refused (-34)."
    ),
    field!(
        "rpc_long_polls_per_address_max",
        Kind::Integer(1..=10_000),
        "How many long polls of one address may wait.",
        "Too high: one address takes all of them. Too low: several programs behind one address are refused."
    ),
    field!(
        "rpc_head_secs",
        Kind::Integer(1..=3_600),
        "Seconds within which the head of a JSON-RPC request must be there, from the beginning of its connection or the answer before it.",
        "Too long: connections that ask nothing hold sockets. Too short: clients that ask now and then connect each time."
    ),
    field!(
        "rpc_body_secs",
        Kind::Integer(1..=3_600),
        "Seconds within which its body must follow.",
        "Too long: half a body holds a place among the requests. Too short: a full block over a slow line is cut off."
    ),
    field!(
        "http_connections_max",
        Kind::Integer(16..=100_000),
        "Most open connections of the HTTP server; more wait to be accepted.",
        "Memory and open files grow with it."
    ),
    field!(
        "http_events_max",
        Kind::Integer(1..=100_000),
        "Most clients of the live feed at a time; more get 503.",
        "Each open page is one."
    ),
    field!(
        "http_page_max",
        Kind::Integer(10..=100_000),
        "Most rows of one page of a list, whatever limit is asked for.",
        "Too high: a stranger's request costs more. Too low: programs that read all of a list need more requests."
    ),
    field!(
        "http_probes_max",
        Kind::Integer(1..=10_000),
        "Connections of the HTTP server beyond those, for one request of /health or /metrics each.",
        "Too low: a flood hides that the pool is well."
    ),
    field!(
        "http_proofs_max",
        Kind::Integer(1..=64),
        "Proofs of what is owed, of a credit or of one share that are put together at a time, half of them for one address.",
        "Too high: strangers take the cores from shares."
    ),
    field!(
        "http_share_proofs_max",
        Kind::Integer(1..=16),
        "Proofs that look through shares (pool.proof_shares_max) at a time, one for an address.",
        "Too high: each takes a core for as long as it reads, and its memory."
    ),
    field!(
        "http_lists_max",
        Kind::Integer(1..=64),
        "Lists of more than 50 rows, and miners with all that they have, put together at a time, one for an address.",
        "Too high: strangers take the cores from shares. Too low: pages wait for each other."
    ),
    field!(
        "http_waiting_max",
        Kind::Integer(1..=100_000),
        "Requests that wait for each of these places, in turn by address; where they are full the newest of the address with most is told 503.",
        "Too low: more addresses than these at once, as after a block, find no place. Each holds its connection."
    ),
    field!(
        "http_waiting_secs",
        Kind::Integer(1..=9),
        "Seconds that such a request waits before it is told 503.",
        "With what it takes itself an answer has 10 seconds."
    ),
    field!(
        "http_proxies",
        Kind::Networks,
        "Proxies in front of the HTTP server, whose X-Forwarded-For is believed: limits by address count the rightmost one in it that is of no such network.",
        "Whoever connects from these networks can claim any address. A proxy that is missing here counts as one address, with all who come through it."
    ),
    field!("p2p", Kind::Address, "Where peers connect.", PUBLIC_RISK),
    field!("connect", Kind::Peers, "Peers to connect to and stay connected to.", ""),
    field!("ready_file", Kind::Path, "Written as JSON with all addresses once everything is ready.", ""),
    field!(
        "chain.check_blocks",
        Kind::Integer(0..=10_000),
        "Newest blocks that are read and examined at start, beyond the checksums of the chain store.",
        "More finds older damage and starts slower, by up to a fifth of a second for a full block."
    ),
    field!(
        "chain.kept_blocks_max",
        Kind::Integer(1..=10_000),
        "Most blocks that wait in memory while the disk takes none.",
        "Too low: blocks that are found while the disk is full are lost."
    ),
    field!(
        "chain.kept_mib_max",
        Kind::Integer(64..=65_536),
        "Most MiB of such blocks; a block can have 40.",
        "Memory beyond everything else's."
    ),
    field!(
        "chain.retry_secs_max",
        Kind::Integer(1..=3_600),
        "Longest pause between attempts to open the chain store again after the disk failed, in seconds.",
        "Each attempt reads the whole store."
    ),
    field!(
        "pool.fee_bp",
        Kind::Integer(0..=5_000),
        "Pool fee in hundredths of a percent.",
        "A change counts for blocks found after it."
    ),
    field!(
        "pool.scheme",
        Kind::Choice(&["pplns", "pps", "fpps", "solo", "tides"]),
        "How accounts are paid that chose nothing (SPEC 8.9). It is offered to all.",
        "A change counts for work that is handed out after it. pps and fpps need a reserve: bq pool reserve."
    ),
    field!(
        "pool.schemes",
        Kind::Schemes,
        "Schemes that an account may choose beside pplns.",
        "An account whose scheme is taken from the list is paid by pplns from its next work on."
    ),
    field!(
        "pool.pps_fee_bp",
        Kind::Integer(0..=10_000),
        "Fee of pps in hundredths of a percent. It stays in the reserve.",
        "Low: the reserve that is needed grows; at or below what lost blocks cost none is enough, and pps pays as pplns."
    ),
    field!(
        "pool.fpps_fee_bp",
        Kind::Integer(0..=10_000),
        "Fee of fpps in hundredths of a percent. It stays in the reserve.",
        "As that of pps."
    ),
    field!(
        "pool.solo_fee_bp",
        Kind::Integer(0..=5_000),
        "Fee of solo in hundredths of a percent.",
        "A change counts for blocks whose share comes after it."
    ),
    field!(
        "pool.tides_fee_bp",
        Kind::Integer(0..=5_000),
        "Fee of tides in hundredths of a percent.",
        "A change counts for blocks whose share comes after it."
    ),
    field!(
        "pool.tides_window_units",
        Kind::Integer(1..=64),
        "Length of the tides window, in blocks of the difficulty of the one that is found.",
        "Changing it on a running pool moves income between miners."
    ),
    field!(
        "pool.reserve_orphan_bp",
        Kind::Integer(0..=10_000),
        "The part of the pool's blocks that leaves the best chain, in hundredths of a percent, as the reserve is reckoned.",
        "Too low: the reserve may run out more often than the bound says."
    ),
    field!(
        "pool.reserve_withheld_bp",
        Kind::Integer(0..=10_000),
        "The part of its blocks that miners withhold, in hundredths of a percent, as the reserve is reckoned.",
        "As that of orphans."
    ),
    field!(
        "pool.payout_mode",
        Kind::Choice(&["auto", "direct", "ledger"]),
        "Who pays miners: the coinbase of each block (direct) or payouts (ledger). auto: as the pool's books are, and direct for new ones.",
        "A change counts for blocks after the next share. ledger: the pool's key holds what miners earned until it is paid out."
    ),
    field!(
        "pool.direct_min",
        Kind::Integer(10_000..=AMOUNT_MAX),
        "A coinbase pays whom it would pay at least this many atoms; a later one pays the others.",
        "Too low: outputs that cost more to spend than they are worth. Too high: small miners wait."
    ),
    field!(
        "pool.direct_payees_max",
        Kind::Integer(1..=5_000),
        "Most miners that one coinbase pays.",
        "Each output weighs 160 units of a block's 4,000,000: with many, a full block has room for fewer transactions and their fees."
    ),
    field!(
        "pool.payout_min",
        Kind::Integer(10_000..=AMOUNT_MAX),
        "Atoms a miner must be owed before a payout (100,000,000 are one coin).",
        "Too low: fees eat the payouts. Too high: small miners wait for ever."
    ),
    field!(
        "pool.payout_final_depth",
        Kind::Integer(1..=10_000),
        "Confirmations after which a payout is final.",
        "Too low: a deep reorganisation can undo a payout that the books call final."
    ),
    field!(
        "pool.payout_interval_secs",
        Kind::Integer(1..=604_800),
        "Seconds between the starts of two payout rounds.",
        "Too short: many small payouts, each with a network fee that the payees bear. Too long: miners wait."
    ),
    field!(
        "pool.payout_round_max",
        Kind::Integer(1..=1_000),
        "Most transactions of one payout round.",
        "Too low: with many miners due, the last wait for several rounds."
    ),
    field!(
        "pool.payout_inputs_max",
        Kind::Integer(1..=600),
        "Most coins that one payout spends.",
        "Too high: a payout grows heavy and expensive. Too low: a pool of small coins pays little at a time."
    ),
    field!(
        "pool.payout_payees_max",
        Kind::Integer(1..=5_000),
        "Most miners that one payout pays.",
        "Too high: one transaction that does not confirm holds up more miners."
    ),
    field!(
        "pool.payout_fee_rate",
        Kind::Integer(0..=10_000_000),
        "Network fee of payouts in atoms per 1,000 weight units; the payees bear it.",
        "Too low: payouts wait for a block. Too high: miners lose it."
    ),
    field!(
        "pool.gift_min",
        Kind::Integer(1..=AMOUNT_MAX),
        "Coins from strangers below this many atoms are left alone.",
        "Too low: dust that costs more to spend than it is worth is booked and spent."
    ),
    field!(
        "pool.payout_coins_max",
        Kind::Integer(2..=1_000_000),
        "Free coins of the pool above which small ones are joined, at the pool's cost: pool.payout_inputs_max at a time, once a round at least.",
        "Too low: coins wait for their transactions to be buried, and fees are paid for little. Too high: payouts of many small coins are heavy."
    ),
    field!(
        "pool.payout_replace_blocks",
        Kind::Integer(0..=10_000),
        "Blocks after which a payout that none of them has is replaced by one with a fee half as high again; 0 = never.",
        "Too few: fees rise before a block had room. Too many: payouts wait where fees are high."
    ),
    field!(
        "pool.payout_fees_max",
        Kind::Integer(1..=100),
        "Most that a replacement pays, in network fees of pool.payout_fee_rate.",
        "Payees bear it. Too low: payouts wait where fees are high."
    ),
    field!(
        "pool.cold_address",
        Kind::PayoutAddress,
        "Address of a key that is on no machine of the pool: coinbases pay the pool's part there, and payouts spend a float that a person fills from it. None = the pool's own key.",
        "Its coins are the pool's: spend them for nothing else than the float. Losing that key loses them."
    ),
    field!(
        "pool.float_intervals",
        Kind::Integer(0..=1_000_000),
        "With pool.cold_address: payout intervals for whose earnings the float should be enough; more is told as float_high. 0 = no bound.",
        "Too high: who steals the pool's key takes more. Too low: it has to be filled often."
    ),
    field!(
        "pool.frame_interval_ms",
        Kind::Integer(1..=10_000),
        "Longest time in milliseconds that accepted shares wait until they are told to the books.",
        "Too short: more events and syncs of the disk. Too long: shares of more time have to be read again after a crash."
    ),
    field!(
        "pool.share_sync_ms",
        Kind::Integer(1..=10_000),
        "Longest time in milliseconds until an acknowledged share is on stable storage: what a power cut may take.",
        "Too short: more syncs of the disk. Too long: a power cut takes the shares of more time."
    ),
    field!(
        "pool.block_wait_ms",
        Kind::Integer(0..=60_000),
        "Longest time in milliseconds that the answer to a share which is a block waits until the node has stored it.",
        "Too short: a crash at that moment may lose a block whose share was accepted. Too long: its miner waits while the node is stuck."
    ),
    field!(
        "pool.template_interval_secs",
        Kind::Integer(1..=600),
        "Longest time in seconds until a block template is made anew without a new tip.",
        "Too long: transactions, and their fees, wait. Too short: each costs the node work and miners a job."
    ),
    field!(
        "pool.workers_per_account_max",
        Kind::Integer(16..=1_000_000),
        "Most workers of one account that are shown one by one; further ones are shown together.",
        "Memory; a name costs an accepted share."
    ),
    field!(
        "pool.workers_max",
        Kind::Integer(1_000..=10_000_000),
        "Most workers of all accounts that are shown one by one.",
        "Memory, some 1,000 bytes each, and up to 30 kB each on the disk for those that mine all the time for two years."
    ),
    field!(
        "pool.refused_workers_per_account_max",
        Kind::Integer(0..=100_000),
        "Most workers of one account that are shown one by one although every share of theirs was refused.",
        "Such a name costs no work, and anybody may send one to any address."
    ),
    field!(
        "pool.refused_workers_max",
        Kind::Integer(0..=1_000_000),
        "The same of all accounts.",
        "Memory and disk as for other workers; too low: who sets up a machine does not see why it earns nothing."
    ),
    field!(
        "pool.withholding_alarm_ppm",
        Kind::Integer(0..=10_000),
        "Chance, in millionths, below which an account's missing blocks of 30 days are told (condition withholding_suspected); 0 = never.",
        "Too high: honest accounts are named, two of a million each 30 days for every millionth. Too low: who keeps blocks back is named late."
    ),
    field!(
        "pool.statistics_interval_secs",
        Kind::Integer(1..=3_600),
        "Seconds between two writes of the statistics (statistics.sqlite).",
        "Too long: a crash takes refused shares of that time from them. Too short: the disk writes a row for every worker each time."
    ),
    field!(
        "pool.compare_interval_secs",
        Kind::Integer(1..=86_400),
        "Seconds between two comparisons of the books' coins with the node's.",
        "Too long: coins spent outside the books are noticed late, and payouts go on meanwhile."
    ),
    field!(
        "pool.checkpoint_events",
        Kind::Integer(10..=10_000_000),
        "Events after which the state is written, so that a start need not read more than these.",
        "Too low: the disk writes the whole state often. Too high: a start after a crash takes longer."
    ),
    field!(
        "pool.checkpoint_secs",
        Kind::Integer(0..=86_400),
        "Seconds at least between two states that are written because a block of the pool was credited.",
        "Too low on a chain with many blocks: the disk writes the whole state with each. Too high: after a crash the shares that those \
         blocks paid cannot be given up if they are damaged."
    ),
    field!(
        "pool.statement_interval_secs",
        Kind::Integer(0..=86_400),
        "Seconds between two signed statements of what the pool owes, with the root of the tree of all balances in its log; 0: none.",
        "Too short: the log grows by them, and the signer is asked often. 0: no miner can check that his balance is counted."
    ),
    field!(
        "pool.statements_kept",
        Kind::Integer(1..=1_000),
        "Newest statements of which miners can be shown their part.",
        "Disk, some 40 bytes for each account and statement, and memory for those that are asked for."
    ),
    field!(
        "pool.credits_kept",
        Kind::Integer(1..=1_000_000),
        "Newest blocks of whose credits miners can be shown their part.",
        "Disk, some 40 bytes for each account that a block credits. Too low: a receipt must be asked for sooner."
    ),
    field!(
        "pool.proof_events_max",
        Kind::Integer(100..=10_000_000),
        "Most events of the log in one proof that is asked for over HTTP.",
        "Too high: a stranger's request costs more memory, some 50 bytes an event. Too low: where blocks are rare no proof fits, and only bq audit export makes one."
    ),
    field!(
        "pool.proof_shares_max",
        Kind::Integer(1_000..=100_000_000),
        "Most shares that are looked through for one proof that is asked for over HTTP.",
        "Too high: a stranger's request costs more time, some 2 s for a million. Too low: exports reach less far back."
    ),
    field!(
        "pool.verify_shares",
        Kind::Integer(0..=1_000_000_000),
        "Newest shares that are checked against the books at start, beyond the hashes of the files.",
        "Too low: shares that somebody replaced together with the hashes go unnoticed until an audit. Too high: a slow start."
    ),
    field!(
        "pool.keep_days",
        Kind::Integer(0..=36_500),
        "Days for which shares are kept beyond those that a window may still want; 0 keeps all for ever.",
        "Too low: an audit recomputes less of the past, and a longer window is refused at first. 0: the disk fills."
    ),
    field!(
        "pool.segment_shares",
        Kind::Integer(1_000..=1_500_000),
        "Most shares in one file of the share log. What is dropped or given up, is so by the file.",
        "Too high: old shares go late, and more are lost with a damaged file. Too low: many files."
    ),
    field!(
        "pool.out_of_step_secs",
        Kind::Integer(0..=3_600),
        "Seconds that the books may be behind the node before the pool says so and is not ready.",
        "Too short: readiness flaps at every block."
    ),
    field!(
        "pool.settings",
        Kind::Flag,
        "Accounts may have settings of their own: minimum payout, scheme, lock, webhook; their key signs them.",
        "false: what is set already holds on, and its owners cannot change it."
    ),
    field!(
        "pool.settings_minimum_max",
        Kind::Integer(10_000..=AMOUNT_MAX),
        "Most atoms that an account may choose as its minimum; the least is payout_min.",
        "Too high: the pool owes more for longer, to whoever chose so. Lowered, it counts for those who chose more."
    ),
    field!(
        "pool.settings_delay_secs",
        Kind::Integer(1..=31_536_000),
        "Seconds for which what lowers an account's protection waits, counted in blocks of the network's spacing.",
        "Too short: an owner does not hear in time that somebody else has the key."
    ),
    field!(
        "pool.settings_interval_secs",
        Kind::Integer(0..=86_400),
        "Seconds between two settings of an account.",
        "Too short: each is 5.5 KiB in the log for ever. Too long: an owner changes his mind late; cancelling never waits."
    ),
    field!(
        "pool.settings_hour_max",
        Kind::Integer(1..=100_000),
        "Most settings that all accounts together may have taken in an hour, on average; five times as many at once. Cancelling is never refused for it.",
        "Too high: whoever sends one share from each of many accounts fills the disk, 5.5 KiB each for ever. Too low: owners have to try again."
    ),
    field!(
        "pool.settings_window_secs",
        Kind::Integer(60..=2_592_000),
        "Seconds from now within which a setting must have been signed.",
        "Too short: nobody can sign on a machine without a network. Too long: an old signature that was never sent still counts."
    ),
    field!(
        "pool.notices",
        Kind::Flag,
        "Tells accounts' webhooks of payouts and settings.",
        "This machine calls hosts that its miners name: it shows them its address."
    ),
    field!(
        "pool.notices_private",
        Kind::Flag,
        "Also calls webhooks in private networks and on this machine.",
        "true: whoever mines here can make this machine post to services that only it reaches."
    ),
    field!(
        "pool.notice_timeout_secs",
        Kind::Integer(1..=60),
        "Seconds for one try of a notice.",
        "Too long: silent hosts hold the places of others."
    ),
    field!(
        "pool.notice_tries_max",
        Kind::Integer(1..=10),
        "Most tries for a notice; one, where the account's last notice failed in every try.",
        "Too high: hosts that fail hold places in the queue."
    ),
    field!(
        "pool.notice_retry_secs",
        Kind::Integer(1..=3_600),
        "Seconds until the second try; each next pause is twice as long.",
        "Too short: a host that restarts misses all tries. Too long: places in the queue are held."
    ),
    field!(
        "pool.notices_at_once_max",
        Kind::Integer(1..=256),
        "Most notices that are sent at a time: three quarters of them to webhooks that answered their last call, at least one each to those and all others.",
        "Too low: slow hosts hold up others' notices. Too high: that many sockets."
    ),
    field!(
        "pool.notices_queue_max",
        Kind::Integer(1..=100_000),
        "Most notices that wait, three quarters of them for webhooks that answered their last call; who has most makes room for more.",
        "Too low: a payout to many accounts does not reach all. Too high: some KiB of memory each."
    ),
    field!(
        "pool.notices_per_hour_max",
        Kind::Integer(1..=10_000),
        "Most notices of an account in an hour; more are left out and counted.",
        "Too high: this machine can be made to bother a host that somebody names."
    ),
    field!(
        "pool.new_key",
        Kind::Flag,
        "Goes on with another key than the log names; the same as --new-key.",
        "Coins of the old key are missing, and payouts stop, until they are sent to the new one. Never leave it on."
    ),
    field!(
        "pool.pplns_window_units",
        Kind::Integer(1..=64),
        "Length of the PPLNS window, in expected blocks per algorithm.",
        "Changing it on a running pool moves income between miners. A longer one is refused while its shares are dropped."
    ),
    field!(
        "pool.share_interval_secs",
        Kind::Integer(1..=120),
        "Seconds between two shares of one connection that vardiff aims at.",
        "Too short costs verification time: a RandomX share takes tens of milliseconds."
    ),
    field!(
        "pool.share_difficulty_cap_divisor",
        Kind::Integer(1..=1_000_000),
        "A share is never harder than the network's difficulty over this.",
        "1 makes shares as rare as blocks on a small network."
    ),
    field!(
        "pool.key_file",
        Kind::Path,
        "Key file that receives rewards and signs payouts; none = one is made in data_dir.",
        "It holds all pool money between maturity and payout."
    ),
    field!(
        "pool.password_file",
        Kind::Path,
        "File whose first line is the key file's password; none = one is made in data_dir. Mainnet insists on yours.",
        "Readable to its owner only."
    ),
    field!(
        "pool.signer_socket",
        Kind::Path,
        "Socket of the signer that holds the pool's key (bq signer); none = this process holds it, in pool.key_file.",
        "Payouts wait while no signer answers there."
    ),
    field!(
        "pool.signer_patience_ms",
        Kind::Integer(100..=600_000),
        "Milliseconds within which the signer must answer a question.",
        "Too short: a busy signer looks like one that is away. Too long: one that hangs is noticed late."
    ),
    field!(
        "pool.signer_follow_secs",
        Kind::Integer(1..=3_600),
        "Longest pause in which the signer is told nothing of the log.",
        "Too long: it has much to hear before it signs, and one that is away is noticed late."
    ),
    field!("pool.sha256d.share_difficulty_floor", SHARE_DIFFICULTY, FLOOR, FLOOR_RISK),
    field!("pool.sha256d.share_difficulty_start", SHARE_DIFFICULTY, START, START_RISK),
    field!("pool.randomx.share_difficulty_floor", SHARE_DIFFICULTY, FLOOR, FLOOR_RISK),
    field!("pool.randomx.share_difficulty_start", SHARE_DIFFICULTY, START, START_RISK),
    field!("pool.ethash.share_difficulty_floor", SHARE_DIFFICULTY, FLOOR, FLOOR_RISK),
    field!("pool.ethash.share_difficulty_start", SHARE_DIFFICULTY, START, START_RISK),
    field!(
        "stratum.connections_max",
        Kind::Integer(1..=1_000_000),
        "Most open connections, all ports together.",
        "Memory and open files grow with it; what the system's limit of open files does not allow is refused there."
    ),
    field!(
        "stratum.connections_per_peer_max",
        Kind::Integer(1..=1_000_000),
        "Most open connections from one address (IPv6: one /56). Where they are taken, one that proved nothing makes room.",
        "Too low: a farm behind one address is turned away. Too high: one address can hold many places by mining a little on each."
    ),
    field!(
        "stratum.connections_per_subnet_max",
        Kind::Integer(1..=1_000_000),
        "Most open connections from one IPv4 /24 or IPv6 /48. Where they are taken, one that proved nothing makes room.",
        "Too low: a large farm or carrier is turned away. As high as connections_max: one network can hold all places by mining a little."
    ),
    field!(
        "stratum.proof_lapses_secs",
        Kind::Integer(60..=604_800),
        "Seconds for which an accepted share holds the place of its connection, or of its channel; later it makes room where all is full.",
        "Too short: slow miners leave where all is full. Too long: one share holds a place for as long."
    ),
    field!(
        "stratum.files_reserved",
        Kind::Integer(16..=65_536),
        "Open files that miners leave to the node, the databases and the log, beside what pages, RPC and peers may open.",
        "Too low: when all miners are connected the node cannot open what it needs. Fewer miners fit if the system allows few files."
    ),
    field!(
        "stratum.accepts_per_second",
        Kind::Integer(1..=100_000),
        "New connections per second from one address; ten seconds' worth may come at once.",
        "Too low: a farm that comes back after an outage waits. Too high: a flood of connections costs more."
    ),
    field!(
        "stratum.accepts_per_subnet_second",
        Kind::Integer(1..=100_000),
        "New connections per second from one IPv4 /24 or IPv6 /48; ten seconds' worth may come at once.",
        "As for one address; below accepts_per_second it is what counts."
    ),
    field!(
        "stratum.trust_loopback",
        Kind::Flag,
        "Whether this machine's own connections count neither against the limit per address nor towards bans.",
        "Behind a proxy on this machine nobody is ever banned: false there bans the proxy as a whole."
    ),
    field!(
        "stratum.proxy_networks",
        Kind::Networks,
        "Proxies in front of the Stratum ports that speak the PROXY protocol (versions 1 and 2). From there its header is mandatory and the \
         address it names is what limits and bans count; from anywhere else the header is refused.",
        "Whoever connects from these networks can claim any address. A proxy that sends no header is not served."
    ),
    field!(
        "stratum.agent_floors",
        Kind::AgentFloors,
        "Clients whose name for themselves begins so get no job of that algorithm below so many hashes, unless they ask for a difficulty or the \
         network allows no more: services that rent out miners refuse a pool whose difficulty falls below their own bound.",
        "A miner that is slower than its floor suits has its shares, and their pay, far apart."
    ),
    field!(
        "stratum.scheme_ports",
        Kind::SchemePorts,
        "Stratum ports more, whose miners are paid by one scheme, whatever their accounts chose (SPEC 8.9.12): a scheme of pool.scheme or \
         pool.schemes, or pplns. Each is one for plain Stratum and TLS; the ready file names it stratum_ALGORITHM_SCHEME.",
        "Whoever takes the wrong port is paid otherwise than he thinks: say in the pool's own words which is which."
    ),
    field!(
        "stratum.deny_networks",
        Kind::Networks,
        "Networks from which nobody connects to the Stratum ports, also behind a proxy; above all else. Read at start: a change needs a restart, or \
         bq run --takeover, which ends their connections and keeps the others.",
        "This machine's own networks among them: the built-in miner is refused too."
    ),
    field!(
        "stratum.allow_networks",
        Kind::Networks,
        "Networks whose connections are counted by no limit per address or subnet, are never banned and pay nothing for what is verified in vain; only \
         connections_max holds. Read at start, as deny_networks.",
        "Whoever connects from there may forge and reconnect without end: a quarter of the verifier (strangers_percent) is all that bounds it. For farms that you know."
    ),
    field!(
        "stratum.proxy_header_secs",
        Kind::Integer(1..=60),
        "Seconds within which a listed proxy must send its header.",
        "Too long: connections of a broken proxy keep places."
    ),
    field!(
        "stratum.tls",
        Kind::Flag,
        "Whether miners may speak TLS (1.2 and 1.3), on the same ports: the first byte tells.",
        "false: nobody between miner and pool is kept from reading and changing what they say."
    ),
    field!(
        "stratum.plaintext",
        Kind::Flag,
        "Whether miners without TLS are served.",
        "false turns away most miners as they are configured today, and the built-in one."
    ),
    field!(
        "stratum.tls_certificate_file",
        Kind::Path,
        "PEM file with the chain that is shown, the server's own certificate first; read again on SIGHUP. None: one that bq signs itself at the \
         first start, in data_dir.",
        "What bq signs itself no miner can check but by its fingerprint."
    ),
    field!(
        "stratum.tls_key_file",
        Kind::Path,
        "PEM file with the private key of that certificate.",
        "Readable to its owner only: whoever has it can be the pool to your miners."
    ),
    field!(
        "stratum.tls_warning_days",
        Kind::Integer(0..=365),
        "Days before the end of the TLS certificate from which the condition certificate_expires_soon tells of it; 0: not before it ended.",
        "Too few: nobody has time to renew it, and miners that check it stay away. More than it is good for: told always."
    ),
    field!(
        "stratum.tls_handshake_secs",
        Kind::Integer(1..=60),
        "Seconds within which a TLS handshake must be done.",
        "Too long: half-open handshakes keep places. Too short: distant miners fail."
    ),
    field!(
        "stratum.tls_handshakes_max",
        Kind::Integer(1..=4_096),
        "TLS handshakes that are computed before everybody else gets a turn.",
        "Each costs up to a millisecond: many make miners wait while a farm reconnects. Too few: the farm waits."
    ),
    field!(
        "stratum.v2_enabled",
        Kind::Flag,
        "Whether miners are served that speak Stratum V2, on the port stratum_v2.",
        "false turns them away."
    ),
    field!(
        "stratum.v2_authority_key_file",
        Kind::Path,
        "File with the secret key that miners of Stratum V2 know the pool by; all servers of a pool have the same. Made if it is not there; none = \
         stratum-v2-authority in data_dir.",
        "Readable to its owner only: whoever has it can be the pool to your miners. With another key miners that check it stay away."
    ),
    field!(
        "stratum.v2_certificate_secs",
        Kind::Integer(60..=31_536_000),
        "Seconds for which what signs a Stratum V2 handshake is good; each handshake has its own.",
        "Miners compare it with their clocks: too short, and one that is slow stays away. Too long: a stolen one is of more use."
    ),
    field!(
        "stratum.v2_handshake_secs",
        Kind::Integer(1..=60),
        "Seconds within which a Stratum V2 handshake must be done.",
        "Too long: half-open handshakes keep places. Too short: distant miners fail."
    ),
    field!(
        "stratum.v2_handshakes_max",
        Kind::Integer(1..=4_096),
        "Stratum V2 handshakes that are computed before everybody else gets a turn.",
        "Each costs up to a millisecond: many make miners wait while a farm reconnects. Too few: the farm waits."
    ),
    field!(
        "stratum.v2_channels_max",
        Kind::Integer(1..=65_536),
        "Most channels on one Stratum V2 connection, as a proxy's; each but the first takes a place as a connection does.",
        "Each costs as much memory as a connection. Too low: a proxy's machines are turned away."
    ),
    field!(
        "stratum.send_buffer_kib",
        Kind::Integer(0..=16_384),
        "KiB that the kernel may hold for a miner who does not read, for each connection; it doubles this. 0 leaves it to the system.",
        "0: a thousand clients that do not read cost hundreds of MiB. Too low: jobs leave in pieces."
    ),
    field!(
        "stratum.receive_buffer_kib",
        Kind::Integer(0..=16_384),
        "KiB that the kernel may hold of a miner's lines before they are read, for each connection. 0 leaves it to the system.",
        "0: whoever sends faster than he is read fills megabytes."
    ),
    field!(
        "stratum.backlog",
        Kind::Integer(1..=65_535),
        "Connections that the kernel keeps until they are accepted, for each port; the system may allow fewer (net.core.somaxconn).",
        "Too low: when all miners come back at once some must try again."
    ),
    field!(
        "stratum.logins_per_connection_max",
        Kind::Integer(1..=65_536),
        "Most machines that may log in on one connection, as a proxy's do.",
        "Each costs memory, and a client may keep as many waiting for an answer."
    ),
    field!(
        "stratum.first_line_secs",
        Kind::Integer(1..=600),
        "Seconds within which a connection must send its first line.",
        "Too long: silent connections keep places."
    ),
    field!(
        "stratum.login_secs",
        Kind::Integer(1..=600),
        "Seconds within which a connection must have logged in.",
        "Too long: connections without a login keep places."
    ),
    field!(
        "stratum.first_share_secs",
        Kind::Integer(0..=3_600),
        "Seconds for which the first RandomX or Ethash share of a connection is waited for before silence lowers its difficulty.",
        "Too short: a miner that builds its dataset comes back as a flood. Too long: a slow one looks dead until then."
    ),
    field!(
        "stratum.idle_secs",
        Kind::Integer(10..=86_400),
        "Seconds without a line after which a connection is closed.",
        "Too short: slow miners are cut off between two shares."
    ),
    field!(
        "stratum.shareless_secs",
        Kind::Integer(60..=604_800),
        "Seconds after its login or its last accepted share after which a connection is closed, whatever else it says.",
        "Too short: miners with a difficulty far above their speed have to come back. Too long: pings hold places."
    ),
    field!(
        "stratum.job_refresh_secs",
        Kind::Integer(5..=120),
        "Longest time in seconds between two jobs of a connection.",
        "Miners give up at 120 to 180. Shorter costs a write per connection each time."
    ),
    field!(
        "stratum.lines_per_second",
        Kind::Integer(1..=1_000_000),
        "Lines per second that a connection may send for long; above it, it is read more slowly.",
        "Too low: shares of large proxies arrive late and are stale. Too high: one client costs more."
    ),
    field!(
        "stratum.line_burst",
        Kind::Integer(1..=10_000_000),
        "Lines that may come at once.",
        "Too low: shares that a proxy collected arrive late."
    ),
    field!(
        "stratum.outbox_kib_max",
        Kind::Integer(4..=65_536),
        "KiB that may wait for a miner that does not read; more ends the connection.",
        "Too low: slow lines are cut off at a burst of jobs. Memory per connection at worst."
    ),
    field!(
        "stratum.write_stall_secs",
        Kind::Integer(1..=3_600),
        "Seconds after which a miner that reads nothing is cut off.",
        "Too short: a line that stalls for a moment loses its connection."
    ),
    field!(
        "stratum.getwork_poll_secs",
        Kind::Integer(1..=60),
        "Seconds that a poll over HTTP may take from its first byte to its answer.",
        "Too short: polls fail while the verifier is busy. Too long: half requests hold connections."
    ),
    field!(
        "stratum.getwork_answer_secs",
        Kind::Integer(1..=60),
        "Seconds within which the session behind a poll over HTTP must answer it.",
        "Too short: shares are answered too late while the verifier is busy."
    ),
    field!(
        "stratum.getwork_head_kib_max",
        Kind::Integer(8..=64),
        "KiB of the head of a poll over HTTP.",
        "Too high: strangers fill memory."
    ),
    field!(
        "stratum.getwork_body_kib_max",
        Kind::Integer(1..=64),
        "KiB of the body of a poll over HTTP.",
        "Too high: strangers fill memory."
    ),
    field!(
        "stratum.turned_away_polls_max",
        Kind::Integer(0..=4_096),
        "Polls over HTTP from those for whom there is no place that may be answered at a time, each for a second.",
        "0: they see a closed connection. Too high: each holds an open file."
    ),
    field!(
        "stratum.jobs_kept",
        Kind::Integer(2..=64),
        "Newest jobs of a connection that still earn.",
        "Too low: late shares are stale. Too high: memory, and work on old templates is paid longer."
    ),
    field!(
        "stratum.jobs_remembered",
        Kind::Integer(0..=1_024),
        "Older jobs of a connection, on the newest tip, that a block may still come for.",
        "Too low: a block whose line waited unread is lost. Too high: memory."
    ),
    field!(
        "stratum.shares_per_job_max",
        Kind::Integer(16..=1_000_000),
        "Most shares by which one job earns; a fresh one must come then.",
        "Too low: fast miners are refused until vardiff has caught up. 12 bytes each."
    ),
    field!(
        "stratum.block_claims_max",
        Kind::Integer(1..=64),
        "Most claimed blocks of a connection in verification at a time, above all other limits.",
        "Too high: forged claims cost the verifier more."
    ),
    field!(
        "stratum.forged_shares_max",
        Kind::Integer(1..=1_000),
        "Forged shares after which a connection is closed.",
        "Too low: a miner with a hardware fault is cut off. Too high: forgers cost the verifier more."
    ),
    field!(
        "stratum.shares_per_pardon",
        Kind::Integer(1..=1_000_000),
        "Accepted shares that forgive one forged one.",
        "Too low: forgers who also mine are never cut off."
    ),
    field!(
        "stratum.trusted_after",
        Kind::Integer(1..=1_000_000),
        "Accepted shares, none forged, after which a connection is served before strangers.",
        "Too low: strangers buy that cheaply."
    ),
    field!(
        "stratum.ntime_ahead_secs_max",
        Kind::Integer(60..=86_400),
        "Seconds that a SHA-256d miner may roll time ahead of its job.",
        "Blocks too far ahead are refused by the chain."
    ),
    field!(
        "stratum.ban_points",
        Kind::Integer(2..=1_000_000),
        "Points at which an address is banned; a forged share counts 4, a connection that does not speak Stratum 1.",
        "Too low: one faulty machine bans all behind its address. Too high: more forged shares of each address are hashed."
    ),
    field!(
        "stratum.ban_secs",
        Kind::Integer(1..=86_400),
        "Seconds that a first ban lasts, and after which points lapse; each next ban lasts twice as long.",
        ""
    ),
    field!(
        "stratum.ban_secs_max",
        Kind::Integer(1..=31_536_000),
        "Longest ban in seconds; at least a first one's.",
        "Addresses change hands: a long ban meets somebody else."
    ),
    field!(
        "stratum.ban_peers_max",
        Kind::Integer(64..=10_000_000),
        "Addresses with points that are remembered.",
        "Too low: forgers with many addresses are forgotten."
    ),
    field!(
        "stratum.ban_shares_per_pardon",
        Kind::Integer(1..=1_000_000),
        "Accepted shares of an address that make room for one forged one more.",
        "Too low: forgers who also mine are never banned."
    ),
    field!(
        "stratum.ban_exempt_ratio",
        Kind::Integer(1..=1_000_000),
        "With as many accepted shares lately for each forged one an address is not banned: behind it may be a farm with one bad rig, which is cut off alone.",
        "Too low: whoever mines a little may forge for as long as stranger_cpu_ms lets him. Too high: a farm is banned for one rig."
    ),
    field!(
        "stratum.stranger_cpu_ms",
        Kind::Integer(100..=600_000),
        "Milliseconds of processor time that untrusted connections of one address may cost at once for RandomX and Ethash shares that turn out forged.",
        "Too low: strangers of a farm are told to wait when all come back at once. Too high: a forger keeps the verifier busy."
    ),
    field!(
        "stratum.stranger_cpu_ms_per_second",
        Kind::Integer(1..=10_000),
        "How much of that comes back each second.",
        "As for stranger_cpu_ms."
    ),
    field!(
        "stratum.workers_remembered_max",
        Kind::Integer(64..=10_000_000),
        "Workers whose difficulty is remembered between visits.",
        "Too low: workers that come back start over."
    ),
    field!(
        "stratum.workers_saved_secs",
        Kind::Integer(10..=86_400),
        "Seconds between two writes of where workers' difficulties stand and who is banned (files workers and bans), if that changed; once more at the end.",
        "Too long: after a crash more workers start over. Too short: needless writes."
    ),
    field!(
        "stratum.session_ticket_secs",
        Kind::Integer(0..=86_400),
        "Seconds after its end for which a SHA-256d miner may come back to a connection whose place was proved, with the ticket that it was told: once, \
         with its difficulty and its trust, over a restart too; 0: never.",
        "Too long: a ticket that somebody reads on the line is of use for longer. Too short: miners that come back are strangers until their next share."
    ),
    field!(
        "stratum.session_tickets_max",
        Kind::Integer(0..=1_000_000),
        "Connections that ended and may be come back to, at a time; of more, the oldest of the network address that has most goes.",
        "Too low: after a restart some miners are strangers. Memory, some 300 bytes each."
    ),
    field!(
        "stratum.panic_shown_secs",
        Kind::Integer(1..=86_400),
        "Seconds that a restarted thread stays a condition, here and in the pool.",
        "Too short: nobody sees it but in the log."
    ),
    field!(
        "stratum.handover_ms",
        Kind::Integer(50..=60_000),
        "Longest time in milliseconds that a process which is replaced (bq run --takeover) waits for shares in verification and lines that miners do not read.",
        "Too long: one miner that does not read holds all others up. Too short: busy miners have to connect again."
    ),
    field!(
        "stratum.takeover_secs",
        Kind::Integer(1..=86_400),
        "Seconds that a process which takes over has until it is ready, and again until it serves once the older one has let go of everything; then it is given up or killed, and the older one goes on. It ends an older one that answers no sooner.",
        "Too short: a start that reads many shares again is cut off. Too long: all miners wait for a process that hangs."
    ),
    field!(
        "stratum.server_full_shown_secs",
        Kind::Integer(1..=86_400),
        "Seconds for which it is told that a connection was turned away because all places are taken.",
        "Too short: nobody sees it."
    ),
    field!(
        "stratum.randomx_queue_ms",
        Kind::Integer(50..=60_000),
        "Longest time in milliseconds that RandomX shares wait for verification; the queue is shorter where hashing is slow.",
        "Too long: shares are stale when they are judged. Too short: bursts are refused as busy."
    ),
    field!(
        "stratum.ethash_queue_ms",
        Kind::Integer(50..=60_000),
        "The same of Ethash shares.",
        "As for randomx_queue_ms."
    ),
    field!(
        "stratum.strangers_percent",
        Kind::Integer(1..=100),
        "Most of the time of RandomX's and of Ethash's verification threads, in percent, for connections that are not trusted while trusted ones are there.",
        "Too low: while others forge, newcomers and a block that one of them finds wait long. Too high: who forges from many addresses slows down trusted miners."
    ),
    field!(
        "stratum.trusted_present_secs",
        Kind::Integer(1..=3_600),
        "Seconds for which a trusted miner is there after each of his shares.",
        "Too short: between two shares of few miners strangers have every thread. Too long: strangers wait for miners that have left."
    ),
    field!(
        "stratum.drain_secs",
        Kind::Integer(0..=600),
        "Seconds for which shares of connections that are not trusted are hashed still when the process ends; those of trusted ones always are.",
        "Too long: who forges keeps the process from ending. Too short: a block among them is lost."
    ),
    field!("stratum.sha256d.verify_threads", Kind::Integer(0..=1_024), VERIFY_THREADS, VERIFY_THREADS_RISK),
    field!("stratum.sha256d.queue_max", Kind::Integer(16..=1_000_000), QUEUE_MAX, QUEUE_MAX_RISK),
    field!(
        "stratum.sha256d.shares_in_flight_max",
        Kind::Integer(1..=10_000),
        SHARES_IN_FLIGHT_MAX,
        SHARES_IN_FLIGHT_MAX_RISK
    ),
    field!(
        "stratum.sha256d.unproven_in_flight_max",
        Kind::Integer(1..=10_000),
        UNPROVEN_IN_FLIGHT_MAX,
        UNPROVEN_IN_FLIGHT_MAX_RISK
    ),
    field!("stratum.randomx.verify_threads", Kind::Integer(0..=1_024), VERIFY_THREADS, VERIFY_THREADS_RISK),
    field!("stratum.randomx.queue_max", Kind::Integer(16..=1_000_000), QUEUE_MAX, QUEUE_MAX_RISK),
    field!(
        "stratum.randomx.shares_in_flight_max",
        Kind::Integer(1..=10_000),
        SHARES_IN_FLIGHT_MAX,
        SHARES_IN_FLIGHT_MAX_RISK
    ),
    field!(
        "stratum.randomx.unproven_in_flight_max",
        Kind::Integer(1..=10_000),
        UNPROVEN_IN_FLIGHT_MAX,
        UNPROVEN_IN_FLIGHT_MAX_RISK
    ),
    field!("stratum.ethash.verify_threads", Kind::Integer(0..=1_024), VERIFY_THREADS, VERIFY_THREADS_RISK),
    field!("stratum.ethash.queue_max", Kind::Integer(16..=1_000_000), QUEUE_MAX, QUEUE_MAX_RISK),
    field!(
        "stratum.ethash.shares_in_flight_max",
        Kind::Integer(1..=10_000),
        SHARES_IN_FLIGHT_MAX,
        SHARES_IN_FLIGHT_MAX_RISK
    ),
    field!(
        "stratum.ethash.unproven_in_flight_max",
        Kind::Integer(1..=10_000),
        UNPROVEN_IN_FLIGHT_MAX,
        UNPROVEN_IN_FLIGHT_MAX_RISK
    ),
    field!(
        "auth.mode",
        Kind::Choice(&["address", "token"]),
        "Who may mine: whoever names an address, or only who has a worker token as password (bq pool token, bq wallet request).",
        "address: anyone mines to anyone, which helps whom it pays. token: a miner without one is refused."
    ),
    field!(
        "auth.signed_requests",
        Kind::Flag,
        "Whether owners of addresses make and revoke tokens and lock their address by signature (POST /api/v1/requests).",
        "false leaves tokens to the operator."
    ),
    field!(
        "auth.request_window_secs",
        Kind::Integer(10..=86_400),
        "How old a signed request may be, or how far ahead of this machine's clock.",
        "Too short: clocks that differ are refused."
    ),
    field!(
        "auth.requests_per_second",
        Kind::Integer(1..=1_000),
        "Signed requests of one account that are verified for one network address, sustained; ten seconds' worth may come at once.",
        "Each costs a signature check and a write to disk."
    ),
    field!(
        "auth.tokens_max",
        Kind::Integer(1..=1_000_000),
        "Worker tokens in all; one that its owner made and never used gives way.",
        "Each is a line of the file that every change writes anew."
    ),
    field!("auth.tokens_per_address_max", Kind::Integer(1..=100_000), "Worker tokens of one address.", ""),
    field!(
        "auth.refusals_secs",
        Kind::Integer(1..=604_800),
        "For how long refused logins and shares are told under /api/v1/why.",
        ""
    ),
    field!(
        "auth.refusals_max",
        Kind::Integer(1..=10_000),
        "Different refusals of one address that one network address may bring in; its oldest goes first.",
        "Memory grows with it."
    ),
    field!(
        "auth.refusals_told_max",
        Kind::Integer(1..=10_000),
        "Different refusals of one address that are told together, wherever they came from.",
        "Too low: many who log in to an address hide what was refused to its owner. Too high: pages get long."
    ),
    field!(
        "auth.refusal_addresses_max",
        Kind::Integer(1..=10_000_000),
        "Addresses whose refusals are kept.",
        "Memory grows with it: some KiB each."
    ),
    field!(
        "auth.refusal_addresses_per_peer_max",
        Kind::Integer(1..=10_000_000),
        "As many that one network address may bring in: of more, its own oldest goes.",
        "Too high: a stranger pushes out what others want to know."
    ),
    field!("miner.enabled", Kind::Flag, "Whether the built-in miner runs.", ""),
    field!(
        "miner.threads",
        Kind::Integer(0..=1_024),
        "Threads of the built-in miner; 0 turns it off.",
        "More threads than cores slow the pool down."
    ),
    field!("miner.algorithms", Kind::Algorithms, "What the built-in miner mines, where the chain allows it.", ""),
    field!(
        "miner.mode",
        Kind::Choice(&["turns", "auto"]),
        "How its threads choose: each algorithm in turn, or whichever promises the highest reward per second.",
        ""
    ),
    field!(
        "miner.gpu",
        Kind::Flag,
        "Whether the built-in miner also mines SHA-256d and Ethash on the CUDA GPUs of this machine.",
        "The kernels have never run on a real GPU; whatever one finds is checked on the processor."
    ),
    field!(
        "miner.address",
        Kind::PayoutAddress,
        "Whom the built-in miner's shares pay; none = a key of its own in the data directory.",
        ""
    ),
    field!(
        "miner.connect_secs",
        Kind::Integer(1..=120),
        "Seconds that an address of a pool has to take a connection; every address of a name is tried.",
        "Too short: far pools are never reached."
    ),
    field!(
        "miner.login_secs",
        Kind::Integer(1..=600),
        "Seconds that a pool has to answer the login.",
        "Too short: slow pools are left. Too long: one that knows no such miner is waited for."
    ),
    field!(
        "miner.job_secs",
        Kind::Integer(1..=3_600),
        "Seconds from the login to the first job.",
        "Too long: a pool without work is waited for."
    ),
    field!(
        "miner.silence_secs",
        Kind::Integer(5..=86_400),
        "Seconds without a word of the pool after which it counts as gone.",
        "Too short: a quiet pool is left between two jobs."
    ),
    field!(
        "miner.verdict_secs",
        Kind::Integer(5..=3_600),
        "Seconds that a pool has to answer a share, and to accept one after the first that was sent.",
        "Too long: shares go on to a pool that takes none."
    ),
    field!(
        "miner.share_secs",
        Kind::Integer(60..=604_800),
        "Seconds with work and without an accepted share after which another pool is tried, where there is one.",
        "Too short: pools whose shares are hard are left before one is found."
    ),
    field!(
        "miner.refusals_max",
        Kind::Integer(1..=10_000),
        "Refused shares in a row that end a connection; those under way at once count as one, late and busy ones not at all.",
        "Too low: a short trouble of the pool ends the connection."
    ),
    field!(
        "miner.nonsense_max",
        Kind::Integer(1..=1_000_000),
        "Lines that cannot be read, or mean nothing, between two accepted shares.",
        "Too high: a broken pool is listened to."
    ),
    field!(
        "miner.keys_max",
        Kind::Integer(1..=10_000),
        "RandomX keys or Ethash epochs between two accepted shares; each has a table to build.",
        "Too high: a pool that jumps between keys keeps the machine building."
    ),
    field!(
        "miner.line_kib_max",
        Kind::Integer(4..=1_024),
        "KiB of a line of the pool.",
        "Too high: a pool fills memory. Too low: jobs with many branches are cut off."
    ),
    field!(
        "miner.attempts_max",
        Kind::Integer(1..=1_000),
        "Attempts in a row at a pool that accepts no share before the next one is tried; four where an Ethash dialect has to be found.",
        ""
    ),
    field!(
        "miner.backoff_ms",
        Kind::Integer(10..=60_000),
        "Longest pause in milliseconds before the first attempt to reconnect, doubled after each failure; a pause is at least half as long.",
        "Too short: a pool that comes back is stormed."
    ),
    field!(
        "miner.backoff_secs_max",
        Kind::Integer(1..=3_600),
        "Longest pause in seconds between two attempts.",
        "Too long: mining starts late when the pool is back."
    ),
    field!(
        "miner.probe_secs",
        Kind::Integer(1..=86_400),
        "Seconds between two looks at the first pool while another one is mined at; doubled each time that it gives no work or then accepts no share, sixteenfold at most.",
        "Too short: a pool that is in trouble is asked all the time."
    ),
    field!(
        "miner.reconnect_wait_secs_max",
        Kind::Integer(1..=3_600),
        "Longest time in seconds that a pool may send us away for.",
        "Too long: a pool keeps the miner idle."
    ),
    field!(
        "miner.in_flight_max",
        Kind::Integer(1..=10_000),
        "Shares without an answer; fewer after the pool said that it is busy. Blocks are sent at once.",
        "Too low: shares wait where the pool is far away."
    ),
    field!(
        "miner.waiting_max",
        Kind::Integer(1..=100_000),
        "Shares that wait to be sent; threads do something else until there are fewer. None is dropped.",
        "Too high: shares are late when the pool hears of them."
    ),
    field!(
        "miner.busy_ms",
        Kind::Integer(1..=60_000),
        "Pause in milliseconds after a pool said that it is busy, doubled each time, sixteenfold at most; then the share is sent again.",
        "Too short: a busy pool is asked all the time."
    ),
    field!(
        "miner.drain_secs",
        Kind::Integer(0..=60),
        "Seconds at the end of a connection that we end, for answers to the shares that were sent.",
        "0 loses shares that are under way."
    ),
    field!(
        "miner.keepalive_secs",
        Kind::Integer(5..=3_600),
        "Seconds without a line of ours until a keepalive goes out, where the pool's dialect has one.",
        "Too long: pools end connections that look dead."
    ),
    field!(
        "randomx.mode",
        Kind::Choice(&["light", "fast", "auto"]),
        "How RandomX hashes are computed: light (256 MiB), fast (2,080 MiB more, far quicker), auto (fast if the budget allows).",
        "fast beyond the machine's memory ends in swapping or a kill."
    ),
    field!(
        "randomx.memory_budget_mib",
        Kind::Integer(512..=1_048_576),
        "Memory the process should stay within, in MiB. Decides auto.",
        ""
    ),
    field!("signer.socket", Kind::Path, "Where bq signer listens; the pool names it as pool.signer_socket.", ""),
    field!(
        "signer.key_file",
        Kind::Path,
        "Key file of bq signer: the pool's key. None = one is made in signer.state.",
        "It holds all pool money between maturity and payout."
    ),
    field!(
        "signer.password_file",
        Kind::Path,
        "File whose first line is that key file's password; none = one is made in signer.state. Mainnet insists on yours.",
        "Readable to its owner only."
    ),
    field!(
        "signer.state",
        Kind::Path,
        "Where bq signer keeps what it signed, and its copy of the log. Made if missing, and locked.",
        "Lost, it does not know any more what it signed; an old copy of it could sign a payout twice. Never run two signers of one key."
    ),
    field!(
        "signer.payout_max",
        Kind::Integer(1..=AMOUNT_MAX),
        "Most atoms that leave with one payout, network fee included.",
        "Too low: large payouts wait. Too high: more is lost to whoever writes into the pool's log."
    ),
    field!(
        "signer.day_max",
        Kind::Integer(1..=AMOUNT_MAX),
        "Most atoms that leave within 24 hours.",
        "Too low: payouts wait for the next day. Too high: more is lost to whoever writes into the pool's log."
    ),
    field!(
        "signer.statements_per_hour_max",
        Kind::Integer(0..=36_000),
        "Statements of what is owed that are signed within an hour at most; 0 = none.",
        "Fewer than the pool makes (pool.statement_interval_secs): some stay without a signature. Too high: whoever has the pool's process keeps the signer busy."
    ),
    field!(
        "signer.patience_ms",
        Kind::Integer(100..=600_000),
        "Milliseconds that one message of the pool may take, and a silence of it.",
        "Too long: a pool that hangs keeps its place for that long."
    ),
    field!(
        "signer.connections_max",
        Kind::Integer(1..=64),
        "Most connections that the signer hears at a time; a newer one takes the place of one that asks nothing.",
        "Too low: whoever only connects ends conversations. Too high: each may take 64 MiB of memory."
    ),
    field!(
        "signer.peer_uid",
        Kind::Integer(0..=4_294_967_294),
        "Number of the user whose pool may ask, besides the signer's own (id -u NAME); none = only its own.",
        "Whoever is that user may have payouts signed that the log explains, within the two limits."
    ),
    field!("log.format", Kind::Choice(&["text", "json"]), "Shape of the lines on standard error.", ""),
    field!("log.level", Kind::LogFilter, "How much is logged.", "debug logs every share."),
    field!(
        "regtest.coinbase_maturity",
        Kind::Integer(1..=100_000),
        "Confirmations before a coinbase output may be spent. Only on regtest.",
        ""
    ),
    field!(
        "regtest.eras",
        Kind::Eras,
        "Which algorithms may seal blocks from which height on. Only on regtest.",
        "Part of the rules: all nodes of the chain must agree."
    ),
];
