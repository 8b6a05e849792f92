//! A pool that only writes: events, frames and blocks, without books.

use std::collections::BTreeMap;

use bq_ledger::{FeeBasisPoints, WindowUnits};
use bq_mining_message::{BootEpoch, FrameDigest, FrameHeader, FrontEndId, Share, SharePay, ShareSequence};
use bq_pool_machine::{
    Act, Commitment, Event, LaneTerms, LogHead, LogNumber, NewAccount, Opened, Operator, PayoutTerms, Scheme, Terms,
};
use bq_primitives::{
    AccountId, Algorithm, Amount, Block, BlockId, CompactTarget, Header, Height, KeyHash, Network, NetworkDifficulty,
    OutPoint, Seal, ShareDifficulty, Timestamp, Transaction, TxId, TxOut, WorkerName, tagged_hash,
};

use crate::{AccountExport, Bytes, CoinbaseProof, FrameShares, LogProof, PoolIdentity, Run, ShareProof};

pub(super) const GENESIS: BlockId = BlockId([0x99; 32]);
const SECRET: [u8; 32] = [3; 32];

pub(super) fn miner(number: u8) -> KeyHash {
    KeyHash([number; 32])
}

pub(super) fn atoms(amount: u64) -> Amount {
    Amount::from_atoms(amount).expect("in range")
}

pub(super) fn terms(fee: u16) -> Terms {
    let lane = LaneTerms {
        scheme: Scheme::Pplns { window: WindowUnits::DEFAULT },
        fee: FeeBasisPoints::new(fee).expect("a fee"),
    };
    let payouts = PayoutTerms {
        payout_min: atoms(100_000_000),
        payees_max: 3,
        inputs_max: 4,
        round_payouts_max: 2,
        interval_ms: 10_000,
        fee_rate: 1000,
        final_depth: 6,
        gift_min: atoms(50_000),
    };
    Terms { lanes: [lane; 3], payouts }
}

pub(super) fn share(payee: u8, number: u64) -> Share {
    Share {
        algorithm: Algorithm::ALL[usize::try_from(number % 3).expect("small")],
        payee: miner(payee),
        worker: WorkerName::new(&format!("rig{}", number % 11)).expect("a name"),
        difficulty: ShareDifficulty::from_hashes(1 + number * 1_000_003),
        network_difficulty: NetworkDifficulty::from_hashes(1_000_000_000 + u128::from(number)),
        height: Height(u32::try_from(number).expect("small")),
        time_ms: 1_700_000_000_000 + number,
        block_id: number.is_multiple_of(5).then_some(BlockId([payee; 32])),
        pay: SharePay::default(),
    }
}

pub(super) fn frame(first: u64, shares: &[Share]) -> FrameHeader {
    FrameHeader {
        front_end: FrontEndId(0),
        epoch: BootEpoch(1),
        first: ShareSequence(first),
        count: u16::try_from(shares.len()).expect("a frame"),
        digest: FrameDigest::of(shares),
    }
}

/// Numbers that look random, the same every time.
pub(super) struct Dice(pub(super) u64);

impl Dice {
    pub(super) fn below(&mut self, end: usize) -> usize {
        self.0 += 1;
        let hash = tagged_hash("dice", &[&self.0.to_le_bytes()]);
        let number = u64::from_le_bytes(*hash.first_chunk().expect("32 bytes"));
        usize::try_from(number % u64::try_from(end).expect("small")).expect("small")
    }
}

#[derive(Clone)]
pub(super) struct Pool {
    pub(super) identity: PoolIdentity,
    pub(super) log: Vec<Event>,
    pub(super) heads: Vec<LogHead>,
    pub(super) frames: BTreeMap<LogNumber, Vec<Share>>,
    /// Each with the number of the event that its coinbase names.
    pub(super) blocks: Vec<(LogNumber, Block)>,
    pub(super) next_share: u64,
    accounts: Vec<KeyHash>,
}

impl Pool {
    pub(super) fn new(key: KeyHash, tag: &[u8]) -> Self {
        let identity = PoolIdentity { network: Network::Regtest, genesis: GENESIS, key, tag: Bytes(tag.to_vec()) };
        let mut pool = Self {
            identity,
            log: Vec::new(),
            heads: vec![LogHead::default()],
            frames: BTreeMap::new(),
            blocks: Vec::new(),
            next_share: 1,
            accounts: Vec::new(),
        };
        pool.tell(Event::Opened(Opened {
            network: Network::Regtest,
            genesis: GENESIS,
            key,
            maturity: 10,
            horizon: 200,
        }));
        pool.decide(Act::Begin);
        pool.tell(Event::Terms(terms(100)));
        pool
    }

    /// Some blocks, with shares of several miners between them; miner 1 has shares in most frames.
    pub(super) fn busy(key: KeyHash, tag: &[u8], blocks: u8) -> Self {
        let mut pool = Self::new(key, tag);
        let mut dice = Dice(u64::from(key.0[0]) << 32);
        for block in 0..blocks {
            for _ in 0..3 {
                let payees: Vec<u8> =
                    (0..1 + dice.below(9)).map(|_| u8::try_from(1 + dice.below(4)).expect("small")).collect();
                pool.frame(&payees);
            }
            if block == 1 {
                pool.tell(Event::Terms(terms(50)));
            }
            pool.block(usize::from(block) + 1);
        }
        pool
    }

    pub(super) fn head(&self) -> LogHead {
        *self.heads.last().expect("the empty log's")
    }

    pub(super) fn tell(&mut self, event: Event) -> LogNumber {
        let head = self.head().after(&event.to_bytes().expect("encodes"));
        self.heads.push(head);
        self.log.push(event);
        head.number
    }

    pub(super) fn decide(&mut self, act: Act) {
        let time_ms = u64::try_from(self.log.len()).expect("small");
        self.tell(Event::Operator(Operator { act, who: "op".to_owned(), reason: String::new(), time_ms }));
    }

    pub(super) fn frame(&mut self, payees: &[u8]) -> LogNumber {
        let shares: Vec<Share> = (self.next_share..).zip(payees).map(|(number, payee)| share(*payee, number)).collect();
        for payee in shares.iter().map(|share| share.payee) {
            if !self.accounts.contains(&payee) {
                self.accounts.push(payee);
                let account = AccountId(u32::try_from(self.accounts.len()).expect("small"));
                self.tell(Event::Account(NewAccount { account, key: payee }));
            }
        }
        let header = frame(self.next_share, &shares);
        self.next_share = header.end().0;
        let number = self.tell(Event::Frame(header));
        self.frames.insert(number, shares);
        number
    }

    /// A block of this many transactions whose coinbase names the newest event.
    pub(super) fn block(&mut self, transactions: usize) {
        let height = Height(u32::try_from(self.blocks.len()).expect("small") + 1);
        let block = block(&self.identity, self.head(), height, transactions);
        self.blocks.push((self.head().number, block));
    }

    /// The block of a height on this pool's chain.
    pub(super) fn id_at(&self, height: Height) -> Option<BlockId> {
        if height == Height::GENESIS {
            return Some(GENESIS);
        }
        self.blocks.iter().find(|(_, block)| block.header.height == height).map(|(_, block)| block.id())
    }

    pub(super) fn export(&self, payee: u8) -> AccountExport {
        let of_account = |shares: &[Share]| shares.iter().any(|share| share.payee == miner(payee));
        let frames: Vec<LogNumber> =
            self.frames.iter().filter(|(_, shares)| of_account(shares)).map(|(number, _)| *number).collect();
        let heads: Vec<LogNumber> = self.blocks.iter().map(|(number, _)| *number).collect();
        let ranges = Run::ranges(&frames, &heads);
        let is_told = |number: &LogNumber| ranges.iter().any(|(first, last)| (first..=last).contains(&number));
        let told = (1..).map(LogNumber).zip(&self.log).filter(|(number, _)| is_told(number));
        let of_event =
            |(_, event): (_, &Event)| if let Event::Terms(terms) = event { Some(terms.clone()) } else { None };
        let terms = told.filter_map(of_event).last();
        let runs = ranges.iter().map(|(first, last)| self.run(payee, *first, *last)).collect();
        AccountExport { pool: self.identity.clone(), account: miner(payee), terms, runs }
    }

    /// The events `first` to `last`, the block that names the last, and the shares of a miner between.
    pub(super) fn run(&self, payee: u8, first: LogNumber, last: LogNumber) -> Run {
        let (at, end) = (usize::try_from(first.0).unwrap(), usize::try_from(last.0).unwrap());
        let log = LogProof::of(first, self.heads[at - 1].hash, &self.log[at - 1..end]).expect("encodes");
        let (_, block) = self.blocks.iter().find(|(number, _)| *number == last).expect("a block");
        let shares = |shares: &[Share]| -> Vec<ShareProof> {
            let mine = |proof: &ShareProof| shares[usize::from(proof.index)].payee == miner(payee);
            ShareProof::all_of(shares).into_iter().filter(mine).collect()
        };
        let frames = self.frames.range(first..=last);
        let frames = frames.map(|(event, list)| FrameShares { event: *event, shares: shares(list) });
        let frames = frames.filter(|frame| !frame.shares.is_empty()).collect();
        Run { log, coinbase: CoinbaseProof::of(block), frames }
    }
}

pub(super) fn block(pool: &PoolIdentity, head: LogHead, height: Height, transactions: usize) -> Block {
    let parent_id = BlockId(tagged_hash("parent", &[&height.0.to_le_bytes()]));
    let outputs = vec![TxOut { amount: atoms(5_000_000_000), key_hash: pool.key }];
    let commitment = Commitment(head).to_bytes(&SECRET, &parent_id, &outputs, bq_pool_machine::CoinbaseOf::Window);
    let data = [pool.tag.0.as_slice(), &commitment].concat();
    let mut list = vec![Transaction::coinbase(height, outputs, data)];
    for number in 1..transactions {
        let input = OutPoint { txid: TxId([7; 32]), index: u32::try_from(number).expect("small") };
        list.push(Transaction {
            version: 1,
            inputs: vec![input],
            outputs: vec![TxOut { amount: atoms(1), key_hash: miner(9) }],
            lock_height: Height(0),
            coinbase_data: Vec::new(),
            witnesses: Vec::new(),
        });
    }
    let algorithm = Algorithm::ALL[usize::try_from(height.0 % 3).expect("small")];
    let header = Header {
        version: 1,
        parent_id,
        tx_root: bq_primitives::tx_root(&list),
        witness_root: bq_primitives::witness_root(&list),
        time: Timestamp(1_700_000_000),
        height,
        bits: CompactTarget(0x207f_ffff),
        algorithm,
    };
    Block { header, seal: Seal::blank(algorithm), transactions: list }
}
