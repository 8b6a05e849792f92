use bq_pool_machine::{Event, LogNumber, Stated};
use bq_pool_proof::{LiabilityEpoch, LiabilitySecret, LiabilityTree, Statement};
use bq_primitives::{Amount, BlockId, KeyHash};

use super::log::{GENESIS, Log, POOL, atoms, limited, signer};
use crate::{AskedStatement, Limits, Record, Signer};

const NOW: u64 = 1_800_000_000;

impl Log {
    /// The pool states what it owes; `owed` is what its tree is made of.
    fn state(&mut self, owed: impl IntoIterator<Item = (KeyHash, Amount)>) -> AskedStatement {
        let epoch = LiabilityEpoch(self.state.head().number.0);
        let tree = LiabilityTree::new(&LiabilitySecret::of(&[5; 32]), epoch, owed).expect("in range");
        let (root, depth) = (tree.root(), tree.depth());
        let (hash, sum) = (root.hash, root.sum);
        self.append(&Event::Stated(Stated::Liabilities { epoch: epoch.0, depth, root: hash, sum }));
        let head = self.state.head();
        AskedStatement {
            head,
            statement: Statement { genesis: GENESIS, pool: POOL, epoch, depth, root: hash, sum, head },
        }
    }

    fn state_all(&mut self) -> AskedStatement {
        let owed = self.state.owed().expect("in range");
        self.state(owed)
    }
}

/// A signer that heard all of a log.
fn told(log: &Log, mut signer: Signer) -> Signer {
    let follow = log.after(signer.standing().told);
    signer.follow(&follow).unwrap();
    signer
}

#[test]
fn what_the_log_states_and_its_own_books_bear_is_signed() {
    let (mut log, _) = Log::with_payout();
    let asked = log.state_all();
    let mut signer = told(&log, signer(false));
    assert_eq!(signer.judge_statement(&asked, NOW), Ok(()));
    signer.note_stated(&asked.statement, NOW);
    assert_eq!(signer.judge_statement(&asked, NOW), Ok(()), "the same once more is the same");
    // It is remembered over a restart, and a record of before there were statements is read.
    let bytes = signer.record().to_bytes();
    assert_eq!(&Record::from_bytes(&bytes).unwrap(), signer.record());
    assert_eq!(signer.record().statements.of(asked.statement.epoch), Some(asked.statement.signing_hash()));
}

#[test]
fn anything_else_is_refused_by_name() {
    let (mut log, _) = Log::with_payout();
    let good = log.state_all();
    let signer = told(&log, signer(false));
    let check = |change: &dyn Fn(&mut AskedStatement), expected: &str| {
        let mut asked = good;
        change(&mut asked);
        assert_eq!(signer.judge_statement(&asked, NOW).unwrap_err().name(), expected);
    };
    check(&|asked| asked.head.number = LogNumber(asked.head.number.0 + 1), "not_followed");
    check(&|asked| asked.head.hash.0[0] ^= 1, "other_log");
    check(&|asked| asked.statement.genesis = BlockId([1; 32]), "other_chain");
    check(&|asked| asked.statement.pool = KeyHash([1; 32]), "other_key");
    check(&|asked| asked.statement.sum = atoms(1), "not_stated");
    check(&|asked| asked.statement.root = [1; 32], "not_stated");
    check(&|asked| asked.statement.depth += 1, "not_stated");
    check(&|asked| asked.statement.epoch.0 -= 1, "not_stated");
    check(&|asked| asked.statement.head.hash.0[0] ^= 1, "not_stated");
    check(&|asked| asked.statement.head = log.heads[1], "not_stated");
    assert_eq!(signer.judge_statement(&good, NOW), Ok(()));
}

/// Its log takes a tree whose sum is right; who it leaves out, and whose balance it gives to another, only the balances show.
#[test]
fn a_tree_that_leaves_somebody_out_is_not_signed() {
    let (mut log, _) = Log::with_payout();
    let mut owed: Vec<_> = log.state.owed().expect("in range").into_iter().collect();
    assert!(owed.len() > 1);
    let (_, last) = owed.pop().expect("several");
    owed[0].1 = owed[0].1.checked_add(last).unwrap();
    let asked = log.state(owed);
    let signer = told(&log, signer(false));
    assert_eq!(signer.judge_statement(&asked, NOW).unwrap_err().name(), "other_figures");
}

#[test]
fn an_epoch_has_one_statement() {
    let (mut log, _) = Log::with_payout();
    let asked = log.state_all();
    let mut signer = told(&log, signer(false));
    signer.note_stated(&Statement { sum: atoms(1), ..asked.statement }, NOW);
    assert_eq!(signer.judge_statement(&asked, NOW).unwrap_err().name(), "stated_otherwise");
    // Of epochs before all that are remembered none is signed.
    let mut signer = told(&log, super::log::signer(false));
    for epoch in 0..64 {
        let epoch = LiabilityEpoch(asked.statement.epoch.0 + 1 + epoch);
        signer.note_stated(&Statement { epoch, ..asked.statement }, NOW - 7200);
    }
    assert_eq!(signer.judge_statement(&asked, NOW).unwrap_err().name(), "stated_otherwise");
}

#[test]
fn only_so_many_are_signed_in_an_hour_and_only_of_the_newest_events() {
    let (mut log, _) = Log::with_payout();
    let limits = Limits { payout_max: Amount::MAX, day_max: Amount::MAX, statements_hour_max: 2 };
    let mut signer = limited(limits, false);
    let first = log.state_all();
    for _ in 0..2 {
        let asked = log.state_all();
        signer = told(&log, signer);
        assert_eq!(signer.judge_statement(&asked, NOW), Ok(()));
        signer.note_stated(&asked.statement, NOW);
    }
    let asked = log.state_all();
    signer = told(&log, signer);
    assert_eq!(signer.judge_statement(&asked, NOW + 3599).unwrap_err().name(), "statement_rate");
    assert_eq!(signer.judge_statement(&asked, NOW + 3600), Ok(()));
    let none = Limits { statements_hour_max: 0, ..limits };
    assert_eq!(told(&log, limited(none, false)).judge_statement(&asked, NOW).unwrap_err().name(), "statement_rate");
    let newest = log.state_all();
    signer = told(&log, signer);
    let old = AskedStatement { head: newest.head, ..first };
    assert_eq!(signer.judge_statement(&old, NOW + 3600).unwrap_err().name(), "not_stated", "it was the fifth before");
}
