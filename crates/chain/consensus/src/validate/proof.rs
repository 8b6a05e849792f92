use crate::{BlockError, ContextualHeader, IndexEntry, ProofOfWork, SealedHeader};

/// A header whose proof of work is good (SPEC 7.6): everything about a block that others can vary for free is behind it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProvenHeader {
    pub(super) sealed: SealedHeader,
    pub(super) entry: IndexEntry,
}

impl ProvenHeader {
    /// A header whose proof the caller vouches for: because it was examined before it was stored, or because this is a
    /// template that nobody has sealed yet and only the other rules are of interest. Never for what came from a peer.
    #[must_use]
    pub const fn assume(sealed: SealedHeader, entry: IndexEntry) -> Self {
        Self { sealed, entry }
    }

    /// The header and its proof.
    #[must_use]
    pub const fn sealed(&self) -> &SealedHeader {
        &self.sealed
    }

    /// Its light index entry.
    #[must_use]
    pub const fn entry(&self) -> &IndexEntry {
        &self.entry
    }
}

/// SPEC 7.6: the proof of work, the last thing that a header alone decides.
///
/// # Errors
/// [`BlockError::ProofOfWork`], whose consequence tells a bad proof from a machine that could not examine it.
#[expect(clippy::needless_pass_by_value, reason = "a stage uses up what the stage before it made")]
pub fn check_proof(header: ContextualHeader, pow: &dyn ProofOfWork) -> Result<ProvenHeader, BlockError> {
    let ContextualHeader { sealed, entry, target, key } = header;
    pow.verify(&sealed.header, &sealed.seal, &key, &target).map_err(BlockError::ProofOfWork)?;
    Ok(ProvenHeader { sealed, entry })
}
