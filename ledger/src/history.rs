//! The history: a line for each transaction that changed who takes part or what a gateway does, found by gateway,
//! measuring point, author, subject and version.
//!
//! Lines are written in the commit that admits the transaction. A question is a range read of one index; what else
//! it asks for is compared line by line. Anchors have no lines: the archive lists them, and they would bury the rest.

use plomb_seal::{
    Hash, Name,
    cbor::{Decoder, Encoder},
    transaction::Kind,
};
use redb::{ReadTransaction, ReadableTable, Table, TableDefinition, WriteTransaction};

use crate::{
    LedgerError,
    ledger::{HEADS, Ledger},
    orders,
    state::{Answered, Line, Order, State, Status},
};

/// The lines by index in the log.
const LINES: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("history");
/// Which lines tell of what: facet, name, index in the log.
const FACETS: TableDefinition<'_, (u8, &str, u64), ()> = TableDefinition::new("history-facets");

/// The most lines that one question gives.
pub const LINES_MAX: usize = 256;
/// The most lines that one question looks at: with what it gives it says where to go on.
pub const LINES_SCANNED_MAX: usize = 4_096;
/// How often a question waits for a commit to be published, before it takes what there is.
const TRIES_MAX: usize = 100;
const LINE_ITEMS: usize = 12;

const GATEWAY: u8 = 1;
const POINT: u8 = 2;
const AUTHOR: u8 = 3;
const VERSION: u8 = 4;
const SUBJECT: u8 = 5;
const KIND: u8 = 6;

/// What is looked for: all that is given must fit.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Filter {
    /// About this gateway.
    pub gateway: Option<Name>,
    /// About this measuring point.
    pub point: Option<Name>,
    /// Signed by this party.
    pub author: Option<Name>,
    /// About this holder of a certificate, or this member.
    pub subject: Option<Name>,
    /// A configuration of this version, and what became of it.
    pub version: Option<u64>,
    /// Of this kind.
    pub kind: Option<Kind>,
    /// From this index in the log on.
    pub from: u64,
    /// So many at most; [`LINES_MAX`] whatever is asked.
    pub lines_max: usize,
}

/// Lines, and where the next question goes on.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Page {
    /// The lines, the oldest first.
    pub lines: Vec<HistoryLine>,
    /// [`Filter::from`] of the next page; `None` at the end.
    pub next: Option<u64>,
}

/// A transaction, and what became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HistoryLine {
    /// Its index in the log.
    pub index: u64,
    /// The time of its block, Unix milliseconds.
    pub time_ms: i64,
    /// Its leaf hash.
    pub transaction: Hash,
    /// What there is to tell of it.
    pub line: Line,
    /// Where it stands, if it is a configuration or a command.
    pub status: Option<Status>,
    /// The gateway's last answer to it.
    pub answer: Option<Answered>,
}

/// A line as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) time_ms: i64,
    pub(crate) transaction: Hash,
    pub(crate) line: Line,
}

impl Entry {
    fn to_bytes(&self) -> Vec<u8> {
        let mut out = Encoder::new();
        out.array(LINE_ITEMS).unsigned(plomb_seal::VERSION).signed(self.time_ms).hash(&self.transaction);
        self.line.encode(&mut out);
        out.finish()
    }

    fn parse(bytes: &[u8]) -> Result<Self, LedgerError> {
        let mut from = Decoder::new(bytes);
        from.versioned(LINE_ITEMS)?;
        let entry = Self { time_ms: from.signed()?, transaction: from.hash()?, line: Line::decode(&mut from)? };
        from.finish()?;
        Ok(entry)
    }
}

/// The history under a write transaction.
pub(crate) struct Writer<'txn> {
    lines: Table<'txn, u64, &'static [u8]>,
    facets: Table<'txn, (u8, &'static str, u64), ()>,
}

impl<'txn> Writer<'txn> {
    pub(crate) fn open(txn: &'txn WriteTransaction) -> Result<Self, LedgerError> {
        Ok(Self { lines: txn.open_table(LINES)?, facets: txn.open_table(FACETS)? })
    }

    pub(crate) fn put(&mut self, index: u64, entry: &Entry) -> Result<(), LedgerError> {
        let line = &entry.line;
        self.lines.insert(index, entry.to_bytes().as_slice())?;
        self.facets.insert((AUTHOR, line.author.as_str(), index), ())?;
        self.facets.insert((KIND, line.kind.name(), index), ())?;
        for (facet, name) in [(GATEWAY, &line.gateway), (POINT, &line.point), (SUBJECT, &line.subject)] {
            if let Some(name) = name {
                self.facets.insert((facet, name.as_str(), index), ())?;
            }
        }
        if let Some(version) = config_version(line) {
            self.facets.insert((VERSION, version_key(line.gateway.as_ref(), version).as_str(), index), ())?;
        }
        Ok(())
    }
}

/// The version of the configuration that a line is or answers. Other kinds number other things.
fn config_version(line: &Line) -> Option<u64> {
    line.version.filter(|_| matches!(line.kind, Kind::Config | Kind::Outcome))
}

/// Versions are one gateway's. No name holds the sign between.
fn version_key(gateway: Option<&Name>, version: u64) -> String {
    format!("{}#{version}", gateway.map_or("", Name::as_str))
}

/// The history as some commit left it.
pub(crate) struct Reader {
    lines: redb::ReadOnlyTable<u64, &'static [u8]>,
    facets: redb::ReadOnlyTable<(u8, &'static str, u64), ()>,
}

impl Reader {
    /// `None` in a file from before there was a history.
    pub(crate) fn open(txn: &ReadTransaction) -> Result<Option<Self>, LedgerError> {
        match txn.open_table(LINES) {
            Ok(lines) => Ok(Some(Self { lines, facets: txn.open_table(FACETS)? })),
            Err(redb::TableError::TableDoesNotExist(_)) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    pub(crate) fn entry(&self, index: u64) -> Result<Option<Entry>, LedgerError> {
        self.lines.get(index)?.map(|bytes| Entry::parse(bytes.value())).transpose()
    }

    pub(crate) fn count(&self) -> Result<u64, LedgerError> {
        Ok(redb::ReadableTableMetadata::len(&self.lines)?)
    }

    /// The indexes to look at, in order: of the index that promises the fewest.
    fn candidates(&self, filter: &Filter) -> Result<Vec<u64>, LedgerError> {
        let version = filter.version.zip(filter.gateway.as_ref());
        let key = match (version, &filter.point, &filter.subject, &filter.author, &filter.gateway) {
            (Some((version, gateway)), ..) => Some((VERSION, version_key(Some(gateway), version))),
            (None, Some(point), ..) => Some((POINT, point.to_string())),
            (None, None, Some(subject), ..) => Some((SUBJECT, subject.to_string())),
            (None, None, None, Some(author), _) => Some((AUTHOR, author.to_string())),
            (None, None, None, None, Some(gateway)) => Some((GATEWAY, gateway.to_string())),
            (None, None, None, None, None) => filter.kind.map(|kind| (KIND, kind.name().to_owned())),
        };
        let mut found = Vec::new();
        match key {
            Some((facet, name)) => {
                let range = (facet, name.as_str(), filter.from)..=(facet, name.as_str(), u64::MAX);
                for one in self.facets.range(range)?.take(LINES_SCANNED_MAX + 1) {
                    found.push(one?.0.value().2);
                }
            }
            None => {
                for one in self.lines.range(filter.from..)?.take(LINES_SCANNED_MAX + 1) {
                    found.push(one?.0.value());
                }
            }
        }
        Ok(found)
    }
}

impl Filter {
    fn fits(&self, line: &Line) -> bool {
        let same = |asked: &Option<Name>, found: Option<&Name>| asked.is_none() || asked.as_ref() == found;
        same(&self.gateway, line.gateway.as_ref())
            && same(&self.point, line.point.as_ref())
            && same(&self.author, Some(&line.author))
            && same(&self.subject, line.subject.as_ref())
            && (self.version.is_none() || self.version == config_version(line))
            && self.kind.is_none_or(|kind| kind == line.kind)
    }
}

impl Ledger {
    /// The lines that fit, and what became of each by `now_ms`.
    pub fn history(&self, filter: &Filter, now_ms: i64) -> Result<Page, LedgerError> {
        self.looking(|txn, state| {
            let Some(history) = Reader::open(txn)? else { return Ok(Page::default()) };
            let orders = orders::Reader::open(txn)?;
            let lines_max = filter.lines_max.clamp(1, LINES_MAX);
            let mut page = Page::default();
            for (scanned, index) in history.candidates(filter)?.into_iter().enumerate() {
                if scanned == LINES_SCANNED_MAX || page.lines.len() == lines_max {
                    page.next = Some(index);
                    break;
                }
                let Some(entry) = history.entry(index)? else {
                    return Err(LedgerError::Damaged(format!("line {index} of the history is missing")));
                };
                if filter.fits(&entry.line) {
                    page.lines.push(told(index, entry, &orders, state, now_ms)?);
                }
            }
            Ok(page)
        })
    }

    /// The line of one transaction; `None` for anchors, and beyond the log's end.
    pub fn history_line(&self, index: u64, now_ms: i64) -> Result<Option<HistoryLine>, LedgerError> {
        self.looking(|txn, state| {
            let Some(history) = Reader::open(txn)? else { return Ok(None) };
            let orders = orders::Reader::open(txn)?;
            history.entry(index)?.map(|entry| told(index, entry, &orders, state, now_ms)).transpose()
        })
    }

    /// A configuration or command as the ledger remembers it.
    pub fn order(&self, leaf: &Hash) -> Result<Option<Order>, LedgerError> {
        orders::Reader::open(&self.begin_read()?)?.get(leaf)
    }

    /// Looks at file and state as of the same block. Between a commit and its publication the file is ahead.
    fn looking<T>(&self, look: impl Fn(&ReadTransaction, &State) -> Result<T, LedgerError>) -> Result<T, LedgerError> {
        for _ in 0..TRIES_MAX {
            let state = self.state();
            let txn = self.begin_read()?;
            let head = match txn.open_table(HEADS)?.last()? {
                Some((_, head)) => crate::block::Head::parse(head.value())?.state,
                None => Hash::ZERO,
            };
            if head == state.hash() {
                return look(&txn, &state);
            }
            drop(state);
            std::thread::yield_now();
        }
        look(&self.begin_read()?, &self.state())
    }
}

fn told(
    index: u64,
    entry: Entry,
    orders: &orders::Reader,
    state: &State,
    now_ms: i64,
) -> Result<HistoryLine, LedgerError> {
    let Entry { time_ms, transaction, line } = entry;
    let order = match line.kind {
        Kind::Config | Kind::Command => orders.get(&transaction)?,
        _ => None,
    };
    let status = order.as_ref().map(|order| state.status(&transaction, order, now_ms));
    let answer = order.as_ref().and_then(Order::answer).copied();
    Ok(HistoryLine { index, time_ms, transaction, line, status, answer })
}
