//! What holds for any map and any answer.

use plomb_modbus::{
    Block, Image, Kind, Register, RegisterMap, Span, Table, Walk, Wanted, WordOrder, decode, identify, plan, serial,
};
use plomb_session::Decimal;
use proptest::prelude::*;

fn span() -> impl Strategy<Value = Span> {
    let kinds = vec![Kind::U16, Kind::I32, Kind::U64, Kind::F32, Kind::F64, Kind::Bcd, Kind::String];
    let orders = vec![WordOrder::Abcd, WordOrder::Cdab, WordOrder::Badc, WordOrder::Dcba];
    let place = (any::<bool>(), prop_oneof![0u16..300, 65_480u16..=65_531], 1u16..=4);
    (place, proptest::sample::select(kinds), proptest::sample::select(orders)).prop_map(
        |((input, address, words), kind, order)| Span {
            table: if input { Table::Input } else { Table::Holding },
            address,
            words: kind.words().unwrap_or(words),
            kind,
            order,
            sunspec_model: None,
        },
    )
}

fn register() -> impl Strategy<Value = Register> {
    let scale = (any::<i64>(), any::<i8>(), proptest::option::of(0u16..300));
    (span(), scale, proptest::collection::vec(any::<u64>(), 0..2)).prop_map(
        |(span, (mantissa, exponent, at), absent)| Register {
            name: "any".into(),
            span,
            multiplier: Decimal::new(mantissa, exponent),
            scale_at: at,
            absent,
            unit: String::new(),
            obis: None,
            quantity: String::new(),
            billing: false,
        },
    )
}

fn map() -> impl Strategy<Value = RegisterMap> {
    let small = "format = 1\nname = \"a\"\nversion = 1\nmodel = \"\"\ntable = \"input\"\n\
                 [[register]]\nname = \"a\"\naddress = 0\ntype = \"u16\"\n";
    (proptest::collection::vec(register(), 1..40), 0u16..60, 4u16..=125, proptest::option::of(span())).prop_map(
        move |(registers, max_gap, max_block, serial)| {
            let mut map = RegisterMap::parse("a", small).unwrap();
            (map.registers, map.max_gap, map.max_block, map.serial) = (registers, max_gap, max_block, serial);
            map
        },
    )
}

fn is_within(span: &Span, block: &Block) -> bool {
    span.table == block.table
        && block.address <= span.address
        && u32::from(span.address) + u32::from(span.words) <= block.end()
}

proptest! {
    #[test]
    fn a_plan_covers_all_that_is_wanted_and_no_block_is_too_long(map in map()) {
        let blocks = plan(&map, &Wanted::All);
        for register in &map.registers {
            prop_assert!(blocks.iter().any(|block| is_within(&register.span, block)));
            let scale = register.scale_at.map(|address| Span { address, words: 1, ..register.span.clone() });
            prop_assert!(scale.is_none_or(|span| blocks.iter().any(|block| is_within(&span, block))));
        }
        for block in &blocks {
            prop_assert!((1..=map.max_block).contains(&block.words) && block.end() <= 0x1_0000, "{block:?}");
        }
        // A block neither begins nor ends with registers that nobody wants, nor bridges more than the gap.
        let wanted: usize = map.registers.iter().map(|register| usize::from(register.span.words) + 1).sum();
        let bridged = usize::from(map.max_gap) * 2 * map.registers.len();
        prop_assert!(blocks.iter().map(|block| usize::from(block.words)).sum::<usize>() <= wanted + bridged);
    }

    #[test]
    fn any_answer_is_decoded(map in map(), words in proptest::collection::vec(any::<u16>(), 0..130), short: u16) {
        let mut image = Image::new();
        for block in plan(&map, &Wanted::All) {
            image.put(block, &words);
        }
        image.put(Block { table: Table::Input, address: 65_530, words: short }, &words);
        let found = decode(&map, &Wanted::All, &image);
        prop_assert!(found.len() <= map.registers.len());
        let _ = (serial(&map, &image), identify(&map, &image));
    }

    #[test]
    fn any_text_is_a_map_or_refused(text: String) {
        let _ = RegisterMap::parse("any.toml", &text);
    }

    #[test]
    fn any_chain_ends(words in proptest::collection::vec(any::<u16>(), 0..300)) {
        let chain = plomb_modbus::Chain { bases: vec![0, 100], models: vec![203] };
        let mut image = Image::new();
        let block = Block { table: Table::Holding, address: 2, words: 300 };
        image.put(Block { words: 2, address: 0, ..block }, &[0x5375, 0x6E53]);
        image.put(block, &words);
        let _ = Walk::over(&chain, &image);
    }
}
