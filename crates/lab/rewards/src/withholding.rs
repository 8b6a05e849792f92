use bq_ledger::{FeeBasisPoints, LedgerError};
use bq_primitives::{AccountId, Amount, NetworkDifficulty};
use bq_random::Rng;

use crate::{Estimate, Plan, Pool, Scheme, SimJob, SimShare, difficulty::MIDDLE};

const WITHHOLDER: AccountId = AccountId(0);
const HONEST: AccountId = AccountId(1);

/// What each party earns more than its work is worth, as a part of that; below nothing if it loses.
#[derive(Clone, Copy, Debug)]
pub struct Loss {
    /// Who keeps blocks back.
    pub withholder: Estimate,
    /// Everybody else.
    pub honest: Estimate,
    /// The pool, which had a fee of 1 %: what came in less what it paid, as a part of what the work is worth.
    pub pool: Estimate,
}

/// One miner in a hundred hands in shares and keeps its blocks back.
///
/// # Errors
/// As the ledger.
pub fn withholding(plan: &Plan, scheme: Scheme, stream: u64) -> Result<Loss, LedgerError> {
    let batches = (0..plan.batches).map(|batch| one(plan, scheme, Rng::seeded(plan.seed, stream << 32 | batch)));
    let batches = batches.collect::<Result<Vec<[f64; 3]>, LedgerError>>()?;
    let of = |which: usize| Estimate::of(&batches.iter().map(|figures| figures[which]).collect::<Vec<f64>>());
    Ok(Loss { withholder: of(0), honest: of(1), pool: of(2) })
}

fn one(plan: &Plan, scheme: Scheme, mut rng: Rng) -> Result<[f64; 3], LedgerError> {
    let reward = Amount::from_atoms(5_000_000_000)?;
    let fee = FeeBasisPoints::new(100).unwrap_or_default();
    let mut pool = Pool::new(scheme, reward, fee, 3_000);
    let job = SimJob::new(MIDDLE / 250, NetworkDifficulty::from_hashes(MIDDLE));
    let (mut paid, mut work, mut came_in) = ([0_u128; 2], [0_u128; 2], 0_u128);
    for number in 0..plan.shares + plan.shares / 20 {
        let counts = number >= plan.shares / 20;
        let account = if rng.between(1, 100) == 1 { WITHHOLDER } else { HONEST };
        let share = SimShare { account, job };
        let finds = job.is_block(&mut rng);
        let index = usize::from(account == HONEST);
        if counts {
            work[index] += u128::from(job.weight().parts());
        }
        // A withheld block is not handed in as a share either: it would be seen to be one.
        if finds && account == WITHHOLDER {
            continue;
        }
        let credits = pool.take(share, finds)?;
        if counts {
            came_in += if finds { u128::from(reward.atoms()) } else { 0 };
            for (account, atoms) in credits {
                paid[usize::from(account == HONEST)] += u128::from(atoms);
            }
        }
    }
    let net = reward.checked_sub(fee.of(reward)?)?;
    let worth = |work: u128, value: Amount| work as f64 / 2_f64.powi(60) * value.atoms() as f64;
    let all_work = work[0] + work[1];
    let left = came_in as f64 - (paid[0] + paid[1]) as f64;
    let miner = |index: usize| paid[index] as f64 / worth(work[index], net) - 1.0;
    Ok([miner(0), miner(1), left / worth(all_work, reward)])
}
