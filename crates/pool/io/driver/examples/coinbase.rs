//! How long it takes to make the coinbases of one template that pay many miners: window, split, outputs, transaction, roots of three
//! headers. `cargo run --release -p bq-pool --example coinbase`.
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a measurement ends at the first surprise, and prints")]

use std::{sync::Arc, time::Instant};

use bq_chain_api::{Template, TemplateWork};
use bq_ledger::{FeeBasisPoints, ShareWeight, SlidingWindow, WindowUnits};
use bq_pool_machine::{DirectTerms, Event, LaneTerms, NewAccount, Opened, PayoutTerms, Scheme, State, Terms};
use bq_primitives::{
    AccountId, Algorithm, Amount, BlockId, BlockWeight, CoinbasePaths, CompactTarget, Header, Height, KeyHash,
    MerkleRoot, Network, PowKey, Target, Timestamp, Transaction, TxId, TxOut, UnsealedBody, WtxId,
};

const POOL: KeyHash = KeyHash([0xaa; 32]);
/// Transactions behind the coinbase.
const OTHERS: u32 = 750;
const ROUNDS: u32 = 200;

struct NoShares;

impl bq_pool_machine::Shares for NoShares {
    fn walk_back(
        &self,
        _: Algorithm,
        _: bq_mining_message::SharePosition,
        _: &bq_pool_machine::Accounts,
        _: &mut dyn FnMut(&bq_pool_machine::EarnedShare) -> std::ops::ControlFlow<()>,
    ) -> Result<(), bq_pool_machine::SharesError> {
        Ok(())
    }

    fn walk(
        &self,
        _: bq_mining_message::FrontEndId,
        _: std::ops::Range<bq_mining_message::ShareSequence>,
        _: &bq_pool_machine::Accounts,
        _: &mut dyn FnMut(&bq_pool_machine::EarnedShare),
    ) -> Result<(), bq_pool_machine::SharesError> {
        Ok(())
    }
}

fn main() {
    for (payees, shares) in [(500, 5_000), (500, 1_000_000), (5_000, 50_000), (5_000, 1_000_000)] {
        measure(payees, shares);
    }
}

fn measure(payees: u32, shares: u32) {
    let state = state(payees);
    let weight = ShareWeight::from_parts(ShareWeight::ONE.parts() / u64::from(shares) * 2).unwrap();
    let mut window = SlidingWindow::new(WindowUnits::DEFAULT);
    let started = Instant::now();
    for share in 0..shares {
        // Neighbours are not of one account: the costly case.
        window.push_newer(AccountId(1 + share * 7 % payees), weight);
    }
    let share_ns = started.elapsed().as_nanos() / u128::from(shares);
    let mut template = template();
    let (mut best, mut sum) = (f64::INFINITY, 0.0);
    for _ in 0..ROUNDS {
        let started = Instant::now();
        for lane in Algorithm::ALL {
            let terms = state.direct_terms(lane, None).unwrap();
            let basis = state.coinbase_basis(lane, terms, window.window(), true).unwrap();
            let plan = basis.plan(template.reward).unwrap();
            let key = |account| state.accounts().key(account).unwrap();
            let outputs =
                plan.outputs.iter().map(|(account, amount)| TxOut { amount: *amount, key_hash: key(*account) });
            let outputs = outputs.chain([TxOut { amount: plan.own, key_hash: POOL }]).collect();
            template.set_coinbase(lane, outputs, vec![0; 60]).unwrap();
        }
        let ms = started.elapsed().as_secs_f64() * 1000.0;
        (best, sum) = (best.min(ms), sum + ms);
    }
    let coinbase = &template.works[0].body.coinbase;
    assert_eq!(coinbase.outputs.len(), usize::try_from(payees).unwrap() + 1);
    let units = coinbase.weight().unwrap().units();
    #[expect(clippy::cast_precision_loss, reason = "a figure for people")]
    let percent = units as f64 * 100.0 / BlockWeight::MAX.units() as f64;
    println!(
        "{payees:>5} payees, {shares:>8} shares in the window: 3 coinbases in {:.2} ms (best {best:.2}), {share_ns} ns a share, \
         weight {units} ({percent:.1} % of a block)",
        sum / f64::from(ROUNDS)
    );
}

fn state(accounts: u32) -> State {
    let mut state = State::default();
    let scheme = Scheme::Direct {
        window: WindowUnits::DEFAULT,
        terms: DirectTerms { min: Amount::from_atoms(1).unwrap(), payees_max: 5_000 },
    };
    let lane = LaneTerms { scheme, fee: FeeBasisPoints::new(100).unwrap() };
    let payouts = PayoutTerms {
        payout_min: Amount::from_atoms(100_000_000).unwrap(),
        payees_max: 500,
        inputs_max: 100,
        round_payouts_max: 4,
        interval_ms: 10_000,
        fee_rate: 1_000,
        final_depth: 6,
        gift_min: Amount::from_atoms(100_000).unwrap(),
    };
    let genesis = BlockId([0; 32]);
    let opened = Opened { network: Network::Regtest, genesis, key: POOL, maturity: 10, horizon: 200 };
    let key = |account: u32| {
        let mut key = [1; 32];
        key[..4].copy_from_slice(&account.to_le_bytes());
        KeyHash(key)
    };
    let accounts = (1..=accounts).map(|number| NewAccount { account: AccountId(number), key: key(number) });
    let events = [Event::Opened(opened), Event::Terms(Terms { lanes: [lane; 3], payouts })];
    for event in events.into_iter().chain(accounts.map(Event::Account)) {
        state.apply(&event, &NoShares).unwrap();
    }
    state
}

fn template() -> Template {
    let reward = Amount::from_atoms(5_000_000_000).unwrap();
    let coinbase = Transaction::coinbase(Height(1), vec![TxOut { amount: reward, key_hash: POOL }], vec![0; 60]);
    let body = UnsealedBody { coinbase: Arc::new(coinbase), others: Arc::default() };
    let id = |number: u32| {
        let mut id = [0; 32];
        id[..4].copy_from_slice(&number.to_le_bytes());
        id
    };
    let work = |algorithm| TemplateWork {
        header: Header {
            version: 1,
            parent_id: BlockId([1; 32]),
            tx_root: MerkleRoot([0; 32]),
            witness_root: MerkleRoot([0; 32]),
            time: Timestamp(1_800_000_000),
            height: Height(1),
            bits: CompactTarget(0x207f_ffff),
            algorithm,
        },
        target: Target::MAX,
        key: PowKey::Sha256d,
        body: body.clone(),
    };
    Template {
        parent_id: BlockId([1; 32]),
        height: Height(1),
        reward,
        fees: Amount::ZERO,
        coinbase_weight_max: BlockWeight::MAX,
        paths: CoinbasePaths::of((0..OTHERS).map(|number| (TxId(id(number)), WtxId(id(number))))),
        works: Algorithm::ALL.map(work).to_vec(),
    }
}
