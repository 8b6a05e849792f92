//! Prints what RandomX dataset items and light hashes cost, by the reference library and by our own code in lock step, alternated:
//! `cargo run --release -p bq-pow --example randomx_items`. CPU time of one thread, so that other load matters little.

use bq_pow::{PowVerifier, RandomXItemsOfKey};
use bq_primitives::BlockId;

const ITEMS: u32 = 200_000;
const ROUNDS: u32 = 9;
const DATASET_MILLION_ITEMS: f64 = 34.078_719;

#[expect(clippy::print_stdout, reason = "its output is its purpose")]
#[expect(clippy::unwrap_used, reason = "nothing to do without memory")]
fn main() {
    let (library, ours) = item_costs();
    println!("items, library       {library:7.3} us, {:5.1} cpu-seconds a dataset", library * DATASET_MILLION_ITEMS);
    match ours {
        Some(ours) => {
            let seconds = ours * DATASET_MILLION_ITEMS;
            println!(
                "items, lock step     {ours:7.3} us, {seconds:5.1} cpu-seconds a dataset, ratio {:.2}",
                library / ours
            );
        }
        None => println!("this machine cannot compute items in lock step: what follows is the library"),
    }
    let pow = PowVerifier::default();
    let inputs: Vec<[u8; 76]> = (0..16).map(|i| [i; 76]).collect();
    let inputs: Vec<&[u8]> = inputs.iter().map(<[u8; 76]>::as_slice).collect();
    for count in [1, 2, 4, 8, 16] {
        let inputs = &inputs[..count];
        let (one, together) = light_costs(&pow, inputs).unwrap();
        println!("light hashes, {count:2}     {together:7.3} ms each, ratio {:.2} to one by one", one / together);
    }
}

/// Microseconds an item by the library and in lock step.
#[expect(clippy::unwrap_used, reason = "nothing to do without memory")]
fn item_costs() -> (f64, Option<f64>) {
    let mut items = RandomXItemsOfKey::new(b"randomx_items").unwrap();
    let (mut library, mut ours) = (Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        let first = round * 1_000_000;
        // So that neither of the two waits for memory from the system.
        items.by_library(first, ITEMS).unwrap();
        let (expected, cost) = timed(|| items.by_library(first, ITEMS).unwrap());
        let expected = expected.to_vec();
        library.push(cost / f64::from(ITEMS));
        let (computed, cost) = timed(|| items.in_lock_step(first, ITEMS));
        let Some(computed) = computed else { return (median(library), None) };
        assert_eq!(computed, expected);
        ours.push(cost / f64::from(ITEMS));
    }
    (median(library), Some(median(ours)))
}

/// Milliseconds a hash, one by one and all at a time.
fn light_costs(pow: &PowVerifier, inputs: &[&[u8]]) -> Result<(f64, f64), bq_pow::PowError> {
    let key = BlockId([7; 32]);
    pow.randomx_hash_batch(&key, inputs)?;
    let (mut one, mut together) = (Vec::new(), Vec::new());
    let count = inputs.len() as f64 * 1000.0;
    for _ in 0..3 {
        let (expected, cost) =
            timed(|| inputs.iter().map(|input| pow.randomx_hash(&key, input)).collect::<Result<Vec<_>, _>>());
        one.push(cost / count);
        let (values, cost) = timed(|| pow.randomx_hash_batch(&key, inputs));
        assert_eq!(values?, expected?);
        together.push(cost / count);
    }
    Ok((median(one), median(together)))
}

/// Also gives the microseconds it took.
fn timed<T>(work: impl FnOnce() -> T) -> (T, f64) {
    let before = thread_seconds();
    let value = work();
    (value, (thread_seconds() - before) * 1e6)
}

fn thread_seconds() -> f64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: fills the struct it is given.
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time) };
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
