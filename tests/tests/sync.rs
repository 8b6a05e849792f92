//! Two nodes: one catches up with the other, and the shorter branch gives way to the longer one.

use std::{path::Path, time::Duration};

use anyhow::Result;
use bq_tests::{BqOptions, BqProcess, Eras, Miner, Tip, new_address, sha256d, wait_for_agreement};

const LIMIT: Duration = Duration::from_secs(90);

fn options(peer: Option<&BqProcess>) -> Result<BqOptions> {
    let config = Eras::quick().then(1, &["sha256d"]).config(4, "");
    let arguments = match peer {
        Some(peer) => vec!["--connect".to_owned(), peer.address("p2p")?.to_string()],
        None => Vec::new(),
    };
    Ok(BqOptions { config, arguments, ..BqOptions::default() })
}

/// Mines on `node` until `blocks` more lie above its tip.
fn mine(node: &BqProcess, login: &str, blocks: u64) -> Result<Tip> {
    let goal = node.tip()?.height + blocks;
    let login = login.to_owned();
    let miner = Miner::start(node.stratum("sha256d")?, move || sha256d::miner(&login, "x"));
    let tip = node.wait_for_height(goal, LIMIT);
    let report = miner.stop();
    assert_eq!(report.breaches, Vec::<String>::new(), "{report:?}");
    // Shares that were on their way may have added blocks after the goal.
    tip.and_then(|_| node.tip())
}

fn folder(root: &Path, name: &str) -> std::path::PathBuf {
    root.join(name)
}

#[test]
fn a_fresh_node_catches_up_and_the_heavier_branch_wins() -> Result<()> {
    let root = tempfile::tempdir()?;
    let login = format!("{}.rig", new_address(root.path(), "miner")?);
    let left = BqProcess::start(&folder(root.path(), "left"), &options(None)?)?;
    mine(&left, &login, 20)?;

    let right = BqProcess::start(&folder(root.path(), "right"), &options(Some(&left))?)?;
    let common = wait_for_agreement(&left, &right, LIMIT)?;
    assert!(common.height >= 20);

    // While the right node is away, each extends the common chain on its own.
    assert!(right.stop()?.success());
    let shorter = mine(&left, &login, 5)?;
    let right = BqProcess::start(&folder(root.path(), "right"), &options(None)?)?;
    assert_eq!(right.tip()?, common, "a restart keeps the chain");
    let ahead = shorter.height - common.height + 10;
    let longer = mine(&right, &login, ahead)?;
    assert!(longer.height > shorter.height && longer.id != shorter.id);

    assert!(right.stop()?.success());
    let right = BqProcess::start(&folder(root.path(), "right"), &options(Some(&left))?)?;
    let agreed = wait_for_agreement(&left, &right, LIMIT)?;
    assert_eq!(agreed, longer, "the branch with more work wins");
    left.ensure_balanced()?;
    right.ensure_balanced()?;

    // A block that one finds reaches the other without asking.
    let next = mine(&left, &login, 1)?;
    right.wait_for_height(next.height, LIMIT)?;
    wait_for_agreement(&left, &right, LIMIT)?;
    Ok(())
}
