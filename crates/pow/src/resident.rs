//! The few large tables that are in memory, one per key, each built once however many threads ask for it.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use parking_lot::{Condvar, Mutex};

/// At most `max` values by key, least recently used out first. A value still in use when it is evicted lives until its
/// users let go of it, so users must not keep one longer than a slice of work.
pub(crate) struct Resident<K, V> {
    max: usize,
    /// Least recently used first. Never longer than `max`.
    slots: Mutex<Vec<Slot<K, V>>>,
    changed: Condvar,
    builds: AtomicU64,
    evictions: AtomicU64,
}

struct Slot<K, V> {
    key: K,
    /// Nothing while one thread builds it.
    value: Option<Arc<V>>,
}

impl<K: Copy + PartialEq, V> Resident<K, V> {
    /// An empty table; a `max` of zero counts as one.
    pub(crate) const fn new(max: usize) -> Self {
        Self {
            max: if max == 0 { 1 } else { max },
            slots: Mutex::new(Vec::new()),
            changed: Condvar::new(),
            builds: AtomicU64::new(0),
            evictions: AtomicU64::new(0),
        }
    }

    /// The value of `key`. If it is not there, this thread builds it while others that want it wait; `build` gets the
    /// evicted value, if nobody uses it any more, to take its memory over. After a failed build the next caller tries again.
    pub(crate) fn get_or_build<E>(&self, key: K, build: impl FnOnce(Option<V>) -> Result<V, E>) -> Result<Arc<V>, E> {
        let evicted = match self.claim(key) {
            Claim::Ready(value) => return Ok(value),
            Claim::Build(evicted) => evicted,
        };
        // Frees the claim if `build` fails or panics; otherwise the next caller would wait for ever.
        let mut claim = ClaimGuard { resident: self, key, value: None };
        let value = Arc::new(build(evicted.and_then(Arc::into_inner))?);
        self.builds.fetch_add(1, Ordering::Relaxed);
        claim.value = Some(Arc::clone(&value));
        Ok(value)
    }

    /// How many values were built since the start.
    pub(crate) fn builds(&self) -> u64 {
        self.builds.load(Ordering::Relaxed)
    }

    /// How many values had to leave since the start.
    pub(crate) fn evictions(&self) -> u64 {
        self.evictions.load(Ordering::Relaxed)
    }

    fn claim(&self, key: K) -> Claim<V> {
        let mut slots = self.slots.lock();
        loop {
            match slots.iter().position(|slot| slot.key == key) {
                Some(index) => {
                    let slot = slots.remove(index);
                    let value = slot.value.clone();
                    slots.push(slot);
                    if let Some(value) = value {
                        return Claim::Ready(value);
                    }
                }
                None if slots.len() < self.max => {
                    slots.push(Slot { key, value: None });
                    return Claim::Build(None);
                }
                None => {
                    if let Some(index) = slots.iter().position(|slot| slot.value.is_some()) {
                        let evicted = slots.remove(index).value;
                        self.evictions.fetch_add(1, Ordering::Relaxed);
                        slots.push(Slot { key, value: None });
                        return Claim::Build(evicted);
                    }
                }
            }
            self.changed.wait(&mut slots);
        }
    }
}

enum Claim<V> {
    Ready(Arc<V>),
    /// The caller must build it, and may take over what was evicted.
    Build(Option<Arc<V>>),
}

/// Ends a claim: fills its slot if there is a value, else removes it. Either way those who wait look again.
struct ClaimGuard<'a, K: Copy + PartialEq, V> {
    resident: &'a Resident<K, V>,
    key: K,
    value: Option<Arc<V>>,
}

impl<K: Copy + PartialEq, V> Drop for ClaimGuard<'_, K, V> {
    fn drop(&mut self) {
        let mut slots = self.resident.slots.lock();
        match (self.value.take(), slots.iter_mut().find(|slot| slot.key == self.key)) {
            (Some(value), Some(slot)) => slot.value = Some(value),
            _ => slots.retain(|slot| slot.key != self.key),
        }
        self.resident.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{convert::Infallible, sync::Barrier, thread};

    fn get(resident: &Resident<u32, u32>, key: u32) -> Arc<u32> {
        resident.get_or_build::<Infallible>(key, |_| Ok(key * 10)).unwrap()
    }

    #[test]
    fn many_threads_build_once() {
        let resident = Resident::<u32, u32>::new(2);
        let together = Barrier::new(8);
        thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    together.wait();
                    assert_eq!(*get(&resident, 7), 70);
                });
            }
        });
        assert_eq!((resident.builds(), resident.evictions()), (1, 0));
    }

    #[test]
    fn the_least_recently_used_leaves_and_gives_its_memory() {
        let resident = Resident::<u32, u32>::new(2);
        get(&resident, 1);
        get(&resident, 2);
        get(&resident, 1);
        let mut handed_over = None;
        resident
            .get_or_build::<Infallible>(3, |evicted| {
                handed_over = evicted;
                Ok(30)
            })
            .unwrap();
        assert_eq!(handed_over, Some(20));
        assert_eq!(resident.evictions(), 1);
        get(&resident, 1);
        assert_eq!(resident.builds(), 3);
    }

    #[test]
    fn a_value_in_use_is_not_handed_over() {
        let resident = Resident::<u32, u32>::new(1);
        let held = get(&resident, 1);
        let mut handed_over = Some(0);
        resident
            .get_or_build::<Infallible>(2, |evicted| {
                handed_over = evicted;
                Ok(20)
            })
            .unwrap();
        assert_eq!((handed_over, *held), (None, 10));
    }

    #[test]
    fn a_failed_build_can_be_tried_again() {
        let resident = Resident::<u32, u32>::new(1);
        assert_eq!(resident.get_or_build(1, |_| Err("no memory")), Err("no memory"));
        let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            resident.get_or_build::<Infallible>(1, |_| panic!("builder"))
        }));
        assert!(panicked.is_err());
        assert_eq!(*get(&resident, 1), 10);
        assert_eq!(resident.builds(), 1);
    }

    #[test]
    fn more_keys_than_slots_wait_for_a_slot() {
        let resident = Resident::<u32, u32>::new(1);
        thread::scope(|scope| {
            for key in 0..4 {
                let resident = &resident;
                scope.spawn(move || {
                    for _ in 0..50 {
                        assert_eq!(*get(resident, key), key * 10);
                    }
                });
            }
        });
        assert_eq!(resident.builds(), resident.evictions() + 1);
    }
}
