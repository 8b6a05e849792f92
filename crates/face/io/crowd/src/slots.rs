use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{
    sync::{Notify, OwnedSemaphorePermit, Semaphore},
    time::timeout,
};

use crate::crowd::{Crowd, Entry, Home};

/// How many connections are open. When all places are taken the one that has asked nothing for longest makes room, of those from where as many are as
/// from where the newcomer is: whoever opens many at a time closes nobody else's. If there is none, it is the oldest of the address that has most, for one of another address; and while nobody does, probes still have places of their own: whoever keeps sockets
/// open hides nothing from those who watch the pool.
#[derive(Debug)]
pub struct Slots {
    pages: Arc<Semaphore>,
    probes: Arc<Semaphore>,
    /// Those that wait for their next request, the one that waits longest first.
    idle: parking_lot::Mutex<BTreeMap<u64, Arc<Visitor>>>,
    /// All that have a place for pages.
    crowd: parking_lot::Mutex<Crowd<Visitor>>,
    ticks: AtomicU64,
}

/// A place among the open connections.
#[derive(Debug)]
pub struct Slot {
    /// What it is good for.
    pub kind: SlotKind,
    _permit: OwnedSemaphorePermit,
}

/// What a place is good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SlotKind {
    /// Anything.
    Page,
    /// One request of health or metrics.
    Probe,
}

/// One connection, as the others see it.
#[derive(Debug)]
struct Visitor {
    home: Home,
    kind: SlotKind,
    state: parking_lot::Mutex<VisitorState>,
    /// Whatever is asked here, it has to leave.
    must_leave: AtomicBool,
    is_gone: AtomicBool,
    wanted: Notify,
}

#[derive(Debug, Default)]
struct VisitorState {
    /// Requests whose answers are not sent yet.
    requests: usize,
    /// Where it stands in the list of idle ones.
    idle_since: Option<u64>,
}

/// A connection's entry among the others; taken off when dropped.
#[derive(Debug)]
pub struct Presence {
    slots: Arc<Slots>,
    visitor: Arc<Visitor>,
    /// Where it stands in the crowd; a probe stands in none.
    entry: Option<Entry>,
}

/// A request under way, until its answer is sent to the end.
#[derive(Debug)]
pub struct Busy {
    slots: Arc<Slots>,
    visitor: Arc<Visitor>,
}

/// A connection that was asked to leave is gone after a turn of its task.
const LEAVING: Duration = Duration::from_millis(50);

impl Slots {
    /// So many places, and so many more for probes.
    #[must_use]
    pub fn new(pages_max: usize, probes_max: usize) -> Self {
        Self {
            pages: Arc::new(Semaphore::new(pages_max)),
            probes: Arc::new(Semaphore::new(probes_max)),
            idle: parking_lot::Mutex::default(),
            crowd: parking_lot::Mutex::default(),
            ticks: AtomicU64::new(0),
        }
    }

    /// A place for a connection that came from `home`; waits while there is none. May be given up and asked again: at worst one more has made
    /// room.
    pub async fn take(self: &Arc<Self>, home: Home) -> Option<Slot> {
        if let Some(slot) = self.take_at_once(home).await {
            return Some(slot);
        }
        tokio::select! {
            biased;
            permit = Arc::clone(&self.pages).acquire_owned() => permit.ok().map(page),
            permit = Arc::clone(&self.probes).acquire_owned() => {
                permit.ok().map(|permit| Slot { kind: SlotKind::Probe, _permit: permit })
            }
        }
    }

    /// The same, for anything, but that nobody is waited for who does not make room at once.
    pub async fn take_at_once(self: &Arc<Self>, home: Home) -> Option<Slot> {
        if let Ok(permit) = Arc::clone(&self.pages).try_acquire_owned() {
            return Some(page(permit));
        }
        self.who_leaves_for(home)?.wanted.notify_one();
        timeout(LEAVING, Arc::clone(&self.pages).acquire_owned()).await.ok()?.ok().map(page)
    }

    fn who_leaves_for(&self, home: Home) -> Option<Arc<Visitor>> {
        let mut crowd = self.crowd.lock();
        let own = crowd.members_of(home);
        let mut idle = self.idle.lock();
        let longest = idle.iter().find(|(_, visitor)| crowd.members_of(visitor.home) >= own).map(|(tick, _)| *tick);
        if let Some(visitor) = longest.and_then(|tick| idle.remove(&tick)) {
            return Some(visitor);
        }
        drop(idle);
        let visitor = crowd.make_room(home)?;
        visitor.must_leave.store(true, Ordering::Relaxed);
        Some(visitor)
    }

    /// A connection from `home` that has asked nothing yet.
    pub fn enter(self: &Arc<Self>, home: Home, kind: SlotKind) -> Presence {
        let visitor = Arc::new(Visitor {
            home,
            kind,
            state: parking_lot::Mutex::default(),
            must_leave: AtomicBool::new(false),
            is_gone: AtomicBool::new(false),
            wanted: Notify::new(),
        });
        let entry = (kind == SlotKind::Page).then(|| self.crowd.lock().enter(home, Arc::clone(&visitor)));
        self.rest(&visitor);
        Presence { slots: Arc::clone(self), visitor, entry }
    }

    /// The place of a probe is of no use to others.
    fn rest(&self, visitor: &Arc<Visitor>) {
        if visitor.kind == SlotKind::Probe {
            return;
        }
        let tick = self.ticks.fetch_add(1, Ordering::Relaxed);
        visitor.state.lock().idle_since = Some(tick);
        self.idle.lock().insert(tick, Arc::clone(visitor));
    }

    fn wake(&self, visitor: &Visitor) {
        if let Some(tick) = visitor.state.lock().idle_since.take() {
            self.idle.lock().remove(&tick);
        }
    }
}

fn page(permit: OwnedSemaphorePermit) -> Slot {
    Slot { kind: SlotKind::Page, _permit: permit }
}

impl Presence {
    /// A request came.
    #[must_use]
    pub fn busy(&self) -> Busy {
        self.visitor.state.lock().requests += 1;
        self.slots.wake(&self.visitor);
        Busy { slots: Arc::clone(&self.slots), visitor: Arc::clone(&self.visitor) }
    }

    /// Returns once somebody else needs the place, and nothing is asked here or it has to leave anyway.
    pub async fn is_wanted(&self) {
        loop {
            self.visitor.wanted.notified().await;
            if self.visitor.must_leave.load(Ordering::Relaxed) || self.visitor.state.lock().requests == 0 {
                return;
            }
        }
    }
}

impl Drop for Presence {
    fn drop(&mut self) {
        self.visitor.is_gone.store(true, Ordering::Relaxed);
        self.slots.wake(&self.visitor);
        if let Some(entry) = self.entry {
            self.slots.crowd.lock().leave(entry);
        }
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        let mut state = self.visitor.state.lock();
        state.requests = state.requests.saturating_sub(1);
        let rests = state.requests == 0;
        drop(state);
        // The connection itself may be gone.
        if rests && !self.visitor.is_gone.load(Ordering::Relaxed) {
            self.slots.rest(&self.visitor);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slots() -> Arc<Slots> {
        Arc::new(Slots::new(2, 1))
    }

    fn home(last: u8) -> Home {
        Home::of([10, 0, 0, last].into())
    }

    async fn kind(slots: &Arc<Slots>) -> Option<SlotKind> {
        timeout(Duration::from_secs(10), slots.take(home(1))).await.ok().flatten().map(|slot| slot.kind)
    }

    #[tokio::test]
    async fn the_connection_that_is_idle_for_longest_makes_room() {
        let slots = slots();
        let (first, second) = (slots.take(home(1)).await.unwrap(), slots.take(home(1)).await.unwrap());
        let (of_first, of_second) = (slots.enter(home(1), SlotKind::Page), slots.enter(home(1), SlotKind::Page));
        drop(of_first.busy());
        let leaves = tokio::spawn(async move {
            of_second.is_wanted().await;
            drop((second, of_second));
        });
        assert_eq!(kind(&slots).await, Some(SlotKind::Page));
        leaves.await.unwrap();
        drop((first, of_first));
        assert!(slots.idle.lock().is_empty());
    }

    #[tokio::test]
    async fn an_address_with_all_places_makes_room_for_another_even_while_it_is_busy() {
        let slots = slots();
        let (first, _second) = (slots.take(home(1)).await.unwrap(), slots.take(home(1)).await.unwrap());
        let (of_first, of_second) = (slots.enter(home(1), SlotKind::Page), slots.enter(home(1), SlotKind::Page));
        let (_a, _b) = (of_first.busy(), of_second.busy());
        let leaves = tokio::spawn(async move {
            of_first.is_wanted().await;
            drop((first, of_first));
        });
        assert!(slots.take_at_once(home(1)).await.is_none(), "not for one of its own");
        let newcomer = timeout(Duration::from_secs(10), slots.take(home(2))).await.unwrap().unwrap();
        assert_eq!(newcomer.kind, SlotKind::Page);
        leaves.await.unwrap();
    }

    /// Its connections ask or half ask; that of another has come just now.
    #[tokio::test]
    async fn an_address_with_many_closes_nobody_elses_that_asks_nothing_yet() {
        let slots = Arc::new(Slots::new(3, 0));
        let _slots = [slots.take(home(1)).await.unwrap(), slots.take(home(1)).await.unwrap()];
        let (of_first, of_second) = (slots.enter(home(1), SlotKind::Page), slots.enter(home(1), SlotKind::Page));
        let busy = [of_first.busy(), of_second.busy()];
        let newcomer = (slots.take(home(2)).await.unwrap(), slots.enter(home(2), SlotKind::Page));
        assert!(slots.take_at_once(home(1)).await.is_none());
        assert_eq!(slots.idle.lock().len(), 1, "it stays");
        drop(busy);
        let leaves = async {
            of_first.is_wanted().await;
            drop(of_first);
        };
        let (room, ()) = tokio::join!(slots.take_at_once(home(1)), leaves);
        assert!(room.is_none(), "it was asked to leave, and its place is held on in this test");
        drop(newcomer);
    }

    #[tokio::test]
    async fn while_all_are_busy_probes_still_come_in() {
        let slots = slots();
        let (_first, _second) = (slots.take(home(1)).await.unwrap(), slots.take(home(1)).await.unwrap());
        let (of_first, of_second) = (slots.enter(home(1), SlotKind::Page), slots.enter(home(1), SlotKind::Page));
        let (_a, _b) = (of_first.busy(), of_second.busy());
        let probe = slots.take(home(1)).await.unwrap();
        assert_eq!(probe.kind, SlotKind::Probe);
        let waits = tokio::spawn({
            let slots = Arc::clone(&slots);
            async move { kind(&slots).await }
        });
        tokio::task::yield_now().await;
        drop(probe);
        assert_eq!(waits.await.unwrap(), Some(SlotKind::Probe));
    }

    #[tokio::test]
    async fn an_answer_that_outlives_its_connection_leaves_nothing_behind() {
        let slots = slots();
        let presence = slots.enter(home(1), SlotKind::Page);
        let busy = presence.busy();
        drop(presence);
        drop(busy);
        assert!(slots.idle.lock().is_empty());
    }
}
