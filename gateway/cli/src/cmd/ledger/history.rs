//! `plomb ledger history`.

use serde_json::Value;

use super::lines::{fits, told};
use crate::{
    args::HistoryArgs,
    exit::{BAD, Failure, NONE_FOUND, OK},
    party::{Hub, Logged, Party, Register, Signer, lines},
    show::{Out, Show, Tone, one_line, tell},
};

pub(super) fn history(args: &HistoryArgs, show: &Show) -> Result<u8, Failure> {
    let party = Party::open(&args.party)?;
    let mut hub = Hub::of(&party, &args.party)?;
    let mut register = if args.prove { Some(Register::fetch(&mut hub, &party)?) } else { None };
    let (query, mut from, mut unproved, mut count) = (query(args), args.from, 0_u64, 0_u64);
    let mut out = Out::new();
    loop {
        let (page, next) = lines::page(&mut hub, &query, from)?;
        for mut line in page {
            let proved = register.as_mut().map(|register| prove(&mut hub, &party, register, &line));
            count += 1;
            unproved += u64::from(matches!(proved, Some(Err(_))));
            if show.json {
                add(&mut line, proved.as_ref());
                out.json(&line)?;
            } else {
                out.line(in_words(&line, proved.as_ref(), show))?;
            }
        }
        match next {
            Some(next) => from = next,
            None => break,
        }
    }
    out.flush()?;
    if count == 0 {
        tell("Nothing on the ledger fits, or nothing that your scope lets you see.");
        return Ok(NONE_FOUND);
    }
    if register.is_none() && !show.json {
        tell("As the hub tells it; --prove checks every line.");
    }
    Ok(if unproved == 0 { OK } else { BAD })
}

fn query(args: &HistoryArgs) -> String {
    let names =
        [("gateway", &args.gateway), ("point", &args.point), ("author", &args.author), ("subject", &args.subject)];
    let mut query: Vec<String> =
        names.into_iter().filter_map(|(key, name)| Some(format!("{key}={}", name.as_ref()?))).collect();
    query.extend(args.version.map(|version| format!("version={version}")));
    query.extend(args.kind.as_ref().map(|kind| format!("kind={kind}")));
    query.join("&")
}

/// Fetches a line's transaction and checks everything that the line says of it.
fn prove(hub: &mut Hub, party: &Party, register: &mut Register, line: &Value) -> Result<(Logged, Signer), Failure> {
    let logged = Logged::get(hub, party, &lines::leaf(line)?.to_string())?;
    fits(line, &logged)?;
    let author = line.get("author").and_then(Value::as_str).and_then(|text| text.parse().ok());
    let author = author.ok_or_else(|| Failure::Unproved("the line names no author".into()))?;
    let signer = register.signer(hub, party, &logged, &author)?;
    if *signer.name() == author {
        Ok((logged, signer))
    } else {
        Err(Failure::Unproved(format!("it was signed by {}, not by {author}", signer.name())))
    }
}

fn add(line: &mut Value, proved: Option<&Result<(Logged, Signer), Failure>>) {
    let (Some(fields), Some(proved)) = (line.as_object_mut(), proved) else { return };
    fields.insert("proved".into(), proved.is_ok().into());
    match proved {
        Ok((logged, signer)) => {
            fields.insert("role".into(), signer.role().into());
            fields.insert("not_after".into(), crate::cmd::order::date(logged.dated_s).into());
        }
        Err(failure) => drop(fields.insert("fault".into(), failure.to_string().into())),
    }
}

fn in_words(line: &Value, proved: Option<&Result<(Logged, Signer), Failure>>, show: &Show) -> String {
    let line = told(line, show);
    match proved {
        None => line,
        Some(Ok(_)) => format!("{}  {line}", show.tone(Tone::Good, "proved")),
        Some(Err(failure)) => {
            let failure = one_line(&failure.to_string());
            format!("{}  {line}\n          {failure}", show.tone(Tone::Bad, "NOT PROVED"))
        }
    }
}
