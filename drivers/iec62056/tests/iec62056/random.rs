/// A sequence that is the same in each run.
pub(crate) struct Random(pub(crate) u64);

const TELLING: &[u8] = b"/!()*:.-\r\n\x01\x02\x03\x04\x06\x15\xFF0059SW\xDB";

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    pub(crate) fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(bound.max(1)).unwrap()).unwrap()
    }

    pub(crate) fn mutate(&mut self, bytes: &mut Vec<u8>) {
        for _ in 0..self.below(4) {
            let at = self.below(bytes.len());
            let byte = TELLING[self.below(TELLING.len())];
            match self.below(6) {
                0 | 1 if !bytes.is_empty() => bytes[at] = byte,
                2 if !bytes.is_empty() => bytes[at] ^= 1 << self.below(8),
                3 if !bytes.is_empty() => drop(bytes.remove(at)),
                4 if self.below(4) == 0 => bytes.truncate(at),
                _ => bytes.insert(at.min(bytes.len()), byte),
            }
        }
    }
}

/// How many cases a mutation test tries.
pub(crate) fn cases(usual: u32) -> u32 {
    let usual = if std::env::var_os("PLOMB_CAMPAIGN").is_some() { 10_000_000 } else { usual };
    std::env::var("PLOMB_FUZZ_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(usual)
}
