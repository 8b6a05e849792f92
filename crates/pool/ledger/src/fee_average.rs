use std::collections::BTreeMap;

use bq_primitives::{Amount, Height};

/// What blocks bring in fees on average, by the pool's own templates (SPEC 8.9): one term for each height, the fee total of
/// the last template made there, clipped. Never the fees of mined blocks: who mines a block can fill it with fees that he
/// pays himself.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct FeeAverage {
    terms: BTreeMap<Height, Amount>,
}

impl FeeAverage {
    /// How many heights below a job's enter.
    pub const HEIGHTS: u32 = 144;

    /// The most that counts of one block's fees: a tenth of its subsidy.
    #[must_use]
    pub fn clip(subsidy: Amount) -> Amount {
        // A tenth of an amount is an amount.
        Amount::from_atoms(subsidy.atoms().checked_div(10).unwrap_or(0)).unwrap_or(subsidy)
    }

    /// A template was made at this height, with these fees in all; it takes the place of earlier ones there. Forgets what no
    /// job above the highest template can ask for.
    pub fn note(&mut self, height: Height, fees: Amount, subsidy: Amount) {
        self.terms.insert(height, fees.min(Self::clip(subsidy)));
        if let Some((highest, _)) = self.terms.last_key_value() {
            let oldest = Self::oldest(*highest);
            self.terms.retain(|height, _| *height >= oldest);
        }
    }

    /// `fbar` for a job at this height: the floor of the average over the heights below it that have a term; nothing if
    /// none has.
    #[must_use]
    pub fn before(&self, height: Height) -> Amount {
        let (mut sum, mut count) = (0_u64, 0_u64);
        for (_, term) in self.terms.range(Self::oldest(height)..height) {
            // At most 144 amounts below 2^53.
            sum = sum.saturating_add(term.atoms());
            count = count.saturating_add(1);
        }
        let average = sum.checked_div(count).unwrap_or(0);
        // An average of amounts is an amount.
        Amount::from_atoms(average).unwrap_or_default()
    }

    /// The lowest height that enters for a job at `height`.
    const fn oldest(height: Height) -> Height {
        Height(height.0.saturating_sub(Self::HEIGHTS))
    }
}
