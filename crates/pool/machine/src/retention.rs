//! Which shares the books may still read: all others may be dropped (SPEC 8.6.13).

use std::ops::ControlFlow;

use bq_ledger::{ShareWeight, WindowUnits};
use bq_mining_message::{FrontEndId, SharePay, SharePosition, ShareSequence};
use bq_primitives::Algorithm;

use crate::{BlockState, PoolBlock, Scheme, State, Terms, Winning, terms::covers};

impl State {
    /// The oldest share of a front end with which the window of a block may begin, in an event after this state, or which is not settled:
    /// that of a block that may join (again), and otherwise of one that is found with a share to come.
    #[must_use]
    pub fn windows_from(&self, front_end: FrontEndId) -> ShareSequence {
        let next = self.front_end(front_end).map_or(ShareSequence::FIRST, |head| head.next);
        let open = self.blocks().filter(|block| may_be_credited(block)).filter_map(first_share);
        let own = open.filter(|share| share.front_end == front_end).map(|share| share.sequence);
        let unsettled = self.unsettled_from(front_end).unwrap_or(next);
        own.fold(next.min(unsettled), ShareSequence::min)
    }

    /// The longest window of a lane under the terms of a share and of all that come after it; nothing before the first terms.
    #[must_use]
    pub fn longest_window(&self, lane: Algorithm, from: SharePosition) -> Option<WindowUnits> {
        let later = self.terms.iter().filter(|terms| !terms.covers(from)).map(|terms| &terms.terms);
        self.terms_of(from).into_iter().chain(later).map(|terms| terms.window(lane)).max()
    }

    /// Whether some share from this one on may be paid by TIDES: by its offer, a later one, or the one before, whose jobs may still be
    /// worked on.
    #[must_use]
    pub fn has_tides(&self, from: SharePosition) -> bool {
        let offers = &self.per_share.offers;
        let earlier = offers.iter().take_while(|held| covers(&held.shares, from)).count();
        offers.iter().skip(earlier.saturating_sub(2)).any(|held| held.offer.tides.is_some())
    }
}

impl Terms {
    /// The length of a lane's window.
    #[must_use]
    pub const fn window(&self, lane: Algorithm) -> WindowUnits {
        match self.lane(lane).scheme {
            Scheme::Pplns { window } | Scheme::Direct { window, .. } => window,
        }
    }
}

/// How far back the windows of all lanes reach that begin with some share or a later one: the first share that it is given counts
/// half (SPEC 8.2), so a window that begins later is filled no later than this.
#[derive(Clone, Debug)]
pub struct Reach {
    lanes: [LaneReach; Algorithm::COUNT],
    /// The same of TIDES, if some block may be paid so.
    tides: [LaneReach; Algorithm::COUNT],
    oldest: Option<ShareSequence>,
}

#[derive(Clone, Copy, Debug)]
struct LaneReach {
    /// What the window lacks, in 2^-60 of a block.
    lacks: u128,
    /// No share was given yet.
    is_empty: bool,
}

impl Reach {
    /// Before the first share; `windows` by [`Algorithm::index`]. `tides` says whether some block may be paid by TIDES.
    #[must_use]
    pub fn new(windows: [WindowUnits; Algorithm::COUNT], tides: bool) -> Self {
        let tides = if tides { WindowUnits::MAX.parts() } else { 0 };
        Self {
            lanes: windows.map(|window| LaneReach { lacks: window.parts(), is_empty: true }),
            tides: Algorithm::ALL.map(|_| LaneReach { lacks: tides, is_empty: true }),
            oldest: None,
        }
    }

    /// The next older share. Breaks once every window is full: nothing older is needed.
    pub fn add(
        &mut self,
        lane: Algorithm,
        share: ShareSequence,
        (weight, pay): (ShareWeight, SharePay),
    ) -> ControlFlow<()> {
        let lanes = match pay {
            SharePay::Window => &mut self.lanes,
            SharePay::Tides => &mut self.tides,
            SharePay::PerShare(_) | SharePay::Solo => return ControlFlow::Continue(()),
        };
        let Some(reach) = lanes.get_mut(lane.index()) else { return ControlFlow::Continue(()) };
        if reach.lacks > 0 {
            let counted = if reach.is_empty { weight.half() } else { weight };
            reach.lacks = reach.lacks.saturating_sub(u128::from(counted.parts()));
            reach.is_empty = false;
            self.oldest = Some(share);
        }
        let is_full = self.lanes.iter().chain(&self.tides).all(|lane| lane.lacks == 0);
        if is_full { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }

    /// The oldest share that a window wants; nothing if none of those given is wanted.
    #[must_use]
    pub const fn oldest(&self) -> Option<ShareSequence> {
        self.oldest
    }

    /// Whether the shares so far fill a lane's window.
    #[must_use]
    pub fn is_full(&self, lane: Algorithm) -> bool {
        self.lanes.get(lane.index()).is_some_and(|reach| reach.lacks == 0)
    }
}

/// Whether a chain event may yet credit a block by its window: T10. A block that matured never is again: T14 takes the lines of T13
/// back.
const fn may_be_credited(block: &PoolBlock) -> bool {
    match block.state {
        BlockState::Found | BlockState::Immature | BlockState::Orphaned => true,
        BlockState::Matured | BlockState::Lost => false,
    }
}

const fn first_share(block: &PoolBlock) -> Option<SharePosition> {
    match &block.candidate.winning {
        Winning::Share(share) | Winning::After(share) => Some(*share),
        Winning::Coinbase(direct) => direct.newest,
        Winning::NoShares | Winning::Lost => None,
    }
}
