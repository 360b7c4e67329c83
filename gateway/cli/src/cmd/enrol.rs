//! `plomb enrol`: this gateway is taken on by a hub. The steps are in [`plomb_gateway::enrolment`]; here they are shown
//! to the installer, and he is asked.

use std::{
    fs,
    io::{IsTerminal, stdin},
};

use plomb_gateway::{
    clock::unix_ms,
    enrolment::{EnrolError, Enrolment, Owner, Pending, Progress, TrustKept},
    https::{Https, HttpsError, Place},
    plain::one_line,
    view::rfc3339,
};
use plomb_seal::{
    Hash, Name,
    enrol::{Grant, Request, label, same_phrase, spaced},
    transaction::Issue,
};
use qrcode::{EcLevel, QrCode, render::unicode::Dense1x2};
use serde_json::json;

use super::{interruptible, runtime};
use crate::{
    args::EnrolArgs,
    exit::{Failure, OK},
    show::{Show, print, tell},
};

const SCHEMA: &str = "plomb.enrol/1";
/// The largest grant in a file, in bytes.
const GRANT_BYTES_MAX: u64 = 16 * 1024 * 1024;

pub(super) fn enrol(args: EnrolArgs, show: &Show) -> Result<u8, Failure> {
    let json = show.json;
    interruptible(move || {
        let owner = owner(&args)?;
        match (&args.out, &args.grant, args.rotate_key) {
            (Some(_), ..) => request(&args, owner, json),
            (_, Some(_), _) => grant(&args, owner, json),
            (.., true) => runtime()?.block_on(rotate(&args, owner, json)),
            _ => runtime()?.block_on(over_network(&args, owner, json)),
        }
    })
}

fn owner(args: &EnrolArgs) -> Result<Owner, Failure> {
    Owner::named(&args.owner).ok_or_else(|| {
        let what = format!("--owner: there is no user \"{}\" here; install the package, or name another", args.owner);
        Failure::Usage(what)
    })
}

fn name(args: &EnrolArgs) -> Result<Name, Failure> {
    let id = args.id.as_deref().ok_or_else(|| Failure::Usage("--id: which name is the gateway to have?".into()))?;
    id.parse().map_err(|error| Failure::Usage(format!("--id: {error}")))
}

/// Address and trust, as the command line has them.
fn hub(args: &EnrolArgs) -> Result<Option<(String, TrustKept)>, Failure> {
    let Some(url) = &args.hub else { return Ok(None) };
    let trust = match (&args.hub_pin, &args.ca) {
        (Some(pin), _) => TrustKept::Pin(pin.clone()),
        (None, Some(path)) => {
            TrustKept::Authorities(fs::read_to_string(path).map_err(|error| Failure::file(path, error))?)
        }
        (None, None) => {
            let what = "by what is the hub known? Give --hub-pin (`plomb-hub enrol pin` prints it) or --ca";
            return Err(Failure::Usage(what.into()));
        }
    };
    Ok(Some((url.clone(), trust)))
}

fn way((url, trust): &(String, TrustKept)) -> Result<Https, Failure> {
    let place = Place::parse(url).map_err(Failure::Usage)?;
    Https::new(place, trust.trust().map_err(Failure::Usage)?, None).map_err(Failure::Config)
}

fn begin(args: &EnrolArgs, hub: Option<(String, TrustKept)>, owner: Owner) -> Result<Enrolment, Failure> {
    if args.dir.join("client.crt").exists() {
        let what = format!(
            "{} has a certificate already. A gateway that is enrolled renews it by itself; for a new one under another \
             name, move the old files away",
            args.dir.display()
        );
        return Err(Failure::Usage(what));
    }
    Enrolment::begin(&args.dir, name(args)?, hub, owner, unix_ms().div_euclid(1000)).map_err(failure)
}

async fn over_network(args: &EnrolArgs, owner: Owner, json: bool) -> Result<u8, Failure> {
    let given = hub(args)?;
    let mut enrolment = match (Enrolment::resume(&args.dir).map_err(failure)?, given) {
        (Some(mut begun), given) => {
            let kept = begun.pending();
            let other = given.filter(|given| kept.hub.as_ref() != Some(given));
            // Whoever mistyped pin or address has told nobody anything yet.
            let is_open = !kept.revealed && kept.hub.is_some();
            let renamed = args.id.is_some() && begun.gateway().map_err(failure)? != name(args)?;
            if renamed || (other.is_some() && !is_open) {
                let file = args.dir.join("enrolment.json");
                let what = format!("another enrolment is under way; remove {} to begin anew", file.display());
                return Err(Failure::Usage(what));
            }
            if let Some(other) = other {
                way(&other)?;
                begun.turn_to(other, &args.dir).map_err(failure)?;
            }
            begun
        }
        (None, Some(given)) => {
            // An address or pin that can't be one is told before anything is made.
            way(&given)?;
            begin(args, Some(given), owner)?
        }
        (None, None) => {
            let what = "nothing is under way here: give --hub, --hub-pin or --ca, and --id; or --out for a file";
            return Err(Failure::Usage(what.into()));
        }
    };
    let Some(hub) = enrolment.pending().hub.clone() else {
        let what = "a request was written to a file: give --grant with the operator's answer";
        return Err(Failure::Usage(what.into()));
    };
    let https = way(&hub)?;
    let done = steps(args, &mut enrolment, &https, (owner, json)).await;
    if let Err(EnrolError::Ended { .. } | EnrolError::Https(HttpsError::Refused { status: 404, .. })) = &done {
        // It is over; the next call begins anew, with the same key.
        Pending::forget(&args.dir).map_err(|error| failure(EnrolError::File(error)))?;
    }
    match done.map_err(failure)? {
        Some(issue) => enrolled(args, &issue, Some(&hub.0), json),
        None => Ok(OK),
    }
}

/// Until the certificate is there; `None` if it is not waited for.
async fn steps(
    args: &EnrolArgs,
    enrolment: &mut Enrolment,
    hub: &Https,
    (owner, json): (Owner, bool),
) -> Result<Option<Issue>, EnrolError> {
    let transcript = enrolment.open(hub, &args.dir).await?;
    let shown = |failure: Failure| EnrolError::File(failure.to_string());
    present(args, enrolment, &transcript.claim_code(), json).map_err(shown)?;
    let mut progress = enrolment.progress(hub, None).await?;
    if args.no_wait && progress == Progress::Open {
        return Ok(None);
    }
    while progress == Progress::Open {
        progress = enrolment.progress(hub, Some(&progress)).await?;
    }
    if progress == Progress::Approved {
        let Some(agreed) = ask(args, &transcript.phrase(), json).map_err(shown)? else {
            return Ok(None);
        };
        progress = enrolment.confirm(hub, agreed).await?;
    }
    if progress != Progress::Granted {
        return Err(EnrolError::Hub("the hub took the word, and has no certificate: try again".into()));
    }
    enrolment.fetch(hub, &args.dir, owner).await.map(Some)
}

/// Shows what the operator needs.
fn present(args: &EnrolArgs, enrolment: &Enrolment, claim: &str, json: bool) -> Result<(), Failure> {
    let (gateway, key) = (enrolment.gateway().map_err(failure)?, enrolment.key().public());
    let (fingerprint, line) = (Hash::of(&key.to_bytes()), label(&gateway, &key, claim));
    if json {
        return print(json!({
            "schema": SCHEMA, "step": "open", "gateway": gateway.as_str(), "fingerprint": fingerprint.to_string(),
            "claim": spaced(claim), "label": line,
        }));
    }
    if !args.no_qr {
        print(qr(&line)?)?;
    }
    let by_file = if args.out.is_some() { "--file request.cbor --out grant.cbor " } else { "" };
    print(format_args!(
        "Gateway      {gateway}\nFingerprint  {fingerprint}\nClaim code   {}\n\nTell the code to the hub's operator, or \
         let him scan it: `plomb-hub enrol approve --config hub.toml {gateway} {by_file}--claim {}`",
        spaced(claim),
        spaced(claim)
    ))
}

/// Two rows of modules in a line of text; light ones are drawn, as terminals are dark.
fn qr(line: &str) -> Result<String, Failure> {
    let code = QrCode::with_error_correction_level(line, EcLevel::L);
    let code = code.map_err(|error| Failure::Usage(format!("the QR code: {error}")))?;
    Ok(code.render::<Dense1x2>().dark_color(Dense1x2::Light).light_color(Dense1x2::Dark).build())
}

/// Whether the phrases agree; `None` if nobody can be asked.
fn ask(args: &EnrolArgs, phrase: &str, json: bool) -> Result<Option<bool>, Failure> {
    if json {
        print(json!({ "schema": SCHEMA, "step": "approved", "phrase": phrase }))?;
    } else {
        print(format_args!("\nThe operator has approved. The words on this side are:\n\n    {phrase}\n"))?;
    }
    if let Some(words) = &args.accept {
        return Ok(Some(same_phrase(words, phrase)));
    }
    if !stdin().is_terminal() {
        tell("Compare the words with the operator's; then: plomb enrol --accept \"WORDS\"");
        return Ok(None);
    }
    loop {
        tell("Does the operator read the same words? Ask him; do not tell him yours. [yes/no]");
        let mut line = String::new();
        let read = stdin().read_line(&mut line).map_err(|error| Failure::io("standard input", error))?;
        match line.trim().to_ascii_lowercase().as_str() {
            _ if read == 0 => return Ok(None),
            "yes" | "y" => return Ok(Some(true)),
            "no" | "n" => return Ok(Some(false)),
            _ => {}
        }
    }
}

fn enrolled(args: &EnrolArgs, issue: &Issue, hub: Option<&str>, json: bool) -> Result<u8, Failure> {
    let until = rfc3339(issue.not_after_s.saturating_mul(1000));
    if json {
        print(json!({
            "schema": SCHEMA, "step": "enrolled", "gateway": issue.subject.as_str(), "until": until,
            "fingerprint": Hash::of(&issue.key.to_bytes()).to_string(), "certificate": issue.fingerprint().to_string(),
            "dir": args.dir,
        }))?;
        return Ok(OK);
    }
    let absolute = fs::canonicalize(&args.dir).unwrap_or_else(|_| args.dir.clone());
    let dir = absolute.display();
    let host =
        hub.and_then(|hub| Place::parse(hub).ok()).map_or("hub.example".into(), |place| place.host().to_string());
    let host = one_line(&host);
    let address = format!("    address = \"{host}:8883\"     # the hub's broker: `listen` in its hub.toml\n");
    let https = match hub {
        Some(hub) => format!("    https = \"{}\"     # renews the certificate\n", one_line(hub)),
        None => {
            "    # https = \"https://hub.example:8443\"     # [http] in its hub.toml: renews the certificate\n".into()
        }
    };
    print(format_args!(
        "{} is taken on until {until}.\nFiles: {dir}/client.key, client.crt, ca.crt, credential.cbor, policy.txt\n\n\
         In plombd.toml:\n    [gateway]\n    id = \"{}\"\n    key = \"{dir}/client.key\"\n    certificate = \
         \"{dir}/client.crt\"\n    credential = \"{dir}/credential.cbor\"\n    [hub]\n{address}    ca = \"{dir}/ca.crt\"\n{https}",
        issue.subject, issue.subject
    ))?;
    Ok(OK)
}

/// A request as a file.
fn request(args: &EnrolArgs, owner: Owner, json: bool) -> Result<u8, Failure> {
    let Some(out) = &args.out else { return Err(Failure::Usage("--out: which file?".into())) };
    let enrolment = match Enrolment::resume(&args.dir).map_err(failure)? {
        // The same request again: the file may have got lost.
        Some(begun) if begun.pending().hub.is_none() && begun.gateway().map_err(failure)? == name(args)? => begun,
        Some(_) => {
            let file = args.dir.join("enrolment.json");
            let what = format!("another enrolment is under way; remove {} to begin anew", file.display());
            return Err(Failure::Usage(what));
        }
        None => begin(args, None, owner)?,
    };
    let bytes = &enrolment.pending().request;
    fs::write(out, bytes).map_err(|error| Failure::file(out, error))?;
    present(args, &enrolment, &Request::claim_code(bytes), json)?;
    if !json {
        tell(format_args!("Bring {} to the operator; his answer goes to `plomb enrol --grant FILE`.", out.display()));
    }
    Ok(OK)
}

/// The operator's answer as a file.
fn grant(args: &EnrolArgs, owner: Owner, json: bool) -> Result<u8, Failure> {
    let Some(path) = &args.grant else { return Err(Failure::Usage("--grant: which file?".into())) };
    let Some(enrolment) = Enrolment::resume(&args.dir).map_err(failure)? else {
        return Err(Failure::Usage("nothing is under way here: begin with `plomb enrol --id NAME --out FILE`".into()));
    };
    let length = fs::metadata(path).map_err(|error| Failure::file(path, error))?.len();
    if length > GRANT_BYTES_MAX {
        return Err(Failure::Config(format!("{}: more than {GRANT_BYTES_MAX} bytes", path.display())));
    }
    let bytes = fs::read(path).map_err(|error| Failure::file(path, error))?;
    match ask(args, &Grant::phrase(&bytes), json)? {
        Some(true) => {
            let issue = enrolment.take(&bytes, &args.dir, owner).map_err(failure)?;
            enrolled(args, &issue, None, json)
        }
        Some(false) => Err(Failure::NotEnrolled {
            rule: "enrolment-phrase".into(),
            detail: "the words differ: this grant is not what the operator made. Nothing was changed here; let him \
                     revoke the certificate"
                .into(),
        }),
        None => Ok(OK),
    }
}

/// A new key, with the signatures of both.
async fn rotate(args: &EnrolArgs, owner: Owner, json: bool) -> Result<u8, Failure> {
    let given = hub(args)?.ok_or_else(|| Failure::Usage("--hub: which hub?".into()))?;
    let place = Place::parse(&given.0).map_err(Failure::Usage)?;
    let trust = given.1.trust().map_err(Failure::Usage)?;
    let time_s = unix_ms().div_euclid(1000);
    let issue = plomb_gateway::renewal::rotate(&args.dir, (place, trust), owner, time_s).await.map_err(failure)?;
    enrolled(args, &issue, Some(&given.0), json)?;
    if !json {
        tell("Restart plombd now: its journal goes on in a new epoch, signed by the new key.");
    }
    Ok(OK)
}

fn failure(error: EnrolError) -> Failure {
    match error {
        EnrolError::File(what) => Failure::Config(what),
        EnrolError::Https(HttpsError::Refused { rule, detail, .. }) => {
            Failure::NotEnrolled { rule, detail: format!("the hub refuses: {detail}") }
        }
        EnrolError::Https(HttpsError::Untrusted { .. }) | EnrolError::Hub(_) => {
            Failure::NotEnrolled { rule: "enrolment-hub".into(), detail: error.to_string() }
        }
        EnrolError::Https(error) => Failure::Unavailable(error.to_string()),
        EnrolError::Ended { rule, reason } => Failure::NotEnrolled { rule, detail: reason },
    }
}
