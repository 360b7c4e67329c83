//! How a DLMS meter is reached: addresses, framing and time.

use std::time::Duration;

use plomb_dlms::{
    hdlc::{self, HdlcConfig},
    link::DataLink,
    wrapper::{self, Transport, WrapperConfig},
};

use crate::config::Framing;

/// The longest pause inside an HDLC frame: some meters pause for 3 s before the last piece.
const INTER_OCTET_TIMEOUT: Duration = Duration::from_secs(4);

/// How the meter is reached.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    pub(super) framing: Framing,
    pub(super) udp: bool,
    pub(super) client: u8,
    pub(super) server: u16,
    pub(super) physical: Option<u16>,
    pub(super) baud: u32,
    pub(super) reply_timeout: Option<Duration>,
    pub(super) retries: Option<u8>,
    /// Opened as mode E first.
    pub(super) mode_e: bool,
}

impl Place {
    /// The link to the meter, for this client.
    pub(super) fn link(self, client: u8, silent: bool) -> DataLink {
        match self.framing {
            Framing::Wrapper => {
                let transport = if self.udp { Transport::Udp } else { Transport::Tcp };
                let mut config = WrapperConfig::new(client.into(), self.server, transport);
                config.response_timeout = self.reply_timeout.unwrap_or(config.response_timeout);
                wrapper::ClientLink::new(config).into()
            }
            Framing::Hdlc => {
                // All of the configuration's addresses fit.
                let server = match self.physical {
                    None if self.server <= 0x7F => hdlc::Address::server_in(self.server, 0, 1),
                    physical => hdlc::Address::server(self.server, physical.unwrap_or(0)),
                };
                let server = server.unwrap_or(hdlc::Address::MANAGEMENT_DEVICE);
                let client = hdlc::Address::short(client).unwrap_or(hdlc::Address::PUBLIC_CLIENT);
                let mut config = HdlcConfig::new(client, server, self.baud);
                config.response_timeout = self.reply_timeout.unwrap_or(config.response_timeout);
                config.inter_octet_timeout = INTER_OCTET_TIMEOUT;
                config.retries = self.retries.unwrap_or(config.retries);
                if silent {
                    config.connect_retries = 1;
                }
                hdlc::ClientLink::new(config).into()
            }
        }
    }
}
