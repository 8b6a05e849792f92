//! Templates against the real rules: whatever the pool holds, each block passes every stage but the proof.

use std::{collections::BTreeMap, sync::Arc};

use bq_consensus::{
    Branch, Coin, CoinView, Era, LinearBranch, Params, ProofOfWork, SealedHeader, SpendContext, ValidBlock, check_body,
    check_header, check_proof, check_spends, check_transaction_spends,
};
use bq_mempool::{Candidate, Mempool, MempoolLimits};
use bq_pow::PowError;
use bq_primitives::{
    Algorithm, Amount, BlockWeight, Header, Height, KeyHash, OutPoint, PUBLIC_KEY_BYTES, PowHash, PowKey,
    SIGNATURE_BYTES, Seal, Target, Timestamp, Transaction, TxOut, Witness, key_hash,
};
use proptest::prelude::*;

use super::seal;
use crate::{ParentFacts, TemplateRequest, assemble, room_for_transactions};

const MATURITY: u32 = 3;

/// Stands in for hashing, which templates have no part in.
struct EveryProof;

impl ProofOfWork for EveryProof {
    fn verify(&self, _: &Header, _: &Seal, _: &PowKey, _: &Target) -> Result<PowHash, PowError> {
        Ok(PowHash::ZERO)
    }
}

fn every_signature(_: &[u8; PUBLIC_KEY_BYTES], _: &bq_primitives::SigHash, _: &[u8; SIGNATURE_BYTES]) -> bool {
    true
}

#[derive(Default)]
struct Coins(BTreeMap<OutPoint, Coin>);

impl CoinView for Coins {
    fn coin(&self, outpoint: &OutPoint) -> Option<Coin> {
        self.0.get(outpoint).copied()
    }
}

/// Confirmed coins and those of waiting transactions.
struct WithPool<'a>(&'a Coins, &'a Mempool, Height);

impl CoinView for WithPool<'_> {
    fn coin(&self, outpoint: &OutPoint) -> Option<Coin> {
        let waiting = || Some(Coin { output: self.1.output(outpoint)?, height: self.2, is_coinbase: false });
        self.0.coin(outpoint).or_else(waiting)
    }
}

struct Node {
    params: Params,
    branch: LinearBranch,
    coins: Coins,
    pool: Mempool,
    now: Timestamp,
}

impl Node {
    /// A test network of three eras: one algorithm, all three, two.
    fn new() -> Self {
        let mut params = Params::regtest();
        params.coinbase_maturity = MATURITY;
        let rules = params.eras.table[0].algorithms.clone();
        let era = |start: u32, ids: &[Algorithm]| Era {
            start: Height(start),
            algorithms: rules.iter().filter(|rule| ids.contains(&rule.algorithm)).copied().collect(),
        };
        params.eras.table = vec![
            era(1, &[Algorithm::Sha256d]),
            era(6, &Algorithm::ALL),
            era(14, &[Algorithm::RandomX, Algorithm::Ethash]),
        ];
        params.check().unwrap();
        let branch = LinearBranch::new(params.genesis_entry());
        let now = Timestamp(params.genesis_time.0 + 1_000);
        Self { params, branch, coins: Coins::default(), pool: Mempool::new(MempoolLimits::default()), now }
    }

    fn next(&self) -> Height {
        self.branch.tip().height.next().unwrap()
    }

    /// Spends a coin, if there is one that may be spent, in the way that the real node admits a transaction.
    fn offer(&mut self, pick: &prop::sample::Index, outputs: usize, fee: u64) -> bool {
        let height = self.next();
        let pooled = self
            .pool
            .iter()
            .flat_map(|tx| (0_u32..).zip(&tx.transaction.outputs).map(|(i, _)| OutPoint { txid: tx.txid, index: i }));
        let outpoints: Vec<OutPoint> = self.coins.0.keys().copied().chain(pooled).collect();
        if outpoints.is_empty() {
            return false;
        }
        let outpoint = *pick.get(&outpoints);
        let view = WithPool(&self.coins, &self.pool, height);
        let Some(coin) = view.coin(&outpoint) else { return false };
        let each = coin.output.amount.atoms().saturating_sub(fee) / u64::try_from(outputs).unwrap();
        let output = TxOut { amount: Amount::from_atoms(each).unwrap(), key_hash: owner() };
        let witness =
            Witness { public_key: Box::new([0; PUBLIC_KEY_BYTES]), signature: Box::new([0; SIGNATURE_BYTES]) };
        let transaction = Transaction {
            version: 1,
            inputs: vec![outpoint],
            outputs: vec![output; outputs],
            lock_height: Height::GENESIS,
            coinbase_data: Vec::new(),
            witnesses: vec![witness],
        };
        let context = SpendContext {
            height,
            coinbase_maturity: MATURITY,
            genesis_id: self.params.genesis_id(),
            coins: &view,
            signatures: &every_signature,
        };
        let Ok(spends) = check_transaction_spends(&context, &transaction) else { return false };
        let matures = |coin: &Coin| if coin.is_coinbase { coin.height.0 + MATURITY } else { 0 };
        let valid_from = Height(spends.spent.iter().map(matures).max().unwrap_or(0));
        let candidate = Candidate { transaction: Arc::new(transaction), fee: spends.fee, valid_from };
        self.pool.admit(candidate, height).is_ok()
    }

    /// A template, sealed without work by one of its algorithms, judged and connected.
    fn mine(&mut self, pick: &prop::sample::Index, data_len: usize, weight_max: Option<u64>) -> ValidBlock {
        self.now.0 += 30;
        let facts = ParentFacts::of(&self.params, &self.branch).unwrap();
        let request = TemplateRequest { payout: owner(), coinbase_data: vec![1; data_len], outputs_max: 1 };
        let room = room_for_transactions(&facts, &request).unwrap();
        let room = weight_max.map_or(room, BlockWeight::from_units);
        let selection = self.pool.select(room, self.next());
        let template = assemble(&facts, &request, &selection.transactions, self.now).unwrap();
        let mut valid: Vec<ValidBlock> = Vec::new();
        for candidate in &template.candidates {
            let block = template.seal(seal(candidate.header.algorithm)).unwrap();
            let sealed = SealedHeader { header: block.header, seal: block.seal };
            let header = check_header(&self.params, &self.branch, sealed, self.now).unwrap();
            assert_eq!((header.target(), header.key()), (candidate.target, candidate.key));
            let header = check_proof(header, &EveryProof).unwrap();
            let body = check_body(header, block.transactions).unwrap();
            let judged = check_spends(&self.params, body, &self.coins, &every_signature).unwrap();
            assert_eq!(judged.fees, template.fees);
            valid.push(judged);
        }
        let valid = pick.get(&valid).clone();
        self.connect(&valid);
        valid
    }

    fn connect(&mut self, valid: &ValidBlock) {
        let height = valid.entry.height;
        for transaction in valid.transactions.iter() {
            let txid = transaction.txid();
            for (index, output) in (0_u32..).zip(&transaction.outputs) {
                let coin = Coin { output: *output, height, is_coinbase: transaction.is_coinbase() };
                self.coins.0.insert(OutPoint { txid, index }, coin);
            }
            for input in &transaction.inputs {
                self.coins.0.remove(input);
            }
        }
        self.pool.block_connected(&valid.transactions);
        self.branch.push(valid.entry);
    }
}

fn owner() -> KeyHash {
    key_hash(&[0; PUBLIC_KEY_BYTES])
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn every_template_is_a_block_but_for_its_proof(
        steps in prop::collection::vec(
            (
                prop::collection::vec((any::<prop::sample::Index>(), 1..8_usize, 0..20_000_u64), 0..6),
                any::<prop::sample::Index>(),
                0..=96_usize,
                prop::option::weighted(0.2, 0..4_000_u64),
            ),
            20,
        ),
    ) {
        let mut node = Node::new();
        for (offers, pick, data_len, weight_max) in steps {
            for (coin, outputs, fee) in offers {
                node.offer(&coin, outputs, fee);
            }
            let waiting = node.pool.len();
            let valid = node.mine(&pick, data_len, weight_max);
            let included = valid.transactions.len() - 1;
            prop_assert_eq!(node.pool.len() + included, waiting);
            if weight_max.is_none() {
                prop_assert_eq!(node.pool.len(), 0, "everything fits");
            }
        }
        prop_assert_eq!(node.branch.tip().height, Height(20));
    }
}
