//! Scalers and units (IEC 62056-6-2 table 4).

use crate::axdr::Value;
use core::fmt;
use plomb_session::Decimal;

/// A unit, by its code. Unknown codes are values, too.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Unit(pub u8);

/// What a register's number must be multiplied by, and its unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ScalerUnit {
    /// The power of ten.
    pub scaler: i8,
    /// The unit.
    pub unit: Unit,
}

/// Code, symbol, quantity.
const UNITS: &[(u8, &str, &str)] = &[
    (1, "a", "time"),
    (2, "mo", "time"),
    (3, "wk", "time"),
    (4, "d", "time"),
    (5, "h", "time"),
    (6, "min", "time"),
    (7, "s", "time"),
    (8, "°", "phase angle"),
    (9, "°C", "temperature"),
    (10, "currency", "money"),
    (11, "m", "length"),
    (12, "m/s", "speed"),
    (13, "m3", "volume"),
    (14, "m3", "corrected volume"),
    (15, "m3/h", "volume flow"),
    (16, "m3/h", "corrected volume flow"),
    (17, "m3/d", "volume flow"),
    (18, "m3/d", "corrected volume flow"),
    (19, "l", "volume"),
    (20, "kg", "mass"),
    (21, "N", "force"),
    (22, "Nm", "energy"),
    (23, "Pa", "pressure"),
    (24, "bar", "pressure"),
    (25, "J", "energy"),
    (26, "J/h", "thermal power"),
    (27, "W", "active power"),
    (28, "VA", "apparent power"),
    (29, "var", "reactive power"),
    (30, "Wh", "active energy"),
    (31, "VAh", "apparent energy"),
    (32, "varh", "reactive energy"),
    (33, "A", "current"),
    (34, "C", "electrical charge"),
    (35, "V", "voltage"),
    (36, "V/m", "electric field strength"),
    (37, "F", "capacitance"),
    (38, "Ω", "resistance"),
    (39, "Ωm2/m", "resistivity"),
    (40, "Wb", "magnetic flux"),
    (41, "T", "magnetic flux density"),
    (42, "A/m", "magnetic field strength"),
    (43, "H", "inductance"),
    (44, "Hz", "frequency"),
    (45, "1/Wh", "active energy meter constant"),
    (46, "1/varh", "reactive energy meter constant"),
    (47, "1/VAh", "apparent energy meter constant"),
    (48, "V2h", "volt-squared hours"),
    (49, "A2h", "ampere-squared hours"),
    (50, "kg/s", "mass flow"),
    (51, "S", "conductance"),
    (52, "K", "temperature"),
    (53, "1/V2h", "volt-squared hour meter constant"),
    (54, "1/A2h", "ampere-squared hour meter constant"),
    (55, "1/m3", "volume meter constant"),
    (56, "%", "percentage"),
    (57, "Ah", "ampere-hours"),
    (60, "Wh/m3", "energy per volume"),
    (61, "J/m3", "calorific value"),
    (62, "mol%", "molar fraction"),
    (63, "g/m3", "mass density"),
    (64, "Pa s", "dynamic viscosity"),
    (65, "J/kg", "specific energy"),
    (66, "g/cm2", "pressure"),
    (67, "atm", "pressure"),
    (70, "dBm", "signal strength"),
    (71, "dBµV", "signal strength"),
    (72, "dB", "logarithmic ratio"),
    (128, "in", "length"),
    (129, "ft", "length"),
    (130, "lb", "mass"),
    (131, "°F", "temperature"),
    (132, "°R", "temperature"),
    (133, "in2", "area"),
    (134, "ft2", "area"),
    (135, "ac", "area"),
    (136, "in3", "volume"),
    (137, "ft3", "volume"),
    (138, "ac ft", "volume"),
    (139, "imp gal", "volume"),
    (140, "US gal", "volume"),
    (141, "lbf", "force"),
    (142, "psi", "pressure"),
    (143, "lb/ft3", "density"),
    (144, "lb/(ft s)", "dynamic viscosity"),
    (145, "ft2/s", "kinematic viscosity"),
    (146, "Btu", "energy"),
    (147, "thm EU", "energy"),
    (148, "thm US", "energy"),
    (149, "Btu/lb", "calorific value of mass"),
    (150, "Btu/ft3", "calorific value"),
    (151, "ft3", "volume"),
    (152, "ft/s", "speed"),
    (153, "ft3/s", "volume flow"),
    (154, "ft3/min", "volume flow"),
    (155, "ft3/h", "volume flow"),
    (156, "ft3/d", "volume flow"),
    (157, "ac ft/s", "volume flow"),
    (158, "ac ft/min", "volume flow"),
    (159, "ac ft/h", "volume flow"),
    (160, "ac ft/d", "volume flow"),
    (161, "imp gal", "volume"),
    (162, "imp gal/s", "volume flow"),
    (163, "imp gal/min", "volume flow"),
    (164, "imp gal/h", "volume flow"),
    (165, "imp gal/d", "volume flow"),
    (166, "US gal", "volume"),
    (167, "US gal/s", "volume flow"),
    (168, "US gal/min", "volume flow"),
    (169, "US gal/h", "volume flow"),
    (170, "US gal/d", "volume flow"),
    (171, "Btu/s", "thermal power"),
    (172, "Btu/min", "thermal power"),
    (173, "Btu/h", "thermal power"),
    (174, "Btu/d", "thermal power"),
    (254, "", "other unit"),
    (255, "", "number"),
];

impl Unit {
    /// Its symbol; empty for a pure number.
    #[must_use]
    pub fn symbol(self) -> &'static str {
        self.entry().map_or("", |(_, symbol, _)| symbol)
    }

    /// What it measures.
    #[must_use]
    pub fn quantity(self) -> &'static str {
        self.entry().map_or("unknown", |(.., quantity)| quantity)
    }

    /// Whether the code is one of the standard's.
    #[must_use]
    pub fn is_known(self) -> bool {
        self.entry().is_some()
    }

    fn entry(self) -> Option<&'static (u8, &'static str, &'static str)> {
        UNITS.iter().find(|(code, ..)| *code == self.0)
    }
}

impl fmt::Display for Unit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.entry() {
            Some((_, symbol, _)) => f.write_str(symbol),
            None => write!(f, "unit {}", self.0),
        }
    }
}

impl ScalerUnit {
    /// Reads the attribute `scaler_unit`: a structure of an integer and an enum.
    #[must_use]
    pub fn from_value(value: &Value) -> Option<Self> {
        let [scaler, unit] = value.as_structure()?;
        let scaler = i8::try_from(scaler.as_decimal()?.mantissa).ok()?;
        Some(Self { scaler, unit: Unit(u8::try_from(unit.as_unsigned()?).ok()?) })
    }

    /// The exact number that a register means. `None` for what is no number, or can't be held; for a difference to
    /// another value, too, which is no reading.
    #[must_use]
    pub fn apply(self, value: &Value) -> Option<Decimal> {
        let is_difference = matches!(
            value,
            Value::DeltaInteger(_)
                | Value::DeltaLong(_)
                | Value::DeltaDoubleLong(_)
                | Value::DeltaUnsigned(_)
                | Value::DeltaLongUnsigned(_)
                | Value::DeltaDoubleLongUnsigned(_)
        );
        if is_difference { None } else { value.as_decimal()?.scaled(self.scaler) }
    }
}

impl super::FromValue for ScalerUnit {
    fn from_value(value: &Value) -> Result<Self, super::Mismatch> {
        Self::from_value(value).ok_or(super::Mismatch::new("a scaler and a unit", value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    #[test]
    fn codes_are_in_order_and_once() {
        assert!(UNITS.windows(2).all(|pair| pair[0].0 < pair[1].0));
    }

    /// Codes that are billed by, and those next to which a table slips easily.
    #[test]
    fn codes_are_the_standard_s() {
        for (code, symbol) in [
            (13, "m3"),
            (27, "W"),
            (29, "var"),
            (30, "Wh"),
            (32, "varh"),
            (33, "A"),
            (35, "V"),
            (44, "Hz"),
            (57, "Ah"),
            (60, "Wh/m3"),
            (72, "dB"),
            (131, "°F"),
            (137, "ft3"),
            (139, "imp gal"),
            (140, "US gal"),
            (142, "psi"),
            (148, "thm US"),
            (174, "Btu/d"),
            (255, ""),
        ] {
            assert_eq!(Unit(code).symbol(), symbol, "{code}");
        }
        assert_eq!(Unit(58).to_string(), "unit 58");
    }

    #[test]
    fn a_scaler_moves_the_point_and_nothing_else() {
        let value = Value::Structure(alloc::vec![Value::Integer(-3), Value::Enum(30)]);
        let scaler = ScalerUnit::from_value(&value).unwrap();
        assert_eq!(scaler.apply(&Value::DoubleLongUnsigned(123_400)).unwrap().to_string(), "123.400");
        assert_eq!(scaler.apply(&Value::DeltaLong(12)), None, "a difference is no reading");
        assert_eq!(ScalerUnit { scaler: i8::MIN, ..scaler }.apply(&Value::Float32(0.1f32.to_bits())), None);
    }
}
