use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use bq_crowd::Home;
use parking_lot::Mutex;
use tokio::{sync::oneshot, time::timeout};

/// How many of one kind are computed at a time, and how many wait for that.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PlaceLimits {
    pub(crate) all_max: usize,
    /// Of one address.
    pub(crate) home_max: usize,
    /// Of all addresses together.
    pub(crate) waiting_max: usize,
    pub(crate) wait: Duration,
}

/// Places for what is dear. Who finds none waits; addresses take turns, so that nobody waits for all that another asked for.
#[derive(Debug)]
pub(crate) struct Places {
    limits: PlaceLimits,
    line: Mutex<Line>,
}

#[derive(Debug, Default)]
struct Line {
    taken: usize,
    held: BTreeMap<Home, usize>,
    /// Who waits, by address, the longest first; no list is empty.
    waiting: BTreeMap<Home, VecDeque<(u64, oneshot::Sender<Place>)>>,
    /// Each address that waits, once: whose turn is next.
    turns: VecDeque<Home>,
    /// How many wait.
    length: usize,
    entered: u64,
}

/// Somebody's place, until it is dropped: let whatever is computed own it, since whoever asked may hang up before that ends.
#[derive(Debug)]
pub(crate) struct Place {
    places: Option<Arc<Places>>,
    home: Home,
}

/// Somebody in the line, until he hangs up or has a place.
struct Waiting {
    places: Arc<Places>,
    home: Home,
    number: u64,
}

impl Places {
    pub(crate) fn new(limits: PlaceLimits) -> Arc<Self> {
        Arc::new(Self { limits, line: Mutex::default() })
    }

    /// A place for somebody from `home`; nothing when too many wait, or when his turn did not come in time.
    pub(crate) async fn enter(self: &Arc<Self>, home: Home) -> Option<Place> {
        let (number, turn) = {
            let mut line = self.line.lock();
            if line.has_room(self.limits, home) {
                return Some(line.take(self, home));
            }
            line.wait(self.limits, home)?
        };
        let _waiting = Waiting { places: Arc::clone(self), home, number };
        timeout(self.limits.wait, turn).await.ok()?.ok()
    }

    /// How many wait.
    #[cfg(test)]
    fn waiting(&self) -> usize {
        self.line.lock().length
    }
}

impl Line {
    fn held_by(&self, home: Home) -> usize {
        self.held.get(&home).copied().unwrap_or_default()
    }

    fn has_room(&self, limits: PlaceLimits, home: Home) -> bool {
        self.taken < limits.all_max && self.held_by(home) < limits.home_max
    }

    fn take(&mut self, places: &Arc<Places>, home: Home) -> Place {
        self.taken = self.taken.saturating_add(1);
        let held = self.held.entry(home).or_default();
        *held = held.saturating_add(1);
        Place { places: Some(Arc::clone(places)), home }
    }

    fn give_back(&mut self, home: Home) {
        self.taken = self.taken.saturating_sub(1);
        let left = self.held_by(home).saturating_sub(1);
        if left == 0 {
            self.held.remove(&home);
        } else {
            self.held.insert(home, left);
        }
    }

    /// One more in the line. Where it is full, the newest of the address with most in it leaves for one of an address with fewer.
    fn wait(&mut self, limits: PlaceLimits, home: Home) -> Option<(u64, oneshot::Receiver<Place>)> {
        if self.length >= limits.waiting_max {
            let own = self.waiting.get(&home).map_or(0, VecDeque::len);
            let (largest, members) = self.waiting.iter().max_by_key(|(_, members)| members.len())?;
            let newest = members.back().filter(|_| members.len() > own.saturating_add(1))?.0;
            self.leave(*largest, newest);
        }
        self.entered = self.entered.saturating_add(1);
        let (sender, turn) = oneshot::channel();
        let members = self.waiting.entry(home).or_default();
        if members.is_empty() {
            self.turns.push_back(home);
        }
        members.push_back((self.entered, sender));
        self.length = self.length.saturating_add(1);
        Some((self.entered, turn))
    }

    /// One less; of one that has left already nothing is changed.
    fn leave(&mut self, home: Home, number: u64) {
        let Some(members) = self.waiting.get_mut(&home) else { return };
        let before = members.len();
        members.retain(|(other, _)| *other != number);
        self.length = self.length.saturating_sub(before.saturating_sub(members.len()));
        if members.is_empty() {
            self.waiting.remove(&home);
            self.turns.retain(|other| *other != home);
        }
    }

    /// Gives what is free to those whose turn it is.
    fn serve(&mut self, places: &Arc<Places>) {
        let limits = places.limits;
        while let Some(index) = self.turns.iter().position(|home| self.has_room(limits, *home)) {
            let Some(home) = self.turns.remove(index) else { return };
            let Some(members) = self.waiting.get_mut(&home) else { continue };
            let first = members.pop_front();
            if members.is_empty() {
                self.waiting.remove(&home);
            } else {
                self.turns.push_back(home);
            }
            let Some((_, sender)) = first else { continue };
            self.length = self.length.saturating_sub(1);
            if let Err(mut unwanted) = sender.send(self.take(places, home)) {
                // He hung up. Dropped as it is, the place would be given back while the line is held.
                unwanted.places = None;
                self.give_back(home);
            }
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let Some(places) = self.places.take() else { return };
        let mut line = places.line.lock();
        line.give_back(self.home);
        line.serve(&places);
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.places.line.lock().leave(self.home, self.number);
    }
}

#[cfg(test)]
mod tests {
    use std::{future::Future, pin::Pin};

    use futures::FutureExt as _;

    use super::*;

    const LIMITS: PlaceLimits =
        PlaceLimits { all_max: 1, home_max: 1, waiting_max: 4, wait: Duration::from_secs(3_600) };

    fn home(n: u8) -> Home {
        Home::of([192, 0, 2, n].into())
    }

    type Entering = Pin<Box<dyn Future<Output = Option<Place>> + Send>>;

    /// Somebody who asked, and got no place at once.
    fn waits(places: &Arc<Places>, n: u8) -> Entering {
        let places = Arc::clone(places);
        let mut entering: Entering = Box::pin(async move { places.enter(home(n)).await });
        assert!(entering.as_mut().now_or_never().is_none(), "{n} has an answer");
        entering
    }

    fn answer(entering: &mut Entering) -> Option<Option<Place>> {
        entering.as_mut().now_or_never()
    }

    #[tokio::test]
    async fn addresses_take_turns_however_much_one_of_them_asks() {
        let places = Places::new(LIMITS);
        let mut place = places.enter(home(1)).await;
        let mut many = [1, 1, 1].map(|n| waits(&places, n));
        let mut other = waits(&places, 2);
        drop(place.take());
        // The line was empty before the first of them: his turn came first, and then it is the other's.
        let first = answer(&mut many[0]).expect("his turn").expect("a place");
        assert!(answer(&mut other).is_none());
        drop(first);
        let second = answer(&mut other).expect("his turn").expect("a place");
        assert!(answer(&mut many[1]).is_none());
        drop(second);
        assert!(answer(&mut many[1]).is_some());
    }

    #[tokio::test]
    async fn an_address_has_no_second_place_while_others_are_free() {
        let places = Places::new(PlaceLimits { all_max: 3, ..LIMITS });
        let first = places.enter(home(1)).await.expect("free");
        let mut again = waits(&places, 1);
        let _other = places.enter(home(2)).await.expect("a place of another address");
        drop(first);
        assert!(answer(&mut again).is_some());
    }

    #[tokio::test]
    async fn a_full_line_makes_room_for_an_address_with_fewer_in_it() {
        let places = Places::new(LIMITS);
        let place = places.enter(home(9)).await.expect("free");
        let mut many = [1, 1, 1, 1].map(|n| waits(&places, n));
        assert!(places.enter(home(1)).await.is_none(), "not for one of its own");
        let mut other = waits(&places, 2);
        assert!(answer(&mut many[3]).is_some_and(|place| place.is_none()), "the newest of them is told");
        assert_eq!(places.waiting(), 4);
        drop(place);
        drop(answer(&mut many[0]));
        assert!(answer(&mut other).is_some_and(|place| place.is_some()));
    }

    #[tokio::test]
    async fn who_hangs_up_leaves_the_line_and_gives_his_place_back() {
        let places = Places::new(LIMITS);
        let place = places.enter(home(1)).await.expect("free");
        let gone = waits(&places, 2);
        drop(gone);
        assert_eq!(places.waiting(), 0);
        // This one has a place and does not know it yet.
        let served = waits(&places, 3);
        drop(place);
        let mut last = waits(&places, 4);
        drop(served);
        assert!(answer(&mut last).is_some_and(|place| place.is_some()));
        assert!(places.enter(home(5)).await.is_some(), "all is as at the beginning");
    }

    #[tokio::test]
    async fn nobody_waits_longer_than_said() {
        let places = Places::new(PlaceLimits { wait: Duration::from_millis(1), ..LIMITS });
        let _place = places.enter(home(1)).await.expect("free");
        assert!(places.enter(home(2)).await.is_none());
        assert_eq!(places.waiting(), 0);
    }
}
