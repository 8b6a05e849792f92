use bq_ledger::{FeeBasisPoints, LedgerError, WindowUnits};
use bq_primitives::{AccountId, Amount, NetworkDifficulty};
use bq_random::Rng;

use crate::{Pool, Scheme, SimJob, SimShare, difficulty::MIDDLE};

/// What one miner got under one name, and by the same shares under many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SplitCost {
    /// Atoms under one name.
    pub whole: u64,
    /// Atoms under many.
    pub parted: u64,
    /// Blocks that paid it.
    pub blocks: u64,
}

/// A tenth of the shares is one miner's; the same luck twice, once with all of them on one account, once on `names`.
///
/// # Errors
/// As the ledger.
pub fn splitting(scheme: Scheme, names: u32, shares: u32, seed: u64) -> Result<SplitCost, LedgerError> {
    let (whole, blocks) = run(scheme, 1, shares, seed)?;
    let (parted, _) = run(scheme, names, shares, seed)?;
    Ok(SplitCost { whole, parted, blocks })
}

fn run(scheme: Scheme, names: u32, shares: u32, seed: u64) -> Result<(u64, u64), LedgerError> {
    let reward = Amount::from_atoms(5_000_000_000)?;
    let fee = FeeBasisPoints::new(100).unwrap_or_default();
    let mut pool = Pool::new(scheme, reward, fee, 3_000);
    let mut rng = Rng::seeded(seed, u64::from(WindowUnits::DEFAULT.units()));
    let job = SimJob::new(MIDDLE / 250, NetworkDifficulty::from_hashes(MIDDLE));
    let (mut earned, mut blocks) = (0_u64, 0_u64);
    for number in 0..shares {
        let is_splitter = rng.between(1, 10) == 1;
        let account = if is_splitter { AccountId(1 + number % names) } else { AccountId(0) };
        let share = SimShare { account, job };
        let is_block = job.is_block(&mut rng);
        blocks += u64::from(is_block);
        let paid = pool.take(share, is_block)?;
        earned += paid.iter().filter(|(account, _)| account.0 > 0).map(|(_, atoms)| atoms).sum::<u64>();
    }
    Ok((earned, blocks))
}
