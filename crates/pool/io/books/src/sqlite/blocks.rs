use bq_ledger::{
    BlockCredit, Cause, FeeBasisPoints, LedgerAccount, ShareSequence, Window, deep_orphan, deep_return, distribute,
    mature as mature_lines, reverse_credit,
};
use bq_primitives::{
    AccountId, Algorithm, Amount, BlockId, Height, NetworkDifficulty, ShareDifficulty, Timestamp, TxId, WorkerName,
};
use rusqlite::{Connection, Row, Transaction};

use super::{
    Fault, journal,
    values::{all, amount, atoms, change, first, int, limit, parse, sequence, small, unsigned},
};
use crate::{BlockCounts, BlockState, Candidate, CandidateShare, PoolBlock};

pub(super) fn add(connection: &Connection, candidate: &Candidate) -> Result<(), Fault> {
    let share = candidate.share.as_ref();
    let sql = "INSERT INTO pool_blocks
        (id, height, algorithm, reward, coinbase, time, state, finder, worker, difficulty, network_difficulty,
         share_time_ms, bytes)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, 'found', ?7, ?8, ?9, ?10, ?11, ?12)
        ON CONFLICT (id) DO NOTHING";
    let params = (
        candidate.id.0,
        candidate.height.0,
        candidate.algorithm.name(),
        atoms(candidate.reward)?,
        candidate.coinbase.0,
        int(candidate.time.0)?,
        share.map(|share| share.account.0),
        share.map(|share| share.worker.as_str()),
        share.map(|share| share.difficulty.to_string()),
        share.map(|share| share.network_difficulty.to_string()),
        share.map(|share| int(share.time_ms)).transpose()?,
        (!candidate.bytes.is_empty()).then_some(&candidate.bytes),
    );
    change(connection, sql, params)?;
    Ok(())
}

pub(super) fn set_winning_share(
    connection: &Connection,
    block: &BlockId,
    sequence: ShareSequence,
) -> Result<(), Fault> {
    let sql = "UPDATE pool_blocks SET winning_share = ?2 WHERE id = ?1 AND winning_share IS NULL";
    change(connection, sql, (block.0, int(sequence.0)?))?;
    Ok(())
}

pub(super) fn without_share(connection: &Transaction<'_>) -> Result<Vec<Candidate>, Fault> {
    let sql = "SELECT id, height, algorithm, reward, coinbase, time, finder, worker, difficulty, network_difficulty,
        share_time_ms, bytes FROM pool_blocks WHERE winning_share IS NULL AND state <> 'rejected' ORDER BY number";
    all(connection, sql, [], |row| {
        let finder: Option<i64> = row.get(6)?;
        Ok(Candidate {
            id: BlockId(row.get(0)?),
            height: Height(small(row.get(1)?)?),
            algorithm: lane(row, 2)?,
            reward: amount(row.get(3)?)?,
            coinbase: TxId(row.get(4)?),
            time: Timestamp(unsigned(row.get(5)?)?),
            share: finder.map(|finder| candidate_share(row, finder)).transpose()?,
            bytes: row.get::<_, Option<_>>(11)?.unwrap_or_default(),
        })
    })
}

fn candidate_share(row: &Row<'_>, finder: i64) -> Result<CandidateShare, Fault> {
    let (worker, difficulty, network): (String, String, String) = (row.get(7)?, row.get(8)?, row.get(9)?);
    Ok(CandidateShare {
        account: AccountId(small(finder)?),
        worker: WorkerName::new(&worker).map_err(|error| Fault::Content(error.to_string()))?,
        difficulty: ShareDifficulty::from_hashes(parse(&difficulty)?),
        network_difficulty: NetworkDifficulty::from_hashes(parse(&network)?),
        time_ms: unsigned(row.get(10)?)?,
    })
}

/// SQL is put together by the compiler, never at run time.
macro_rules! select_block {
    ($rest:literal) => {
        concat!(
            "SELECT id, height, algorithm, reward, coinbase, time, finder, winning_share, state, generation ",
            "FROM pool_blocks ",
            $rest
        )
    };
}

pub(super) fn find(connection: &Connection, id: &BlockId) -> Result<Option<PoolBlock>, Fault> {
    first(connection, select_block!("WHERE id = ?1"), [id.0], pool_block)
}

pub(super) fn of_coinbase(connection: &Connection, coinbase: &TxId) -> Result<Option<PoolBlock>, Fault> {
    first(
        connection,
        select_block!("WHERE coinbase = ?1 ORDER BY state IN ('immature', 'matured') DESC, number LIMIT 1"),
        [coinbase.0],
        pool_block,
    )
}

pub(super) fn bytes(connection: &Connection, id: &BlockId) -> Result<Option<Vec<u8>>, Fault> {
    let sql = "SELECT bytes FROM pool_blocks WHERE id = ?1";
    Ok(first(connection, sql, [id.0], |row| Ok(row.get(0)?))?.flatten())
}

pub(super) fn watched(connection: &Connection, settled_from: Height) -> Result<Vec<PoolBlock>, Fault> {
    let sql = select_block!(
        "WHERE state IN ('found', 'immature') OR (height >= ?1 AND state <> 'rejected') ORDER BY height, number"
    );
    all(connection, sql, [settled_from.0], pool_block)
}

pub(super) fn newest(connection: &Connection, rows: usize) -> Result<Vec<PoolBlock>, Fault> {
    all(connection, select_block!("ORDER BY number DESC LIMIT ?1"), [limit(rows)], pool_block)
}

pub(super) fn counts(connection: &Transaction<'_>) -> Result<Vec<BlockCounts>, Fault> {
    let sql = "SELECT algorithm, state, count(*) FROM pool_blocks GROUP BY algorithm, state";
    all(connection, sql, [], |row| {
        Ok(BlockCounts { algorithm: lane(row, 0)?, state: state(row, 1)?, blocks: unsigned(row.get(2)?)? })
    })
}

pub(super) fn newest_winning_share(
    connection: &Connection,
    algorithm: Algorithm,
) -> Result<Option<ShareSequence>, Fault> {
    let sql = "SELECT max(winning_share) FROM pool_blocks WHERE algorithm = ?1 AND state <> 'rejected'";
    let newest = first(connection, sql, [algorithm.name()], |row| Ok(row.get::<_, Option<i64>>(0)?))?.flatten();
    newest.map(sequence).transpose()
}

/// T10.
pub(super) fn credit(
    connection: &Connection,
    id: &BlockId,
    window: &Window,
    fee: FeeBasisPoints,
    time_ms: u64,
) -> Result<PoolBlock, Fault> {
    let block = existing(connection, id)?;
    match block.state {
        BlockState::Immature | BlockState::Matured => return Ok(block),
        BlockState::Found | BlockState::Orphaned => {}
        BlockState::Lost | BlockState::Rejected => return Err(wrong_state(&block, "credited")),
    }
    let carry = journal::balance(connection, LedgerAccount::Carry(block.algorithm))?;
    let carry_in = Amount::from_atoms(carry)?;
    let distribution = distribute(block.reward, fee, carry_in, window)?;
    let lines = BlockCredit {
        block: *id,
        generation: block.generation,
        algorithm: block.algorithm,
        reward: block.reward,
        carry_in,
        distribution: &distribution,
    }
    .transfers()?;
    journal::post(connection, &lines, time_ms)?;
    change(connection, "UPDATE pool_blocks SET payees = ?2 WHERE id = ?1", (id.0, distribution.payees))?;
    set_state(connection, block, BlockState::Immature)
}

/// T11.
pub(super) fn mature(connection: &Connection, id: &BlockId, time_ms: u64) -> Result<PoolBlock, Fault> {
    let block = existing(connection, id)?;
    match block.state {
        BlockState::Matured => return Ok(block),
        BlockState::Immature => {}
        BlockState::Found | BlockState::Orphaned | BlockState::Lost | BlockState::Rejected => {
            return Err(wrong_state(&block, "matured"));
        }
    }
    let generation = block.generation;
    let credited = journal::lines_of(connection, Cause::BlockCredited { block: *id, generation })?;
    journal::post(connection, &mature_lines(*id, generation, &credited)?, time_ms)?;
    change(connection, "UPDATE pool_blocks SET bytes = NULL WHERE id = ?1", [id.0])?;
    set_state(connection, block, BlockState::Matured)
}

/// T12 or T13.
pub(super) fn orphan(connection: &Connection, id: &BlockId, time_ms: u64) -> Result<PoolBlock, Fault> {
    let mut block = existing(connection, id)?;
    let generation = block.generation;
    match block.state {
        BlockState::Found => set_state(connection, block, BlockState::Orphaned),
        BlockState::Orphaned | BlockState::Lost | BlockState::Rejected => Ok(block),
        BlockState::Immature => {
            let credited = journal::lines_of(connection, Cause::BlockCredited { block: *id, generation })?;
            journal::post(connection, &reverse_credit(*id, generation, &credited), time_ms)?;
            block.generation += 1;
            set_state(connection, block, BlockState::Orphaned)
        }
        BlockState::Matured => {
            let spendable = Amount::from_atoms(journal::balance(connection, LedgerAccount::ChainSpendable)?)?;
            let lines = deep_orphan(*id, generation, block.reward, spendable)?;
            journal::post(connection, &lines, time_ms)?;
            set_state(connection, block, BlockState::Lost)
        }
    }
}

/// T14.
pub(super) fn regain(connection: &Connection, id: &BlockId, time_ms: u64) -> Result<PoolBlock, Fault> {
    let mut block = existing(connection, id)?;
    let generation = block.generation;
    match block.state {
        BlockState::Matured => Ok(block),
        BlockState::Lost => {
            let lost = journal::lines_of(connection, Cause::BlockLost { block: *id, generation })?;
            journal::post(connection, &deep_return(*id, generation, &lost), time_ms)?;
            block.generation += 1;
            set_state(connection, block, BlockState::Matured)
        }
        BlockState::Found | BlockState::Immature | BlockState::Orphaned | BlockState::Rejected => {
            Err(wrong_state(&block, "regained"))
        }
    }
}

pub(super) fn reject(connection: &Connection, id: &BlockId) -> Result<PoolBlock, Fault> {
    let block = existing(connection, id)?;
    match block.state {
        BlockState::Rejected => Ok(block),
        BlockState::Found => {
            change(connection, "UPDATE pool_blocks SET bytes = NULL WHERE id = ?1", [id.0])?;
            set_state(connection, block, BlockState::Rejected)
        }
        BlockState::Immature | BlockState::Matured | BlockState::Orphaned | BlockState::Lost => {
            Err(wrong_state(&block, "rejected"))
        }
    }
}

fn set_state(connection: &Connection, mut block: PoolBlock, state: BlockState) -> Result<PoolBlock, Fault> {
    let sql = "UPDATE pool_blocks SET state = ?2, generation = ?3 WHERE id = ?1";
    change(connection, sql, (block.id.0, state.name(), block.generation))?;
    block.state = state;
    Ok(block)
}

fn existing(connection: &Connection, id: &BlockId) -> Result<PoolBlock, Fault> {
    find(connection, id)?.ok_or_else(|| Fault::State(format!("block {id} is not in the ledger")))
}

fn wrong_state(block: &PoolBlock, wanted: &str) -> Fault {
    Fault::State(format!("block {} is {} and cannot be {wanted}", block.id, block.state.name()))
}

fn pool_block(row: &Row<'_>) -> Result<PoolBlock, Fault> {
    let (finder, winning): (Option<i64>, Option<i64>) = (row.get(6)?, row.get(7)?);
    Ok(PoolBlock {
        id: BlockId(row.get(0)?),
        height: Height(small(row.get(1)?)?),
        algorithm: lane(row, 2)?,
        reward: amount(row.get(3)?)?,
        coinbase: TxId(row.get(4)?),
        time: Timestamp(unsigned(row.get(5)?)?),
        finder: finder.map(small).transpose()?.map(AccountId),
        winning_share: winning.map(sequence).transpose()?,
        state: state(row, 8)?,
        generation: small(row.get(9)?)?,
    })
}

fn lane(row: &Row<'_>, column: usize) -> Result<Algorithm, Fault> {
    parse(&row.get::<_, String>(column)?)
}

fn state(row: &Row<'_>, column: usize) -> Result<BlockState, Fault> {
    let name: String = row.get(column)?;
    BlockState::from_name(&name).ok_or_else(|| Fault::Content(format!("unknown block state {name:?}")))
}
