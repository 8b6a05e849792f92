use std::{io, os::unix::net::UnixStream, path::PathBuf, time::Duration};

use bq_pool::{LogReader, PayoutSigner, PayoutToSign, SignerError};
use bq_pool_machine::LogHead;
use bq_pool_proof::{SignedStatement, Statement};
use bq_primitives::{BlockId, KeyHash, Network, Transaction, TxOut};
use bq_signer::{
    Adoption, Answer, Asked, AskedStatement, Follow, Hello, Question, Standing, Told, check_signed, check_stated,
};

use crate::{identity::KnownSigner, line::Line};

/// Where a pool's signer is.
#[derive(Clone, Debug)]
pub struct RemoteConfig {
    /// The chain.
    pub network: Network,
    /// Its first block.
    pub genesis: BlockId,
    /// Where the signer listens.
    pub socket: PathBuf,
    /// Where the pool keeps whose signer it is.
    pub identity_file: PathBuf,
    /// How long one question may take.
    pub patience: Duration,
}

/// The pool's end: has another process sign, and believes it nothing.
#[derive(Debug)]
pub struct RemoteSigner {
    config: RemoteConfig,
    known: KnownSigner,
}

/// Events told with one message at most.
const EVENTS_AT_ONCE: usize = 1000;
/// Bytes of events and shares after which a message ends.
const BYTES_AT_ONCE: usize = 4 << 20;

impl RemoteSigner {
    /// As it was known before; the first time the signer has to answer.
    ///
    /// # Errors
    /// It is asked for the first time and is away, or what was kept of it cannot be read.
    pub fn open(config: RemoteConfig) -> Result<Self, SignerError> {
        let file = |error: io::Error| SignerError(format!("{}: {error}", config.identity_file.display()));
        let known = match KnownSigner::read(&config.identity_file).map_err(file)? {
            Some(known) => known,
            None => {
                let (_, standing) = Conversation::begin(&config)?;
                let known = KnownSigner { key: standing.key, commitment_key: standing.commitment_key };
                known.write(&config.identity_file).map_err(file)?;
                known
            }
        };
        Ok(Self { config, known })
    }

    /// A conversation with the signer, told all of the log.
    fn up_to_date(&self, log: &dyn LogReader) -> Result<(Conversation, LogHead), SignerError> {
        let (mut talk, mut standing) = Conversation::begin(&self.config)?;
        if (standing.key, standing.commitment_key) != (self.known.key, self.known.commitment_key) {
            let (got, known) = (standing.key, self.known.key);
            return Err(SignerError(format!("the signer holds key {got}, it was {known}: see docs/pool.md")));
        }
        if standing.adopts
            && let Some((from, state)) = log.start()?
        {
            standing = talk.standing(&Question::Adopt(Adoption { from, state }))?;
        }
        loop {
            let told = standing.told;
            if log.hash_at(told.number)? != Some(told.hash) {
                let number = told.number;
                let reason = format!("other_log: the signer knows event {number}, which this log has not or otherwise");
                return Err(SignerError(reason));
            }
            let events: Vec<Told> = log
                .events_after(told.number, EVENTS_AT_ONCE, BYTES_AT_ONCE)?
                .into_iter()
                .map(|event| Told { event: event.bytes, shares: event.shares })
                .collect();
            if events.is_empty() {
                return Ok((talk, told));
            }
            standing = talk.standing(&Question::Follow(Follow { after: told, events }))?;
            if standing.told.number <= told.number {
                return Err(SignerError("the signer does not follow the log".to_owned()));
            }
        }
    }
}

impl PayoutSigner for RemoteSigner {
    fn key_hash(&self) -> KeyHash {
        self.known.key
    }

    fn commitment_key(&self) -> [u8; 32] {
        self.known.commitment_key
    }

    fn sign_transaction(&self, _: &BlockId, _: Transaction, _: &[TxOut]) -> Result<Transaction, SignerError> {
        Err(SignerError("the signer signs nothing but payouts of the log".to_owned()))
    }

    fn is_remote(&self) -> bool {
        true
    }

    fn follow(&self, log: &dyn LogReader) -> Result<(), SignerError> {
        self.up_to_date(log).map(|_| ())
    }

    fn sign_stated(&self, statement: &Statement, log: &dyn LogReader) -> Result<SignedStatement, SignerError> {
        let (mut talk, head) = self.up_to_date(log)?;
        let signed = match talk.ask(&Question::State(AskedStatement { head, statement: *statement }))? {
            Answer::Stated(signed) => *signed,
            other => return Err(talk.other(&other)),
        };
        check_stated(&signed, statement)
            .map_err(|error| SignerError(format!("the signer answered another statement: {error}")))?;
        Ok(signed)
    }

    fn sign_payout(&self, payout: &PayoutToSign, log: &dyn LogReader) -> Result<Transaction, SignerError> {
        let (mut talk, head) = self.up_to_date(log)?;
        let PayoutToSign { genesis, epoch, planned, unsigned, spent } = payout;
        let (planned, outputs) = (planned.clone(), unsigned.outputs.clone());
        let asked = Box::new(Asked { epoch: *epoch, head, planned, outputs });
        let bytes = match talk.ask(&Question::Sign(asked))? {
            Answer::Signed(bytes) => bytes,
            other => return Err(talk.other(&other)),
        };
        check_signed(&bytes, unsigned, genesis, spent, self.known.key)
            .map_err(|error| SignerError(format!("the signer answered other bytes: {error}")))
    }
}

/// Questions and answers on one connection.
struct Conversation {
    line: Line,
    socket: PathBuf,
    patience: Duration,
}

impl Conversation {
    fn begin(config: &RemoteConfig) -> Result<(Self, Standing), SignerError> {
        let away = |error: io::Error| SignerError(format!("no signer at {}: {error}", config.socket.display()));
        let stream = UnixStream::connect(&config.socket).map_err(away)?;
        let (line, socket) = (Line::new(stream, config.patience), config.socket.clone());
        let mut talk = Self { line, socket, patience: config.patience };
        let hello = Hello { network: config.network, genesis: config.genesis };
        let standing = talk.standing(&Question::Hello(hello))?;
        Ok((talk, standing))
    }

    fn ask(&mut self, question: &Question) -> Result<Answer, SignerError> {
        let answered = self.line.send(question).and_then(|()| self.line.receive());
        match answered {
            Ok(Some(answer)) => Ok(answer),
            Ok(None) => Err(self.failed("it closed the connection")),
            Err(error) if error.kind() == io::ErrorKind::TimedOut => {
                Err(self.failed(&format!("it has not answered within {} ms", self.patience.as_millis())))
            }
            Err(error) => Err(self.failed(&error.to_string())),
        }
    }

    fn standing(&mut self, question: &Question) -> Result<Standing, SignerError> {
        match self.ask(question)? {
            Answer::Standing(standing) => Ok(standing),
            other => Err(self.other(&other)),
        }
    }

    fn other(&self, answer: &Answer) -> SignerError {
        match answer {
            Answer::Refused { name, reason } => SignerError(format!("the signer refuses ({name}): {reason}")),
            Answer::Standing(_) | Answer::Signed(_) | Answer::Stated(_) => {
                self.failed("it answered something else than was asked")
            }
        }
    }

    fn failed(&self, what: &str) -> SignerError {
        SignerError(format!("the signer at {}: {what}", self.socket.display()))
    }
}
