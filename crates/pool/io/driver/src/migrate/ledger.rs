//! Reads the older `ledger.sqlite`, and checks it the way the software that wrote it did: the file, its owner, the hash chain of
//! the journal, balances against the journal, payouts against the journal.

use std::{collections::BTreeMap, path::Path};

use bq_ledger::{
    AuditReport, Auditor, Cause, ChainedTransfer, FeeBasisPoints, JournalHash, LedgerAccount, Payee, PayoutPlan,
    Transfer, TransferCode, WindowUnits,
};
use bq_mining_message::ShareSequence;
use bq_pool_machine::{
    BlockState, Line, NewAccount, Opened, PayoutId, PayoutInput, PayoutKind, PayoutState, PlannedPayout,
};
use bq_primitives::{AccountId, Address, Algorithm, Amount, BlockId, Height, OutPoint, TxId};
use rusqlite::{Connection, OpenFlags, Row};

use super::Reason;

/// Marks files of the older software: "BQLG".
const APPLICATION_ID: i64 = 0x4251_4c47;
const VERSION: i64 = 1;

/// The older ledger, open for reading.
pub(super) struct OldLedger {
    connection: Connection,
}

/// What is read from it besides the journal.
pub(super) struct Content {
    pub(super) accounts: BTreeMap<AccountId, NewAccount>,
    /// The newest terms: fee and window.
    pub(super) scheme: Option<(FeeBasisPoints, WindowUnits)>,
    /// Without those that the node had refused.
    pub(super) blocks: Vec<OldBlock>,
    pub(super) payouts: Vec<OldPayout>,
}

/// A block of the pool.
pub(super) struct OldBlock {
    pub(super) id: BlockId,
    pub(super) height: Height,
    pub(super) algorithm: Algorithm,
    pub(super) reward: Amount,
    pub(super) coinbase: TxId,
    pub(super) time: u64,
    pub(super) state: BlockState,
    pub(super) generation: u32,
    /// The share that its window begins with; 0 for none. Not known if a crash came between block and share.
    pub(super) winning: Option<ShareSequence>,
    pub(super) finder: Option<Finder>,
}

/// The share that a block is, as far as it is not in the share log.
pub(super) struct Finder {
    pub(super) account: AccountId,
    pub(super) worker: String,
    pub(super) difficulty: u64,
    pub(super) network_difficulty: u128,
    pub(super) time_ms: u64,
}

/// A payout.
pub(super) struct OldPayout {
    pub(super) planned: PlannedPayout,
    pub(super) state: PayoutState,
}

impl OldLedger {
    /// Opens the file, and checks that it is whole and whose it is.
    pub(super) fn open(path: &Path, opened: &Opened) -> Result<Self, Reason> {
        let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
        let id: i64 = connection.pragma_query_value(None, "application_id", |row| row.get(0))?;
        if id != APPLICATION_ID {
            return Err(Reason("it is not a ledger of this software".to_owned()));
        }
        let verdict: String = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
        if verdict != "ok" {
            return Err(Reason(format!("it is damaged: {verdict}")));
        }
        let version: i64 = connection.query_row("SELECT version FROM schema_version", [], |row| row.get(0))?;
        if version != VERSION {
            return Err(Reason(format!("its schema version is {version}, this software knows {VERSION}")));
        }
        let whose = |row: &Row<'_>| Ok((row.get::<_, String>(0)?, BlockId(row.get(1)?)));
        let (network, genesis) = connection.query_row("SELECT network, genesis FROM chain", [], whose)?;
        if network != opened.network.name() || genesis != opened.genesis {
            let (expected, id) = (opened.network, opened.genesis);
            return Err(Reason(format!(
                "it belongs to {network} with genesis {genesis}, expected {expected} with {id}"
            )));
        }
        Ok(Self { connection })
    }

    /// Follows the journal from its first line, and compares what it folds to with the stored balances.
    pub(super) fn audit(&self) -> Result<AuditReport, Reason> {
        let mut auditor = Auditor::default();
        let blocks = self.all("SELECT id, reward, payees FROM pool_blocks", |row| {
            Ok((BlockId(row.get(0)?), amount(row.get(1)?)?, small(row.get(2)?)?))
        })?;
        for (block, reward, payees) in blocks {
            auditor.note_block(block, reward, payees);
        }
        let sql = "SELECT id, batch, code, subject, generation, debit, credit, amount, prev_hash, hash FROM transfers
            ORDER BY id";
        let mut statement = self.connection.prepare(sql)?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            auditor.line(&line(row)?)?;
        }
        let report = auditor.check()?;
        self.check_balances(&report)?;
        Ok(report)
    }

    fn check_balances(&self, report: &AuditReport) -> Result<(), Reason> {
        let stored = self.all("SELECT account, balance FROM balances WHERE balance <> 0", |row| {
            Ok((parse::<LedgerAccount>(&row.get::<_, String>(0)?)?, unsigned(row.get(1)?)?))
        })?;
        let stored: BTreeMap<LedgerAccount, u64> = stored.into_iter().collect();
        let folded: BTreeMap<LedgerAccount, u64> = report.books.balances().collect();
        let wrong = folded.keys().chain(stored.keys()).find(|account| stored.get(account) != folded.get(account));
        match wrong {
            None => Ok(()),
            Some(account) => Err(Reason(format!(
                "{account} is stored as {}, its transfers sum to {}",
                stored.get(account).copied().unwrap_or(0),
                folded.get(account).copied().unwrap_or(0),
            ))),
        }
    }

    /// Everything else, with payouts compared with the journal.
    pub(super) fn read(&self, opened: &Opened) -> Result<Content, Reason> {
        let accounts = self.all("SELECT id, address FROM accounts ORDER BY id", |row| {
            let account = AccountId(small(row.get(0)?)?);
            let address = Address::parse(&row.get::<_, String>(1)?, opened.network)
                .map_err(|error| Reason(format!("account {account}: {error}")))?;
            Ok((account, NewAccount { account, key: address.key_hash }))
        })?;
        let content = Content {
            accounts: accounts.into_iter().collect(),
            scheme: self.scheme()?,
            blocks: self.blocks()?,
            payouts: self.payouts()?,
        };
        for payout in &content.payouts {
            self.check_payout(payout)?;
        }
        self.check_no_forgotten_payout(&content.payouts)?;
        Ok(content)
    }

    fn scheme(&self) -> Result<Option<(FeeBasisPoints, WindowUnits)>, Reason> {
        let newest = self.all("SELECT fee_bp, window_units FROM schemes ORDER BY id DESC LIMIT 1", |row| {
            let units: u8 = row.get(1)?;
            let window = WindowUnits::new(units).ok_or_else(|| Reason(format!("a window of {units} units")))?;
            Ok((FeeBasisPoints::new(row.get(0)?)?, window))
        })?;
        Ok(newest.into_iter().next())
    }

    fn blocks(&self) -> Result<Vec<OldBlock>, Reason> {
        let sql =
            "SELECT id, height, algorithm, reward, coinbase, time, state, generation, winning_share, finder, worker,
            difficulty, network_difficulty, share_time_ms FROM pool_blocks WHERE state <> 'rejected' ORDER BY number";
        self.all(sql, |row| {
            let state: String = row.get(6)?;
            let state = BlockState::ALL.into_iter().find(|known| known.name() == state);
            let winning = row.get::<_, Option<i64>>(8)?;
            Ok(OldBlock {
                id: BlockId(row.get(0)?),
                height: Height(small(row.get(1)?)?),
                algorithm: parse(&row.get::<_, String>(2)?)?,
                reward: amount(row.get(3)?)?,
                coinbase: TxId(row.get(4)?),
                time: unsigned(row.get(5)?)?,
                state: state.ok_or_else(|| Reason("a block in an unknown state".to_owned()))?,
                generation: small(row.get(7)?)?,
                winning: winning.map(unsigned).transpose()?.map(ShareSequence),
                finder: row.get::<_, Option<i64>>(9)?.map(|account| finder(row, account)).transpose()?,
            })
        })
    }

    fn payouts(&self) -> Result<Vec<OldPayout>, Reason> {
        let mut payees =
            self.grouped("SELECT payout, account, gross, fee FROM payout_entries ORDER BY payout, account", |row| {
                let (gross, fee) = (amount(row.get(2)?)?, amount(row.get(3)?)?);
                Ok(Payee { account: AccountId(small(row.get(1)?)?), gross, fee, net: gross.checked_sub(fee)? })
            })?;
        let sql = "SELECT payout, txid, output, amount FROM payout_inputs ORDER BY payout, position";
        let mut inputs = self.grouped(sql, |row| {
            let outpoint = OutPoint { txid: TxId(row.get(1)?), index: small(row.get(2)?)? };
            Ok(PayoutInput { outpoint, amount: amount(row.get(3)?)? })
        })?;
        let sql = "SELECT id, txid, state, network_fee, change, time_ms FROM payouts ORDER BY id";
        self.all(sql, |row| {
            let number = unsigned(row.get(0)?)?;
            let (payees, network_fee) = (payees.remove(&number).unwrap_or_default(), amount(row.get(3)?)?);
            let planned = PlannedPayout {
                id: PayoutId(number),
                kind: PayoutKind::Miners(PayoutPlan { payees, network_fee }),
                inputs: inputs.remove(&number).unwrap_or_default(),
                change: amount(row.get(4)?)?,
                network_fee,
                txid: TxId(row.get(1)?),
                time_ms: unsigned(row.get(5)?)?,
            };
            let state = match row.get::<_, String>(2)?.as_str() {
                "reserved" => PayoutState::Planned,
                "signed" | "broadcast" | "confirmed" | "blocked" => PayoutState::Signed,
                "final" => PayoutState::Final,
                "void" => PayoutState::Void,
                other => return Err(Reason(format!("payout {number} is {other:?}"))),
            };
            Ok(OldPayout { planned, state })
        })
    }

    /// The journal set aside what the payout says, and ended it as its state says.
    fn check_payout(&self, payout: &OldPayout) -> Result<(), Reason> {
        let number = payout.planned.id.0;
        let PayoutKind::Miners(plan) = &payout.planned.kind else { return Ok(()) };
        let spent = payout.planned.spent()?;
        if spent != plan.total()?.checked_add(payout.planned.change)? {
            return Err(Reason(format!("payout {number} does not spend what it pays and returns")));
        }
        let (is_final, is_void) = (payout.state == PayoutState::Final, payout.state == PayoutState::Void);
        let parts = [
            (Cause::PayoutReserved { payout: number }, plan.reserve(number)?),
            (Cause::PayoutFinal { payout: number }, if is_final { plan.finalize(number) } else { Vec::new() }),
            (Cause::PayoutVoid { payout: number }, if is_void { plan.void(number)? } else { Vec::new() }),
        ];
        for (cause, mut expected) in parts {
            let mut booked = self.lines_of(cause)?;
            expected.sort_by_key(Transfer::key);
            booked.sort_by_key(Transfer::key);
            if booked != expected {
                let code = cause.code();
                return Err(Reason(format!("payout {number} is not what the journal says of it ({code})")));
            }
        }
        Ok(())
    }

    fn check_no_forgotten_payout(&self, payouts: &[OldPayout]) -> Result<(), Reason> {
        let subjects = self.all("SELECT DISTINCT subject FROM transfers WHERE code = 30", |row| {
            parse::<u64>(&row.get::<_, String>(0)?)
        })?;
        let is_known = |number: &u64| payouts.iter().any(|payout| payout.planned.id.0 == *number);
        match subjects.into_iter().find(|number| !is_known(number)) {
            None => Ok(()),
            Some(number) => Err(Reason(format!("the journal names payout {number}, which is missing"))),
        }
    }

    /// The lines of a block's credit while it is immature, or of its loss while it is lost.
    pub(super) fn block_lines(&self, block: &OldBlock) -> Result<Vec<Line>, Reason> {
        let (id, generation) = (block.id, block.generation);
        let cause = match block.state {
            BlockState::Immature => Cause::BlockCredited { block: id, generation },
            BlockState::Lost => Cause::BlockLost { block: id, generation },
            BlockState::Found | BlockState::Matured | BlockState::Orphaned => return Ok(Vec::new()),
        };
        Ok(self.lines_of(cause)?.iter().map(Line::from).collect())
    }

    /// The bytes of a block, while they were kept.
    pub(super) fn block_bytes(&self, id: &BlockId) -> Result<Option<Vec<u8>>, Reason> {
        Ok(self.connection.query_row("SELECT bytes FROM pool_blocks WHERE id = ?1", [id.0], |row| row.get(0))?)
    }

    /// The signed bytes of a payout, once there were some.
    pub(super) fn signed_bytes(&self, id: PayoutId) -> Result<Option<Vec<u8>>, Reason> {
        let number = i64::try_from(id.0)?;
        Ok(self.connection.query_row("SELECT signed FROM payouts WHERE id = ?1", [number], |row| row.get(0))?)
    }

    fn lines_of(&self, cause: Cause) -> Result<Vec<Transfer>, Reason> {
        let sql = "SELECT id, batch, code, subject, generation, debit, credit, amount, prev_hash, hash FROM transfers
            WHERE subject = ?1 AND code = ?2 AND generation = ?3 ORDER BY id";
        let mut statement = self.connection.prepare_cached(sql)?;
        let mut rows = statement.query((cause.subject(), cause.code().0, cause.generation()))?;
        let mut lines = Vec::new();
        while let Some(row) = rows.next()? {
            lines.push(line(row)?.transfer);
        }
        Ok(lines)
    }

    fn all<T>(&self, sql: &str, mut each: impl FnMut(&Row<'_>) -> Result<T, Reason>) -> Result<Vec<T>, Reason> {
        let mut statement = self.connection.prepare(sql)?;
        let mut rows = statement.query([])?;
        let mut values = Vec::new();
        while let Some(row) = rows.next()? {
            values.push(each(row)?);
        }
        Ok(values)
    }

    /// Rows by the number in their first column.
    fn grouped<T>(
        &self,
        sql: &str,
        mut each: impl FnMut(&Row<'_>) -> Result<T, Reason>,
    ) -> Result<BTreeMap<u64, Vec<T>>, Reason> {
        let mut groups: BTreeMap<u64, Vec<T>> = BTreeMap::new();
        for (number, value) in self.all(sql, |row| Ok((unsigned(row.get(0)?)?, each(row)?)))? {
            groups.entry(number).or_default().push(value);
        }
        Ok(groups)
    }
}

fn finder(row: &Row<'_>, account: i64) -> Result<Finder, Reason> {
    Ok(Finder {
        account: AccountId(small(account)?),
        worker: row.get(10)?,
        difficulty: parse(&row.get::<_, String>(11)?)?,
        network_difficulty: parse(&row.get::<_, String>(12)?)?,
        time_ms: unsigned(row.get(13)?)?,
    })
}

fn line(row: &Row<'_>) -> Result<ChainedTransfer, Reason> {
    let (code, subject, generation): (u8, String, i64) = (row.get(2)?, row.get(3)?, row.get(4)?);
    let cause = Cause::from_parts(TransferCode(code), &subject, small(generation)?)
        .ok_or_else(|| Reason(format!("a transfer with code {code} about {subject:?}")))?;
    let (debit, credit): (String, String) = (row.get(5)?, row.get(6)?);
    let transfer = Transfer { cause, debit: parse(&debit)?, credit: parse(&credit)?, amount: amount(row.get(7)?)? };
    Ok(ChainedTransfer {
        id: unsigned(row.get(0)?)?,
        batch: unsigned(row.get(1)?)?,
        transfer,
        previous: JournalHash(row.get(8)?),
        hash: JournalHash(row.get(9)?),
    })
}

fn unsigned(value: i64) -> Result<u64, Reason> {
    u64::try_from(value).map_err(|_| Reason(format!("a negative number {value}")))
}

fn small(value: i64) -> Result<u32, Reason> {
    u32::try_from(value).map_err(|_| Reason(format!("{value} is not a 32-bit number")))
}

fn amount(value: i64) -> Result<Amount, Reason> {
    Ok(Amount::from_atoms(unsigned(value)?)?)
}

fn parse<T: std::str::FromStr>(text: &str) -> Result<T, Reason> {
    text.parse().map_err(|_| Reason(format!("unknown value {text:?}")))
}
