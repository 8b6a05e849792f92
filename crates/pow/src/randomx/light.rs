use bq_primitives::PowHash;
use parking_lot::Mutex;

use super::{
    items::{CacheLines, Compilation, LANES, LockStep, Words},
    vm::{Machine, PROGRAM_ITERATIONS, PROGRAMS},
};
use crate::PowError;

/// Most hashes side by side.
const HASHES_MAX: usize = 2 * LANES;
/// Machines kept for the next hashes, 2 MiB each.
const IDLE_MAX: usize = 2 * HASHES_MAX;

/// Hashes several inputs by the cache at a time. One hash is 16,384 dataset items of which each must wait for the last; in
/// lock step, machines hand in the numbers of the items they want next, and get them computed together.
#[derive(Default)]
pub(crate) struct LightHashers {
    /// Belong to no key. Never longer than `IDLE_MAX`.
    idle: Mutex<Vec<Machine>>,
}

impl LightHashers {
    /// The value of each input, in order. Nothing on systems where our machines cannot run.
    pub(crate) fn hash(
        &self,
        lines: &CacheLines,
        lockstep: &LockStep,
        inputs: &[&[u8]],
    ) -> Result<Option<Vec<PowHash>>, PowError> {
        let Some(mut machines) = self.borrow(inputs.len().min(HASHES_MAX))? else { return Ok(None) };
        let mut values = Vec::with_capacity(inputs.len());
        for inputs in inputs.chunks(HASHES_MAX) {
            let machines = &mut machines[..inputs.len()];
            if inputs.len() <= LANES {
                hash_together(lines, &lockstep.eight, machines, inputs);
            } else {
                hash_together(lines, &lockstep.sixteen, machines, inputs);
            }
            values.extend(machines.iter_mut().map(Machine::finish));
        }
        self.give_back(machines);
        Ok(Some(values))
    }

    fn borrow(&self, count: usize) -> Result<Option<Vec<Machine>>, PowError> {
        let mut machines = {
            let mut idle = self.idle.lock();
            let left = idle.len().saturating_sub(count);
            idle.split_off(left)
        };
        while machines.len() < count {
            let Some(machine) = Machine::new()? else { return Ok(None) };
            machines.push(machine);
        }
        Ok(Some(machines))
    }

    fn give_back(&self, machines: Vec<Machine>) {
        let mut idle = self.idle.lock();
        let room = IDLE_MAX.saturating_sub(idle.len());
        idle.extend(machines.into_iter().take(room));
    }
}

/// Takes each machine to the end of the programs of its input. There must be at most as many as items are computed at once.
fn hash_together<const VECTORS: usize>(
    lines: &CacheLines,
    programs: &Compilation<VECTORS>,
    machines: &mut [Machine],
    inputs: &[&[u8]],
) {
    for (machine, input) in machines.iter_mut().zip(inputs) {
        machine.begin(input);
    }
    for _ in 0..PROGRAMS {
        machines.iter_mut().for_each(Machine::start_program);
        for _ in 0..PROGRAM_ITERATIONS {
            // Lanes to spare compute an item that another one needs, whose lines are fetched anyway.
            let spare = machines.first().map_or(0, Machine::next_item);
            let mut numbers: Words<VECTORS> = [[spare; LANES]; VECTORS];
            for (number, machine) in numbers.as_flattened_mut().iter_mut().zip(&*machines) {
                *number = machine.next_item();
            }
            let items = programs.items(lines, &numbers);
            Machine::step(machines, items.as_flattened());
        }
        machines.iter_mut().for_each(Machine::end_program);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::randomx::{RandomXOfKey, cache::Cache};

    #[test]
    fn values_are_those_of_the_library() {
        let cache = Cache::build(b"together", None).unwrap();
        let Some(lockstep) = cache.lockstep() else { return };
        let mut library = RandomXOfKey::new(b"together").unwrap();
        let inputs: Vec<Vec<u8>> = (0..19_u8).map(|i| vec![i; 3 * usize::from(i)]).collect();
        let inputs: Vec<&[u8]> = inputs.iter().map(Vec::as_slice).collect();
        let expected: Vec<PowHash> = inputs.iter().map(|input| library.hash(input)).collect();
        let hashers = LightHashers::default();
        for range in [0..19, 0..1, 3..11, 5..14, 0..0] {
            let values = hashers.hash(cache.lines(), lockstep, &inputs[range.clone()]).unwrap();
            if let Some(values) = values {
                assert_eq!(values, expected[range]);
            }
        }
    }
}
