//! The node's slow calls, each kind on a thread of its own behind a bounded queue.
use std::{io, sync::Arc, thread, thread::JoinHandle};

use bq_chain_api::{
    AddHeadersError, HeaderSource, HeadersAdded, NodeError, SubmitBlockError, SubmitTransactionError, SyncApi,
};
use bq_primitives::{Block, BlockId, Transaction, TxId};
use bq_sync::{
    BLOCKS_BYTES_MAX, ChainTip, ChainView, HEADERS_MAX, LOCATOR_IDS_MAX, MEMPOOL_BYTES_MAX, Message, PeerKey,
    RIVAL_BLOCKS_MAX, RIVALS_MAX, RawBlock, SealedHeader, TRANSACTION_BYTES_MAX, Verdict, WINDOW_BLOCKS_MAX,
};
use tokio::sync::mpsc;

/// An answer stops growing here, so that a request for many blocks does not hold up the next peer. One block of any size
/// still fits.
const ANSWER_BYTES: usize = 8 << 20;
const HEADERS_QUEUE: usize = 64;
const BLOCKS_QUEUE: usize = 2;
const READS_QUEUE: usize = 64;
/// One page of a mempool and then some.
const TRANSACTIONS_QUEUE: usize = 1024;
const DONE_QUEUE: usize = 64;

/// A run of headers to verify.
#[derive(Debug)]
pub(crate) struct HeadersJob {
    pub(crate) peer: PeerKey,
    pub(crate) source: HeaderSource,
    /// A portion of what it sent.
    pub(crate) run: Vec<SealedHeader>,
}

/// A block to validate.
#[derive(Debug)]
pub(crate) struct BlockJob {
    pub(crate) peer: PeerKey,
    pub(crate) block: RawBlock,
}

/// A transaction to admit. `T` finds the gossip message again.
#[derive(Debug)]
pub(crate) struct TransactionJob<T> {
    pub(crate) peer: PeerKey,
    pub(crate) transaction: Box<Transaction>,
    /// Nothing when it did not come by gossip.
    pub(crate) token: Option<T>,
}

/// Something to read. `C` is where the answer goes.
#[derive(Debug)]
pub(crate) enum ReadJob<C> {
    /// A peer's question.
    Answer { request: Message, channel: C },
    /// Look at the chain again, and say so with the header that may be announced.
    Look { announce: Option<SealedHeader> },
}

/// What a thread has finished.
#[derive(Debug)]
pub(crate) enum Done<C, T> {
    Headers { peer: PeerKey, last: BlockId, verdict: Verdict, view: ChainView },
    Block { peer: PeerKey, id: BlockId, verdict: Verdict, view: ChainView },
    Transaction { peer: PeerKey, token: Option<T>, result: Result<(), SubmitTransactionError> },
    Answer { answer: Message, channel: C },
    Look { view: ChainView, announce: Option<SealedHeader> },
}

/// The queues into the threads, and the one out of them.
pub(crate) struct Jobs<C, T> {
    pub(crate) headers: mpsc::Sender<HeadersJob>,
    pub(crate) blocks: mpsc::Sender<BlockJob>,
    pub(crate) reads: mpsc::Sender<ReadJob<C>>,
    pub(crate) transactions: mpsc::Sender<TransactionJob<T>>,
    pub(crate) done: mpsc::Receiver<Done<C, T>>,
    threads: Vec<JoinHandle<()>>,
}

impl<C: Send + 'static, T: Send + 'static> Jobs<C, T> {
    pub(crate) fn start(api: &Arc<dyn SyncApi>) -> io::Result<Self> {
        let (headers, headers_in) = mpsc::channel(HEADERS_QUEUE);
        let (blocks, blocks_in) = mpsc::channel(BLOCKS_QUEUE);
        let (reads, reads_in) = mpsc::channel(READS_QUEUE);
        let (transactions, transactions_in) = mpsc::channel(TRANSACTIONS_QUEUE);
        let (done, done_out) = mpsc::channel(DONE_QUEUE);
        let threads = vec![
            spawn("bq-net-headers", api, headers_in, &done, |api, job, done| add_headers(api, &job, done))?,
            spawn("bq-net-blocks", api, blocks_in, &done, |api, job, done| submit_block(api, &job, done))?,
            spawn("bq-net-reads", api, reads_in, &done, read)?,
            spawn("bq-net-txs", api, transactions_in, &done, submit_transaction)?,
        ];
        Ok(Self { headers, blocks, reads, transactions, done: done_out, threads })
    }

    /// Closes the queues and waits for what is being worked on.
    pub(crate) fn stop(self) {
        let Self { headers, blocks, reads, transactions, done, threads } = self;
        drop((headers, blocks, reads, transactions, done));
        for thread in threads {
            // A panicked thread has already said so on standard error; the others must still be joined.
            let _ = thread.join();
        }
    }
}

type DoneSender<C, T> = mpsc::Sender<Done<C, T>>;

/// Nobody listens any more.
struct Closed;

fn send<C, T>(done: &DoneSender<C, T>, value: Done<C, T>) -> Result<(), Closed> {
    done.blocking_send(value).map_err(|_| Closed)
}

fn spawn<J, C, T>(
    name: &str,
    api: &Arc<dyn SyncApi>,
    mut jobs: mpsc::Receiver<J>,
    done: &DoneSender<C, T>,
    work: impl Fn(&dyn SyncApi, J, &DoneSender<C, T>) -> Result<(), Closed> + Send + 'static,
) -> io::Result<JoinHandle<()>>
where
    J: Send + 'static,
    C: Send + 'static,
    T: Send + 'static,
{
    let (api, done) = (Arc::clone(api), done.clone());
    thread::Builder::new().name(name.to_owned()).spawn(move || {
        while let Some(job) = jobs.blocking_recv() {
            if work(api.as_ref(), job, &done).is_err() {
                return;
            }
        }
    })
}

/// The node's chain as the state machine wants it.
pub(crate) fn look(api: &dyn SyncApi) -> ChainView {
    let (tip, best) = (api.tip(), api.best_header());
    let mut locator = api.locator();
    locator.truncate(LOCATOR_IDS_MAX);
    // A header chain that would not displace the tip needs no bodies.
    let missing = if best.chain_work > tip.chain_work { api.missing_bodies(WINDOW_BLOCKS_MAX) } else { Vec::new() };
    ChainView {
        tip: ChainTip { id: tip.id, height: tip.height, work: tip.chain_work },
        best_header: ChainTip { id: best.id, height: best.height, work: best.chain_work },
        locator,
        missing,
        rivals: api.rival_bodies(RIVALS_MAX, RIVAL_BLOCKS_MAX),
    }
}

fn add_headers<C, T>(api: &dyn SyncApi, job: &HeadersJob, done: &DoneSender<C, T>) -> Result<(), Closed> {
    let Some(last) = job.run.last().map(SealedHeader::id) else { return Ok(()) };
    let verdict = match api.add_headers_from(job.source, &job.run) {
        Ok(HeadersAdded { new: 0, .. }) => Verdict::Known,
        Ok(_) => Verdict::Accepted,
        Err(error) => {
            tracing::debug!(peer = job.peer.0, %error, "headers refused");
            judge_headers(&error)
        }
    };
    send(done, Done::Headers { peer: job.peer, last, verdict, view: look(api) })
}

fn judge_headers(error: &AddHeadersError) -> Verdict {
    match error {
        AddHeadersError::UnknownParent(_) => Verdict::UnknownParent,
        AddHeadersError::TooEarly { .. } | AddHeadersError::Node(_) => Verdict::Later,
        AddHeadersError::NotAChain { .. } | AddHeadersError::Invalid { .. } => {
            Verdict::Refused { points: error.misbehavior() }
        }
    }
}

fn submit_block<C, T>(api: &dyn SyncApi, job: &BlockJob, done: &DoneSender<C, T>) -> Result<(), Closed> {
    let id = job.block.id();
    let verdict = match Block::from_bytes(job.block.bytes()) {
        Ok(block) => api.submit_block(block).map_or_else(|error| judge_block(job.peer, &error), |_| Verdict::Accepted),
        // Header and seal were read before, so the sender made up the rest.
        Err(error) => judge_block(job.peer, &SubmitBlockError::Invalid(error.into())),
    };
    send(done, Done::Block { peer: job.peer, id, verdict, view: look(api) })
}

fn judge_block(peer: PeerKey, error: &SubmitBlockError) -> Verdict {
    match error {
        SubmitBlockError::Duplicate => Verdict::Accepted,
        SubmitBlockError::UnknownParent(_) => Verdict::UnknownParent,
        SubmitBlockError::TooEarly(_) | SubmitBlockError::Kept { .. } | SubmitBlockError::Node(_) => {
            tracing::debug!(peer = peer.0, %error, "block not taken now");
            Verdict::Later
        }
        SubmitBlockError::Invalid(_) => {
            tracing::info!(peer = peer.0, %error, "block refused");
            Verdict::Refused { points: error.misbehavior() }
        }
    }
}

fn submit_transaction<C, T>(api: &dyn SyncApi, job: TransactionJob<T>, done: &DoneSender<C, T>) -> Result<(), Closed> {
    let result = api.submit_transaction(*job.transaction).map(|_| ());
    send(done, Done::Transaction { peer: job.peer, token: job.token, result })
}

fn read<C, T>(api: &dyn SyncApi, job: ReadJob<C>, done: &DoneSender<C, T>) -> Result<(), Closed> {
    match job {
        ReadJob::Look { announce } => send(done, Done::Look { view: look(api), announce }),
        ReadJob::Answer { request, channel } => {
            let answer = match &request {
                Message::GetHeaders { locator } => headers_after(api, locator),
                Message::GetBlocks(ids) => blocks(api, ids),
                Message::GetMempool { after } => Ok(mempool_page(api, *after)),
                _ => Ok(Message::Busy),
            };
            let answer = answer.unwrap_or_else(|error| {
                tracing::warn!(%error, "could not read for a peer");
                Message::Busy
            });
            send(done, Done::Answer { answer, channel })
        }
    }
}

fn headers_after(api: &dyn SyncApi, locator: &[BlockId]) -> Result<Message, NodeError> {
    Ok(Message::Headers(api.headers_after(locator, HEADERS_MAX)?))
}

/// The next page of transactions by id. What is too large to be relayed is left out.
fn mempool_page(api: &dyn SyncApi, after: TxId) -> Message {
    let page = api.mempool_page(&after, TRANSACTION_BYTES_MAX, MEMPOOL_BYTES_MAX);
    Message::Mempool(page.iter().map(|transaction| transaction.as_ref().clone()).collect())
}

/// As many of the asked blocks as fit, in order; one always does.
fn blocks(api: &dyn SyncApi, ids: &[BlockId]) -> Result<Message, NodeError> {
    let (mut blocks, mut not_found, mut bytes) = (Vec::new(), Vec::new(), 0_usize);
    for id in ids {
        let Some(encoded) = api.block_bytes(id)? else {
            not_found.push(*id);
            continue;
        };
        bytes = bytes.saturating_add(encoded.len());
        if !blocks.is_empty() && bytes > ANSWER_BYTES.min(BLOCKS_BYTES_MAX) {
            break;
        }
        blocks.push(RawBlock::known(*id, encoded));
    }
    Ok(Message::Blocks { blocks, not_found })
}

#[cfg(test)]
mod tests {
    use bq_chain_api::BlockRefusal;
    use bq_consensus::{BlockError, TransactionError};

    use super::*;

    const ID: BlockId = BlockId([1; 32]);

    fn node_error() -> NodeError {
        NodeError::Closed
    }

    /// Every variant with its verdict: a new one does not compile until it has a line here.
    #[test]
    fn every_refusal_of_headers_has_its_verdict() {
        let reason = || BlockRefusal::from(BlockError::HeightEnd);
        let all = [
            AddHeadersError::UnknownParent(ID),
            AddHeadersError::NotAChain { position: 1 },
            AddHeadersError::TooEarly { id: ID, reason: reason() },
            AddHeadersError::Invalid { id: ID, reason: reason() },
            AddHeadersError::Node(node_error()),
        ];
        for error in all {
            let expected = match &error {
                AddHeadersError::UnknownParent(_) => Verdict::UnknownParent,
                AddHeadersError::NotAChain { .. } | AddHeadersError::Invalid { .. } => Verdict::Refused { points: 100 },
                AddHeadersError::TooEarly { .. } | AddHeadersError::Node(_) => Verdict::Later,
            };
            assert_eq!(judge_headers(&error), expected, "{error}");
        }
    }

    #[test]
    fn every_refusal_of_a_block_has_its_verdict() {
        let all = [
            SubmitBlockError::Duplicate,
            SubmitBlockError::UnknownParent(ID),
            SubmitBlockError::TooEarly(BlockRefusal::Told("early".to_owned())),
            SubmitBlockError::Invalid(BlockRefusal::from(BlockError::HeightEnd)),
            SubmitBlockError::Kept { id: ID, reason: "no room".to_owned() },
            SubmitBlockError::Node(node_error()),
        ];
        for error in all {
            let expected = match &error {
                SubmitBlockError::Duplicate => Verdict::Accepted,
                SubmitBlockError::UnknownParent(_) => Verdict::UnknownParent,
                SubmitBlockError::Invalid(_) => Verdict::Refused { points: 100 },
                SubmitBlockError::TooEarly(_) | SubmitBlockError::Kept { .. } | SubmitBlockError::Node(_) => {
                    Verdict::Later
                }
            };
            assert_eq!(judge_block(PeerKey(1), &error), expected, "{error}");
        }
    }

    #[test]
    fn every_refusal_of_a_transaction_has_its_price() {
        let all = [
            SubmitTransactionError::Duplicate,
            SubmitTransactionError::Full,
            SubmitTransactionError::Invalid(TransactionError::NoOutputs.into()),
            SubmitTransactionError::Node(node_error()),
        ];
        for error in all {
            let expected = match &error {
                SubmitTransactionError::Invalid(refusal) => refusal.misbehavior(),
                SubmitTransactionError::Duplicate | SubmitTransactionError::Full | SubmitTransactionError::Node(_) => 0,
            };
            assert_eq!(error.misbehavior(), expected, "{error}");
        }
    }
}
