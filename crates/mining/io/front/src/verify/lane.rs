use std::sync::Arc;

use bq_share::{ClaimPile, Subnet};
use crossbeam_channel::{Receiver, Select, Sender, unbounded};
use parking_lot::Mutex;

/// Where what waits for the threads of an algorithm comes in, of one class.
pub(super) struct LaneEntry<T> {
    /// Nothing is sent where the task lies in `pile`.
    queue: Sender<Option<T>>,
    pile: Option<SharedPile<T>>,
}

/// Where it goes out; each thread has one.
pub(super) struct Lane<T> {
    queue: Receiver<Option<T>>,
    pile: Option<SharedPile<T>>,
}

type SharedPile<T> = Arc<Mutex<ClaimPile<T>>>;

/// In which order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    AsTheyCome,
    /// As a [`ClaimPile`] has it.
    BySubnets,
}

/// Both ends, with nothing in between.
pub(super) fn lane<T>(order: Order) -> (LaneEntry<T>, Lane<T>) {
    let (sender, receiver) = unbounded();
    let pile = (order == Order::BySubnets).then(SharedPile::default);
    (LaneEntry { queue: sender, pile: pile.clone() }, Lane { queue: receiver, pile })
}

impl<T> Clone for Lane<T> {
    fn clone(&self) -> Self {
        Self { queue: self.queue.clone(), pile: self.pile.clone() }
    }
}

impl<T> LaneEntry<T> {
    /// If no thread is left, the task is dropped.
    pub(super) fn send(&self, subnet: Option<Subnet>, task: T) {
        let task = match &self.pile {
            Some(pile) => {
                pile.lock().put(subnet, task);
                None
            }
            None => Some(task),
        };
        let _dropped = self.queue.send(task);
    }
}

impl<T> Lane<T> {
    /// The next, if there is one.
    pub(super) fn take(&self) -> Option<T> {
        let task = self.queue.try_recv().ok()?;
        // For each that was sent one lies there.
        task.or_else(|| self.pile.as_ref()?.lock().take())
    }

    pub(super) fn len(&self) -> usize {
        self.queue.len()
    }

    /// Has `any` wait for this one too: ready is what has something, or has ended.
    pub(super) fn watch<'a>(&'a self, any: &mut Select<'a>) {
        any.recv(&self.queue);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_lane_has_its_order() {
        for (order, expected) in [(Order::AsTheyCome, [1, 2, 3]), (Order::BySubnets, [3, 2, 1])] {
            let (entry, lane) = lane(order);
            (1..=3).for_each(|task| entry.send(None, task));
            assert_eq!(lane.len(), 3);
            let other = lane.clone();
            assert_eq!(std::iter::from_fn(|| other.take()).collect::<Vec<_>>(), expected);
            assert_eq!((lane.len(), lane.take()), (0, None));
        }
    }

    #[test]
    fn whoever_waits_hears_of_a_task_and_of_the_end() {
        for order in [Order::AsTheyCome, Order::BySubnets] {
            let (entry, lane) = lane(order);
            let waits = std::thread::spawn(move || {
                let next = || {
                    let mut any = Select::new();
                    lane.watch(&mut any);
                    any.ready();
                    lane.take()
                };
                [next(), next()]
            });
            entry.send(None, 7);
            drop(entry);
            assert_eq!(waits.join().unwrap(), [Some(7), None]);
        }
    }
}
