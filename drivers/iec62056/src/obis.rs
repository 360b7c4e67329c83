use plomb_session::Obis;

/// What stands for "the current value" in group F.
const CURRENT: u8 = 255;

/// The OBIS code that a data set's address names: whole as `1-0:1.8.0*255`, or in part as `1.8.0`,
/// `1.8`, `1.6.1*03` and `C.1.0` (IEC 62056-61). `before` stands for medium and channel where they
/// are left out. `None` when it is no such code.
///
/// The letters of short codes are C for 96, F for 97, L for 98 and P for 99.
#[must_use]
pub fn obis_of(address: &str, before: [u8; 2]) -> Option<Obis> {
    let (medium, rest) = match address.split_once('-') {
        Some((medium, rest)) => (number(medium)?, rest),
        None => (before[0], address),
    };
    let (channel, rest) = match rest.split_once(':') {
        Some((channel, rest)) => (number(channel)?, rest),
        None => (before[1], rest),
    };
    // `*` marks values stored automatically, `&` values stored by hand.
    let (rest, stored) = match rest.split_once(['*', '&']) {
        Some((rest, stored)) => (rest, number(stored)?),
        None => (rest, CURRENT),
    };
    let mut groups = rest.split('.');
    let quantity = group(groups.next()?)?;
    let kind = group(groups.next()?)?;
    let tariff = groups.next().map_or(Some(0), group)?;
    // An address like `1.8.0.255` has its F behind a point.
    let last = groups.next().map_or(Some(stored), number)?;
    groups.next().is_none().then_some(Obis([medium, channel, quantity, kind, tariff, last]))
}

fn group(text: &str) -> Option<u8> {
    match text {
        "C" => Some(96),
        "F" => Some(97),
        "L" => Some(98),
        "P" => Some(99),
        _ => number(text),
    }
}

/// One to three digits, nothing else.
fn number(text: &str) -> Option<u8> {
    let digits = (1..=3).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| digits)
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;
    use proptest::prelude::*;

    #[test]
    fn whole_and_short_codes() {
        for (address, code) in [
            ("1-0:1.8.0*255", "1-0:1.8.0*255"),
            ("1-0:1.8.0", "1-0:1.8.0*255"),
            ("0-1:24.2.1", "0-1:24.2.1*255"),
            ("1.8.1", "1-0:1.8.1*255"),
            ("1.8", "1-0:1.8.0*255"),
            ("1.6.1*03", "1-0:1.6.1*3"),
            ("1.6.1&03", "1-0:1.6.1*3"),
            ("C.1.0", "1-0:96.1.0*255"),
            ("F.F", "1-0:97.97.0*255"),
            ("0.9.1", "1-0:0.9.1*255"),
        ] {
            assert_eq!(obis_of(address, [1, 0]).map(|code| code.to_string()).as_deref(), Some(code), "{address}");
        }
        assert_eq!(obis_of("0.0", [8, 1]), Some(Obis([8, 1, 0, 0, 0, 255])));
        for address in ["", "1", "1.", ".8", "1.8.0.0.0", "1.8.256", "+1.8.0", "1-0-1.8.0", "X.1", "1.8.0*", "serial"] {
            assert_eq!(obis_of(address, [1, 0]), None, "{address}");
        }
    }

    proptest! {
        #[test]
        fn whole_codes_read_back(code: [u8; 6]) {
            prop_assert_eq!(obis_of(&Obis(code).to_string(), [0, 0]), Some(Obis(code)));
        }
    }
}
