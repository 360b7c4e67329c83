//! A simulated electricity meter in a process of its own, and what is asked of it.

use std::{
    error::Error,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant as Moment},
};

use plomb_dlms::{
    apdu::{AttributeDescriptor, SelectiveAccess},
    axdr::{DateTime, Value},
    client::{Answer, Association, AssociationConfig, Conversation, Proof, Request},
    object::{CaptureObject, Column, ScalerUnit, capture_objects, class, rows},
    security::{CounterRange, Key, Keys, SecurityContext, Suite, SystemTitle},
};
use plomb_session::{Decimal, Obis};

use crate::cpu;

/// The register that is read over and over.
pub const ENERGY: Obis = Obis([1, 0, 1, 8, 0, 255]);
/// The load profile.
pub const PROFILE: Obis = Obis([1, 0, 99, 1, 0, 255]);
/// Seconds between two rows.
pub const PERIOD_S: u32 = 900;
const CLOCK: Obis = Obis([0, 0, 1, 0, 0, 255]);

/// The meter's process; ended when dropped.
#[derive(Debug)]
pub struct Meter {
    child: Child,
    /// Where it listens, over the wrapper.
    pub tcp: String,
    /// Its serial line, with HDLC.
    pub line: PathBuf,
    keys: [Vec<u8>; 2],
    title: SystemTitle,
}

impl Meter {
    /// Starts the simulator that lies beside this program, with a paced line in `folder`.
    ///
    /// # Errors
    /// It does not start, or does not say what this expects.
    pub fn start(folder: &Path, baud: u32) -> Result<Self, Box<dyn Error>> {
        let program = std::env::current_exe()?.with_file_name("plomb-sim");
        let line = folder.join("meter");
        let mut child = Command::new(&program)
            .args(["--auth", "hls-gmac", "--suite", "0", "--dlms", "tcp://127.0.0.1:0", "--dlms"])
            .arg(&line)
            .args(["--baud", &baud.to_string()])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| format!("{}: {error}; build it first", program.display()))?;
        let mut told = String::new();
        BufReader::new(child.stdout.take().ok_or("no pipe")?).read_line(&mut told)?;
        let told: serde_json::Value = serde_json::from_str(&told)?;
        let text = |pointer: &str| {
            told.pointer(pointer).and_then(serde_json::Value::as_str).ok_or(format!("no {pointer} in {told}"))
        };
        let bytes = |pointer| hex::decode(text(pointer)?).map_err(|error| format!("{pointer}: {error}"));
        Ok(Self {
            tcp: text("/lines/0/tcp")?.into(),
            line,
            keys: [bytes("/meter/keys/unicast")?, bytes("/meter/keys/authentication")?],
            title: SystemTitle::from_slice(&bytes("/meter/client_title")?).ok_or("a title has eight bytes")?,
            child,
        })
    }

    /// An association with HLS-GMAC whose counters begin here.
    ///
    /// # Errors
    /// The keys are none.
    pub fn association(&self, counter: u32) -> Result<AssociationConfig, Box<dyn Error>> {
        let [encryption, authentication] = &self.keys;
        let keys = Keys {
            encryption: Key::new(encryption)?,
            authentication: Some(Key::new(authentication)?),
            broadcast: None,
        };
        let range = CounterRange { next: counter, end: counter.saturating_add(COUNTERS) };
        Ok(AssociationConfig {
            proof: Proof::Gmac,
            ciphered: true,
            security: Some(SecurityContext::new(Suite::Zero, self.title, keys, range)?),
            challenge: b"sixteen bytes, q".to_vec(),
            ..AssociationConfig::public()
        })
    }

    /// The same for a peer's script.
    #[must_use]
    pub fn arguments(&self, counter: u32) -> Vec<String> {
        let [encryption, authentication] = &self.keys;
        let (encryption, authentication) = (hex::encode(encryption), hex::encode(authentication));
        let (title, counter) = (self.title.to_string(), counter.to_string());
        [
            ("--tcp", self.tcp.clone()),
            ("--ek", encryption),
            ("--ak", authentication),
            ("--title", title),
            ("--counter", counter),
        ]
        .into_iter()
        .flat_map(|(name, value)| [name.to_owned(), value])
        .collect()
    }
}

/// How far apart associations begin to count.
pub const COUNTERS: u32 = 100_000;

impl Drop for Meter {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Time from the first question to the last answer: association and release are not in it.
#[derive(Debug, Clone, Copy)]
pub struct Watch {
    begun: Option<(Duration, Moment)>,
    /// Processor time, user and system.
    pub cpu: Duration,
    /// Time that passed.
    pub wall: Duration,
}

impl Watch {
    const fn new() -> Self {
        Self { begun: None, cpu: Duration::ZERO, wall: Duration::ZERO }
    }

    fn begin(&mut self) {
        self.begun.get_or_insert_with(|| (cpu::process(), Moment::now()));
    }

    fn end(&mut self) {
        if let Some((cpu, wall)) = self.begun {
            (self.cpu, self.wall) = (cpu::process().saturating_sub(cpu), wall.elapsed());
        }
    }
}

/// One register, over and over.
#[derive(Debug)]
pub struct Reads {
    wanted: usize,
    /// How many were answered with a number.
    pub good: usize,
    asked: usize,
    /// How long it took.
    pub watch: Watch,
}

impl Reads {
    /// So many questions.
    #[must_use]
    pub const fn new(wanted: usize) -> Self {
        Self { wanted, good: 0, asked: 0, watch: Watch::new() }
    }
}

impl Conversation for Reads {
    fn next(&mut self, _: &Association) -> Option<Request> {
        self.watch.begin();
        let attribute = AttributeDescriptor::new(class::REGISTER, ENERGY, 2);
        (self.asked < self.wanted).then_some(Request::Get(attribute, None))
    }

    fn answer(&mut self, answer: Answer) {
        self.asked += 1;
        if let Answer::Values(values) = answer {
            self.good += values.iter().flatten().filter_map(Value::as_decimal).count();
        }
        if self.asked == self.wanted {
            self.watch.end();
        }
    }

    fn answered(&self) -> usize {
        self.asked
    }
}

/// Rows of the load profile by range, to exact numbers. Columns and scalers are read before, which is not in the time.
#[derive(Debug)]
pub struct Rows {
    from_s: i64,
    until_s: i64,
    columns: Vec<Column>,
    step: usize,
    /// How many rows have a time and all their numbers.
    pub good: usize,
    /// The sum of all numbers' mantissas, so that none is left out.
    pub sum: i64,
    /// How long it took.
    pub watch: Watch,
}

impl Rows {
    /// All rows from one second to another.
    #[must_use]
    pub const fn new(from_s: i64, until_s: i64) -> Self {
        Self { from_s, until_s, columns: Vec::new(), step: 0, good: 0, sum: 0, watch: Watch::new() }
    }

    fn take_rows(&mut self, buffer: &Value) {
        let objects: Vec<CaptureObject> = self.columns.iter().map(|column| column.object).collect();
        for row in rows(buffer, &objects, PERIOD_S).0 {
            let of = |(column, value): (&Column, &Value)| column.number(value).or_else(|| value.as_decimal());
            let numbers = self.columns.iter().zip(&row.values).filter(|(column, _)| !column.object.is_clock()).map(of);
            let sum = numbers.map(|number| number.map(|Decimal { mantissa, .. }| mantissa)).sum::<Option<i64>>();
            if let (Some(_), Some(sum)) = (row.time.and_then(DateTime::unix_ms), sum) {
                self.good += 1;
                self.sum = self.sum.wrapping_add(sum);
            }
        }
    }
}

impl Conversation for Rows {
    fn next(&mut self, _: &Association) -> Option<Request> {
        if self.step == 0 {
            return Some(Request::Get(AttributeDescriptor::new(class::PROFILE, PROFILE, 3), None));
        }
        if let Some(column) = self.columns.get(self.step - 1) {
            let scaler = column.object.scaler_unit().unwrap_or(AttributeDescriptor::new(class::CLOCK, CLOCK, 2));
            return Some(Request::Get(scaler, None));
        }
        if self.step > self.columns.len() + 1 {
            return None;
        }
        self.watch.begin();
        let octets = |unix_s| Some(Value::OctetString(DateTime::from_unix_s(unix_s, 0)?.to_bytes().to_vec()));
        let clock = AttributeDescriptor::new(class::CLOCK, CLOCK, 2);
        let range = SelectiveAccess::range(clock, octets(self.from_s)?, octets(self.until_s)?, &[]);
        Some(Request::Get(AttributeDescriptor::new(class::PROFILE, PROFILE, 2), Some(range)))
    }

    fn answer(&mut self, answer: Answer) {
        let Answer::Values(mut values) = answer else { return };
        let value = values.pop().and_then(Result::ok).unwrap_or(Value::Null);
        if self.step == 0 {
            let objects = capture_objects(&value).unwrap_or_default();
            self.columns = objects.into_iter().map(|object| Column { object, scaler_unit: None }).collect();
        } else if let Some(column) = self.columns.get_mut(self.step - 1) {
            column.scaler_unit = ScalerUnit::from_value(&value).filter(|_| column.object.scaler_unit().is_some());
        } else {
            self.take_rows(&value);
            self.watch.end();
        }
        self.step += 1;
    }

    fn answered(&self) -> usize {
        self.step
    }
}
