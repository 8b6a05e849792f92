//! Every method: its name, its parameters in order, and the function that answers it.
mod access;
mod chain;
mod health;
mod mining;
mod network;
mod pool;
mod template;
mod transactions;

use std::time::Instant;

use jsonrpsee::{RpcModule, core::RegisterMethodError, types::ErrorObjectOwned};
use serde::Serialize;
use serde_json::Value;

use crate::{
    RpcServices,
    accept::Caller,
    access::LoggedIn,
    args::Args,
    fault::{Code, Fault},
    metrics::Metrics,
    services::Context,
};

type Answer = Result<Value, Fault>;

/// One method.
struct Method {
    name: &'static str,
    params: &'static [&'static str],
    call: fn(&RpcServices, &mut Args) -> Answer,
}

/// Methods that only look, or hand in what proves itself: a block its work, a transaction its signatures.
const METHODS: &[Method] = &[
    Method { name: "getblockchaininfo", params: &[], call: chain::get_blockchain_info },
    Method { name: "getblockcount", params: &[], call: chain::get_block_count },
    Method { name: "getbestblockhash", params: &[], call: chain::get_best_block_hash },
    Method { name: "getblockhash", params: &["height"], call: chain::get_block_hash },
    Method { name: "getblockheader", params: &["blockhash"], call: chain::get_block_header },
    Method { name: "getblock", params: &["blockhash", "verbosity"], call: chain::get_block },
    Method { name: "getdifficulty", params: &["verbose"], call: chain::get_difficulty },
    Method { name: "submitblock", params: &["hexdata"], call: chain::submit_block },
    Method { name: "getmininginfo", params: &[], call: mining::get_mining_info },
    Method { name: "getminingconfig", params: &[], call: mining::get_mining_config },
    Method { name: "sendrawtransaction", params: &["hexstring"], call: transactions::send_raw_transaction },
    Method { name: "getrawtransaction", params: &["txid", "verbose"], call: transactions::get_raw_transaction },
    Method { name: "gettransactionstatus", params: &["txid"], call: transactions::get_transaction_status },
    Method { name: "getrawmempool", params: &[], call: transactions::get_raw_mempool },
    Method { name: "getcoins", params: &["address"], call: transactions::get_coins },
    Method { name: "gettxspendingprevout", params: &["outputs"], call: transactions::get_tx_spending_prevout },
    Method { name: "validateaddress", params: &["address"], call: transactions::validate_address },
    Method { name: "getpeerinfo", params: &[], call: network::get_peer_info },
    Method { name: "getconnectioncount", params: &[], call: network::get_connection_count },
    Method { name: "getpoolstatus", params: &[], call: pool::get_pool_status },
    Method { name: "getconditions", params: &[], call: health::get_conditions },
    Method { name: "help", params: &[], call: help },
];

/// Methods that change something in this process, write, or tell where miners connect from: they need a login.
const CHANGES: &[Method] = &[
    Method {
        name: "setminingconfig",
        params: &["enabled", "threads", "algorithms", "paused", "mode"],
        call: mining::set_mining_config,
    },
    Method { name: "addnode", params: &["node", "command"], call: network::add_node },
    Method {
        name: "pooldecide",
        params: &["command", "reason", "who", "dryrun", "amount", "address", "txid", "as", "from", "forced"],
        call: pool::pool_decide,
    },
    Method { name: "getaccountsettings", params: &["address"], call: pool::get_account_settings },
    Method { name: "poolbackup", params: &["folder", "dryrun"], call: pool::pool_backup },
    Method { name: "listminerbans", params: &[], call: access::list_miner_bans },
    Method { name: "setminerban", params: &["peer", "command", "seconds"], call: access::set_miner_ban },
    Method { name: "listtokens", params: &[], call: access::list_tokens },
    Method { name: "createtoken", params: &["address", "username", "worker"], call: access::create_token },
    Method { name: "revoketoken", params: &["id"], call: access::revoke_token },
    Method { name: "listsessions", params: &["address", "limit"], call: access::list_sessions },
];

/// The names of all methods, for `help` and for the test that every one is documented.
#[must_use]
pub fn method_names() -> Vec<&'static str> {
    METHODS.iter().chain(CHANGES).map(|method| method.name).chain([template::NAME]).collect()
}

/// Builds the dispatch table. Every call but the long poll runs on a thread for blocking work.
pub(crate) fn module(context: Context) -> Result<RpcModule<Context>, RegisterMethodError> {
    let mut module = RpcModule::new(context);
    for method in METHODS {
        module.register_blocking_method(method.name, |params, context, _| {
            timed(method.name, || (method.call)(&context.services, &mut Args::new(method.params, &params)?))
        })?;
    }
    for method in CHANGES {
        module.register_blocking_method(method.name, |params, context, extensions| {
            timed(method.name, || {
                let _login = extensions.get::<LoggedIn>().ok_or_else(|| login_needed(method.name))?;
                (method.call)(&context.services, &mut Args::new(method.params, &params)?)
            })
        })?;
    }
    module.register_async_method(template::NAME, |params, context, extensions| async move {
        let start = Instant::now();
        let caller = extensions.get::<Caller>().copied();
        let answer = template::get_block_template(&context, caller, params).await;
        report(template::NAME, start, &answer);
        answer.map_err(ErrorObjectOwned::from)
    })?;
    Ok(module)
}

fn login_needed(method: &str) -> Fault {
    let message =
        format!("{method} changes something and needs a login: the one in the file rpc-cookie of the data directory");
    Fault::new(Code::LoginNeeded, message)
}

fn timed(name: &'static str, call: impl FnOnce() -> Answer) -> Result<Value, ErrorObjectOwned> {
    let start = Instant::now();
    let answer = call();
    report(name, start, &answer);
    answer.map_err(ErrorObjectOwned::from)
}

fn report(name: &'static str, start: Instant, answer: &Answer) {
    let result = answer.as_ref().map_or_else(|fault| fault.code.name(), |_| "ok");
    Metrics::called(name, result, start.elapsed());
}

fn help(_: &RpcServices, _: &mut Args) -> Answer {
    let line = |method: &Method| [&[method.name], method.params].concat().join(" ");
    let mut lines: Vec<_> =
        METHODS.iter().chain(CHANGES).map(line).chain([format!("{} request", template::NAME)]).collect();
    lines.sort();
    Ok(lines.join("\n").into())
}

/// Turns an answer into JSON.
fn json<T: Serialize>(value: T) -> Answer {
    serde_json::to_value(value).map_err(|error| Fault::new(Code::Store, error.to_string()))
}
