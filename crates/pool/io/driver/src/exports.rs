//! What is given out of the files of a pool that does not run, or of a backup.

use std::{path::Path, sync::Arc};

use bq_books::SqliteBooks;
use bq_pool_machine::LogHead;
use bq_pool_proof::{Bytes, Evidence, PoolIdentity};
use bq_primitives::KeyHash;
use bq_segments::{RealDisk, TrialDisk};

use crate::{
    Blocks, ExportOwner, PoolError, StoppedError, StoppedPool, Wanted,
    evidence::{Bounds, Sources},
    open::{log_options, open_shares, shares_told, start_state},
    replay::write_export,
    stopped::keys_of,
};

/// The files of a pool that nobody changes meanwhile.
#[derive(Clone, Debug)]
pub struct PoolFiles {
    /// Where they lie.
    pub pool: StoppedPool,
    /// They are a backup's: nothing there is touched, its own hashes would not fit any more.
    pub is_backup: bool,
    /// What the data of the pool's coinbases begins with.
    pub tag: Vec<u8>,
}

impl PoolFiles {
    /// Writes all that a stranger needs to replay the pool into a new folder.
    ///
    /// # Errors
    /// [`StoppedError`].
    pub fn export_all(&self, folder: &Path) -> Result<LogHead, StoppedError> {
        let owner = ExportOwner {
            network: self.pool.network,
            genesis: self.pool.genesis,
            tag: self.tag.clone(),
            front_end: self.pool.front_end,
        };
        Ok(write_export(&self.books()?, &self.pool.data_dir, &owner, folder)?)
    }

    /// What an account is given to check the pool with; nothing if there is no such thing, or not yet. What is owed only a running pool
    /// says, which has the key.
    ///
    /// # Errors
    /// [`StoppedError`].
    pub fn evidence(
        &self,
        blocks: &dyn Blocks,
        account: KeyHash,
        wanted: &Wanted,
    ) -> Result<Option<Evidence>, StoppedError> {
        let store = self.books()?;
        let (state, first) = start_state(&store)?;
        let told = shares_told(&store, &state, first, self.pool.front_end)?;
        let disk = Arc::new(TrialDisk::over(Arc::new(RealDisk)));
        let log = open_shares(&self.pool.place(), disk, told, log_options())?;
        let Some(keys) = keys_of(&store)? else { return Ok(None) };
        let (network, genesis, tag) = (self.pool.network, self.pool.genesis, Bytes(self.tag.clone()));
        let pool = PoolIdentity { network, genesis, key: keys.newest, tag };
        let sources = Sources { store: &store, log: &log, blocks, pool, bounds: Bounds::NONE };
        Ok(match wanted {
            Wanted::Shares { upto } => sources.shares(account, *upto)?,
            Wanted::Share { share } => sources.share(account, *share)?,
            Wanted::Credit { block } => sources.credit(account, block)?,
            Wanted::Owed { .. } => {
                let reason = "only a running pool says what it owes: ask it for /api/v1/miners/ADDRESS/proof/owed";
                return Err(StoppedError::Value { field: "what", reason: reason.to_owned() });
            }
        })
    }

    fn books(&self) -> Result<SqliteBooks, StoppedError> {
        if !self.is_backup {
            return self.pool.books();
        }
        let path = self.pool.data_dir.join("books.sqlite");
        let open = SqliteBooks::open_copy(&path, self.pool.network, &self.pool.genesis);
        Ok(open.map_err(PoolError::from)?)
    }
}
