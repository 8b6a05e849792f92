//! Both ends over real sockets, with a real key, on a log in memory.

use std::{
    io::{Read as _, Write as _},
    os::unix::net::{UnixListener, UnixStream},
    path::Path,
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};

use bq_mining_message::BootEpoch;
use bq_pool::{LogReader, LoggedEvent, PayoutSigner, PayoutToSign, SignerError};
use bq_pool_machine::{
    ChainBase, ChainEvent, ChainWay, Event, LaneTerms, LogHash, LogHead, LogNumber, Opened, PayoutEvent, PayoutId,
    PayoutTerms, Received, Scheme, Shares, SharesError, State, Stated, Terms, Tip, plan_withdrawal,
};
use bq_pool_proof::{Bytes, LiabilityEpoch, LiabilitySecret, LiabilityTree, SignedStatement, Statement};
use bq_primitives::{Amount, BlockId, Height, KeyHash, Network, OutPoint, Transaction, TxId, TxOut};
use bq_signature::KeyPair;
use bq_signer::{Answer, Hello, Limits, Question, Standing, read_message, write_message};
use tempfile::TempDir;

use crate::{RemoteConfig, RemoteSigner, ServerConfig, ServerError, SignerServer};

const GENESIS: BlockId = BlockId([4; 32]);
const PATIENCE: Duration = Duration::from_secs(60);

/// A key in memory.
struct Key(Arc<KeyPair>);

impl PayoutSigner for Key {
    fn key_hash(&self) -> KeyHash {
        self.0.key_hash()
    }

    fn commitment_key(&self) -> [u8; 32] {
        [6; 32]
    }

    fn sign_statement(&self, statement: &Statement) -> Result<SignedStatement, SignerError> {
        let witness = self.0.witness(&statement.signing_hash()).unwrap();
        let (public_key, signature) = (Bytes(witness.public_key.to_vec()), Bytes(witness.signature.to_vec()));
        Ok(SignedStatement { statement: *statement, public_key, signature })
    }

    fn sign_transaction(
        &self,
        genesis: &BlockId,
        mut transaction: Transaction,
        spent: &[TxOut],
    ) -> Result<Transaction, SignerError> {
        let witness = self.0.witness(&transaction.sighash(genesis, spent)).unwrap();
        transaction.witnesses = vec![witness; transaction.inputs.len()];
        Ok(transaction)
    }
}

struct NoShares;

impl Shares for NoShares {
    fn walk_back(
        &self,
        _: bq_primitives::Algorithm,
        _: bq_mining_message::SharePosition,
        _: &bq_pool_machine::Accounts,
        _: &mut dyn FnMut(&bq_pool_machine::EarnedShare) -> std::ops::ControlFlow<()>,
    ) -> Result<(), SharesError> {
        Ok(())
    }

    fn walk(
        &self,
        _: bq_mining_message::FrontEndId,
        _: std::ops::Range<bq_mining_message::ShareSequence>,
        _: &bq_pool_machine::Accounts,
        _: &mut dyn FnMut(&bq_pool_machine::EarnedShare),
    ) -> Result<(), SharesError> {
        Ok(())
    }
}

/// The log of a pool that was sent a gift, which it withdraws.
#[derive(Default)]
struct Log {
    state: State,
    heads: Vec<LogHead>,
    events: Vec<Vec<u8>>,
}

impl Log {
    fn new(key: KeyHash) -> Self {
        let mut log = Self { heads: vec![LogHead::default()], ..Self::default() };
        let opened = Opened { network: Network::Regtest, genesis: GENESIS, key, maturity: 2, horizon: 50 };
        log.append(&Event::Opened(opened));
        log.append(&Event::Terms(terms()));
        let received = (0..4).map(|index| Received {
            outpoint: OutPoint { txid: TxId([8; 32]), index },
            amount: Amount::from_atoms(10_000_000).unwrap(),
            height: Height(1),
            coinbase: false,
        });
        let base = |height, received| {
            let tip = Tip { id: BlockId([u8::try_from(height).unwrap(); 32]), height: Height(height) };
            ChainBase { tip, joined: Vec::new(), received, spent: Vec::new() }
        };
        log.append(&Event::Chain(ChainEvent::Base(base(1, received.collect()))));
        let tip = base(5, Vec::new()).tip;
        let fork = log.state.tip().unwrap();
        let way = ChainWay { fork, tip, joined: Vec::new(), received: Vec::new(), spent: Vec::new() };
        log.append(&Event::Chain(ChainEvent::Way(way)));
        log
    }

    fn append(&mut self, event: &Event) {
        let applied = self.state.apply(event, &NoShares).unwrap_or_else(|fault| panic!("{fault}"));
        self.heads.push(applied.head);
        self.events.push(applied.bytes);
    }

    fn plan(&mut self, atoms: u64) -> PayoutToSign {
        let gross = Amount::from_atoms(atoms).unwrap();
        let planned = plan_withdrawal(&self.state, KeyHash([9; 32]), gross, 1).unwrap();
        self.append(&Event::Payout(PayoutEvent::Planned(planned)));
        self.to_sign(self.state.newest_payout())
    }

    fn to_sign(&self, payout: PayoutId) -> PayoutToSign {
        let planned = self.state.payout(payout).unwrap().planned.clone();
        let key_hash = self.state.opened().unwrap().key;
        let unsigned = planned.transaction(self.state.accounts(), key_hash).unwrap();
        let spent = planned.inputs.iter().map(|input| TxOut { amount: input.amount, key_hash }).collect();
        PayoutToSign { genesis: GENESIS, epoch: BootEpoch(1), planned, unsigned, spent }
    }
}

impl LogReader for Log {
    fn hash_at(&self, number: LogNumber) -> Result<Option<LogHash>, SignerError> {
        Ok(self.heads.get(usize::try_from(number.0).unwrap()).map(|head| head.hash))
    }

    fn events_after(&self, number: LogNumber, max: usize, _: usize) -> Result<Vec<LoggedEvent>, SignerError> {
        let after = self.events[usize::try_from(number.0).unwrap()..].iter();
        // Few at a time, so that there are several messages.
        Ok(after.take(max.min(2)).map(|bytes| LoggedEvent { bytes: bytes.clone(), shares: None }).collect())
    }

    fn start(&self) -> Result<Option<(LogHead, Vec<u8>)>, SignerError> {
        Ok(Some((self.state.head(), self.state.to_bytes().unwrap())))
    }
}

fn terms() -> Terms {
    let scheme = Scheme::Pplns { window: bq_ledger::WindowUnits::DEFAULT };
    let lane = LaneTerms { scheme, fee: bq_ledger::FeeBasisPoints::new(100).unwrap() };
    let payouts = PayoutTerms {
        payout_min: Amount::from_atoms(1_000_000).unwrap(),
        payees_max: 2,
        inputs_max: 4,
        round_payouts_max: 4,
        interval_ms: 10_000,
        fee_rate: 1000,
        final_depth: 6,
        gift_min: Amount::from_atoms(50_000).unwrap(),
    };
    Terms { lanes: [lane; 3], payouts }
}

fn server_config(folder: &Path) -> ServerConfig {
    ServerConfig {
        network: Network::Regtest,
        genesis: GENESIS,
        socket: folder.join("socket"),
        state: folder.join("state"),
        limits: Limits { payout_max: Amount::MAX, day_max: Amount::MAX, statements_hour_max: 100 },
        patience: PATIENCE,
        peer_uid: None,
        adopts: false,
        connections_max: 4,
    }
}

fn remote_config(folder: &Path) -> RemoteConfig {
    RemoteConfig {
        network: Network::Regtest,
        genesis: GENESIS,
        socket: folder.join("socket"),
        identity_file: folder.join("pool-signer"),
        patience: PATIENCE,
    }
}

/// Serves until the process ends; what it holds is on disk at every answer, so that another server may read on.
fn serve(config: ServerConfig, key: &Arc<KeyPair>) {
    let server = SignerServer::open(config, Box::new(Key(Arc::clone(key)))).unwrap();
    thread::spawn(move || server.serve());
}

fn key(number: u8) -> Arc<KeyPair> {
    Arc::new(KeyPair::from_seed(&[number; 32]).unwrap())
}

#[test]
fn a_payout_is_signed_once_and_a_new_process_answers_with_the_same_bytes() {
    let (folder, key) = (TempDir::new().unwrap(), key(1));
    let mut log = Log::new(key.key_hash());
    let payout = log.plan(9_000_000);
    serve(server_config(folder.path()), &key);
    let remote = RemoteSigner::open(remote_config(folder.path())).unwrap();
    assert_eq!((remote.key_hash(), remote.commitment_key()), (key.key_hash(), [6; 32]));
    let signed = remote.sign_payout(&payout, &log).unwrap();
    // ML-DSA signs otherwise each time: equal bytes are the stored ones.
    assert_eq!(remote.sign_payout(&payout, &log).unwrap(), signed);
    std::fs::remove_file(folder.path().join("socket")).unwrap();
    serve(server_config(folder.path()), &key);
    assert_eq!(remote.sign_payout(&payout, &log).unwrap(), signed);
    let second = log.plan(3_000_000);
    assert_ne!(remote.sign_payout(&second, &log).unwrap().txid(), signed.txid());
}

#[test]
fn what_the_log_does_not_explain_is_refused_and_told_by_name() {
    let (folder, key) = (TempDir::new().unwrap(), key(2));
    let mut log = Log::new(key.key_hash());
    let payout = log.plan(9_000_000);
    let limits =
        Limits { payout_max: Amount::from_atoms(9_000_000).unwrap(), day_max: Amount::MAX, statements_hour_max: 100 };
    serve(ServerConfig { limits, ..server_config(folder.path()) }, &key);
    let remote = RemoteSigner::open(remote_config(folder.path())).unwrap();
    let refused = |payout: &PayoutToSign, log: &Log| remote.sign_payout(payout, log).unwrap_err().0;
    let mut stolen = payout.clone();
    stolen.unsigned.outputs[0].key_hash = KeyHash([1; 32]);
    assert!(refused(&stolen, &log).contains("other_content"));
    assert!(remote.sign_payout(&payout, &log).is_ok());
    let large = log.plan(9_000_001);
    assert!(refused(&large, &log).contains("payout_cap"));
    // The log is another one: shorter by what the signer has seen, and longer by something else.
    let mut other = Log::new(key.key_hash());
    let payout = other.plan(8_000_000);
    assert!(refused(&payout, &other).contains("other_log"));
    other.plan(1_000_000);
    other.plan(1_000_000);
    assert!(refused(&payout, &other).contains("other_log"));
}

#[test]
fn a_person_may_have_it_adopt_another_log() {
    let (folder, key) = (TempDir::new().unwrap(), key(3));
    let mut log = Log::new(key.key_hash());
    let payout = log.plan(9_000_000);
    serve(server_config(folder.path()), &key);
    let remote = RemoteSigner::open(remote_config(folder.path())).unwrap();
    remote.sign_payout(&payout, &log).unwrap();
    let mut other = Log::new(key.key_hash());
    let payout = other.plan(8_000_000);
    assert!(remote.sign_payout(&payout, &other).is_err());
    std::fs::remove_file(folder.path().join("socket")).unwrap();
    serve(ServerConfig { adopts: true, ..server_config(folder.path()) }, &key);
    assert!(remote.sign_payout(&payout, &other).is_ok());
    assert!(remote.sign_payout(&payout, &log).is_err(), "and the first is another one now");
}

#[test]
fn what_is_stated_is_signed_over_the_socket_and_by_a_new_process_too() {
    let (folder, key) = (TempDir::new().unwrap(), key(9));
    let mut log = Log::new(key.key_hash());
    let state = |log: &mut Log, root: Option<[u8; 32]>| {
        let epoch = LiabilityEpoch(log.state.head().number.0);
        let tree = LiabilityTree::new(&LiabilitySecret::of(&[6; 32]), epoch, log.state.owed().unwrap()).unwrap();
        let (depth, sum, root) = (tree.depth(), tree.root().sum, root.unwrap_or(tree.root().hash));
        log.append(&Event::Stated(Stated::Liabilities { epoch: epoch.0, depth, root, sum }));
        let (pool, head) = (key.key_hash(), log.state.head());
        Statement { genesis: GENESIS, pool, epoch, depth, root, sum, head }
    };
    let first = state(&mut log, None);
    serve(server_config(folder.path()), &key);
    let remote = RemoteSigner::open(remote_config(folder.path())).unwrap();
    let signed = remote.sign_stated(&first, &log).unwrap();
    assert_eq!(signed.verify(bq_signature::verify), Ok(&first));
    let refused = |statement: &Statement, log: &Log| remote.sign_stated(statement, log).unwrap_err().0;
    assert!(refused(&Statement { sum: Amount::MAX, ..first }, &log).contains("not_stated"));
    let forged = state(&mut log, Some([1; 32]));
    assert!(refused(&forged, &log).contains("other_figures"));
    std::fs::remove_file(folder.path().join("socket")).unwrap();
    serve(server_config(folder.path()), &key);
    let second = state(&mut log, None);
    assert_eq!(remote.sign_stated(&second, &log).unwrap().statement, second);
}

#[test]
fn nothing_signs_with_a_record_that_is_lost() {
    let (folder, key) = (TempDir::new().unwrap(), key(4));
    let mut log = Log::new(key.key_hash());
    let payout = log.plan(9_000_000);
    let config = server_config(folder.path());
    serve(config.clone(), &key);
    let remote = RemoteSigner::open(remote_config(folder.path())).unwrap();
    remote.sign_payout(&payout, &log).unwrap();
    std::fs::remove_file(&config.socket).unwrap();
    let record = config.state.join("record");
    let open = || SignerServer::open(config.clone(), Box::new(Key(Arc::clone(&key)))).map(|_| ());
    std::fs::write(&record, b"something else").unwrap();
    assert!(matches!(open(), Err(ServerError::Record { .. })));
    std::fs::remove_file(&record).unwrap();
    assert!(matches!(open(), Err(ServerError::RecordMissing(_))));
}

/// A signer that says who it is and then does as a test says.
fn fake(folder: &Path, key: KeyHash, answers: impl Fn(&Question) -> Option<Answer> + Send + 'static) {
    let listener = UnixListener::bind(folder.join("socket")).unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let told = Mutex::new(LogHead::default());
            while let Some(question) = hear(&mut stream) {
                let standing = || Standing { key, commitment_key: [6; 32], told: *told.lock().unwrap(), adopts: false };
                let answer = match &question {
                    Question::Follow(follow) => {
                        let mut told = told.lock().unwrap();
                        follow.events.iter().for_each(|event| *told = told.after(&event.event));
                        drop(told);
                        Some(Answer::Standing(standing()))
                    }
                    Question::Hello(_) => Some(Answer::Standing(standing())),
                    question => answers(question),
                };
                let Some(answer) = answer else { break };
                let bytes = write_message(&answer).unwrap();
                stream.write_all(&u32::try_from(bytes.len()).unwrap().to_be_bytes()).unwrap();
                stream.write_all(&bytes).unwrap();
            }
        }
    });
}

fn hear(stream: &mut UnixStream) -> Option<Question> {
    let mut length = [0; 4];
    stream.read_exact(&mut length).ok()?;
    let mut bytes = vec![0; usize::try_from(u32::from_be_bytes(length)).unwrap()];
    stream.read_exact(&mut bytes).ok()?;
    Some(read_message(&bytes).unwrap())
}

#[test]
fn other_bytes_are_never_taken_for_the_payout() {
    let (pool, thief) = (key(5), key(6));
    let mut log = Log::new(pool.key_hash());
    let payout = log.plan(9_000_000);
    let good = Key(pool.clone()).sign_transaction(&GENESIS, payout.unsigned.clone(), &payout.spent).unwrap();
    let by_thief = Key(thief).sign_transaction(&GENESIS, payout.unsigned.clone(), &payout.spent).unwrap();
    let mut elsewhere = payout.unsigned.clone();
    elsewhere.outputs[0].key_hash = KeyHash([1; 32]);
    let elsewhere = Key(pool.clone()).sign_transaction(&GENESIS, elsewhere, &payout.spent).unwrap();
    let other_chain = Key(pool.clone()).sign_transaction(&BlockId([5; 32]), payout.unsigned.clone(), &payout.spent);
    let mut behind = good.to_bytes();
    behind.push(0);
    let cases = [
        (by_thief.to_bytes(), "not the key's"),
        (elsewhere.to_bytes(), "was asked for"),
        (other_chain.unwrap().to_bytes(), "not the key's"),
        (behind, "behind the transaction"),
        (payout.unsigned.to_bytes(), "other bytes"),
        (Vec::new(), "no transaction"),
    ];
    for (bytes, why) in cases {
        let folder = TempDir::new().unwrap();
        fake(folder.path(), pool.key_hash(), move |_| Some(Answer::Signed(bytes.clone())));
        let remote = RemoteSigner::open(remote_config(folder.path())).unwrap();
        let error = remote.sign_payout(&payout, &log).unwrap_err().0;
        assert!(error.contains(why), "{error}");
    }
    let folder = TempDir::new().unwrap();
    let bytes = good.to_bytes();
    fake(folder.path(), pool.key_hash(), move |_| Some(Answer::Signed(bytes.clone())));
    let remote = RemoteSigner::open(remote_config(folder.path())).unwrap();
    assert_eq!(remote.sign_payout(&payout, &log).unwrap(), good);
}

#[test]
fn who_is_away_silent_or_somebody_else_is_told_in_words() {
    let (folder, key) = (TempDir::new().unwrap(), key(7));
    let mut log = Log::new(key.key_hash());
    let payout = log.plan(9_000_000);
    let config = remote_config(folder.path());
    assert!(RemoteSigner::open(config.clone()).unwrap_err().0.contains("no signer at"));
    // A silence after the hello, which a signer that is stopped keeps too.
    fake(folder.path(), key.key_hash(), |_| {
        thread::park();
        None
    });
    let silent = RemoteConfig { patience: Duration::from_millis(50), ..config.clone() };
    let remote = RemoteSigner::open(silent).unwrap();
    let error = remote.sign_payout(&payout, &log).unwrap_err().0;
    assert!(error.contains("within 50 ms"), "{error}");
    // Once known, a pool starts without it.
    std::fs::remove_file(folder.path().join("socket")).unwrap();
    let remote = RemoteSigner::open(config.clone()).unwrap();
    assert_eq!(remote.key_hash(), key.key_hash());
    assert!(remote.follow(&log).unwrap_err().0.contains("no signer at"));
    // Another one in its place.
    fake(folder.path(), KeyHash([1; 32]), |_| None);
    assert!(remote.follow(&log).unwrap_err().0.contains("the signer holds key"));
}

#[test]
fn a_message_of_any_length_and_shape_ends_its_connection_and_no_more() {
    let (folder, key) = (TempDir::new().unwrap(), key(8));
    let mut log = Log::new(key.key_hash());
    let payout = log.plan(9_000_000);
    serve(server_config(folder.path()), &key);
    let hello = write_message(&Question::Hello(Hello { network: Network::Regtest, genesis: GENESIS })).unwrap();
    for bytes in [
        vec![0xff; 4],
        vec![0, 0, 0, 0],
        vec![0, 0, 0, 3, 1, 9, 9],
        [&[0, 0, 0, 1][..], &hello].concat(),
        [&[0, 0, 0, 9][..], &[1, 1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f]].concat(),
    ] {
        let mut stream = UnixStream::connect(folder.path().join("socket")).unwrap();
        stream.write_all(&bytes).unwrap();
        let mut answer = Vec::new();
        // The connection may be reset, because not all was read.
        let _closed = stream.read_to_end(&mut answer);
        assert!(answer.is_empty(), "{bytes:?}");
    }
    let remote = RemoteSigner::open(remote_config(folder.path())).unwrap();
    assert!(remote.sign_payout(&payout, &log).is_ok());
}

/// None of them is waited for: the patience of both ends is longer than the test may take.
#[test]
fn silent_connections_and_half_messages_keep_no_pool_from_its_signer() {
    let (folder, key) = (TempDir::new().unwrap(), key(9));
    let mut log = Log::new(key.key_hash());
    let payout = log.plan(9_000_000);
    let signers = ServerConfig { patience: Duration::from_secs(3600), ..server_config(folder.path()) };
    serve(signers, &key);
    let connect = || UnixStream::connect(folder.path().join("socket")).unwrap();
    let mut half = connect();
    half.write_all(&[0, 0, 0, 9, 1]).unwrap();
    let remote = RemoteSigner::open(remote_config(folder.path())).unwrap();
    let signed = remote.sign_payout(&payout, &log).unwrap();
    let idle: Vec<UnixStream> = (0..100).map(|_| connect()).collect();
    assert_eq!(remote.sign_payout(&payout, &log).unwrap(), signed);
    // Who asked something stays when others come that ask nothing.
    let mut known = connect();
    let hello = write_message(&Question::Hello(Hello { network: Network::Regtest, genesis: GENESIS })).unwrap();
    let hello = [&u32::try_from(hello.len()).unwrap().to_be_bytes()[..], &hello].concat();
    let ask = |stream: &mut UnixStream| {
        stream.write_all(&hello).unwrap();
        let mut length = [0; 4];
        stream.read_exact(&mut length).unwrap();
        let mut answer = vec![0; usize::try_from(u32::from_be_bytes(length)).unwrap()];
        stream.read_exact(&mut answer).unwrap();
        read_message::<Answer>(&answer).unwrap()
    };
    let standing = ask(&mut known);
    assert!(matches!(standing, Answer::Standing(_)));
    let more: Vec<UnixStream> = (0..100).map(|_| connect()).collect();
    assert_eq!(ask(&mut known), standing);
    // The oldest are gone, no more than there are places were kept.
    let mut end = Vec::new();
    assert_eq!(half.read_to_end(&mut end).unwrap(), 0);
    drop((idle, more));
}
