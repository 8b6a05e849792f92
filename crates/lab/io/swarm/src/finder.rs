use std::time::Instant;

use anyhow::{Context as _, bail};
use bq_pow::Sha256dWork;
use bq_primitives::CompactTarget;
use bq_stratum_client::{Event, FIRST_SUBMIT_ID, Found, FoundShare, Proof, Sha256dTemplate, Work};

use crate::{
    miner::{Heard, Miner},
    order::Order,
    wire::Wiring,
};

/// A SHA-256d miner that finds a block when it is told to.
pub(crate) struct Finder {
    miner: Miner,
    submits: u64,
}

impl Finder {
    pub(crate) async fn open(order: &Order, wiring: &Wiring) -> anyhow::Result<Self> {
        let (miner, _) = Miner::open(order, wiring).await?;
        Ok(Self { miner, submits: FIRST_SUBMIT_ID })
    }

    /// Finds a block on the newest job, and says when its share was handed to the socket.
    pub(crate) async fn find(&mut self) -> anyhow::Result<Instant> {
        let job = self.miner.job.clone();
        let Work::Sha256d(template) = &job.work else { bail!("a finder mines SHA-256d") };
        let found = search(template)?;
        let share = FoundShare { job_id: &job.id, work: &job.work, found: &found };
        let line = self.miner.dialect.submit(&share, self.submits);
        let at = Instant::now();
        self.miner.wire.write(line.as_bytes()).await?;
        Ok(at)
    }

    /// Reads until the block is accepted and there is work on it.
    pub(crate) async fn next_work(&mut self) -> anyhow::Result<()> {
        let (mut is_answered, mut has_work) = (false, false);
        while !(is_answered && has_work) {
            let Heard::Line(line) = self.miner.hear().await? else {
                bail!("the server closed the finder's connection")
            };
            let before = self.miner.job.id.clone();
            for event in self.miner.understand(&line, Some(self.submits))? {
                if let Event::Answer { id, refused } = event
                    && id == self.submits
                {
                    if let Some(refused) = refused {
                        bail!("a block was refused: {refused}");
                    }
                    is_answered = true;
                }
            }
            has_work |= self.miner.job.id != before && self.miner.job.is_clean;
        }
        self.submits += 1;
        Ok(())
    }
}

/// Nonces of one extranonce.
const NONCES: u32 = 1 << 22;
/// Nonces that are tried at first; then ever more, since all that are blocks come back at once.
const NONCES_FIRST: u32 = 1 << 6;
/// Extranonces that are tried before the target counts as out of reach: a block of the lab takes 2^20 hashes.
const EXTRANONCES: u64 = 64;

fn search(template: &Sha256dTemplate) -> anyhow::Result<Found> {
    let target = CompactTarget(template.bits).decode()?;
    for number in 0..EXTRANONCES {
        let extranonce2 = template.extranonce2(number).context("no room for an extranonce")?;
        let work = Sha256dWork::new(&template.header(&extranonce2), target);
        let (mut from, mut count) = (0, NONCES_FIRST);
        while from < NONCES {
            if let Some((nonce, value)) = work.search(from, count).into_iter().next() {
                return Ok(Found { proof: Proof::Sha256d { extranonce2, nonce }, value });
            }
            (from, count) = (from + count, from + count);
        }
    }
    bail!("no block in {} hashes: the network is too hard", EXTRANONCES * u64::from(NONCES))
}
