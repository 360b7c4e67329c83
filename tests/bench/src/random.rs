//! Mutations, the same in every run.

/// Codes with meaning come more often than chance would bring them.
const TELLING: [u8; 24] = [
    0x00, 0xFF, 0x0D, 0x0F, 0x1F, 0x2F, 0x7C, 0xFC, 0xFD, 0xFB, 0x7F, 0x8F, 0xF0, 0x6D, 0x68, 0x80, 0x72, 0x7A, 0x78,
    0x8C, 0x8D, 0x90, 0x79, 0x05,
];

/// Numbers of a xorshift.
#[derive(Debug)]
pub struct Random(u64);

impl Default for Random {
    fn default() -> Self {
        Self(0x9E37_79B9_7F4A_7C15)
    }
}

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// A number below `bound`; 0 for no bound.
    pub fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(bound.max(1)).unwrap_or(1)).unwrap_or(0)
    }

    /// One of some.
    pub fn of<'a, T>(&mut self, some: &'a [T]) -> Option<&'a T> {
        some.get(self.below(some.len()))
    }

    fn byte(&mut self) -> u8 {
        let [any, which, ..] = self.next().to_le_bytes();
        let telling = TELLING.get(usize::from(which) % TELLING.len()).copied();
        telling.filter(|_| self.below(2) == 0).unwrap_or(any)
    }

    /// Changes up to four bytes: one more, one less, another, a bit of one, or an end; keeps to a length.
    pub fn mutate(&mut self, bytes: &mut Vec<u8>, bytes_max: usize) {
        for _ in 0..=self.below(4) {
            let (at, byte, how) = (self.below(bytes.len()), self.byte(), self.below(16));
            match (bytes.get_mut(at), how) {
                (Some(place), 0..=5) => *place = byte,
                (Some(place), 6..=9) => *place ^= 1 << (byte % 8),
                (Some(_), 10..=12) => drop(bytes.remove(at)),
                (Some(_), 13) => bytes.truncate(at),
                _ => bytes.insert(at.min(bytes.len()), byte),
            }
        }
        bytes.truncate(bytes_max);
    }
}
