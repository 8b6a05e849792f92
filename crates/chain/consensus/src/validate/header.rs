use bq_primitives::{Header, Height, NamedHeader, PowKey, SealedHeader, Target, Timestamp};

use crate::{
    BlockError, Branch, Era, IndexEntry, Params, RequiredBits, TIME_END, entry::extend_with, min_time, pow_key,
    required_bits,
};

/// The only header version there is (SPEC 5.2).
pub const HEADER_VERSION: u32 = 1;

/// A header that fits its place in the chain (SPEC 7.1 to 7.5). Its proof has not been looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContextualHeader {
    pub(super) sealed: SealedHeader,
    pub(super) entry: IndexEntry,
    pub(super) target: Target,
    pub(super) key: PowKey,
}

impl ContextualHeader {
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

    /// What its proof must meet.
    #[must_use]
    pub const fn target(&self) -> Target {
        self.target
    }

    /// The table its proof is made with.
    #[must_use]
    pub const fn key(&self) -> PowKey {
        self.key
    }
}

/// SPEC 7.1 to 7.5: everything about a header that costs no proof-of-work hashing. `branch` ends with its parent.
///
/// # Errors
/// The first rule that it breaks.
pub fn check_header(
    params: &Params,
    branch: &dyn Branch,
    header: impl Into<NamedHeader>,
    now: Timestamp,
) -> Result<ContextualHeader, BlockError> {
    let named: NamedHeader = header.into();
    let sealed = *named.sealed();
    let header = &sealed.header;
    check_parent(header, branch.tip())?; // 7.1
    check_version(header)?;
    check_seal_algorithm(&sealed)?;
    check_height(header, branch.tip())?;
    let era = active_era(params, header)?; // 7.2
    check_bits_range(era, header)?; // 7.3
    check_time_range(header)?; // 7.4
    check_time_past(params, branch, header)?;
    check_time_future(params, header, now)?;
    let required = required_bits(params, branch);
    let target = check_bits(&required, header)?; // 7.5
    let key = key(params, branch, header)?;
    let entry = extend_with(era, &required, branch.tip(), header, named.id())?;
    Ok(ContextualHeader { sealed, entry, target, key })
}

fn check_parent(header: &Header, tip: &IndexEntry) -> Result<(), BlockError> {
    if header.parent_id == tip.id { Ok(()) } else { Err(BlockError::UnknownParent { parent_id: header.parent_id }) }
}

const fn check_version(header: &Header) -> Result<(), BlockError> {
    match header.version {
        HEADER_VERSION => Ok(()),
        got => Err(BlockError::HeaderVersion { got, expected: HEADER_VERSION }),
    }
}

fn check_seal_algorithm(sealed: &SealedHeader) -> Result<(), BlockError> {
    let (got, expected) = (sealed.seal.algorithm(), sealed.header.algorithm);
    if got == expected { Ok(()) } else { Err(BlockError::SealAlgorithm { got, expected }) }
}

fn check_height(header: &Header, tip: &IndexEntry) -> Result<(), BlockError> {
    let expected: Height = tip.height.next().ok_or(BlockError::HeightEnd)?;
    if header.height == expected { Ok(()) } else { Err(BlockError::Height { got: header.height, expected }) }
}

fn active_era<'a>(params: &'a Params, header: &Header) -> Result<&'a Era, BlockError> {
    let Header { algorithm, height, .. } = *header;
    let era = params.eras.at(height).filter(|era| era.algorithm(algorithm).is_some());
    era.ok_or(BlockError::AlgorithmNotActive { algorithm, height })
}

fn check_bits_range(era: &Era, header: &Header) -> Result<(), BlockError> {
    let target = header.bits.decode().map_err(BlockError::BitsEncoding)?;
    let rule = era.algorithm(header.algorithm).ok_or(BlockError::BrokenBranch)?;
    if rule.bounds().map_err(BlockError::BitsEncoding)?.contains(target) {
        return Ok(());
    }
    Err(BlockError::BitsOutOfRange { got: header.bits, hardest: rule.hardest_bits, limit: rule.limit_bits })
}

fn check_time_range(header: &Header) -> Result<(), BlockError> {
    let (got, end) = (header.time, TIME_END);
    if got < end { Ok(()) } else { Err(BlockError::TimeOutOfRange { got, end }) }
}

/// T1: a rule of consensus.
fn check_time_past(params: &Params, branch: &dyn Branch, header: &Header) -> Result<(), BlockError> {
    let (got, earliest) = (header.time, min_time(params, branch));
    if got >= earliest { Ok(()) } else { Err(BlockError::TimeTooOld { got, earliest }) }
}

/// T2: a rule of acceptance, which time itself may heal.
fn check_time_future(params: &Params, header: &Header, now: Timestamp) -> Result<(), BlockError> {
    let (got, latest) = (header.time, Timestamp(now.0.saturating_add(params.future_limit_secs)));
    if got <= latest { Ok(()) } else { Err(BlockError::TimeTooEarly { got, latest }) }
}

fn check_bits(required: &[RequiredBits], header: &Header) -> Result<Target, BlockError> {
    let required = required.iter().find(|required| required.algorithm == header.algorithm);
    let RequiredBits { bits: expected, target, .. } = *required.ok_or(BlockError::BrokenBranch)?;
    if header.bits == expected { Ok(target) } else { Err(BlockError::Bits { got: header.bits, expected }) }
}

fn key(params: &Params, branch: &dyn Branch, header: &Header) -> Result<PowKey, BlockError> {
    let Header { algorithm, height, .. } = *header;
    pow_key(params, branch, algorithm).ok_or(BlockError::NoPowKey { algorithm, height })
}
