//! A pool, its shares and a toy chain, driven as a driver would: facts in, commands out.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::{ControlFlow, Range},
};

use bq_ledger::{FeeBasisPoints, Head, LedgerAccount, WindowFold, WindowUnits};
use bq_mining_message::{
    BootEpoch, FrameDigest, FrameHeader, FrontEndId, Share, SharePay, SharePosition, ShareSequence,
};
use bq_primitives::{
    Algorithm, Amount, BlockId, Height, KeyHash, Network, NetworkDifficulty, OutPoint, ShareDifficulty, Transaction,
    TxId, TxOut, WorkerName,
};

use super::chain::ToyChain;
use crate::{
    Accounts, Act, Applied, BlockState, Candidate, ChainBase, ChainEvent, CoinbasePlan, ColdEvent, Command,
    CommitmentCheck, DirectBlock, DirectOutput, EarnedShare, Event, Fault, Fill, LaneTerms, NewAccount, Offer, Opened,
    Operator, Outside, PayoutEvent, PayoutId, PayoutTerms, PerShareEvent, Scheme, Shares, SharesError, State, Terms,
    Upkeep, Winning, next,
};

pub(super) const POOL: KeyHash = KeyHash([0xee; 32]);
/// A key that is on no machine of the pool.
pub(super) const COLD: KeyHash = KeyHash([0xc0; 32]);
pub(super) const STRANGER: KeyHash = KeyHash([0x77; 32]);
pub(super) const MATURITY: u32 = 10;
pub(super) const FINAL_DEPTH: u32 = 6;
pub(super) const REWARD: u64 = 5_000_000_000;
pub(super) const LANE: Algorithm = Algorithm::Sha256d;
const FRONT_END: FrontEndId = FrontEndId(0);

pub(super) fn miner(number: u8) -> KeyHash {
    KeyHash([number; 32])
}

pub(super) fn atoms(amount: u64) -> Amount {
    Amount::from_atoms(amount).expect("small")
}

/// Shares in the order of the log.
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
        let count = usize::try_from(from.sequence.0).expect("small");
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
        let index = |sequence: ShareSequence| usize::try_from(sequence.0 - 1).expect("small");
        for share in &self.0[index(range.start)..index(range.end)] {
            let account = accounts.find(&share.payee).ok_or(SharesError::UnknownKey(share.payee))?;
            each(&EarnedShare::of(share, account));
        }
        Ok(())
    }
}

#[derive(Clone, Debug)]
pub(super) struct World {
    pub(super) chain: ToyChain,
    /// The pool's key.
    pub(super) key: KeyHash,
    /// Whom coinbases pay instead.
    pub(super) cold: Option<KeyHash>,
    pub(super) shares: ShareList,
    pub(super) state: State,
    pub(super) log: Vec<Event>,
    /// Signed transactions, as a driver stores them beside the log.
    pub(super) signed: BTreeMap<PayoutId, Transaction>,
    /// The same of every transaction that a payout ever was.
    pub(super) bytes: BTreeMap<TxId, Transaction>,
    /// Blocks of the pool that were found, by id.
    pub(super) candidates: BTreeMap<BlockId, Candidate>,
    pub(super) now_ms: u64,
    pub(super) commitment: CommitmentCheck,
    pub(super) framed: u64,
    /// Signing works.
    pub(super) signs: bool,
    /// What shares to come are paid by.
    pub(super) pay: SharePay,
    pub(super) upkeep: Upkeep,
}

pub(super) fn terms() -> Terms {
    let lane = LaneTerms {
        scheme: Scheme::Pplns { window: WindowUnits::DEFAULT },
        fee: FeeBasisPoints::new(100).expect("1 %"),
    };
    let payouts = PayoutTerms {
        payout_min: atoms(100_000_000),
        payees_max: 3,
        inputs_max: 4,
        round_payouts_max: 2,
        interval_ms: 10_000,
        fee_rate: 1000,
        final_depth: FINAL_DEPTH,
        gift_min: atoms(50_000),
    };
    Terms { lanes: [lane; 3], payouts }
}

impl World {
    pub(super) fn new() -> Self {
        let mut world = Self {
            chain: ToyChain::new(MATURITY),
            key: POOL,
            cold: None,
            shares: ShareList::default(),
            state: State::default(),
            log: Vec::new(),
            signed: BTreeMap::new(),
            bytes: BTreeMap::new(),
            candidates: BTreeMap::new(),
            now_ms: 1_000_000,
            commitment: CommitmentCheck::Fine,
            framed: 0,
            signs: true,
            pay: SharePay::default(),
            upkeep: Upkeep::LEAST,
        };
        let genesis = BlockId([0; 32]);
        let opened = Opened { network: Network::Regtest, genesis, key: POOL, maturity: MATURITY, horizon: 200 };
        world.append(Event::Opened(opened));
        world.append(Event::Terms(terms()));
        let base = world.chain.base(&[POOL], &[], &[]);
        world.append(Event::Chain(ChainEvent::Base(base)));
        world
    }

    /// A pool whose coinbases pay a cold key.
    pub(super) fn with_cold_key() -> Self {
        let mut world = Self::new();
        world.cold = Some(COLD);
        world.append(Event::Cold(ColdEvent::Key(Some(COLD))));
        world
    }

    /// Keys whose coins are the pool's.
    pub(super) fn keys(&self) -> Vec<KeyHash> {
        [self.key].into_iter().chain(self.state.cold_keys().iter().copied()).collect()
    }

    /// Tells which coins of the best chain are cold ones, and which transactions fill the float, as far as the log does not know.
    pub(super) fn tell_cold(&mut self) {
        let cold = self.state.cold_keys().clone();
        if cold.is_empty() {
            return;
        }
        let keys = self.keys();
        let mut lies_cold = BTreeSet::new();
        let (mut marks, mut fills) = (Vec::new(), Vec::new());
        for (position, transaction) in self.chain.best().iter().flat_map(|block| block.transactions.iter().enumerate())
        {
            let txid = transaction.txid();
            let pays_us = transaction.outputs.iter().all(|output| keys.contains(&output.key_hash));
            let is_fill = position > 0 && pays_us && transaction.inputs.iter().all(|input| lies_cold.contains(input));
            if is_fill && !self.state.knows_fill(&txid) && !transaction.inputs.iter().any(|input| self.is_spent(input))
            {
                fills.push(Fill::of(transaction));
            }
            let outputs = (0..).zip(&transaction.outputs).filter(|(_, output)| cold.contains(&output.key_hash));
            for outpoint in outputs.map(|(index, _)| OutPoint { txid, index }) {
                lies_cold.insert(outpoint);
                if !is_fill && !self.state.is_cold(&outpoint) {
                    marks.push(outpoint);
                }
            }
        }
        marks.retain(|outpoint| self.state.coin(outpoint).is_none());
        if !marks.is_empty() {
            self.append(Event::Cold(ColdEvent::Coins(marks)));
        }
        for fill in fills {
            self.append(Event::Cold(ColdEvent::Fill(fill)));
        }
    }

    fn is_spent(&self, outpoint: &OutPoint) -> bool {
        self.state.coin(outpoint).is_some_and(|coin| coin.spent.is_some())
    }

    /// A person sends so much from the cold key to the pool's own, if it lies there.
    pub(super) fn fill(&mut self, amount: u64) -> Option<Transaction> {
        const FEE: u64 = 5_000;
        let height = self.chain.tip().height.0 + 1;
        let (mut inputs, mut worth) = (Vec::new(), 0);
        for (outpoint, (output, made, is_coinbase)) in self.chain.unspent(self.chain.tip) {
            let is_taken = self.chain.mempool.iter().any(|other| other.inputs.contains(&outpoint));
            let is_mature = !is_coinbase || height - made.0 >= MATURITY;
            if output.key_hash == COLD && is_mature && !is_taken && worth < amount + FEE {
                inputs.push(outpoint);
                worth += output.amount.atoms();
            }
        }
        let rest = worth.checked_sub(amount + FEE)?;
        let mut outputs = vec![TxOut { amount: atoms(amount), key_hash: self.key }];
        if rest > 0 {
            outputs.push(TxOut { amount: atoms(rest), key_hash: COLD });
        }
        let transaction = plain(inputs, outputs);
        self.chain.mempool.push(transaction.clone());
        Some(transaction)
    }

    /// Appends an event that must be taken, and checks all that must hold.
    #[track_caller]
    pub(super) fn append(&mut self, event: Event) -> Applied {
        self.try_append(event).unwrap_or_else(|fault| panic!("{fault}"))
    }

    pub(super) fn try_append(&mut self, event: Event) -> Result<Applied, Fault> {
        let applied = self.state.apply(&event, &self.shares)?;
        if let Err(fault) = self.state.check() {
            let coins: Vec<_> = self.state.coins().collect();
            let payouts: Vec<_> = self.state.payouts().collect();
            panic!("{fault}\n{event:#?}\n{:#?}\ncoins {coins:#?} payouts {payouts:#?}", applied.lines);
        }
        self.log.push(event);
        Ok(applied)
    }

    /// A share worth 1/`parts` of a block.
    pub(super) fn share(&mut self, number: u8, parts: u64) {
        self.share_on(LANE, number, parts);
    }

    pub(super) fn share_on(&mut self, algorithm: Algorithm, number: u8, parts: u64) {
        self.share_of(algorithm, miner(number), parts);
    }

    pub(super) fn share_of(&mut self, algorithm: Algorithm, payee: KeyHash, parts: u64) {
        self.shares.0.push(Share {
            algorithm,
            payee,
            worker: WorkerName::default(),
            difficulty: ShareDifficulty::from_hashes(1_000_000 / parts),
            network_difficulty: NetworkDifficulty::from_hashes(1_000_000),
            height: Height(1),
            time_ms: self.now_ms,
            block_id: None,
            pay: self.pay,
        });
    }

    /// Tells the log of every share so far.
    pub(super) fn frame(&mut self) {
        let all = u64::try_from(self.shares.0.len()).expect("small");
        while self.framed < all {
            let count = (all - self.framed).min(256);
            let from = usize::try_from(self.framed).expect("small");
            let shares = self.shares.0[from..from + usize::try_from(count).expect("small")].to_vec();
            for share in &shares {
                if self.state.accounts().find(&share.payee).is_none() {
                    let account = self.state.accounts().next().expect("numbers left");
                    self.append(Event::Account(NewAccount { account, key: share.payee }));
                }
            }
            self.append(Event::Frame(FrameHeader {
                front_end: FRONT_END,
                epoch: BootEpoch(1),
                first: ShareSequence(self.framed + 1),
                count: u16::try_from(count).expect("256"),
                digest: FrameDigest::of(&shares),
            }));
            self.framed += count;
        }
    }

    /// The newest share is a block of the pool on `parent`.
    pub(super) fn find_block(&mut self, parent: BlockId, takes: bool) -> BlockId {
        self.frame();
        let newest =
            (self.framed > 0).then_some(SharePosition { front_end: FRONT_END, sequence: ShareSequence(self.framed) });
        // Whom no window pays works on a coinbase that pays the pool.
        let is_of_window = self.shares.0.last().is_none_or(|share| share.pay == SharePay::Window);
        let plan = if is_of_window { self.coinbase(parent, newest) } else { None };
        let own = plan.as_ref().map_or(atoms(REWARD), |plan| plan.own);
        let paid = plan.iter().flat_map(|plan| &plan.outputs);
        let paid: Vec<DirectOutput> = (0..)
            .zip(paid)
            .map(|(index, (account, amount))| DirectOutput { index, account: *account, amount: *amount })
            .collect();
        let key = |account| self.state.accounts().key(account).expect("an account");
        let mut outputs: Vec<TxOut> =
            paid.iter().map(|output| TxOut { amount: output.amount, key_hash: key(output.account) }).collect();
        let mut ours = Vec::new();
        if own > Amount::ZERO {
            ours.push((u32::try_from(outputs.len()).expect("few"), own));
            outputs.push(TxOut { amount: own, key_hash: self.cold.unwrap_or(self.key) });
        }
        let id = self.chain.mine_on(parent, outputs, takes);
        let winning = match (plan, newest) {
            (Some(_), newest) => {
                let total = Amount::sum(paid.iter().map(|output| output.amount)).expect("a reward");
                Winning::Coinbase(DirectBlock { share: None, newest, total, paid })
            }
            (None, Some(newest)) => Winning::Share(newest),
            (None, None) => Winning::NoShares,
        };
        let candidate = Candidate {
            id,
            height: self.chain.blocks[&id].height,
            algorithm: LANE,
            coinbase: self.chain.blocks[&id].transactions[0].txid(),
            outputs: ours,
            winning,
            time: 0,
        };
        if self.cold.is_some() {
            self.append(Event::Cold(ColdEvent::Coins(candidate.coins().map(|(outpoint, _)| outpoint).collect())));
        }
        self.append(Event::Candidate(candidate.clone()));
        self.candidates.insert(id, candidate);
        id
    }

    /// What the coinbase of a block on `parent` pays, if it pays miners.
    pub(super) fn coinbase(&self, parent: BlockId, newest: Option<SharePosition>) -> Option<CoinbasePlan> {
        let terms = self.state.direct_terms(LANE, newest)?;
        let Scheme::Direct { window, .. } = terms.1.scheme else { return None };
        let mut fold = WindowFold::new(window, Head::Whole);
        if let Some(newest) = newest {
            let mut each = |share: &EarnedShare| match share.pay {
                SharePay::Window => fold.add(share.account, share.weight),
                _ => ControlFlow::Continue(()),
            };
            self.shares.walk_back(LANE, newest, self.state.accounts(), &mut each).expect("shares");
        }
        let pays_carried = self.state.tip().is_some_and(|tip| tip.id == parent);
        let mut basis = self.state.coinbase_basis(LANE, terms, fold.finish(), pays_carried).expect("in range");
        if !pays_carried {
            basis.leave_older();
        }
        let plan = basis.plan(atoms(REWARD)).expect("in range");
        assert!(plan.outputs.len() < usize::try_from(basis.outputs_max()).expect("few"));
        Some(plan)
    }

    /// What accounts may choose from the next share on.
    pub(super) fn offer(&mut self, offer: Offer) {
        self.append(Event::Offer(offer));
    }

    /// T20 for all that the log was told of.
    pub(super) fn settle_shares(&mut self) -> Applied {
        let (front_end, end) = (FRONT_END, ShareSequence(self.framed + 1));
        self.append(Event::PerShare(PerShareEvent::Settled { front_end, end }))
    }

    /// New terms from the next share on.
    pub(super) fn set_scheme(&mut self, scheme: Scheme) {
        let mut terms = terms();
        for lane in &mut terms.lanes {
            lane.scheme = scheme;
        }
        self.append(Event::Terms(terms));
    }

    /// One block on the tip, ours or not.
    pub(super) fn mine(&mut self, ours: bool) {
        let tip = self.chain.tip;
        self.chain.tip = if ours { self.find_block(tip, true) } else { self.foreign_block(tip, true) };
        self.prune_mempool();
    }

    pub(super) fn foreign_block(&mut self, parent: BlockId, takes: bool) -> BlockId {
        self.chain.mine_on(parent, vec![TxOut { amount: atoms(REWARD), key_hash: STRANGER }], takes)
    }

    fn prune_mempool(&mut self) {
        let best: Vec<_> = self.chain.best().iter().flat_map(|block| block.transactions.clone()).collect();
        self.chain.mempool.retain(|transaction| !best.contains(transaction));
    }

    /// The best chain becomes one that leaves it `depth` blocks down and is one block longer; `ours` says which of the new
    /// blocks are the pool's.
    pub(super) fn reorg(&mut self, depth: usize, ours: impl Fn(usize) -> bool, takes: bool) {
        let best: Vec<BlockId> = self.chain.best().iter().map(|block| block.id).collect();
        let depth = depth.min(best.len() - 1);
        let mut parent = best[best.len() - 1 - depth];
        for position in 0..=depth {
            parent = if ours(position) { self.find_block(parent, takes) } else { self.foreign_block(parent, takes) };
        }
        let dropped: Vec<Transaction> =
            self.chain.best()[best.len() - depth..].iter().flat_map(|block| block.transactions[1..].to_vec()).collect();
        self.chain.tip = parent;
        self.chain.mempool.extend(dropped);
        self.prune_mempool();
    }

    /// Tells the log how the chain changed.
    pub(super) fn follow(&mut self) {
        let from = self.state.tip().expect("based");
        if from == self.chain.tip() {
            return;
        }
        self.tell_cold();
        let (joined, known) = self.known();
        let way = self.chain.way(from.id, &self.keys(), &joined, &known);
        self.append(Event::Chain(ChainEvent::Way(way)));
        self.compare();
    }

    /// The chain as a whole, as a driver tells it.
    pub(super) fn base(&self) -> ChainBase {
        let (joined, known) = self.known();
        let mut base = self.chain.base(&self.keys(), &joined, &known);
        let spent: Vec<OutPoint> = base.spent.iter().map(|(outpoint, _)| *outpoint).collect();
        let arrived = self.chain.received(&self.keys(), &joined);
        base.received.extend(arrived.into_iter().filter(|coin| spent.contains(&coin.outpoint)));
        base
    }

    pub(super) fn known(&self) -> (Vec<BlockId>, Vec<OutPoint>) {
        let joined = self.state.blocks().map(|block| block.candidate.id).collect();
        (joined, self.state.coins().map(|(outpoint, _)| outpoint).collect())
    }

    /// The books have the coins that the chain has.
    #[track_caller]
    pub(super) fn compare(&self) {
        let unspent = self.chain.unspent(self.chain.tip);
        let keys = self.keys();
        let min = terms().payouts.gift_min;
        let is_known = |outpoint: &OutPoint| self.state.coin(outpoint).is_some();
        let is_counted = |outpoint: &OutPoint, output: &TxOut| {
            output.amount >= min && (keys.contains(&output.key_hash) || is_known(outpoint))
        };
        let on_chain: Vec<OutPoint> = unspent
            .iter()
            .filter(|(outpoint, (output, _, _))| is_counted(outpoint, output))
            .map(|(outpoint, _)| *outpoint)
            .collect();
        let in_books: Vec<OutPoint> = self
            .state
            .coins()
            .filter(|(_, coin)| coin.spent.is_none() && coin.amount >= min)
            .map(|(outpoint, _)| outpoint)
            .collect();
        assert_eq!(in_books, on_chain);
    }

    pub(super) fn outside(&self) -> Outside {
        Outside {
            now_ms: self.now_ms,
            in_step: self.state.tip() == Some(self.chain.tip()),
            coins_match: true,
            commitment: self.commitment,
            upkeep: self.upkeep,
        }
    }

    /// Carries out commands until only waiting is left.
    pub(super) fn settle(&mut self) {
        self.follow();
        loop {
            let commands = next(&self.state, &self.outside()).expect("sound books");
            let mut appended = false;
            for command in commands {
                match command {
                    Command::Append(event) => {
                        self.append(event);
                        appended = true;
                    }
                    Command::Sign(payout) if self.signs => {
                        self.sign(payout);
                        appended = true;
                    }
                    Command::Send(payout) => {
                        let txid = self.state.payout(payout).expect("open").planned.txid;
                        let transaction = self.bytes.get(&txid).or_else(|| self.signed.get(&payout)).cloned();
                        if let Some(transaction) = transaction {
                            self.chain.send(&transaction);
                        }
                    }
                    Command::Sign(_) | Command::Submit(_) => {}
                }
                if appended {
                    break;
                }
            }
            if !appended {
                return;
            }
        }
    }

    fn sign(&mut self, payout: PayoutId) {
        let planned = &self.state.payout(payout).expect("open").planned;
        let transaction = planned.transaction(self.state.accounts(), self.key).expect("keys");
        self.bytes.insert(transaction.txid(), transaction.clone());
        self.signed.insert(payout, transaction);
        self.append(Event::Payout(PayoutEvent::Signed { payout, digest: [1; 32] }));
    }

    pub(super) fn decide(&mut self, act: Act) -> Result<Applied, Fault> {
        let (who, reason) = ("a person".to_owned(), "a test".to_owned());
        let before = self.state.clone();
        let decided = self.try_append(Event::Operator(Operator { act, who, reason, time_ms: self.now_ms }));
        assert!(decided.is_ok() || self.state == before, "what is refused changes nothing");
        decided
    }

    /// Somebody spends unspent coins of the pool outside the books: `kept` comes back, the rest goes away.
    pub(super) fn steal(&mut self, outpoints: &[OutPoint], kept: u64) -> Transaction {
        let coins = self.chain.unspent(self.chain.tip);
        let worth: u64 = outpoints.iter().map(|outpoint| coins[outpoint].0.amount.atoms()).sum();
        let mut outputs = vec![TxOut { amount: atoms(worth - kept), key_hash: STRANGER }];
        if kept > 0 {
            outputs.push(TxOut { amount: atoms(kept), key_hash: self.key });
        }
        let transaction = plain(outpoints.to_vec(), outputs);
        // It gets into the next block before whatever the pool sent.
        self.chain.mempool.insert(0, transaction.clone());
        transaction
    }

    /// A stranger sends the pool coins.
    pub(super) fn gift(&mut self, amount: u64) -> Option<Transaction> {
        let coins = self.chain.unspent(self.chain.tip);
        let height = self.chain.tip().height.0 + 1;
        let taken = |outpoint: &OutPoint| self.chain.mempool.iter().any(|other| other.inputs.contains(outpoint));
        let (outpoint, (output, _, _)) = coins.iter().find(|(outpoint, (output, made, is_coinbase))| {
            let is_enough = output.key_hash == STRANGER && output.amount.atoms() >= amount;
            is_enough && !taken(outpoint) && (!is_coinbase || height - made.0 >= MATURITY)
        })?;
        let rest = output.amount.atoms().checked_sub(amount)?;
        let outputs = vec![
            TxOut { amount: atoms(amount), key_hash: self.key },
            TxOut { amount: atoms(rest), key_hash: STRANGER },
        ];
        let transaction = plain(vec![*outpoint], outputs);
        self.chain.mempool.push(transaction.clone());
        Some(transaction)
    }

    pub(super) fn balance(&self, account: LedgerAccount) -> u64 {
        self.state.books().balance(account)
    }

    pub(super) fn payable(&self, number: u8) -> u64 {
        let account = self.state.accounts().find(&miner(number)).expect("known");
        self.balance(LedgerAccount::MinerPayable(account))
    }

    /// What miners have on the best chain.
    pub(super) fn received_by(&self, number: u8) -> u64 {
        let outputs = self.chain.best().into_iter().flat_map(|block| &block.transactions).flat_map(|tx| &tx.outputs);
        outputs.filter(|output| output.key_hash == miner(number)).map(|output| output.amount.atoms()).sum()
    }

    /// Quiet blocks of strangers, time passing, until nothing is to be done any more.
    pub(super) fn calm_down(&mut self) {
        for _ in 0..60 {
            self.now_ms += 60_000;
            self.settle();
            self.mine(false);
        }
        self.settle();
    }

    pub(super) fn blocks_in(&self, state: BlockState) -> usize {
        self.state.blocks().filter(|block| block.state == state).count()
    }
}

pub(super) fn plain(inputs: Vec<OutPoint>, outputs: Vec<TxOut>) -> Transaction {
    Transaction {
        version: 1,
        inputs,
        outputs,
        lock_height: Height(0),
        coinbase_data: Vec::new(),
        witnesses: Vec::new(),
    }
}
