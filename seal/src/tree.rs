//! Merkle trees after RFC 6962 §2.1: SHA-256, a leaf prefixed with 00, a node with 01.
//!
//! One tree form serves twice: over the entries of a batch, and over the transactions of the ledger.

use alloc::vec::Vec;

use crate::Hash;

/// The longest path that a proof may have: a tree of 2⁶³ leaves.
pub const PATH_HASHES_MAX: usize = 63;

/// The hash of a leaf. It is also how an entry or an anchor is named everywhere in this crate.
pub fn leaf_hash(bytes: &[u8]) -> Hash {
    Hash::of_parts(&[&[0], bytes])
}

/// The hash of a node over its two children.
pub fn node_hash(left: &Hash, right: &Hash) -> Hash {
    Hash::of_parts(&[&[1], &left.0, &right.0])
}

/// The root over leaf hashes. Of no leaves it is the hash of nothing (RFC 6962 §2.1).
pub fn root(leaves: &[Hash]) -> Hash {
    match leaves {
        [] => Hash::of(&[]),
        [one] => *one,
        _ => {
            let (left, right) = leaves.split_at(split_len(leaves.len()));
            node_hash(&root(left), &root(right))
        }
    }
}

/// The path from leaf `index` up to the root's child, siblings from the leaf on (RFC 6962 §2.1.1).
/// `None` if there is no such leaf.
pub fn inclusion_path(leaves: &[Hash], index: usize) -> Option<Vec<Hash>> {
    if index >= leaves.len() {
        return None;
    }
    let mut path = Vec::new();
    let (mut part, mut index) = (leaves, index);
    while part.len() > 1 {
        let (left, right) = part.split_at(split_len(part.len()));
        if index < left.len() {
            path.push(root(right));
            part = left;
        } else {
            path.push(root(left));
            index -= left.len();
            part = right;
        }
    }
    path.reverse();
    Some(path)
}

/// The root that a leaf and its path lead to, in a tree of `size` leaves. `None` if the path does not
/// have the length that index and size ask for.
pub fn root_from_path(leaf: Hash, index: u64, size: u64, path: &[Hash]) -> Option<Hash> {
    if index >= size {
        return None;
    }
    // The walk of RFC 9162 §2.1.3.2: `node` is the place on the level, `last` the level's last place.
    let (mut node, mut last, mut hash) = (index, size - 1, leaf);
    for sibling in path {
        if last == 0 {
            return None;
        }
        if node & 1 == 1 || node == last {
            hash = node_hash(sibling, &hash);
            while node & 1 == 0 && node != 0 {
                node >>= 1;
                last >>= 1;
            }
        } else {
            hash = node_hash(&hash, sibling);
        }
        node >>= 1;
        last >>= 1;
    }
    (last == 0).then_some(hash)
}

/// Walks a large tree whose complete subtrees are stored somewhere.
///
/// `node(level, index)` gives the hash of the complete subtree over leaves
/// `index·2^level .. (index+1)·2^level`.
pub struct Stored<F> {
    node: F,
}

impl<E, F: FnMut(u32, u64) -> Result<Hash, E>> Stored<F> {
    /// A tree that asks `node` for its complete subtrees.
    pub fn new(node: F) -> Self {
        Self { node }
    }

    /// The root of the first `size` leaves.
    pub fn root(&mut self, size: u64) -> Result<Hash, E> {
        if size == 0 {
            return Ok(Hash::of(&[]));
        }
        self.range(0, size)
    }

    /// The inclusion path of leaf `index` among the first `size` leaves; empty if there is no such leaf.
    pub fn inclusion_path(&mut self, index: u64, size: u64) -> Result<Vec<Hash>, E> {
        let mut path = Vec::new();
        let (mut start, mut end) = (0, size);
        while index < size && end - start > 1 {
            let middle = start + split(end - start);
            if index < middle {
                path.push(self.range(middle, end)?);
                end = middle;
            } else {
                path.push(self.range(start, middle)?);
                start = middle;
            }
        }
        path.reverse();
        Ok(path)
    }

    /// The consistency proof between the first `old` and the first `new` leaves (RFC 6962 §2.1.2).
    pub fn consistency_path(&mut self, old: u64, new: u64) -> Result<Vec<Hash>, E> {
        let mut path = Vec::new();
        if old == 0 || old >= new {
            return Ok(path);
        }
        let (mut start, mut end, mut whole) = (0, new, true);
        while end != old {
            let middle = start + split(end - start);
            if old <= middle {
                path.push(self.range(middle, end)?);
                end = middle;
            } else {
                path.push(self.range(start, middle)?);
                start = middle;
                whole = false;
            }
        }
        if !whole {
            path.push(self.range(start, end)?);
        }
        path.reverse();
        Ok(path)
    }

    /// The hash over leaves `start..end`; `start` is a multiple of the largest power of two that fits.
    fn range(&mut self, start: u64, end: u64) -> Result<Hash, E> {
        let len = end - start;
        if len.is_power_of_two() {
            let level = len.trailing_zeros();
            return (self.node)(level, start >> level);
        }
        let middle = start + split(len);
        let left = self.range(start, middle)?;
        let right = self.range(middle, end)?;
        Ok(node_hash(&left, &right))
    }
}

/// Checks that the tree of `new` leaves begins with the tree of `old` leaves (RFC 9162 §2.1.4.2).
pub fn is_consistent(old: u64, old_root: &Hash, new: u64, new_root: &Hash, path: &[Hash]) -> bool {
    if old == new {
        return path.is_empty() && old_root == new_root;
    }
    if old == 0 {
        return path.is_empty();
    }
    if old > new {
        return false;
    }
    let mut siblings = path.iter();
    let (mut node, mut last) = (old - 1, new - 1);
    while node & 1 == 1 {
        node >>= 1;
        last >>= 1;
    }
    let Some(mut old_hash) = (if node == 0 { Some(*old_root) } else { siblings.next().copied() }) else {
        return false;
    };
    let mut new_hash = old_hash;
    for sibling in siblings {
        if last == 0 {
            return false;
        }
        if node & 1 == 1 || node == last {
            old_hash = node_hash(sibling, &old_hash);
            new_hash = node_hash(sibling, &new_hash);
            while node & 1 == 0 && node != 0 {
                node >>= 1;
                last >>= 1;
            }
        } else {
            new_hash = node_hash(&new_hash, sibling);
        }
        node >>= 1;
        last >>= 1;
    }
    last == 0 && old_hash == *old_root && new_hash == *new_root
}

/// The largest power of two smaller than `len`, for `len` above 1.
fn split(len: u64) -> u64 {
    1 << (u64::BITS - 1 - (len - 1).leading_zeros())
}

/// The same, for slices.
fn split_len(len: usize) -> usize {
    1 << (usize::BITS - 1 - (len - 1).leading_zeros())
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use proptest::prelude::*;

    use super::*;

    fn leaves(count: usize) -> Vec<Hash> {
        (0..count).map(|i| leaf_hash(&i.to_be_bytes())).collect()
    }

    fn stored(leaves: &[Hash]) -> Stored<impl FnMut(u32, u64) -> Result<Hash, ()> + '_> {
        Stored::new(|level, index: u64| {
            let (from, len) = (usize::try_from(index << level).unwrap(), 1usize << level);
            Ok(root(&leaves[from..from + len]))
        })
    }

    #[test]
    fn the_empty_tree_and_the_known_vector() {
        assert_eq!(alloc::format!("{}", root(&[])), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
        // The published hash of the empty leaf in RFC 6962 implementations.
        assert_eq!(
            alloc::format!("{}", leaf_hash(b"")),
            "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"
        );
    }

    proptest! {
        #[test]
        fn every_leaf_is_proved_and_nothing_else(count in 1usize..70, index in 0usize..70, flip in 0usize..8) {
            let leaves = leaves(count);
            let index = index % count;
            let tree = root(&leaves);
            let path = inclusion_path(&leaves, index).unwrap();
            prop_assert_eq!(&stored(&leaves).inclusion_path(index as u64, count as u64).unwrap(), &path);
            prop_assert_eq!(stored(&leaves).root(count as u64).unwrap(), tree);
            prop_assert_eq!(root_from_path(leaves[index], index as u64, count as u64, &path), Some(tree));
            let other = (index + 1) % count;
            if other != index {
                prop_assert_ne!(root_from_path(leaves[index], other as u64, count as u64, &path), Some(tree));
            }
            if !path.is_empty() {
                let mut bent = path.clone();
                let at = flip % bent.len();
                bent[at].0[flip] ^= 1;
                prop_assert_ne!(root_from_path(leaves[index], index as u64, count as u64, &bent), Some(tree));
                prop_assert_eq!(root_from_path(leaves[index], index as u64, count as u64, &path[1..]).filter(|r| *r == tree), None);
            }
        }

        #[test]
        fn a_grown_tree_is_consistent_and_a_changed_one_is_not(old in 1usize..60, more in 0usize..60) {
            let new = old + more;
            let grown = leaves(new);
            let path = stored(&grown).consistency_path(old as u64, new as u64).unwrap();
            let (old_root, new_root) = (root(&grown[..old]), root(&grown));
            prop_assert!(is_consistent(old as u64, &old_root, new as u64, &new_root, &path));
            let mut changed = grown.clone();
            changed[0].0[0] ^= 1;
            if more > 0 {
                prop_assert!(!is_consistent(old as u64, &root(&changed[..old]), new as u64, &new_root, &path));
            }
        }
    }
}
