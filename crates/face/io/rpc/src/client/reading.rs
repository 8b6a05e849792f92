//! From the shapes of answers back to the types of `bq-primitives`. The errors are texts: whoever sees one is told which
//! method answered what.
use std::{str::FromStr, sync::Arc};

use bq_chain_api::{BlockSummary, Coin, MiningInfo, Template, TemplateWork, TipSummary, TransactionStatus};
use bq_primitives::{
    Algorithm, Amount, BlockId, CoinbasePaths, Decoder, Header, Height, OutPoint, PowKey, Seal, Timestamp, Transaction,
    TxId, TxOut, U256, UnsealedBody, Work,
};

use crate::{
    AmountShape, BlockHeaderShape, BlockchainInfo, CoinsShape, KeyShape, MiningInfoShape, TemplateShape,
    TemplateWorkShape, TransactionStatusShape, shapes::PrevoutShape,
};

type Read<T> = Result<T, String>;

pub(super) fn text<T: FromStr>(text: &str) -> Read<T>
where
    T::Err: std::fmt::Display,
{
    text.parse().map_err(|error: T::Err| error.to_string())
}

fn amount(shape: &AmountShape) -> Read<Amount> {
    Amount::from_atoms(text(&shape.atoms)?).map_err(|error| error.to_string())
}

fn work(hex: &str) -> Read<Work> {
    let digits = hex.strip_prefix("0x").unwrap_or(hex);
    U256::from_str_radix(digits, 16).map(Work).map_err(|error| format!("{error:?}"))
}

fn bytes(hex: &str) -> Read<Vec<u8>> {
    hex::decode(hex).map_err(|error| error.to_string())
}

pub(super) fn tip(info: &BlockchainInfo) -> Read<TipSummary> {
    let mut next_bits = Vec::new();
    for (name, hex) in &info.nextbits {
        next_bits.push((text::<Algorithm>(name)?, text(hex)?));
    }
    next_bits.sort_by_key(|(algorithm, _)| *algorithm);
    Ok(TipSummary {
        id: text(&info.bestblockhash)?,
        height: Height(info.blocks),
        time: Timestamp(info.time),
        chain_work: work(&info.chainwork)?,
        next_bits,
    })
}

pub(super) fn summary(shape: &BlockHeaderShape) -> Read<BlockSummary> {
    let bytes = bytes(&shape.hex)?;
    let mut decoder = Decoder::new(&bytes);
    let header = Header::decode(&mut decoder).map_err(|error| error.to_string())?;
    let seal = Seal::decode(header.algorithm, &mut decoder).map_err(|error| error.to_string())?;
    let id: BlockId = text(&shape.hash)?;
    Ok(BlockSummary {
        id,
        header,
        seal,
        chain_work: work(&shape.chainwork)?,
        confirmations: u32::try_from(shape.confirmations).ok(),
    })
}

pub(super) fn transaction(hex: &str) -> Read<Transaction> {
    let bytes = bytes(hex)?;
    let mut decoder = Decoder::new(&bytes);
    let transaction = Transaction::decode(&mut decoder).map_err(|error| error.to_string())?;
    decoder.finish().map_err(|error| error.to_string())?;
    Ok(transaction)
}

pub(super) fn template(shape: &TemplateShape) -> Read<Template> {
    let transactions = shape.transactions.iter().map(|entry| transaction(&entry.data)).collect::<Read<Vec<_>>>()?;
    let body = UnsealedBody::of_transactions(transactions).ok_or("a template without a coinbase")?;
    let ids = body.others.iter().map(|transaction| (transaction.txid(), transaction.wtxid()));
    Ok(Template {
        parent_id: text(&shape.previousblockhash)?,
        height: Height(shape.height),
        reward: amount(&shape.coinbasevalue)?,
        fees: amount(&shape.fees)?,
        coinbase_weight_max: body.coinbase.weight().map_err(|error| error.to_string())?,
        paths: CoinbasePaths::of(ids),
        works: shape.works.iter().map(|work| template_work(work, &body)).collect::<Read<_>>()?,
    })
}

fn template_work(shape: &TemplateWorkShape, body: &UnsealedBody) -> Read<TemplateWork> {
    let header = bytes(&shape.header)?;
    let header = Header::decode(&mut Decoder::new(&header)).map_err(|error| error.to_string())?;
    let target = header.bits.decode().map_err(|error| error.to_string())?;
    let key = match &shape.key {
        KeyShape::None => PowKey::Sha256d,
        KeyShape::KeyBlock(id) => PowKey::RandomX(text(id)?),
        KeyShape::Epoch(epoch) => PowKey::Ethash(*epoch),
    };
    let coinbase = Arc::new(transaction(&shape.coinbase.data)?);
    Ok(TemplateWork { header, target, key, body: UnsealedBody { coinbase, others: Arc::clone(&body.others) } })
}

pub(super) fn coins(shape: &CoinsShape, key_hash: bq_primitives::KeyHash) -> Read<Vec<Coin>> {
    let coin = |coin: &crate::CoinShape| {
        Ok(Coin {
            outpoint: OutPoint { txid: text(&coin.txid)?, index: coin.vout },
            output: TxOut { amount: amount(&coin.value)?, key_hash },
            height: Height(coin.height),
            is_coinbase: coin.coinbase,
        })
    };
    shape.coins.iter().map(coin).collect()
}

pub(super) fn spender(shapes: &[PrevoutShape]) -> Read<Option<TxId>> {
    shapes.first().and_then(|shape| shape.spendingtxid.as_deref()).map(text).transpose()
}

pub(super) fn status(shape: &TransactionStatusShape) -> Read<TransactionStatus> {
    Ok(match shape {
        TransactionStatusShape::Unknown => TransactionStatus::Unknown,
        TransactionStatusShape::Mempool => TransactionStatus::InMempool,
        TransactionStatusShape::Confirmed { blockhash, height, confirmations } => TransactionStatus::Confirmed {
            block_id: text(blockhash)?,
            height: Height(*height),
            confirmations: *confirmations,
        },
    })
}

pub(super) fn mining_info(shape: &MiningInfoShape, tip: TipSummary) -> Read<MiningInfo> {
    let mut network_hashrate = Vec::new();
    for (name, hashrate) in &shape.networkhashps {
        network_hashrate.push((text::<Algorithm>(name)?, *hashrate));
    }
    network_hashrate.sort_by_key(|(algorithm, _)| *algorithm);
    Ok(MiningInfo {
        tip,
        network_hashrate,
        mempool_transactions: shape.pooledtx,
        mempool_weight: shape.pooledweight,
        peers: shape.connections,
    })
}
