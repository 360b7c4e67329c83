//! Records by hand: DIF, VIF and value bytes, each beside what it says.

use super::Expected;
use super::calendar::Date;
use super::registers::Now;

/// DIF 1F: more records follow in the next telegram.
pub(super) const MORE_FOLLOWS: u8 = 0x1F;
/// DIF 0F: the manufacturer's own bytes follow.
const MANUFACTURER_SPECIFIC: u8 = 0x0F;

/// The records of one telegram, and what a reader should find in them.
#[derive(Debug, Default)]
pub(super) struct Telegram {
    pub(super) bytes: Vec<u8>,
    pub(super) expected: Vec<Expected>,
}

/// What a record's DIF and VIF bytes stand for.
struct Says(&'static str, i8, &'static str);

impl Telegram {
    /// A record whose last `SIZE` bytes are an integer, least first.
    fn integer<const SIZE: usize>(&mut self, head: &[u8], says: &Says, value: u64) {
        let value = value % (1 << (SIZE * 8 - 1));
        self.bytes.extend_from_slice(head);
        self.bytes.extend(value.to_le_bytes().iter().take(SIZE));
        self.expect(head, says, value);
    }

    /// A record whose last `SIZE` bytes are BCD digits, least first.
    fn bcd<const SIZE: usize>(&mut self, head: &[u8], says: &Says, value: u64) {
        let value = value % 100u64.pow(u32::try_from(SIZE).unwrap_or(1));
        self.bytes.extend_from_slice(head);
        let mut rest = value;
        for _ in 0..SIZE {
            let pair = u8::try_from(rest % 100).unwrap_or_default();
            self.bytes.push(((pair / 10) << 4) | (pair % 10));
            rest /= 100;
        }
        self.expect(head, says, value);
    }

    fn plain(&mut self, head: &[u8], value: &[u8]) {
        self.bytes.extend_from_slice(head);
        self.bytes.extend_from_slice(value);
    }

    /// The meter's clock: DIF 04, VIF 6D, type F.
    fn clock(&mut self, now: &Now<'_>) {
        self.plain(&[0x04, 0x6D], &Date::of(now.unix_s).type_f());
    }

    fn expect(&mut self, head: &[u8], says: &Says, value: u64) {
        let &Says(register, exponent, unit) = says;
        let (storage, tariff) = storage_and_tariff(head);
        let mantissa = i64::try_from(value).unwrap_or(i64::MAX);
        self.expected.push(Expected { register, mantissa, exponent, unit, storage, tariff });
    }
}

/// Of the one DIF and at most one DIFE that these meters use.
fn storage_and_tariff(head: &[u8]) -> (u8, u8) {
    match *head {
        [dif, dife, ..] if dif & 0x80 != 0 => ((dif >> 6 & 1) | (dife & 0x0F) << 1, dife >> 4 & 0x03),
        [dif, ..] => (dif >> 6 & 1, 0),
        [] => (0, 0),
    }
}

/// Heat: consumption in Wh. Two telegrams: values now, then two months' ends.
pub(super) fn heat(now: &Now<'_>) -> Vec<Telegram> {
    let power_w = now.flow_per_hour();
    let (flow_temperature, return_temperature) = (now.wobble(1, 620, 120), now.wobble(2, 330, 90));
    let difference = flow_temperature - return_temperature;
    // 1 litre of water gives 1.163 Wh a kelvin.
    let litres_per_hour = power_w * 10_000 / (1163 * difference).max(1);
    let litres = now.register() / 35;
    let mut values = Telegram::default();
    values.integer::<4>(&[0x04, 0x06], &Says("energy", 3, "Wh"), now.register() / 1000);
    values.integer::<4>(&[0x04, 0x14], &Says("volume", -2, "m3"), litres / 10);
    values.integer::<4>(&[0x04, 0x2B], &Says("power", 0, "W"), power_w);
    values.integer::<2>(&[0x02, 0x3B], &Says("flow", -3, "m3/h"), litres_per_hour);
    values.integer::<2>(&[0x02, 0x5A], &Says("flow temperature", -1, "Cel"), flow_temperature);
    values.integer::<2>(&[0x02, 0x5E], &Says("return temperature", -1, "Cel"), return_temperature);
    values.integer::<2>(&[0x02, 0x62], &Says("temperature difference", -1, "K"), difference);
    values.integer::<4>(&[0x04, 0x26], &Says("operating time", 0, "h"), now.operating_hours());
    values.clock(now);
    values.plain(&[0x01, 0xFD, 0x17], &[0x00]);
    values.bytes.push(MORE_FOLLOWS);

    let mut months = Telegram::default();
    let (last, energy) = now.months_ago(0);
    months.integer::<4>(&[0x44, 0x06], &Says("energy", 3, "Wh"), energy / 1000);
    months.plain(&[0x42, 0x6C], &Date::of(last).type_g());
    let (before, energy) = now.months_ago(1);
    months.integer::<4>(&[0x84, 0x01, 0x06], &Says("energy", 3, "Wh"), energy / 1000);
    months.plain(&[0x82, 0x01, 0x6C], &Date::of(before).type_g());
    months.plain(&[MANUFACTURER_SPECIFIC], &[0x50, 0x4C, 0x4F, 0x4D, 0x42]);
    vec![values, months]
}

/// Water: consumption in litres, as BCD.
pub(super) fn water(now: &Now<'_>) -> Vec<Telegram> {
    let mut telegram = Telegram::default();
    telegram.bcd::<4>(&[0x0C, 0x13], &Says("volume", -3, "m3"), now.register());
    telegram.bcd::<3>(&[0x0B, 0x3B], &Says("flow", -3, "m3/h"), now.flow_per_hour());
    telegram.clock(now);
    telegram.plain(&[0x02, 0xFD, 0x17], &[0x00, 0x00]);
    let (start, volume) = now.months_ago(0);
    telegram.bcd::<4>(&[0x4C, 0x13], &Says("volume", -3, "m3"), volume);
    telegram.plain(&[0x42, 0x6C], &Date::of(start).type_g());
    vec![telegram]
}

/// Electricity: consumption in Wh; tariff 2 has a third of it.
pub(super) fn electricity(now: &Now<'_>) -> Vec<Telegram> {
    let energy_wh = now.register();
    let mut telegram = Telegram::default();
    telegram.integer::<4>(&[0x04, 0x03], &Says("energy", 0, "Wh"), energy_wh);
    telegram.integer::<4>(&[0x84, 0x10, 0x03], &Says("energy", 0, "Wh"), energy_wh - energy_wh / 3);
    telegram.integer::<4>(&[0x84, 0x20, 0x03], &Says("energy", 0, "Wh"), energy_wh / 3);
    telegram.integer::<4>(&[0x04, 0x2B], &Says("power", 0, "W"), now.flow_per_hour());
    for phase in 1..=3 {
        // VIF FD 48: 0.1 V; VIFE FC 01, 02, 03: at phase L1, L2, L3 (OMS).
        let volts = now.wobble(10 + u64::from(phase), 2260, 90);
        telegram.integer::<2>(&[0x02, 0xFD, 0xC8, 0xFC, phase], &Says("voltage", -1, "V"), volts);
    }
    telegram.clock(now);
    telegram.plain(&[0x01, 0xFD, 0x17], &[0x00]);
    vec![telegram]
}

/// Gas: consumption in litres, told in 0.01 m³ as BCD.
pub(super) fn gas(now: &Now<'_>) -> Vec<Telegram> {
    let mut telegram = Telegram::default();
    telegram.bcd::<4>(&[0x0C, 0x14], &Says("volume", -2, "m3"), now.register() / 10);
    telegram.clock(now);
    telegram.plain(&[0x02, 0xFD, 0x17], &[0x00, 0x00]);
    let (start, volume) = now.months_ago(0);
    telegram.bcd::<4>(&[0x4C, 0x14], &Says("volume", -2, "m3"), volume / 10);
    telegram.plain(&[0x42, 0x6C], &Date::of(start).type_g());
    vec![telegram]
}
