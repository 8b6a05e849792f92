//! What every ledger store must do. A store for another database runs the same functions.

use bq_ledger::{LedgerAccount, PayoutPlan, ShareSequence, WindowUnits};
use tempfile::TempDir;

use super::*;
use crate::{BlockState, LedgerStore, NewPayout, PayoutId, PayoutState, Scheme, SqliteLedger, StoreError};

/// Opens the same ledger again and again.
struct Ledger {
    folder: TempDir,
}

impl Ledger {
    fn new() -> Self {
        Self { folder: tempdir().expect("a folder") }
    }

    fn open(&self) -> Box<dyn LedgerStore> {
        let path = self.folder.path().join("ledger.sqlite");
        Box::new(SqliteLedger::open(&path, NETWORK, &GENESIS).expect("a ledger"))
    }
}

#[test]
fn an_address_has_one_account_for_ever() {
    let ledger = Ledger::new();
    let store = ledger.open();
    assert_eq!(store.find_account(&address(1)).expect("readable"), None);
    assert_eq!(store.newest_account().expect("readable"), None);
    let first = store.account_for(&address(1), 7).expect("made");
    let second = store.account_for(&address(2), 7).expect("made");
    assert_ne!(first, second);
    drop(store);
    let store = ledger.open();
    assert_eq!(store.account_for(&address(1), 8).expect("found"), first);
    assert_eq!(store.find_account(&address(2)).expect("readable"), Some(second));
    assert_eq!(store.address_of(second).expect("readable"), Some(address(2)));
    assert_eq!(store.address_of(AccountId(99)).expect("readable"), None);
    assert_eq!(store.newest_account().expect("readable"), Some(second));
}

#[test]
fn terms_hold_from_their_share_on() {
    let ledger = Ledger::new();
    let store = ledger.open();
    let scheme = |bp| Scheme { fee: fee(bp), window: WindowUnits::DEFAULT };
    assert_eq!(store.scheme_at(ShareSequence(5)).expect("readable"), None);
    store.set_scheme(ShareSequence(1), scheme(100), 0).expect("written");
    store.set_scheme(ShareSequence(4), scheme(100), 0).expect("the same terms are no change");
    store.set_scheme(ShareSequence(10), scheme(200), 0).expect("written");
    let at = |sequence| store.scheme_at(ShareSequence(sequence)).expect("readable").map(|scheme| scheme.fee.get());
    assert_eq!([1, 9, 10, 99].map(at), [Some(100), Some(100), Some(200), Some(200)]);
}

#[test]
fn a_candidate_is_kept_whole_until_it_is_settled() {
    let ledger = Ledger::new();
    let store = ledger.open();
    let finder = store.account_for(&address(1), 0).expect("made");
    let stored = candidate(1, 100, Some(finder));
    store.add_candidate(&stored).expect("written");
    store.add_candidate(&candidate(1, 999, None)).expect("a known id is left as it is");
    drop(store);

    let store = ledger.open();
    assert_eq!(store.candidates_without_share().expect("readable"), vec![stored]);
    assert_eq!(store.block_bytes(&block(1)).expect("readable"), Some(vec![1; 100]));
    store.set_winning_share(&block(1), ShareSequence(44)).expect("written");
    store.set_winning_share(&block(1), ShareSequence(55)).expect("only the first answer counts");
    assert_eq!(store.candidates_without_share().expect("readable"), vec![]);
    let found = store.pool_block(&block(1)).expect("readable").expect("there");
    assert_eq!((found.state, found.winning_share), (BlockState::Found, Some(ShareSequence(44))));
    assert_eq!(store.newest_winning_share(LANE).expect("readable"), Some(ShareSequence(44)));
    assert_eq!(store.newest_winning_share(Algorithm::Ethash).expect("readable"), None);
    assert_eq!(store.block_of_coinbase(&TxId([1; 32])).expect("readable"), Some(found));

    store.add_candidate(&candidate(2, 100, None)).expect("written");
    assert_eq!(store.reject_block(&block(2)).expect("written").state, BlockState::Rejected);
    assert_eq!(store.block_bytes(&block(2)).expect("readable"), None);
    let twin = Candidate { id: block(3), ..candidate(2, 100, None) };
    store.add_candidate(&twin).expect("a block of the same template is another block");
    store.set_winning_share(&block(3), ShareSequence(45)).expect("written");
    store.credit_block(&block(3), &window(&[finder]), fee(0), 0).expect("credited");
    let credited = store.block_of_coinbase(&twin.coinbase).expect("readable").map(|block| block.id);
    assert_eq!(credited, Some(block(3)));
    assert!(matches!(store.credit_block(&block(2), &window(&[finder]), fee(0), 0), Err(StoreError::State(_))));
    assert_eq!(store.watched_blocks(Height(0)).expect("readable").len(), 2);
}

#[test]
fn a_block_is_credited_matured_and_reversed_by_its_state() {
    let ledger = Ledger::new();
    let mut store = ledger.open();
    let accounts = [1, 2].map(|number| store.account_for(&address(number), 0).expect("made"));
    let window = window(&accounts);
    let balance = |store: &dyn LedgerStore, account| store.balance(account).expect("readable");
    store.add_candidate(&candidate(1, 1000, Some(accounts[0]))).expect("written");

    // Every step is made twice and after a reopening.
    for _ in 0..2 {
        let credited = store.credit_block(&block(1), &window, fee(100), 0).expect("credited");
        assert_eq!((credited.state, credited.generation), (BlockState::Immature, 0));
        // Net 990: 1/6 each is 165, less the rounding of a third; seed 2/3.
        assert_eq!(store.miner_balances(accounts[0]).expect("readable").immature, atoms(164));
        assert_eq!(balance(&*store, LedgerAccount::Seed(LANE)), 660);
        assert_eq!(balance(&*store, LedgerAccount::CarryPending(block(1))), 2);
        store = ledger.open();
    }
    for _ in 0..2 {
        let orphaned = store.orphan_block(&block(1), 0).expect("reversed");
        assert_eq!((orphaned.state, orphaned.generation), (BlockState::Orphaned, 1));
        assert_eq!(store.totals().expect("readable"), crate::Totals::default());
        assert_eq!(balance(&*store, LedgerAccount::FeeIncome(LANE)), 0);
        store = ledger.open();
    }
    store.credit_block(&block(1), &window, fee(100), 0).expect("credited again");
    for _ in 0..2 {
        let matured = store.mature_block(&block(1), 0).expect("matured");
        assert_eq!((matured.state, matured.generation), (BlockState::Matured, 1));
        assert_eq!(store.miner_balances(accounts[1]).expect("readable").payable, atoms(164));
        assert_eq!(balance(&*store, LedgerAccount::Carry(LANE)), 2);
        assert_eq!(balance(&*store, LedgerAccount::ChainSpendable), 1000);
        assert_eq!(store.block_bytes(&block(1)).expect("readable"), None);
        store = ledger.open();
    }

    // The next block takes the residue; its orphaning gives it back.
    store.add_candidate(&candidate(2, 1000, None)).expect("written");
    store.credit_block(&block(2), &window, fee(100), 0).expect("credited");
    assert_eq!(balance(&*store, LedgerAccount::Carry(LANE)), 0);
    store.orphan_block(&block(2), 0).expect("reversed");
    assert_eq!(balance(&*store, LedgerAccount::Carry(LANE)), 2);

    // A matured block that is lost costs the pool, not the miners.
    for _ in 0..2 {
        assert_eq!(store.orphan_block(&block(1), 0).expect("booked").state, BlockState::Lost);
        assert_eq!(balance(&*store, LedgerAccount::OrphanLoss), 1000);
        assert_eq!(store.miner_balances(accounts[1]).expect("readable").payable, atoms(164));
    }
    for _ in 0..2 {
        assert_eq!(store.regain_block(&block(1), 0).expect("booked").state, BlockState::Matured);
        assert_eq!(balance(&*store, LedgerAccount::OrphanLoss), 0);
    }
    store.orphan_block(&block(1), 0).expect("lost a second time");
    assert_eq!(balance(&*store, LedgerAccount::OrphanLoss), 1000);
    assert_eq!(store.imbalance().expect("readable"), 0);
    let report = store.audit().expect("sound");
    assert_eq!(report.head, store.journal_head().expect("readable"));

    let counts = store.block_counts().expect("readable");
    let of = |state| counts.iter().find(|count| count.state == state).map(|count| (count.algorithm, count.blocks));
    assert_eq!((of(BlockState::Lost), of(BlockState::Orphaned)), (Some((LANE, 1)), Some((LANE, 1))));
    let newest: Vec<_> = store.newest_blocks(1).expect("readable").iter().map(|block| block.id).collect();
    assert_eq!(newest, [block(2)]);
}

fn planned(due: Vec<(AccountId, Amount)>, change: u64) -> NewPayout {
    let plan = PayoutPlan::new(due, atoms(10)).expect("amounts are above the fee");
    NewPayout {
        plan,
        inputs: vec![input(1, 700), input(2, 300)],
        change: atoms(change),
        txid: TxId([77; 32]),
        time_ms: 5,
    }
}

#[test]
fn a_payout_moves_from_payable_to_paid_and_survives_reopening_at_every_step() {
    let ledger = Ledger::new();
    let mut store = ledger.open();
    let accounts = [1, 2].map(|number| store.account_for(&address(number), 0).expect("made"));
    store.add_candidate(&candidate(1, 1000, None)).expect("written");
    store.credit_block(&block(1), &window(&accounts), fee(0), 0).expect("credited");
    store.mature_block(&block(1), 0).expect("matured");
    let due = store.payable(atoms(100)).expect("readable");
    assert_eq!(due, [(accounts[0], atoms(166)), (accounts[1], atoms(166))]);
    assert_eq!(store.payable(atoms(167)).expect("readable"), []);

    let reserved = store.reserve_payout(&planned(due, 668)).expect("reserved");
    assert_eq!((reserved.id, reserved.state), (PayoutId(1), PayoutState::Reserved));
    assert_eq!(store.payable(atoms(1)).expect("readable"), []);
    let balances = store.miner_balances(accounts[0]).expect("readable");
    assert_eq!((balances.payable, balances.in_flight), (Amount::ZERO, atoms(166)));
    assert!(matches!(store.mark_payout(reserved.id, PayoutState::Broadcast), Err(StoreError::State(_))));
    assert!(matches!(store.finalize_payout(reserved.id, 0), Err(StoreError::State(_))));
    drop(store);

    store = ledger.open();
    assert_eq!(store.open_payouts().expect("readable"), vec![reserved.clone()]);
    store.store_signed(reserved.id, b"signed").expect("stored");
    store.store_signed(reserved.id, b"signed").expect("the same bytes again");
    assert!(matches!(store.store_signed(reserved.id, b"others"), Err(StoreError::State(_))));
    drop(store);

    store = ledger.open();
    for state in [PayoutState::Broadcast, PayoutState::Confirmed, PayoutState::Blocked, PayoutState::Broadcast] {
        let marked = store.mark_payout(reserved.id, state).expect("marked");
        assert_eq!((marked.state, marked.signed.as_deref()), (state, Some(b"signed".as_slice())));
    }
    assert!(matches!(store.mark_payout(reserved.id, PayoutState::Final), Err(StoreError::State(_))));
    for _ in 0..2 {
        let last = store.finalize_payout(reserved.id, 0).expect("final");
        assert_eq!(last.planned, reserved.planned);
        let balances = store.miner_balances(accounts[0]).expect("readable");
        assert_eq!((balances.in_flight, balances.paid), (Amount::ZERO, atoms(161)));
        store = ledger.open();
    }
    assert_eq!(store.open_payouts().expect("readable"), vec![]);
    assert!(matches!(store.void_payout(reserved.id, 0), Err(StoreError::State(_))));
    let entries = store.payouts_of(accounts[1], 10).expect("readable");
    assert_eq!(
        entries.iter().map(|entry| (entry.net, entry.state)).collect::<Vec<_>>(),
        [(atoms(161), PayoutState::Final)]
    );
    assert_eq!(store.payout_of_txid(&TxId([77; 32])).expect("readable").map(|payout| payout.id), Some(reserved.id));
    let totals = store.totals().expect("readable");
    assert_eq!(
        (totals.miners.paid, totals.chain_spendable, totals.chain_in_flight),
        (atoms(322), atoms(668), Amount::ZERO)
    );
    store.audit().expect("sound");
}

#[test]
fn a_void_payout_is_payable_again() {
    let ledger = Ledger::new();
    let store = ledger.open();
    let account = store.account_for(&address(1), 0).expect("made");
    store.add_candidate(&candidate(1, 1000, None)).expect("written");
    store.credit_block(&block(1), &window(&[account]), fee(0), 0).expect("credited");
    store.mature_block(&block(1), 0).expect("matured");
    let due = store.payable(atoms(1)).expect("readable");
    let payout = store.reserve_payout(&planned(due.clone(), 834)).expect("reserved");
    for _ in 0..2 {
        assert_eq!(store.void_payout(payout.id, 0).expect("void").state, PayoutState::Void);
        assert_eq!(store.payable(atoms(1)).expect("readable"), due);
    }
    assert_eq!(store.payouts_of(account, 10).expect("readable"), []);
    store.audit().expect("sound");
}

#[test]
fn a_payout_above_what_there_is_stops_the_writer() {
    let ledger = Ledger::new();
    let store = ledger.open();
    let account = store.account_for(&address(1), 0).expect("made");
    let error = store.reserve_payout(&planned(vec![(account, atoms(166))], 0)).expect_err("nothing is payable");
    assert!(matches!(error, StoreError::Integrity { .. }) && error.needs_a_person(), "{error}");
    assert_eq!(store.open_payouts().expect("readable"), vec![]);
    assert!(matches!(store.account_for(&address(2), 0), Err(StoreError::Integrity { .. })));
    assert_eq!(store.find_account(&address(1)).expect("reading goes on"), Some(account));
}
