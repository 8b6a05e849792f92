use std::{
    collections::HashSet,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use bq_chain_api::{BoxStream, Template, TemplateWork};
use bq_mining_message::{
    AccountScheme, AuthorizeError, PoolApi, PoolTemplate, RecordShareError, SchemePays, Share, SharePay, ShareReject,
};
use bq_primitives::{
    Address, Algorithm, Amount, Block, BlockId, BlockWeight, CoinbasePaths, CompactTarget, Header, Height, KeyHash,
    MerkleRoot, Network, PowKey, Target, Timestamp, Transaction, UnsealedBody, WorkerName,
};
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio_stream::{StreamExt as _, wrappers::WatchStream};

/// Remembers what it was told.
pub(crate) struct FakePool {
    target: Target,
    key: BlockId,
    templates: watch::Sender<Option<Arc<Template>>>,
    shares: Mutex<Vec<(Share, Option<Block>)>>,
    rejected: Mutex<Vec<ShareReject>>,
    fails: AtomicBool,
    panics: AtomicBool,
    solo: Mutex<HashSet<KeyHash>>,
}

impl FakePool {
    pub(crate) fn new(target: Target, key: BlockId) -> Self {
        Self {
            target,
            key,
            templates: watch::channel(None).0,
            shares: Mutex::default(),
            rejected: Mutex::default(),
            fails: AtomicBool::new(false),
            panics: AtomicBool::new(false),
            solo: Mutex::default(),
        }
    }

    /// A template on a tip, told apart from others on it by its body.
    pub(crate) fn set_tip(&self, tip: u8, body: u8) {
        let coinbase = Transaction {
            version: u32::from(body),
            inputs: vec![],
            outputs: vec![],
            lock_height: Height(0),
            coinbase_data: vec![],
            witnesses: vec![],
        };
        let unsealed = UnsealedBody { coinbase: Arc::new(coinbase), others: Arc::default() };
        let work = |algorithm| TemplateWork {
            header: Header {
                version: 1,
                parent_id: BlockId([tip; 32]),
                tx_root: MerkleRoot([body; 32]),
                witness_root: MerkleRoot([body; 32]),
                time: Timestamp(1_800_000_000),
                height: Height(u32::from(tip) + 1),
                bits: CompactTarget(0x207f_ffff),
                algorithm,
            },
            target: self.target,
            key: match algorithm {
                Algorithm::Sha256d => PowKey::Sha256d,
                Algorithm::RandomX => PowKey::RandomX(self.key),
                Algorithm::Ethash => PowKey::Ethash(0),
            },
            body: unsealed.clone(),
        };
        self.templates.send_replace(Some(Arc::new(Template {
            parent_id: BlockId([tip; 32]),
            height: Height(u32::from(tip) + 1),
            reward: Amount::default(),
            fees: Amount::default(),
            coinbase_weight_max: BlockWeight::MAX,
            paths: CoinbasePaths::default(),
            works: Algorithm::ALL.map(work).to_vec(),
        })));
    }

    pub(crate) fn shares(&self) -> Vec<(Share, Option<Block>)> {
        self.shares.lock().clone()
    }

    pub(crate) fn rejected(&self) -> Vec<ShareReject> {
        self.rejected.lock().clone()
    }

    /// This account is paid by its blocks from now on.
    pub(crate) fn choose_solo(&self, payee: KeyHash) {
        self.solo.lock().insert(payee);
    }

    /// The next share makes the thread that books it panic.
    pub(crate) fn panic_once(&self) {
        self.panics.store(true, Ordering::SeqCst);
    }

    pub(crate) fn fail_records(&self, fails: bool) {
        self.fails.store(fails, Ordering::SeqCst);
    }
}

/// Accounts from this byte on are paid by the blocks that they find, and work on a body of their own.
pub(crate) const SOLO_FROM: u8 = 200;
/// What that body's header has.
pub(crate) const OWN_ROOT: MerkleRoot = MerkleRoot([0x5a; 32]);

fn by_scheme(shared: Arc<Template>) -> PoolTemplate {
    let mut own = Template::clone(&shared);
    for work in &mut own.works {
        work.header.tx_root = OWN_ROOT;
    }
    let mut pays = SchemePays::default();
    Algorithm::ALL.into_iter().for_each(|lane| pays.set(AccountScheme::Solo, lane, SharePay::Solo));
    PoolTemplate { shared, own: Some(Arc::new(own)), pays }
}

impl PoolApi for FakePool {
    fn authorize(&self, address: &str) -> Result<KeyHash, AuthorizeError> {
        if address == "own" {
            return Err(AuthorizeError::OwnAddress);
        }
        if let Ok(address) = Address::parse(address, Network::Devnet) {
            return Ok(address.key_hash);
        }
        let number = address.strip_prefix("addr").and_then(|number| number.parse().ok());
        number.map(|byte| KeyHash([byte; 32])).ok_or_else(|| AuthorizeError::Address("not an address".to_owned()))
    }

    fn template(&self) -> Option<Arc<Template>> {
        self.templates.borrow().clone()
    }

    fn scheme_of(&self, payee: KeyHash) -> AccountScheme {
        let is_solo = payee.0[0] >= SOLO_FROM || self.solo.lock().contains(&payee);
        if is_solo { AccountScheme::Solo } else { AccountScheme::Pplns }
    }

    fn schemes_version(&self) -> u64 {
        self.solo.lock().len() as u64
    }

    fn templates(&self) -> BoxStream<'static, Arc<PoolTemplate>> {
        let by_scheme = |template| Arc::new(by_scheme(template));
        Box::pin(WatchStream::new(self.templates.subscribe()).filter_map(move |template| template.map(by_scheme)))
    }

    fn record_share(&self, share: Share, block: Option<Block>) -> Result<(), RecordShareError> {
        assert!(!self.panics.swap(false, Ordering::SeqCst), "the books fell over");
        if self.fails.load(Ordering::SeqCst) {
            return Err(RecordShareError::Log("disk full".to_owned()));
        }
        self.shares.lock().push((share, block));
        Ok(())
    }

    fn note_rejected(&self, _: KeyHash, _: &WorkerName, _: Algorithm, reason: ShareReject) {
        self.rejected.lock().push(reason);
    }
}
