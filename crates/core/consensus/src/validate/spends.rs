use std::collections::BTreeMap;

use bq_primitives::{Amount, Block, BlockId, Height, OutPoint, Transaction, TxOut, key_hash};

use crate::{BlockError, Coin, CoinView, IndexEntry, Params, SignatureVerifier, TransactionError, WellFormedBlock};

/// A block that passed every rule on its branch (SPEC 7), and what it does to the coins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ValidBlock {
    /// The block.
    pub block: Block,
    /// Its light index entry.
    pub entry: IndexEntry,
    /// The coins it spends, in the order of its inputs, coinbase excepted; coins that it made itself are among them.
    pub spent: Vec<Coin>,
    /// What its transactions leave to the miner.
    pub fees: Amount,
}

/// What the spends of a transaction are checked against.
#[derive(Clone, Copy)]
pub struct SpendContext<'a> {
    /// Height of the block that would hold the transaction.
    pub height: Height,
    /// Blocks that must pass before a coinbase output may be spent.
    pub coinbase_maturity: u32,
    /// The network's first block, which signatures commit to.
    pub genesis_id: BlockId,
    /// The coins there are.
    pub coins: &'a dyn CoinView,
    /// Judges signatures.
    pub signatures: &'a dyn SignatureVerifier,
}

/// What a transaction spends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spends {
    /// One coin per input, in order.
    pub spent: Vec<Coin>,
    /// Inputs minus outputs.
    pub fee: Amount,
}

/// SPEC 7.9: coins, amounts and signatures of every transaction, and what the coinbase may create. `coins` are those after
/// the block's parent.
///
/// # Errors
/// The first rule that a transaction breaks.
pub fn check_spends(
    params: &Params,
    block: WellFormedBlock,
    coins: &dyn CoinView,
    signatures: &dyn SignatureVerifier,
) -> Result<ValidBlock, BlockError> {
    let WellFormedBlock { block, entry } = block;
    let Params { coinbase_maturity, .. } = *params;
    let (height, genesis_id) = (block.header.height, params.genesis_id());
    let mut view = BlockCoins { base: coins, made: BTreeMap::new() };
    let (mut spent, mut fees) = (Vec::new(), Amount::ZERO);
    for (position, transaction) in block.transactions.iter().enumerate().skip(1) {
        let context = SpendContext { height, coinbase_maturity, genesis_id, coins: &view, signatures };
        let spends = check_transaction_spends(&context, transaction)
            .map_err(|error| BlockError::Transaction { position, error })?;
        fees = fees.checked_add(spends.fee).map_err(BlockError::FeeSum)?;
        spent.extend(spends.spent);
        view.add(transaction, height);
    }
    check_coinbase_value(params, &block, fees)?;
    Ok(ValidBlock { block, entry, spent, fees })
}

/// The rules for what one transaction, not a coinbase, spends (SPEC 6.2, 6.3, 6.6): coins first, signatures last.
///
/// # Errors
/// The first rule that it breaks.
pub fn check_transaction_spends(
    context: &SpendContext<'_>,
    transaction: &Transaction,
) -> Result<Spends, TransactionError> {
    let spent = find_coins(context, transaction)?;
    check_maturity(context, transaction, &spent)?;
    check_keys(transaction, &spent)?;
    let fee = fee(transaction, &spent)?;
    check_signatures(context, transaction, &spent)?;
    Ok(Spends { spent, fee })
}

fn find_coins(context: &SpendContext<'_>, transaction: &Transaction) -> Result<Vec<Coin>, TransactionError> {
    let coin =
        |outpoint: &OutPoint| context.coins.coin(outpoint).ok_or(TransactionError::MissingCoin { outpoint: *outpoint });
    transaction.inputs.iter().map(coin).collect()
}

fn check_maturity(
    context: &SpendContext<'_>,
    transaction: &Transaction,
    spent: &[Coin],
) -> Result<(), TransactionError> {
    for (outpoint, coin) in transaction.inputs.iter().zip(spent).filter(|(_, coin)| coin.is_coinbase) {
        let spendable_from = u64::from(coin.height.0).saturating_add(u64::from(context.coinbase_maturity));
        if u64::from(context.height.0) < spendable_from {
            return Err(TransactionError::Immature { outpoint: *outpoint, spendable_from, height: context.height });
        }
    }
    Ok(())
}

fn check_keys(transaction: &Transaction, spent: &[Coin]) -> Result<(), TransactionError> {
    for (position, (witness, coin)) in transaction.witnesses.iter().zip(spent).enumerate() {
        let (got, expected) = (key_hash(witness.public_key.as_slice()), coin.output.key_hash);
        if got != expected {
            return Err(TransactionError::WrongKey { position, got, expected });
        }
    }
    Ok(())
}

fn fee(transaction: &Transaction, spent: &[Coin]) -> Result<Amount, TransactionError> {
    let inputs = Amount::sum(spent.iter().map(|coin| coin.output.amount)).map_err(TransactionError::Sum)?;
    let outputs = Amount::sum(transaction.outputs.iter().map(|output| output.amount)).map_err(TransactionError::Sum)?;
    inputs.checked_sub(outputs).map_err(|_| TransactionError::Overspent { inputs, outputs })
}

fn check_signatures(
    context: &SpendContext<'_>,
    transaction: &Transaction,
    spent: &[Coin],
) -> Result<(), TransactionError> {
    // A missing witness must not pass as a good one, whoever calls this.
    let (got, expected) = (transaction.witnesses.len(), transaction.inputs.len());
    if got != expected {
        return Err(TransactionError::WitnessCount { got, expected });
    }
    let outputs: Vec<TxOut> = spent.iter().map(|coin| coin.output).collect();
    let message = transaction.sighash(&context.genesis_id, &outputs);
    let bad = |witness: &bq_primitives::Witness| {
        !context.signatures.verify(&witness.public_key, &message, &witness.signature)
    };
    match transaction.witnesses.iter().position(bad) {
        Some(position) => Err(TransactionError::Signature { position }),
        None => Ok(()),
    }
}

fn check_coinbase_value(params: &Params, block: &Block, fees: Amount) -> Result<(), BlockError> {
    let outputs = block.transactions.iter().take(1).flat_map(|coinbase| &coinbase.outputs);
    let got = Amount::sum(outputs.map(|output| output.amount))
        .map_err(|error| BlockError::Transaction { position: 0, error: TransactionError::Sum(error) })?;
    let max = params.subsidy(block.header.height).checked_add(fees).map_err(BlockError::FeeSum)?;
    if got <= max { Ok(()) } else { Err(BlockError::CoinbaseValue { got, max }) }
}

/// The coins after the parent, and those that the block's earlier transactions made. Coins that they spent are still in
/// it: that no two inputs of the block spend the same coin was checked before.
struct BlockCoins<'a> {
    base: &'a dyn CoinView,
    made: BTreeMap<OutPoint, Coin>,
}

impl BlockCoins<'_> {
    fn add(&mut self, transaction: &Transaction, height: Height) {
        let txid = transaction.txid();
        for (index, output) in (0_u32..).zip(&transaction.outputs) {
            let coin = Coin { output: *output, height, is_coinbase: false };
            self.made.insert(OutPoint { txid, index }, coin);
        }
    }
}

impl CoinView for BlockCoins<'_> {
    fn coin(&self, outpoint: &OutPoint) -> Option<Coin> {
        self.made.get(outpoint).copied().or_else(|| self.base.coin(outpoint))
    }
}
