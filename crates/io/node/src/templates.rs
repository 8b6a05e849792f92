use bq_api_types::{NodeError, Template, TemplateRequest, TemplateWork};
use bq_chain::BlockTree;
use bq_consensus::{
    BlockError, ProvenHeader, SealedHeader, check_body, check_header, check_spends, min_time, pow_key, required_bits,
};
use bq_mempool::PooledTransaction;
use bq_primitives::{Algorithm, ExtraNonce, Header, Seal};
use bq_template::{AlgorithmFacts, BlockTemplate, ParentFacts, TemplateError, assemble, room_for_transactions};

use crate::{
    Node,
    coins::StoreCoins,
    node::{broken, store_failed},
};

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
        let request =
            bq_template::TemplateRequest { payout: request.payout, coinbase_data: request.coinbase_data.clone() };
        // Readers of tree and store see one state while this is held.
        let tree = self.tree.read();
        let facts = self.parent_facts(&tree)?;
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
            Ok(template) => Ok(into_api(template)),
            Err(TemplateFailure::Rule(error)) => Err(broken(error)),
            Err(TemplateFailure::Node(error)) => Err(error),
        }
    }

    fn parent_facts(&self, tree: &BlockTree) -> Result<ParentFacts, NodeError> {
        let branch = tree.tip_branch();
        let tip = tree.tip();
        let height = tip.height.next().ok_or_else(|| broken("no height is left above the tip"))?;
        let facts = |required: &bq_consensus::RequiredBits| {
            // An algorithm whose last epoch is over has no key, and no block can be made with it.
            let key = pow_key(&self.params, &branch, required.algorithm)?;
            let bq_consensus::RequiredBits { algorithm, bits, target, .. } = *required;
            Some(AlgorithmFacts { algorithm, bits, target, key })
        };
        Ok(ParentFacts {
            parent_id: tip.id,
            height,
            min_time: min_time(&self.params, &branch),
            future_limit_secs: self.params.future_limit_secs,
            subsidy: self.params.subsidy(height),
            algorithms: required_bits(&self.params, &branch).iter().filter_map(facts).collect(),
        })
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
            let sealed = SealedHeader { header: candidate.header, seal: blank_seal(&candidate.header) };
            let checked = check_header(&self.params, &branch, sealed, self.now())?;
            headers.push(ProvenHeader::assume(sealed, *checked.entry()));
        }
        let longest = headers.into_iter().max_by_key(|header| Seal::encoded_len(header.sealed().header.algorithm));
        let Some(header) = longest else { return Err(TemplateError::NoAlgorithm.into()) };
        let block = check_body(header, template.transactions.as_ref().clone())?;
        let coins = StoreCoins::new(self.store.as_ref());
        self.signatures.verify_ahead(&self.genesis_id, &template.transactions, &coins);
        let verdict = check_spends(&self.params, block, &coins, &self.signatures);
        coins.finish().map_err(|error| TemplateFailure::Node(store_failed(&error)))?;
        verdict?;
        Ok(())
    }
}

/// A seal that nobody has worked for yet: the rules for headers ask only whose it is.
fn blank_seal(header: &Header) -> Seal {
    let extranonce = ExtraNonce::default();
    match header.algorithm {
        Algorithm::Sha256d => Seal::Sha256d { extranonce, version: 0, ntime: 0, nonce: 0 },
        Algorithm::RandomX => Seal::RandomX { extranonce, nonce: 0 },
        Algorithm::Ethash => Seal::Ethash { extranonce, nonce: 0, mix: [0; 32] },
    }
}

fn into_api(template: BlockTemplate) -> Template {
    let BlockTemplate { parent_id, height, reward, fees, transactions, candidates, .. } = template;
    let work = |candidate: bq_template::CandidateHeader| TemplateWork {
        header: candidate.header,
        target: candidate.target,
        key: candidate.key,
    };
    Template { parent_id, height, reward, fees, transactions, works: candidates.into_iter().map(work).collect() }
}
