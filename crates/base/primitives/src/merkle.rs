use crate::{MerkleRoot, hash::tagged_hash};

/// Root of a binary Merkle tree (SPEC 6.4): leaves and nodes have different tags, so no list of leaves can pose as
/// another; an odd node is promoted unchanged. The root of no leaves is zero.
#[must_use]
pub fn merkle_root(leaves: impl IntoIterator<Item = [u8; 32]>) -> MerkleRoot {
    let mut level: Vec<[u8; 32]> = leaves.into_iter().map(|each| leaf(&each)).collect();
    while level.len() > 1 {
        level = level.chunks(2).map(joined).collect();
    }
    MerkleRoot(level.first().copied().unwrap_or_default())
}

/// All that a Merkle root needs beside its first leaf: another coinbase under the same transactions costs one hash for each
/// level of the tree, not for each transaction.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FirstLeafPath(Vec<[u8; 32]>);

impl FirstLeafPath {
    /// The path of a tree by the leaves that follow its first.
    #[must_use]
    pub fn of(others: impl IntoIterator<Item = [u8; 32]>) -> Self {
        let mut level: Vec<[u8; 32]> = others.into_iter().map(|each| leaf(&each)).collect();
        let mut path = Vec::new();
        while let Some((sibling, rest)) = level.split_first() {
            path.push(*sibling);
            level = rest.chunks(2).map(joined).collect();
        }
        Self(path)
    }

    /// The root over `first` and the others.
    #[must_use]
    pub fn root(&self, first: [u8; 32]) -> MerkleRoot {
        MerkleRoot(self.0.iter().fold(leaf(&first), |left, right| joined(&[left, *right])))
    }
}

fn leaf(each: &[u8; 32]) -> [u8; 32] {
    tagged_hash("BQIP0002/leaf", &[each])
}

fn joined(pair: &[[u8; 32]]) -> [u8; 32] {
    match pair {
        [left, right] => tagged_hash("BQIP0002/node", &[left, right]),
        odd => odd.first().copied().unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::{FirstLeafPath, merkle_root};

    #[test]
    fn the_path_of_the_first_leaf_leads_to_the_root_of_all() {
        for count in 1..70_u8 {
            let leaves: Vec<[u8; 32]> = (0..count).map(|each| [each; 32]).collect();
            let path = FirstLeafPath::of(leaves[1..].iter().copied());
            assert_eq!(path.root(leaves[0]), merkle_root(leaves.iter().copied()), "{count} leaves");
            assert_ne!(path.root([0xff; 32]), merkle_root(leaves.iter().copied()));
        }
    }
}
