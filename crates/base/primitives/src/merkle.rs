use crate::{MerkleRoot, hash::tagged_hash};

/// Root of a binary Merkle tree (SPEC 6.4): leaves and nodes have different tags, so no list of leaves can pose as
/// another; an odd node is promoted unchanged. The root of no leaves is zero.
#[must_use]
pub fn merkle_root(leaves: impl IntoIterator<Item = [u8; 32]>) -> MerkleRoot {
    let mut level = leaf_level(leaves);
    while level.len() > 1 {
        level = level_above(&level);
    }
    MerkleRoot(level.first().copied().unwrap_or_default())
}

/// What stands beside the way from the first leaf up to the root, from the bottom (SPEC 8.10): with it
/// [`merkle_root_of_first`] makes the root from that leaf. One hash per level; none for a single leaf.
#[must_use]
pub fn merkle_path_of_first(leaves: impl IntoIterator<Item = [u8; 32]>) -> Vec<[u8; 32]> {
    let mut level = leaf_level(leaves);
    let mut path = Vec::new();
    // The first of a level with two or more always has a right neighbour.
    while let Some(right) = level.get(1) {
        path.push(*right);
        level = level_above(&level);
    }
    path
}

/// The root of a tree whose first leaf this is, from what [`merkle_path_of_first`] gives for it (SPEC 8.10).
#[must_use]
pub fn merkle_root_of_first(leaf: &[u8; 32], path: &[[u8; 32]]) -> MerkleRoot {
    let leaf = tagged_hash("BQIP0002/leaf", &[leaf]);
    MerkleRoot(path.iter().fold(leaf, |left, right| node(&left, right)))
}

fn leaf_level(leaves: impl IntoIterator<Item = [u8; 32]>) -> Vec<[u8; 32]> {
    leaves.into_iter().map(|leaf| tagged_hash("BQIP0002/leaf", &[&leaf])).collect()
}

fn level_above(level: &[[u8; 32]]) -> Vec<[u8; 32]> {
    level
        .chunks(2)
        .map(|pair| match pair {
            [left, right] => node(left, right),
            odd => odd.first().copied().unwrap_or_default(),
        })
        .collect()
}

fn node(left: &[u8; 32], right: &[u8; 32]) -> [u8; 32] {
    tagged_hash("BQIP0002/node", &[left, right])
}
