use std::{collections::BTreeMap, sync::Arc};

use bq_primitives::{Amount, BlockId, Height, OutPoint, Transaction, TxOut, Witness, key_hash};

use crate::{
    BlockError, Coin, CoinView, IndexEntry, Params, SealedHeader, SignatureCheck, SignatureVerifier, TransactionError,
    WellFormedBlock,
};

/// A block that passed every rule on its branch (SPEC 7), and what it does to the coins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ValidBlock {
    /// Its header and proof.
    pub sealed: SealedHeader,
    /// The coinbase first, then the others.
    pub transactions: Arc<Vec<Transaction>>,
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

/// SPEC 7.9: coins and amounts of every transaction and what the coinbase may create, then every signature of the block at
/// once: no signature is looked at before all else is known to be right. `coins` are those after the block's parent.
///
/// # Errors
/// The first rule that a transaction breaks.
pub fn check_spends(
    params: &Params,
    block: WellFormedBlock,
    coins: &dyn CoinView,
    signatures: &dyn SignatureVerifier,
) -> Result<ValidBlock, BlockError> {
    let WellFormedBlock { sealed, entry, transactions } = block;
    let Params { coinbase_maturity, .. } = *params;
    let (height, genesis_id) = (sealed.header.height, params.genesis_id());
    let mut view = BlockCoins { base: coins, made: BTreeMap::new() };
    let (mut spends, mut fees) = (Vec::new(), Amount::ZERO);
    for (position, transaction) in transactions.iter().enumerate().skip(1) {
        let context = SpendContext { height, coinbase_maturity, genesis_id, coins: &view, signatures };
        let spend = check_transaction_coins(&context, transaction)
            .map_err(|error| BlockError::Transaction { position, error })?;
        fees = fees.checked_add(spend.fee).map_err(BlockError::FeeSum)?;
        spends.push(spend);
        view.add(transaction, height);
    }
    check_coinbase_value(params, height, &transactions, fees)?;
    check_signatures(&genesis_id, &transactions, &spends, signatures)?;
    let spent = spends.into_iter().flat_map(|spend| spend.spent).collect();
    Ok(ValidBlock { sealed, transactions, entry, spent, fees })
}

/// The rules for what one transaction, not a coinbase, spends (SPEC 6.2, 6.3, 6.6): coins first, signatures last.
///
/// # Errors
/// The first rule that it breaks.
pub fn check_transaction_spends(
    context: &SpendContext<'_>,
    transaction: &Transaction,
) -> Result<Spends, TransactionError> {
    let spends = check_transaction_coins(context, transaction)?;
    check_transaction_signatures(context, transaction, &spends)?;
    Ok(spends)
}

/// All that is cheap of [`check_transaction_spends`]: everything but the signatures.
///
/// # Errors
/// The first rule that it breaks.
pub fn check_transaction_coins(
    context: &SpendContext<'_>,
    transaction: &Transaction,
) -> Result<Spends, TransactionError> {
    let spent = find_coins(context, transaction)?;
    check_maturity(context, transaction, &spent)?;
    check_keys(transaction, &spent)?;
    let fee = fee(transaction, &spent)?;
    Ok(Spends { spent, fee })
}

/// All that is expensive of [`check_transaction_spends`]: the signatures of a transaction that spends `spends`, one by one.
///
/// # Errors
/// [`TransactionError::Signature`] for the first bad one; [`TransactionError::WitnessCount`] if there is not one for each
/// input.
pub fn check_transaction_signatures(
    context: &SpendContext<'_>,
    transaction: &Transaction,
    spends: &Spends,
) -> Result<(), TransactionError> {
    let checks = signature_checks(&context.genesis_id, transaction, &spends.spent)?;
    let bad =
        |check: &SignatureCheck<'_>| !context.signatures.verify(check.public_key, &check.message, check.signature);
    match checks.iter().position(bad) {
        Some(position) => Err(TransactionError::Signature { position }),
        None => Ok(()),
    }
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

/// What there is to judge about one transaction, in input order.
fn signature_checks<'a>(
    genesis_id: &BlockId,
    transaction: &'a Transaction,
    spent: &[Coin],
) -> Result<Vec<SignatureCheck<'a>>, TransactionError> {
    // A missing witness must not pass as a good one, whoever calls this.
    let (got, expected) = (transaction.witnesses.len(), transaction.inputs.len());
    if got != expected {
        return Err(TransactionError::WitnessCount { got, expected });
    }
    let outputs: Vec<TxOut> = spent.iter().map(|coin| coin.output).collect();
    let message = transaction.sighash(genesis_id, &outputs);
    let check = |witness: &'a Witness| SignatureCheck {
        public_key: &witness.public_key,
        message,
        signature: &witness.signature,
    };
    Ok(transaction.witnesses.iter().map(check).collect())
}

/// Every signature of the block in one question. The answer names the first bad one in block order, so that the error does
/// not depend on how many cores looked for it.
fn check_signatures(
    genesis_id: &BlockId,
    transactions: &[Transaction],
    spends: &[Spends],
    signatures: &dyn SignatureVerifier,
) -> Result<(), BlockError> {
    let (mut checks, mut places) = (Vec::new(), Vec::new());
    for ((position, transaction), spend) in transactions.iter().enumerate().skip(1).zip(spends) {
        let of_transaction = signature_checks(genesis_id, transaction, &spend.spent)
            .map_err(|error| BlockError::Transaction { position, error })?;
        places.extend((0..of_transaction.len()).map(|input| (position, input)));
        checks.extend(of_transaction);
    }
    let Some(bad) = signatures.first_bad(&checks) else { return Ok(()) };
    let (position, input) = places.get(bad).copied().unwrap_or_default();
    Err(BlockError::Transaction { position, error: TransactionError::Signature { position: input } })
}

fn check_coinbase_value(
    params: &Params,
    height: Height,
    transactions: &[Transaction],
    fees: Amount,
) -> Result<(), BlockError> {
    let outputs = transactions.iter().take(1).flat_map(|coinbase| &coinbase.outputs);
    let got = Amount::sum(outputs.map(|output| output.amount))
        .map_err(|error| BlockError::Transaction { position: 0, error: TransactionError::Sum(error) })?;
    let max = params.subsidy(height).checked_add(fees).map_err(BlockError::FeeSum)?;
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
