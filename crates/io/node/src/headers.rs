use bq_api_types::{AddHeadersError, HeaderTip, HeadersAdded};
use bq_chain::{BlockState, BlockTree, HeaderRun};
use bq_consensus::{
    BlockError, Branch, Consequence, ContextualHeader, ProvenHeader, SealedHeader, check_header, check_proof,
};
use bq_primitives::BlockId;
use bq_store::{NewHeader, StoreChange};
use rayon::prelude::*;

use crate::{
    Node,
    node::{broken, store_failed},
};

/// Proofs verified at a time: enough for every core, few enough that a bad one stops the run early.
const PROOFS_AT_ONCE: usize = 16;

impl Node {
    /// Rules 1-5 for the whole run, then the proofs in order, in small groups; each group is stored when it is proven.
    pub(crate) fn accept_headers(&self, run: &[SealedHeader]) -> Result<HeadersAdded, AddHeadersError> {
        check_linked(run)?;
        let (contextual, failure) = self.check_run(run)?;
        let mut new = 0;
        for group in contextual.chunks(PROOFS_AT_ONCE) {
            let (proven, failure) = self.prove(group);
            new += self.store_headers(&proven)?;
            if let Some(error) = failure {
                return Err(error);
            }
        }
        match failure {
            Some(error) => Err(error),
            None => Ok(HeadersAdded { new, best: header_tip(&self.tree.read()) }),
        }
    }

    /// The headers of a run that are new and keep the rules, and what is wrong with the next one, if there is one.
    fn check_run(
        &self,
        run: &[SealedHeader],
    ) -> Result<(Vec<ContextualHeader>, Option<AddHeadersError>), AddHeadersError> {
        let tree = self.tree.read();
        let known = run.iter().take_while(|sealed| tree.state(&sealed.id()).is_some()).count();
        for sealed in &run[..known] {
            let id = sealed.id();
            if tree.state(&id) == Some(BlockState::Invalid) {
                return Err(known_invalid(id));
            }
        }
        let Some(first) = run.get(known) else { return Ok((Vec::new(), None)) };
        let parent_id = first.header.parent_id;
        let branch = tree.branch(&parent_id).ok_or(AddHeadersError::UnknownParent(parent_id))?;
        if tree.state(&parent_id) == Some(BlockState::Invalid) {
            return Err(known_invalid(parent_id));
        }
        let mut branch = HeaderRun::new(branch);
        let mut checked: Vec<ContextualHeader> = Vec::new();
        for sealed in &run[known..] {
            match check_header(&self.params, &branch, *sealed, self.now()) {
                Ok(header) if checked.is_empty() && !self.allow_key(&tree, &parent_id, &header) => {
                    let what = "too many headers that need tables of long ago".to_owned();
                    return Err(bq_api_types::NodeError::Request(what).into());
                }
                Ok(header) => {
                    branch.push(*header.entry());
                    checked.push(header);
                }
                Err(error) => return Ok((checked, Some(refused(sealed.id(), &error)))),
            }
        }
        debug_assert!(run.last().is_some_and(|last| branch.tip().id == last.id()), "the run ends with its last header");
        Ok((checked, None))
    }

    /// SPEC 7.6 on all cores. The headers before the first bad one count.
    fn prove(&self, group: &[ContextualHeader]) -> (Vec<ProvenHeader>, Option<AddHeadersError>) {
        let verdicts: Vec<_> = group.par_iter().map(|header| check_proof(header.clone(), self.pow.as_ref())).collect();
        let mut proven = Vec::with_capacity(group.len());
        for (header, verdict) in group.iter().zip(verdicts) {
            match verdict {
                Ok(header) => proven.push(header),
                Err(error) => return (proven, Some(refused(header.entry().id, &error))),
            }
        }
        (proven, None)
    }

    /// How many of them were new.
    fn store_headers(&self, proven: &[ProvenHeader]) -> Result<usize, AddHeadersError> {
        let _writer = self.writer.lock();
        let mut tree = self.tree.write();
        // Another thread may have added some meanwhile, or found an ancestor invalid.
        let fresh: Vec<_> = proven.iter().filter(|header| tree.entry(&header.entry().id).is_none()).collect();
        if let Some(first) = fresh.first()
            && tree.state(&first.entry().parent_id) == Some(BlockState::Invalid)
        {
            return Err(known_invalid(first.entry().parent_id));
        }
        let new_header = |proven: &&ProvenHeader| {
            let SealedHeader { header, seal } = *proven.sealed();
            NewHeader { header, seal, entry: *proven.entry() }
        };
        let headers: Vec<_> = fresh.iter().map(new_header).collect();
        if headers.is_empty() {
            return Ok(0);
        }
        let change = StoreChange { headers, ..StoreChange::default() };
        self.store.commit(&change).map_err(|error| store_failed(&error))?;
        for header in &change.headers {
            tree.insert(header.entry).map_err(broken)?;
        }
        Ok(change.headers.len())
    }
}

pub(crate) fn header_tip(tree: &BlockTree) -> HeaderTip {
    let best = tree.best_header();
    HeaderTip { id: best.id, height: best.height, chain_work: best.chain_work }
}

fn check_linked(run: &[SealedHeader]) -> Result<(), AddHeadersError> {
    let pairs = run.iter().zip(run.iter().skip(1)).enumerate();
    for (position, (parent, child)) in pairs {
        if child.header.parent_id != parent.id() {
            return Err(AddHeadersError::NotAChain { position: position + 1 });
        }
    }
    Ok(())
}

fn refused(id: BlockId, error: &BlockError) -> AddHeadersError {
    match error.consequence() {
        Consequence::Hold => AddHeadersError::TooEarly { id, reason: error.to_string() },
        Consequence::Local => AddHeadersError::Node(broken(error)),
        Consequence::UnknownParent | Consequence::Invalid | Consequence::BodyMismatch => {
            AddHeadersError::Invalid { id, reason: error.to_string() }
        }
    }
}

fn known_invalid(id: BlockId) -> AddHeadersError {
    AddHeadersError::Invalid { id, reason: "block is known to be invalid".to_owned() }
}
