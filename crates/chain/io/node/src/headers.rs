use std::time::Instant;

use bq_chain_api::{AddHeadersError, BlockRefusal, HeaderSource, HeaderTip, HeadersAdded, NodeError};
use bq_consensus::{
    BlockError, Branch, Consequence, ContextualHeader, ProvenHeader, SealedHeader, check_header, check_proof,
};
use bq_primitives::{BlockId, Height, NamedHeader, PowKey, Work};
use bq_store::{NewHeader, StoreChange};
use bq_tree::{BlockState, BlockTree, HeaderRun};
use rayon::prelude::*;

use crate::{Node, low_work::LowWorkHeaders, node::broken};

/// Proofs verified at a time: enough for every core, few enough that a bad one stops the run early.
const PROOFS_AT_ONCE: usize = 16;
/// A branch whose work does not reach that of the best header chain so many blocks ago is far behind (SPEC 9.2).
const REACH_BLOCKS: u32 = 288;

/// The part of a run that is examined together.
struct Segment {
    /// New headers that keep the rules.
    contextual: Vec<ContextualHeader>,
    /// Headers of the run that this part covers, known ones included.
    covered: usize,
    /// What is wrong with the header after it.
    failure: Option<AddHeadersError>,
    /// A table that the headers before it have not shown to be worth building; the part is its first header alone.
    foreign_key: Option<PowKey>,
}

impl Node {
    /// Rules 1-5 for the whole run, then the proofs in order, in small groups; each group is kept when it is proven.
    pub(crate) fn accept_headers(
        &self,
        source: HeaderSource,
        run: &[SealedHeader],
    ) -> Result<HeadersAdded, AddHeadersError> {
        let run: Vec<_> = run.iter().copied().map(NamedHeader::from).collect();
        check_linked(&run)?;
        let (mut new, mut rest) = (0, run.as_slice());
        while !rest.is_empty() {
            let Segment { contextual, covered, failure, foreign_key } = self.check_run(source, rest)?;
            for group in contextual.chunks(PROOFS_AT_ONCE) {
                let (proven, failure) = self.prove(group);
                new += self.keep_headers(&proven)?;
                if let Some(error) = failure {
                    return Err(error);
                }
            }
            if let Some(error) = failure {
                return Err(error);
            }
            if let Some(key) = foreign_key {
                self.keys.give_back(source, key);
            }
            rest = rest.get(covered..).unwrap_or_default();
        }
        Ok(HeadersAdded { new, best: header_tip(&self.tree.read()) })
    }

    /// The headers of a run that are new and keep the rules, up to the first that breaks one or needs a foreign table.
    fn check_run(&self, source: HeaderSource, run: &[NamedHeader]) -> Result<Segment, AddHeadersError> {
        let tree = self.tree.read();
        let low_work = self.low_work.lock();
        let is_known = |id: &BlockId| tree.state(id).is_some() || low_work.contains(id);
        let known = run.iter().take_while(|named| is_known(&named.id())).count();
        for named in &run[..known] {
            let id = named.id();
            if tree.state(&id) == Some(BlockState::Invalid) {
                return Err(known_invalid(id));
            }
        }
        let done = Segment { contextual: Vec::new(), covered: known, failure: None, foreign_key: None };
        let Some(first) = run.get(known) else { return Ok(done) };
        let mut branch = branch_below(&tree, &low_work, first.sealed().header.parent_id)?;
        drop(low_work);
        let usual_keys = self.usual_keys(&tree, &first.sealed().header.parent_id);
        let Segment { mut contextual, mut covered, .. } = done;
        for named in &run[known..] {
            let header = match check_header(&self.params, &branch, *named, self.now()) {
                Ok(header) => header,
                Err(error) => {
                    let failure = Some(refused(named.id(), error));
                    return Ok(Segment { contextual, covered, failure, foreign_key: None });
                }
            };
            let key = header.key();
            if !usual_keys.hold(&key) && !self.keys.is_current(&key) {
                if !contextual.is_empty() {
                    // What comes before it is examined first: without that, its table is not worth building.
                    break;
                }
                if !self.keys.take(source, key, Instant::now()) {
                    let what = "too many headers that need tables of long ago".to_owned();
                    return Err(NodeError::Request(what).into());
                }
                let covered = covered + 1;
                return Ok(Segment { contextual: vec![header], covered, failure: None, foreign_key: Some(key) });
            }
            branch.push(*header.entry());
            contextual.push(header);
            covered += 1;
        }
        Ok(Segment { contextual, covered, failure: None, foreign_key: None })
    }

    /// SPEC 7.6 on all cores. The headers before the first bad one count.
    fn prove(&self, group: &[ContextualHeader]) -> (Vec<ProvenHeader>, Option<AddHeadersError>) {
        let verdicts: Vec<_> = group.par_iter().map(|header| check_proof(header.clone(), self.pow.as_ref())).collect();
        let mut proven = Vec::with_capacity(group.len());
        for (header, verdict) in group.iter().zip(verdicts) {
            match verdict {
                Ok(header) => proven.push(header),
                Err(error) => return (proven, Some(refused(header.entry().id, error))),
            }
        }
        (proven, None)
    }

    /// Stores headers, or keeps them in memory while their branch is far behind. How many of them were new.
    fn keep_headers(&self, proven: &[ProvenHeader]) -> Result<usize, AddHeadersError> {
        let mut writer = self.writer.lock();
        let tree = self.tree.read();
        let mut low_work = self.low_work.lock();
        let horizon = self.work_horizon(&tree);
        let mut headers = Vec::new();
        let mut new = 0;
        for proven in proven {
            let (sealed, entry) = (*proven.sealed(), *proven.entry());
            // Another thread may have added some meanwhile, or found an ancestor invalid.
            if tree.state(&entry.parent_id) == Some(BlockState::Invalid) {
                return Err(known_invalid(entry.parent_id));
            }
            if tree.entry(&entry.id).is_some() || low_work.contains(&entry.id) {
                continue;
            }
            new += 1;
            if entry.chain_work >= horizon {
                headers.extend(low_work.take_branch(&entry.parent_id));
                headers.push(NewHeader { sealed, entry });
            } else if !low_work.insert(sealed, entry) {
                return Err(NodeError::Request("too many headers of branches that are far behind".to_owned()).into());
            }
        }
        self.metrics.low_work_headers(low_work.len());
        headers.retain(|header| tree.entry(&header.entry.id).is_none());
        drop((tree, low_work));
        if !headers.is_empty() {
            self.commit(&mut writer, StoreChange { headers, ..StoreChange::default() })?;
        }
        Ok(new)
    }

    /// Bodies are fetched only for a header chain that shows the work which the network is known to have (SPEC 9.2).
    pub(crate) fn shows_enough_work(&self, tree: &BlockTree) -> bool {
        tree.best_header().chain_work >= self.params.min_chain_work
    }

    /// The work that a branch must show to be stored: that of the best header chain [`REACH_BLOCKS`] ago, and the work that
    /// the network is known to have, once the best header chain has it.
    fn work_horizon(&self, tree: &BlockTree) -> Work {
        let best = tree.best_header();
        let floor = Height(best.height.0.saturating_sub(REACH_BLOCKS));
        let branch = tree.branch(&best.id);
        let reach = branch.and_then(|branch| branch.entry(floor).map(|entry| entry.chain_work)).unwrap_or(Work::ZERO);
        let known = self.params.min_chain_work;
        if best.chain_work >= known { reach.max(known) } else { reach }
    }
}

/// The branch that ends with `parent_id`, in the tree or among the headers that are far behind.
fn branch_below<'a>(
    tree: &'a BlockTree,
    low_work: &LowWorkHeaders,
    parent_id: BlockId,
) -> Result<HeaderRun<'a>, AddHeadersError> {
    let above = low_work.branch(&parent_id);
    let base_id = above.first().map_or(parent_id, |lowest| lowest.parent_id);
    let base = tree.branch(&base_id).ok_or(AddHeadersError::UnknownParent(parent_id))?;
    if tree.state(&base_id) == Some(BlockState::Invalid) {
        return Err(known_invalid(base_id));
    }
    let mut branch = HeaderRun::new(base);
    above.into_iter().for_each(|entry| branch.push(entry));
    Ok(branch)
}

pub(crate) fn header_tip(tree: &BlockTree) -> HeaderTip {
    let best = tree.best_header();
    HeaderTip { id: best.id, height: best.height, chain_work: best.chain_work }
}

fn check_linked(run: &[NamedHeader]) -> Result<(), AddHeadersError> {
    let pairs = run.iter().zip(run.iter().skip(1)).enumerate();
    for (position, (parent, child)) in pairs {
        if child.sealed().header.parent_id != parent.id() {
            return Err(AddHeadersError::NotAChain { position: position + 1 });
        }
    }
    Ok(())
}

fn refused(id: BlockId, error: BlockError) -> AddHeadersError {
    match error.consequence() {
        Consequence::Hold => AddHeadersError::TooEarly { id, reason: error.into() },
        Consequence::Local => AddHeadersError::Node(broken(error)),
        Consequence::UnknownParent | Consequence::Invalid | Consequence::BodyMismatch => match error {
            BlockError::UnknownParent { parent_id } => AddHeadersError::UnknownParent(parent_id),
            error => AddHeadersError::Invalid { id, reason: error.into() },
        },
    }
}

fn known_invalid(id: BlockId) -> AddHeadersError {
    AddHeadersError::Invalid { id, reason: BlockRefusal::KnownInvalid(id) }
}
