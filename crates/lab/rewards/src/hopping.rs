use std::collections::VecDeque;

use bq_ledger::{FeeBasisPoints, LedgerError, ShareWeight};
use bq_primitives::{AccountId, Amount, NetworkDifficulty};
use bq_random::Rng;

use crate::{Difficulties, Estimate, Outlook, Plan, Pool, Scheme, SimJob, SimShare, Strategy, difficulty::MIDDLE};

const HOPPER: AccountId = AccountId(0);
/// The hopper has this part of the pool's hash rate while it is there.
const HOPPER_ONE_IN: u64 = 5;
/// So many miners stay.
const OTHERS: u64 = 3;
/// Parts of the window of which blocks are counted: two units.
const WINDOW: u128 = 2 * ShareWeight::ONE.parts() as u128;

/// One strategy against one scheme.
#[derive(Clone, Copy, Debug)]
pub struct Hopping {
    /// How the pool pays.
    pub scheme: Scheme,
    /// When the hopper mines.
    pub strategy: Strategy,
    /// How the difficulty moves.
    pub difficulties: Difficulties,
}

/// What a share of the hopper earned more than a share of the pool, per weight and as a part of it.
///
/// # Errors
/// As the ledger.
pub fn hopping(plan: &Plan, case: Hopping, stream: u64) -> Result<Estimate, LedgerError> {
    let batch = |batch: u64| {
        let mut run = Run::new(case, Rng::seeded(plan.seed, stream << 32 | batch))?;
        // Windows are full and rounds have begun before anything counts.
        run.mine(case.difficulties.warm_up())?;
        (run.paid, run.weighed) = ([0; 2], [0; 2]);
        run.mine(plan.shares)?;
        Ok(run.sums())
    };
    let batches = (0..plan.batches).map(batch).collect::<Result<Vec<[f64; 4]>, LedgerError>>()?;
    Ok(Estimate::of_ratios(&batches))
}

struct Run {
    case: Hopping,
    rng: Rng,
    pool: Pool,
    network: NetworkDifficulty,
    job: SimJob,
    outlook: Outlook,
    /// Where blocks lie, by all work before them.
    blocks: VecDeque<u128>,
    /// Of the hopper, and of all.
    paid: [u128; 2],
    weighed: [u128; 2],
}

impl Run {
    fn new(case: Hopping, rng: Rng) -> Result<Self, LedgerError> {
        let reward = Amount::from_atoms(5_000_000_000)?;
        let fee = FeeBasisPoints::new(100).unwrap_or_default();
        // The longest window: eight blocks of four times the difficulty, in shares of a thousandth.
        let pool = Pool::new(case.scheme, reward, fee, 33_000);
        let network = NetworkDifficulty::from_hashes(MIDDLE);
        let job = SimJob::new(case.difficulties.share(), network);
        let (outlook, blocks) = (Outlook::default(), VecDeque::new());
        Ok(Self { case, rng, pool, network, job, outlook, blocks, paid: [0; 2], weighed: [0; 2] })
    }

    fn mine(&mut self, shares: u32) -> Result<(), LedgerError> {
        (0..shares).try_for_each(|_| self.share())
    }

    fn share(&mut self) -> Result<(), LedgerError> {
        let is_hopping = self.case.strategy.mines(&self.outlook) && self.rng.between(1, HOPPER_ONE_IN) == 1;
        let account = if is_hopping { HOPPER } else { self.other() };
        let share = SimShare { account, job: self.job };
        let weight = self.job.weight().parts();
        let is_block = self.job.is_block(&mut self.rng);
        count(&mut self.weighed, account, weight);
        for (account, atoms) in self.pool.take(share, is_block)? {
            count(&mut self.paid, account, atoms);
        }
        self.look(weight.into(), is_block);
        Ok(())
    }

    fn other(&mut self) -> AccountId {
        AccountId(u32::try_from(self.rng.between(1, OTHERS)).unwrap_or(1))
    }

    /// What everybody sees after a share.
    fn look(&mut self, weight: u128, is_block: bool) {
        self.outlook.total += weight;
        self.outlook.since_block += weight;
        if is_block {
            self.outlook.since_block = 0;
            self.blocks.push_back(self.outlook.total);
            self.network = self.case.difficulties.after(self.network, &mut self.rng);
            self.job = SimJob::new(self.case.difficulties.share(), self.network);
        }
        while self.blocks.front().is_some_and(|block| block + WINDOW < self.outlook.total) {
            self.blocks.pop_front();
        }
        self.outlook.blocks_in_window = self.blocks.len();
        self.outlook.is_hard = self.network.hashes() > MIDDLE;
    }

    /// Paid and weighed of the hopper, and of all.
    fn sums(&self) -> [f64; 4] {
        [self.paid[0], self.weighed[0], self.paid[1], self.weighed[1]].map(|sum| sum as f64)
    }
}

fn count(sums: &mut [u128; 2], account: AccountId, amount: u64) {
    sums[1] += u128::from(amount);
    if account == HOPPER {
        sums[0] += u128::from(amount);
    }
}
