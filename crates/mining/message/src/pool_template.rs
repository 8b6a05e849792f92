use std::sync::Arc;

use bq_chain_api::{Template, TemplateWork};
use bq_primitives::Algorithm;

use crate::{AccountScheme, SchemePays, SharePay};

/// What miners work on. How one is paid decides whom his block's coinbase pays.
#[derive(Clone, Debug)]
pub struct PoolTemplate {
    /// For shares that the lanes' windows pay: its coinbases are as the terms of each lane say.
    pub shared: Arc<Template>,
    /// For all others: its coinbases pay the pool alone. Nothing while no other scheme is offered.
    pub own: Option<Arc<Template>>,
    /// What shares on it are paid by.
    pub pays: SchemePays,
}

impl PoolTemplate {
    /// For a pool that offers no scheme but that of its lanes.
    #[must_use]
    pub fn shared(template: Arc<Template>) -> Self {
        Self { shared: template, own: None, pays: SchemePays::default() }
    }

    /// What a miner of this scheme works on, and what its shares are paid by; nothing while the algorithm may not seal blocks.
    #[must_use]
    pub fn work(&self, scheme: AccountScheme, algorithm: Algorithm) -> Option<(&TemplateWork, SharePay)> {
        let (template, pay) = match (self.pays.of(scheme, algorithm), &self.own) {
            // A coinbase that pays a window pays no share that was promised something else.
            (SharePay::Window, _) | (_, None) => (&self.shared, SharePay::Window),
            (pay, Some(own)) => (own, pay),
        };
        Some((template.work(algorithm)?, pay))
    }
}
