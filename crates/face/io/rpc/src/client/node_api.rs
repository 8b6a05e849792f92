use bq_chain_api::{
    BlockRefusal, BlockSummary, BoxStream, Coin, DifficultyView, MiningInfo, NodeApi, NodeError, Route,
    SubmitBlockError, SubmitTransactionError, Template, TemplateRequest, TipSummary, TransactionRefusal,
    TransactionStatus,
};
use bq_primitives::{Address, Block, BlockId, Height, KeyHash, Network, OutPoint, Transaction, TxId};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio_stream::wrappers::WatchStream;

use super::{RpcClient, RpcClientError, reading};
use crate::{Code, TransactionStatusShape, fault::Reason, shapes::PrevoutShape};

impl RpcClient {
    /// Calls a method and reads its answer.
    fn ask<S: DeserializeOwned, T>(
        &self,
        method: &'static str,
        params: &Value,
        read: impl FnOnce(&S) -> Result<T, String>,
    ) -> Result<T, RpcClientError> {
        let shape: S = self.call(method, params)?;
        read(&shape).map_err(|reason| RpcClientError::Shape { method, reason })
    }

    /// As [`RpcClient::ask`], where "not found" is an answer.
    fn find<S: DeserializeOwned, T>(
        &self,
        method: &'static str,
        params: &Value,
        absent: Code,
        read: impl FnOnce(&S) -> Result<T, String>,
    ) -> Result<Option<T>, NodeError> {
        match self.ask(method, params, read) {
            Ok(found) => Ok(Some(found)),
            Err(RpcClientError::Fault { code, .. }) if code == absent.number() => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    fn address(&self, key_hash: KeyHash) -> String {
        Address { network: self.network, key_hash }.to_string()
    }
}

/// Every call goes over the wire, except for what never changes. [`NodeApi::tip`] falls back to the last known tip when
/// the server does not answer, and [`NodeApi::tip_changes`] wakes only when somebody asks for the tip.
impl NodeApi for RpcClient {
    fn network(&self) -> Network {
        self.network
    }

    fn genesis_id(&self) -> BlockId {
        self.genesis_id
    }

    fn coinbase_maturity(&self) -> u32 {
        self.coinbase_maturity
    }

    fn tip(&self) -> TipSummary {
        match self.ask("getblockchaininfo", &json!([]), reading::tip) {
            Ok(tip) => {
                self.tips.send_if_modified(|known| {
                    let is_new = *known != tip;
                    known.clone_from(&tip);
                    is_new
                });
                tip
            }
            Err(error) => {
                tracing::warn!(%error, "the tip may be old");
                self.tips.borrow().clone()
            }
        }
    }

    fn tip_changes(&self) -> BoxStream<'static, TipSummary> {
        Box::pin(WatchStream::from_changes(self.tips.subscribe()))
    }

    fn template(&self, request: &TemplateRequest) -> Result<Template, NodeError> {
        let params = json!([{
            "address": self.address(request.payout), "coinbasedata": hex::encode(&request.coinbase_data),
        }]);
        Ok(self.ask("getblocktemplate", &params, reading::template)?)
    }

    fn submit_block(&self, block: Block) -> Result<BlockId, SubmitBlockError> {
        let id = block.id();
        let hex = hex::encode(block.to_bytes());
        match self.ask("submitblock", &json!([hex]), |id: &String| reading::text(id)) {
            Ok(id) => Ok(id),
            Err(error) => Err(block_error(id, error)),
        }
    }

    fn block(&self, id: &BlockId) -> Result<Option<Block>, NodeError> {
        let params = json!([id.to_string(), 0]);
        self.find("getblock", &params, Code::NotFound, |hex: &String| {
            let bytes = hex::decode(hex).map_err(|error| error.to_string())?;
            Block::from_bytes(&bytes).map_err(|error| error.to_string())
        })
    }

    fn block_summary(&self, id: &BlockId) -> Result<Option<BlockSummary>, NodeError> {
        self.find("getblockheader", &json!([id.to_string()]), Code::NotFound, reading::summary)
    }

    fn block_id_at(&self, height: Height) -> Result<Option<BlockId>, NodeError> {
        self.find("getblockhash", &json!([height.0]), Code::InvalidParameter, |id: &String| reading::text(id))
    }

    /// Accounts are kept beside a node, never over RPC: no method tells the way.
    fn route(&self, _: &BlockId, _: usize) -> Result<Route, NodeError> {
        Err(NodeError::Request("the way from a block to the tip is not told over RPC".to_owned()))
    }

    fn coins_of(&self, key_hash: &KeyHash) -> Result<Vec<Coin>, NodeError> {
        let params = json!([self.address(*key_hash)]);
        Ok(self.ask("getcoins", &params, |shape| reading::coins(shape, *key_hash))?)
    }

    fn spender_of(&self, outpoint: &OutPoint) -> Result<Option<TxId>, NodeError> {
        let params = json!([[{ "txid": outpoint.txid.to_string(), "vout": outpoint.index }]]);
        let read = |shapes: &Vec<PrevoutShape>| reading::spender(shapes);
        Ok(self.ask("gettxspendingprevout", &params, read)?)
    }

    fn submit_transaction(&self, transaction: Transaction) -> Result<TxId, SubmitTransactionError> {
        let hex = hex::encode(transaction.to_bytes());
        self.ask("sendrawtransaction", &json!([hex]), |id: &String| reading::text(id)).map_err(transaction_error)
    }

    fn transaction_status(&self, txid: &TxId) -> Result<TransactionStatus, NodeError> {
        let read = |shape: &TransactionStatusShape| reading::status(shape);
        Ok(self.ask("gettransactionstatus", &json!([txid.to_string()]), read)?)
    }

    fn mining_info(&self) -> Result<MiningInfo, NodeError> {
        let tip = self.tip();
        Ok(self.ask("getmininginfo", &json!([]), |shape| reading::mining_info(shape, tip))?)
    }

    fn difficulty(&self) -> Result<DifficultyView, NodeError> {
        Ok(self.ask("getdifficulty", &json!([true]), |view: &DifficultyView| Ok(view.clone()))?)
    }
}

fn block_error(id: BlockId, error: RpcClientError) -> SubmitBlockError {
    let code = match &error {
        RpcClientError::Fault { code, .. } => *code,
        RpcClientError::Unreachable { .. }
        | RpcClientError::Busy { .. }
        | RpcClientError::Login { .. }
        | RpcClientError::Shape { .. } => {
            return NodeError::from(error).into();
        }
    };
    let message = match &error {
        RpcClientError::Fault { message, .. } => message.clone(),
        other => other.to_string(),
    };
    match (code, error.reason()) {
        (_, Some(Reason::UnknownParent { parent })) => SubmitBlockError::UnknownParent(parent.parse().unwrap_or(id)),
        (_, Some(Reason::Kept { failure })) => SubmitBlockError::Kept { id, reason: failure },
        (_, Some(Reason::TooEarly)) => SubmitBlockError::TooEarly(BlockRefusal::Told(message)),
        (code, _) if code == Code::AlreadyKnown.number() => SubmitBlockError::Duplicate,
        (code, _) if code == Code::Rejected.number() || code == Code::Deserialization.number() => {
            SubmitBlockError::Invalid(BlockRefusal::Told(message))
        }
        _ => NodeError::from(error).into(),
    }
}

fn transaction_error(error: RpcClientError) -> SubmitTransactionError {
    let RpcClientError::Fault { code, message, .. } = &error else { return NodeError::from(error).into() };
    match (*code, error.reason()) {
        (_, Some(Reason::MempoolFull)) => SubmitTransactionError::Full,
        (code, _) if code == Code::AlreadyKnown.number() => SubmitTransactionError::Duplicate,
        (code, _) if code == Code::Rejected.number() || code == Code::Deserialization.number() => {
            SubmitTransactionError::Invalid(TransactionRefusal::Told(message.clone()))
        }
        _ => NodeError::from(error).into(),
    }
}
