//! DLMS meters without any configuration: `plomb read dlms` and `plomb operate`.

use plomb_dlms::{
    apdu::{ActionResult, AttributeDescriptor, DataAccessResult, MethodDescriptor},
    axdr::{DateTime, Value as Cosem},
    client::{Answer as Told, Request},
    object::class,
    security::SystemTitle,
};
use plomb_gateway::{
    ask::{Answer, Knowledge, ask_once, dlms::DlmsMeter, port::Port},
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
    let control = args.object.parse::<Obis>().map_err(|error| Failure::Usage(error.to_string()))?;
    // What is operated is no register; the configuration wants one all the same.
    let meter = Meter { registers: vec![CLOCK.to_string()], ..meter };
    let mut dlms = DlmsMeter::new(&meter, &bus, &knowledge).map_err(Failure::Config)?;
    let argument = Some(Cosem::Integer(0));
    let request = match args.what {
        Operation::Disconnect => {
            Request::Action(MethodDescriptor::new(class::DISCONNECT_CONTROL, control, 1), argument)
        }
        Operation::Reconnect => Request::Action(MethodDescriptor::new(class::DISCONNECT_CONTROL, control, 2), argument),
        Operation::SetClock => set_clock()?,
    };
    let state = Request::Get(AttributeDescriptor::new(class::DISCONNECT_CONTROL, control, 2), None);
    let (done, connected) = runtime()?.block_on(async {
        let mut port = Port::new(&bus, None);
        let done = dlms.ask_for(&mut port, request).await.map_err(failure)?;
        let connected = match args.what {
            Operation::SetClock => None,
            _ => dlms.ask_for(&mut port, state).await.ok(),
        };
        Ok::<_, Failure>((done, connected))
    })?;
    let refused = match done {
        Told::Action(ActionResult::SUCCESS, _) | Told::Set(DataAccessResult::SUCCESS) => None,
        Told::Action(result, _) => Some(result.to_string()),
        Told::Set(result) => Some(result.to_string()),
        _ => Some("the meter does not serve this".into()),
    };
    if let Some(refused) = refused {
        return Err(Failure::Unavailable(format!("the meter did not do it: {refused}")));
    }
    let connected = connected.and_then(|told| match told {
        Told::Values(values) => values.into_iter().next()?.ok()?.as_unsigned().map(|on| on != 0),
        _ => None,
    });
    let what = clap::ValueEnum::to_possible_value(&args.what).map(|value| value.get_name().to_string());
    if show.json {
        print(json!({ "schema": OPERATE_SCHEMA, "ok": true, "did": what, "connected": connected }))?;
    } else {
        let state = match connected {
            Some(true) => "; the premises are connected",
            Some(false) => "; the premises are disconnected",
            None => "",
        };
        println!("done: {}{state}", what.unwrap_or_default());
    }
    Ok(OK)
}

fn set_clock() -> Result<Request, Failure> {
    let now_s = unix_ms().div_euclid(1000);
    let time = DateTime::from_unix_s(now_s, 0).ok_or_else(|| Failure::Config("this computer's clock is off".into()))?;
    let time = Cosem::OctetString(time.to_bytes().to_vec());
    Ok(Request::Set(AttributeDescriptor::new(class::CLOCK, CLOCK, 2), time))
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
        reply_timeout_ms: args.timeout_ms,
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
