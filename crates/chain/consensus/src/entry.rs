use bq_primitives::{Algorithm, BlockId, Header, Target, Timestamp};

use crate::{BlockError, Branch, Era, IndexEntry, Params, RequiredBits, required_bits, weighted_work};

/// The light index entry of a child of the branch's tip (SPEC 2.4, SPEC 3, SPEC 4). The header's own claims are not judged
/// here: [`crate::check_header`] does that, and gives the same entry.
///
/// # Errors
/// No entry exists for a header that is not a child of the tip, whose algorithm is not active, or whose work would not fit.
pub fn extend(params: &Params, branch: &dyn Branch, header: &Header, id: BlockId) -> Result<IndexEntry, BlockError> {
    let tip = branch.tip();
    if header.parent_id != tip.id {
        return Err(BlockError::UnknownParent { parent_id: header.parent_id });
    }
    let era = params.eras.at(header.height);
    let active = era.filter(|era| era.algorithm(header.algorithm).is_some());
    let era = active.ok_or(BlockError::AlgorithmNotActive { algorithm: header.algorithm, height: header.height })?;
    extend_with(era, &required_bits(params, branch), tip, header, id)
}

/// [`extend`] for callers who have looked up the era and the required bits.
pub(crate) fn extend_with(
    era: &Era,
    required: &[RequiredBits],
    tip: &IndexEntry,
    header: &Header,
    id: BlockId,
) -> Result<IndexEntry, BlockError> {
    let run = run(era, tip, header);
    let weight = weighted_work(&targets(era, required)?, run);
    let chain_work = tip.chain_work.checked_add(weight).ok_or(BlockError::ChainWorkOverflow)?;
    Ok(IndexEntry {
        id,
        parent_id: header.parent_id,
        height: header.height,
        time: header.time,
        clock: clock(tip, header),
        algorithm: Some(header.algorithm),
        bits: header.bits,
        base_bits: Algorithm::ALL
            .map(|algorithm| required.iter().find(|bits| bits.algorithm == algorithm).map(|bits| bits.base_bits)),
        run,
        last_of_algorithm: Algorithm::ALL
            .map(|algorithm| if algorithm == header.algorithm { Some(header.height) } else { tip.last_of(algorithm) }),
        chain_work,
    })
}

/// The chain clock never runs backwards (SPEC 2.4).
fn clock(tip: &IndexEntry, header: &Header) -> Timestamp {
    tip.clock.max(header.time)
}

/// Blocks in a row of the header's algorithm, within its era (SPEC 4.3).
fn run(era: &Era, tip: &IndexEntry, header: &Header) -> u8 {
    let continues = tip.height >= era.start && tip.algorithm == Some(header.algorithm);
    if continues { tip.run.saturating_add(1) } else { 1 }
}

/// Required and reference target of every active algorithm, whichever one sealed the block (SPEC 4.2).
fn targets(era: &Era, required: &[RequiredBits]) -> Result<Vec<(Target, Target)>, BlockError> {
    let pair = |bits: &RequiredBits| {
        let unit = era.algorithm(bits.algorithm)?.ref_bits.decode().ok()?;
        Some((bits.target, unit))
    };
    if required.len() != era.algorithms.len() {
        return Err(BlockError::BrokenBranch);
    }
    required.iter().map(pair).collect::<Option<_>>().ok_or(BlockError::BrokenBranch)
}
