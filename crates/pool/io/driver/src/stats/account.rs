use std::collections::BTreeMap;

use bq_pool_history::{LuckHistory, Series};
use bq_primitives::{Algorithm, WorkerName};

use super::links::List;

/// What is kept of an account as long as one of its workers is.
#[derive(Debug, Default)]
pub(super) struct Account {
    /// Its workers, in the order in which they are shown.
    pub(super) names: BTreeMap<(WorkerName, Algorithm), usize>,
    /// By class, in the order in which they were seen.
    pub(super) lists: [List; 2],
    of_lanes: [Option<Box<OfLane>>; Algorithm::COUNT],
}

#[derive(Debug, Default)]
struct OfLane {
    series: Series,
    luck: LuckHistory,
    is_changed: bool,
}

impl Account {
    /// What it did on the lanes that it was seen on.
    pub(super) fn lanes(&self) -> impl Iterator<Item = (Algorithm, &Series)> {
        let known = Algorithm::ALL.into_iter().zip(&self.of_lanes);
        known.filter_map(|(lane, of_lane)| of_lane.as_ref().map(|of_lane| (lane, &of_lane.series)))
    }

    pub(super) fn series_mut(&mut self) -> impl Iterator<Item = &mut Series> {
        self.of_lanes.iter_mut().flatten().map(|of_lane| &mut of_lane.series)
    }

    /// What it did on a lane, to be counted in.
    pub(super) fn lane(&mut self, lane: Algorithm) -> &mut Series {
        &mut self.of_lanes[lane.index()].get_or_insert_default().series
    }

    /// What it found on the lanes that it was seen on.
    pub(super) fn luck(&self) -> impl Iterator<Item = (Algorithm, &LuckHistory)> {
        let known = Algorithm::ALL.into_iter().zip(&self.of_lanes);
        known.filter_map(|(lane, of_lane)| of_lane.as_ref().map(|of_lane| (lane, &of_lane.luck)))
    }

    /// What it found on a lane, to be counted in.
    pub(super) fn luck_mut(&mut self, lane: Algorithm) -> &mut LuckHistory {
        &mut self.of_lanes[lane.index()].get_or_insert_default().luck
    }

    /// Its series on a lane, if it was seen there.
    pub(super) fn known_lane(&mut self, lane: Algorithm) -> Option<&mut Series> {
        self.of_lanes[lane.index()].as_mut().map(|of_lane| &mut of_lane.series)
    }

    /// Notes that it changed on a lane; false if that is noted already.
    pub(super) fn mark(&mut self, lane: Algorithm) -> bool {
        let of_lane = self.of_lanes[lane.index()].get_or_insert_default();
        !std::mem::replace(&mut of_lane.is_changed, true)
    }

    /// What it did and found on a lane, if it changed there.
    pub(super) fn take_changed(&mut self, lane: Algorithm) -> Option<(&Series, LuckHistory)> {
        let of_lane = self.of_lanes[lane.index()].as_mut()?;
        std::mem::take(&mut of_lane.is_changed).then_some((&of_lane.series, of_lane.luck))
    }
}
