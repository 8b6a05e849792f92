use bq_primitives::{Amount, KeyHash};

use crate::{
    HistoryError, SlotNumber,
    codec::{Reader, put},
};

/// Version of the encoding, its first byte.
const VERSION: u8 = 1;

/// What one block credited, and on which day: that of the block, so that what is taken back when it is orphaned is taken off the day that had
/// it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BlockEarnings {
    /// Days since 1970, UTC.
    pub day: SlotNumber,
    /// In rising order of accounts, each once.
    pub lines: Vec<EarningLine>,
}

/// What one account was credited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EarningLine {
    /// Whom.
    pub account: KeyHash,
    /// How much, at least one atom.
    pub amount: Amount,
}

/// The least that a line takes.
const LINE_BYTES_MIN: usize = 33;

impl BlockEarnings {
    /// The canonical encoding: version, day, number of lines, and each line's key and atoms.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = vec![VERSION];
        put(&mut bytes, self.day.0);
        put(&mut bytes, u64::try_from(self.lines.len()).unwrap_or(u64::MAX));
        for line in &self.lines {
            bytes.extend(line.account.0);
            put(&mut bytes, line.amount.atoms());
        }
        bytes
    }

    /// Reads what a block credited.
    ///
    /// # Errors
    /// [`HistoryError`]: no writer made these bytes.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, HistoryError> {
        Reader::all(bytes, VERSION, |reader| {
            let day = SlotNumber(reader.number("day")?);
            let count: usize = reader.number("number of lines")?;
            if count > reader.0.len().checked_div(LINE_BYTES_MIN).unwrap_or(0) {
                return Err(HistoryError::End("lines"));
            }
            let mut lines: Vec<EarningLine> = Vec::with_capacity(count);
            for _ in 0..count {
                let account = KeyHash(reader.array("account")?);
                let amount =
                    Amount::from_atoms(reader.positive("amount")?).map_err(|_| HistoryError::Field("amount"))?;
                if lines.last().is_some_and(|line| line.account >= account) {
                    return Err(HistoryError::Field("account"));
                }
                lines.push(EarningLine { account, amount });
            }
            Ok(Self { day, lines })
        })
    }
}
