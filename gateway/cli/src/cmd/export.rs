//! `plomb export`: entries with their proofs, in a file.

use std::{
    fs::{self, File},
    io::{self, IsTerminal, Read, Seek, Write},
    path::{Path, PathBuf},
};

use plomb_gateway::{
    clock::unix_ms,
    config::Config,
    control::{Answer, Refusal, Request, unknown_point},
    export::{self, ExportError},
    journal::{Journal, JournalError, Reader},
    status::Snapshot,
};
use plomb_seal::{
    Credential,
    cbor::Decoder,
    export::{Item, Scope},
};
use serde_json::json;
use sha2::{Digest, Sha256};

use crate::{
    args::ExportArgs,
    ask::{self, Place, Unanswered},
    exit::{Failure, OK},
    show::{Out, Show, count, moment, print, size, tell, tell_part},
};

/// How much is copied at once, in bytes.
const COPY_BYTES: usize = 64 * 1024;
/// After so many bytes the progress is shown again.
const PROGRESS_BYTES: u64 = 1024 * 1024;
/// The largest export whose receipts are counted afterwards, in bytes: it is read as a whole for that.
const COUNTED_BYTES_MAX: u64 = 256 * 1024 * 1024;
const SCHEMA: &str = "plomb.export/1";

pub(super) fn export(args: &ExportArgs, show: &Show) -> Result<u8, Failure> {
    if is_stdout(&args.output) && io::stdout().is_terminal() {
        return Err(Failure::Usage("an export is not for a terminal: name a file with -o".into()));
    }
    let place = Place::find(&args.daemon)?;
    let request = request(args, &place, show)?;
    let mut target = Target::create(&args.output)?;
    let source = match place.ask(&request) {
        Ok(mut answer) => {
            copy(&mut answer, &mut target).map_err(|error| Failure::io("the export", error))?;
            "daemon"
        }
        Err(Unanswered::Down(error)) => {
            let Some(config) = &place.config else { return Err(place.down(&error)) };
            from_journal(config, &request, &mut target)?;
            "journal"
        }
        Err(other) => return Err(place.failure(other)),
    };
    let (bytes, digest) = target.finish()?;
    if is_stdout(&args.output) {
        return Ok(OK);
    }
    let unreceipted = if bytes <= COUNTED_BYTES_MAX { fs::read(&args.output).ok() } else { None };
    let unreceipted = unreceipted.map(|bytes| unreceipted_entries(&bytes));
    if show.json {
        print(json!({
            "schema": SCHEMA, "file": args.output, "bytes": bytes, "sha256": digest, "source": source,
            "unreceipted": unreceipted,
        }))?;
        return Ok(OK);
    }
    let file = args.output.display();
    print(format!("{file}: {} from the {source}. To check it: plomb verify {file}", size(bytes)))?;
    if let Some(waiting @ 1..) = unreceipted {
        let (entries, have) = (count(waiting, "entry", "entries"), if waiting == 1 { "has" } else { "have" });
        tell(format_args!(
            "plomb: {entries} in it {have} no receipt of the ledger yet, so verify will say \"incomplete\"; \
             leave them out with --receipted, or export again later"
        ));
    }
    Ok(OK)
}

/// How many entries of an export have no receipt.
fn unreceipted_entries(bytes: &[u8]) -> u64 {
    let mut from = Decoder::new(bytes);
    let mut found = 0;
    while let Ok(item) = Item::decode(&mut from) {
        found += match item {
            Item::Whole(part, entries) if part.proof.is_none() => entries.len(),
            Item::Parts(part, entries) if part.proof.is_none() => entries.len(),
            Item::Tail(entries, _) => entries.len(),
            Item::End { .. } => break,
            _ => 0,
        };
    }
    found as u64
}

fn is_stdout(path: &Path) -> bool {
    path.to_str() == Some("-")
}

fn request(args: &ExportArgs, place: &Place, show: &Show) -> Result<Request, Failure> {
    let now_ms = unix_ms();
    let time = |text: &Option<String>| {
        text.as_deref().map(|text| moment(text, now_ms, show.zone)).transpose().map_err(Failure::Usage)
    };
    let (since_ms, until_ms) = (time(&args.since)?, time(&args.until)?);
    if since_ms.zip(until_ms).is_some_and(|(since, until)| since >= until) {
        return Err(Failure::Usage("--since is not before --until: nothing is between them".into()));
    }
    let entry = match args.entry {
        None => None,
        Some((Some(epoch), seq)) => Some((epoch, seq)),
        Some((None, seq)) => Some((present_epoch(place)?, seq)),
    };
    let request = Request::Export {
        point: args.point.clone(),
        entry,
        since_ms,
        until_ms,
        receipted_only: args.receipted,
        frames: !args.no_frames,
    };
    request.selection().map_err(Failure::Usage)?;
    Ok(request)
}

fn present_epoch(place: &Place) -> Result<u32, Failure> {
    match place.ask(&Request::Status {}) {
        Ok(mut answer) => {
            let text = ask::line(&mut answer).map_err(|error| Failure::file(&place.socket, error))?;
            let snapshot: Result<Snapshot, _> = serde_json::from_str(&text);
            snapshot.map(|snapshot| snapshot.journal.epoch).map_err(|error| Failure::Unavailable(error.to_string()))
        }
        Err(Unanswered::Down(error)) => match &place.config {
            Some(config) => Ok(open(config)?
                .snapshot()
                .and_then(|snapshot| snapshot.head())
                .map_err(|error| of_journal(&error))?
                .epoch),
            None => Err(place.down(&error)),
        },
        Err(other) => Err(place.failure(other)),
    }
}

/// Exports from the journal's file; the daemon must not run.
pub(super) fn from_journal(
    config: &Config,
    request: &Request,
    out: &mut impl Write,
) -> Result<export::Summary, Failure> {
    let selection = request.selection().map_err(Failure::Usage)?;
    let path = config.gateway.credential.as_ref().ok_or_else(|| {
        Failure::Config("[gateway] credential is not set: without it an export proves nothing".into())
    })?;
    let bytes = fs::read(path).map_err(|error| Failure::file(path, error))?;
    let path = &plomb_gateway::renewal::credential_file(path, &config.gateway.state_dir);
    let credential =
        Credential::parse(&bytes).map_err(|error| Failure::Config(format!("{}: {error}", path.display())))?;
    let reader = open(config)?;
    export::write(&reader, &credential, &selection, out).map_err(|error| match error {
        ExportError::Write(error) => Failure::io("the export", error),
        ExportError::Journal(error) => of_journal(&error),
        ExportError::Nothing => nothing(config, &selection.scope),
        other => Failure::Unavailable(other.to_string()),
    })
}

/// Why there is nothing to export: a point that nobody knows, or a range in which nothing is.
fn nothing(config: &Config, scope: &Scope) -> Failure {
    match scope {
        Scope::Point(point) if config.meter.iter().all(|meter| meter.point != point.as_str()) => {
            Failure::Usage(unknown_point(point.as_str()))
        }
        _ => Failure::Unavailable(ExportError::Nothing.to_string()),
    }
}

/// Opens the journal's file for reading only.
pub(super) fn open(config: &Config) -> Result<Reader, Failure> {
    let path = config.journal_path();
    // Asked first, because a missing file is the commonest trouble and has a plain answer.
    match File::open(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(Failure::Unavailable(format!(
            "plombd does not run, and there is no journal at {}: nothing was recorded yet",
            path.display()
        ))),
        Err(error) => Err(Failure::file(&path, error)),
        Ok(_) => Journal::open_read_only(&path).map_err(|error| of_journal(&error)),
    }
}

fn of_journal(error: &JournalError) -> Failure {
    Failure::Unavailable(error.to_string())
}

/// Where an export goes: a file that appears whole or not at all, or standard output.
///
/// Standard output may be a pipe whose reader takes its time, and the journal's file is held while an export is
/// made of it: plombd could not start meanwhile. So it goes to a nameless file first, and from there to whoever
/// reads. What breaks off never comes out at all.
struct Target {
    out: TargetOut,
    ending: Ending,
    progress: Option<u64>,
    written: u64,
}

enum TargetOut {
    Stdout(File),
    File { file: File, partial: Partial, path: PathBuf },
}

/// A file that is removed unless it was renamed.
struct Partial(PathBuf);

impl Drop for Partial {
    fn drop(&mut self) {
        let _renamed_or_removed = fs::remove_file(&self.0);
    }
}

impl Target {
    fn create(path: &Path) -> Result<Self, Failure> {
        let progress = io::stderr().is_terminal().then_some(0);
        let out = if is_stdout(path) {
            let spool = tempfile::tempfile().map_err(|error| Failure::io(spool_name(), error))?;
            TargetOut::Stdout(spool)
        } else {
            let mut partial = path.as_os_str().to_owned();
            partial.push(format!(".part-{}", std::process::id()));
            let partial = PathBuf::from(partial);
            let file = File::create(&partial).map_err(|error| Failure::file(path, error))?;
            TargetOut::File { file, partial: Partial(partial), path: path.into() }
        };
        Ok(Self { out, ending: Ending::default(), progress, written: 0 })
    }

    /// Completes the file; gives its size and SHA-256.
    fn finish(self) -> Result<(u64, String), Failure> {
        if self.progress.is_some_and(|shown| shown > 0) {
            tell("");
        }
        if !self.ending.complete() {
            let broken = "the export broke off before its end: the daemon stopped, or met an error (see its log)";
            let (kind, why) = self.ending.refusal().unwrap_or((Refusal::Unavailable, broken.into()));
            return Err(ask::refused(kind, why));
        }
        match self.out {
            TargetOut::Stdout(mut spool) => {
                spool.rewind().map_err(|error| Failure::io(spool_name(), error))?;
                let mut out = Out::new();
                in_pieces(&mut spool, |piece| out.bytes(piece), |error| Failure::io(spool_name(), error))?;
                out.flush()?;
            }
            TargetOut::File { file, partial, path } => {
                file.sync_all().map_err(|error| Failure::file(&path, error))?;
                fs::rename(&partial.0, &path).map_err(|error| Failure::file(&path, error))?;
            }
        }
        Ok((self.written, hex::encode(self.ending.digest())))
    }
}

impl Write for Target {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.out {
            TargetOut::Stdout(file) | TargetOut::File { file, .. } => file.write_all(bytes)?,
        }
        self.ending.take(bytes);
        self.written += bytes.len() as u64;
        if let Some(shown) = &mut self.progress
            && self.written >= *shown + PROGRESS_BYTES
        {
            *shown = self.written;
            tell_part(format_args!("\r{}", size(self.written)));
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The longest last item of an export: `[5, items, digest]`.
const END_BYTES_MAX: usize = 45;
/// The shortest.
const END_BYTES_MIN: usize = 37;
/// How much of a stream's end is kept: the last item, or the daemon's refusal in its place.
const KEPT_BYTES_MAX: usize = 4096;

/// Watches for the last item, which holds the digest of all before: a stream that broke off has none.
#[derive(Default)]
struct Ending {
    /// Over all bytes but the kept ones.
    before: Sha256,
    kept: Vec<u8>,
}

impl Ending {
    fn take(&mut self, bytes: &[u8]) {
        self.kept.extend_from_slice(bytes);
        let settled = self.kept.len().saturating_sub(KEPT_BYTES_MAX);
        self.before.update(self.kept.get(..settled).unwrap_or_default());
        self.kept.drain(..settled);
    }

    fn complete(&self) -> bool {
        (END_BYTES_MIN..=self.kept.len().min(END_BYTES_MAX)).any(|length| {
            let (before, end) = self.kept.split_at(self.kept.len() - length);
            let digest = self.before.clone().chain_update(before).finalize();
            end.starts_with(&[0x83, 0x05]) && end.ends_with(&digest)
        })
    }

    /// Why the daemon went no further: an answer that says no, behind whatever was sent before.
    fn refusal(&self) -> Option<(Refusal, String)> {
        const BEGIN: &[u8] = b"{\"ok\":false";
        const OTHER: &[u8] = b"{\"error\":";
        let begins = |rest: &[u8]| rest.starts_with(BEGIN) || rest.starts_with(OTHER);
        let from = (0..self.kept.len()).rev().find(|from| self.kept.get(*from..).is_some_and(begins))?;
        let answer: Answer = serde_json::from_slice(self.kept.get(from..)?).ok()?;
        answer.error.filter(|_| !answer.ok).map(|why| (answer.kind.unwrap_or(Refusal::Unavailable), why))
    }

    fn digest(&self) -> Vec<u8> {
        self.before.clone().chain_update(&self.kept).finalize().to_vec()
    }
}

/// The place that a spool that can't be written is told by.
fn spool_name() -> String {
    format!(
        "{} (an export to standard output is kept there first; TMPDIR names another place)",
        std::env::temp_dir().display()
    )
}

fn copy(from: &mut impl Read, to: &mut impl Write) -> io::Result<()> {
    in_pieces(from, |piece| to.write_all(piece), |error| error)
}

fn in_pieces<E>(
    from: &mut impl Read,
    mut take: impl FnMut(&[u8]) -> Result<(), E>,
    failed: impl Fn(io::Error) -> E,
) -> Result<(), E> {
    let mut buffer = vec![0; COPY_BYTES];
    loop {
        match from.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(read) => take(buffer.get(..read).unwrap_or_default())?,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(failed(error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_without_a_receipt_are_counted() {
        assert_eq!(unreceipted_entries(include_bytes!("../../../../docs/vectors/proved.plomb")), 0);
        let waiting = include_bytes!("../../../../docs/vectors/incomplete-unanchored.plomb");
        assert!(unreceipted_entries(waiting) > 0);
    }

    #[test]
    fn only_a_whole_export_has_its_end() {
        let whole = include_bytes!("../../../../docs/vectors/proved.plomb");
        for pieces in [1, 7, 1000, whole.len()] {
            let mut ending = Ending::default();
            whole.chunks(pieces).for_each(|piece| ending.take(piece));
            assert!(ending.complete());
            assert_eq!(ending.digest(), Sha256::digest(whole).to_vec());
        }
        for cut in [0, 1, 36, 37, whole.len() - 1] {
            let mut ending = Ending::default();
            ending.take(&whole[..cut]);
            assert!(!ending.complete(), "{cut}");
        }
        let mut ending = Ending::default();
        ending.take(whole);
        assert_eq!(ending.refusal(), None);
        ending.take(b"{\"error\":\"no such entry\",\"ok\":false}\n");
        assert!(!ending.complete());
        assert_eq!(ending.refusal(), Some((Refusal::Unavailable, "no such entry".into())));
    }
}
