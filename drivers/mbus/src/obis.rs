//! OBIS codes of records, after OMS Specification Vol. 2, annex A, and the value groups of
//! EN 13757-1 and IEC 62056-61.
//!
//! The table maps what these documents name: accumulated and momentary values of the meter as a
//! whole. Where they are silent, for subunits, minima, limits and a manufacturer's own extensions,
//! a record has no code; a wrong code on a bill is worse than none.
//!
//! - **A** is the medium. **B** is 0.
//! - **D** tells current values (0) from stored ones (2) for all media but electricity, whose D is
//!   the kind of processing.
//! - **E** is the tariff.
//! - **F** is 255 for the current value and for the last due date (storage 1); older stored values
//!   carry their storage number. In electricity every stored value carries it.

use crate::header::Medium;
use crate::modifier::Modifier;
use crate::quantity::Quantity::{self, self as Q};
use crate::record::{Function, Record};
use plomb_session::Obis;

use Context::{Base, Negative, Phase, Plain, Positive, Uncorrected};

const ELECTRICITY: u8 = 1;
const HEAT_COST: u8 = 4;
const COOLING: u8 = 5;
const HEAT: u8 = 6;
const GAS: u8 = 7;
const COLD_WATER: u8 = 8;
const HOT_WATER: u8 = 9;

/// A stored accumulated value of the media below: its due date value.
const DUE_DATE: u8 = 2;
const CURRENT_F: u8 = 255;
/// Group F numbers at most this many stored values.
const STORAGE_MAX: u64 = 99;

/// A kind of value that has a code.
struct Row {
    quantity: Quantity,
    context: Context,
    c: u8,
    d: u8,
    /// Whether stored values and tariffs exist for it.
    register: bool,
}

/// What the value information extensions say that matters for the code.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Context {
    /// Nothing.
    Plain,
    /// 3B, or nothing.
    Positive,
    /// 3C.
    Negative,
    /// 3A: at measurement conditions.
    Uncorrected,
    /// 3E: at base conditions.
    Base,
    /// FC 01 to 04.
    Phase(&'static str),
}

const fn register(quantity: Quantity, context: Context, c: u8, d: u8) -> Row {
    Row { quantity, context, c, d, register: true }
}

const fn momentary(quantity: Quantity, context: Context, c: u8, d: u8) -> Row {
    Row { quantity, context, c, d, register: false }
}

/// Electricity: group C of IEC 62056-61. Without an extension a value is its positive direction.
const ELECTRICITY_ROWS: &[Row] = &[
    register(Q::Energy, Positive, 1, 8),
    register(Q::Energy, Negative, 2, 8),
    register(Q::ReactiveEnergy, Positive, 3, 8),
    register(Q::ReactiveEnergy, Negative, 4, 8),
    register(Q::ApparentEnergy, Positive, 9, 8),
    register(Q::ApparentEnergy, Negative, 10, 8),
    momentary(Q::Power, Positive, 1, 7),
    momentary(Q::Power, Negative, 2, 7),
    momentary(Q::Power, Phase("L1"), 21, 7),
    momentary(Q::Power, Phase("L2"), 41, 7),
    momentary(Q::Power, Phase("L3"), 61, 7),
    momentary(Q::ReactivePower, Positive, 3, 7),
    momentary(Q::ReactivePower, Negative, 4, 7),
    momentary(Q::ApparentPower, Positive, 9, 7),
    momentary(Q::ApparentPower, Negative, 10, 7),
    momentary(Q::Current, Plain, 11, 7),
    momentary(Q::Current, Phase("L1"), 31, 7),
    momentary(Q::Current, Phase("L2"), 51, 7),
    momentary(Q::Current, Phase("L3"), 71, 7),
    momentary(Q::Current, Phase("N"), 91, 7),
    momentary(Q::Voltage, Plain, 12, 7),
    momentary(Q::Voltage, Phase("L1"), 32, 7),
    momentary(Q::Voltage, Phase("L2"), 52, 7),
    momentary(Q::Voltage, Phase("L3"), 72, 7),
    momentary(Q::Frequency, Plain, 14, 7),
];

/// Heat cost allocators: the unrated count.
const HEAT_COST_ROWS: &[Row] = &[register(Q::HeatCostAllocation, Plain, 1, 0)];

/// Heat and cooling.
const HEAT_ROWS: &[Row] = &[
    register(Q::Energy, Plain, 1, 0),
    register(Q::Volume, Plain, 2, 0),
    register(Q::Mass, Plain, 3, 0),
    momentary(Q::Power, Plain, 8, 0),
    momentary(Q::VolumeFlow, Plain, 9, 0),
    momentary(Q::FlowTemperature, Plain, 10, 0),
    momentary(Q::ReturnTemperature, Plain, 11, 0),
    momentary(Q::TemperatureDifference, Plain, 12, 0),
    momentary(Q::Pressure, Plain, 13, 0),
];

/// Gas: volume as measured (3A), at base conditions (3E), else converted by temperature. D tells the
/// conditions, so that stored values carry their number in F from the first on.
const GAS_ROWS: &[Row] = &[
    register(Q::Volume, Uncorrected, 3, 0),
    register(Q::Volume, Plain, 3, 1),
    register(Q::Volume, Base, 3, 2),
    momentary(Q::VolumeFlow, Plain, 43, 15),
];

/// Cold and hot water.
const WATER_ROWS: &[Row] = &[register(Q::Volume, Plain, 1, 0), momentary(Q::VolumeFlow, Plain, 2, 0)];

impl Record<'_> {
    /// The OBIS code of this record in a meter of `medium`; `None` where the standards name none.
    #[must_use]
    pub fn obis(&self, medium: Medium) -> Option<Obis> {
        if self.function != Function::Instantaneous || self.subunit != 0 || self.status.is_error() {
            return None;
        }
        let context = self.context()?;
        if let Some(code) = self.abstract_obis(context) {
            return Some(code);
        }
        let (a, rows) = rows(medium)?;
        let row = rows.iter().find(|row| {
            let fits = row.context == context || (row.context == Positive && context == Plain);
            row.quantity == self.quantity && fits
        })?;
        let tariff = u8::try_from(self.tariff).ok()?;
        if !row.register && (self.storage != 0 || tariff != 0) {
            return None;
        }
        let (d, f) = match self.storage {
            0 => (row.d, CURRENT_F),
            1 if !matches!(a, ELECTRICITY | GAS) => (DUE_DATE, CURRENT_F),
            older @ ..=STORAGE_MAX => {
                let d = if matches!(a, ELECTRICITY | GAS) { row.d } else { DUE_DATE };
                (d, u8::try_from(older).ok()?)
            }
            _ => return None,
        };
        Some(Obis([a, 0, row.c, d, tariff, f]))
    }

    /// Codes that are the same for every medium (group A 0).
    fn abstract_obis(&self, context: Context) -> Option<Obis> {
        if self.storage != 0 || self.tariff != 0 || context != Plain {
            return None;
        }
        match self.quantity {
            Q::DateTime => Some(Obis([0, 0, 1, 0, 0, CURRENT_F])),
            Q::FabricationNumber => Some(Obis([0, 0, 96, 1, 0, CURRENT_F])),
            Q::ErrorFlags => Some(Obis([0, 0, 97, 97, 0, CURRENT_F])),
            _ => None,
        }
    }

    /// The one context that the extensions name; `None` when they say anything that no code covers.
    fn context(&self) -> Option<Context> {
        let mut context = Plain;
        for modifier in self.modifiers {
            let named = match modifier {
                // Scales are in the value already.
                Modifier::Status(_) | Modifier::Scale(_) => continue,
                Modifier::Positive => Positive,
                Modifier::Negative => Negative,
                Modifier::Uncorrected => Uncorrected,
                Modifier::BaseConditions => Base,
                Modifier::Phase(phase) => Phase(phase),
                _ => return None,
            };
            if context != Plain {
                return None;
            }
            context = named;
        }
        Some(context)
    }
}

/// Group A and the table of a medium; `None` for media that OBIS has no group for.
const fn rows(medium: Medium) -> Option<(u8, &'static [Row])> {
    match medium.0 {
        0x02 => Some((ELECTRICITY, ELECTRICITY_ROWS)),
        0x08 => Some((HEAT_COST, HEAT_COST_ROWS)),
        0x0A | 0x0B => Some((COOLING, HEAT_ROWS)),
        0x04 | 0x0C | 0x0D => Some((HEAT, HEAT_ROWS)),
        0x03 => Some((GAS, GAS_ROWS)),
        0x07 | 0x16 => Some((COLD_WATER, WATER_ROWS)),
        0x06 | 0x15 => Some((HOT_WATER, WATER_ROWS)),
        _ => None,
    }
}
