use bq_pool_machine::{LogHead, Payout, PayoutId, State, Stated};
use bq_pool_proof::{LiabilitySecret, LiabilityTree, Statement};
use bq_primitives::{Amount, BlockId, KeyHash, Network, Transaction, TxOut};

use crate::{
    Adoption, Asked, AskedStatement, CopiedStatement, Follow, Hello, KeptCopy, LogCopy, Record, Refusal, SignedPayout,
    Standing,
};

/// The signer of one pool: what it knows of the log, and what it signed.
#[derive(Clone, Debug)]
pub struct Signer {
    identity: Identity,
    limits: Limits,
    adopts: bool,
    copy: LogCopy,
    record: Record,
}

/// Whose signer it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The chain.
    pub network: Network,
    /// Its first block.
    pub genesis: BlockId,
    /// Hash of its key.
    pub key: KeyHash,
    /// The secret of SPEC 8.6.10.
    pub commitment_key: [u8; 32],
}

/// What may leave the pool, network fees included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// With one payout.
    pub payout_max: Amount,
    /// Within 24 hours.
    pub day_max: Amount,
    /// Statements that are signed within an hour; none where it is 0.
    pub statements_hour_max: u32,
}

/// What comes of a wish to sign.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// This transaction may be signed.
    Sign(Box<ToSign>),
    /// It was signed before: the stored bytes are the answer. If they are lost it may be signed again.
    Again(Box<ToSign>),
}

/// A transaction that the log explains.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ToSign {
    /// Number of the payout.
    pub payout: PayoutId,
    /// Without signatures.
    pub unsigned: Transaction,
    /// The output behind each input.
    pub spent: Vec<TxOut>,
    /// What leaves the pool with it.
    pub leaves: Amount,
}

impl Signer {
    /// A signer with what it kept.
    #[must_use]
    pub const fn new(identity: Identity, limits: Limits, adopts: bool, copy: LogCopy, record: Record) -> Self {
        Self { identity, limits, adopts, copy, record }
    }

    /// What it signed.
    #[must_use]
    pub const fn record(&self) -> &Record {
        &self.record
    }

    /// Its copy of the log.
    #[must_use]
    pub const fn copy(&self) -> &LogCopy {
        &self.copy
    }

    /// Puts a copy that was read anew in the place of one that a refusal left torn.
    pub fn replace_copy(&mut self, copy: LogCopy) {
        self.copy = copy;
    }

    /// Drops shares that no window can want any more, as it does by itself now and then.
    pub fn drop_old_shares(&mut self) {
        self.copy.drop_old_shares();
    }

    /// Who it is and where it stands.
    #[must_use]
    pub const fn standing(&self) -> Standing {
        let Identity { key, commitment_key, .. } = self.identity;
        Standing { key, commitment_key, told: self.copy.told(), adopts: self.adopts }
    }

    /// A pool begins to talk.
    ///
    /// # Errors
    /// [`Refusal::OtherChain`].
    pub fn hello(&self, hello: &Hello) -> Result<Standing, Refusal> {
        let is_ours = (hello.network, hello.genesis) == (self.identity.network, self.identity.genesis);
        if is_ours { Ok(self.standing()) } else { Err(Refusal::OtherChain) }
    }

    /// The next events of the log.
    ///
    /// # Errors
    /// See [`LogCopy::tell`]; [`Refusal::OtherLog`] where the log is another one than that of the newest signature. See
    /// [`Refusal::tears_copy`].
    pub fn follow(&mut self, follow: &Follow) -> Result<Standing, Refusal> {
        if follow.after != self.copy.told() {
            return Err(Refusal::OtherLog(follow.after.number));
        }
        for told in &follow.events {
            self.copy.tell(told)?;
            let (at, signed) = (self.copy.told(), self.record.head);
            if at.number == signed.number && at != signed {
                return Err(Refusal::OtherLog(at.number));
            }
        }
        Ok(self.standing())
    }

    /// Begins with a state of the pool, once, if a person allowed it.
    ///
    /// # Errors
    /// [`Refusal::NotAllowed`]; what cannot be read, or is another pool's.
    pub fn adopt(&mut self, adoption: &Adoption) -> Result<Standing, Refusal> {
        if !self.adopts {
            return Err(Refusal::NotAllowed);
        }
        let kept = KeptCopy { from: adoption.from, state: adoption.state.clone() };
        let number = adoption.from.number;
        let copy = LogCopy::read(&kept).map_err(|fault| Refusal::EventRefused { number, fault })?;
        self.check_owner(copy.state())?;
        copy.state().check().map_err(Refusal::BooksUnsound)?;
        self.record.adopt(copy.state());
        self.copy = copy;
        self.adopts = false;
        Ok(self.standing())
    }

    /// Whether it signs, in the order of SPEC 8.12.5.
    ///
    /// # Errors
    /// The first [`Refusal`] that holds.
    pub fn judge(&self, asked: &Asked, now_secs: u64) -> Result<Verdict, Refusal> {
        self.check_log(asked.head)?;
        if asked.epoch < self.record.epoch {
            return Err(Refusal::StaleEpoch { got: asked.epoch, newest: self.record.epoch });
        }
        let payout = self.open_payout(asked)?;
        let to_sign = Box::new(self.explained(asked, payout)?);
        self.copy.state().check().map_err(Refusal::BooksUnsound)?;
        if self.record.signed_as(to_sign.payout, to_sign.unsigned.txid()).is_some() {
            return Ok(Verdict::Again(to_sign));
        }
        self.check_limits(&to_sign, now_secs)?;
        Ok(Verdict::Sign(to_sign))
    }

    /// Whether it signs a statement, in the order of SPEC 8.12.11: only what the log states, and the books of its own copy bear.
    ///
    /// # Errors
    /// The first [`Refusal`] that holds.
    pub fn judge_statement(&self, asked: &AskedStatement, now_secs: u64) -> Result<(), Refusal> {
        self.check_log(asked.head)?;
        let statement = &asked.statement;
        let Identity { genesis, key, .. } = self.identity;
        if statement.genesis != genesis {
            return Err(Refusal::OtherChain);
        }
        if statement.pool != key {
            return Err(Refusal::OtherKey { log: statement.pool, signer: key });
        }
        let number = statement.head.number;
        let stated = self.copy.stated_at(statement.head).ok_or(Refusal::NotStated(number))?;
        let Statement { epoch, depth, root, sum, .. } = *statement;
        if stated.stated != (Stated::Liabilities { epoch: epoch.0, depth, root, sum }) {
            return Err(Refusal::NotStated(number));
        }
        if !self.bears(stated, statement) {
            return Err(Refusal::OtherFigures(epoch.0));
        }
        let statements = &self.record.statements;
        let is_another = statements.of(epoch).is_some_and(|signed| signed != statement.signing_hash());
        if is_another || statements.is_closed(epoch) {
            return Err(Refusal::StatedOtherwise(epoch.0));
        }
        let (signed, max) = (statements.within_an_hour(now_secs), self.limits.statements_hour_max);
        let has_room = u32::try_from(signed).is_ok_and(|signed| signed < max);
        if has_room { Ok(()) } else { Err(Refusal::StatementRate { signed, max }) }
    }

    /// Whether the tree of what the copy's own books owe is the one that is stated: nobody is left out, and nobody's balance is less.
    fn bears(&self, stated: &CopiedStatement, statement: &Statement) -> bool {
        let secret = LiabilitySecret::of(&self.identity.commitment_key);
        let owed = stated.owed.iter().map(|(key, amount)| (*key, *amount));
        let tree = LiabilityTree::new(&secret, statement.epoch, owed);
        tree.is_ok_and(|tree| {
            (tree.depth(), tree.root().hash, tree.root().sum) == (statement.depth, statement.root, statement.sum)
        })
    }

    /// A statement was signed: what is to be on disk before the signature leaves.
    pub fn note_stated(&mut self, statement: &Statement, now_secs: u64) {
        self.record.statements.note(statement, now_secs);
    }

    /// The transaction of a verdict was signed: what is to be on disk before the signature leaves.
    pub fn note_signed(&mut self, asked: &Asked, verdict: &Verdict, digest: [u8; 32], now_secs: u64) {
        let (Verdict::Sign(to_sign) | Verdict::Again(to_sign)) = verdict;
        let signed = SignedPayout { txid: to_sign.unsigned.txid(), digest, leaves: to_sign.leaves };
        self.record.note(to_sign.payout, signed, now_secs);
        self.record.epoch = asked.epoch;
        self.record.head = asked.head;
        self.record.forget(self.copy.state());
    }

    /// Puts a record back that could not be stored.
    pub fn restore_record(&mut self, record: Record) {
        self.record = record;
    }

    fn check_log(&self, head: LogHead) -> Result<(), Refusal> {
        let (got, signed, told) = (head.number, self.record.head.number, self.copy.told());
        if got < signed {
            return Err(Refusal::LogBehind { got, signed });
        }
        if head != told || !self.copy.is_in_step() {
            let is_other = got == told.number && self.copy.is_in_step();
            return Err(if is_other {
                Refusal::OtherLog(got)
            } else {
                Refusal::NotFollowed { got, told: told.number }
            });
        }
        self.check_owner(self.copy.state())
    }

    fn check_owner(&self, state: &State) -> Result<(), Refusal> {
        let Some(opened) = state.opened() else { return Ok(()) };
        let Identity { network, genesis, key, .. } = self.identity;
        if (opened.network, opened.genesis) != (network, genesis) {
            return Err(Refusal::OtherChain);
        }
        if opened.key == key { Ok(()) } else { Err(Refusal::OtherKey { log: opened.key, signer: key }) }
    }

    fn open_payout(&self, asked: &Asked) -> Result<&Payout, Refusal> {
        let number = asked.planned.id;
        let payout = self.copy.state().payout(number).filter(|payout| payout.is_open());
        let payout = payout.ok_or(Refusal::NotPlanned(number))?;
        if self.record.is_closed(number) {
            return Err(Refusal::Closed(number));
        }
        // Transactions of one payout spend the same coins: one of them confirms at most.
        let is_other = |txid| !self.copy.state().is_transaction_of(payout, txid);
        match self.record.signed(number).iter().find(|signed| is_other(signed.txid)) {
            Some(signed) => {
                Err(Refusal::SignedOtherwise { payout: number, got: payout.planned.txid, signed: signed.txid })
            }
            None => Ok(payout),
        }
    }

    /// The transaction as the signer's own state has it, if that is the one asked for.
    fn explained(&self, asked: &Asked, payout: &Payout) -> Result<ToSign, Refusal> {
        let planned = &payout.planned;
        let other = || Refusal::OtherContent(planned.id);
        let key_hash = self.identity.key;
        let unsigned = planned.transaction(self.copy.state().accounts(), key_hash).ok_or_else(other)?;
        let is_it = asked.planned == *planned && asked.outputs == unsigned.outputs && unsigned.txid() == planned.txid;
        if !is_it {
            return Err(other());
        }
        let spent = planned.inputs.iter().map(|input| TxOut { amount: input.amount, key_hash }).collect();
        let leaves = planned.spent().and_then(|spent| spent.checked_sub(planned.change)).map_err(|_| other())?;
        Ok(ToSign { payout: planned.id, unsigned, spent, leaves })
    }

    fn check_limits(&self, to_sign: &ToSign, now_secs: u64) -> Result<(), Refusal> {
        let ToSign { payout, leaves: amount, .. } = *to_sign;
        let Limits { payout_max, day_max, .. } = self.limits;
        if amount > payout_max {
            return Err(Refusal::PayoutCap { payout, amount, max: payout_max });
        }
        let left = self.record.left_within_a_day(now_secs);
        if left.saturating_add(self.record.more_leaves(payout, amount)) > day_max.atoms() {
            let left = Amount::from_atoms(left).unwrap_or(Amount::MAX);
            return Err(Refusal::DayCap { payout, amount, left, max: day_max });
        }
        Ok(())
    }
}
