use bq_primitives::{AccountId, Amount, U256};

use crate::{LedgerError, Window};

/// The pool's fee in hundredths of a percent, 0 to 10,000.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(try_from = "u16", into = "u16")]
pub struct FeeBasisPoints(u16);

impl TryFrom<u16> for FeeBasisPoints {
    type Error = FeeError;

    fn try_from(basis_points: u16) -> Result<Self, FeeError> {
        Self::new(basis_points)
    }
}

impl From<FeeBasisPoints> for u16 {
    fn from(fee: FeeBasisPoints) -> Self {
        fee.get()
    }
}

/// A fee above 100 %.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("fee of {0} basis points is above 10000 (100 %)")]
pub struct FeeError(pub u16);

impl FeeBasisPoints {
    const WHOLE: u16 = 10_000;

    /// Checks the range.
    ///
    /// # Errors
    /// [`FeeError`] above 10,000.
    pub const fn new(basis_points: u16) -> Result<Self, FeeError> {
        if basis_points > Self::WHOLE { Err(FeeError(basis_points)) } else { Ok(Self(basis_points)) }
    }

    /// Hundredths of a percent.
    #[must_use]
    pub const fn get(self) -> u16 {
        self.0
    }

    /// `floor(reward * bp / 10000)`, never more than the reward.
    ///
    /// # Errors
    /// None in practice: a result above the reward is impossible.
    pub fn of(self, reward: Amount) -> Result<Amount, LedgerError> {
        let product = u128::from(reward.atoms()).saturating_mul(u128::from(self.0));
        amount(product.checked_div(u128::from(Self::WHOLE)).unwrap_or(0))
    }
}

/// How one block's reward is split (SPEC 8.3, 8.9). `fee + sum of credits + seed + carry = reward + carry taken in`, always.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Distribution {
    /// What the pool keeps.
    pub fee: Amount,
    /// What each account earns, in increasing id; never zero.
    pub credits: Vec<(AccountId, Amount)>,
    /// What the seed account earns.
    pub seed: Amount,
    /// The rounding residue, less than one atom per payee; it joins the lane's next block once this one matured.
    pub carry: Amount,
    /// How many parties the window names, also those whose part came to less than an atom.
    pub payees: u32,
}

/// Splits `reward` and the lane's matured residue `carry_in` over a window (SPEC 8.3, 8.9): one floor
/// per account.
///
/// ```
/// use bq_ledger::{FeeBasisPoints, Window, WindowUnits, distribute};
/// use bq_primitives::{AccountId, Amount};
///
/// // Three miners fill a window of two units, each unit a weight of 2^60.
/// let weights = [1_152_921_504_606_846_976, 691_752_902_764_108_185, 461_168_601_842_738_791];
/// let window = Window::from_parts(WindowUnits::DEFAULT, (1..).map(AccountId).zip(weights), 0)?;
/// let split = distribute(Amount::from_atoms(5_000_000_000)?, FeeBasisPoints::new(100)?, Amount::ZERO, &window)?;
///
/// assert_eq!(split.fee.atoms(), 50_000_000);
/// let credits: Vec<_> = split.credits.iter().map(|(_, credit)| credit.atoms()).collect();
/// assert_eq!(credits, [2_475_000_000, 1_484_999_999, 990_000_000]);
/// // Not lost: the next block of the lane splits it too.
/// assert_eq!(split.carry.atoms(), 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// [`LedgerError::Amount`] when reward and residue together leave the range of amounts.
pub fn distribute(
    reward: Amount,
    fee: FeeBasisPoints,
    carry_in: Amount,
    window: &Window,
) -> Result<Distribution, LedgerError> {
    let fee = fee.of(reward)?;
    let net = reward.checked_sub(fee)?.checked_add(carry_in)?;
    let whole = window.whole();
    let mut left = net;
    let mut take = |weight: u128| -> Result<Amount, LedgerError> {
        let part = part_of(net, weight, whole)?;
        left = left.checked_sub(part)?;
        Ok(part)
    };
    let mut credits = Vec::new();
    for (account, weight) in window.weights() {
        let credit = take(weight)?;
        if credit > Amount::ZERO {
            credits.push((account, credit));
        }
    }
    let seed = take(window.seed())?;
    Ok(Distribution { fee, credits, seed, carry: left, payees: window.payees() })
}

/// `floor(net * part / whole)`, exact whatever their width. With PPLNS the product stays below 2^53 * 2^66 = 2^119, with TIDES
/// below 2^53 * 2^102 = 2^155, which 256 bits hold.
fn part_of(net: Amount, part: u128, whole: u128) -> Result<Amount, LedgerError> {
    let quotient = match u128::from(net.atoms()).checked_mul(part) {
        Some(product) => product.checked_div(whole),
        None => wide_part(net, part, whole),
    };
    amount(quotient.ok_or(LedgerError::Overflow)?)
}

/// As [`part_of`], where the product has more than 128 bits.
fn wide_part(net: Amount, part: u128, whole: u128) -> Option<u128> {
    let product = U256::from(net.atoms()).checked_mul(U256::from(part))?;
    u128::try_from(product.checked_div(U256::from(whole))?).ok()
}

fn amount(atoms: u128) -> Result<Amount, LedgerError> {
    let atoms = u64::try_from(atoms).map_err(|_| LedgerError::Overflow)?;
    Ok(Amount::from_atoms(atoms)?)
}
