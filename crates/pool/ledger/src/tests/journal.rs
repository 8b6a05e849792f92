use super::{model::Journal, *};
use crate::{AuditError, Auditor, Books, Cause, LedgerAccount, LedgerError, PayoutPlan, Transfer};

fn transfer(payout: u64, debit: LedgerAccount, credit: LedgerAccount, amount: u64) -> Transfer {
    Transfer { cause: Cause::PayoutReserved { payout }, debit, credit, amount: atoms(amount) }
}

const SPENDABLE: LedgerAccount = LedgerAccount::ChainSpendable;
const SUSPENSE: LedgerAccount = LedgerAccount::Suspense;

#[test]
fn a_refused_batch_changes_nothing() {
    let mut books = Books::default();
    books.apply(&[transfer(1, SPENDABLE, SUSPENSE, 5)]).expect("both sides grow");
    let before = books.clone();
    let batch = [
        transfer(2, SPENDABLE, SUSPENSE, 5),
        transfer(2, LedgerAccount::MinerPayable(A), LedgerAccount::MinerInFlight(A), 1),
    ];
    let error = books.apply(&batch).expect_err("the miner has nothing");
    let account = LedgerAccount::MinerPayable(A);
    assert_eq!(error, LedgerError::Insufficient { account, balance: 0, needed: 1 });

    assert!(matches!(books.apply(&[transfer(3, SPENDABLE, SUSPENSE, 0)]), Err(LedgerError::ZeroTransfer(_))));
    assert!(matches!(books.apply(&[transfer(3, SPENDABLE, SPENDABLE, 1)]), Err(LedgerError::SameAccount(_))));
    assert_eq!(books, before);
}

#[test]
fn every_changed_line_breaks_the_chain() {
    let mut journal = Journal::default();
    for payout in 1..=4 {
        journal.post(&[transfer(payout, SPENDABLE, SUSPENSE, payout)]).expect("both sides grow");
    }
    let audit = |lines: &[crate::ChainedTransfer]| {
        let mut auditor = Auditor::default();
        lines.iter().try_for_each(|line| auditor.line(line))?;
        auditor.check()
    };
    let report = audit(&journal.lines).expect("untouched");
    assert_eq!((report.head, report.lines, &report.books), (journal.head(), 4, &journal.books));
    for changed in 0..4_u8 {
        let position = usize::from(changed);
        let mut lines = journal.lines.clone();
        lines[position].transfer.amount = atoms(99);
        assert_eq!(audit(&lines), Err(AuditError::Chain(u64::from(changed) + 1)));
        let mut lines = journal.lines.clone();
        lines.remove(position);
        // Cutting lines off the end is what the head, published elsewhere, is for.
        assert_eq!(audit(&lines).is_err(), changed < 3);
    }
}

#[test]
fn account_names_round_trip() {
    let accounts = [
        LedgerAccount::ChainImmature(Algorithm::RandomX),
        LedgerAccount::ChainSpendable,
        LedgerAccount::ChainInFlight,
        LedgerAccount::MinerImmature(A),
        LedgerAccount::MinerPayable(AccountId(u32::MAX)),
        LedgerAccount::MinerInFlight(A),
        LedgerAccount::FeeIncome(Algorithm::Ethash),
        LedgerAccount::CarryPending(block(0xab)),
        LedgerAccount::Carry(Algorithm::Sha256d),
        LedgerAccount::Seed(Algorithm::RandomX),
        LedgerAccount::PpsImmature,
        LedgerAccount::PpsReserve,
        LedgerAccount::NetFeeExpense,
        LedgerAccount::OrphanLoss,
        LedgerAccount::Suspense,
        LedgerAccount::WithdrawalInFlight,
        LedgerAccount::GiftIncome,
        LedgerAccount::Missing,
        LedgerAccount::WriteOff,
        LedgerAccount::ChainCold,
        LedgerAccount::ChainArriving,
    ];
    for account in accounts {
        assert_eq!(account.to_string().parse(), Ok(account));
    }
    for text in ["", "miner_payable", "miner_payable:", "miner_payable:007", "miner_payable:+7", "carry:scrypt", "x:1"]
    {
        assert!(text.parse::<LedgerAccount>().is_err(), "{text}");
    }
}

#[test]
fn causes_round_trip() {
    let block = block(7);
    let causes = [
        Cause::BlockCredited { block, generation: 0 },
        Cause::BlockMatured { block, generation: 1 },
        Cause::BlockOrphaned { block, generation: 2 },
        Cause::BlockLost { block, generation: 3 },
        Cause::BlockRegained { block, generation: 3 },
        Cause::PpsCredited { algorithm: Algorithm::Ethash, segment: u64::MAX },
        Cause::PpsIncome { block, generation: 4 },
        Cause::PayoutReserved { payout: 1 },
        Cause::PayoutFinal { payout: u64::MAX },
        Cause::PayoutVoid { payout: 2 },
        Cause::PayoutReturned { payout: 2, generation: 1 },
        Cause::PayoutAdopted { payout: 3 },
        Cause::GiftBooked { event: 4 },
        Cause::SpentOutside { event: 5 },
        Cause::OutsideUndone { event: 6 },
        Cause::Filled { fill: bq_primitives::TxId([8; 32]), event: 8 },
        Cause::FillBuried { fill: bq_primitives::TxId([8; 32]), event: 9 },
        Cause::FillUndone { fill: bq_primitives::TxId([8; 32]), event: 10 },
        Cause::Operator { event: 7 },
    ];
    for cause in causes {
        assert_eq!(Cause::from_parts(cause.code(), &cause.subject(), cause.generation()), Some(cause));
    }
    assert_eq!(Cause::from_parts(crate::TransferCode(90), "1", 1), None);
    assert_eq!(Cause::from_parts(crate::TransferCode(30), "01", 0), None);
    assert_eq!(Cause::from_parts(crate::TransferCode(20), "ethash:1", 1), None);
    for subject in ["ethash", "ethash:", "ethash:01", "ethash:1:2", ":1", "scrypt:1"] {
        assert_eq!(Cause::from_parts(crate::TransferCode(20), subject, 0), None, "{subject}");
    }
}

#[test]
fn a_payout_never_pays_nothing() {
    let due = vec![(A, atoms(10)), (B, atoms(1000))];
    assert!(matches!(PayoutPlan::new(due, atoms(20)), Err(LedgerError::FeeAboveAmount { account: A, .. })));
    assert_eq!(PayoutPlan::new(vec![], atoms(20)), Err(LedgerError::NoPayees));
}
