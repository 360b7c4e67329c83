//! From a profile's text to a [`Profile`]: everything that one key must be for another is checked here.

use crate::error::{ProfileError, Source};
use crate::file::{
    BlockEntry, CodingWord, FieldEntry, File, FromWord, MatchEntry, OrderWord, PlaceWord, Reading as ReadEntry,
    RecordEntry, TestEntry,
};
use crate::profile::{
    Block, Expected, FIELD_COUNT_MAX, Field, MODEL_COUNT_MAX, Match, PROFILE_BYTES_MAX, Profile, RULE_COUNT_MAX, Rule,
    Sample,
};
use crate::reading::Reading;
use crate::valve::valve;
use plomb_mbus::{Function, Medium};
use toml::Spanned;

/// The only format of profiles so far.
const FORMAT: u32 = 1;

pub(crate) fn profile(source: Source<'_>) -> Result<Profile, ProfileError> {
    if source.text.len() > PROFILE_BYTES_MAX {
        return Err(source.wrong(0, format!("a profile has at most {PROFILE_BYTES_MAX} bytes")));
    }
    let file: File = toml::from_str(source.text).map_err(|error| source.explain(&error))?;
    if *file.format.get_ref() != FORMAT {
        return Err(source.wrong(file.format.span().start, format!("format {FORMAT} is the only one known")));
    }
    let name = file.name.get_ref();
    if name.is_empty() || !name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-') {
        return Err(source.wrong(file.name.span().start, "a name has lower-case letters, digits and hyphens"));
    }
    if *file.version.get_ref() == 0 {
        return Err(source.wrong(file.version.span().start, "versions count from 1"));
    }
    if file.matches.get_ref().is_empty() {
        return Err(source.wrong(file.matches.span().start, "no [[match]]: say which meters are of this model"));
    }
    let named = |entry: &MatchEntry| entry.version.len().max(1).saturating_mul(entry.medium.len().max(1));
    if file.matches.get_ref().iter().map(named).fold(0, usize::saturating_add) > MODEL_COUNT_MAX {
        let what =
            format!("the [[match]]es name more than {MODEL_COUNT_MAX} pairs of version and medium: leave one out");
        return Err(source.wrong(file.matches.span().start, what));
    }
    if file.records.len() > RULE_COUNT_MAX {
        return Err(source.wrong(0, format!("more than {RULE_COUNT_MAX} [[record]]s")));
    }
    let rules = file.records.iter().map(|entry| rule(source, entry)).collect::<Result<_, _>>()?;
    let blocks = file.blocks.iter().map(|entry| block(source, entry)).collect::<Result<_, _>>()?;
    let samples = file.tests.iter().map(|entry| sample(source, entry)).collect::<Result<_, _>>()?;
    let valve = file.valve.as_ref().map(|entry| valve(source, entry)).transpose()?;
    Ok(Profile {
        name: name.clone(),
        version: *file.version.get_ref(),
        model: file.model,
        security: file.security.protection(),
        matches: file.matches.into_inner().into_iter().map(matching).collect(),
        bills: file.bills.into_iter().map(|code| code.0).collect(),
        rules,
        blocks,
        samples,
        valve,
    })
}

fn matching(entry: MatchEntry) -> Match {
    Match {
        manufacturer: entry.manufacturer.0,
        versions: entry.version,
        media: entry.medium.into_iter().map(Medium).collect(),
        cis: entry.ci,
        swapped: matches!(entry.order, OrderWord::VersionMediumId),
    }
}

fn rule(source: Source<'_>, entry: &RecordEntry) -> Result<Rule, ProfileError> {
    let reading = match &entry.read {
        Some(read) => Some(reading(source, read.span().start, read.get_ref(), None, &[])?),
        None => None,
    };
    Ok(Rule {
        vib: entry.vib.0.clone(),
        storage: entry.storage,
        tariff: entry.tariff,
        subunit: entry.subunit,
        function: entry.function.function(),
        name: entry.name.clone(),
        reading,
        obis: entry.obis.map(|code| code.0),
        billing: entry.billing,
    })
}

fn block(source: Source<'_>, spanned: &Spanned<BlockEntry>) -> Result<Block, ProfileError> {
    let (at, entry) = (spanned.span().start, spanned.get_ref());
    if (entry.place == PlaceWord::Record) != entry.vib.is_some() {
        return Err(source.wrong(at, "a block in a record needs its `vib`, and no other block has one"));
    }
    if entry.place != PlaceWord::Payload && (!entry.ci.is_empty() || entry.transform != Default::default()) {
        return Err(source.wrong(at, "`ci` and `transform` belong to a block in the payload"));
    }
    if entry.fields.len() > FIELD_COUNT_MAX {
        return Err(source.wrong(at, format!("a block has at most {FIELD_COUNT_MAX} fields")));
    }
    let mut tags = Vec::new();
    for (tag, bytes) in &entry.tags {
        let [tag] = tag.0[..] else { return Err(source.wrong(at, "a tag is one byte: write two hexadecimal digits")) };
        tags.push((tag, usize::from(*bytes)));
    }
    let mut fields: Vec<Field> = Vec::new();
    for spanned in &entry.fields {
        let field = field(source, spanned, &tags, &fields)?;
        fields.push(field);
    }
    Ok(Block {
        place: entry.place,
        cis: entry.ci.clone(),
        vib: entry.vib.as_ref().map(|vib| vib.0.clone()).unwrap_or_default(),
        versions: entry.version.clone(),
        when: entry.when.clone(),
        transform: entry.transform,
        start: entry.start,
        tags,
        fields,
    })
}

fn field(
    source: Source<'_>,
    spanned: &Spanned<FieldEntry>,
    tags: &[(u8, usize)],
    before: &[Field],
) -> Result<Field, ProfileError> {
    let (start, entry) = (spanned.span().start, spanned.get_ref());
    let wrong = |what: &str| source.wrong(start, format!("field `{}`: {what}", entry.name));
    let bytes = entry.bytes.map(usize::from);
    let reading = reading(source, start, &entry.read, bytes, before)?;
    let tag = match &entry.tag {
        None => None,
        Some(tag) => match (&tag.0[..], bytes) {
            ([tag], Some(bytes)) => {
                let Some((_, size)) = tags.iter().find(|(known, _)| known == tag) else {
                    return Err(wrong("its tag is not among the block's `tags`"));
                };
                if usize::from(entry.at.unwrap_or(0)) + bytes > *size {
                    return Err(wrong("it ends behind the bytes of its tag"));
                }
                Some(*tag)
            }
            _ => return Err(wrong("a tag is one byte, and the field needs its `bytes`")),
        },
    };
    match (reading.is_computed(), entry.at, bytes) {
        (true, None, None) => {}
        (true, ..) => return Err(wrong("a sum has no place of its own: leave out `at` and `bytes`")),
        (false, _, None | Some(0)) => return Err(wrong("say how many `bytes`")),
        (false, None, _) if tag.is_none() => return Err(wrong("say where it is: `at` is the first byte's offset")),
        _ => {}
    }
    if entry.from == FromWord::Address && usize::from(entry.at.unwrap_or(0)) + bytes.unwrap_or(0) > 8 {
        return Err(wrong("the address has eight bytes"));
    }
    let (count, stride) = entry.repeat.map_or((1, 0), |repeat| (repeat.count, usize::from(repeat.stride)));
    if entry.repeat.is_some_and(|repeat| repeat.count == 0 || repeat.stride == 0) {
        return Err(wrong("it repeats at least once, at a distance"));
    }
    Ok(Field {
        name: entry.name.clone(),
        from: entry.from,
        tag,
        at: usize::from(entry.at.unwrap_or(0)),
        bytes: bytes.unwrap_or(0),
        optional: entry.optional,
        reading,
        storage: entry.storage,
        tariff: entry.tariff,
        function: entry.function.function().unwrap_or(Function::Instantaneous),
        obis: entry.obis.map(|code| code.0),
        billing: entry.billing,
        count,
        stride,
    })
}

fn reading(
    source: Source<'_>,
    at: usize,
    entry: &ReadEntry,
    bytes: Option<usize>,
    before: &[Field],
) -> Result<Reading, ProfileError> {
    let wrong = |what: String| source.wrong(at, what);
    let named = |name: &String| {
        let place = before.iter().position(|field| field.name == *name);
        place.ok_or_else(|| wrong(format!("`{name}` is not a field before this one")))
    };
    let bits = entry.bits.clone().map(|ranges| ranges.0).unwrap_or_default();
    if let Some(bytes) = bytes
        && bits.iter().any(|(first, count)| usize::from(*first) + usize::from(*count) > 8 * bytes)
    {
        return Err(wrong(format!("`bits` beyond its {bytes} bytes")));
    }
    if bytes.is_some_and(|bytes| bytes > 8 * usize::from(entry.terms.unwrap_or(1))) && is_word(entry.coding) {
        return Err(wrong("a number has at most eight bytes".into()));
    }
    if (entry.coding == CodingWord::DateDm) != entry.after.is_some() {
        return Err(wrong("a date without a year needs `after`, the date that it follows, and no other has it".into()));
    }
    if entry.terms == Some(0) || entry.divisor == Some(0) {
        return Err(wrong("`terms` and `divisor` count from 1".into()));
    }
    if bytes.is_some_and(|bytes| !bytes.is_multiple_of(entry.terms.map_or(1, usize::from))) {
        return Err(wrong("`bytes` is no multiple of `terms`".into()));
    }
    if entry.exponent_at.is_some_and(|place| u16::from(place.bits.0) + u16::from(place.bits.1) > 7) {
        return Err(wrong("`exponent_at` names at most the seven low bits of a byte".into()));
    }
    if entry.digits.is_some_and(|(first, count)| first > 18 || count > 18) {
        return Err(wrong("`digits` is [first, count], each at most 18".into()));
    }
    let mut flags = Vec::new();
    for (bit, meaning) in &entry.flags {
        let bit = u8::try_from(bit.0).ok().filter(|bit| *bit < 64);
        flags.push((bit.ok_or_else(|| wrong("`flags` are bits 0 to 63".into()))?, meaning.clone()));
    }
    Ok(Reading {
        coding: entry.coding,
        bits,
        digits: entry.digits,
        add: entry.add,
        pow2: entry.pow2,
        times: entry.times,
        exponent: entry.exponent,
        exponent_at: entry.exponent_at,
        divisor: entry.divisor,
        terms: usize::from(entry.terms.unwrap_or(1)),
        unit: entry.unit.clone(),
        absent: entry.absent.clone(),
        values: entry.values.iter().map(|(code, meaning)| (code.0, meaning.clone())).collect(),
        flags,
        after: entry.after.as_ref().map(named).transpose()?,
        plus: entry.plus.iter().map(named).collect::<Result<_, _>>()?,
        minus: entry.minus.iter().map(named).collect::<Result<_, _>>()?,
    })
}

const fn is_word(coding: CodingWord) -> bool {
    !matches!(
        coding,
        CodingWord::Bytes | CodingWord::Text | CodingWord::TextReversed | CodingWord::Bcd | CodingWord::BcdBe
    )
}

fn sample(source: Source<'_>, spanned: &Spanned<TestEntry>) -> Result<Sample, ProfileError> {
    let (at, entry) = (spanned.span().start, spanned.get_ref());
    let key = match &entry.key {
        None => None,
        Some(key) => {
            let key = <[u8; 16]>::try_from(&key.0[..]);
            Some(key.map_err(|_| source.wrong(at, "the test's `key` has 32 hexadecimal digits"))?)
        }
    };
    let expect = entry.expect.iter().map(|expect| Expected {
        name: expect.name.clone(),
        value: expect.value.clone(),
        unit: expect.unit.clone(),
        storage: expect.storage,
        tariff: expect.tariff,
    });
    Ok(Sample {
        line: source.wrong(at, "").place.line,
        telegram: entry.telegram.0.clone(),
        key,
        expect: expect.collect(),
    })
}
