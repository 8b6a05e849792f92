use std::{
    net::{IpAddr, Ipv4Addr},
    time::Duration,
};

use bq_chain_api::{Template, TemplateRequest};
use bq_primitives::{Address, BlockId, COINBASE_DATA_BYTES_MAX, Transaction};
use jsonrpsee::types::Params;
use serde::Deserialize;
use tokio_stream::StreamExt as _;

use super::{Answer, json};
use crate::{
    TemplateShape, TemplateTransactionShape, TemplateWorkShape,
    accept::Caller,
    args::{Args, hex_bytes, parse},
    fault::{Code, Fault},
    services::Context,
};

pub(super) const NAME: &str = "getblocktemplate";
/// A long poll is answered with the same tip after this, so that a dead connection does not linger.
/// Part of the API: clients time out a little later.
const LONG_POLL: Duration = Duration::from_secs(60);

/// The one parameter.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Request {
    /// Whom the coinbase pays; nothing: as those of the pool's miners do.
    #[serde(default)]
    address: Option<String>,
    /// Free data for the coinbase, hex.
    #[serde(default)]
    coinbasedata: String,
    /// The `longpollid` of the last template: wait until the tip is another.
    #[serde(default)]
    longpollid: Option<String>,
}

pub(super) async fn get_block_template(context: &Context, caller: Option<Caller>, params: Params<'static>) -> Answer {
    let services = &context.services;
    let request: Request = Args::new(&["request"], &params)?.optional("request")?.unwrap_or_default();
    let address = request.address.as_deref().map(|text| Address::parse(text, services.node.network())).transpose();
    let address = address.map_err(|error| Fault::not_found(format!("address: {error}")))?;
    let coinbase_data = hex_bytes("coinbasedata", &request.coinbasedata, COINBASE_DATA_BYTES_MAX)?;
    if let Some(known) = &request.longpollid {
        wait_for_other_tip(context, caller, parse("longpollid", known)?).await?;
    }
    let Some(address) = address else {
        let of_pool = services.pool_template.as_ref();
        let of_pool = of_pool
            .ok_or_else(|| Fault::new(Code::InvalidParams, "address: required, for this process runs no pool"))?;
        let template = of_pool().ok_or_else(|| Fault::not_found("the pool has no block template yet"))?;
        return json(shape(&template));
    };
    let node = std::sync::Arc::clone(&services.node);
    let template =
        tokio::task::spawn_blocking(move || node.template(&TemplateRequest::new(address.key_hash, coinbase_data)));
    let template = template.await.map_err(|error| Fault::new(Code::Closing, error.to_string()))??;
    json(shape(&template))
}

async fn wait_for_other_tip(context: &Context, caller: Option<Caller>, known: BlockId) -> Result<(), Fault> {
    let node = &context.services.node;
    let (tips, mut closing) = (node.tip_changes(), context.closing.clone());
    if node.tip().id != known {
        return Ok(());
    }
    // Every request has one; were it not so, all of them would count as one.
    let address = caller.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |Caller(address)| address);
    let _place = context.long_polls.enter(address).map_err(|full| Fault::new(Code::TooMany, full.text()))?;
    let mut others = tips.filter(|tip| tip.id != known);
    // Time is up, or node or server are going: all of them are answered by asking for a template now.
    tokio::select! {
        _ = others.next() => {}
        _ = closing.wait_for(|is_closing| *is_closing) => {}
        () = tokio::time::sleep(LONG_POLL) => {}
    }
    Ok(())
}

fn shape(template: &Template) -> TemplateShape {
    let body = template.works.first().map(|work| &work.body);
    let transactions = body.into_iter().flat_map(|body| body.iter()).map(transaction_shape);
    let works = template.works.iter().map(|work| TemplateWorkShape {
        algorithm: work.header.algorithm.name().to_owned(),
        header: hex::encode(work.header.to_bytes()),
        sealhash: work.header.seal_hash().to_string(),
        bits: work.header.bits.to_string(),
        target: work.target.to_string(),
        key: work.key.into(),
        coinbase: transaction_shape(&work.body.coinbase),
    });
    TemplateShape {
        previousblockhash: template.parent_id.to_string(),
        longpollid: template.parent_id.to_string(),
        height: template.height.0,
        coinbasevalue: template.reward.into(),
        fees: template.fees.into(),
        transactions: transactions.collect(),
        works: works.collect(),
    }
}

fn transaction_shape(transaction: &Transaction) -> TemplateTransactionShape {
    TemplateTransactionShape {
        data: hex::encode(transaction.to_bytes()),
        txid: transaction.txid().to_string(),
        weight: transaction.weight().map_or(u64::MAX, |weight| weight.units()),
    }
}
