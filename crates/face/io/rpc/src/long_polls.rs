use std::{collections::BTreeMap, net::IpAddr, sync::Arc};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Long polls that wait: so many in all, and so many of one address. Each holds one of the requests that the server answers at a time, for up to a
/// minute; what is left over is for requests that are answered at once.
#[derive(Debug)]
pub(crate) struct LongPolls {
    limits: LongPollLimits,
    places: Arc<Semaphore>,
    by_address: parking_lot::Mutex<BTreeMap<IpAddr, usize>>,
}

/// How many long polls may wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LongPollLimits {
    /// In all.
    pub total: usize,
    /// Of one address.
    pub per_address: usize,
}

/// Why a long poll may not wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TooMany {
    InAll(usize),
    OfAddress(usize),
}

/// The place of one that waits; given back when dropped, as when its client hangs up.
#[derive(Debug)]
pub(crate) struct LongPoll {
    polls: Arc<LongPolls>,
    address: IpAddr,
    _place: OwnedSemaphorePermit,
}

impl LongPolls {
    pub(crate) fn new(limits: LongPollLimits) -> Self {
        Self { limits, places: Arc::new(Semaphore::new(limits.total)), by_address: parking_lot::Mutex::default() }
    }

    /// A place for one more of this address.
    ///
    /// # Errors
    /// Which limit is reached.
    pub(crate) fn enter(self: &Arc<Self>, address: IpAddr) -> Result<LongPoll, TooMany> {
        let address = address.to_canonical();
        let mut by_address = self.by_address.lock();
        let of_address = by_address.get(&address).copied().unwrap_or(0);
        if of_address >= self.limits.per_address {
            return Err(TooMany::OfAddress(self.limits.per_address));
        }
        let place = Arc::clone(&self.places).try_acquire_owned().map_err(|_| TooMany::InAll(self.limits.total))?;
        by_address.insert(address, of_address.saturating_add(1));
        Ok(LongPoll { polls: Arc::clone(self), address, _place: place })
    }
}

impl Drop for LongPoll {
    fn drop(&mut self) {
        let mut by_address = self.polls.by_address.lock();
        if let Some(count) = by_address.get_mut(&self.address) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                by_address.remove(&self.address);
            }
        }
    }
}

impl TooMany {
    /// In words for whoever asked.
    pub(crate) fn text(self) -> String {
        match self {
            Self::InAll(most) => format!("{most} long polls wait already, and no more may: ask without longpollid"),
            Self::OfAddress(most) => {
                format!("{most} long polls of this address wait already, and no more may: ask without longpollid")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_address_leaves_room_for_others_and_all_together_for_short_requests() {
        let polls = Arc::new(LongPolls::new(LongPollLimits { total: 3, per_address: 2 }));
        let address = |n| IpAddr::from([192, 0, 2, n]);
        let enter = |n| polls.enter(address(n));
        let (first, _second) = (enter(1).unwrap(), enter(1).unwrap());
        assert_eq!(enter(1).unwrap_err(), TooMany::OfAddress(2));
        assert_eq!(polls.enter("::ffff:192.0.2.1".parse().unwrap()).unwrap_err(), TooMany::OfAddress(2), "the same");
        let _third = enter(2).unwrap();
        assert_eq!(enter(2).unwrap_err(), TooMany::InAll(3));
        assert_eq!(enter(3).unwrap_err(), TooMany::InAll(3));
        drop(first);
        let _fourth = enter(3).unwrap();
        assert_eq!(enter(1).unwrap_err(), TooMany::InAll(3));
        drop(_fourth);
        drop(enter(1).unwrap());
        assert_eq!(polls.by_address.lock().len(), 2, "who has gone is forgotten");
    }
}
