use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use bq_consensus::{
    BlockError, Branch, Coin, CoinView, HEADER_VERSION, LinearBranch, Params, SignatureVerifier, ValidBlock, extend,
    required_bits, validate_block,
};
use bq_pow::PowVerifier;
use bq_primitives::{
    Algorithm, Amount, Block, BlockWeight, COINBASE_DATA_BYTES_MAX, ExtraNonce, HEADER_BYTES, Header, Height,
    MerkleRoot, OutPoint, PowKey, Seal, SigHash, Timestamp, Transaction, TxOut, Witness,
};
use bq_signature::{KeyPair, SignatureError};
use rayon::{ThreadPoolBuilder, prelude::*};

use crate::VerifiedSignatures;

/// A block that weighs exactly 4,000,000 with as many signatures as fit, and the chain under it: what a node's worst case
/// costs, for tests and `bq bench`. One transaction with 7,573 inputs is the costliest shape: an input with its signature
/// weighs 528, and every further transaction takes 200 and more away from them.
///
/// The chain is a regtest chain of SHA-256d alone with coinbases that mature at once. One key signs everything; every
/// signature is another one, and verification takes no advantage of a repeated key.
#[derive(Clone, Debug)]
pub struct FullBlock {
    /// The chain's rules.
    pub params: Params,
    /// Block 1: makes the coins.
    pub funding: Block,
    /// Block 2: spends them all.
    pub block: Block,
    branch: LinearBranch,
    coins: BTreeMap<OutPoint, Coin>,
}

/// No full block came out. Only a machine out of memory or without randomness does that.
#[derive(Debug, thiserror::Error)]
pub enum FullBlockError {
    /// No key or no signature.
    #[error(transparent)]
    Signature(#[from] SignatureError),
    /// The chain under it does not follow its own rules: a mistake of ours.
    #[error(transparent)]
    Chain(#[from] BlockError),
    /// No threads to measure with.
    #[error(transparent)]
    Threads(#[from] rayon::ThreadPoolBuildError),
}

/// How long the rules take for a full block, in turns: one figure per turn, each list sorted.
#[derive(Clone, Debug, Default)]
pub struct FullBlockTimes {
    /// Signatures on one thread.
    pub one_thread: Vec<Duration>,
    /// Signatures on all cores.
    pub all_threads: Vec<Duration>,
    /// Every signature known to hold: from the mempool, or from before a reorganisation.
    pub remembered: Vec<Duration>,
    /// One signature alone, as `bq_signature` verifies it: the mean over the block's first hundred.
    pub one_signature: Vec<Duration>,
}

impl CoinView for FullBlock {
    fn coin(&self, outpoint: &OutPoint) -> Option<Coin> {
        self.coins.get(outpoint).copied()
    }
}

impl FullBlock {
    /// Makes and signs one, with at most so many inputs per transaction. Takes some seconds.
    ///
    /// # Errors
    /// See [`FullBlockError`].
    pub fn new(inputs_per_transaction: usize) -> Result<Self, FullBlockError> {
        let owner = KeyPair::from_seed(&[7; 32])?;
        let mut params = Params::regtest();
        params.coinbase_maturity = 1;
        for era in &mut params.eras.table {
            era.algorithms.retain(|rule| rule.algorithm == Algorithm::Sha256d);
        }
        let mut branch = LinearBranch::new(params.genesis_entry());
        let shape = Shape::of(inputs_per_transaction);
        let output = TxOut { amount: Amount::from_atoms(10_000).unwrap_or_default(), key_hash: owner.key_hash() };
        let coinbase = Transaction::coinbase(Height(1), vec![output; shape.inputs.iter().sum()], Vec::new());
        let coins = coins_of(&coinbase);
        let funding = sealed(&params, &branch, vec![coinbase])?;
        branch.push(extend(&params, &branch, &funding.header, funding.id())?);
        let transactions = shape.transactions(&params, &owner, &coins)?;
        let block = sealed(&params, &branch, transactions)?;
        Ok(Self { params, funding, block, branch, coins })
    }

    /// Signatures in the block.
    #[must_use]
    pub fn signatures(&self) -> usize {
        self.block.transactions.iter().map(|transaction| transaction.witnesses.len()).sum()
    }

    /// The block with one bit of one signature turned, counted in block order, under a header and a proof of its own.
    ///
    /// # Errors
    /// See [`FullBlockError`].
    pub fn with_bad_signature(&self, position: usize) -> Result<Block, FullBlockError> {
        let mut transactions = self.block.transactions.clone();
        let mut witnesses = transactions.iter_mut().flat_map(|transaction| &mut transaction.witnesses);
        if let Some(witness) = witnesses.nth(position) {
            witness.signature[100] ^= 1;
        }
        Ok(sealed(&self.params, &self.branch, transactions)?)
    }

    /// Measures [`FullBlock::validate`], the four figures in turn.
    ///
    /// # Errors
    /// See [`FullBlockError`].
    pub fn measure(&self, turns: usize) -> Result<FullBlockTimes, FullBlockError> {
        let one = ThreadPoolBuilder::new().num_threads(1).build()?;
        let mut times = FullBlockTimes::default();
        for _ in 0..turns {
            let judge = VerifiedSignatures::default();
            times.one_thread.push(one.install(|| self.time(&judge))?);
            let judge = VerifiedSignatures::default();
            times.all_threads.push(self.time(&judge)?);
            times.remembered.push(self.time(&judge)?);
            times.one_signature.push(self.time_signature());
        }
        for list in [&mut times.one_thread, &mut times.all_threads, &mut times.remembered, &mut times.one_signature] {
            list.sort_unstable();
        }
        Ok(times)
    }

    fn time(&self, judge: &VerifiedSignatures) -> Result<Duration, BlockError> {
        let block = self.block.clone();
        let started = Instant::now();
        let valid = self.validate(block, judge)?;
        let took = started.elapsed();
        drop(valid);
        Ok(took)
    }

    fn time_signature(&self) -> Duration {
        const SIGNATURES: u32 = 100;
        let witnesses = self.block.transactions.iter().flat_map(|transaction| &transaction.witnesses);
        let started = Instant::now();
        for witness in witnesses.cycle().take(usize::try_from(SIGNATURES).unwrap_or(usize::MAX)) {
            // The message is another one: what does not hold costs the same.
            std::hint::black_box(bq_signature::verify(&witness.public_key, &SigHash::ZERO, &witness.signature));
        }
        started.elapsed() / SIGNATURES
    }

    /// Every rule of SPEC 7 for a block in the place of the full one, with the coins in memory.
    ///
    /// # Errors
    /// The first rule that it breaks.
    pub fn validate(&self, block: Block, signatures: &dyn SignatureVerifier) -> Result<ValidBlock, BlockError> {
        let (params, now) = (&self.params, block.header.time);
        validate_block(params, &self.branch, block, now, &PowVerifier::default(), self, signatures)
    }
}

/// How the weight of the block is spent.
struct Shape {
    /// Inputs of each transaction.
    inputs: Vec<usize>,
    /// Outputs of the last transaction; the others have one.
    last_outputs: usize,
    /// Free data of the coinbase.
    data: usize,
}

impl Shape {
    /// Inputs first; what is left goes to outputs of the last transaction, then to free data of the coinbase.
    fn of(inputs_per_transaction: usize) -> Self {
        let frame = HEADER_BYTES + Seal::encoded_len(Algorithm::Sha256d);
        let coinbase = Transaction::coinbase(Height(2), Vec::new(), Vec::new()).base_len();
        let mut left = BlockWeight::MAX.units().saturating_sub(weight(frame + coinbase, 0));
        let mut inputs = Vec::new();
        loop {
            let fits = |count: &usize| transaction_weight(*count, 1) <= left;
            let Some(count) = (1..=inputs_per_transaction.min(10_000)).rev().find(fits) else { break };
            left -= transaction_weight(count, 1);
            inputs.push(count);
        }
        let last = inputs.last().copied().unwrap_or(1);
        let more = |outputs: usize| transaction_weight(last, outputs) - transaction_weight(last, 1);
        let last_outputs = (1..).take_while(|outputs| more(*outputs) <= left).last().unwrap_or(1);
        left -= more(last_outputs);
        let data = usize::try_from(left / BlockWeight::PER_BASE_BYTE).unwrap_or(usize::MAX);
        Self { inputs, last_outputs, data: data.min(COINBASE_DATA_BYTES_MAX) }
    }

    fn transactions(
        &self,
        params: &Params,
        owner: &KeyPair,
        coins: &BTreeMap<OutPoint, Coin>,
    ) -> Result<Vec<Transaction>, SignatureError> {
        let mut transactions = vec![Transaction::coinbase(Height(2), Vec::new(), vec![0; self.data])];
        let mut unspent = coins.iter();
        for (position, count) in self.inputs.iter().enumerate() {
            let outputs = if position + 1 == self.inputs.len() { self.last_outputs } else { 1 };
            let (inputs, spent): (Vec<_>, Vec<_>) =
                unspent.by_ref().take(*count).map(|(outpoint, coin)| (*outpoint, coin.output)).unzip();
            let mut transaction = unsigned(inputs, outputs, owner);
            let message = transaction.sighash(&params.genesis_id(), &spent);
            let sign = |_: &TxOut| owner.witness(&message);
            transaction.witnesses = spent.par_iter().map(sign).collect::<Result<Vec<Witness>, _>>()?;
            transactions.push(transaction);
        }
        Ok(transactions)
    }
}

fn weight(base: usize, signatures: usize) -> u64 {
    BlockWeight::of(base, signatures).map_or(u64::MAX, BlockWeight::units)
}

/// Weight of a transaction: 8 bytes, two counts, 36 bytes an input, 40 an output.
fn transaction_weight(inputs: usize, outputs: usize) -> u64 {
    let count = |items: usize| if items < 0xfd { 1 } else { 3 };
    weight(8 + count(inputs) + 36 * inputs + count(outputs) + 40 * outputs, inputs)
}

/// Pays one atom to each output and the rest to the miner, who leaves it.
fn unsigned(inputs: Vec<OutPoint>, outputs: usize, owner: &KeyPair) -> Transaction {
    let output = TxOut { amount: Amount::from_atoms(1).unwrap_or_default(), key_hash: owner.key_hash() };
    Transaction {
        version: 1,
        inputs,
        outputs: vec![output; outputs],
        lock_height: Height::GENESIS,
        coinbase_data: Vec::new(),
        witnesses: Vec::new(),
    }
}

fn coins_of(coinbase: &Transaction) -> BTreeMap<OutPoint, Coin> {
    let txid = coinbase.txid();
    let coin = |output: &TxOut| Coin { output: *output, height: Height(1), is_coinbase: true };
    (0..).zip(&coinbase.outputs).map(|(index, output)| (OutPoint { txid, index }, coin(output))).collect()
}

/// A block of these transactions on the branch, with the first proof that works.
fn sealed(params: &Params, branch: &LinearBranch, transactions: Vec<Transaction>) -> Result<Block, BlockError> {
    let (tip, required) = (branch.tip(), required_bits(params, branch));
    let required = required.first().ok_or(BlockError::BrokenBranch)?;
    let header = Header {
        version: HEADER_VERSION,
        parent_id: tip.id,
        tx_root: MerkleRoot::default(),
        witness_root: MerkleRoot::default(),
        time: Timestamp(tip.time.0 + 600),
        height: tip.height.next().ok_or(BlockError::HeightEnd)?,
        bits: required.bits,
        algorithm: required.algorithm,
    };
    let mut block = Block { header, seal: Seal::blank(required.algorithm), transactions };
    block.header.tx_root = block.tx_root();
    block.header.witness_root = block.witness_root();
    let pow = PowVerifier::default();
    let seal = |nonce| Seal::Sha256d { extranonce: ExtraNonce([0; 16]), version: 0, ntime: 0, nonce };
    let works = |seal: &Seal| pow.verify(&block.header, seal, &PowKey::Sha256d, &required.target).is_ok();
    block.seal = (0..).map(seal).find(works).unwrap_or(block.seal);
    Ok(block)
}
