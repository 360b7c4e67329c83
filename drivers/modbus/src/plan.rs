//! Registers as questions.

use crate::{RegisterMap, Span, Table, Wanted};

/// The most registers of one question (Modbus Application Protocol V1.1b3 §6.3).
pub const BLOCK_WORDS_MAX: u16 = 125;

/// A question: registers of one table that follow each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Block {
    /// The table.
    pub table: Table,
    /// The first register, from 0.
    pub address: u16,
    /// How many, 1 to [`BLOCK_WORDS_MAX`].
    pub words: u16,
}

impl Block {
    /// Of one value.
    #[must_use]
    pub const fn of(span: &Span) -> Self {
        Self { table: span.table, address: span.address, words: span.words }
    }

    /// The address after the last register.
    #[must_use]
    pub fn end(&self) -> u32 {
        u32::from(self.address) + u32::from(self.words)
    }
}

/// The questions that read all wanted registers of a map, with their scale registers: as few as its `max_gap`
/// and `max_block` allow, by table and address. No block is longer than `max_block`, none overlap needlessly,
/// and each value lies whole within one block, so that it is of one moment.
///
/// A map with a chain must have been [located](crate::Walk) first.
#[must_use]
pub fn plan(map: &RegisterMap, wanted: &Wanted) -> Vec<Block> {
    let mut single: Vec<Block> = Vec::new();
    for register in map.wanted(wanted) {
        single.push(Block::of(&register.span));
        let scale = register.scale_at.map(|address| Block { table: register.span.table, address, words: 1 });
        single.extend(scale);
    }
    single.sort_unstable();
    let longest = map.max_block.clamp(1, BLOCK_WORDS_MAX);
    let mut blocks: Vec<Block> = Vec::new();
    for next in single {
        match blocks.last_mut().and_then(|last| joined(*last, next, map.max_gap, longest).map(|both| (last, both))) {
            Some((last, both)) => *last = both,
            None => blocks.push(next),
        }
    }
    blocks
}

/// Two blocks as one, if the map allows it; `next` does not begin before `last`.
fn joined(last: Block, next: Block, max_gap: u16, longest: u16) -> Option<Block> {
    let close = last.table == next.table && u32::from(next.address) <= last.end() + u32::from(max_gap);
    let words = u16::try_from(next.end().max(last.end()) - u32::from(last.address)).ok()?;
    (close && words <= longest).then_some(Block { words, ..last })
}
