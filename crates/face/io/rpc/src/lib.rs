//! JSON-RPC 2.0 over HTTP: the server that `docs/rpc.md` describes, and a client that is a [`bq_chain_api::NodeApi`].
//!
//! Methods have the names and shapes of Bitcoin's where those exist. Hashes are hex in the order they are hashed, never
//! reversed; amounts are decimal strings. This crate holds no rule: it turns text into calls of the node's traits and
//! answers into text. The node's calls run on threads for blocking work. Read [`RpcServer::start`] and `methods/` first.

mod accept;
mod access;
mod args;
mod client;
mod fault;
mod long_polls;
mod methods;
mod metrics;
mod pool_shapes;
mod server;
mod services;
mod shapes;
mod timed_body;
mod turns;

pub use crate::{
    access::{RpcAccess, RpcLogin, RpcLoginError},
    client::{RpcClient, RpcClientError},
    fault::Code,
    long_polls::LongPollLimits,
    methods::method_names,
    pool_shapes::{AccountSettingsShape, MinersShape, OpenPayoutShape, PoolStatusShape, WishesShape},
    server::{BATCH_MAX, BODY_BYTES_MAX, RpcHandle, RpcOptions, RpcServer},
    services::{PoolTemplate, RpcServices},
    shapes::{
        AmountShape, BlockHeaderShape, BlockShape, BlockchainInfo, CoinShape, CoinsShape, DifficultyShape, KeyShape,
        MiningConfigShape, MiningInfoShape, OutputShape, PeerShape, PrevoutShape, TemplateShape,
        TemplateTransactionShape, TemplateWorkShape, TransactionShape, TransactionStatusShape,
    },
};
