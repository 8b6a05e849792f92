use std::{
    collections::VecDeque,
    ops::{ControlFlow, Range},
};

use bq_ledger::ShareWeight;
use bq_mining_message::{FrameDigest, FrameHeader, FrontEndId, Share, SharePay, SharePosition, ShareSequence};
use bq_pool_machine::{Accounts, EarnedShare, LogHead, Reach, Shares, SharesError, State};
use bq_primitives::{AccountId, Algorithm, Decoder, KeyHash, NetworkDifficulty, ShareDifficulty};

/// The shares of the newest frames, as far as windows may want them.
#[derive(Clone, Debug, Default)]
pub(crate) struct CopiedShares {
    /// In the order of the log.
    frames: VecDeque<CopiedFrame>,
}

#[derive(Clone, Debug)]
struct CopiedFrame {
    header: FrameHeader,
    /// The log before it.
    before: LogHead,
    /// In order, with their numbers; nothing if nobody told them.
    shares: Option<Vec<(ShareSequence, CopiedShare)>>,
}

/// What the books want of a share.
#[derive(Clone, Copy, Debug)]
struct CopiedShare {
    algorithm: Algorithm,
    payee: Payee,
    weight: ShareWeight,
    difficulty: ShareDifficulty,
    network_difficulty: NetworkDifficulty,
    pay: SharePay,
}

#[derive(Clone, Copy, Debug)]
enum Payee {
    Account(AccountId),
    Unknown(KeyHash),
}

/// The shares told are not those of the frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NotTheFrames;

impl CopiedShares {
    /// How many frames are kept.
    pub(crate) fn len(&self) -> usize {
        self.frames.len()
    }

    /// A frame, and the encodings of its shares if they were told.
    pub(crate) fn add(
        &mut self,
        before: LogHead,
        header: FrameHeader,
        told: Option<&[u8]>,
        accounts: &Accounts,
    ) -> Result<(), NotTheFrames> {
        let shares = told.map(|bytes| read(&header, bytes, accounts)).transpose()?;
        self.frames.push_back(CopiedFrame { header, before, shares });
        Ok(())
    }

    /// From now on these count for nothing.
    pub(crate) fn forfeit(&mut self, front_end: FrontEndId, given_up: &Range<ShareSequence>) {
        for frame in self.frames.iter_mut().filter(|frame| frame.header.front_end == front_end) {
            let (first, end) = (frame.header.first, frame.header.end());
            match &mut frame.shares {
                Some(shares) => shares.retain(|(sequence, _)| !given_up.contains(sequence)),
                None if given_up.start <= first && end <= given_up.end => frame.shares = Some(Vec::new()),
                None => {}
            }
        }
    }

    /// The log before the oldest frame that is kept.
    pub(crate) fn from(&self) -> Option<LogHead> {
        self.frames.front().map(|frame| frame.before)
    }

    /// Drops what no window can want any more (SPEC 8.6.13).
    pub(crate) fn drop_old(&mut self, state: &State) {
        let Some(needed) = self.oldest_needed(state) else { return };
        while self.frames.front().is_some_and(|frame| frame.header.end() <= needed) {
            self.frames.pop_front();
        }
    }

    /// The oldest share that a window may want; nothing where that is not known. Shares of several front ends are kept: which of them
    /// are wanted depends on how they lie in the log.
    fn oldest_needed(&self, state: &State) -> Option<ShareSequence> {
        let front_end = self.frames.front()?.header.front_end;
        if self.frames.iter().any(|frame| frame.header.front_end != front_end) {
            return None;
        }
        let from = state.windows_from(front_end);
        let position = SharePosition { front_end, sequence: from };
        let mut windows = Vec::new();
        for lane in Algorithm::ALL {
            windows.push(state.longest_window(lane, position)?);
        }
        let mut reach = Reach::new(windows.try_into().ok()?, state.has_tides(position));
        for frame in self.frames.iter().rev().filter(|frame| frame.header.first <= from) {
            // What was not told cannot be measured.
            for (sequence, share) in frame.shares.as_ref()?.iter().rev().filter(|(sequence, _)| *sequence <= from) {
                if reach.add(share.algorithm, *sequence, (share.weight, share.pay)).is_break() {
                    return Some(reach.oldest()?.min(from));
                }
            }
        }
        None
    }
}

fn read(
    header: &FrameHeader,
    bytes: &[u8],
    accounts: &Accounts,
) -> Result<Vec<(ShareSequence, CopiedShare)>, NotTheFrames> {
    let mut decoder = Decoder::new(bytes);
    let mut leaves = Vec::new();
    let mut copied = Vec::new();
    let mut sequence = header.first;
    for _ in 0..header.count {
        let share = Share::decode(&mut decoder).map_err(|_| NotTheFrames)?;
        leaves.push(share.leaf());
        copied.push((sequence, CopiedShare::of(&share, accounts)));
        sequence = sequence.next();
    }
    let is_whole = decoder.remaining() == 0 && FrameDigest::of_leaves(leaves) == header.digest;
    if is_whole { Ok(copied) } else { Err(NotTheFrames) }
}

impl CopiedShare {
    fn of(share: &Share, accounts: &Accounts) -> Self {
        Self {
            algorithm: share.algorithm,
            payee: accounts.find(&share.payee).map_or(Payee::Unknown(share.payee), Payee::Account),
            weight: ShareWeight::of(share.difficulty, share.network_difficulty),
            difficulty: share.difficulty,
            network_difficulty: share.network_difficulty,
            pay: share.pay,
        }
    }

    fn earned(&self) -> Result<EarnedShare, SharesError> {
        let Self { algorithm, payee, weight, difficulty, network_difficulty, pay } = *self;
        match payee {
            Payee::Unknown(key) => Err(SharesError::UnknownKey(key)),
            Payee::Account(account) => {
                Ok(EarnedShare { algorithm, account, weight, difficulty, network_difficulty, pay })
            }
        }
    }
}

fn not_told(first: ShareSequence) -> SharesError {
    SharesError::Unreadable(format!("the shares from {first} on were not told"))
}

impl Shares for CopiedShares {
    fn walk_back(
        &self,
        algorithm: Algorithm,
        from: SharePosition,
        _accounts: &Accounts,
        each: &mut dyn FnMut(&EarnedShare) -> ControlFlow<()>,
    ) -> Result<(), SharesError> {
        let holds = |frame: &&CopiedFrame| {
            let FrameHeader { front_end, first, .. } = frame.header;
            front_end == from.front_end && first <= from.sequence && from.sequence < frame.header.end()
        };
        let behind = self.frames.iter().rev().skip_while(|frame| !holds(frame));
        let mut newest = Some(from.sequence);
        for frame in behind {
            let upto = newest.take().unwrap_or(ShareSequence(u64::MAX));
            let shares = frame.shares.as_ref().ok_or_else(|| not_told(frame.header.first))?.iter().rev();
            for (_, share) in shares.filter(|(sequence, share)| *sequence <= upto && share.algorithm == algorithm) {
                if each(&share.earned()?).is_break() {
                    return Ok(());
                }
            }
        }
        // Where older shares were dropped, or never told, nobody knows what they would have added.
        match self.frames.front().map(|frame| frame.header.first) {
            Some(ShareSequence::FIRST) if newest.is_none() => Ok(()),
            _ => Err(not_told(ShareSequence::FIRST)),
        }
    }

    fn walk(
        &self,
        front_end: FrontEndId,
        range: Range<ShareSequence>,
        _accounts: &Accounts,
        each: &mut dyn FnMut(&EarnedShare),
    ) -> Result<(), SharesError> {
        let mut own = self.frames.iter().filter(|frame| frame.header.front_end == front_end).peekable();
        // Numbers that were given up before their frame was told are behind the oldest frame, and nothing is there.
        if !range.is_empty() && own.peek().is_none_or(|oldest| oldest.header.first > range.start) {
            return Err(not_told(range.start));
        }
        let is_wanted = |frame: &&CopiedFrame| frame.header.first < range.end && range.start < frame.header.end();
        for frame in own.filter(is_wanted) {
            let shares = frame.shares.as_ref().ok_or_else(|| not_told(frame.header.first))?;
            for (_, share) in shares.iter().filter(|(sequence, _)| range.contains(sequence)) {
                each(&share.earned()?);
            }
        }
        Ok(())
    }
}
