//! Blocks of no content, put on a tip as fast as they are wanted.

use anyhow::Context as _;
use bq_chain_api::{NodeApi, Template, TemplateRequest};
use bq_pow::PowVerifier;
use bq_primitives::{Algorithm, BlockId, ExtraNonce, KeyHash, Seal};

/// Puts an empty SHA-256d block on the tip; at the easiest bits it takes two hashes.
pub(super) fn mine_block(node: &dyn NodeApi, pow: &PowVerifier) -> anyhow::Result<BlockId> {
    let template = template(node)?;
    let work = template.work(Algorithm::Sha256d).context("SHA-256d is not active")?;
    let seal = |nonce| Seal::Sha256d { extranonce: ExtraNonce::default(), version: 0, ntime: 0, nonce };
    let meets = |seal: &Seal| pow.verify(&work.header, seal, &work.key, &work.target).is_ok();
    let sealed = (0..1 << 20).map(seal).find(meets).context("no proof in a million hashes: the bits are too hard")?;
    Ok(node.submit_block(template.seal(sealed).context("SHA-256d is not active")?)?)
}

/// Builds the tables that verification needs now, as a busy pool has them.
pub(super) fn prepare_tables(node: &dyn NodeApi, pow: &PowVerifier) -> anyhow::Result<()> {
    for work in template(node)?.works {
        pow.prepare(&work.key)?;
    }
    Ok(())
}

fn template(node: &dyn NodeApi) -> anyhow::Result<Template> {
    Ok(node.template(&TemplateRequest::new(KeyHash::ZERO, Vec::new()))?)
}
