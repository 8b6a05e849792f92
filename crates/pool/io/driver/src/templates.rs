use std::sync::Arc;

use bq_chain_api::TemplateRequest;
use bq_pool_machine::Commitment;

use crate::{PoolError, keeper::Keeper, trouble::Trouble};

impl Keeper {
    /// Fetches a template and hands it to every session. The old one stays until there is a new one.
    pub(crate) fn refresh_template(&self) -> Result<(), PoolError> {
        let mut coinbase_data = self.config.pool_tag.clone();
        // Our own chain keeps a commitment to the log, so that a lost or rewritten past is noticed. Only what is on disk counts.
        coinbase_data.extend(Commitment(self.written()).to_bytes(&self.commitment_key));
        let template = self.node.template(&TemplateRequest { payout: self.key_hash(), coinbase_data })?;
        self.trouble(Trouble::Template, None);
        self.template.send_replace(Some(Arc::new(template)));
        Ok(())
    }
}
