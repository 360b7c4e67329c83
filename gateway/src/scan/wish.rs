//! What whoever scans expects of a line that plombd holds.

use serde::{Deserialize, Serialize};

use crate::config::{Bus, Parity, Protocol, Select};

/// What a line must be like. What is not named, is as configured.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wish {
    /// A receiver is meant, not a wire.
    pub wireless: bool,
    /// In bits a second.
    pub baud: Option<u32>,
    /// `even`, `none` or `odd`.
    pub parity: Option<String>,
    /// How long an answer may take to begin, in milliseconds.
    pub timeout_ms: Option<u32>,
    /// Selections with 73 first.
    pub select_73: bool,
    /// The receiver.
    pub receiver: Option<String>,
    /// The radio modes.
    pub modes: Option<String>,
}

impl Wish {
    /// Whether a configured line is what is wished.
    ///
    /// # Errors
    /// What differs, and what to do: a search at other settings than those asked for would mislead.
    pub fn check(&self, bus: &Bus) -> Result<(), String> {
        let port = &bus.port;
        match (bus.protocol, self.wireless) {
            (Protocol::Mbus, false) | (Protocol::Wmbus, true) => {}
            (Protocol::Mbus, true) => return Err(format!("{port} is a wire of plombd's: leave --wmbus out")),
            (Protocol::Wmbus, false) => return Err(format!("{port} is a wireless receiver of plombd's: add --wmbus")),
            (other, _) => {
                return Err(format!("plombd speaks {} on {port}: only M-Bus meters can be searched for", other.name()));
            }
        }
        let parity = match bus.parity {
            Parity::Even | Parity::OfProtocol => "even",
            Parity::None => "none",
            Parity::Odd => "odd",
        };
        let number = |number: u32| Some(number.to_string());
        let select = if bus.select == Select::WithFcb { "73" } else { "53" };
        let settings = [
            ("--baud", self.baud.and_then(number), number(bus.baud)),
            ("--parity", self.parity.clone(), Some(parity.into())),
            ("--timeout-ms", self.timeout_ms.and_then(number), bus.reply_timeout_ms.and_then(number)),
            ("--select-73", self.select_73.then(|| "73".into()), Some(select.into())),
            ("--receiver", self.receiver.clone(), bus.receiver.clone()),
            ("--modes", self.modes.clone(), bus.modes.clone()),
        ];
        for (option, wished, configured) in settings {
            if wished.is_some() && wished != configured {
                let configured = configured.map_or_else(|| "the default".into(), |it| format!("\"{it}\""));
                return Err(format!(
                    "{option}: plombd uses {port} with {configured}, and a scan through it does too: leave the option \
                     out, or stop plombd and scan without it"
                ));
            }
        }
        Ok(())
    }
}

/// Whether a receiver has this name.
///
/// # Errors
/// The names that there are.
pub fn check_receiver(text: &str) -> Result<(), String> {
    text.parse::<plomb_receivers::Kind>().map(drop).map_err(|error| error.to_string())
}

/// Whether these are radio modes.
///
/// # Errors
/// What would be.
pub fn check_modes(text: &str) -> Result<(), String> {
    text.parse::<plomb_receivers::Modes>().map(drop).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_plombd_would_not_do_is_refused_by_name() {
        let wire = Bus { port: "p".into(), ..Bus::new("line", Protocol::Mbus) };
        let air = Bus { modes: Some("T".into()), port: "p".into(), ..Bus::new("air", Protocol::Wmbus) };
        let told = |wish: Wish, bus: &Bus| wish.check(bus).err().unwrap_or_default();
        assert_eq!(told(Wish { baud: Some(2400), ..Wish::default() }, &wire), "");
        assert!(told(Wish { baud: Some(9600), ..Wish::default() }, &wire).contains("with \"2400\""));
        assert!(told(Wish { select_73: true, ..Wish::default() }, &wire).starts_with("--select-73"));
        assert!(told(Wish { wireless: true, ..Wish::default() }, &wire).contains("leave --wmbus out"));
        assert!(told(Wish::default(), &air).contains("add --wmbus"));
        let modes = |modes: &str| Wish { wireless: true, modes: Some(modes.into()), ..Wish::default() };
        assert_eq!(told(modes("T"), &air), "");
        assert!(told(modes("C"), &air).contains("with \"T\""));
        assert!(told(Wish::default(), &Bus::new("m", Protocol::Modbus)).contains("speaks modbus"));
    }
}
