//! A line's port: opened when it is needed, left alone for a while after it failed.

use std::{
    io,
    sync::Arc,
    time::{Duration, Instant},
};

use plomb_seal::Reason;
use tracing::{info, warn};

use super::modbus::ModbusLine;
use crate::{config, link::Link, status::Board};

/// How long a port that failed is left alone at least, and at most.
const REOPEN_MIN: Duration = Duration::from_millis(500);
const REOPEN_MAX: Duration = Duration::from_secs(30);

/// A line's port.
pub struct Port {
    config: config::Bus,
    board: Option<Arc<Board>>,
    link: Option<Link>,
    modbus: ModbusLine,
    reopen_after: Duration,
    reopen_at: Instant,
    error: Option<String>,
    /// Whether the first opening was logged.
    told: bool,
}

impl Port {
    /// The port of a line, still closed. With a board, what becomes of it is shown there.
    pub fn new(bus: &config::Bus, board: Option<Arc<Board>>) -> Self {
        Self {
            config: bus.clone(),
            board,
            link: None,
            modbus: ModbusLine::new(bus),
            reopen_after: REOPEN_MIN,
            reopen_at: Instant::now(),
            error: None,
            told: false,
        }
    }

    /// The open port.
    ///
    /// # Errors
    /// Why it can't be opened, and what to do. One that failed just now is not tried again at once.
    pub async fn open(&mut self) -> Result<&mut Link, (Reason, String)> {
        if self.link.is_none() {
            self.connect().await.map_err(|detail| (Reason::Port, detail))?;
        }
        self.link.as_mut().ok_or_else(|| (Reason::Port, "the port is closed".into()))
    }

    /// The open port, for Modbus: one connection that all units of the line share.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub async fn open_modbus(&mut self) -> Result<&mut ModbusLine, (Reason, String)> {
        if !self.modbus.is_open() {
            if let (Some(error), true) = (&self.error, Instant::now() < self.reopen_at) {
                return Err((Reason::Port, error.clone()));
            }
            if let Err(error) = self.modbus.open().await {
                return Err((Reason::Port, self.fail(&error)));
            }
            if self.board.is_some() && (self.error.is_some() || !std::mem::replace(&mut self.told, true)) {
                info!(bus = self.config.name, port = self.config.port, "port open");
            }
            (self.reopen_after, self.error) = (REOPEN_MIN, None);
            self.show(true, None);
        }
        Ok(&mut self.modbus)
    }

    async fn connect(&mut self) -> Result<(), String> {
        if let (Some(error), true) = (&self.error, Instant::now() < self.reopen_at) {
            return Err(error.clone());
        }
        match Link::open(&self.config.port, self.config.baud, self.config.parity).await {
            Ok(link) => {
                // A connection that ends with each conversation is no news each time.
                if self.board.is_some() && (self.error.is_some() || !std::mem::replace(&mut self.told, true)) {
                    info!(bus = self.config.name, port = self.config.port, "port open");
                }
                self.link = Some(link);
                (self.reopen_after, self.error) = (REOPEN_MIN, None);
                self.show(true, None);
                Ok(())
            }
            Err(error) => Err(self.fail(&error)),
        }
    }

    /// Closes the port after an error, and says when it is tried again.
    pub fn fail(&mut self, error: &io::Error) -> String {
        let detail = explain(&self.config.port, error);
        if self.error.is_none() && self.board.is_some() {
            warn!(bus = self.config.name, "{detail}");
        }
        self.link = None;
        self.modbus.close();
        self.reopen_at = Instant::now() + self.reopen_after;
        self.reopen_after = (self.reopen_after * 2).min(REOPEN_MAX);
        self.error = Some(detail.clone());
        self.show(false, Some(detail.clone()));
        detail
    }

    /// Closes the port without blame: the next conversation begins with a connection of its own.
    pub fn hang_up(&mut self) {
        self.link = None;
    }

    /// Why the port is closed, if it failed.
    pub fn error(&self) -> Option<&str> {
        self.error.as_deref()
    }

    fn show(&self, open: bool, error: Option<String>) {
        let Some(board) = &self.board else { return };
        if let Some(status) = board.update().buses.get_mut(&self.config.name) {
            (status.open, status.last_error) = (open, error);
        }
    }
}

/// A port's error in words, with what to do.
pub fn explain(port: &str, error: &io::Error) -> String {
    let what = match error.kind() {
        _ if !port.contains("://") => advice(error),
        io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => {
            "the other end hung up: does it serve one connection at a time, and another client has it?"
        }
        io::ErrorKind::AddrInUse => "another program listens there",
        io::ErrorKind::AddrNotAvailable => "is it an address of this machine?",
        io::ErrorKind::NotFound => "is the address right, and can its name be looked up?",
        _ => match advice(error) {
            ADVICE_OTHERWISE => "check the address, and the way there",
            advice => advice,
        },
    };
    format!("{port}: {error}; {what}")
}

/// What to do where nothing better is known, of a serial port.
const ADVICE_OTHERWISE: &str = "check the port and its cable";

pub(crate) fn advice(error: &io::Error) -> &'static str {
    // The serial library reports a port that somebody holds as missing.
    if error.to_string().contains("exclusive lock") {
        return "another program has the port open; while plombd runs, ask it: plomb read --point NAME";
    }
    match error.kind() {
        io::ErrorKind::NotFound => "is the adapter plugged in? Use its name under /dev/serial/by-id",
        io::ErrorKind::PermissionDenied => "add the user to the group that owns the port (often dialout)",
        io::ErrorKind::UnexpectedEof => "the adapter was unplugged",
        io::ErrorKind::ResourceBusy => "another program has the port open",
        io::ErrorKind::ConnectionRefused => "does the serial server run, and is the port's number right?",
        io::ErrorKind::TimedOut | io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable => {
            "is the address right, and the serial server on?"
        }
        _ if error.to_string().contains("typewriter") => "this is no serial port",
        io::ErrorKind::InvalidInput | io::ErrorKind::Unsupported => "check the port and the options",
        _ => ADVICE_OTHERWISE,
    }
}
