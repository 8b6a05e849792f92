use std::{sync::Arc, time::Instant};

use bq_chain_api::{Template, TemplateRequest};
use bq_mining_message::PoolTemplate;
use bq_pool_machine::{CoinbaseOf, Commitment};
use bq_primitives::{BlockId, TxOut};

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
            payout: self.coinbase_key(),
            coinbase_data: self.coinbase_data(&bases, &self.node.tip().id, &[], CoinbaseOf::Window),
            outputs_max: bases.outputs_max(),
        };
        let mut template = self.node.template(&request)?;
        let made = Instant::now();
        let is_blind = bases.is_blind(&template.parent_id);
        let bases = bases.on(&template.parent_id);
        let coinbases = Coinbases { is_blind, ..self.set_coinbases(&mut template, &bases)? };
        self.metrics.coinbases(&coinbases, made.elapsed());
        *self.coinbases.write() = coinbases;
        self.trouble(Trouble::Template, None);
        let template = self.by_scheme(template, &bases)?;
        self.template.send_replace(Some(Arc::new(template)));
        Ok(())
    }

    /// Adds what those mine whom no window of the lane pays: coinbases that pay the pool alone.
    fn by_scheme(&self, template: Template, bases: &Bases) -> Result<PoolTemplate, PoolError> {
        let subsidy = self.note_template(&template)?;
        let pays = self.state.read().scheme_pays(template.height, subsidy);
        let own = pays.has_others().then(|| self.own_template(template.clone(), bases)).transpose()?;
        Ok(PoolTemplate { shared: Arc::new(template), own: own.map(Arc::new), pays })
    }

    fn own_template(&self, mut template: Template, bases: &Bases) -> Result<Template, PoolError> {
        let outputs = vec![TxOut { amount: template.reward, key_hash: self.coinbase_key() }];
        let data = self.coinbase_data(bases, &template.parent_id, &outputs, CoinbaseOf::Others);
        let lanes: Vec<_> = template.works.iter().map(|work| work.header.algorithm).collect();
        for lane in lanes {
            template.set_coinbase(lane, outputs.clone(), data.clone())?;
        }
        Ok(template)
    }

    /// Gives each algorithm's block its coinbase: whom it pays, and how far the log has come, so that a lost or rewritten past is
    /// noticed. That is sealed for the parent and for these outputs: with others it says nothing.
    fn set_coinbases(&self, template: &mut Template, bases: &Bases) -> Result<Coinbases, PoolError> {
        let parent = template.parent_id;
        let mut coinbases = Coinbases::default();
        let lanes: Vec<_> = template.works.iter().map(|work| work.header.algorithm).collect();
        for lane in lanes {
            let plan = bases.plan(lane, template.reward)?;
            let outputs = match &plan {
                Some(plan) => self.outputs_of(plan)?,
                None => vec![TxOut { amount: template.reward, key_hash: self.coinbase_key() }],
            };
            let data = self.coinbase_data(bases, &parent, &outputs, CoinbaseOf::Window);
            template.set_coinbase(lane, outputs, data)?;
            if let Some(place) = coinbases.lanes.get_mut(lane.index()) {
                *place = plan.map(Arc::new);
            }
        }
        Ok(coinbases)
    }

    fn coinbase_data(&self, bases: &Bases, parent: &BlockId, outputs: &[TxOut], of: CoinbaseOf) -> Vec<u8> {
        let mut data = self.config.pool_tag.clone();
        data.extend(Commitment(bases.head).to_bytes(&self.commitment_key, parent, outputs, of));
        data
    }
}
