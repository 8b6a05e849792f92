//! What is kept beside the log: the file itself, and every row in it.

use std::collections::BTreeMap;

use bq_books::{RawRow, RowKind, SqliteBooks};
use bq_ledger::LedgerAccount;
use bq_pool_machine::{
    Act, Credit, CreditsDigest, Event, LogHead, LogNumber, Opened, Operator, PayoutEvent, PlannedPayout, Stated,
};
use bq_pool_proof::Document as _;
use bq_primitives::{Amount, Block, BlockId, Decoder, KeyHash, Transaction, TxId, TxOut};
use bq_signer::check_signed;
use sha2::{Digest as _, Sha256};

use super::Audit;
use crate::{
    PoolError,
    rows::signed_keys,
    stated::{KeptBalances, KeptCredits, KeptLiabilities, balances_key},
};

/// Every row, by kind and key.
type Stored = BTreeMap<(String, String), RawRow>;

/// What events bind of rows that are not made from the state.
#[derive(Default)]
pub(super) struct Bound {
    /// The signed bytes of payouts, by number: of one that was replaced, of each of its transactions.
    signed: BTreeMap<String, Vec<[u8; 32]>>,
    /// Payouts that were found on the chain, by number: their events name no bytes.
    adopted: BTreeMap<String, Adopted>,
    /// The chain, and whose the pool's coins are where the log stands.
    owner: Option<(BlockId, KeyHash)>,
    /// Credits of blocks, by the event that states them.
    credits: BTreeMap<LogNumber, (BlockId, u32, u32, CreditsDigest)>,
    /// Liabilities, by epoch: the event, and the sum.
    liabilities: BTreeMap<u64, (LogHead, Amount, [u8; 32])>,
    /// Every event was told here: what is bound by none is nobody's.
    from: Option<LogNumber>,
}

/// A payout that was found on the chain. What it was signed with nobody wrote down: each signature is checked instead, of which no bit
/// can be another.
struct Adopted {
    txid: TxId,
    genesis: BlockId,
    /// Who signed for every input.
    owner: KeyHash,
    /// What the inputs spend.
    spent: Vec<TxOut>,
}

impl Adopted {
    fn new(planned: &PlannedPayout, (genesis, owner): (BlockId, KeyHash)) -> Self {
        let spent = planned.inputs.iter().map(|input| TxOut { amount: input.amount, key_hash: owner }).collect();
        Self { txid: planned.txid, genesis, owner, spent }
    }

    fn is_signed_as(&self, transaction: &Transaction, bytes: &[u8]) -> bool {
        transaction.txid() == self.txid
            && check_signed(bytes, transaction, &self.genesis, &self.spent, self.owner).is_ok()
    }
}

impl Bound {
    pub(super) fn note(&mut self, head: LogHead, event: &Event) {
        self.from.get_or_insert(head.number);
        match event {
            Event::Opened(Opened { genesis, key, .. }) => self.owner = Some((*genesis, *key)),
            Event::Operator(Operator { act: Act::NewKey { key }, .. }) => {
                self.owner = self.owner.map(|(genesis, _)| (genesis, *key));
            }
            Event::Payout(PayoutEvent::Signed { payout, digest }) => {
                self.signed.entry(payout.to_string()).or_default().push(*digest);
            }
            Event::Operator(Operator { act: Act::AdoptPayout(planned), .. }) => {
                let adopted = self.owner.map(|owner| (planned.id.to_string(), Adopted::new(planned, owner)));
                self.adopted.extend(adopted);
            }
            Event::Stated(Stated::Credits { block, generation, count, digest }) => {
                self.credits.insert(head.number, (*block, *generation, *count, *digest));
            }
            Event::Stated(Stated::Liabilities { epoch, sum, root, .. }) => {
                self.liabilities.insert(*epoch, (head, *sum, *root));
            }
            Event::Imported(import) => {
                self.owner = Some((import.opened.genesis, import.opened.key));
                let signed = import.payouts.iter().filter_map(|payout| Some((payout.planned.id, payout.signed?)));
                self.signed.extend(signed.map(|(id, digest)| (id.to_string(), vec![digest])));
            }
            _ => {}
        }
    }

    /// Why a row is not what an event binds; nothing if it is, or if that event is older than what was read.
    fn fault(&self, kind: RowKind, row: &RawRow, stored: &Stored) -> Option<String> {
        let is_older = || self.from.is_none_or(|from| from > LogNumber(1));
        match kind {
            RowKind::Signed => self.signed_fault(row, is_older()),
            RowKind::BlockBytes => match Block::from_bytes(&row.value) {
                Ok(block) if is_whole(&block) && block.id().to_string() == row.key && block.to_bytes() == row.value => {
                    None
                }
                _ => Some("its bytes are another block, or none".to_owned()),
            },
            RowKind::Credits => self.credits_fault(row, is_older()),
            RowKind::Liabilities => self.liabilities_fault(row, stored, is_older()),
            _ => None,
        }
    }

    /// Its key is the payout's number, and that of its transaction where there were several.
    fn signed_fault(&self, row: &RawRow, is_older: bool) -> Option<String> {
        let (payout, txid) = match row.key.split_once(':') {
            Some((payout, txid)) => (payout, Some(txid)),
            None => (row.key.as_str(), None),
        };
        let (signed, adopted) = (self.signed.get(payout), self.adopted.get(payout));
        if signed.is_none() && adopted.is_none() {
            return (!is_older).then(|| "no event names it".to_owned());
        }
        let found = Transaction::decode(&mut Decoder::new(&row.value)).ok();
        let was_signed = signed.is_some_and(|signed| signed.contains(&Sha256::digest(&row.value).into()));
        let is_signed_as =
            |adopted: &Adopted| found.as_ref().is_some_and(|found| adopted.is_signed_as(found, &row.value));
        if !was_signed && !adopted.is_some_and(is_signed_as) {
            return Some("its bytes are not those that were signed".to_owned());
        }
        let is_it = txid.is_none_or(|txid| found.is_some_and(|found| found.txid().to_string() == txid));
        (!is_it).then(|| "its bytes are another transaction's than its key names".to_owned())
    }

    fn credits_fault(&self, row: &RawRow, is_older: bool) -> Option<String> {
        let Ok(kept) = KeptCredits::from_bytes(&row.value) else { return Some("it cannot be read".to_owned()) };
        let credits: &[Credit] = &kept.credits;
        let Some((block, generation, count, digest)) = self.credits.get(&kept.event) else {
            return (!is_older).then(|| format!("event {} states no credits", kept.event));
        };
        let is_it = row.key == block.to_string()
            && u64::try_from(row.place) == Ok(kept.event.0)
            && row.list.is_empty()
            && (kept.generation, u32::try_from(credits.len())) == (*generation, Ok(*count))
            && CreditsDigest::of(block, *generation, credits) == *digest;
        (!is_it).then(|| format!("it is not what event {} states", kept.event))
    }

    /// What its tree is made of is bound by the root for the holder of the secret alone; its sum and its digest bind it here.
    fn liabilities_fault(&self, row: &RawRow, stored: &Stored, is_older: bool) -> Option<String> {
        let wrong = |what: &str| Some(what.to_owned());
        let Some(epoch) = row.key.strip_suffix(":balances") else {
            let Ok(kept) = KeptLiabilities::from_bytes(&row.value) else { return wrong("it cannot be read") };
            let Some((head, sum, root)) = self.liabilities.get(&kept.epoch.0) else {
                return (!is_older).then(|| format!("no event states liabilities of epoch {}", kept.epoch.0));
            };
            let is_it = row.key == kept.epoch.0.to_string()
                && (row.list.as_str(), u64::try_from(row.place)) == ("", Ok(kept.epoch.0))
                && (kept.event, kept.sum, kept.root) == (*head, *sum, *root)
                && kept.is_signed_so()
                && stored.contains_key(&(row.kind.clone(), balances_key(kept.epoch.0)));
            return (!is_it).then(|| format!("it is not what event {} states", head.number));
        };
        let Ok(balances) = KeptBalances::from_bytes(&row.value) else { return wrong("they cannot be read") };
        let header = stored.get(&(row.kind.clone(), epoch.to_owned()));
        let Some(Ok(kept)) = header.map(|row| KeptLiabilities::from_bytes(&row.value)) else {
            return wrong("no statement is kept that they belong to");
        };
        let sum = Amount::sum(balances.0.iter().map(|(_, balance)| *balance));
        let is_it = (row.list.as_str(), u64::try_from(row.place)) == ("balances", Ok(kept.epoch.0))
            && (balances.digest(), u32::try_from(balances.0.len())) == (kept.balances, Ok(kept.accounts))
            && sum.is_ok_and(|sum| sum == kept.sum);
        if is_it { None } else { wrong("they are not those that were stated") }
    }
}

/// The id binds the header alone, and that its transactions.
fn is_whole(block: &Block) -> bool {
    block.tx_root() == block.header.tx_root && block.witness_root() == block.header.witness_root
}

impl Audit {
    /// Every row that the log gives.
    pub(super) fn compare_rows(&mut self, store: &SqliteBooks) -> Result<(), PoolError> {
        let mut stored = Stored::new();
        store.each_row(|row| drop(stored.insert((row.kind.clone(), row.key.clone()), row)))?;
        let rows = std::mem::take(&mut self.rows);
        for ((kind, key), expected) in rows.iter().filter(|((kind, _), _)| *kind != RowKind::BlockBytes) {
            self.findings.rows = self.findings.rows.saturating_add(1);
            let stored = stored.get(&(kind.name().to_owned(), key.clone()));
            let value = stored.map(|row| &row.value);
            let told = |value: Option<&Vec<u8>>| {
                value.map_or_else(|| "nothing".to_owned(), |value| String::from_utf8_lossy(value).into())
            };
            if value != expected.value.as_ref() {
                let (got, expected) = (told(value), told(expected.value.as_ref()));
                self.fault(format!("{} {key}: stored {got}, the log gives {expected}", kind.name()));
            } else if let Some(row) = stored
                && (row.list.as_str(), u64::try_from(row.place)) != (expected.group.as_str(), Ok(expected.order))
            {
                self.fault(format!("{} {key}: it is listed elsewhere than the log gives", kind.name()));
            }
        }
        for row in stored.values() {
            self.compare_other(&rows, row, &stored);
        }
        Ok(())
    }

    /// A row that is stored: one that the log gives, or that an event binds.
    fn compare_other(&mut self, rows: &super::Rows, row: &RawRow, stored: &Stored) {
        let Some(kind) = RowKind::ALL.into_iter().find(|kind| kind.name() == row.kind) else {
            return self.fault(format!("a row of kind {:?}, which there is not", row.kind));
        };
        if let Some(fault) = self.bound.fault(kind, row, stored) {
            return self.fault(format!("{} {}: {fault}", kind.name(), row.key));
        }
        let is_given = rows.get(&(kind, row.key.clone())).is_some_and(|row| row.value.is_some());
        let is_known = match kind {
            RowKind::Balance => !self.balances_are_whole,
            RowKind::Block | RowKind::Payment | RowKind::CoinbasePayment | RowKind::Payout => !self.is_whole,
            RowKind::BlockBytes | RowKind::Signed | RowKind::Credits | RowKind::Liabilities => true,
        };
        if !is_given && !is_known {
            self.fault(format!("{} {}: stored, and no event gives it", kind.name(), row.key));
        }
    }

    /// The bytes of open payouts are sent again as they are stored; those of others were compared if they are there.
    pub(super) fn compare_kept(&mut self, store: &SqliteBooks) -> Result<(), PoolError> {
        let open: Vec<_> = self.state.payouts().filter(|payout| payout.is_open()).cloned().collect();
        for payout in open {
            let (id, Some(expected)) = (payout.planned.id, payout.signed) else { continue };
            let mut is_there = false;
            for key in signed_keys(&payout.planned) {
                let bytes = bq_books::BookStore::row(store, RowKind::Signed, &key)?;
                let digest: Option<[u8; 32]> = bytes.map(|bytes| Sha256::digest(bytes).into());
                is_there |= digest == Some(expected);
            }
            if !is_there {
                self.fault(format!("payout {id}: its signed bytes are missing or were changed"));
            }
        }
        let imbalance = self.state.books().imbalance();
        let missing = self.state.books().balance(LedgerAccount::Missing);
        if imbalance != 0 {
            self.fault(format!("debits less credits are {imbalance} atoms; {missing} are missing"));
        }
        Ok(())
    }
}
