use thiserror::Error;

/// The bytes ended too early, or too late. Offsets count from the reader's first byte plus its base.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum ReadError {
    /// Fewer bytes were left than the field needs.
    #[error("the bytes end at {offset}: {needed} needed, {left} left")]
    Truncated {
        /// Where the field begins.
        offset: usize,
        /// Bytes that the field needs.
        needed: usize,
        /// Bytes that were left.
        left: usize,
    },
    /// Bytes follow what should have been the end.
    #[error("{left} bytes follow the end at {offset}")]
    Trailing {
        /// Where the end should have been.
        offset: usize,
        /// Bytes that follow.
        left: usize,
    },
}

/// A cursor over received bytes. No method panics; each says where it stopped.
///
/// A failed read moves nothing, so the caller may report, or try another reading, from the same place.
#[derive(Clone, Copy, Debug)]
pub struct Reader<'a> {
    bytes: &'a [u8],
    base: usize,
    at: usize,
}

impl<'a> Reader<'a> {
    /// A reader whose offsets count from the first of `bytes`.
    #[must_use]
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, base: 0, at: 0 }
    }

    /// A reader over a piece of something larger: offsets count from `base`.
    #[must_use]
    pub const fn with_base(bytes: &'a [u8], base: usize) -> Self {
        Self { bytes, base, at: 0 }
    }

    /// The offset of the next byte.
    #[must_use]
    pub const fn offset(&self) -> usize {
        self.base.saturating_add(self.at)
    }

    /// How many bytes are left.
    #[must_use]
    pub const fn left(&self) -> usize {
        self.bytes.len().saturating_sub(self.at)
    }

    /// Whether every byte has been read.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.left() == 0
    }

    /// The next byte, without moving.
    #[must_use]
    pub fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    /// The bytes left, without moving.
    #[must_use]
    pub fn rest(&self) -> &'a [u8] {
        self.bytes.get(self.at..).unwrap_or_default()
    }

    /// The next `count` bytes.
    ///
    /// # Errors
    /// [`ReadError::Truncated`] when fewer are left.
    #[inline]
    pub fn take(&mut self, count: usize) -> Result<&'a [u8], ReadError> {
        let end = self.at.checked_add(count);
        match end.and_then(|end| self.bytes.get(self.at..end)) {
            Some(taken) => {
                self.at = self.at.saturating_add(count);
                Ok(taken)
            }
            None => Err(ReadError::Truncated { offset: self.offset(), needed: count, left: self.left() }),
        }
    }

    /// The next `N` bytes as an array.
    ///
    /// # Errors
    /// [`ReadError::Truncated`] when fewer are left.
    #[inline]
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], ReadError> {
        let error = ReadError::Truncated { offset: self.offset(), needed: N, left: self.left() };
        self.take(N)?.try_into().map_err(|_| error)
    }

    /// The next byte.
    ///
    /// # Errors
    /// [`ReadError::Truncated`] when none is left.
    #[inline]
    pub fn u8(&mut self) -> Result<u8, ReadError> {
        match self.peek() {
            Some(byte) => {
                self.at = self.at.saturating_add(1);
                Ok(byte)
            }
            None => Err(ReadError::Truncated { offset: self.offset(), needed: 1, left: 0 }),
        }
    }

    /// The next two bytes, least significant first.
    ///
    /// # Errors
    /// [`ReadError::Truncated`] when fewer are left.
    pub fn u16_le(&mut self) -> Result<u16, ReadError> {
        self.array().map(u16::from_le_bytes)
    }

    /// The next two bytes, most significant first.
    ///
    /// # Errors
    /// [`ReadError::Truncated`] when fewer are left.
    pub fn u16_be(&mut self) -> Result<u16, ReadError> {
        self.array().map(u16::from_be_bytes)
    }

    /// The next four bytes, least significant first.
    ///
    /// # Errors
    /// [`ReadError::Truncated`] when fewer are left.
    pub fn u32_le(&mut self) -> Result<u32, ReadError> {
        self.array().map(u32::from_le_bytes)
    }

    /// The next four bytes, most significant first.
    ///
    /// # Errors
    /// [`ReadError::Truncated`] when fewer are left.
    pub fn u32_be(&mut self) -> Result<u32, ReadError> {
        self.array().map(u32::from_be_bytes)
    }

    /// A reader over the next `count` bytes alone; this one moves past them.
    ///
    /// # Errors
    /// [`ReadError::Truncated`] when fewer are left.
    pub fn sub(&mut self, count: usize) -> Result<Self, ReadError> {
        let base = self.offset();
        self.take(count).map(|bytes| Self::with_base(bytes, base))
    }

    /// Ends the reading: every byte must have been read.
    ///
    /// # Errors
    /// [`ReadError::Trailing`] when bytes are left.
    pub const fn finish(self) -> Result<(), ReadError> {
        if self.is_empty() { Ok(()) } else { Err(ReadError::Trailing { offset: self.offset(), left: self.left() }) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_failed_read_moves_nothing_and_names_the_place() {
        let mut reader = Reader::with_base(&[1, 2, 3], 10);
        assert_eq!(reader.u8(), Ok(1));
        assert_eq!(reader.u32_le(), Err(ReadError::Truncated { offset: 11, needed: 4, left: 2 }));
        assert_eq!(reader.u16_be(), Ok(0x0203));
        assert_eq!(reader.finish(), Ok(()));
    }

    #[test]
    fn trailing_bytes_are_an_error() {
        let mut reader = Reader::new(&[1, 2, 3]);
        let sub = reader.sub(2).unwrap();
        assert_eq!(sub.finish(), Err(ReadError::Trailing { offset: 0, left: 2 }));
        assert_eq!(reader.finish(), Err(ReadError::Trailing { offset: 2, left: 1 }));
    }

    proptest! {
        #[test]
        fn any_order_of_reads_stays_inside(bytes: Vec<u8>, steps: Vec<usize>) {
            let mut reader = Reader::new(&bytes);
            for step in steps {
                let before = reader.left();
                match reader.take(step) {
                    Ok(taken) => prop_assert_eq!(taken.len() + reader.left(), before),
                    Err(_) => prop_assert_eq!(reader.left(), before),
                }
            }
        }
    }

    use alloc::vec::Vec;
}
