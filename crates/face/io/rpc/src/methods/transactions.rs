use std::sync::Arc;

use bq_chain_api::{SyncApi, TransactionStatus};
use bq_primitives::{Address, Amount, Block, Decoder, OutPoint, Transaction, TxId};
use serde_json::json as literal;

use super::{Answer, json};
use crate::{
    CoinShape, CoinsShape, PrevoutShape, RpcServices, TransactionShape, TransactionStatusShape,
    args::{Args, parse},
    fault::{Code, Fault},
};

/// The most ids that `getrawmempool` returns: what fits into an answer. Part of the API, as the next one.
const MEMPOOL_IDS_MAX: usize = 100_000;
/// The most outputs of one `gettxspendingprevout`.
const PREVOUTS_MAX: usize = 1000;

pub(super) fn send_raw_transaction(services: &RpcServices, args: &mut Args) -> Answer {
    let bytes = args.hex("hexstring", Block::ENCODED_BYTES_MAX)?;
    let mut decoder = Decoder::new(&bytes);
    let decoded = Transaction::decode(&mut decoder).and_then(|transaction| decoder.finish().map(|()| transaction));
    let transaction = decoded.map_err(|error| Fault::new(Code::Deserialization, error.to_string()))?;
    json(services.node.submit_transaction(transaction)?.to_string())
}

pub(super) fn get_raw_transaction(services: &RpcServices, args: &mut Args) -> Answer {
    let txid: TxId = args.hash("txid")?;
    let is_verbose = args.optional::<bool>("verbose")?.unwrap_or(false);
    let (transaction, status) = find(services, &txid)?;
    let mut shape = TransactionShape::new(services.node.network(), &transaction);
    if !is_verbose {
        return json(shape.hex);
    }
    if let TransactionStatus::Confirmed { block_id, confirmations, .. } = status {
        shape.blockhash = Some(block_id.to_string());
        shape.confirmations = confirmations;
    }
    json(shape)
}

fn find(services: &RpcServices, txid: &TxId) -> Result<(Arc<Transaction>, TransactionStatus), Fault> {
    let unknown = || Fault::not_found(format!("transaction {txid} is not known"));
    let status = services.node.transaction_status(txid)?;
    let transaction = match status {
        TransactionStatus::Unknown => return Err(unknown()),
        TransactionStatus::InMempool => mempool(services)?.mempool_transaction(txid).ok_or_else(unknown)?,
        TransactionStatus::Confirmed { block_id, .. } => {
            let block = services.node.block(&block_id)?.ok_or_else(unknown)?;
            let found = block.transactions.into_iter().find(|transaction| transaction.txid() == *txid);
            Arc::new(found.ok_or_else(unknown)?)
        }
    };
    Ok((transaction, status))
}

pub(super) fn get_transaction_status(services: &RpcServices, args: &mut Args) -> Answer {
    let txid: TxId = args.hash("txid")?;
    json(TransactionStatusShape::from(services.node.transaction_status(&txid)?))
}

pub(super) fn get_raw_mempool(services: &RpcServices, _: &mut Args) -> Answer {
    let txids = mempool(services)?.mempool_txids(MEMPOOL_IDS_MAX);
    json(txids.iter().map(TxId::to_string).collect::<Vec<_>>())
}

pub(super) fn get_coins(services: &RpcServices, args: &mut Args) -> Answer {
    let node = &services.node;
    let address = args.address("address", node.network())?;
    let coins = node.coins_of(&address.key_hash)?;
    let (height, maturity) = (node.tip().height.0, node.coinbase_maturity());
    // Every coin was made by a valid block, and all of them together stay below the largest amount.
    let total = Amount::sum(coins.iter().map(|coin| coin.output.amount)).unwrap_or(Amount::MAX);
    json(CoinsShape {
        address: address.to_string(),
        height,
        total: total.into(),
        coins: coins.iter().map(|coin| CoinShape::new(coin, height, maturity)).collect(),
    })
}

pub(super) fn get_tx_spending_prevout(services: &RpcServices, args: &mut Args) -> Answer {
    let outputs: Vec<PrevoutShape> = args.value("outputs")?;
    if outputs.len() > PREVOUTS_MAX {
        return Err(Fault::parameter("outputs", format!("{}, at most {PREVOUTS_MAX} allowed", outputs.len())));
    }
    let spender = |output: PrevoutShape| {
        let outpoint = OutPoint { txid: parse("txid", &output.txid)?, index: output.vout };
        let spendingtxid = services.node.spender_of(&outpoint)?.map(|txid| txid.to_string());
        Ok(PrevoutShape { spendingtxid, ..output })
    };
    json(outputs.into_iter().map(spender).collect::<Result<Vec<_>, Fault>>()?)
}

pub(super) fn validate_address(services: &RpcServices, args: &mut Args) -> Answer {
    let text: String = args.value("address")?;
    Ok(match Address::parse(&text, services.node.network()) {
        Ok(address) => literal!({
            "isvalid": true, "address": address.to_string(), "keyhash": address.key_hash.to_string(),
        }),
        Err(error) => literal!({ "isvalid": false, "error": error.to_string() }),
    })
}

fn mempool(services: &RpcServices) -> Result<&Arc<dyn SyncApi>, Fault> {
    services.sync.as_ref().ok_or_else(|| Fault::new(Code::Unavailable, "this process shows no mempool"))
}
