use bq_mining_message::{FrameHeader, Share};
use bq_pool_machine::{Event, LogHead};

use crate::{AccountExport, Anchor, FrameShares, ProofError, ProvedRun, Report, Run, follow::Follow};

/// SPEC 8.10.8, from the front: events and their order, the head in the block, then the shares in their frames.
pub(crate) fn check(export: &AccountExport) -> Result<Report, ProofError> {
    let mut check = Check { export, follow: Follow::default(), head: None, report: Report::of(export) };
    for (run, part) in export.runs.iter().enumerate() {
        check.run(run, part)?;
    }
    check.finish()
}

struct Check<'a> {
    export: &'a AccountExport,
    follow: Follow,
    /// Where the run before ended.
    head: Option<LogHead>,
    report: Report,
}

impl<'a> Check<'a> {
    fn run(&mut self, run: usize, part: &'a Run) -> Result<(), ProofError> {
        self.joint(run, part)?;
        let frames = self.events(run, part)?;
        let anchor = self.head(part)?;
        // Only now: with an event missing, the numbers of all after it are others, and that is not the frame's fault.
        if let Some(frame) = part.frames.get(frames.len()) {
            return Err(ProofError::NotAFrame { run, event: frame.event });
        }
        let mut shares = 0_u64;
        for (header, frame) in &frames {
            for share in self.shares(header, frame)? {
                self.report.add(&share);
                shares = shares.saturating_add(1);
            }
        }
        self.head = Some(anchor.head);
        self.report.runs.push(ProvedRun { first: part.log.first, anchor, shares });
        Ok(())
    }

    /// How this run stands to the one before.
    fn joint(&mut self, run: usize, part: &Run) -> Result<(), ProofError> {
        let first = part.log.first;
        match self.head {
            None => {}
            Some(head) if first <= head.number => {
                return Err(ProofError::RunOrder { run, first, after: head.number });
            }
            Some(head) if first == head.number.next() => {
                let (got, expected) = (part.log.before, head.hash);
                if got != expected {
                    return Err(ProofError::Joint { run, after: head.number, got, expected });
                }
            }
            Some(_) => {
                self.follow.gap();
                self.report.is_gapless = false;
            }
        }
        Ok(())
    }

    /// Reads the events, and gives the frames whose shares are told, as far as they are met in order.
    fn events(&mut self, run: usize, part: &'a Run) -> Result<Vec<(FrameHeader, &'a FrameShares)>, ProofError> {
        let of_log = |source| ProofError::Log { run, source };
        let (mut frames, mut wanted) = (Vec::new(), part.frames.iter().peekable());
        for event in part.log.events().map_err(of_log)? {
            let (number, event) = event.map_err(of_log)?;
            self.follow
                .event(number, &event, &self.export.pool)
                .map_err(|source| ProofError::Order { event: number, source })?;
            if let Event::Frame(header) = event
                && let Some(frame) = wanted.next_if(|frame| frame.event == number)
            {
                frames.push((header, frame));
            }
        }
        Ok(frames)
    }

    /// The block that names where the events lead.
    fn head(&self, part: &Run) -> Result<Anchor, ProofError> {
        let (first, got) = (part.log.first, part.log.head());
        let of_block = |source| ProofError::Coinbase { first, last: got.number, source };
        let anchor = part.coinbase.verify(&self.export.pool).map_err(of_block)?;
        if got != anchor.head {
            return Err(ProofError::Head { first, got, anchor: Box::new(anchor) });
        }
        match self.follow.key {
            Some(key) if key != self.export.pool.key => {
                Err(ProofError::Key { event: got.number, got: key, expected: self.export.pool.key })
            }
            _ => Ok(anchor),
        }
    }

    fn shares(&self, header: &FrameHeader, frame: &FrameShares) -> Result<Vec<Share>, ProofError> {
        let (event, expected) = (frame.event, self.export.account);
        if frame.shares.is_empty() {
            return Err(ProofError::EmptyFrame { event });
        }
        let mut next = 0;
        let mut shares = Vec::with_capacity(frame.shares.len());
        for proof in &frame.shares {
            let index = proof.index;
            if index < next {
                return Err(ProofError::ShareOrder { event, index });
            }
            let share = proof.verify(header).map_err(|source| ProofError::Share { event, index, source })?;
            if share.payee != expected {
                return Err(ProofError::OtherAccount { event, index, got: share.payee, expected });
            }
            next = index.saturating_add(1);
            shares.push(share);
        }
        Ok(shares)
    }

    fn finish(self) -> Result<Report, ProofError> {
        if self.report.runs.iter().all(|run| run.shares == 0) {
            return Err(ProofError::NoShares);
        }
        if self.export.terms.is_some() && self.export.terms != self.follow.terms {
            return Err(ProofError::Terms);
        }
        Ok(self.report)
    }
}
