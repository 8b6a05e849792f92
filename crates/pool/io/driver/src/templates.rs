use std::sync::Arc;

use bq_chain_api::{Template, TemplateRequest};
use bq_pool_machine::Commitment;

use crate::{PoolError, keeper::Keeper, trouble::Trouble};

/// The tip may move between the question for it and the template; that it does so again and again means that the next refresh is due anyway.
const TRIES: usize = 4;

impl Keeper {
    /// Fetches a template and hands it to every session. The old one stays until there is a new one.
    pub(crate) fn refresh_template(&self) -> Result<(), PoolError> {
        let template = self.committed_template()?;
        self.trouble(Trouble::Template, None);
        self.template.send_replace(Some(Arc::new(template)));
        Ok(())
    }

    /// A template whose coinbase says how far the log has come, so that a lost or rewritten past is noticed. That is sealed for the parent;
    /// on another one it says nothing, and the block is known by its share alone.
    fn committed_template(&self) -> Result<Template, PoolError> {
        let mut tries = 0;
        loop {
            let parent = self.node.tip().id;
            let mut coinbase_data = self.config.pool_tag.clone();
            // Only what is on disk counts.
            coinbase_data.extend(Commitment(self.written()).to_bytes(&self.commitment_key, &parent));
            let template = self.node.template(&TemplateRequest { payout: self.key_hash(), coinbase_data })?;
            tries += 1;
            if template.parent_id == parent || tries == TRIES {
                return Ok(template);
            }
        }
    }
}
