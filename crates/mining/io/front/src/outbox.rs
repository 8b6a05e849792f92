use std::{
    collections::VecDeque,
    io,
    time::{Duration, Instant},
};

use bq_stratum_v1::{Frame, FrameKind};

use crate::wire::Wire;

/// What waits to be written to one miner. A newer job replaces one that waits; everything else is kept, up to a limit.
#[derive(Debug)]
pub(crate) struct Outbox {
    frames: VecDeque<Frame>,
    /// Bytes of the first frame that are out already.
    written: usize,
    bytes: usize,
    bytes_max: usize,
    /// On top of that.
    bytes_of_readers: usize,
    /// Since when something waits and nothing moved.
    stalled: Option<Instant>,
}

/// A target, a job and a previous hash of one channel are below this.
const READER_BYTES: usize = 512;

/// The miner does not read what it is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SlowReader;

impl Outbox {
    pub(crate) const fn new(bytes_max: usize) -> Self {
        Self { frames: VecDeque::new(), written: 0, bytes: 0, bytes_max, bytes_of_readers: 0, stalled: None }
    }

    /// Several miners read this stream: a new tip brings something for each at once.
    pub(crate) const fn expect_readers(&mut self, readers: usize) {
        self.bytes_of_readers = readers.saturating_mul(READER_BYTES);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }

    pub(crate) fn push(&mut self, frame: Frame) -> Result<(), SlowReader> {
        if frame.kind == FrameKind::Job {
            self.drop_waiting_job();
        }
        self.bytes += frame.bytes.len();
        self.frames.push_back(frame);
        self.stalled.get_or_insert_with(Instant::now);
        if self.bytes > self.bytes_max.saturating_add(self.bytes_of_readers) { Err(SlowReader) } else { Ok(()) }
    }

    /// When to give up unless something is written before.
    pub(crate) fn give_up_at(&self, patience: Duration) -> Option<Instant> {
        self.stalled.map(|since| since + patience)
    }

    /// Writes what the socket takes, one frame per write, so that two jobs never leave together. Returns how many jobs
    /// went out in full.
    pub(crate) fn write_to(&mut self, wire: &mut Wire) -> io::Result<usize> {
        wire.flush()?;
        let mut jobs = 0;
        while let Some(frame) = self.frames.front() {
            let rest = frame.bytes.get(self.written..).unwrap_or_default();
            match wire.try_write(rest) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) if count < rest.len() => {
                    self.written += count;
                    self.stalled = Some(Instant::now());
                }
                Ok(_) => {
                    jobs += usize::from(matches!(frame.kind, FrameKind::Job | FrameKind::Work));
                    self.bytes -= frame.bytes.len();
                    self.written = 0;
                    self.frames.pop_front();
                    self.stalled = Some(Instant::now());
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(jobs),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        self.stalled = None;
        self.frames.shrink_to(4);
        Ok(jobs)
    }

    fn drop_waiting_job(&mut self) {
        let begun = usize::from(self.written > 0);
        let waiting = self.frames.iter().skip(begun).position(|frame| frame.kind == FrameKind::Job);
        if let Some(frame) = waiting.and_then(|index| self.frames.remove(index + begun)) {
            self.bytes -= frame.bytes.len();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: FrameKind, text: &str) -> Frame {
        Frame { bytes: text.as_bytes().to_vec(), kind }
    }

    fn texts(outbox: &Outbox) -> Vec<String> {
        outbox.frames.iter().map(|frame| String::from_utf8(frame.bytes.clone()).unwrap()).collect()
    }

    #[test]
    fn a_newer_job_replaces_a_waiting_one_but_not_one_half_written() {
        let mut outbox = Outbox::new(100);
        outbox.push(frame(FrameKind::Job, "job1")).unwrap();
        outbox.push(frame(FrameKind::Reply, "reply")).unwrap();
        outbox.push(frame(FrameKind::Job, "job2")).unwrap();
        assert_eq!(texts(&outbox), ["reply", "job2"]);
        let mut outbox = Outbox::new(100);
        outbox.push(frame(FrameKind::Job, "job1")).unwrap();
        outbox.written = 2;
        outbox.push(frame(FrameKind::Job, "job2")).unwrap();
        outbox.push(frame(FrameKind::Job, "job3")).unwrap();
        assert_eq!(texts(&outbox), ["job1", "job3"]);
        assert_eq!(outbox.bytes, 8);
    }

    #[test]
    fn replies_nobody_reads_end_it_and_jobs_alone_never_do() {
        let mut outbox = Outbox::new(20);
        for _ in 0..100 {
            outbox.push(frame(FrameKind::Job, "a job line")).unwrap();
        }
        outbox.push(frame(FrameKind::Reply, "a reply")).unwrap();
        assert_eq!(outbox.push(frame(FrameKind::Reply, "a reply")), Err(SlowReader));
    }
}
