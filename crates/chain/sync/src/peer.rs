use std::collections::BTreeMap;

use bq_primitives::{BlockId, TxId, Work};

use crate::{
    Kind, Message, Moment, RequestId, Status,
    limits::{BLOCK_REQUESTS_PER_PEER_MAX, MEMPOOL_PAGES_MAX},
    proof_budget::ProofBudget,
};

/// Units that a peer may spend at once on requests to us; one flows back every millisecond.
const BUDGET_UNITS_MAX: u64 = 4000;

/// Who opened a connection. We choose whom we dial, so a stranger cannot choose to be dialled: what inbound peers may
/// take of a shared good never comes out of the outbound peers' part.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Link {
    Inbound,
    Outbound,
}

/// What is known about one connection.
#[derive(Debug)]
pub(crate) struct Peer {
    pub(crate) link: Link,
    /// What it may make us verify.
    pub(crate) proofs: ProofBudget,
    /// What it said last about itself; nothing before the first exchange.
    pub(crate) status: Option<Status>,
    /// The claimed tip for which it has no more headers to give.
    pub(crate) exhausted: Option<BlockId>,
    /// Our requests that it has not answered.
    pub(crate) requests: BTreeMap<RequestId, Pending>,
    /// Points of misbehaviour.
    pub(crate) points: u32,
    /// Ask it nothing before this moment: it said that it is busy.
    pub(crate) busy_until: Moment,
    /// Ask it for no headers before this moment.
    pub(crate) headers_not_before: Moment,
    /// How many blocks it did not have since it last sent one.
    pub(crate) lacked: u32,
    /// When to ask for its status again.
    pub(crate) next_status: Moment,
    /// Pages of its mempool that may still be asked for, and where the next one starts.
    pub(crate) mempool_pages: u8,
    pub(crate) mempool_after: TxId,
    /// When to ask for the first page: what the peer gossips before it knows of our subscription would be missed.
    pub(crate) mempool_not_before: Moment,
    budget_units: u64,
    budget_filled: Moment,
}

/// One unanswered request.
#[derive(Debug)]
pub(crate) struct Pending {
    pub(crate) ask: Ask,
    pub(crate) deadline: Moment,
}

/// What was asked.
#[derive(Debug)]
pub(crate) enum Ask {
    Status,
    Headers,
    Blocks(Vec<BlockId>),
    Mempool,
}

impl Ask {
    pub(crate) const fn kind(&self) -> Kind {
        match self {
            Self::Status => Kind::Status,
            Self::Headers => Kind::GetHeaders,
            Self::Blocks(_) => Kind::GetBlocks,
            Self::Mempool => Kind::GetMempool,
        }
    }
}

impl Peer {
    pub(crate) const fn new(now: Moment, link: Link, mempool_delay_ms: u64) -> Self {
        Self {
            link,
            proofs: ProofBudget::new(now),
            status: None,
            exhausted: None,
            requests: BTreeMap::new(),
            points: 0,
            busy_until: now,
            headers_not_before: now,
            lacked: 0,
            next_status: now,
            mempool_pages: MEMPOOL_PAGES_MAX,
            mempool_after: TxId::ZERO,
            mempool_not_before: now.after_ms(mempool_delay_ms),
            budget_units: BUDGET_UNITS_MAX,
            budget_filled: now,
        }
    }

    pub(crate) fn waits_for_status(&self) -> bool {
        self.requests.values().any(|pending| matches!(pending.ask, Ask::Status))
    }

    pub(crate) fn waits_for_mempool(&self) -> bool {
        self.requests.values().any(|pending| matches!(pending.ask, Ask::Mempool))
    }

    pub(crate) fn block_requests(&self) -> usize {
        self.requests.values().filter(|pending| matches!(pending.ask, Ask::Blocks(_))).count()
    }

    pub(crate) fn takes_block_request(&self, now: Moment) -> bool {
        self.busy_until <= now && self.block_requests() < BLOCK_REQUESTS_PER_PEER_MAX
    }

    pub(crate) fn claims_more_than(&self, work: Work) -> bool {
        self.status.is_some_and(|status| status.tip.work > work)
    }

    /// Takes the price of a request from the budget; `false` when it does not cover it.
    pub(crate) fn pays_for(&mut self, now: Moment, request: &Message) -> bool {
        let gained = now.ms_since(self.budget_filled);
        self.budget_filled = now;
        let units = self.budget_units.saturating_add(gained).min(BUDGET_UNITS_MAX);
        let rest = units.checked_sub(price_units(request));
        self.budget_units = rest.unwrap_or(units);
        rest.is_some()
    }
}

/// Ten header requests per second go on for ever, or 1600 blocks.
fn price_units(request: &Message) -> u64 {
    match request {
        Message::GetHeaders { .. } => 100,
        Message::GetMempool { .. } => 200,
        // One answer is for one connection; what it holds changes once an hour.
        Message::GetAddresses { .. } => 2000,
        Message::GetBlocks(ids) => u64::try_from(ids.len() / 2).unwrap_or(u64::MAX).saturating_add(2),
        _ => 50,
    }
}
