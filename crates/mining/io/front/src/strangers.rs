//! What strangers have at stake for shares that cost more to hash than to read (SPEC 11.6): processor time, a turn of their address, and strikes.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use bq_primitives::Algorithm;
use bq_share::{AllowancePolicy, Allowances, ClaimTurn, CpuTime, Peer, ShareCandidate, Strike, Subnet, WithoutRoom};
use parking_lot::Mutex;
use tokio::sync::oneshot;

use crate::{access::Access, clock::SteadyClock, metrics::StratumMetrics};

/// Who has paid for what, and who waits until others of his address are decided. Those of [`Access`] are taken
/// while one of these is held, never the other way.
pub(crate) struct Strangers {
    clock: SteadyClock,
    metrics: Arc<StratumMetrics>,
    access: Arc<Access>,
    allowances: Mutex<Allowances>,
    waiting: Mutex<BTreeMap<Peer, VecDeque<oneshot::Sender<Deposit>>>>,
}

/// Held by a share until its verdict, whether or not its connection is still there. Dropped without one, it costs nothing.
pub(crate) struct Deposit {
    strangers: Arc<Strangers>,
    peer: Peer,
    /// It is a stranger's, and one of those of his address that are undecided.
    is_strangers: bool,
    paid: CpuTime,
    strike: Option<Strike>,
}

/// What becomes of a share before it may be hashed.
pub(crate) enum Entry {
    /// It may be hashed; with a deposit, if it can cost its sender anything.
    Open(Option<Deposit>),
    /// Once others of its address are decided; never, if they have it banned.
    Waits(oneshot::Receiver<Deposit>),
    /// Its address cannot pay, or is banned.
    Refused,
}

impl Strangers {
    pub(crate) fn new(
        policy: AllowancePolicy,
        clock: SteadyClock,
        metrics: Arc<StratumMetrics>,
        access: Arc<Access>,
    ) -> Self {
        let allowances = Mutex::new(Allowances::new(policy));
        Self { clock, metrics, access, allowances, waiting: Mutex::default() }
    }

    /// Whether a peer has used up more than it may: its new connections wait.
    pub(crate) fn is_in_debt(&self, peer: Peer) -> bool {
        self.allowances.lock().is_in_debt(self.clock.now(), peer)
    }

    /// A share of this peer is to be hashed at this cost.
    pub(crate) fn enter(self: &Arc<Self>, peer: Option<Peer>, candidate: &ShareCandidate, cost: CpuTime) -> Entry {
        // A SHA-256d share costs no more than reading it.
        let Some(peer) = peer.filter(|_| candidate.template.algorithm() != Algorithm::Sha256d) else {
            return Entry::Open(None);
        };
        let mut deposit = match self.turn(peer, candidate.is_trusted) {
            Ok(deposit) => deposit,
            Err(entry) => return entry,
        };
        if deposit.pay(candidate, cost) { Entry::Open(Some(deposit)) } else { Entry::Refused }
    }

    fn turn(self: &Arc<Self>, peer: Peer, is_trusted: bool) -> Result<Deposit, Entry> {
        if is_trusted {
            return Ok(self.deposit(peer, false));
        }
        // Held meanwhile: whoever decides the last of them looks for who waits only after this.
        let mut waiting = self.waiting.lock();
        match self.access.begin_claim(peer) {
            ClaimTurn::Begins => Ok(self.deposit(peer, true)),
            ClaimTurn::Banned => Err(Entry::Refused),
            ClaimTurn::Waits => {
                let (turn, comes) = oneshot::channel();
                waiting.entry(peer).or_default().push_back(turn);
                Err(Entry::Waits(comes))
            }
        }
    }

    fn deposit(self: &Arc<Self>, peer: Peer, is_strangers: bool) -> Deposit {
        Deposit { strangers: Arc::clone(self), peer, is_strangers, paid: CpuTime(0), strike: None }
    }

    /// Gives their turn to as many who wait as may be undecided now; if the peer is banned, to nobody.
    fn pass_on(self: &Arc<Self>, peer: Peer) {
        // One whose connection is gone is for the next; the last is dropped after the lock, which dropping it takes again.
        let mut spare = None;
        let mut waiting = self.waiting.lock();
        let Some(line) = waiting.get_mut(&peer) else { return };
        while !line.is_empty() {
            let turn = match spare.take() {
                Some(turn) => turn,
                None => match self.access.begin_claim(peer) {
                    ClaimTurn::Begins => self.deposit(peer, true),
                    ClaimTurn::Waits => break,
                    ClaimTurn::Banned => {
                        line.clear();
                        break;
                    }
                },
            };
            spare = line.pop_front().and_then(|next| next.send(turn).err());
        }
        if line.is_empty() {
            waiting.remove(&peer);
        }
    }
}

impl Deposit {
    /// Where its sender is.
    pub(crate) fn subnet(&self) -> Subnet {
        self.peer.subnet()
    }

    /// Pays for the hashing (SPEC 11.6, 7); false if the address cannot, and the share says itself that it is no block.
    pub(crate) fn pay(&mut self, candidate: &ShareCandidate, cost: CpuTime) -> bool {
        if !self.is_strangers {
            return true;
        }
        let (now, mut allowances) = (self.strangers.clock.now(), self.strangers.allowances.lock());
        match candidate.without_room() {
            WithoutRoom::Refused if !allowances.pay(now, self.peer, cost) => return false,
            WithoutRoom::Refused => {}
            WithoutRoom::Enters | WithoutRoom::Waits => allowances.owe(now, self.peer, cost),
        }
        self.paid = cost;
        true
    }

    /// The share has its verdict, and this is what it costs.
    pub(crate) fn decide(mut self, strike: Option<Strike>) {
        self.strike = strike;
    }
}

impl Drop for Deposit {
    fn drop(&mut self) {
        let Self { strangers, peer, is_strangers, paid, strike } = self;
        if strike.is_none() && *paid > CpuTime(0) {
            strangers.allowances.lock().pay_back(strangers.clock.now(), *peer, *paid);
        }
        if strangers.access.end_claim(*peer, *is_strangers, *strike) {
            strangers.metrics.banned();
        }
        strangers.pass_on(*peer);
    }
}
