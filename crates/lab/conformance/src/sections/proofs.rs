//! Proofs of a pool (SPEC 8.10): shares in frames, liabilities, exports of accounts with the place that is wrong.

use bq_pool_machine::{LogHash, LogHead, LogNumber};
use bq_pool_proof::{
    AccountExport, Bytes, LiabilityEpoch, LiabilityProof, LiabilitySecret, LiabilityTree, PoolIdentity, ProofError,
    Report, Salt, ShareProof, Statement, SumNode,
};
use bq_primitives::{Amount, BlockId, Height, KeyHash, Network};
use serde::Deserialize;

use crate::{
    case::{Case, Fault, Outcome, malformed, same, same_bytes},
    tables::Tables,
    values::Array,
};

/// SPEC 8.10.1.
#[derive(Deserialize)]
pub(super) struct OfShare {
    share: String,
    index: u16,
    count: u16,
    path: Vec<Array<32>>,
    digest: Array<32>,
}

impl Case for OfShare {
    fn check(&self, _: &mut Tables) -> Result<Outcome, Fault> {
        let share = Bytes(hex::decode(&self.share).map_err(malformed)?);
        let path = self.path.iter().map(|hash| hash.0).collect();
        let proof = ShareProof { share, index: self.index, count: self.count, path };
        let (share, digest) = proof.digest().map_err(malformed)?;
        same_bytes("digest", &digest.0, &self.digest.0)?;
        let mut again = Vec::new();
        share.encode(&mut again);
        same_bytes("share", &again, &proof.share.0)?;
        Ok(Outcome::Ran)
    }
}

/// SPEC 8.10.6 and 8.10.7.
#[derive(Deserialize)]
pub(super) struct SumTree {
    secret: Array<32>,
    epoch: u64,
    root: Array<32>,
    sum: Amount,
    depth: u8,
    proofs: Vec<OfBalance>,
    statement: Stated,
}

#[derive(Deserialize)]
struct OfBalance {
    account: Array<32>,
    balance: Amount,
    salt: Array<16>,
    index: u32,
    path: Vec<Node>,
}

#[derive(Deserialize)]
struct Node {
    hash: Array<32>,
    sum: Amount,
}

#[derive(Deserialize)]
struct Stated {
    genesis: Array<32>,
    pool: Array<32>,
    number: u64,
    hash: Array<32>,
    signed: Array<32>,
}

impl Case for SumTree {
    fn check(&self, _: &mut Tables) -> Result<Outcome, Fault> {
        let (secret, epoch) = (LiabilitySecret(self.secret.0), LiabilityEpoch(self.epoch));
        let balances = self.proofs.iter().map(|proof| (KeyHash(proof.account.0), proof.balance));
        let tree = LiabilityTree::new(&secret, epoch, balances).map_err(malformed)?;
        same_bytes("root", &tree.root().hash, &self.root.0)?;
        same("sum", tree.root().sum, self.sum)?;
        same("depth", tree.depth(), self.depth)?;
        let stated = &self.statement;
        let pool = PoolIdentity {
            network: Network::Regtest,
            genesis: BlockId(stated.genesis.0),
            key: KeyHash(stated.pool.0),
            tag: Bytes::default(),
        };
        let head = LogHead { number: LogNumber(stated.number), hash: LogHash(stated.hash.0) };
        let statement = Statement::of(&tree, &pool, head);
        same_bytes("signed", statement.signing_hash().as_bytes(), &stated.signed.0)?;
        for (place, wanted) in self.proofs.iter().enumerate() {
            let account = KeyHash(wanted.account.0);
            let path = wanted.path.iter().map(|node| SumNode { hash: node.hash.0, sum: node.sum }).collect();
            let salt = Salt(wanted.salt.0);
            let proof = LiabilityProof { epoch, salt, balance: wanted.balance, index: wanted.index, path };
            same(format!("proof {place}"), format!("{:?}", tree.proof(&account)), format!("{:?}", Some(&proof)))?;
            let balance = proof.verify(&account, &statement).map_err(malformed)?;
            same(format!("balance {place}"), balance, wanted.balance)?;
        }
        Ok(Outcome::Ran)
    }
}

/// SPEC 8.10.8: a good export with what it proves, or a bad one with what is told of it.
#[derive(Deserialize)]
pub(super) struct Export {
    name: String,
    export: String,
    /// Ids of the best chain's blocks, by height.
    chain: Vec<Array<32>>,
    /// How the fault begins.
    fault: Option<String>,
    shares: Option<u64>,
    /// In units of 2^-60 of a block, as text: it may not fit a JSON number.
    weight: Option<String>,
    runs: Option<usize>,
}

impl Case for Export {
    fn check(&self, _: &mut Tables) -> Result<Outcome, Fault> {
        let bytes = hex::decode(&self.export).map_err(malformed)?;
        let told = |what: &str| format!("{}: {what}", self.name);
        match (self.judge(&bytes), &self.fault) {
            (Err(fault), Some(expected)) => {
                let fault = fault.to_string();
                let begins = fault.get(..expected.len()).unwrap_or(&fault);
                same(told("fault"), begins, expected.as_str())?;
            }
            (Err(fault), None) => return Err(malformed(told(&fault.to_string()))),
            (Ok(_), Some(expected)) => return Err(malformed(told(&format!("nothing is found, not {expected}")))),
            (Ok(report), None) => {
                let shares: u64 = report.lanes.iter().map(|lane| lane.shares).sum();
                let weight: u128 = report.lanes.iter().map(|lane| lane.weight).sum();
                let got = (Some(shares), Some(weight.to_string()), Some(report.runs.len()));
                let expected = (self.shares, self.weight.clone(), self.runs);
                same(told("report"), format!("{got:?}"), format!("{expected:?}"))?;
            }
        }
        Ok(Outcome::Ran)
    }
}

impl Export {
    fn judge(&self, bytes: &[u8]) -> Result<Report, ProofError> {
        let report = AccountExport::verify_bytes(bytes)?;
        let id_at = |height: Height| {
            let height = usize::try_from(height.0).ok()?;
            self.chain.get(height).map(|id| BlockId(id.0))
        };
        report.on_chain(Network::Regtest, id_at)?;
        Ok(report)
    }
}
