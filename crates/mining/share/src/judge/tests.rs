mod model;
mod order;

use std::sync::Arc;

use bq_primitives::{
    Algorithm, BlockId, CompactTarget, Header, Height, KeyHash, MerkleRoot, PowKey, ShareDifficulty, Target, Timestamp,
    U256, WorkerName,
};

use super::*;
use crate::{Claim, ExtranoncePrefix, Rolled, WorkTemplate};

const PREFIX: ExtranoncePrefix = ExtranoncePrefix { server_id: 1, connection: 7 };

/// A template on `tip` repeated, with a body of its own, whose blocks take `network` hashes.
fn template(algorithm: Algorithm, tip: u8, body: u8, network: u64) -> Arc<WorkTemplate> {
    let key = match algorithm {
        Algorithm::Sha256d => PowKey::Sha256d,
        Algorithm::RandomX => PowKey::RandomX(BlockId([9; 32])),
        Algorithm::Ethash => PowKey::Ethash(0),
    };
    let header = Header {
        version: 1,
        parent_id: BlockId([tip; 32]),
        tx_root: MerkleRoot([body; 32]),
        witness_root: MerkleRoot([body; 32]),
        time: Timestamp(1_800_000_000),
        height: Height(70_000),
        bits: CompactTarget(0x1d00_ffff),
        algorithm,
    };
    Arc::new(WorkTemplate::new(
        header,
        Target(U256::MAX / U256::from(network)),
        key,
        bq_primitives::UnsealedBody::default(),
    ))
}

fn job(template: &Arc<WorkTemplate>, number: u32, difficulty: u64) -> Job {
    let id = JobId(100 + number);
    Job {
        id,
        template: Arc::clone(template),
        payee: KeyHash([3; 32]),
        difficulty: ShareDifficulty::from_hashes(difficulty),
        work: JobWork::new(template, PREFIX, id, number, 1_000),
    }
}

fn sha256d(job: u32, nonce: u32) -> Submit {
    let rolled = Rolled::Sha256d { extranonce2: [0; 8], version: 0x2000_0000, ntime: 1_000, nonce };
    Submit { job: JobId(job), rolled, claim: Claim::None, worker: WorkerName::default() }
}

fn randomx(job: u32, nonce: u32, result: [u8; 32]) -> Submit {
    let rolled = Rolled::RandomX { nonce };
    Submit { job: JobId(job), rolled, claim: Claim::RandomX(result), worker: WorkerName::default() }
}
