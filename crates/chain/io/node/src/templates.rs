use std::sync::Arc;

use bq_chain_api::{NodeError, Template, TemplateRequest, TemplateWork};
use bq_consensus::{BlockError, ProvenHeader, SealedHeader, check_body, check_header, check_spends};
use bq_mempool::PooledTransaction;
use bq_primitives::{Seal, UnsealedBody};
use bq_template::{BlockTemplate, ParentFacts, TemplateError, assemble, room_for_transactions};
use bq_tree::BlockTree;

use crate::{Node, coins::StoreCoins, node::broken};

/// No template came out.
enum TemplateFailure {
    /// It broke a rule: a mistake of ours.
    Rule(BlockError),
    Node(NodeError),
}

impl From<BlockError> for TemplateFailure {
    fn from(error: BlockError) -> Self {
        Self::Rule(error)
    }
}

impl From<TemplateError> for TemplateFailure {
    fn from(error: TemplateError) -> Self {
        Self::Node(NodeError::Request(error.to_string()))
    }
}

impl Node {
    /// A template on the tip that passed every rule but the proof. Should the mempool ever hold something that the rules
    /// refuse, miners get a block without it instead of one that nobody accepts.
    pub(crate) fn make_template(&self, request: &TemplateRequest) -> Result<Template, NodeError> {
        let TemplateRequest { payout, coinbase_data, outputs_max } = request.clone();
        let request = bq_template::TemplateRequest { payout, coinbase_data, outputs_max };
        // Readers of tree and store see one state while this is held.
        let tree = self.tree.read();
        let facts = ParentFacts::of(&self.params, &tree.tip_branch());
        let facts = facts.ok_or_else(|| broken("no height is left above the tip"))?;
        let room = room_for_transactions(&facts, &request).map_err(|error| NodeError::Request(error.to_string()))?;
        let selected = self.mempool.read().select(room, facts.height).transactions;
        let checked = match self.checked_template(&tree, &facts, &request, &selected) {
            Err(TemplateFailure::Rule(error)) => {
                tracing::error!(%error, "template from the mempool breaks a rule");
                self.checked_template(&tree, &facts, &request, &[])
            }
            other => other,
        };
        match checked {
            Ok(template) => into_api(template).ok_or_else(|| broken("a template without a coinbase")),
            Err(TemplateFailure::Rule(error)) => Err(broken(error)),
            Err(TemplateFailure::Node(error)) => Err(error),
        }
    }

    fn checked_template(
        &self,
        tree: &BlockTree,
        facts: &ParentFacts,
        request: &bq_template::TemplateRequest,
        selected: &[PooledTransaction],
    ) -> Result<BlockTemplate, TemplateFailure> {
        let template = assemble(facts, request, selected, self.now())?;
        self.check_template(tree, &template)?;
        Ok(template)
    }

    /// Every rule of SPEC 7 but the proof: the header of each algorithm, and the body once under the longest seal.
    fn check_template(&self, tree: &BlockTree, template: &BlockTemplate) -> Result<(), TemplateFailure> {
        let branch = tree.tip_branch();
        let mut headers = Vec::new();
        for candidate in &template.candidates {
            let sealed = SealedHeader { header: candidate.header, seal: Seal::blank(candidate.header.algorithm) };
            let checked = check_header(&self.params, &branch, sealed, self.now())?;
            headers.push(ProvenHeader::assume(sealed, *checked.entry()));
        }
        let longest = headers.into_iter().max_by_key(|header| Seal::encoded_len(header.sealed().header.algorithm));
        let Some(header) = longest else { return Err(TemplateError::NoAlgorithm.into()) };
        let block = check_body(header, Arc::clone(&template.transactions))?;
        let coins = StoreCoins::new(self.store.as_ref());
        let verdict = check_spends(&self.params, block, &coins, &self.signatures);
        coins.finish().map_err(|error| TemplateFailure::Node(self.store_failed(&error)))?;
        verdict?;
        Ok(())
    }
}

fn into_api(template: BlockTemplate) -> Option<Template> {
    let BlockTemplate { parent_id, height, reward, fees, coinbase_weight_max, paths, transactions, candidates, .. } =
        template;
    let body = UnsealedBody::of_transactions(Arc::unwrap_or_clone(transactions))?;
    let work = |candidate: bq_template::CandidateHeader| TemplateWork {
        header: candidate.header,
        target: candidate.target,
        key: candidate.key,
        body: body.clone(),
    };
    let works = candidates.into_iter().map(work).collect();
    Some(Template { parent_id, height, reward, fees, coinbase_weight_max, paths, works })
}
