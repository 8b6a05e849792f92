use std::sync::Arc;

use crossbeam_channel::{Receiver, Select, Sender, unbounded};
use parking_lot::Mutex;

/// Where what waits for the threads of an algorithm comes in, of one class.
pub(super) struct LaneEntry<T> {
    /// Nothing is sent where the task lies in `newest`.
    queue: Sender<Option<T>>,
    newest: Option<Arc<Mutex<Vec<T>>>>,
}

/// Where it goes out; each thread has one.
pub(super) struct Lane<T> {
    queue: Receiver<Option<T>>,
    newest: Option<Arc<Mutex<Vec<T>>>>,
}

/// In which order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    OldestFirst,
    NewestFirst,
}

/// Both ends, with nothing in between.
pub(super) fn lane<T>(order: Order) -> (LaneEntry<T>, Lane<T>) {
    let (sender, receiver) = unbounded();
    let newest = (order == Order::NewestFirst).then(Arc::default);
    (LaneEntry { queue: sender, newest: newest.clone() }, Lane { queue: receiver, newest })
}

impl<T> Clone for Lane<T> {
    fn clone(&self) -> Self {
        Self { queue: self.queue.clone(), newest: self.newest.clone() }
    }
}

impl<T> LaneEntry<T> {
    /// If no thread is left, the task is dropped.
    pub(super) fn send(&self, task: T) {
        let task = match &self.newest {
            Some(newest) => {
                newest.lock().push(task);
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
        task.or_else(|| self.newest.as_ref()?.lock().pop())
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
        for (order, expected) in [(Order::OldestFirst, [1, 2, 3]), (Order::NewestFirst, [3, 2, 1])] {
            let (entry, lane) = lane(order);
            (1..=3).for_each(|task| entry.send(task));
            assert_eq!(lane.len(), 3);
            let other = lane.clone();
            assert_eq!(std::iter::from_fn(|| other.take()).collect::<Vec<_>>(), expected);
            assert_eq!((lane.len(), lane.take()), (0, None));
        }
    }

    #[test]
    fn whoever_waits_hears_of_a_task_and_of_the_end() {
        for order in [Order::OldestFirst, Order::NewestFirst] {
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
            entry.send(7);
            drop(entry);
            assert_eq!(waits.join().unwrap(), [Some(7), None]);
        }
    }
}
