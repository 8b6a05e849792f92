use std::{
    fs, io,
    os::unix::{
        fs::PermissionsExt as _,
        net::{UnixListener, UnixStream},
    },
    path::PathBuf,
    thread,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use bq_fault_point::{FaultPoint, reach};
use bq_pool::PayoutSigner;
use bq_pool_proof::SignedStatement;
use bq_primitives::{BlockId, Network};
use bq_signer::{
    Answer, Asked, AskedStatement, Identity, Limits, Question, RecordError, Refusal, Signer, Standing, Verdict,
};
use parking_lot::Mutex;
use sha2::{Digest as _, Sha256};

use crate::{connections::Connections, line::Line, peer::may_ask, store::SignerStore};

/// How a signer is run.
#[derive(Clone, Debug)]
pub struct ServerConfig {
    /// The chain.
    pub network: Network,
    /// Its first block.
    pub genesis: BlockId,
    /// Where it listens.
    pub socket: PathBuf,
    /// Where it keeps what it signed.
    pub state: PathBuf,
    /// What may leave.
    pub limits: Limits,
    /// How long one message may take, and a silence.
    pub patience: Duration,
    /// The user whose pool may ask, besides this process's own.
    pub peer_uid: Option<u32>,
    /// It begins with the state that the pool tells it, once.
    pub adopts: bool,
    /// Connections at a time, at least one; a newer one takes the place of one that asks nothing.
    pub connections_max: usize,
}

/// The process that holds the key (SPEC 8.12). It hears several connections and answers one question at a time.
pub struct SignerServer {
    config: ServerConfig,
    listener: UnixListener,
    desk: Mutex<Desk>,
}

/// What answers.
struct Desk {
    genesis: BlockId,
    key: Box<dyn PayoutSigner>,
    signer: Signer,
    store: SignerStore,
    /// Events applied since the copy was kept.
    unkept: u64,
}

/// Why a signer does not start.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// The file system or the socket.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// Another process listens there.
    #[error("{}: another process answers there", .0.display())]
    InUse(PathBuf),
    /// What was signed is not known.
    #[error("{}: {error}: put a copy of it back; without it a payout could be signed twice", path.display())]
    Record {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        error: RecordError,
    },
    /// What was signed is not known.
    #[error(
        "{} is missing beside what was signed: put it back; without it a payout could be signed twice",
        .0.display()
    )]
    RecordMissing(PathBuf),
    /// The copy of the log cannot be read.
    #[error("{}: {why}: move it away and start once with --adopt", path.display())]
    Copy {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
}

/// Events after which the copy is written: a start has to be told at most as many again.
const EVENTS_BETWEEN_COPIES: u64 = 10_000;

impl SignerServer {
    /// Reads what it kept and listens. The folder of its state must be this process's alone.
    ///
    /// # Errors
    /// [`ServerError`].
    pub fn open(config: ServerConfig, key: Box<dyn PayoutSigner>) -> Result<Self, ServerError> {
        let store = SignerStore::open(&config.state)?;
        let identity = Identity {
            network: config.network,
            genesis: config.genesis,
            key: key.key_hash(),
            commitment_key: key.commitment_key(),
        };
        let record = store.record()?;
        store.write_record(&record)?;
        store.begin()?;
        let signer = Signer::new(identity, config.limits, config.adopts, store.copy()?, record);
        let listener = listen(&config)?;
        let desk = Mutex::new(Desk { genesis: config.genesis, key, signer, store, unkept: 0 });
        Ok(Self { config, listener, desk })
    }

    /// Answers pools until the process ends, one question after the other.
    ///
    /// # Errors
    /// The socket fails.
    pub fn serve(&self) -> io::Result<()> {
        let connections = Connections::new(self.config.connections_max);
        thread::scope(|scope| {
            loop {
                let (stream, _) = self.listener.accept()?;
                if !may_ask(&stream, self.config.peer_uid).unwrap_or(false) {
                    tracing::warn!("a connection is another user's");
                    continue;
                }
                let Ok(number) = connections.add(&stream) else { continue };
                let connections = &connections;
                let talk = move || {
                    match self.talk(stream, || connections.asked(number)) {
                        Ok(()) => {}
                        Err(error) if error.kind() == io::ErrorKind::TimedOut => {}
                        Err(error) => tracing::warn!(%error, "a pool's connection ends"),
                    }
                    connections.remove(number);
                };
                if let Err(error) = thread::Builder::new().name("signer".to_owned()).spawn_scoped(scope, talk) {
                    tracing::warn!(%error, "no thread for a connection");
                    connections.remove(number);
                }
            }
        })
    }

    /// One connection, from its first question to its last.
    fn talk(&self, stream: UnixStream, asked: impl Fn()) -> io::Result<()> {
        let mut line = Line::new(stream, self.config.patience);
        while let Some(question) = line.receive::<Question>()? {
            asked();
            let answer = self.desk.lock().answer(question).unwrap_or_else(|refusal| {
                tracing::warn!(refused = refusal.name(), reason = %refusal, "refused");
                Answer::Refused { name: refusal.name().to_owned(), reason: refusal.to_string() }
            });
            asked();
            line.send(&answer)?;
        }
        Ok(())
    }
}

impl Desk {
    fn answer(&mut self, question: Question) -> Result<Answer, Refusal> {
        match question {
            Question::Hello(hello) => self.signer.hello(&hello).map(Answer::Standing),
            Question::Follow(follow) => {
                let standing = self.signer.follow(&follow);
                self.unkept = self.unkept.saturating_add(u64::try_from(follow.events.len()).unwrap_or(u64::MAX));
                self.keep_or_mend(standing).map(Answer::Standing)
            }
            Question::Adopt(adoption) => {
                let (before, copy) = (self.signer.record().clone(), self.signer.copy().clone());
                let standing = self.signer.adopt(&adoption)?;
                let stored = self.store.write_record(self.signer.record());
                if let Err(error) = stored.and_then(|()| self.store.write_copy(self.signer.copy())) {
                    self.signer.restore_record(before);
                    self.signer.replace_copy(copy);
                    return Err(Refusal::NotStored(error.to_string()));
                }
                tracing::warn!("adopted the pool's state");
                Ok(Answer::Standing(standing))
            }
            Question::Sign(asked) => self.sign(&asked).map(Answer::Signed),
            Question::State(asked) => self.state(&asked).map(|signed| Answer::Stated(Box::new(signed))),
        }
    }

    /// A statement that the log holds and the copy's books bear. That it was signed is stored first.
    fn state(&mut self, asked: &AskedStatement) -> Result<SignedStatement, Refusal> {
        let now = now_secs();
        self.signer.judge_statement(asked, now)?;
        let signed = self.key.sign_statement(&asked.statement).map_err(|error| Refusal::KeyFails(error.to_string()))?;
        let before = self.signer.record().clone();
        self.signer.note_stated(&asked.statement, now);
        if let Err(error) = self.store.write_record(self.signer.record()) {
            self.signer.restore_record(before);
            return Err(Refusal::NotStored(error.to_string()));
        }
        tracing::info!(event = %asked.statement.head.number, sum = %asked.statement.sum, "signed a statement");
        Ok(signed)
    }

    /// Keeps the copy now and then; after a refusal it is what was kept.
    fn keep_or_mend(&mut self, standing: Result<Standing, Refusal>) -> Result<Standing, Refusal> {
        match &standing {
            Ok(_) if self.unkept >= EVENTS_BETWEEN_COPIES && self.signer.copy().is_in_step() => self.keep()?,
            Err(refusal) if refusal.tears_copy() => {
                let copy = self.store.copy().map_err(|error| Refusal::NotStored(error.to_string()))?;
                self.signer.replace_copy(copy);
            }
            _ => {}
        }
        standing
    }

    fn keep(&mut self) -> Result<(), Refusal> {
        self.store.write_copy(self.signer.copy()).map_err(|error| Refusal::NotStored(error.to_string()))?;
        self.unkept = 0;
        Ok(())
    }

    /// The bytes that were signed before, or new ones, which are stored first.
    fn sign(&mut self, asked: &Asked) -> Result<Vec<u8>, Refusal> {
        let now = now_secs();
        let verdict = self.signer.judge(asked, now)?;
        let (Verdict::Sign(to_sign) | Verdict::Again(to_sign)) = &verdict;
        let txid = to_sign.unsigned.txid();
        let stored = self.signer.record().signed_as(to_sign.payout, txid).map(|signed| signed.digest);
        if let Some(bytes) = stored.and_then(|digest| self.store.signed(txid, &digest)) {
            return Ok(bytes);
        }
        let signed = self
            .key
            .sign_transaction(&self.genesis, to_sign.unsigned.clone(), &to_sign.spent)
            .map_err(|error| Refusal::KeyFails(error.to_string()))?;
        let bytes = signed.to_bytes();
        let digest: [u8; 32] = Sha256::digest(&bytes).into();
        let before = self.signer.record().clone();
        self.signer.note_signed(asked, &verdict, digest, now);
        let stored = self.store.write_signed(txid, &bytes);
        if let Err(error) = stored.and_then(|()| self.store.write_record(self.signer.record())) {
            self.signer.restore_record(before);
            return Err(Refusal::NotStored(error.to_string()));
        }
        reach(FaultPoint::SignatureNotAnswered);
        self.store.drop_forgotten(self.signer.record());
        tracing::info!(payout = %to_sign.payout, %txid, leaves = %to_sign.leaves, "signed");
        Ok(bytes)
    }
}

/// Seconds since 1970.
fn now_secs() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// The socket, in the place of one that a process left behind.
fn listen(config: &ServerConfig) -> Result<UnixListener, ServerError> {
    let path = &config.socket;
    match UnixStream::connect(path) {
        Ok(_) => return Err(ServerError::InUse(path.clone())),
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => fs::remove_file(path)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error.into()),
    }
    let listener = UnixListener::bind(path)?;
    // Who connects is told by the system; the mode only has to let the pool's user in.
    let mode = if config.peer_uid.is_some() { 0o666 } else { 0o600 };
    fs::set_permissions(path, fs::Permissions::from_mode(mode))?;
    Ok(listener)
}
