//! DLMS: processor time of a client for single reads and for a load profile, beside two clients from PyPI on the same
//! simulated meter; and the time of a paced serial line beside what the frames themselves need on it.
//!
//! `bench-dlms [READS] [ROWS] [PYTHON]`, 1,000 and 5,000 by default. HLS-GMAC, suite 0, over the wrapper. Each client
//! runs some rounds in turn, and its best counts; associations are in no figure. The peers run in processes of their
//! own, and only where PYTHON has them (`tests/.venv/bin/python3` by default). `plomb-sim` lies beside this program.
//! Prints JSON lines.

use std::{
    env,
    error::Error,
    path::Path,
    process::Command,
    time::{Duration, Instant as Moment, SystemTime, UNIX_EPOCH},
};

use plomb_bench::{
    dlms::{COUNTERS, Meter, PERIOD_S, PROFILE, Reads, Rows, Watch},
    tapped::{Counts, Tapped},
};
use plomb_dlms::{
    client::{AssociationConfig, Client, ClientEvent, Conversation, MeterModel, ProfileWish, Round, RoundWish},
    hdlc::{self, HdlcConfig},
    link::DataLink,
    wrapper::{self, Transport, WrapperConfig},
};
use plomb_gateway::{
    config::Parity,
    link::{Link, drive},
};
use plomb_session::Obis;

type Outcome<T> = Result<T, Box<dyn Error>>;

const READS_DEFAULT: usize = 1_000;
const ROWS_DEFAULT: usize = 5_000;
const ROUNDS: u32 = 3;
const BAUD: u32 = 9600;
const BITS_PER_BYTE: u32 = 10;
/// What the simulator's serial line takes before it answers.
const RESPONSE: Duration = Duration::from_millis(5);
/// Rows of a day.
const DAY_ROWS: i64 = 96;
const PEERS: [(&str, &str); 2] = [("dlms-cosem", "dlms_cosem_reads.py"), ("gurux-dlms", "gurux_dlms_reads.py")];
/// The C, D and E of the simulated meter's registers: two of them have a time beside their number.
const REGISTERS: [[u8; 3]; 18] = [
    [1, 8, 0],
    [1, 8, 1],
    [1, 8, 2],
    [2, 8, 0],
    [3, 8, 0],
    [15, 8, 0],
    [32, 7, 0],
    [52, 7, 0],
    [72, 7, 0],
    [31, 7, 0],
    [51, 7, 0],
    [71, 7, 0],
    [1, 7, 0],
    [2, 7, 0],
    [13, 7, 0],
    [14, 7, 0],
    [1, 6, 0],
    [1, 4, 0],
];

/// What a client needed for something, in seconds.
#[derive(Debug, Clone, Copy)]
struct Took {
    cpu_s: f64,
    wall_s: f64,
}

impl Took {
    const NONE: Self = Self { cpu_s: f64::INFINITY, wall_s: f64::INFINITY };

    const fn least(self, other: Self) -> Self {
        Self { cpu_s: self.cpu_s.min(other.cpu_s), wall_s: self.wall_s.min(other.wall_s) }
    }
}

impl From<Watch> for Took {
    fn from(watch: Watch) -> Self {
        Self { cpu_s: watch.cpu.as_secs_f64(), wall_s: watch.wall.as_secs_f64() }
    }
}

/// The meter, and where its counters are.
struct Site {
    meter: Meter,
    counter: u32,
}

impl Site {
    const fn counter(&mut self) -> u32 {
        self.counter += COUNTERS;
        self.counter
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Outcome<()> {
    let mut arguments = env::args().skip(1);
    let reads = arguments.next().and_then(|text| text.parse().ok()).unwrap_or(READS_DEFAULT);
    let rows = arguments.next().and_then(|text| text.parse().ok()).unwrap_or(ROWS_DEFAULT);
    let python = arguments.next().unwrap_or_else(|| "tests/.venv/bin/python3".into());
    let folder = tempfile::tempdir()?;
    let mut site = Site { meter: Meter::start(folder.path(), BAUD)?, counter: 1 };
    let until_s = i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs())? / 900 * 900;
    let from_s = until_s - (i64::try_from(rows)? - 1) * i64::from(PERIOD_S);
    let mut ours = [Took::NONE; 2];
    let mut theirs = [[Took::NONE; 2]; PEERS.len()];
    let mut sum = None;
    for _ in 0..ROUNDS {
        let conversation = over_tcp(&mut site, Reads::new(reads)).await?;
        if conversation.good != reads {
            return Err(format!("{} of {reads} reads gave a number", conversation.good).into());
        }
        let profile = over_tcp(&mut site, Rows::new(from_s, until_s)).await?;
        if profile.good != rows {
            return Err(format!("{} of {rows} rows have all numbers", profile.good).into());
        }
        sum = sum.or(Some(profile.sum));
        let [single, ranged] = ours;
        ours = [single.least(conversation.watch.into()), ranged.least(profile.watch.into())];
        for ((name, script), took) in PEERS.into_iter().zip(&mut theirs) {
            let wanted = Wanted { reads, rows, from_s, until_s, sum };
            match peer(&mut site, Path::new(&python), script, &wanted) {
                Ok([a, b]) => {
                    let [single, ranged] = *took;
                    *took = [single.least(a), ranged.least(b)];
                }
                Err(error) => eprintln!("{name}: {error}"),
            }
        }
    }
    tell("single reads", "reads", reads, ours[0], theirs.map(|[single, _]| single));
    tell("profile by range", "rows", rows, ours[1], theirs.map(|[_, ranged]| ranged));
    line(&mut site).await
}

fn tell(what: &str, unit: &str, count: usize, ours: Took, theirs: [Took; PEERS.len()]) {
    let print = |client: &str, took: Took| {
        let per = took.cpu_s / number(count) * 1e6;
        println!(
            "{{\"bench\":\"dlms {what}\",\"client\":\"{client}\",\"{unit}\":{count},\"cpu_s\":{:.4},\"cpu_us_each\":{per:.1},\"wall_s\":{:.3},\"{unit}_per_s\":{:.0}}}",
            took.cpu_s,
            took.wall_s,
            number(count) / took.wall_s
        );
    };
    print("plomb", ours);
    let mut faster = Took::NONE;
    for ((name, _), took) in PEERS.into_iter().zip(theirs).filter(|(_, took)| took.cpu_s.is_finite()) {
        print(name, took);
        faster = faster.least(took);
    }
    if faster.cpu_s.is_finite() {
        println!(
            "{{\"bench\":\"dlms {what}\",\"faster_peer_to_ours_cpu\":{:.1},\"faster_peer_to_ours_wall\":{:.2}}}",
            faster.cpu_s / ours.cpu_s,
            faster.wall_s / ours.wall_s
        );
    }
}

async fn over_tcp<C: Conversation>(site: &mut Site, conversation: C) -> Outcome<C> {
    let mut link = Link::open(&format!("tcp://{}", site.meter.tcp), BAUD, Parity::None).await?;
    let wrapper = wrapper::ClientLink::new(WrapperConfig::new(1, 1, Transport::Tcp));
    let counter = site.counter();
    let association = site.meter.association(counter)?;
    Ok(converse(wrapper.into(), association, conversation, &mut link).await?.session.into_conversation())
}

async fn converse<C: Conversation>(
    link: DataLink,
    association: AssociationConfig,
    conversation: C,
    wire: &mut Link,
) -> Outcome<Tapped<Client<C>, Counts>> {
    let mut counted = Tapped::new(Client::new(link, association, conversation), Counts::default());
    let mut failure = None;
    drive(&mut counted, wire, |event| {
        if let ClientEvent::Failed(why) = event {
            failure = Some(why);
        }
    })
    .await?;
    failure.map_or(Ok(counted), |why| Err(why.into()))
}

/// What a peer is to read, and the sum that it must find.
struct Wanted {
    reads: usize,
    rows: usize,
    from_s: i64,
    until_s: i64,
    sum: Option<i64>,
}

fn peer(site: &mut Site, python: &Path, script: &str, wanted: &Wanted) -> Outcome<[Took; 2]> {
    let script = Path::new("tests/bench").join(script);
    let counter = site.counter();
    let output = Command::new(python)
        .arg(script)
        .args(site.meter.arguments(counter))
        .args(["--register", "1.0.1.8.0.255", "--profile", "1.0.99.1.0.255"])
        .args(["--reads", &wanted.reads.to_string()])
        .args(["--begin", &wanted.from_s.to_string(), "--end", &wanted.until_s.to_string()])
        .output()?;
    let text = String::from_utf8(output.stdout)?;
    let last = text.lines().last().ok_or_else(|| String::from_utf8_lossy(&output.stderr).into_owned())?;
    let told: serde_json::Value = serde_json::from_str(last)?;
    let found = ["good", "rows", "sum"].map(|name| told.get(name).and_then(serde_json::Value::as_i64));
    if found != [i64::try_from(wanted.reads).ok(), i64::try_from(wanted.rows).ok(), wanted.sum] {
        return Err(format!("it read something else: {told}, not {:?}", wanted.sum).into());
    }
    let took = |what: &str| {
        let of =
            |unit: &str| told.get(what).and_then(|took| took.get(unit)?.as_f64()).ok_or(format!("no {what} in {told}"));
        Ok::<_, Box<dyn Error>>(Took { cpu_s: of("cpu_s")?, wall_s: of("wall_s")? })
    };
    Ok([took("single")?, took("profile")?])
}

/// The paced line: all registers, then a day of the profile, each in an association of its own as the gateway does.
async fn line(site: &mut Site) -> Outcome<()> {
    let path = site.meter.line.to_str().ok_or("no path")?.to_owned();
    let registers: Vec<Obis> = REGISTERS.iter().map(|[c, d, e]| Obis([1, 0, *c, *d, *e, 255])).collect();
    let now_s = i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs())? / 900 * 900;
    let day =
        ProfileWish { instance: PROFILE, after_unix_s: now_s - DAY_ROWS * i64::from(PERIOD_S), until_unix_s: now_s };
    let mut link = Link::open(&path, BAUD, Parity::None).await?;
    let mut model = MeterModel::default();
    for (what, registers, profile) in [
        ("registers, first round", registers.clone(), None),
        ("registers", registers, None),
        ("profile, first round", Vec::new(), Some(day)),
        ("profile", Vec::new(), Some(day)),
    ] {
        let (mut best_s, mut told) = (f64::INFINITY, None);
        let wish = RoundWish { registers, profile };
        let mut after = model.clone();
        for _ in 0..ROUNDS {
            let server = hdlc::Address::server(1, 17)?;
            let client = hdlc::Address::short(1)?;
            let config = HdlcConfig::new(client, server, BAUD);
            let counter = site.counter();
            let association = site.meter.association(counter)?;
            let round = Round::new(wish.clone(), model.clone());
            let begun = Moment::now();
            let counted = converse(hdlc::ClientLink::new(config).into(), association, round, &mut link).await?;
            let took_s = begun.elapsed().as_secs_f64();
            let (bytes, turns) = (counted.tap.sent_bytes + counted.tap.received_bytes, counted.tap.turns);
            let (report, known) = counted.session.into_conversation().into_parts();
            after = known;
            let good = report.registers.iter().filter(|asked| asked.result.is_ok()).count();
            if good != wish.registers.len() || report.rows.len() != profile.map_or(0, |_| 96) {
                return Err(format!("{good} registers and {} rows", report.rows.len()).into());
            }
            if took_s < best_s {
                (best_s, told) = (took_s, Some((bytes, turns)));
            }
        }
        model = after;
        let (bytes, turns) = told.ok_or("nothing was read")?;
        let wire_s = number(bytes) * f64::from(BITS_PER_BYTE) / f64::from(BAUD);
        println!(
            "{{\"bench\":\"dlms at {BAUD} baud\",\"what\":\"{what}\",\"bytes\":{bytes},\"questions\":{turns},\"wall_s\":{best_s:.3},\"wire_s\":{wire_s:.3},\"wire_to_wall\":{:.3},\"wire_and_response_to_wall\":{:.3}}}",
            wire_s / best_s,
            (wire_s + RESPONSE.as_secs_f64() * f64::from(turns)) / best_s
        );
    }
    Ok(())
}

/// Counts here are far below 2^53.
#[allow(clippy::cast_precision_loss)]
fn number(count: usize) -> f64 {
    count as f64
}
