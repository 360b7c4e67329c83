//! The submeter in the switch room: Modbus over TCP, read by a shipped register map.

use std::net::SocketAddr;

use plomb_sim::modbus::{ModbusServer, Unit};

use crate::exit::Failure;

use super::town::quoted;

/// Its measuring point.
pub(super) const POINT: &str = "lift-power";
/// Its register map.
const MODEL: &str = "eastron-sdm630";
/// Its number on the line.
const UNIT: u8 = 1;
/// How often it is asked, in seconds.
const INTERVAL_S: f64 = 8.0;

/// The meter and where it listens.
pub(super) struct Submeter {
    _server: ModbusServer,
    pub(super) address: SocketAddr,
}

impl Submeter {
    /// Puts the meter on the network.
    pub(super) async fn connect() -> Result<Self, Failure> {
        let mut server = ModbusServer::new(vec![Unit::new(UNIT)]);
        let served = server.serve_tcp("127.0.0.1:0").await;
        let address = served.map_err(|error| Failure::Unavailable(error.to_string()))?;
        Ok(Self { _server: server, address })
    }

    /// The line and its meter for the gateway's configuration.
    pub(super) fn config(&self) -> String {
        format!(
            "\n[[bus]]\nname = \"switch-room\"\nprotocol = \"modbus\"\nport = {}\n\
             \n[[meter]]\npoint = \"{POINT}\"\nbus = \"switch-room\"\nunit = {UNIT}\nmodel = \"{MODEL}\"\n\
             interval_s = {INTERVAL_S:.1}\n",
            quoted(&format!("tcp://{}", self.address)),
        )
    }
}
