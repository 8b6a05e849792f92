use std::sync::Arc;

use bq_chain_api::TemplateRequest;

use crate::{PoolError, core::Core};

impl Core {
    /// Fetches a template and hands it to every session. The old one stays until there is a new one.
    pub(crate) fn refresh_template(&self) -> Result<(), PoolError> {
        let mut coinbase_data = self.config.pool_tag.clone();
        // Our own chain keeps a commitment to the journal, so that its past cannot be rewritten unseen.
        coinbase_data.extend(self.store.journal_head()?.0);
        let template = self.node.template(&TemplateRequest { payout: self.key_hash, coinbase_data })?;
        self.template.send_replace(Some(Arc::new(template)));
        Ok(())
    }
}
