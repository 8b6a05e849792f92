//! Where an audit begins when shares were dropped or given up.

use bq_books::{BookStore as _, Checkpoint, SqliteBooks, StoredEvent};
use bq_mining_message::{FrameHeader, FrontEndId};
use bq_pool_machine::{Applied, Event, Fault, LogHead, State};
use bq_segments::ShareLog;

use super::{Audit, Misfit, READ_AT_ONCE};
use crate::{
    PoolError,
    rows::{balance_row, rows_of},
};

impl Audit {
    /// Shares behind the oldest events are dropped or given up: those events are followed, and the state that they come to is that of a
    /// checkpoint, whose digest the event behind it holds.
    pub(super) fn begin_at_checkpoint(
        &mut self,
        start: Option<Checkpoint>,
        store: &SqliteBooks,
        log: &ShareLog,
        front_end: FrontEndId,
    ) -> Result<(), PoolError> {
        let Some(start) = start else {
            self.fault(
                "old shares are dropped or given up, and no checkpoint is kept that an audit could begin with"
                    .to_owned(),
            );
            return Ok(());
        };
        let mut head = LogHead::default();
        while head != start.head {
            let mut events = store.read(head.number.next(), READ_AT_ONCE)?;
            events.retain(|stored| stored.head.number <= start.head.number);
            let mut frames = Vec::new();
            for stored in &events {
                head = match self.read_one(head, stored, &mut frames) {
                    Ok(head) => head,
                    Err(misfit) => {
                        self.fault(format!("event {}: {misfit}", stored.head.number));
                        return Ok(());
                    }
                };
            }
            self.verify_frames(log, front_end, frames);
            if events.is_empty() {
                self.fault(format!("the checkpoint at event {} belongs to no event of the log", start.head.number));
            }
            if !self.findings.faults.is_empty() {
                return Ok(());
            }
        }
        let named = store.read(start.head.number.next(), 1)?;
        if !named.iter().any(|stored| matches!(Event::from_bytes(&stored.bytes), Ok(Event::Checkpoint { .. }))) {
            self.fault(format!("no event names the checkpoint at event {}", start.head.number));
        }
        match State::from_bytes(&start.state) {
            Ok(state) if state.head() == start.head => self.state = state,
            Ok(_) => self.fault(format!("the checkpoint at event {} is the state of another event", start.head.number)),
            Err(fault) => self.fault(format!("the checkpoint at event {}: {fault}", start.head.number)),
        }
        self.is_whole = false;
        // Those before it cannot be computed.
        self.checkpoints.retain(|kept| kept.head.number > start.head.number);
        self.take_rows();
        Ok(())
    }

    /// Follows an event without applying it.
    fn read_one(
        &mut self,
        head: LogHead,
        stored: &StoredEvent,
        frames: &mut Vec<FrameHeader>,
    ) -> Result<LogHead, Misfit> {
        let event = Event::from_bytes(&stored.bytes).map_err(Fault::from)?;
        let next = head.after(&stored.bytes);
        if next != stored.head {
            return Err(Misfit::Chain { got: next.number, stored: stored.head.number });
        }
        self.listed(stored.head.number, &event)?;
        self.bound.note(stored.head, &event);
        match event {
            Event::Frame(frame) => frames.push(frame),
            Event::Imported(_) => self.note_imported(),
            _ => {}
        }
        self.findings.events_read = self.findings.events_read.saturating_add(1);
        Ok(next)
    }

    /// The rows of all that the state holds.
    fn take_rows(&mut self) {
        let all = Applied {
            blocks: self.state.blocks().map(|block| block.candidate.id).collect(),
            payouts: self.state.payouts().map(|payout| payout.planned.id).collect(),
            ..Applied::default()
        };
        let balances = self.state.books().balances().map(|(account, _)| balance_row(&self.state, account));
        for row in rows_of(&self.state, &all).into_iter().chain(balances) {
            self.rows.insert((row.kind, row.key.clone()), row);
        }
    }
}
