//! Prints what a RandomX dataset item costs, by the reference library and by our own code, alternated:
//! `cargo run --release -p bq-pow --example randomx_items`. CPU time of one thread, so that other load matters little.

use bq_pow::RandomXItemsOfKey;

const ITEMS: u32 = 200_000;
const ROUNDS: u32 = 9;

#[expect(clippy::print_stdout, reason = "its output is its purpose")]
#[expect(clippy::unwrap_used, reason = "nothing to do without memory")]
fn main() {
    let mut items = RandomXItemsOfKey::new(b"randomx_items").unwrap();
    let (mut library, mut ours) = (Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        let first = round * 1_000_000;
        // So that neither of the two waits for memory from the system.
        items.by_library(first, ITEMS).unwrap();
        let (expected, cost) = timed(|| items.by_library(first, ITEMS).unwrap());
        let expected = expected.to_vec();
        library.push(cost);
        let (computed, cost) = timed(|| items.in_lock_step(first, ITEMS));
        let Some(computed) = computed else {
            println!("this machine cannot compute items in lock step");
            return;
        };
        assert_eq!(computed, expected);
        ours.push(cost);
    }
    let (library, ours) = (median(library), median(ours));
    println!("library   {library:6.3} us/item, {:5.1} cpu-seconds a dataset", library * 34.078_719);
    println!("lock step {ours:6.3} us/item, {:5.1} cpu-seconds a dataset", ours * 34.078_719);
    println!("ratio     {:6.2}", library / ours);
}

/// Also gives the microseconds per item.
fn timed<T>(work: impl FnOnce() -> T) -> (T, f64) {
    let before = thread_seconds();
    let value = work();
    (value, (thread_seconds() - before) * 1e6 / f64::from(ITEMS))
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
