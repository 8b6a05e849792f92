//! Whole blocks through every stage: one case per rule of SPEC 7.
#![expect(clippy::unwrap_used, reason = "a test ends at the first surprise")]

use std::collections::BTreeMap;

use bq_consensus::{
    BlockError, Branch, Coin, CoinView, Consequence, LinearBranch, Params, ProofOfWork, ProvenHeader, SealedHeader,
    TransactionError, ValidBlock, check_body, check_header, check_proof, check_spends, required_bits,
};
use bq_pow::PowError;
use bq_primitives::{
    Algorithm, Amount, AmountError, Block, BlockId, CompactTarget, ExtraNonce, Header, Height, KeyHash, MerkleRoot,
    Network, OutPoint, PUBLIC_KEY_BYTES, PowHash, PowKey, SIGNATURE_BYTES, Seal, SigHash, Target, Timestamp,
    Transaction, TxId, TxOut, Witness, key_hash,
};

/// Every seal proves everything: the proof has its own tests.
struct Trusting;

impl ProofOfWork for Trusting {
    fn verify(&self, _: &Header, _: &Seal, _: &PowKey, _: &Target) -> Result<PowHash, PowError> {
        Ok(PowHash::ZERO)
    }
}

/// A signature of message m by any key starts with m.
fn signed(_: &[u8; PUBLIC_KEY_BYTES], message: &SigHash, signature: &[u8; SIGNATURE_BYTES]) -> bool {
    signature.starts_with(&message.0)
}

#[derive(Clone, Default)]
struct Coins(BTreeMap<OutPoint, Coin>);

impl CoinView for Coins {
    fn coin(&self, outpoint: &OutPoint) -> Option<Coin> {
        self.0.get(outpoint).copied()
    }
}

/// A chain of 20 blocks, and three coins to spend in block 21: 1000 atoms mature, 500 from a coinbase of height 11 (mature
/// in block 21), 70 from a coinbase of height 12 (not).
struct World {
    params: Params,
    branch: LinearBranch,
    coins: Coins,
}

const NEXT: Height = Height(21);

fn outpoint(tag: u8) -> OutPoint {
    OutPoint { txid: TxId([tag; 32]), index: u32::from(tag) }
}

fn public_key() -> Box<[u8; PUBLIC_KEY_BYTES]> {
    Box::new([7; PUBLIC_KEY_BYTES])
}

fn owner() -> KeyHash {
    key_hash(public_key().as_slice())
}

fn amount(atoms: u64) -> Amount {
    Amount::from_atoms(atoms).unwrap()
}

fn output(atoms: u64) -> TxOut {
    TxOut { amount: amount(atoms), key_hash: owner() }
}

impl World {
    fn new() -> Self {
        let params = Params::of(Network::Regtest);
        let mut branch = LinearBranch::new(params.genesis_entry());
        for height in 1..NEXT.0 {
            let header = header(&params, &branch);
            let mut id = [0xab; 32];
            id[0] = u8::try_from(height).unwrap();
            branch.push(bq_consensus::extend(&params, &branch, &header, BlockId(id)).unwrap());
        }
        let coin = |atoms, height, is_coinbase| Coin { output: output(atoms), height: Height(height), is_coinbase };
        let coins = Coins(BTreeMap::from([
            (outpoint(1), coin(1000, 20, false)),
            (outpoint(2), coin(500, 11, true)),
            (outpoint(3), coin(70, 12, true)),
        ]));
        Self { params, branch, coins }
    }

    fn spend(&self, inputs: &[(OutPoint, TxOut)], outputs: Vec<TxOut>) -> Transaction {
        let transaction = Transaction {
            version: 1,
            inputs: inputs.iter().map(|(outpoint, _)| *outpoint).collect(),
            outputs,
            lock_height: Height(0),
            coinbase_data: Vec::new(),
            witnesses: Vec::new(),
        };
        self.sign(transaction, &inputs.iter().map(|(_, output)| *output).collect::<Vec<_>>())
    }

    fn sign(&self, mut transaction: Transaction, spent: &[TxOut]) -> Transaction {
        let message = transaction.sighash(&self.params.genesis_id(), spent);
        let mut signature = Box::new([0; SIGNATURE_BYTES]);
        signature[..32].copy_from_slice(&message.0);
        transaction.witnesses =
            spent.iter().map(|_| Witness { public_key: public_key(), signature: signature.clone() }).collect();
        transaction
    }

    /// Spends 1000 and leaves a fee of 10.
    fn payment(&self) -> Transaction {
        self.spend(&[(outpoint(1), output(1000))], vec![output(600), output(390)])
    }

    fn block(&self, transactions: Vec<Transaction>) -> Block {
        let header = header(&self.params, &self.branch);
        let seal = Seal::Sha256d { extranonce: ExtraNonce::default(), version: 0, ntime: 0, nonce: 0 };
        let mut block = Block { header, seal, transactions };
        block.header.tx_root = block.tx_root();
        block.header.witness_root = block.witness_root();
        block
    }

    fn validate(&self, block: Block) -> Result<ValidBlock, BlockError> {
        let now = Timestamp(block.header.time.0.max(self.params.genesis_time.0) + 1000);
        let Block { header, seal, transactions } = block;
        let header = check_header(&self.params, &self.branch, SealedHeader { header, seal }, now)?;
        let block = check_body(check_proof(header, &Trusting)?, transactions)?;
        check_spends(&self.params, block, &self.coins, &signed)
    }

    fn with(&self, others: Vec<Transaction>) -> Result<ValidBlock, BlockError> {
        self.validate(self.block([vec![coinbase(vec![])], others].concat()))
    }

    /// The error of the only transaction besides the coinbase.
    fn refuse(&self, transaction: Transaction) -> TransactionError {
        match self.with(vec![transaction]) {
            Err(BlockError::Transaction { position: 1, error }) => error,
            other => panic!("{other:?}"),
        }
    }

    fn refuse_header(&self, change: impl Fn(&mut Header)) -> BlockError {
        let mut block = self.block(vec![coinbase(vec![])]);
        change(&mut block.header);
        self.validate(block).unwrap_err()
    }
}

fn header(params: &Params, branch: &LinearBranch) -> Header {
    let required = required_bits(params, branch)[0];
    Header {
        version: 1,
        parent_id: branch.tip().id,
        tx_root: MerkleRoot::ZERO,
        witness_root: MerkleRoot::ZERO,
        time: Timestamp(branch.tip().time.0 + 600),
        height: branch.tip().height.next().unwrap(),
        bits: required.bits,
        algorithm: Algorithm::Sha256d,
    }
}

fn coinbase(outputs: Vec<TxOut>) -> Transaction {
    Transaction::coinbase(NEXT, outputs, b"free".to_vec())
}

#[test]
fn a_good_block_tells_what_it_spends() {
    let world = World::new();
    let payment = world.payment();
    let made = OutPoint { txid: payment.txid(), index: 1 };
    // Spends a coin that the block itself made, and a coinbase output on the day it matures.
    let chained = world.spend(&[(made, output(390)), (outpoint(2), output(500))], vec![output(0), output(885)]);
    let block = world.block(vec![coinbase(vec![output(5_000_000_015)]), payment, chained]);
    let valid = world.validate(block.clone()).unwrap();
    assert_eq!((valid.sealed.header, valid.sealed.seal), (block.header, block.seal));
    assert_eq!(*valid.transactions, block.transactions);
    assert_eq!(valid.fees, amount(15));
    let spent: Vec<_> = valid.spent.iter().map(|coin| (coin.output.amount.atoms(), coin.height.0)).collect();
    assert_eq!(spent, [(1000, 20), (390, 21), (500, 11)]);
    assert_eq!((valid.entry.id, valid.entry.height), (block.id(), NEXT));
}

#[test]
fn step_1_shape_of_the_header() {
    let world = World::new();
    let error = world.refuse_header(|header| header.parent_id = BlockId([9; 32]));
    assert_eq!(error, BlockError::UnknownParent { parent_id: BlockId([9; 32]) });
    assert_eq!((error.consequence(), error.misbehavior()), (Consequence::UnknownParent, 0));
    let error = world.refuse_header(|header| header.version = 2);
    assert_eq!(error, BlockError::HeaderVersion { got: 2, expected: 1 });
    assert_eq!((error.consequence(), error.misbehavior()), (Consequence::Invalid, 100));
    let error = world.refuse_header(|header| header.algorithm = Algorithm::RandomX);
    assert_eq!(error, BlockError::SealAlgorithm { got: Algorithm::Sha256d, expected: Algorithm::RandomX });
    for got in [20, 22, u32::MAX] {
        let error = world.refuse_header(|header| header.height = Height(got));
        assert_eq!(error, BlockError::Height { got: Height(got), expected: NEXT });
    }
}

#[test]
fn step_2_algorithm_in_era() {
    let mut world = World::new();
    world.params.eras.table[0].algorithms.remove(0);
    let block = world.block_of_sha256d();
    let error = world.validate(block).unwrap_err();
    assert_eq!(error, BlockError::AlgorithmNotActive { algorithm: Algorithm::Sha256d, height: NEXT });
}

impl World {
    fn block_of_sha256d(&self) -> Block {
        let mut block = Self::new().block(vec![coinbase(vec![])]);
        block.header.parent_id = self.branch.tip().id;
        block
    }
}

#[test]
fn steps_3_and_5_bits() {
    let world = World::new();
    for got in [0x0000_0000, 0x2080_0001, 0xff12_3456] {
        let error = world.refuse_header(|header| header.bits = CompactTarget(got));
        assert!(matches!(error, BlockError::BitsEncoding(_)), "{error:?}");
    }
    let error = world.refuse_header(|header| header.bits = CompactTarget(0x2100_ffff));
    assert!(matches!(error, BlockError::BitsOutOfRange { .. }), "{error:?}");
    let error = world.refuse_header(|header| header.bits = CompactTarget(0x207f_fffe));
    let expected = CompactTarget(0x207f_ffff);
    assert_eq!(error, BlockError::Bits { got: CompactTarget(0x207f_fffe), expected });
    // The same target in a longer spelling is not the same bits.
    let mut world = World::new();
    world.params.eras.table[0].algorithms[0].limit_bits = CompactTarget(0x2000_ffff);
    let error = world.refuse_header(|header| header.bits = CompactTarget(0x2100_00ff));
    assert!(matches!(error, BlockError::Bits { .. }), "{error:?}");
}

#[test]
fn step_4_times() {
    let world = World::new();
    let median = world.branch.entry(Height(15)).unwrap().time;
    let at = |time| world.refuse_header(move |header| header.time = Timestamp(time));
    let earliest = Timestamp(median.0 + 1);
    assert_eq!(at(median.0), BlockError::TimeTooOld { got: median, earliest });
    assert_eq!(at(1 << 40), BlockError::TimeOutOfRange { got: Timestamp(1 << 40), end: Timestamp(1 << 40) });
    let mut block = world.block(vec![coinbase(vec![])]);
    block.header.time = earliest;
    assert!(world.validate(block).is_ok());
}

#[test]
fn step_7_roots_are_the_bodys_fault_not_the_headers() {
    let world = World::new();
    let mut block = world.block(vec![coinbase(vec![]), world.payment()]);
    block.transactions[1].witnesses[0].signature[SIGNATURE_BYTES - 1] ^= 1;
    let error = world.validate(block).unwrap_err();
    assert!(matches!(error, BlockError::WitnessRoot { .. }), "{error:?}");
    assert_eq!((error.consequence(), error.misbehavior()), (Consequence::BodyMismatch, 100));
    let mut block = world.block(vec![coinbase(vec![]), world.payment()]);
    block.transactions.pop();
    let error = world.validate(block).unwrap_err();
    assert!(matches!(error, BlockError::TxRoot { .. }), "{error:?}");
    assert_eq!(error.consequence(), Consequence::BodyMismatch);
}

#[test]
fn step_7_coinbase() {
    let world = World::new();
    let refuse = |transactions| world.validate(world.block(transactions)).unwrap_err();
    assert_eq!(refuse(vec![]), BlockError::NoCoinbase);
    assert_eq!(refuse(vec![world.payment()]), BlockError::NoCoinbase);
    let second = vec![coinbase(vec![]), world.payment(), coinbase(vec![])];
    assert_eq!(refuse(second), BlockError::SecondCoinbase { position: 2 });
    let early = vec![Transaction::coinbase(Height(20), vec![], vec![])];
    assert_eq!(refuse(early), BlockError::CoinbaseHeight { got: 20, expected: NEXT });
    let locked = Transaction { lock_height: Height(1), ..coinbase(vec![]) };
    let error = TransactionError::CoinbaseLock { got: Height(1) };
    assert_eq!(refuse(vec![locked]), BlockError::Transaction { position: 0, error });
    let talkative = Transaction { coinbase_data: vec![0; 97], ..coinbase(vec![]) };
    let error = TransactionError::CoinbaseData { got: 97, max: 96 };
    assert_eq!(refuse(vec![talkative]), BlockError::Transaction { position: 0, error });
    let witnessed = Transaction { witnesses: world.payment().witnesses, ..coinbase(vec![]) };
    let error = TransactionError::WitnessCount { got: 1, expected: 0 };
    assert_eq!(refuse(vec![witnessed]), BlockError::Transaction { position: 0, error });
}

#[test]
fn step_7_form_of_transactions() {
    let world = World::new();
    let good = world.payment();
    let changed = |change: &dyn Fn(&mut Transaction)| {
        let mut transaction = good.clone();
        change(&mut transaction);
        world.refuse(transaction)
    };
    assert_eq!(changed(&|tx| tx.version = 2), TransactionError::Version { got: 2, expected: 1 });
    assert_eq!(changed(&|tx| tx.outputs.clear()), TransactionError::NoOutputs);
    assert_eq!(changed(&|tx| tx.witnesses.clear()), TransactionError::WitnessCount { got: 0, expected: 1 });
    let empty = |tx: &mut Transaction| {
        tx.inputs.clear();
        tx.witnesses.clear();
    };
    assert_eq!(changed(&empty), TransactionError::NoInputs);
    assert_eq!(
        changed(&|tx| tx.lock_height = Height(22)),
        TransactionError::Locked { lock_height: Height(22), height: NEXT }
    );
    assert_eq!(changed(&|tx| tx.coinbase_data = vec![1]), TransactionError::CoinbaseData { got: 1, max: 0 });
    let rich = |tx: &mut Transaction| tx.outputs = vec![TxOut { amount: Amount::MAX, key_hash: owner() }, output(1)];
    assert_eq!(changed(&rich), TransactionError::Sum(AmountError::TooLarge));
    let two = |second: OutPoint| world.spend(&[(outpoint(1), output(1000)), (second, output(1000))], vec![output(1)]);
    assert_eq!(world.refuse(two(outpoint(1))), TransactionError::SpentTwice { outpoint: outpoint(1) });
    let null = OutPoint { txid: TxId::ZERO, index: 0 };
    assert_eq!(world.refuse(two(null)), TransactionError::NullInput { position: 1 });
    let at_lock = world.sign(Transaction { lock_height: NEXT, ..world.payment() }, &[output(1000)]);
    assert!(world.with(vec![at_lock]).is_ok());
}

#[test]
fn step_7_two_transactions_cannot_spend_one_output() {
    let world = World::new();
    let other = world.spend(&[(outpoint(1), output(1000))], vec![output(1)]);
    let error = world.with(vec![world.payment(), other]).unwrap_err();
    assert_eq!(error, BlockError::SpentTwice { outpoint: outpoint(1) });
}

#[test]
fn step_8_weight_at_the_limit_and_above() {
    let world = World::new();
    let heavy = |data: usize| {
        let outputs = vec![output(0); 24_995];
        world.block(vec![Transaction::coinbase(NEXT, outputs, vec![0; data])])
    };
    let full = heavy(3);
    assert_eq!(full.weight().unwrap().units(), 4_000_000);
    assert!(world.validate(full).is_ok());
    let error = world.validate(heavy(4)).unwrap_err();
    assert_eq!(error, BlockError::TooHeavy { got: 4_000_004, max: 4_000_000 });
}

#[test]
fn step_9_coins_and_signatures() {
    let world = World::new();
    let missing = world.spend(&[(outpoint(9), output(1000))], vec![output(1)]);
    assert_eq!(world.refuse(missing), TransactionError::MissingCoin { outpoint: outpoint(9) });
    let young = world.spend(&[(outpoint(3), output(70))], vec![output(1)]);
    let error = world.refuse(young);
    assert_eq!(error, TransactionError::Immature { outpoint: outpoint(3), spendable_from: 22, height: NEXT });
    assert_eq!(error.misbehavior(), 5);
    let greedy = world.spend(&[(outpoint(1), output(1000))], vec![output(1001)]);
    assert_eq!(world.refuse(greedy), TransactionError::Overspent { inputs: amount(1000), outputs: amount(1001) });
    let mut stolen = world.payment();
    stolen.witnesses[0].public_key[0] ^= 1;
    assert!(matches!(world.refuse(stolen), TransactionError::WrongKey { position: 0, .. }));
    let mut forged = world.payment();
    forged.witnesses[0].signature[0] ^= 1;
    assert_eq!(world.refuse(forged), TransactionError::Signature { position: 0 });
    // Signed for another amount than the coin has.
    let misled = world.spend(&[(outpoint(1), output(999))], vec![output(1)]);
    assert_eq!(world.refuse(misled), TransactionError::Signature { position: 0 });
    // Signed for another network.
    let mut elsewhere = World::new();
    elsewhere.params.genesis_time = Timestamp(1);
    assert_eq!(world.refuse(elsewhere.payment()), TransactionError::Signature { position: 0 });
}

#[test]
fn step_9_coins_of_later_transactions_and_of_the_coinbase_are_not_there_yet() {
    let world = World::new();
    let payment = world.payment();
    let made = OutPoint { txid: payment.txid(), index: 0 };
    let child = world.spend(&[(made, output(600))], vec![output(600)]);
    assert!(world.with(vec![payment.clone(), child.clone()]).is_ok());
    let error = world.with(vec![child, payment]).unwrap_err();
    let missing = |outpoint| TransactionError::MissingCoin { outpoint };
    assert_eq!(error, BlockError::Transaction { position: 1, error: missing(made) });
    let reward = coinbase(vec![output(100)]);
    let fresh = OutPoint { txid: reward.txid(), index: 0 };
    let hasty = world.spend(&[(fresh, output(100))], vec![output(1)]);
    let error = world.validate(world.block(vec![reward, hasty])).unwrap_err();
    assert_eq!(error, BlockError::Transaction { position: 1, error: missing(fresh) });
}

#[test]
fn step_9_coinbase_value() {
    let world = World::new();
    let block = |atoms| world.block(vec![coinbase(vec![output(atoms), output(0)]), world.payment()]);
    assert!(world.validate(block(5_000_000_010)).is_ok());
    assert!(world.validate(block(0)).is_ok(), "a miner may leave coins unclaimed");
    let error = world.validate(block(5_000_000_011)).unwrap_err();
    assert_eq!(error, BlockError::CoinbaseValue { got: amount(5_000_000_011), max: amount(5_000_000_010) });
}

#[test]
fn header_rules_come_before_the_bodys() {
    // A template is checked without a proof, through the same stages.
    let world = World::new();
    let block = world.block(vec![coinbase(vec![]), world.payment()]);
    let sealed = SealedHeader { header: block.header, seal: block.seal };
    let header = check_header(&world.params, &world.branch, sealed, block.header.time).unwrap();
    assert_eq!(header.target(), CompactTarget(0x207f_ffff).decode().unwrap());
    assert_eq!(header.key(), PowKey::Sha256d);
    let proven = ProvenHeader::assume(*header.sealed(), *header.entry());
    let body = check_body(proven, block.transactions.clone()).unwrap();
    assert_eq!((*body.sealed(), body.transactions().as_slice()), (sealed, block.transactions.as_slice()));
}
