//! DLMS meters without any configuration: `plomb read dlms` and `plomb operate`.

use std::{fs::File, io::Read};

use plomb_dlms::security::SystemTitle;
use plomb_gateway::{
    ask::{
        Answer, Knowledge, ask_once,
        deed::{self, Effect, Instruction},
        dlms::DlmsMeter,
        port::Port,
    },
    clock::unix_ms,
    config::{self, Authentication, Bus, Framing, Meter, Parity, Protocol},
    secrets::Secrets,
    view,
};
use plomb_seal::Reason;
use plomb_session::Obis;
use serde_json::{Value, json};

use super::runtime;
use crate::{
    args::{self, Auth, DlmsMeterArgs, OperateArgs, Operation, ReadDlmsArgs},
    exit::{Failure, OK},
    show::{Show, print},
};

/// The schema of what `operate` answers.
const OPERATE_SCHEMA: &str = "plomb.operate/1";
/// How long somebody waits for an answer who sits in front of it.
const REPLY_TIMEOUT_MS: u32 = 6000;
/// The clock of nearly every meter.
const CLOCK: Obis = Obis([0, 0, 1, 0, 0, 255]);

/// Reads a meter over a line that nobody else uses.
pub(super) fn read(args: &ReadDlmsArgs) -> Result<Value, Failure> {
    let (bus, meter, knowledge) = known(&args.meter)?;
    let days = args.since.as_secs().div_ceil(86_400);
    let meter = Meter {
        registers: args.obis.clone(),
        load_profile: args.load_profile.clone(),
        backlog_days: u32::try_from(days).ok(),
        ..meter
    };
    let Answer { record, frames, mut earlier, .. } =
        runtime()?.block_on(ask_once(&meter, &bus, &knowledge)).map_err(failure)?;
    let since_ms = unix_ms().saturating_sub(i64::try_from(args.since.as_millis()).unwrap_or(i64::MAX));
    let since = plomb_gateway::status::rfc3339(since_ms);
    for rows in &mut earlier {
        // Whole days were fetched; the meter's own zone decides within the last.
        rows.readings.retain(|reading| reading.time.as_ref().is_none_or(|time| *time >= since || time.len() < 20));
    }
    let mut document = view::record_fields(&record);
    if let Some(fields) = document.as_object_mut() {
        fields.insert("schema".into(), super::read::SCHEMA.into());
        fields.insert("point".into(), Value::Null);
        if args.load_profile.is_some() {
            let rows = earlier.iter().flat_map(|rows| match view::record_fields(rows).get_mut("records") {
                Some(Value::Array(readings)) => std::mem::take(readings),
                _ => Vec::new(),
            });
            fields.insert("load_profile".into(), rows.collect());
        }
        if args.raw {
            fields.insert("frames".into(), frames.iter().map(hex::encode).collect());
        }
    }
    Ok(document)
}

/// Has a meter do something, now.
pub(super) fn operate(args: &OperateArgs, show: &Show) -> Result<u8, Failure> {
    let (bus, meter, knowledge) = known(&args.meter)?;
    let instruction = instruction(args)?;
    let meter = Meter {
        // What is operated is no register; the configuration wants one all the same.
        registers: vec![CLOCK.to_string()],
        disconnect_object: args.object.clone(),
        token_object: args.object.clone(),
        calendar_object: args.object.clone(),
        ..meter
    };
    let mut dlms = DlmsMeter::new(&meter, &bus, &knowledge).map_err(Failure::Config)?;
    let mut port = Port::new(&bus, None);
    let done = runtime()?.block_on(dlms.carry_out(&mut port, &instruction));
    let Effect { detail, connected } = done.map_err(|undone| match undone.rule {
        deed::KEY => Failure::Key(undone.detail),
        _ => Failure::Unavailable(undone.to_string()),
    })?;
    let what = clap::ValueEnum::to_possible_value(&args.what).map(|value| value.get_name().to_string());
    if show.json {
        let schema = OPERATE_SCHEMA;
        print(json!({ "schema": schema, "ok": true, "did": what, "detail": detail, "connected": connected }))?;
    } else {
        println!("done: {}; {detail}", what.unwrap_or_default());
    }
    Ok(OK)
}

fn instruction(args: &OperateArgs) -> Result<Instruction, Failure> {
    let verb = match args.what {
        Operation::Disconnect => "disconnect",
        Operation::Reconnect => "reconnect",
        Operation::SetClock => "sync-clock",
        Operation::Credit => "credit",
        Operation::SetTariff => "set-tariff",
    };
    let content = match &args.file {
        None => Vec::new(),
        Some(path) => {
            let mut content = Vec::new();
            let wrong = |error| Failure::Usage(format!("{}: {error}", path.display()));
            let file = File::open(path).map_err(wrong)?;
            file.take(deed::CONTENT_BYTES_MAX as u64 + 1).read_to_end(&mut content).map_err(wrong)?;
            content
        }
    };
    // A token's file ends with a line's end; a token has none.
    let content = if args.what == Operation::Credit { content.trim_ascii() } else { &content };
    Instruction::parse(verb, content).map_err(Failure::Usage)
}

/// What the arguments say of a meter.
fn known(args: &DlmsMeterArgs) -> Result<(Bus, Meter, Knowledge), Failure> {
    let bus = Bus {
        port: args.port.clone(),
        baud: args.baud,
        parity: match args.parity {
            args::Parity::Even => Parity::Even,
            args::Parity::None => Parity::None,
            args::Parity::Odd => Parity::Odd,
        },
        reply_timeout_ms: Some(args.timeout_ms.unwrap_or(REPLY_TIMEOUT_MS)),
        mode_e: args.mode_e,
        framing: args.framing.map(|framing| match framing {
            args::Framing::Hdlc => Framing::Hdlc,
            args::Framing::Wrapper => Framing::Wrapper,
        }),
        ..Bus::new("line", Protocol::Dlms)
    };
    let meter = Meter {
        client: args.client,
        server: Some(args.server),
        physical: args.physical,
        suite: args.suite,
        authentication: match args.auth {
            Auth::None => Authentication::None,
            Auth::Lls => Authentication::Lls,
            Auth::HlsMd5 => Authentication::Md5,
            Auth::HlsSha1 => Authentication::Sha1,
            Auth::HlsGmac => Authentication::Gmac,
            Auth::HlsSha256 => Authentication::Sha256,
            Auth::HlsEcdsa => Authentication::Ecdsa,
        },
        counter_object: args.counter_object.clone(),
        ..Meter::new(&args.name, &bus.name)
    };
    if args.secrets.is_none() && args.auth != Auth::None {
        let what = format!("--auth needs --secrets FILE, with lines `{} password …` or `{0} encryption …`", args.name);
        return Err(Failure::Usage(what));
    }
    let secrets = match &args.secrets {
        Some(path) => Secrets::load(path).map_err(Failure::Config)?,
        None => Secrets::default(),
    };
    let title = match &args.title {
        Some(text) => SystemTitle(config::title(text).map_err(Failure::Usage)?),
        None => config::default_title("plomb"),
    };
    Ok((bus, meter, Knowledge { secrets: secrets.into(), title, ..Knowledge::none() }))
}

/// Why a meter was not read, with its exit code.
pub(super) fn failure((reason, detail): (Reason, String)) -> Failure {
    match reason {
        Reason::Key => Failure::Key(detail),
        Reason::NotAsked => Failure::Config(detail),
        _ => Failure::Unavailable(detail),
    }
}
