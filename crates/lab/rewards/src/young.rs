use bq_ledger::{FeeBasisPoints, LedgerError, WindowUnits};
use bq_primitives::{AccountId, Amount, NetworkDifficulty};
use bq_random::Rng;

use crate::{Estimate, Plan, Pool, Scheme, SimJob, SimShare, difficulty::MIDDLE};

/// How a pool begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// What no share fills is the seed's (SPEC 8.2).
    Seeded,
    /// Those who are there split it all. A control: it must show a gain.
    Unseeded,
}

const EARLY: AccountId = AccountId(0);
const LATER: AccountId = AccountId(1);
/// Shares of one block's work.
const PARTS: u32 = 100;

/// What the shares of a pool's first unit of work earn more than their weight is worth, as a part of it. A batch is `shares / 400`
/// young pools.
///
/// # Errors
/// As the ledger.
pub fn early_gain(plan: &Plan, start: Start, stream: u64) -> Result<Estimate, LedgerError> {
    let units = WindowUnits::DEFAULT;
    let scheme = match start {
        Start::Seeded => Scheme::Pplns(units),
        Start::Unseeded => Scheme::Unseeded(units),
    };
    let reward = Amount::from_atoms(5_000_000_000)?;
    let pools = (plan.shares / (4 * PARTS)).max(1);
    let mut batches = Vec::new();
    for batch in 0..plan.batches {
        let mut rng = Rng::seeded(plan.seed, stream << 32 | batch);
        let mut paid = 0_u128;
        for _ in 0..pools {
            paid += u128::from(first_unit(scheme, reward, &mut rng)?);
        }
        batches.push(paid as f64 / (f64::from(pools) * reward.atoms() as f64) - 1.0);
    }
    Ok(Estimate::of(&batches))
}

/// What the first unit of a pool's work earns until it has left every window.
fn first_unit(scheme: Scheme, reward: Amount, rng: &mut Rng) -> Result<u64, LedgerError> {
    let mut pool = Pool::new(scheme, reward, FeeBasisPoints::default(), 3_000);
    let job = SimJob::new(MIDDLE / u128::from(PARTS), NetworkDifficulty::from_hashes(MIDDLE));
    let mut earned = 0_u64;
    for number in 0..4 * PARTS {
        let account = if number < PARTS { EARLY } else { LATER };
        let share = SimShare { account, job };
        let is_block = job.is_block(rng);
        let paid = pool.take(share, is_block)?;
        earned += paid.iter().filter(|(account, _)| *account == EARLY).map(|(_, atoms)| atoms).sum::<u64>();
    }
    Ok(earned)
}
