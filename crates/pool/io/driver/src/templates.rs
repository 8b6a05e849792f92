use std::{sync::Arc, time::Instant};

use bq_chain_api::{Template, TemplateRequest};
use bq_pool_machine::Commitment;
use bq_primitives::TxOut;

use crate::{
    PoolError,
    direct::{Bases, Coinbases},
    keeper::Keeper,
    trouble::Trouble,
};

impl Keeper {
    /// Fetches a template and hands it to every session. The old one stays until there is a new one.
    pub(crate) fn refresh_template(&self) -> Result<(), PoolError> {
        let bases = self.bases()?;
        let request = TemplateRequest {
            payout: self.key_hash(),
            coinbase_data: self.coinbase_data(&bases, &self.node.tip().id, &[]),
            outputs_max: bases.outputs_max(),
        };
        let mut template = self.node.template(&request)?;
        let made = Instant::now();
        let coinbases = self.set_coinbases(&mut template, bases)?;
        self.metrics.coinbases(&coinbases, made.elapsed());
        *self.coinbases.write() = coinbases;
        self.trouble(Trouble::Template, None);
        self.template.send_replace(Some(Arc::new(template)));
        Ok(())
    }

    /// Gives each algorithm's block its coinbase: whom it pays, and how far the log has come, so that a lost or rewritten past is
    /// noticed. That is sealed for the parent and for these outputs: with others it says nothing.
    fn set_coinbases(&self, template: &mut Template, bases: Bases) -> Result<Coinbases, PoolError> {
        let parent = template.parent_id;
        let is_blind = bases.is_blind(&parent);
        let bases = bases.on(&parent);
        let mut coinbases = Coinbases { is_blind, ..Coinbases::default() };
        let lanes: Vec<_> = template.works.iter().map(|work| work.header.algorithm).collect();
        for lane in lanes {
            let plan = bases.plan(lane, template.height, template.reward)?;
            let outputs = match &plan {
                Some(plan) => self.outputs_of(plan)?,
                None => vec![TxOut { amount: template.reward, key_hash: self.key_hash() }],
            };
            let data = self.coinbase_data(&bases, &parent, &outputs);
            template.set_coinbase(lane, outputs, data)?;
            if let Some(place) = coinbases.lanes.get_mut(lane.index()) {
                *place = plan.map(Arc::new);
            }
        }
        Ok(coinbases)
    }

    fn coinbase_data(&self, bases: &Bases, parent: &bq_primitives::BlockId, outputs: &[TxOut]) -> Vec<u8> {
        let mut data = self.config.pool_tag.clone();
        data.extend(Commitment(bases.head).to_bytes(&self.commitment_key, parent, outputs));
        data
    }
}
