use std::{fmt, str::FromStr};

use bq_primitives::{Algorithm, BlockId, WorkerName};

/// Which part of a list is asked for: rows are in one order that does not change, so that pages which follow one another have every row that was
/// there from the first to the last page exactly once, whatever arrives meanwhile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page<C> {
    /// The last row of the page before; nothing for the first page.
    pub after: Option<C>,
    /// Rows at most, at least 1.
    pub limit: usize,
}

impl<C> Page<C> {
    /// The first page.
    #[must_use]
    pub const fn first(limit: usize) -> Self {
        Self { after: None, limit }
    }

    /// Cuts rows, of which one more than the limit was asked for, to the page's length; the cursor of the last, if more follow.
    pub fn cut<R>(&self, rows: &mut Vec<R>, cursor: impl Fn(&R) -> C) -> Option<String>
    where
        C: fmt::Display,
    {
        let has_more = rows.len() > self.limit;
        rows.truncate(self.limit);
        rows.last().filter(|_| has_more).map(|row| cursor(row).to_string())
    }
}

/// A text that is no cursor of its list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a cursor of this list: take `next` of the page before")]
pub struct CursorError;

/// A block in the list of blocks: `HEIGHT-ID`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlockCursor {
    /// Its height.
    pub height: u32,
    /// Its id.
    pub id: BlockId,
}

impl fmt::Display for BlockCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.height, self.id)
    }
}

impl FromStr for BlockCursor {
    type Err = CursorError;

    fn from_str(text: &str) -> Result<Self, CursorError> {
        let (height, id) = text.split_once('-').ok_or(CursorError)?;
        Ok(Self { height: height.parse().map_err(|_| CursorError)?, id: id.parse().map_err(|_| CursorError)? })
    }
}

/// A worker in the list of an account's workers: `NAME:ALGORITHM`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkerCursor {
    /// Its name.
    pub name: WorkerName,
    /// What it mines.
    pub algorithm: Algorithm,
}

impl fmt::Display for WorkerCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.name, self.algorithm)
    }
}

impl FromStr for WorkerCursor {
    type Err = CursorError;

    fn from_str(text: &str) -> Result<Self, CursorError> {
        let (name, algorithm) = text.split_once(':').ok_or(CursorError)?;
        let name = WorkerName::new(name).map_err(|_| CursorError)?;
        Ok(Self { name, algorithm: algorithm.parse().map_err(|_| CursorError)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cursors_are_read_back_and_nothing_else_is() {
        let block = BlockCursor { height: 7, id: BlockId([9; 32]) };
        assert_eq!(block.to_string().parse(), Ok(block));
        let worker = WorkerCursor { name: WorkerName::new("rig-1.a_b").expect("plain"), algorithm: Algorithm::Ethash };
        assert_eq!(worker.to_string(), "rig-1.a_b:ethash");
        assert_eq!(worker.to_string().parse(), Ok(worker));
        for text in ["", "-", "7", "7-", "-1-00", ":", "a:", ":ethash", "a b:ethash", "a:scrypt", "<b>:ethash"] {
            assert!(text.parse::<BlockCursor>().is_err() && text.parse::<WorkerCursor>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_page_says_whether_more_follows() {
        let page = Page::<u64>::first(2);
        for (rows, next) in [(vec![], None), (vec![5], None), (vec![5, 4], None), (vec![5, 4, 3], Some("4"))] {
            let mut rows: Vec<u64> = rows;
            assert_eq!(page.cut(&mut rows, |row| *row).as_deref(), next);
            assert!(rows.len() <= 2);
        }
    }
}
