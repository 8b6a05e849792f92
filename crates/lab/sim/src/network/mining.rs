use bq_consensus::{Coin, HEADER_VERSION, min_time, required_bits};
use bq_primitives::{
    Algorithm, Amount, Block, Header, Height, OutPoint, Seal, SealedHeader, Timestamp, Transaction, TxOut,
};

use super::{
    chain::NodeChain,
    stand_in::{losing_seal, owner, sign, winning_seal},
};

/// What a payment leaves to whoever mines it.
const FEE_ATOMS: u64 = 10_000;

/// A block on the tip of a node's chain, which has won the lottery: its miner's coinbase, and a payment of the oldest of
/// the miner's coins to the next miner.
pub(super) fn mined(chain: &NodeChain, miner: usize, miners: usize, algorithm: Algorithm, now: Timestamp) -> Block {
    let height = chain.tree().tip().height.next().unwrap_or_default();
    let spendable = spendable(chain, miner, height);
    let payment = spendable.map(|(outpoint, coin)| payment(chain, miner, (miner + 1) % miners, outpoint, coin));
    let fee = if payment.is_some() { FEE_ATOMS } else { 0 };
    let reward = chain.params().subsidy(height).atoms().saturating_add(fee);
    let output = TxOut { amount: Amount::from_atoms(reward).unwrap_or_default(), key_hash: owner(miner) };
    let coinbase = Transaction::coinbase(height, vec![output], Vec::new());
    let transactions = std::iter::once(coinbase).chain(payment).collect();
    let header = header(chain, algorithm, now);
    let mut block = Block { header, seal: Seal::blank(algorithm), transactions };
    block.header.tx_root = block.tx_root();
    block.header.witness_root = block.witness_root();
    block.seal = winning_seal(&block.header);
    block
}

/// A header on the tip that keeps every rule but the last: nothing proves it.
pub(super) fn forged(chain: &NodeChain, algorithm: Algorithm, now: Timestamp) -> SealedHeader {
    let header = header(chain, algorithm, now);
    SealedHeader { header, seal: losing_seal(&header) }
}

fn header(chain: &NodeChain, algorithm: Algorithm, now: Timestamp) -> Header {
    let (branch, tip) = (chain.tree().tip_branch(), chain.tree().tip());
    let required = required_bits(chain.params(), &branch);
    Header {
        version: HEADER_VERSION,
        parent_id: tip.id,
        tx_root: Default::default(),
        witness_root: Default::default(),
        time: now.max(min_time(chain.params(), &branch)),
        height: tip.height.next().unwrap_or_default(),
        bits: required.iter().find(|bits| bits.algorithm == algorithm).map_or(tip.bits, |bits| bits.bits),
        algorithm,
    }
}

/// The oldest coin of a miner that a block of this height may spend.
fn spendable(chain: &NodeChain, miner: usize, height: Height) -> Option<(OutPoint, Coin)> {
    let owner = owner(miner);
    let maturity = chain.params().coinbase_maturity;
    let is_ripe = |coin: &Coin| !coin.is_coinbase || coin.height.0.saturating_add(maturity) <= height.0;
    let own = chain.coins().0.iter().filter(|(_, coin)| coin.output.key_hash == owner && is_ripe(coin));
    own.min_by_key(|(outpoint, coin)| (coin.height, **outpoint)).map(|(outpoint, coin)| (*outpoint, *coin))
}

fn payment(chain: &NodeChain, miner: usize, payee: usize, outpoint: OutPoint, coin: Coin) -> Transaction {
    let atoms = coin.output.amount.atoms().saturating_sub(FEE_ATOMS);
    let output = TxOut { amount: Amount::from_atoms(atoms).unwrap_or_default(), key_hash: owner(payee) };
    let mut transaction = Transaction {
        version: 1,
        inputs: vec![outpoint],
        outputs: vec![output],
        lock_height: Height::GENESIS,
        coinbase_data: Vec::new(),
        witnesses: Vec::new(),
    };
    let message = transaction.sighash(&chain.params().genesis_id(), &[coin.output]);
    transaction.witnesses = vec![sign(miner, &message)];
    transaction
}
