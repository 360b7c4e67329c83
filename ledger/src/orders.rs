//! Configurations and commands, with what became of each: written in the transaction that admits, approves or
//! answers it, and kept for ever.

use plomb_seal::Hash;
use redb::{ReadTransaction, ReadableTable, Table, TableDefinition, WriteTransaction};

use crate::{
    LedgerError,
    state::{Change, Order},
};

/// By leaf hash.
const ORDERS: TableDefinition<'_, [u8; 32], &[u8]> = TableDefinition::new("orders");

/// The orders under a write transaction.
pub(crate) struct Writer<'txn>(Table<'txn, [u8; 32], &'static [u8]>);

impl<'txn> Writer<'txn> {
    pub(crate) fn open(txn: &'txn WriteTransaction) -> Result<Self, LedgerError> {
        Ok(Self(txn.open_table(ORDERS)?))
    }

    pub(crate) fn get(&self, leaf: &Hash) -> Result<Option<Order>, LedgerError> {
        read(&self.0, leaf)
    }

    pub(crate) fn put(&mut self, leaf: &Hash, order: &Order) -> Result<(), LedgerError> {
        let record = Change::Order(*leaf, Box::new(order.clone())).to_bytes();
        self.0.insert(leaf.0, record.as_slice())?;
        Ok(())
    }
}

/// The orders as some commit left them.
pub(crate) struct Reader(redb::ReadOnlyTable<[u8; 32], &'static [u8]>);

impl Reader {
    pub(crate) fn open(txn: &ReadTransaction) -> Result<Self, LedgerError> {
        Ok(Self(txn.open_table(ORDERS)?))
    }

    pub(crate) fn get(&self, leaf: &Hash) -> Result<Option<Order>, LedgerError> {
        read(&self.0, leaf)
    }

    pub(crate) fn count(&self) -> Result<u64, LedgerError> {
        Ok(redb::ReadableTableMetadata::len(&self.0)?)
    }
}

fn read(orders: &impl ReadableTable<[u8; 32], &'static [u8]>, leaf: &Hash) -> Result<Option<Order>, LedgerError> {
    let Some(record) = orders.get(leaf.0)? else { return Ok(None) };
    match Change::parse(record.value())? {
        Change::Order(found, order) if found == *leaf => Ok(Some(*order)),
        _ => Err(LedgerError::Damaged(format!("another record stands in the place of order {leaf}"))),
    }
}
