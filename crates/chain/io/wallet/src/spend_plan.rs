use bq_chain_api::Coin;
use bq_primitives::{Amount, BlockWeight, Height, KeyHash, OutPoint, Transaction, TxOut};

/// A fee rate in atoms per thousand weight units.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct FeeRate(pub u64);

/// One atom per weight unit: an ordinary payment costs about 900 atoms.
pub const DEFAULT_FEE_RATE: FeeRate = FeeRate(1_000);

/// The heaviest transaction a plan makes: a tenth of a block, about 700 inputs.
pub const TRANSACTION_WEIGHT_MAX: BlockWeight = BlockWeight::from_units(400_000);

impl FeeRate {
    /// The fee for a weight, rounded up; nothing when it is no amount.
    #[must_use]
    pub fn fee(self, weight: BlockWeight) -> Option<Amount> {
        Amount::from_atoms(self.0.checked_mul(weight.units())?.div_ceil(1_000)).ok()
    }
}

/// What is to be paid, from whose coins, and when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpendRequest {
    /// The outputs to make, in this order.
    pub payments: Vec<TxOut>,
    /// Where what is left goes.
    pub change: KeyHash,
    /// Paid for the weight.
    pub fee_rate: FeeRate,
    /// The tip; the transaction is meant for the block after it.
    pub tip_height: Height,
    /// Confirmations before a coinbase output may be spent.
    pub coinbase_maturity: u32,
}

/// An unsigned transaction with everything its signer needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpendPlan {
    /// Payments first, then change if there is any. Without witnesses.
    pub transaction: Transaction,
    /// The output behind each input, in input order.
    pub spent: Vec<TxOut>,
    /// What the inputs are worth above the outputs.
    pub fee: Amount,
    /// What comes back. Nothing when it would cost more to spend than it is worth: then it is part of the fee.
    pub change: Option<Amount>,
    /// The weight the transaction will have once signed.
    pub weight: BlockWeight,
}

/// No transaction can be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SpendError {
    /// No payment at all.
    #[error("nothing to pay")]
    NoPayments,
    /// A payment of zero.
    #[error("payment {0} is zero")]
    ZeroPayment(usize),
    /// The coins that can be spent now are worth less than payments and fee.
    #[error("spendable coins are worth {available} after their own fees, payments and fee need {needed}")]
    InsufficientFunds {
        /// Worth of the mature coins, each less the fee for spending it.
        available: Amount,
        /// Payments and the fee of everything but the inputs.
        needed: Amount,
    },
    /// The payment needs so many coins that the transaction would be too heavy: pay in parts.
    #[error("the transaction would weigh more than {} units", TRANSACTION_WEIGHT_MAX.units())]
    TooHeavy,
    /// A sum or a fee is above the largest amount.
    #[error("an amount is above 2^53 - 1 atoms")]
    AmountTooLarge,
}

/// Whether a coin may be spent in the block after `tip` (SPEC 6.6): an output of a coinbase only with
/// `coinbase_maturity` confirmations.
#[must_use]
pub fn is_mature(coin: &Coin, tip: Height, coinbase_maturity: u32) -> bool {
    let confirmations = tip.above(coin.height).and_then(|above| above.checked_add(1));
    !coin.is_coinbase || confirmations.is_some_and(|count| count >= coinbase_maturity)
}

impl SpendPlan {
    /// Chooses coins and fee. Takes the largest mature coins first: the fewest inputs, so the lowest fee now. Coins worth
    /// less than the fee of spending them are left alone, so a plan exists exactly when the others suffice.
    ///
    /// # Errors
    /// See [`SpendError`].
    pub fn new(coins: &[Coin], request: &SpendRequest) -> Result<Self, SpendError> {
        let bill = Bill::new(request)?;
        let chosen = choose(coins, request, &bill)?;
        let change = bill.change(&chosen)?;
        assemble(&chosen, request, change)
    }
}

/// What has to be covered.
struct Bill {
    payments: Amount,
    fee_rate: FeeRate,
    outputs: usize,
}

impl Bill {
    fn new(request: &SpendRequest) -> Result<Self, SpendError> {
        if request.payments.is_empty() {
            return Err(SpendError::NoPayments);
        }
        if let Some(zero) = request.payments.iter().position(|payment| payment.amount == Amount::ZERO) {
            return Err(SpendError::ZeroPayment(zero));
        }
        let payments = Amount::sum(request.payments.iter().map(|payment| payment.amount))
            .map_err(|_| SpendError::AmountTooLarge)?;
        Ok(Self { payments, fee_rate: request.fee_rate, outputs: request.payments.len() })
    }

    fn fee(&self, inputs: usize, extra_outputs: usize) -> Result<Amount, SpendError> {
        let weight = weight_of(inputs, self.outputs + extra_outputs)?;
        self.fee_rate.fee(weight).ok_or(SpendError::AmountTooLarge)
    }

    /// Payments and fee for that many inputs, without change.
    fn total(&self, inputs: usize) -> Result<Amount, SpendError> {
        let fee = self.fee(inputs, 0)?;
        self.payments.checked_add(fee).map_err(|_| SpendError::AmountTooLarge)
    }

    /// What one more input costs; list lengths may cost a little more, which `total` sees.
    fn fee_per_input(&self) -> Result<Amount, SpendError> {
        let weight = BlockWeight::of(36, 1).map_err(|_| SpendError::AmountTooLarge)?;
        self.fee_rate.fee(weight).ok_or(SpendError::AmountTooLarge)
    }

    /// What comes back, if it is worth more than the fee for spending it later.
    fn change(&self, chosen: &[&Coin]) -> Result<Option<Amount>, SpendError> {
        let with_change =
            self.payments.checked_add(self.fee(chosen.len(), 1)?).map_err(|_| SpendError::AmountTooLarge)?;
        let left = sum_of(chosen)?.checked_sub(with_change).unwrap_or(Amount::ZERO);
        Ok((left > self.fee_per_input()?).then_some(left))
    }
}

fn choose<'a>(coins: &'a [Coin], request: &SpendRequest, bill: &Bill) -> Result<Vec<&'a Coin>, SpendError> {
    let fee_per_input = bill.fee_per_input()?;
    let mut candidates: Vec<&Coin> = coins
        .iter()
        .filter(|coin| is_mature(coin, request.tip_height, request.coinbase_maturity))
        .filter(|coin| coin.output.amount > fee_per_input)
        .collect();
    // Ties go by name, so that the same coins always give the same plan.
    candidates.sort_by_key(|coin| (std::cmp::Reverse(coin.output.amount), coin.outpoint));
    let mut chosen = Vec::new();
    let mut worth = Amount::ZERO;
    for coin in candidates {
        chosen.push(coin);
        worth = worth.checked_add(coin.output.amount).map_err(|_| SpendError::AmountTooLarge)?;
        if weight_of(chosen.len(), bill.outputs + 1)? > TRANSACTION_WEIGHT_MAX {
            return Err(SpendError::TooHeavy);
        }
        if worth >= bill.total(chosen.len())? {
            return Ok(chosen);
        }
    }
    let inputs_fee = bill.total(chosen.len())?.checked_sub(bill.total(0)?).unwrap_or(Amount::ZERO);
    Err(SpendError::InsufficientFunds {
        available: worth.checked_sub(inputs_fee).unwrap_or(Amount::ZERO),
        needed: bill.total(0)?,
    })
}

fn assemble(chosen: &[&Coin], request: &SpendRequest, change: Option<Amount>) -> Result<SpendPlan, SpendError> {
    let mut outputs = request.payments.clone();
    outputs.extend(change.map(|amount| TxOut { amount, key_hash: request.change }));
    let paid = Amount::sum(outputs.iter().map(|output| output.amount)).map_err(|_| SpendError::AmountTooLarge)?;
    let fee = sum_of(chosen)?.checked_sub(paid).map_err(|_| SpendError::AmountTooLarge)?;
    let weight = weight_of(chosen.len(), outputs.len())?;
    let inputs: Vec<OutPoint> = chosen.iter().map(|coin| coin.outpoint).collect();
    let transaction = Transaction {
        version: 1,
        inputs,
        outputs,
        lock_height: Height::GENESIS,
        coinbase_data: Vec::new(),
        witnesses: Vec::new(),
    };
    let spent = chosen.iter().map(|coin| coin.output).collect();
    Ok(SpendPlan { transaction, spent, fee, change, weight })
}

fn sum_of(coins: &[&Coin]) -> Result<Amount, SpendError> {
    Amount::sum(coins.iter().map(|coin| coin.output.amount)).map_err(|_| SpendError::AmountTooLarge)
}

/// Weight of a signed transaction with that many inputs and outputs (SPEC 6.5).
fn weight_of(inputs: usize, outputs: usize) -> Result<BlockWeight, SpendError> {
    let list = |count: usize, each: usize| {
        let prefix = if count < 0xfd { 1 } else { 3 };
        count.checked_mul(each).and_then(|bytes| bytes.checked_add(prefix))
    };
    let base = list(inputs, 36).zip(list(outputs, 40)).and_then(|(ins, outs)| ins.checked_add(outs)?.checked_add(8));
    // More than 65,535 items do not fit TRANSACTION_WEIGHT_MAX, so a longer count prefix never matters.
    let base = base.ok_or(SpendError::TooHeavy)?;
    BlockWeight::of(base, inputs).map_err(|_| SpendError::TooHeavy)
}

#[cfg(test)]
mod tests {
    use bq_primitives::{TxId, Witness};
    use proptest::prelude::*;

    use super::*;

    const OURS: KeyHash = KeyHash([7; 32]);
    const THEIRS: KeyHash = KeyHash([8; 32]);

    fn coin(atoms: u64, height: u32, is_coinbase: bool) -> Coin {
        let amount = Amount::from_atoms(atoms).unwrap();
        Coin {
            outpoint: OutPoint { txid: TxId([1; 32]), index: 0 },
            output: TxOut { amount, key_hash: OURS },
            height: Height(height),
            is_coinbase,
        }
    }

    fn coins(atoms: &[u64]) -> Vec<Coin> {
        (0_u32..)
            .zip(atoms)
            .map(|(index, atoms)| Coin { outpoint: OutPoint { txid: TxId([1; 32]), index }, ..coin(*atoms, 1, false) })
            .collect()
    }

    fn request(payments: &[u64]) -> SpendRequest {
        let pay = |atoms: &u64| TxOut { amount: Amount::from_atoms(*atoms).unwrap(), key_hash: THEIRS };
        SpendRequest {
            payments: payments.iter().map(pay).collect(),
            change: OURS,
            fee_rate: DEFAULT_FEE_RATE,
            tip_height: Height(100),
            coinbase_maturity: 10,
        }
    }

    fn atoms(amount: Option<Amount>) -> Option<u64> {
        amount.map(Amount::atoms)
    }

    #[test]
    fn the_largest_coin_pays_and_change_comes_back() {
        let plan = SpendPlan::new(&coins(&[5_000, 90_000, 20_000]), &request(&[30_000])).unwrap();
        assert_eq!(plan.transaction.inputs, [OutPoint { txid: TxId([1; 32]), index: 1 }]);
        // 8 + (1 + 36) + (1 + 80) = 126 base bytes, one signature.
        assert_eq!(plan.weight.units(), 126 * 4 + 384);
        assert_eq!(plan.fee.atoms(), 888);
        assert_eq!(atoms(plan.change), Some(90_000 - 30_000 - 888));
        assert_eq!(plan.transaction.outputs[1].key_hash, OURS);
    }

    #[test]
    fn change_that_costs_more_than_it_is_worth_goes_to_the_fee() {
        // Without change 86 base bytes: 728 atoms; with change 888; an input costs 528.
        let exact = |left: u64| SpendPlan::new(&coins(&[10_000 + left]), &request(&[10_000]));
        assert_eq!(exact(728).unwrap().change, None);
        assert_eq!(exact(888 + 528).unwrap().change, None);
        assert_eq!(exact(888 + 528).unwrap().fee.atoms(), 888 + 528);
        assert_eq!(atoms(exact(888 + 529).unwrap().change), Some(529));
        let short = exact(727).unwrap_err();
        let (available, needed) = (10_727 - 528, 10_000 + 200);
        let amount = |atoms| Amount::from_atoms(atoms).unwrap();
        let expected = SpendError::InsufficientFunds { available: amount(available), needed: amount(needed) };
        assert_eq!(short, expected);
    }

    #[test]
    fn a_coinbase_output_needs_its_confirmations() {
        let tip = Height(100);
        // Height 91 has 10 confirmations at tip 100.
        assert!(is_mature(&coin(1, 91, true), tip, 10));
        assert!(!is_mature(&coin(1, 92, true), tip, 10));
        assert!(is_mature(&coin(1, 100, false), tip, 10));
        assert!(!is_mature(&coin(1, 101, true), tip, 10));
        let error = SpendPlan::new(&[coin(50_000, 92, true)], &request(&[1_000])).unwrap_err();
        assert!(matches!(error, SpendError::InsufficientFunds { available: Amount::ZERO, .. }));
        assert!(SpendPlan::new(&[coin(50_000, 91, true)], &request(&[1_000])).is_ok());
    }

    #[test]
    fn senseless_requests_are_named() {
        assert_eq!(SpendPlan::new(&[], &request(&[])), Err(SpendError::NoPayments));
        assert_eq!(SpendPlan::new(&[], &request(&[5, 0])), Err(SpendError::ZeroPayment(1)));
        let max = Amount::MAX.atoms();
        assert_eq!(SpendPlan::new(&[], &request(&[max, max])), Err(SpendError::AmountTooLarge));
        let dear = SpendRequest { fee_rate: FeeRate(u64::MAX), ..request(&[5]) };
        assert_eq!(SpendPlan::new(&coins(&[5]), &dear), Err(SpendError::AmountTooLarge));
        let crumbs = SpendPlan::new(&coins(&[1_000; 2_000]), &request(&[900_000]));
        assert_eq!(crumbs, Err(SpendError::TooHeavy));
    }

    /// The obvious answer: it can be paid exactly when the coins can pay it that are worth spending, some largest ones
    /// of them at a time.
    fn payable(coins: &[Coin], request: &SpendRequest) -> bool {
        let fee = |units: usize| (request.fee_rate.0 * u64::try_from(units).unwrap()).div_ceil(1_000);
        let mut worth: Vec<u64> =
            coins.iter().map(|coin| coin.output.amount.atoms()).filter(|atoms| *atoms > fee(528)).collect();
        worth.sort_unstable();
        worth.reverse();
        let payments: u64 = request.payments.iter().map(|payment| payment.amount.atoms()).sum();
        (1..=worth.len()).any(|count| {
            let weight = 4 * (10 + 40 * request.payments.len()) + 528 * count;
            worth[..count].iter().sum::<u64>() >= payments + fee(weight)
        })
    }

    proptest! {
        #[test]
        fn a_plan_keeps_every_atom_and_exists_when_it_can(
            worth in prop::collection::vec(1_u64..100_000, 0..40),
            payments in prop::collection::vec(1_u64..200_000, 1..6),
            rate in 0_u64..20_000,
        ) {
            let coins = coins(&worth);
            let request = SpendRequest { fee_rate: FeeRate(rate), ..request(&payments) };
            let plan = match SpendPlan::new(&coins, &request) {
                Ok(plan) => plan,
                Err(error) => {
                    let short = matches!(error, SpendError::InsufficientFunds { .. });
                    prop_assert!(short && !payable(&coins, &request), "{error}");
                    return Ok(());
                }
            };
            prop_assert!(payable(&coins, &request));
            let sum = |outputs: &[TxOut]| outputs.iter().map(|output| output.amount.atoms()).sum::<u64>();
            let (spent, made) = (sum(&plan.spent), sum(&plan.transaction.outputs));
            prop_assert_eq!(spent, made + plan.fee.atoms());
            prop_assert_eq!(&plan.transaction.outputs[..payments.len()], &request.payments[..]);

            // The weight is that of the signed transaction, and the fee pays it; what is overpaid is no coin.
            let witness = Witness { public_key: Box::new([0; 1952]), signature: Box::new([0; 3309]) };
            let mut signed = plan.transaction.clone();
            signed.witnesses = vec![witness; signed.inputs.len()];
            prop_assert_eq!(signed.weight().unwrap(), plan.weight);
            let least = (rate * plan.weight.units()).div_ceil(1_000);
            prop_assert!(plan.fee.atoms() >= least);
            prop_assert!(plan.fee.atoms() <= least + ((528 + 160) * rate).div_ceil(1_000));

            let mut names = plan.transaction.inputs.clone();
            names.sort_unstable();
            names.dedup();
            prop_assert_eq!(names.len(), plan.spent.len());
        }
    }
}
