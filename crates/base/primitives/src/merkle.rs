use crate::{MerkleRoot, hash::tagged_hash};

/// Root of a binary Merkle tree (SPEC 6.4): leaves and nodes have different tags, so no list of leaves can pose as
/// another; an odd node is promoted unchanged. The root of no leaves is zero.
#[must_use]
pub fn merkle_root(leaves: impl IntoIterator<Item = [u8; 32]>) -> MerkleRoot {
    let mut level: Vec<[u8; 32]> = leaves.into_iter().map(|leaf| tagged_hash("BQIP0002/leaf", &[&leaf])).collect();
    while level.len() > 1 {
        level = level
            .chunks(2)
            .map(|pair| match pair {
                [left, right] => tagged_hash("BQIP0002/node", &[left, right]),
                odd => odd.first().copied().unwrap_or_default(),
            })
            .collect();
    }
    MerkleRoot(level.first().copied().unwrap_or_default())
}
