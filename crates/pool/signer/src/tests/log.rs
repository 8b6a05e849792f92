//! A pool's log in memory: what a pool would tell its signer.

use std::ops::{ControlFlow, Range};

use bq_ledger::{FeeBasisPoints, WindowUnits};
use bq_mining_message::{
    BootEpoch, FrameDigest, FrameHeader, FrontEndId, Share, SharePay, SharePosition, ShareSequence,
};
use bq_pool_machine::{
    Accounts, Candidate, ChainBase, ChainEvent, ChainWay, EarnedShare, Event, LaneTerms, LogHead, NewAccount, Opened,
    PayoutEvent, PayoutTerms, PlannedPayout, Scheme, Shares, SharesError, State, Terms, Tip, Winning, plan_payout,
};
use bq_primitives::{
    AccountId, Algorithm, Amount, BlockId, Height, KeyHash, Network, NetworkDifficulty, OutPoint, ShareDifficulty,
    TxId, WorkerName,
};

use crate::{Asked, Follow, Identity, Limits, LogCopy, Record, Signer, Told};

pub(super) const POOL: KeyHash = KeyHash([0xee; 32]);
pub(super) const GENESIS: BlockId = BlockId([0; 32]);
pub(super) const REWARD: u64 = 5_000_000_000;
const MATURITY: u32 = 2;
const D: u64 = 1000;

pub(super) fn atoms(amount: u64) -> Amount {
    Amount::from_atoms(amount).unwrap()
}

#[derive(Clone, Debug, Default)]
pub(super) struct ShareList(pub(super) Vec<Share>);

impl Shares for ShareList {
    fn walk_back(
        &self,
        algorithm: Algorithm,
        from: SharePosition,
        accounts: &Accounts,
        each: &mut dyn FnMut(&EarnedShare) -> ControlFlow<()>,
    ) -> Result<(), SharesError> {
        let count = usize::try_from(from.sequence.0).unwrap();
        for share in self.0[..count].iter().rev().filter(|share| share.algorithm == algorithm) {
            let account = accounts.find(&share.payee).ok_or(SharesError::UnknownKey(share.payee))?;
            if each(&EarnedShare::of(share, account)).is_break() {
                break;
            }
        }
        Ok(())
    }

    fn walk(
        &self,
        _: FrontEndId,
        range: Range<ShareSequence>,
        accounts: &Accounts,
        each: &mut dyn FnMut(&EarnedShare),
    ) -> Result<(), SharesError> {
        for (_, share) in (1..).zip(&self.0).filter(|(number, _)| range.contains(&ShareSequence(*number))) {
            let account = accounts.find(&share.payee).ok_or(SharesError::UnknownKey(share.payee))?;
            each(&EarnedShare::of(share, account));
        }
        Ok(())
    }
}

/// The pool's own side.
#[derive(Clone, Debug, Default)]
pub(super) struct Log {
    pub(super) state: State,
    pub(super) shares: ShareList,
    pub(super) told: Vec<Told>,
    pub(super) heads: Vec<LogHead>,
    framed: usize,
}

impl Log {
    /// A pool that has opened, with one account for each of ten miners.
    pub(super) fn new() -> Self {
        let mut log = Self { heads: vec![LogHead::default()], ..Self::default() };
        let opened = Opened { network: Network::Regtest, genesis: GENESIS, key: POOL, maturity: MATURITY, horizon: 50 };
        log.append(&Event::Opened(opened));
        log.append(&Event::Terms(terms()));
        let tip = Tip { id: GENESIS, height: Height(0) };
        log.append(&Event::Chain(ChainEvent::Base(ChainBase {
            tip,
            joined: Vec::new(),
            received: Vec::new(),
            spent: Vec::new(),
        })));
        for number in 1..=10 {
            let key = KeyHash([number; 32]);
            log.append(&Event::Account(NewAccount { account: AccountId(u32::from(number)), key }));
        }
        log
    }

    /// A pool with blocks that matured, and a payout that is planned.
    pub(super) fn with_payout() -> (Self, PlannedPayout) {
        let mut log = Self::new();
        for number in 1..=3 {
            log.share(number, D);
        }
        log.block();
        log.block();
        log.mature();
        let planned = log.plan().expect("somebody is due");
        (log, planned)
    }

    pub(super) fn append(&mut self, event: &Event) {
        self.append_with(event, None);
    }

    fn append_with(&mut self, event: &Event, shares: Option<Vec<u8>>) {
        let applied = self.state.apply(event, &self.shares).unwrap_or_else(|fault| panic!("{fault}"));
        self.heads.push(applied.head);
        self.told.push(Told { event: applied.bytes, shares });
    }

    pub(super) fn share(&mut self, number: u8, difficulty: u64) {
        self.shares.0.push(Share {
            algorithm: Algorithm::Sha256d,
            payee: KeyHash([number; 32]),
            worker: WorkerName::default(),
            difficulty: ShareDifficulty::from_hashes(difficulty),
            network_difficulty: NetworkDifficulty::from_hashes(u128::from(D)),
            height: Height(1),
            time_ms: 0,
            block_id: None,
            pay: SharePay::Window,
        });
    }

    pub(super) fn frame(&mut self) {
        for shares in self.shares.0[self.framed..].to_vec().chunks(256) {
            let first = ShareSequence(u64::try_from(self.framed).unwrap() + 1);
            let frame = FrameHeader {
                front_end: FrontEndId(0),
                epoch: BootEpoch(1),
                first,
                count: u16::try_from(shares.len()).unwrap(),
                digest: FrameDigest::of(shares),
            };
            let mut bytes = Vec::new();
            shares.iter().for_each(|share| share.encode(&mut bytes));
            self.framed += shares.len();
            self.append_with(&Event::Frame(frame), Some(bytes));
        }
    }

    /// The newest share is a block on the tip.
    pub(super) fn block(&mut self) {
        self.frame();
        let fork = self.state.tip().unwrap();
        let height = Height(fork.height.0 + 1);
        let name = |tag: u8| {
            let mut bytes = [tag; 32];
            bytes[..4].copy_from_slice(&height.0.to_le_bytes());
            bytes
        };
        let id = BlockId(name(1));
        let sequence = ShareSequence(u64::try_from(self.framed).unwrap());
        self.append(&Event::Candidate(Candidate {
            id,
            height,
            algorithm: Algorithm::Sha256d,
            coinbase: TxId(name(2)),
            outputs: vec![(0, atoms(REWARD))],
            winning: Winning::Share(SharePosition { front_end: FrontEndId(0), sequence }),
            time: 0,
        }));
        self.way(fork, Tip { id, height }, vec![id]);
    }

    /// Blocks of strangers until the newest reward may be spent.
    pub(super) fn mature(&mut self) {
        for _ in 0..=MATURITY {
            let fork = self.state.tip().unwrap();
            let height = Height(fork.height.0 + 1);
            let mut id = [3; 32];
            id[..4].copy_from_slice(&height.0.to_le_bytes());
            self.way(fork, Tip { id: BlockId(id), height }, Vec::new());
        }
    }

    fn way(&mut self, fork: Tip, tip: Tip, joined: Vec<BlockId>) {
        let way = ChainWay { fork, tip, joined, received: Vec::new(), spent: Vec::new() };
        self.append(&Event::Chain(ChainEvent::Way(way)));
    }

    pub(super) fn plan(&mut self) -> Option<PlannedPayout> {
        let planned = plan_payout(&self.state, 1_000_000).unwrap()?;
        self.append(&Event::Payout(PayoutEvent::Planned(planned.clone())));
        Some(planned)
    }

    pub(super) fn asked(&self, planned: &PlannedPayout) -> Asked {
        let transaction = planned.transaction(self.state.accounts(), POOL).unwrap();
        Asked { epoch: BootEpoch(1), head: self.state.head(), planned: planned.clone(), outputs: transaction.outputs }
    }

    /// What comes after an event.
    pub(super) fn after(&self, head: LogHead) -> Follow {
        let from = usize::try_from(head.number.0).unwrap();
        Follow { after: self.heads[from], events: self.told[from..].to_vec() }
    }
}

pub(super) fn spent_input(planned: &PlannedPayout) -> OutPoint {
    planned.inputs[0].outpoint
}

pub(super) fn terms() -> Terms {
    let lane =
        LaneTerms { scheme: Scheme::Pplns { window: WindowUnits::DEFAULT }, fee: FeeBasisPoints::new(100).unwrap() };
    let payouts = PayoutTerms {
        payout_min: atoms(1_000_000),
        payees_max: 1,
        inputs_max: 4,
        round_payouts_max: 4,
        interval_ms: 10_000,
        fee_rate: 1000,
        final_depth: 6,
        gift_min: atoms(50_000),
    };
    Terms { lanes: [lane; 3], payouts }
}

pub(super) fn signer(adopts: bool) -> Signer {
    let limits = Limits { payout_max: Amount::MAX, day_max: Amount::MAX, statements_hour_max: 100 };
    limited(limits, adopts)
}

pub(super) fn limited(limits: Limits, adopts: bool) -> Signer {
    let identity = Identity { network: Network::Regtest, genesis: GENESIS, key: POOL, commitment_key: [5; 32] };
    Signer::new(identity, limits, adopts, LogCopy::default(), Record::default())
}
