//! Strangers by the thousand, each with a name and an address of its own, come, have a share accepted and leave. What the server
//! remembers of them has bounds, so its memory must stop growing.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use bq_primitives::Algorithm;
use tokio::{task::JoinSet, time::sleep};

use super::{Run, kib};
use crate::{figures::float, miner::Miner, order::Order, wire::Wiring};

/// On their way at a time.
const PASSERS: usize = 32;
/// Between two of one way: at most 128 a second together.
const PAUSE: Duration = Duration::from_millis(250);
const LOOK: Duration = Duration::from_secs(1);

impl Run<'_> {
    pub(super) async fn soak(&mut self) -> anyhow::Result<()> {
        let order = self.order(Algorithm::Sha256d)?;
        let (begun, next) = (Instant::now(), Arc::new(AtomicUsize::new(order.number)));
        let until = begun + self.plan.soak;
        let mut passing = JoinSet::new();
        for _ in 0..PASSERS {
            passing.spawn(pass_by(order.clone(), self.wiring.clone(), Arc::clone(&next), until));
        }
        let (mut memory, mut came_by_half) = (Vec::new(), None);
        while Instant::now() < until {
            sleep(LOOK).await;
            memory.push((begun.elapsed().as_secs_f64() / 60.0, kib(self.usage().resident_kib)));
            if begun.elapsed() >= self.plan.soak / 2 {
                came_by_half.get_or_insert_with(|| next.load(Ordering::Relaxed));
            }
        }
        let (mut came, mut failed) = (0, 0);
        while let Some(joined) = passing.join_next().await {
            let (of_one, without) = joined?;
            came += of_one;
            failed += without;
        }
        let last = next.load(Ordering::Relaxed);
        self.numbers = self.numbers.max(last);
        let minutes = self.plan.soak.as_secs_f64() / 120.0;
        let a_minute = float(last - came_by_half.unwrap_or(last)) / minutes.max(f64::MIN_POSITIVE);
        let growth = slope(memory.get(memory.len() / 2..).unwrap_or_default());
        let figures = &mut self.figures;
        figures.count("soak: names that came and had a share accepted", came);
        figures.count("soak: names that did not", failed);
        figures.add("soak: resident grows in the second half, a minute", growth, "KiB");
        figures.add("soak: the same, for each name that came", growth * 1_024.0 / a_minute.max(1.0), "B");
        anyhow::ensure!(came > 0, "nobody had a share accepted");
        Ok(())
    }
}

/// Newcomers, one after the other: how many had a share accepted, and how many had none.
async fn pass_by(order: Order, wiring: Wiring, next: Arc<AtomicUsize>, until: Instant) -> (usize, usize) {
    let (mut came, mut failed) = (0, 0);
    while Instant::now() < until {
        let order = Order { number: next.fetch_add(1, Ordering::Relaxed) + 1, ..order.clone() };
        match come_and_prove(&order, &wiring).await {
            Ok(true) => came += 1,
            Ok(false) | Err(_) => failed += 1,
        }
        sleep(PAUSE).await;
    }
    (came, failed)
}

async fn come_and_prove(order: &Order, wiring: &Wiring) -> anyhow::Result<bool> {
    let (mut miner, _) = Miner::open(order, wiring).await?;
    miner.prove().await?;
    Ok(miner.is_proven)
}

/// How much the second grows for each unit of the first, by least squares; 0 for fewer than two points.
fn slope(points: &[(f64, f64)]) -> f64 {
    let count = float(points.len()).max(1.0);
    let mean = |of: fn(&(f64, f64)) -> f64| points.iter().map(of).sum::<f64>() / count;
    let (mean_x, mean_y) = (mean(|point| point.0), mean(|point| point.1));
    let together: f64 = points.iter().map(|(x, y)| (x - mean_x) * (y - mean_y)).sum();
    let alone: f64 = points.iter().map(|(x, _)| (x - mean_x).powi(2)).sum();
    if alone > 0.0 { together / alone } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slope_is_found_in_noise() {
        let line: Vec<_> =
            (0..100).map(|n| (f64::from(n) / 60.0, 7.0 * f64::from(n) / 60.0 + f64::from(n % 2))).collect();
        assert!((slope(&line) - 7.0).abs() < 0.1, "{}", slope(&line));
        assert_eq!((slope(&[]), slope(&[(1.0, 5.0)])), (0.0, 0.0));
    }
}
