//! Deterministic CBOR (RFC 8949 §4.2.1): one meaning, one encoding.
//!
//! Own code, because the evidence rests on refusing what other codecs forgive: lengths that are not the
//! shortest, indefinite lengths, bytes that trail. Floats, booleans and maps do not occur in our
//! structures and are refused like any other unexpected item.

use alloc::vec::Vec;

use crate::{Hash, Malformed};

const MAJOR_UNSIGNED: u8 = 0;
const MAJOR_NEGATIVE: u8 = 1;
const MAJOR_BYTES: u8 = 2;
const MAJOR_TEXT: u8 = 3;
const MAJOR_ARRAY: u8 = 4;
const MAJOR_MAP: u8 = 5;
const MAJOR_TAG: u8 = 6;
const NULL: u8 = 0xf6;

/// Writes items one after the other.
#[derive(Debug, Default)]
pub struct Encoder {
    out: Vec<u8>,
}

impl Encoder {
    /// An encoder with nothing written.
    pub fn new() -> Self {
        Self::default()
    }

    /// An encoder with nothing written and room for so many bytes.
    pub fn with_capacity(bytes: usize) -> Self {
        Self { out: Vec::with_capacity(bytes) }
    }

    /// What was written.
    pub fn finish(self) -> Vec<u8> {
        self.out
    }

    /// An unsigned integer.
    pub fn unsigned(&mut self, value: u64) -> &mut Self {
        self.head(MAJOR_UNSIGNED, value)
    }

    /// A signed integer.
    pub fn signed(&mut self, value: i64) -> &mut Self {
        match u64::try_from(value) {
            Ok(value) => self.head(MAJOR_UNSIGNED, value),
            // -1 - n is written as n, and !value is -1 - value.
            Err(_) => self.head(MAJOR_NEGATIVE, (!value).unsigned_abs()),
        }
    }

    /// A byte string.
    pub fn bytes(&mut self, bytes: &[u8]) -> &mut Self {
        self.head(MAJOR_BYTES, bytes.len() as u64);
        self.out.extend_from_slice(bytes);
        self
    }

    /// A text string.
    pub fn text(&mut self, text: &str) -> &mut Self {
        self.head(MAJOR_TEXT, text.len() as u64);
        self.out.extend_from_slice(text.as_bytes());
        self
    }

    /// A digest, as a byte string.
    pub fn hash(&mut self, hash: &Hash) -> &mut Self {
        self.bytes(&hash.0)
    }

    /// The head of an array; its `len` items follow.
    pub fn array(&mut self, len: usize) -> &mut Self {
        self.head(MAJOR_ARRAY, len as u64)
    }

    /// The head of a map; its `len` pairs follow, in the order of their encoded keys.
    pub fn map(&mut self, len: usize) -> &mut Self {
        self.head(MAJOR_MAP, len as u64)
    }

    /// A tag; its item follows.
    pub fn tag(&mut self, tag: u64) -> &mut Self {
        self.head(MAJOR_TAG, tag)
    }

    /// Null.
    pub fn null(&mut self) -> &mut Self {
        self.out.push(NULL);
        self
    }

    /// An item if there is one, else null.
    pub fn optional<T>(&mut self, item: Option<T>, write: impl FnOnce(&mut Self, T)) -> &mut Self {
        match item {
            Some(item) => write(self, item),
            None => {
                self.null();
            }
        }
        self
    }

    fn head(&mut self, major: u8, value: u64) -> &mut Self {
        let major = major << 5;
        let wide = value.to_be_bytes();
        match value {
            0..=23 => self.out.push(major | wide[7]),
            24..=0xff => self.out.extend_from_slice(&[major | 24, wide[7]]),
            0x100..=0xffff => {
                self.out.push(major | 25);
                self.out.extend_from_slice(&wide[6..]);
            }
            0x1_0000..=0xffff_ffff => {
                self.out.push(major | 26);
                self.out.extend_from_slice(&wide[4..]);
            }
            _ => {
                self.out.push(major | 27);
                self.out.extend_from_slice(&wide);
            }
        }
        self
    }
}

/// Reads items one after the other; refuses all but the deterministic form.
#[derive(Debug, Clone)]
pub struct Decoder<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Decoder<'a> {
    /// Reads `bytes` from the front.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// How many bytes were read so far.
    pub fn offset(&self) -> usize {
        self.at
    }

    /// True when nothing is left.
    pub fn is_empty(&self) -> bool {
        self.at == self.bytes.len()
    }

    /// Ends the reading; bytes left over are an error.
    pub fn finish(self) -> Result<(), Malformed> {
        if self.is_empty() { Ok(()) } else { Err(self.wrong("bytes follow where none belong")) }
    }

    /// An unsigned integer.
    pub fn unsigned(&mut self) -> Result<u64, Malformed> {
        self.expect(MAJOR_UNSIGNED, "an unsigned integer belongs here")
    }

    /// An unsigned integer of 32 bits.
    pub fn unsigned32(&mut self) -> Result<u32, Malformed> {
        let start = self.clone();
        self.unsigned()?.try_into().map_err(|_| start.wrong("the integer does not fit 32 bits"))
    }

    /// An unsigned integer of 8 bits.
    pub fn unsigned8(&mut self) -> Result<u8, Malformed> {
        let start = self.clone();
        self.unsigned()?.try_into().map_err(|_| start.wrong("the integer does not fit 8 bits"))
    }

    /// A signed integer of 64 bits.
    pub fn signed(&mut self) -> Result<i64, Malformed> {
        let start = self.clone();
        let (major, value) = self.head()?;
        let value = i64::try_from(value).map_err(|_| start.wrong("the integer does not fit 64 bits"))?;
        match major {
            MAJOR_UNSIGNED => Ok(value),
            MAJOR_NEGATIVE => Ok(!value),
            _ => Err(start.wrong("an integer belongs here")),
        }
    }

    /// A byte string.
    pub fn bytes(&mut self) -> Result<&'a [u8], Malformed> {
        let len = self.expect(MAJOR_BYTES, "a byte string belongs here")?;
        self.take(len)
    }

    /// A byte string of at most `max` bytes.
    pub fn bytes_max(&mut self, what: &'static str, max: usize) -> Result<&'a [u8], Malformed> {
        let bytes = self.bytes()?;
        if bytes.len() > max {
            return Err(Malformed::TooLarge { what, max, found: bytes.len() });
        }
        Ok(bytes)
    }

    /// A byte string of exactly `N` bytes.
    pub fn bytes_exact<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let start = self.clone();
        self.bytes()?.try_into().map_err(|_| start.wrong("the byte string has another length"))
    }

    /// A digest.
    pub fn hash(&mut self) -> Result<Hash, Malformed> {
        self.bytes_exact().map(Hash)
    }

    /// A text string of at most `max` bytes.
    pub fn text(&mut self, what: &'static str, max: usize) -> Result<&'a str, Malformed> {
        let start = self.clone();
        let len = self.expect(MAJOR_TEXT, "a text string belongs here")?;
        let bytes = self.take(len)?;
        if bytes.len() > max {
            return Err(Malformed::TooLarge { what, max, found: bytes.len() });
        }
        core::str::from_utf8(bytes).map_err(|_| start.wrong("the text is not UTF-8"))
    }

    /// The head of an array of at most `max` items; gives their number.
    pub fn array(&mut self, what: &'static str, max: usize) -> Result<usize, Malformed> {
        let start = self.clone();
        let len = self.expect(MAJOR_ARRAY, "an array belongs here")?;
        let found = usize::try_from(len).map_err(|_| start.wrong("the array is too long"))?;
        if found > max {
            return Err(Malformed::TooLarge { what, max, found });
        }
        Ok(found)
    }

    /// The head of an array of exactly `len` items.
    pub fn array_exact(&mut self, len: usize) -> Result<(), Malformed> {
        let start = self.clone();
        let found = self.expect(MAJOR_ARRAY, "an array belongs here")?;
        if found == len as u64 { Ok(()) } else { Err(start.wrong("the array has another number of items")) }
    }

    /// The head of a map of exactly `len` pairs.
    pub fn map_exact(&mut self, len: usize) -> Result<(), Malformed> {
        let start = self.clone();
        let found = self.expect(MAJOR_MAP, "a map belongs here")?;
        if found == len as u64 { Ok(()) } else { Err(start.wrong("the map has another number of pairs")) }
    }

    /// Exactly this tag.
    pub fn tag_exact(&mut self, tag: u64) -> Result<(), Malformed> {
        let start = self.clone();
        let found = self.expect(MAJOR_TAG, "a tag belongs here")?;
        if found == tag { Ok(()) } else { Err(start.wrong("another tag belongs here")) }
    }

    /// Null gives `None`, anything else is read by `read`.
    pub fn optional<T>(
        &mut self,
        read: impl FnOnce(&mut Self) -> Result<T, Malformed>,
    ) -> Result<Option<T>, Malformed> {
        if self.bytes.get(self.at) == Some(&NULL) {
            self.at += 1;
            return Ok(None);
        }
        read(self).map(Some)
    }

    /// The version that begins every structure; any but ours is refused by its number.
    pub fn version(&mut self) -> Result<(), Malformed> {
        match self.unsigned()? {
            crate::VERSION => Ok(()),
            found => Err(Malformed::UnknownVersion { found }),
        }
    }

    /// The head of a versioned structure of `len` items, its version included. A later version is refused
    /// by its number, not for its length.
    pub fn versioned(&mut self, len: usize) -> Result<(), Malformed> {
        let start = self.clone();
        let found = self.expect(MAJOR_ARRAY, "an array belongs here")?;
        self.version()?;
        if found == len as u64 { Ok(()) } else { Err(start.wrong("the array has another number of items")) }
    }

    /// A number that counts something: below 2^63, so that the next one exists.
    pub fn counter(&mut self) -> Result<u64, Malformed> {
        let start = self.clone();
        self.unsigned()
            .and_then(|value| i64::try_from(value).map(|_| value).map_err(|_| start.wrong("a count is below 2^63")))
    }

    /// An error at the present place.
    pub fn wrong(&self, what: &'static str) -> Malformed {
        Malformed::Encoding { offset: self.at, what }
    }

    fn expect(&mut self, major: u8, what: &'static str) -> Result<u64, Malformed> {
        let start = self.clone();
        match self.head()? {
            (found, value) if found == major => Ok(value),
            _ => Err(start.wrong(what)),
        }
    }

    fn head(&mut self) -> Result<(u8, u64), Malformed> {
        let start = self.clone();
        let [first] = self.array_of()?;
        let (value, least) = match first & 0x1f {
            short @ 0..=23 => (u64::from(short), 0),
            24 => (u64::from(u8::from_be_bytes(self.array_of()?)), 24),
            25 => (u64::from(u16::from_be_bytes(self.array_of()?)), 0x100),
            26 => (u64::from(u32::from_be_bytes(self.array_of()?)), 0x1_0000),
            27 => (u64::from_be_bytes(self.array_of()?), 0x1_0000_0000),
            _ => return Err(start.wrong("an indefinite or reserved length is not allowed")),
        };
        if value < least {
            return Err(start.wrong("the number is not in its shortest form"));
        }
        Ok((first >> 5, value))
    }

    fn take(&mut self, len: u64) -> Result<&'a [u8], Malformed> {
        let end = usize::try_from(len).ok().and_then(|len| self.at.checked_add(len));
        let taken =
            end.and_then(|end| self.bytes.get(self.at..end)).ok_or_else(|| self.wrong("the bytes end too early"))?;
        self.at += taken.len();
        Ok(taken)
    }

    fn array_of<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        self.take(N as u64)?.try_into().map_err(|_| self.wrong("the bytes end too early"))
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn numbers_of_rfc_8949_appendix_a() {
        for (value, bytes) in [
            (0, "00"),
            (23, "17"),
            (24, "1818"),
            (1000, "1903e8"),
            (1_000_000, "1a000f4240"),
            (1_000_000_000_000, "1b000000e8d4a51000"),
            (-1, "20"),
            (-1000, "3903e7"),
            (i64::MIN, "3b7fffffffffffffff"),
        ] {
            let mut encoder = Encoder::new();
            encoder.signed(value);
            let out = encoder.finish();
            let text: alloc::string::String = out.iter().map(|b| alloc::format!("{b:02x}")).collect();
            assert_eq!(text, bytes);
            assert_eq!(Decoder::new(&out).signed(), Ok(value));
        }
    }

    #[test]
    fn longer_forms_of_the_same_number_are_refused() {
        for bytes in
            [vec![0x18, 23], vec![0x19, 0, 255], vec![0x1a, 0, 0, 255, 255], vec![0x1b, 0, 0, 0, 0, 255, 255, 255, 255]]
        {
            assert!(Decoder::new(&bytes).unsigned().is_err(), "{bytes:?}");
        }
        assert!(Decoder::new(&[0x9f, 0xff]).array("items", 3).is_err(), "indefinite array");
        assert!(Decoder::new(&[0x5f, 0x41, 0, 0xff]).bytes().is_err(), "indefinite bytes");
    }

    proptest! {
        #[test]
        fn another_codec_reads_what_we_write(number: i64, blob: Vec<u8>, text in ".{0,40}") {
            let mut encoder = Encoder::new();
            encoder.array(3).signed(number).bytes(&blob).text(&text);
            let bytes = encoder.finish();
            let foreign: (i64, ciborium::Value, alloc::string::String) = ciborium::from_reader(bytes.as_slice()).unwrap();
            prop_assert_eq!(foreign, (number, ciborium::Value::Bytes(blob), text));
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes: Vec<u8>) {
            let mut decoder = Decoder::new(&bytes);
            let _ = decoder.clone().text("text", 10);
            let _ = decoder.clone().array("array", 10);
            let _ = decoder.clone().tag_exact(18);
            let _ = decoder.optional(Decoder::bytes_exact::<32>);
        }
    }
}
