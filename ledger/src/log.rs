//! The log: every admitted transaction, under an RFC 6962 tree.
//!
//! Stored are the leaves' bytes by index, the hash of every complete subtree by level and index, and the
//! index by leaf hash. A complete subtree never changes, so a proof for any earlier size can be made at
//! any time.

use plomb_seal::{
    Hash,
    tree::{self, Stored},
};
use redb::{ReadTransaction, ReadableTable, Table, TableDefinition, WriteTransaction};

use crate::LedgerError;

const LEAVES: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("leaves");
const NODES: TableDefinition<'_, (u32, u64), [u8; 32]> = TableDefinition::new("nodes");
const INDEX: TableDefinition<'_, [u8; 32], u64> = TableDefinition::new("leaf-index");

/// The log under a write transaction.
pub(crate) struct Writer<'txn> {
    leaves: Table<'txn, u64, &'static [u8]>,
    nodes: Table<'txn, (u32, u64), [u8; 32]>,
    index: Table<'txn, [u8; 32], u64>,
    size: u64,
}

impl<'txn> Writer<'txn> {
    pub(crate) fn open(txn: &'txn WriteTransaction) -> Result<Self, LedgerError> {
        let leaves = txn.open_table(LEAVES)?;
        let size = size_of(&leaves)?;
        Ok(Self { leaves, nodes: txn.open_table(NODES)?, index: txn.open_table(INDEX)?, size })
    }

    pub(crate) fn size(&self) -> u64 {
        self.size
    }

    /// Appends a leaf; gives its index.
    pub(crate) fn append(&mut self, bytes: &[u8]) -> Result<u64, LedgerError> {
        let index = self.size;
        let mut hash = tree::leaf_hash(bytes);
        self.leaves.insert(index, bytes)?;
        self.index.insert(hash.0, index)?;
        let (mut level, mut place) = (0u32, index);
        loop {
            self.nodes.insert((level, place), hash.0)?;
            if place & 1 == 0 {
                break;
            }
            hash = tree::node_hash(&node(&self.nodes, level, place - 1)?, &hash);
            level += 1;
            place >>= 1;
        }
        self.size += 1;
        Ok(index)
    }

    pub(crate) fn index_of(&self, leaf: &Hash) -> Result<Option<u64>, LedgerError> {
        Ok(self.index.get(leaf.0)?.map(|index| index.value()))
    }

    pub(crate) fn root(&self, size: u64) -> Result<Hash, LedgerError> {
        Stored::new(|level, place| node(&self.nodes, level, place)).root(size)
    }
}

/// The log as some commit left it.
pub(crate) struct Reader {
    leaves: redb::ReadOnlyTable<u64, &'static [u8]>,
    nodes: redb::ReadOnlyTable<(u32, u64), [u8; 32]>,
    index: redb::ReadOnlyTable<[u8; 32], u64>,
}

impl Reader {
    pub(crate) fn open(txn: &ReadTransaction) -> Result<Self, LedgerError> {
        Ok(Self { leaves: txn.open_table(LEAVES)?, nodes: txn.open_table(NODES)?, index: txn.open_table(INDEX)? })
    }

    pub(crate) fn size(&self) -> Result<u64, LedgerError> {
        size_of(&self.leaves)
    }

    pub(crate) fn leaf(&self, index: u64) -> Result<Option<Vec<u8>>, LedgerError> {
        Ok(self.leaves.get(index)?.map(|bytes| bytes.value().to_vec()))
    }

    pub(crate) fn index_of(&self, leaf: &Hash) -> Result<Option<u64>, LedgerError> {
        Ok(self.index.get(leaf.0)?.map(|index| index.value()))
    }

    /// The hash of the complete subtree at a level and place.
    pub(crate) fn subtree(&self, level: u32, place: u64) -> Result<Hash, LedgerError> {
        node(&self.nodes, level, place)
    }

    pub(crate) fn root(&self, size: u64) -> Result<Hash, LedgerError> {
        Stored::new(|level, place| node(&self.nodes, level, place)).root(size)
    }

    /// The inclusion path of a leaf in the tree of `size` leaves.
    pub(crate) fn inclusion_path(&self, index: u64, size: u64) -> Result<Vec<Hash>, LedgerError> {
        Stored::new(|level, place| node(&self.nodes, level, place)).inclusion_path(index, size)
    }

    /// The consistency proof between two sizes.
    pub(crate) fn consistency_path(&self, old: u64, new: u64) -> Result<Vec<Hash>, LedgerError> {
        Stored::new(|level, place| node(&self.nodes, level, place)).consistency_path(old, new)
    }
}

fn size_of(leaves: &impl ReadableTable<u64, &'static [u8]>) -> Result<u64, LedgerError> {
    Ok(leaves.last()?.map_or(0, |(index, _)| index.value() + 1))
}

fn node(nodes: &impl ReadableTable<(u32, u64), [u8; 32]>, level: u32, place: u64) -> Result<Hash, LedgerError> {
    let found = nodes.get((level, place))?.map(|hash| Hash(hash.value()));
    found.ok_or_else(|| LedgerError::Damaged(format!("the log's subtree {place} of level {level} is missing")))
}

#[cfg(test)]
mod tests {
    use redb::{Database, ReadableDatabase, backends::InMemoryBackend};

    use super::*;

    #[test]
    #[allow(clippy::cast_possible_truncation)] // 67 leaves
    fn every_size_has_the_root_and_every_leaf_the_path_of_rfc_6962() {
        let db = Database::builder().create_with_backend(InMemoryBackend::new()).unwrap();
        let leaves: Vec<Vec<u8>> = (0..67u32).map(|i| i.to_be_bytes().to_vec()).collect();
        let hashes: Vec<Hash> = leaves.iter().map(|leaf| tree::leaf_hash(leaf)).collect();
        let txn = db.begin_write().unwrap();
        {
            let mut log = Writer::open(&txn).unwrap();
            assert_eq!(log.root(0).unwrap(), tree::root(&[]));
            for (index, leaf) in leaves.iter().enumerate() {
                assert_eq!(log.append(leaf).unwrap(), index as u64);
                assert_eq!(log.root(log.size()).unwrap(), tree::root(&hashes[..=index]));
            }
        }
        txn.commit().unwrap();
        let log = Reader::open(&db.begin_read().unwrap()).unwrap();
        assert_eq!(log.size().unwrap(), 67);
        for size in 1..=67u64 {
            let root = log.root(size).unwrap();
            assert_eq!(root, tree::root(&hashes[..size as usize]));
            for index in 0..size {
                let path = log.inclusion_path(index, size).unwrap();
                assert_eq!(tree::root_from_path(hashes[index as usize], index, size, &path), Some(root));
            }
            let path = log.consistency_path(size, 67).unwrap();
            assert!(tree::is_consistent(size, &root, 67, &log.root(67).unwrap(), &path));
        }
        assert_eq!(log.index_of(&hashes[40]).unwrap(), Some(40));
        assert_eq!(log.leaf(40).unwrap().as_deref(), Some(leaves[40].as_slice()));
        assert_eq!(log.leaf(67).unwrap(), None);
    }
}
