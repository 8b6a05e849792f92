//! The log applied event by event, each compared with the chain.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use bq_ledger::{Cause, LedgerAccount};
use bq_mining_message::{FrontEndId, SharePosition};
use bq_pool_machine::{
    Act, Applied, Candidate, ChainEvent, Event, LogHash, LogHead, LogNumber, Operator, Received, Recovery, Spent,
    State, Tip,
};
use bq_primitives::{BlockId, Height, OutPoint, TxOut};
use bq_segments::ShareLog;

use super::{
    Replayed,
    chain::{NamingBlock, PoolChain},
    coinbase::{Paid, compare, newest_share},
    frames::{Frames, FramesRead},
};
use crate::source::{EarlierShares, OwnShares};

/// Notes that are kept at most.
const NOTES_MAX: usize = 100;

pub(super) struct Books<'a> {
    chain: &'a PoolChain,
    front_end: FrontEndId,
    log: Arc<ShareLog>,
    state: State,
    shares: SharesNow,
    replayed: Replayed,
    /// Blocks of the pool that the log says are on the chain, with their heights.
    joined: BTreeMap<BlockId, Height>,
    heights: BTreeMap<BlockId, Height>,
    /// What the log says came in and was spent, with the event.
    received: BTreeMap<OutPoint, (Received, LogNumber)>,
    spent: BTreeMap<OutPoint, (Spent, LogNumber)>,
    recoveries: Vec<Recovery>,
    /// The log began with books of older software.
    is_taken_over: bool,
    /// The newest event whose hash a coinbase of the chain has.
    borne_out: LogNumber,
    /// Of blocks that name an event so far: its newest share, and what their coinbases turned out to be.
    made: BTreeMap<BlockId, Made>,
    /// Blocks that name another event than the log has, until it is known whether a recovery explains them.
    strays: Vec<(NamingBlock, Option<LogHash>)>,
}

/// Where a block was made.
struct Made {
    newest: Option<SharePosition>,
    paid: Paid,
}

/// What is given up is so from the event on that says so.
struct SharesNow {
    own: OwnShares,
    front_end: FrontEndId,
    events: Vec<Event>,
}

impl<'a> Books<'a> {
    pub(super) fn new(chain: &'a PoolChain, front_end: FrontEndId, log: Arc<ShareLog>) -> Self {
        let tip = Height(u32::try_from(chain.ids.len().saturating_sub(1)).unwrap_or(u32::MAX));
        let shares = SharesNow { own: OwnShares(Arc::clone(&log)), front_end, events: Vec::new() };
        Self {
            chain,
            front_end,
            log,
            state: State::default(),
            shares,
            replayed: Replayed { tip, ..Replayed::default() },
            joined: BTreeMap::new(),
            heights: BTreeMap::new(),
            received: BTreeMap::new(),
            spent: BTreeMap::new(),
            recoveries: Vec::new(),
            is_taken_over: false,
            borne_out: LogNumber(0),
            made: BTreeMap::new(),
            strays: Vec::new(),
        }
    }

    /// Applies the next event; nothing once something differs.
    pub(super) fn apply(&mut self, bytes: &[u8], frames: &Frames<'_>) -> Option<LogHead> {
        let number = self.state.head().number.next();
        let event = match Event::from_bytes(bytes) {
            Ok(event) => event,
            Err(error) => return self.differs(format!("event {number}: {error}")),
        };
        // Before the first one nothing is credited: the chain may name the empty log.
        let shares = self.shares.now();
        let applied = match self.state.apply(&event, &shares) {
            Ok(applied) => applied,
            Err(fault) => return self.differs(format!("event {number} ({}): {fault}", event.name())),
        };
        self.count(&event, &applied);
        if let Event::Frame(frame) = &event {
            frames.add(*frame);
        }
        self.is_taken_over |= matches!(event, Event::Imported(_));
        if let Event::Operator(_) = &event {
            self.shares.events.push(event.clone());
        }
        self.note_recovery(&event);
        if let Err(what) = self.against_chain(number, &event).and_then(|()| self.commitments(applied.head)) {
            return self.differs(what);
        }
        Some(applied.head)
    }

    fn differs(&mut self, what: String) -> Option<LogHead> {
        self.replayed.difference.get_or_insert(what);
        None
    }

    fn note(&mut self, what: String) {
        if self.replayed.notes.len() < NOTES_MAX {
            self.replayed.notes.push(what);
        }
    }

    fn count(&mut self, event: &Event, applied: &Applied) {
        for line in &applied.lines {
            let is_credit = matches!(line.cause, Cause::BlockCredited { .. });
            if is_credit && matches!(line.credit, LedgerAccount::MinerImmature(_)) {
                self.replayed.credits = self.replayed.credits.saturating_add(1);
                self.replayed.credited = self.replayed.credited.saturating_add(line.amount.atoms());
            }
        }
        if matches!(event, Event::Checkpoint { .. } | Event::Stated(_)) {
            self.replayed.checked = self.replayed.checked.saturating_add(1);
        }
    }

    fn note_recovery(&mut self, event: &Event) {
        if let Event::Operator(Operator { act: Act::Recover { .. }, .. }) = event {
            self.recoveries.extend(self.state.recovery().copied());
        }
    }

    /// What an event says of the chain.
    fn against_chain(&mut self, number: LogNumber, event: &Event) -> Result<(), String> {
        match event {
            Event::Candidate(candidate) => self.candidate(number, candidate),
            Event::Chain(ChainEvent::Way(way)) => {
                let fork = way.fork.height;
                self.joined.retain(|_, height| *height <= fork);
                self.received.retain(|_, (received, _)| received.height <= fork);
                self.spent.retain(|_, (spent, _)| spent.height <= fork);
                self.take(number, &way.joined, &way.received, &way.spent);
                Ok(())
            }
            Event::Chain(ChainEvent::Base(base)) => {
                self.joined.clear();
                self.received.clear();
                self.spent.clear();
                self.take(number, &base.joined, &base.received, &base.spent);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn take(&mut self, number: LogNumber, joined: &[BlockId], received: &[Received], spent: &[(OutPoint, Spent)]) {
        let height = |id: &BlockId| (*id, self.heights.get(id).copied().unwrap_or_default());
        self.joined.extend(joined.iter().map(height));
        self.received.extend(received.iter().map(|received| (received.outpoint, (*received, number))));
        self.spent.extend(spent.iter().map(|(outpoint, spent)| (*outpoint, (*spent, number))));
    }

    /// A block of the pool is what its coinbase says, if it is on the chain; of others only the pool knows.
    fn candidate(&mut self, number: LogNumber, candidate: &Candidate) -> Result<(), String> {
        self.heights.insert(candidate.id, candidate.height);
        let Some(block) = self.chain.naming_block(&candidate.id) else { return Ok(()) };
        let (id, outputs) = (candidate.id, &block.coinbase.outputs);
        let wrong = |what: String| Err(format!("event {number}: block {id}: {what}"));
        if (block.height, block.algorithm) != (candidate.height, candidate.algorithm) {
            return wrong(format!("told of height {}, it has {}", candidate.height, block.height));
        }
        if block.coinbase.txid() != candidate.coinbase {
            return wrong(format!("told with coinbase {}, it has {}", candidate.coinbase, block.coinbase.txid()));
        }
        let own: Vec<(u32, _)> = (0_u32..)
            .zip(outputs)
            .filter(|(_, output)| self.state.owns(&output.key_hash))
            .map(|(index, output)| (index, output.amount))
            .collect();
        if own != candidate.outputs {
            return wrong("the outputs that are the pool's are others than told".to_owned());
        }
        if let Some(share) = candidate.own_share()
            && !self.is_share_of(share, &id)
        {
            return wrong(format!("share {} is told to be it, and is not", share.sequence));
        }
        if let Some(what) = self.made_otherwise(candidate) {
            return wrong(what);
        }
        let Some(direct) = candidate.direct() else { return Ok(()) };
        let paid = |output: &TxOut| {
            let account = self.state.accounts().find(&output.key_hash);
            account.filter(|_| !self.state.owns(&output.key_hash))
        };
        let to_miners =
            (0_u32..).zip(outputs).filter_map(|(index, output)| Some((index, paid(output)?, output.amount)));
        let told = direct.paid.iter().map(|output| (output.index, output.account, output.amount));
        if !to_miners.eq(told) {
            return wrong("what it pays to miners is not what is told".to_owned());
        }
        Ok(())
    }

    /// A share that found a block says so. What was given up says nothing.
    fn is_share_of(&self, share: SharePosition, id: &BlockId) -> bool {
        match self.log.read(share.sequence..share.sequence.next()).next() {
            Some(Ok((_, share))) => share.block_id == Some(*id),
            Some(Err(_)) => false,
            None => self.log.status().holes.iter().any(|hole| hole.contains(&share.sequence)),
        }
    }

    /// What the coinbase of a block that is told now pays, or where its window began, if that is not what the books gave where it was made.
    fn made_otherwise(&mut self, candidate: &Candidate) -> Option<String> {
        let made = self.made.get(&candidate.id)?;
        match &made.paid {
            Paid::Otherwise(what) => return Some(what.clone()),
            Paid::Pool => return None,
            Paid::AsPlanned => {}
            Paid::WithoutBalances => {
                self.replayed.without_balances = self.replayed.without_balances.saturating_add(1);
            }
        }
        self.replayed.coinbases = self.replayed.coinbases.saturating_add(1);
        let told = candidate.direct().and_then(|direct| direct.newest);
        (candidate.direct().is_some() && told != made.newest)
            .then(|| format!("its window is told to begin with {told:?}, the log had {:?}", made.newest))
    }

    /// Coinbases of the chain that name the event where the log stands.
    fn commitments(&mut self, head: LogHead) -> Result<(), String> {
        let chain = self.chain;
        for block in chain.naming.get(&head.number).into_iter().flatten() {
            if block.head.hash != head.hash {
                self.strays.push((block.clone(), Some(head.hash)));
                continue;
            }
            self.replayed.commitments = self.replayed.commitments.saturating_add(1);
            self.borne_out = head.number;
            let shares = self.shares.now();
            let paid = compare(&self.state, &shares, self.front_end, block);
            let paid = paid.map_err(|fault| format!("block {} of height {}: {fault}", block.id, block.height))?;
            // Whether it is the pool's is known once the log tells of it: anybody may copy what a coinbase says.
            self.made.insert(block.id, Made { newest: newest_share(&self.state, self.front_end), paid });
        }
        Ok(())
    }

    pub(super) fn note_frames(&mut self, read: FramesRead) {
        let FramesRead { frames, shares, without_shares, fault } = read;
        (self.replayed.frames, self.replayed.shares) = (frames, shares);
        if without_shares > 0 {
            self.note(format!("{without_shares} frames hold shares that were given up, or another front end's"));
        }
        if let Some((_, fault)) = fault {
            // What was found in the log may only be its consequence.
            self.replayed.difference = Some(match self.replayed.difference.take() {
                Some(other) if !other.contains("share") => other,
                _ => fault,
            });
        }
    }

    /// What the whole chain says of the whole log.
    pub(super) fn finish(mut self) -> Replayed {
        self.replayed.head = self.state.head();
        self.replayed.height = self.state.tip().map_or(Height::GENESIS, |tip| tip.height);
        self.replayed.blocks = u64::try_from(self.joined.len()).unwrap_or(u64::MAX);
        match (self.state.digest(), self.state.check()) {
            (Ok(digest), Ok(())) => self.replayed.state = digest.to_string(),
            (Err(fault), _) | (_, Err(fault)) => {
                self.differs(fault.to_string());
            }
        }
        if self.replayed.difference.is_none()
            && let Err(what) = self.ends_where_the_chain_does()
        {
            self.replayed.difference = Some(what);
        }
        if self.replayed.difference.is_some() {
            let event = self.borne_out;
            self.note(format!("the chain bears the log out up to event {event}: what is wrong comes after it"));
        }
        let log = self.log.next();
        let told = self.state.front_end(self.front_end).map_or(1, |head| head.next.0);
        if log.0 > told {
            self.note(format!("{} shares were written after the newest event", log.0.saturating_sub(told)));
        }
        self.replayed
    }

    fn ends_where_the_chain_does(&mut self) -> Result<(), String> {
        let Some(Tip { id, height }) = self.state.tip() else { return Ok(()) };
        if self.chain.id_at(height) != Some(id) {
            let there = self.chain.id_at(height).map_or_else(|| "nothing".to_owned(), |id| id.to_string());
            return Err(format!("the log ends with block {id} of height {height}, the chain has {there} there"));
        }
        self.blocks_up_to(height)?;
        self.coins_up_to(height)
    }

    /// Blocks that the log booked are on the chain, and those of the chain are in the log.
    fn blocks_up_to(&mut self, end: Height) -> Result<(), String> {
        let mut joined: Vec<(Height, BlockId)> = self.joined.iter().map(|(id, height)| (*height, *id)).collect();
        joined.sort_unstable();
        for (height, id) in joined {
            if self.chain.id_at(height) != Some(id) {
                return Err(format!("block {id} of height {height} is booked, and is not on the chain"));
            }
            // With another tag than the pool's every coinbase would be a stranger's, and none compared. Before a log that was taken over
            // there was software that sealed otherwise.
            if self.chain.naming_block(&id).is_none() && !self.is_taken_over {
                return Err(format!(
                    "block {id} of height {height} is booked, and its coinbase names no event of a pool with this tag"
                ));
            }
        }
        let chain = self.chain;
        let head = self.state.head().number;
        let (mut newer, mut copied) = (0_u64, BTreeSet::new());
        let beyond =
            chain.naming.range(head.next()..).flat_map(|(_, blocks)| blocks).map(|block| (block.clone(), None));
        for (block, hash) in std::mem::take(&mut self.strays).into_iter().chain(beyond) {
            let NamingBlock { id, height, head: named, .. } = &block;
            let is_explained = self.recoveries.iter().any(|recovery| recovery.explains(named.number, *height));
            if !block.pays_pool || is_explained {
                continue;
            }
            if *height > end {
                newer = newer.saturating_add(1);
                continue;
            }
            return Err(match hash {
                Some(_) => format!("block {id} of height {height} names event {} with another hash", named.number),
                None => format!("block {id} of height {height} names event {}, the log ends at {head}", named.number),
            });
        }
        for block in chain.naming.range(..=head).flat_map(|(_, blocks)| blocks).filter(|block| block.pays_pool) {
            if self.joined.contains_key(&block.id) || block.height > end {
                newer = newer.saturating_add(u64::from(block.height > end));
                continue;
            }
            let txid = block.coinbase.txid();
            let came = self.received.keys().any(|outpoint| outpoint.txid == txid);
            let explained = self.recoveries.iter().any(|recovery| recovery.explains(block.head.number, block.height));
            if !came && !explained {
                let (id, height) = (block.id, block.height);
                return Err(format!(
                    "block {id} of height {height} pays the pool and names its log, which never booked it"
                ));
            }
            copied.insert(block.id);
        }
        if newer > 0 {
            self.note(format!("{newer} blocks of the pool are newer than the export"));
        }
        if !copied.is_empty() {
            self.note(format!("{} blocks name the log and came in as a stranger's gift", copied.len()));
        }
        Ok(())
    }

    /// What the log says came in and was spent did, and nothing else was.
    fn coins_up_to(&self, end: Height) -> Result<(), String> {
        for (outpoint, (received, number)) in &self.received {
            let coin = self.chain.coins.get(outpoint);
            let is_so = coin.is_some_and(|coin| {
                (coin.amount, coin.height, coin.coinbase) == (received.amount, received.height, received.coinbase)
            });
            if !is_so {
                return Err(format!("event {number}: coin {}:{} did not come in so", outpoint.txid, outpoint.index));
            }
        }
        for (outpoint, (spent, number)) in &self.spent {
            let known = self.chain.spent.get(outpoint);
            // Of coins below the least that is kept, and of none else, the chain as read here may know nothing.
            if known != Some(&(spent.by, spent.height)) {
                return Err(format!("event {number}: coin {}:{} was not spent so", outpoint.txid, outpoint.index));
            }
        }
        for (outpoint, coin) in self.state.coins().filter(|(_, coin)| coin.spent.is_none()) {
            let key = self.chain.coins.get(&outpoint).map(|coin| coin.key);
            if key.is_some_and(|key| self.state.cold_keys().contains(&key) != self.state.is_cold(&outpoint)) {
                let OutPoint { txid, index } = outpoint;
                return Err(format!("coin {txid}:{index} is told to be another key's than it is"));
            }
            if let Some((by, height)) = self.chain.spent.get(&outpoint).filter(|(_, height)| *height <= end) {
                let OutPoint { txid, index } = outpoint;
                let amount = coin.amount.atoms();
                return Err(format!(
                    "coin {txid}:{index} of {amount} atoms was spent by {by} at height {height}, which no event tells"
                ));
            }
        }
        Ok(())
    }
}

impl SharesNow {
    fn now(&self) -> EarlierShares<'_> {
        let mut shares = EarlierShares::from_the_first(&self.own, self.front_end);
        self.events.iter().for_each(|event| shares.note(event));
        shares
    }
}
