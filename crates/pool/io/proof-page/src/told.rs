use bq_pool_proof::{Anchor, Credited, Document as _, Evidence, Finding, Owed, PoolIdentity, Receipted, Report};
use bq_primitives::{Address, Algorithm, KeyHash};
use serde::Serialize;

/// What is said of a file. Amounts are in atoms; numbers that a page could round are texts.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub(crate) enum Told {
    /// It proves this, once its blocks are found on the chain.
    Proved(Box<Proved>),
    /// It proves nothing: the first place that is wrong.
    Wrong {
        /// In words.
        wrong: String,
    },
}

/// What a file proves.
#[derive(Debug, Serialize)]
pub(crate) struct Proved {
    network: &'static str,
    genesis: String,
    pool: String,
    account: String,
    proved: What,
    /// To be found on the chain of that network; none: no block named it when the file was made.
    blocks: Vec<NamingBlock>,
}

/// A block that names an event of the pool's log.
#[derive(Debug, Serialize)]
struct NamingBlock {
    height: u32,
    id: String,
    event: String,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "snake_case")]
enum What {
    Shares { gapless: bool, lanes: Vec<Lane>, runs: Vec<Run> },
    Share { algorithm: &'static str, sequence: String, difficulty: String, worker: String, time_ms: u64, frame: String },
    Credit { atoms: String, block: String, event: String },
    Owed { atoms: String, of_atoms: String, event: String },
}

#[derive(Debug, Serialize)]
struct Lane {
    algorithm: &'static str,
    shares: u64,
    /// In units of 2^-60 of a block.
    weight: String,
}

#[derive(Debug, Serialize)]
struct Run {
    first: String,
    last: String,
    shares: u64,
}

impl Told {
    /// Verifies the bytes of a file.
    pub(crate) fn of(bytes: &[u8]) -> Self {
        let verify = || {
            let evidence = Evidence::from_bytes(bytes).map_err(|error| error.to_string())?;
            let finding = evidence.verify(bq_signature::verify).map_err(|error| error.to_string())?;
            Ok(Self::Proved(Box::new(Proved::new(evidence.pool(), &finding))))
        };
        verify().unwrap_or_else(|wrong| Self::Wrong { wrong })
    }

    /// The file could not be read.
    pub(crate) const fn unreadable(wrong: String) -> Self {
        Self::Wrong { wrong }
    }

    pub(crate) const fn proves(&self) -> bool {
        matches!(self, Self::Proved(_))
    }

    pub(crate) fn to_json(&self) -> String {
        // Structs of numbers and texts cannot fail.
        serde_json::to_string(self).unwrap_or_default()
    }
}

impl Proved {
    fn new(pool: &PoolIdentity, finding: &Finding) -> Self {
        let address = |key_hash: KeyHash| Address { network: pool.network, key_hash }.to_string();
        Self {
            network: pool.network.name(),
            genesis: pool.genesis.to_string(),
            pool: address(pool.key),
            account: address(finding.account()),
            proved: What::of(finding),
            blocks: finding.anchors().iter().map(NamingBlock::of).collect(),
        }
    }
}

impl NamingBlock {
    fn of(anchor: &Anchor) -> Self {
        Self { height: anchor.height.0, id: anchor.block.to_string(), event: anchor.head.number.to_string() }
    }
}

impl What {
    fn of(finding: &Finding) -> Self {
        match finding {
            Finding::Account(report) => Self::shares(report),
            Finding::Share(Receipted { share, position, frame, .. }) => Self::Share {
                algorithm: share.algorithm.name(),
                sequence: position.sequence.to_string(),
                difficulty: share.difficulty.hashes().to_string(),
                worker: share.worker.as_str().to_owned(),
                time_ms: share.time_ms,
                frame: frame.to_string(),
            },
            Finding::Credit(Credited { credit, block, event, .. }) => Self::Credit {
                atoms: credit.amount.atoms().to_string(),
                block: block.to_string(),
                event: event.to_string(),
            },
            Finding::Owed(owed) => {
                let Owed { balance, statement, .. } = owed.as_ref();
                Self::Owed {
                    atoms: balance.atoms().to_string(),
                    of_atoms: statement.sum.atoms().to_string(),
                    event: statement.head.number.to_string(),
                }
            }
        }
    }

    fn shares(report: &Report) -> Self {
        let lanes = Algorithm::ALL.into_iter().zip(&report.lanes).filter(|(_, lane)| lane.shares > 0);
        let runs = report.runs.iter().map(|run| Run {
            first: run.first.to_string(),
            last: run.anchor.head.number.to_string(),
            shares: run.shares,
        });
        Self::Shares {
            gapless: report.is_gapless,
            lanes: lanes
                .map(|(algorithm, lane)| Lane {
                    algorithm: algorithm.name(),
                    shares: lane.shares,
                    weight: lane.weight.to_string(),
                })
                .collect(),
            runs: runs.collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    /// As a page runs it, without one: on machines that cannot build for WebAssembly.
    #[test]
    fn an_export_is_told_or_its_first_wrong_place() {
        let vectors: Value =
            serde_json::from_str(include_str!("../../../../../vectors/pool_proofs.json")).expect("JSON");
        let exports = vectors["account_exports"].as_array().expect("a list");
        for export in exports {
            let bytes = hex::decode(export["export"].as_str().expect("hex")).expect("hex");
            let file = [&[1, 0], &bytes[1..]].concat();
            let told: Value = serde_json::from_str(&Told::of(&file).to_json()).expect("JSON");
            // What only the chain can tell is not asked.
            let is_offline = |fault: &&str| *fault != "block " && !fault.starts_with("an export of a chain");
            match export["fault"].as_str().filter(is_offline) {
                Some(fault) => assert!(told["wrong"].as_str().is_some_and(|wrong| wrong.contains(fault)), "{told}"),
                None => assert!(told["proved"]["shares"]["lanes"][0]["shares"].is_u64(), "{told}"),
            }
            let cut = Told::of(&file[..file.len() - 1]);
            assert!(!cut.proves() && Told::of(&file).proves() == told["wrong"].is_null());
        }
    }
}
