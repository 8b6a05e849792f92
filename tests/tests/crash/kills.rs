//! `kill -9` at any moment, under shares, with payouts on: `make crash KILLS=200`.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use bq_tests::{BqProcess, booked_shares};

use crate::{
    luck::Luck,
    scene::{Scene, options, wait_for_payouts},
};

/// In every run.
const KILLS: u32 = 5;
/// A life is at most so long, from when its ports are open.
const LIFE_MS_MAX: u64 = 3_000;

fn kills() -> Result<u32> {
    std::env::var("BQ_KILLS").map_or(Ok(KILLS), |text| text.parse().context("BQ_KILLS"))
}

#[test]
fn killed_at_any_moment_it_loses_nothing_and_pays_nobody_twice() -> Result<()> {
    let (kills, began) = (kills()?, Instant::now());
    let mut scene = Scene::new(options("payout_mode = \"ledger\""))?;
    let mut luck = Luck(0x9e37_79b9_7f4a_7c15);
    for _ in 0..kills {
        let bq = scene.start()?;
        std::thread::sleep(Duration::from_millis(luck.next() % LIFE_MS_MAX));
        bq.kill_hard()?;
        scene.ended()?;
    }
    let bq = scene.start()?;
    scene.blocks(&bq, 6)?;
    wait_for_payouts(&scene, &bq)?;
    tell(&scene, &bq, kills, began)?;
    ensure!(scene.close(bq)? > 0);
    Ok(())
}

/// Figures, for whoever asked for many.
#[expect(clippy::print_stdout, reason = "what was measured, shown by --nocapture")]
fn tell(scene: &Scene, bq: &BqProcess, kills: u32, began: Instant) -> Result<()> {
    let ((acknowledged, sent), booked) = (scene.shares(), booked_shares(&scene.home())?);
    let height = bq.tip()?.height;
    let mut payouts = 0;
    for address in scene.addresses() {
        payouts += bq.miner(address)?.context("it mined")?["payouts"].as_array().map_or(0, Vec::len);
    }
    println!(
        "{kills} kills in {} s: {acknowledged} shares acknowledged of {sent} sent, {booked} booked by then; \
         {height} blocks; {payouts} payments listed",
        began.elapsed().as_secs()
    );
    Ok(())
}
