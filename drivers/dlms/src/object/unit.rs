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

/// Code, symbol, UCUM code, quantity.
const UNITS: &[(u8, &str, &str, &str)] = &[
    (1, "a", "a", "time"),
    (2, "mo", "mo", "time"),
    (3, "wk", "wk", "time"),
    (4, "d", "d", "time"),
    (5, "h", "h", "time"),
    (6, "min", "min", "time"),
    (7, "s", "s", "time"),
    (8, "°", "deg", "phase angle"),
    (9, "°C", "Cel", "temperature"),
    (10, "currency", "", "money"),
    (11, "m", "m", "length"),
    (12, "m/s", "m/s", "speed"),
    (13, "m3", "m3", "volume"),
    (14, "m3", "m3", "corrected volume"),
    (15, "m3/h", "m3/h", "volume flow"),
    (16, "m3/h", "m3/h", "corrected volume flow"),
    (17, "m3/d", "m3/d", "volume flow"),
    (18, "m3/d", "m3/d", "corrected volume flow"),
    (19, "l", "L", "volume"),
    (20, "kg", "kg", "mass"),
    (21, "N", "N", "force"),
    (22, "Nm", "N.m", "energy"),
    (23, "Pa", "Pa", "pressure"),
    (24, "bar", "bar", "pressure"),
    (25, "J", "J", "energy"),
    (26, "J/h", "J/h", "thermal power"),
    (27, "W", "W", "active power"),
    (28, "VA", "V.A", "apparent power"),
    (29, "var", "V.A{reactive}", "reactive power"),
    (30, "Wh", "W.h", "active energy"),
    (31, "VAh", "V.A.h", "apparent energy"),
    (32, "varh", "V.A.h{reactive}", "reactive energy"),
    (33, "A", "A", "current"),
    (34, "C", "C", "electrical charge"),
    (35, "V", "V", "voltage"),
    (36, "V/m", "V/m", "electric field strength"),
    (37, "F", "F", "capacitance"),
    (38, "Ω", "Ohm", "resistance"),
    (39, "Ωm2/m", "Ohm.m", "resistivity"),
    (40, "Wb", "Wb", "magnetic flux"),
    (41, "T", "T", "magnetic flux density"),
    (42, "A/m", "A/m", "magnetic field strength"),
    (43, "H", "H", "inductance"),
    (44, "Hz", "Hz", "frequency"),
    (45, "1/Wh", "1/(W.h)", "active energy meter constant"),
    (46, "1/varh", "1/(V.A.h{reactive})", "reactive energy meter constant"),
    (47, "1/VAh", "1/(V.A.h)", "apparent energy meter constant"),
    (48, "V2h", "V2.h", "volt-squared hours"),
    (49, "A2h", "A2.h", "ampere-squared hours"),
    (50, "kg/s", "kg/s", "mass flow"),
    (51, "S", "S", "conductance"),
    (52, "K", "K", "temperature"),
    (53, "1/V2h", "1/(V2.h)", "volt-squared hour meter constant"),
    (54, "1/A2h", "1/(A2.h)", "ampere-squared hour meter constant"),
    (55, "1/m3", "1/m3", "volume meter constant"),
    (56, "%", "%", "percentage"),
    (57, "Ah", "A.h", "ampere-hours"),
    (60, "Wh/m3", "W.h/m3", "energy per volume"),
    (61, "J/m3", "J/m3", "calorific value"),
    (62, "mol%", "%{mol}", "molar fraction"),
    (63, "g/m3", "g/m3", "mass density"),
    (64, "Pa s", "Pa.s", "dynamic viscosity"),
    (65, "J/kg", "J/kg", "specific energy"),
    (66, "g/cm2", "gf/cm2", "pressure"),
    (67, "atm", "atm", "pressure"),
    (70, "dBm", "dB{1mW}", "signal strength"),
    (71, "dBµV", "dB[uV]", "signal strength"),
    (72, "dB", "dB", "logarithmic ratio"),
    (128, "in", "[in_i]", "length"),
    (129, "ft", "[ft_i]", "length"),
    (130, "lb", "[lb_av]", "mass"),
    (131, "°F", "[degF]", "temperature"),
    (132, "°R", "[degR]", "temperature"),
    (133, "in2", "[in_i]2", "area"),
    (134, "ft2", "[ft_i]2", "area"),
    (135, "ac", "[acr_us]", "area"),
    (136, "in3", "[in_i]3", "volume"),
    (137, "ft3", "[ft_i]3", "volume"),
    (138, "ac ft", "[acr_us].[ft_us]", "volume"),
    (139, "imp gal", "[gal_br]", "volume"),
    (140, "US gal", "[gal_us]", "volume"),
    (141, "lbf", "[lbf_av]", "force"),
    (142, "psi", "[psi]", "pressure"),
    (143, "lb/ft3", "[lb_av]/[ft_i]3", "density"),
    (144, "lb/(ft s)", "[lb_av]/([ft_i].s)", "dynamic viscosity"),
    (145, "ft2/s", "[ft_i]2/s", "kinematic viscosity"),
    (146, "Btu", "[Btu_IT]", "energy"),
    (147, "thm EU", "", "energy"),
    (148, "thm US", "", "energy"),
    (149, "Btu/lb", "[Btu_IT]/[lb_av]", "calorific value of mass"),
    (150, "Btu/ft3", "[Btu_IT]/[ft_i]3", "calorific value"),
    (151, "ft3", "[ft_i]3", "volume"),
    (152, "ft/s", "[ft_i]/s", "speed"),
    (153, "ft3/s", "[ft_i]3/s", "volume flow"),
    (154, "ft3/min", "[ft_i]3/min", "volume flow"),
    (155, "ft3/h", "[ft_i]3/h", "volume flow"),
    (156, "ft3/d", "[ft_i]3/d", "volume flow"),
    (157, "ac ft/s", "[acr_us].[ft_us]/s", "volume flow"),
    (158, "ac ft/min", "[acr_us].[ft_us]/min", "volume flow"),
    (159, "ac ft/h", "[acr_us].[ft_us]/h", "volume flow"),
    (160, "ac ft/d", "[acr_us].[ft_us]/d", "volume flow"),
    (161, "imp gal", "[gal_br]", "volume"),
    (162, "imp gal/s", "[gal_br]/s", "volume flow"),
    (163, "imp gal/min", "[gal_br]/min", "volume flow"),
    (164, "imp gal/h", "[gal_br]/h", "volume flow"),
    (165, "imp gal/d", "[gal_br]/d", "volume flow"),
    (166, "US gal", "[gal_us]", "volume"),
    (167, "US gal/s", "[gal_us]/s", "volume flow"),
    (168, "US gal/min", "[gal_us]/min", "volume flow"),
    (169, "US gal/h", "[gal_us]/h", "volume flow"),
    (170, "US gal/d", "[gal_us]/d", "volume flow"),
    (171, "Btu/s", "[Btu_IT]/s", "thermal power"),
    (172, "Btu/min", "[Btu_IT]/min", "thermal power"),
    (173, "Btu/h", "[Btu_IT]/h", "thermal power"),
    (174, "Btu/d", "[Btu_IT]/d", "thermal power"),
    (254, "", "", "other unit"),
    (255, "", "1", "number"),
];

impl Unit {
    /// Its symbol; empty for a pure number.
    #[must_use]
    pub fn symbol(self) -> &'static str {
        self.entry().map_or("", |(_, symbol, ..)| symbol)
    }

    /// Its code in the Unified Code for Units of Measure; `None` for money, therms, and what is unknown. UCUM has no
    /// var: it is a volt-ampere with a remark.
    #[must_use]
    pub fn ucum(self) -> Option<&'static str> {
        self.entry().map(|(_, _, ucum, _)| *ucum).filter(|ucum| !ucum.is_empty())
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

    fn entry(self) -> Option<&'static (u8, &'static str, &'static str, &'static str)> {
        UNITS.iter().find(|(code, ..)| *code == self.0)
    }
}

impl fmt::Display for Unit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.entry() {
            Some((_, symbol, ..)) => f.write_str(symbol),
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
        let ucum = [30, 32, 13, 140, 255, 10, 58].map(|code| Unit(code).ucum());
        let expected = [Some("W.h"), Some("V.A.h{reactive}"), Some("m3"), Some("[gal_us]"), Some("1"), None, None];
        assert_eq!(ucum, expected);
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
