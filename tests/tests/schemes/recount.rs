//! What accounts earned, said slowly: out of the share log's files and the list of blocks, by SPEC 8.1 to 8.3 and 8.9 alone.

use std::{collections::BTreeMap, path::Path};

use anyhow::{Context, Result, ensure};

const ONE: u128 = 1 << 60;

/// How a share is paid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pay {
    Window,
    /// For itself: what a block is worth to it, with the fees that are in that, and the fee.
    Alone {
        block: u64,
        fees: Option<u64>,
        fee_bp: u16,
    },
    Solo,
    Tides,
}

/// A share of the log.
#[derive(Clone, Debug)]
pub(crate) struct Share {
    /// Its worker's name, which is its account's here.
    pub(crate) who: String,
    pub(crate) lane: u8,
    pub(crate) difficulty: u64,
    pub(crate) network: u128,
    pub(crate) pay: Pay,
    pub(crate) block: Option<String>,
}

/// A block of the pool on the best chain.
#[derive(Clone, Debug)]
pub(crate) struct Block {
    pub(crate) id: String,
    pub(crate) height: u64,
    pub(crate) lane: u8,
    pub(crate) reward: u64,
}

/// What the pool promised.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Terms {
    pub(crate) fee_bp: u64,
    pub(crate) window: u128,
    pub(crate) solo_fee_bp: u64,
    pub(crate) tides_fee_bp: u64,
    pub(crate) tides_window: u128,
    pub(crate) maturity: u64,
}

/// Every share, oldest first: a 98-byte header, then records whose first byte is their kind, of a length that the kind gives.
pub(crate) fn shares(folder: &Path) -> Result<Vec<Share>> {
    let mut paths: Vec<_> = std::fs::read_dir(folder.join("data/share-log"))?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<_, _>>()?;
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "seg"));
    paths.sort();
    let mut shares = Vec::new();
    for path in paths {
        let bytes = std::fs::read(&path)?;
        let (mut miners, mut jobs) = (Vec::new(), Vec::new());
        let mut rest = bytes.get(98..).context("a header")?;
        while let Some((kind, body)) = rest.split_first() {
            let length = match kind {
                1 => 102,
                2 => 22,
                3 => 21,
                4 => 53,
                5 => 41,
                _ => break,
            };
            let Some(next) = rest.get(length..) else { break };
            match kind {
                1 => miners.push(text(&body[33..33 + usize::from(body[32])])?),
                2 => jobs.push((body[0], number(&body[5..17]), Pay::Window)),
                5 => jobs.push((body[0], number(&body[5..17]), pay(&body[17..36])?)),
                _ => {
                    let at = |from: usize| usize::try_from(number(&body[from..from + 2]));
                    let (lane, network, pay) = *jobs.get(at(2)?).context("a job")?;
                    let who = miners.get(at(0)?).context("a miner")?.clone();
                    let block = (*kind == 4).then(|| hex::encode(&body[16..48]));
                    let difficulty = u64::try_from(number(&body[4..12]))?;
                    shares.push(Share { who, lane, difficulty, network, pay, block });
                }
            }
            rest = next;
        }
    }
    Ok(shares)
}

fn text(bytes: &[u8]) -> Result<String> {
    Ok(std::str::from_utf8(bytes)?.to_owned())
}

/// Little-endian.
fn number(bytes: &[u8]) -> u128 {
    bytes.iter().rev().fold(0, |number, byte| number << 8 | u128::from(*byte))
}

fn pay(bytes: &[u8]) -> Result<Pay> {
    let word = |from: usize| Ok::<_, anyhow::Error>(u64::try_from(number(&bytes[from..from + 8]))?);
    let fee = |from: usize| Ok::<_, anyhow::Error>(u16::try_from(number(&bytes[from..from + 2]))?);
    Ok(match bytes[0] {
        1 => Pay::Alone { block: word(1)?, fees: None, fee_bp: fee(9)? },
        2 => Pay::Alone { block: word(1)? + word(9)?, fees: Some(word(9)?), fee_bp: fee(17)? },
        3 => Pay::Solo,
        4 => Pay::Tides,
        other => anyhow::bail!("a share is paid by {other}"),
    })
}

/// What every account was credited by these blocks, and for its shares alone. Nothing where a block has no share in the log: a crash
/// took that, and where its window begins is not to be seen from outside.
pub(crate) fn credits(shares: &[Share], blocks: &[Block], terms: &Terms) -> Result<Option<BTreeMap<String, u64>>> {
    let mut credits: BTreeMap<String, u128> = BTreeMap::new();
    // Residues by lane: what may be taken, and from which height on.
    let mut carries: Vec<(u8, u64, u128)> = Vec::new();
    for block in blocks {
        let found = shares.iter().position(|share| share.block.as_ref() == Some(&block.id));
        let Some(at) = found else { return Ok(None) };
        let own = &shares[at];
        ensure!(own.lane == block.lane, "{block:?} was found by {own:?}");
        let less = |bp: u64| u128::from(block.reward - block.reward * bp / 10_000);
        let (pay, length, net) = match own.pay {
            Pay::Alone { .. } => continue,
            Pay::Solo => {
                *credits.entry(own.who.clone()).or_default() += less(terms.solo_fee_bp);
                continue;
            }
            Pay::Window => (Pay::Window, terms.window * ONE, less(terms.fee_bp)),
            Pay::Tides => (Pay::Tides, terms.tides_window * own.network, less(terms.tides_fee_bp)),
        };
        let (ready, later): (Vec<_>, Vec<_>) =
            carries.into_iter().partition(|(lane, from, _)| *lane == block.lane && *from <= block.height);
        carries = later;
        let net = net + ready.iter().map(|(_, _, carry)| carry).sum::<u128>();
        let (mut needed, mut parts) = (length, BTreeMap::<&str, u128>::new());
        for (index, share) in shares[..=at].iter().enumerate().rev() {
            if share.lane != block.lane || share.pay != pay {
                continue;
            }
            let whole = if pay == Pay::Tides { share.difficulty.into() } else { weight(share) };
            let counted = (if index == at { whole / 2 } else { whole }).min(needed);
            needed -= counted;
            *parts.entry(&share.who).or_default() += counted;
        }
        let mut left = net - net * needed / length;
        for (who, part) in parts {
            left -= net * part / length;
            *credits.entry(who.to_owned()).or_default() += net * part / length;
        }
        carries.push((block.lane, block.height + terms.maturity - 1, left));
    }
    for ((who, _), sum) in alone(shares) {
        *credits.entry(who).or_default() += sum / ONE;
    }
    Ok(Some(credits.into_iter().map(|(who, sum)| Ok((who, u64::try_from(sum)?))).collect::<Result<_>>()?))
}

fn weight(share: &Share) -> u128 {
    (u128::from(share.difficulty) * ONE / share.network).min(ONE)
}

/// Values of shares that are paid for themselves, by account and lane, in 2^-60 atoms.
fn alone(shares: &[Share]) -> BTreeMap<(String, u8), u128> {
    let mut sums = BTreeMap::new();
    for share in shares {
        if let Pay::Alone { block, fee_bp, .. } = share.pay {
            let paid = u128::from(block) - u128::from(block) * u128::from(fee_bp) / 10_000;
            *sums.entry((share.who.clone(), share.lane)).or_default() += weight(share) * paid;
        }
    }
    sums
}
