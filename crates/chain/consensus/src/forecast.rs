use bq_primitives::{Algorithm, BlockId, Header, Height, MerkleRoot, Target, Timestamp, U256, Work};

use crate::{
    Branch, HEADER_VERSION, Hashrate, IndexEntry, Params, RequiredBits, entry::extend_with, min_time, required_bits,
};

/// Blocks that a forecast looks ahead at most: a bound on its cost, far above six hours of any public network.
pub const FORECAST_BLOCKS_MAX: usize = 2_000;

/// What a chain is expected to look like some time from now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ForecastPoint {
    /// Seconds after the tip's clock.
    pub after_secs: u64,
    /// What each active algorithm's next block will need.
    pub targets: Vec<(Algorithm, Target)>,
    /// Blocks found by then, by [`Algorithm::index`].
    pub blocks: [u32; Algorithm::COUNT],
}

/// The next `steps` stretches of `step_secs` each, if the hash rates (by [`Algorithm::index`]) stay and nobody has luck: each
/// algorithm finds a block exactly when the hashes for it are done. Shorter when [`FORECAST_BLOCKS_MAX`] is reached.
#[must_use]
pub fn forecast(
    params: &Params,
    branch: &dyn Branch,
    rates: &[Hashrate; Algorithm::COUNT],
    step_secs: u64,
    steps: u32,
) -> Vec<ForecastPoint> {
    let mut ahead = Ahead::new(params, branch, rates);
    let mut points = Vec::new();
    for step in 1..=steps {
        let end = ahead.start.0.saturating_add(step_secs.saturating_mul(step.into()));
        if !ahead.mine_until(end) {
            break;
        }
        points.push(ForecastPoint {
            after_secs: end.saturating_sub(ahead.start.0),
            targets: ahead.required.iter().map(|required| (required.algorithm, required.target)).collect(),
            blocks: ahead.blocks,
        });
    }
    points
}

/// A branch and the blocks that it is expected to get.
struct Overlay<'a> {
    below: &'a dyn Branch,
    above: Vec<IndexEntry>,
}

impl Branch for Overlay<'_> {
    fn entry(&self, height: Height) -> Option<&IndexEntry> {
        match height.above(self.below.tip().height) {
            None | Some(0) => self.below.entry(height),
            Some(above) => self.above.get(usize::try_from(above.checked_sub(1)?).ok()?),
        }
    }

    fn tip(&self) -> &IndexEntry {
        self.above.last().unwrap_or_else(|| self.below.tip())
    }
}

struct Ahead<'a> {
    params: &'a Params,
    rates: &'a [Hashrate; Algorithm::COUNT],
    branch: Overlay<'a>,
    start: Timestamp,
    now: u64,
    required: Vec<RequiredBits>,
    /// Hashes done since the algorithm's last block, by [`Algorithm::index`].
    done: [U256; Algorithm::COUNT],
    blocks: [u32; Algorithm::COUNT],
}

impl<'a> Ahead<'a> {
    fn new(params: &'a Params, branch: &'a dyn Branch, rates: &'a [Hashrate; Algorithm::COUNT]) -> Self {
        let start = branch.tip().clock;
        let required = required_bits(params, branch);
        let mut done = [U256::ZERO; Algorithm::COUNT];
        // Spread the algorithms' blocks evenly instead of letting all come at once.
        let count = U256::from(required.len().max(1));
        for (place, required) in required.iter().enumerate() {
            let share = work(required).saturating_mul(U256::from(place)).checked_div(count);
            if let Some(done) = done.get_mut(required.algorithm.index()) {
                *done = share.unwrap_or(U256::ZERO);
            }
        }
        let branch = Overlay { below: branch, above: Vec::new() };
        Self { params, rates, branch, start, now: start.0, required, done, blocks: [0; Algorithm::COUNT] }
    }

    /// False when the forecast ends before then.
    fn mine_until(&mut self, end: u64) -> bool {
        while let Some((required, wait_secs)) = self.first() {
            let found_at = self.now.saturating_add(wait_secs);
            if found_at > end {
                break;
            }
            self.pass(wait_secs);
            if self.branch.above.len() >= FORECAST_BLOCKS_MAX || self.find(&required).is_none() {
                return false;
            }
        }
        self.pass(end.saturating_sub(self.now));
        true
    }

    /// Who finds the next block, and in how many seconds.
    fn first(&self) -> Option<(RequiredBits, u64)> {
        let waits = self.required.iter().filter_map(|required| {
            let index = required.algorithm.index();
            let left = work(required).saturating_sub(*self.done.get(index)?);
            Some((*required, self.rates.get(index)?.secs_for(left)?))
        });
        waits.min_by_key(|(_, secs)| *secs)
    }

    fn pass(&mut self, secs: u64) {
        self.now = self.now.saturating_add(secs);
        for (done, rate) in self.done.iter_mut().zip(self.rates) {
            *done = done.saturating_add(rate.hashes_in(secs));
        }
    }

    fn find(&mut self, required: &RequiredBits) -> Option<()> {
        let tip = self.branch.tip();
        let height = tip.height.next()?;
        let header = Header {
            version: HEADER_VERSION,
            parent_id: tip.id,
            tx_root: MerkleRoot::ZERO,
            witness_root: MerkleRoot::ZERO,
            time: Timestamp(self.now).max(min_time(self.params, &self.branch)),
            height,
            bits: required.bits,
            algorithm: required.algorithm,
        };
        // The required bits are known already: half of what a step costs.
        let era = self.params.eras.at(height)?;
        let entry = extend_with(era, &self.required, tip, &header, placeholder_id(height)).ok()?;
        self.branch.above.push(entry);
        self.required = required_bits(self.params, &self.branch);
        let index = required.algorithm.index();
        *self.done.get_mut(index)? = U256::ZERO;
        let blocks = self.blocks.get_mut(index)?;
        *blocks = blocks.saturating_add(1);
        Some(())
    }
}

fn work(required: &RequiredBits) -> U256 {
    Work::of_target(required.target).0
}

/// Names of blocks that do not exist only need to differ from their neighbours'.
fn placeholder_id(height: Height) -> BlockId {
    let mut id = [0xff; 32];
    for (byte, of_height) in id.iter_mut().zip(height.0.to_le_bytes()) {
        *byte = of_height;
    }
    BlockId(id)
}
