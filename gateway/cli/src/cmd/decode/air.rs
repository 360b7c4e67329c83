//! Radio telegrams, and encrypted ones of a wire.

use std::{collections::HashMap, path::Path};

use plomb_gateway::{
    keys::Keys,
    models,
    normalise::wmbus::{Aids, NormaliseError, own_ci, record},
};
use plomb_mbus::{Annotation, Frame, MeterId, SecondaryAddress};
use plomb_profiles::{Library, Memory};
use plomb_wmbus::{
    Bearer, Content, Format, FragmentError, Link as Sender, LinkFrame, MeterState, OpenError, OpenOptions, Opener,
    Protection, Reassembly, Security as Expected, Telegram, TelegramError, Upper,
};

use crate::{args::Protocol, exit::Failure};

use super::told::{Link, Security, Told, Wrong};

/// The most meters whose formats and fragments are remembered in one call.
const METERS_MAX: usize = 4096;

/// What is kept between telegrams.
pub(super) struct Ear {
    keys: Keys,
    library: Library,
    memory: Memory,
    opener: Opener,
    link: Vec<u8>,
    meters: HashMap<MeterId, Kept>,
}

/// What is kept of one meter. No message counters: here a telegram may come twice.
struct Kept {
    state: MeterState,
    reassembly: Reassembly,
}

impl Ear {
    pub(super) fn new(keys: Keys, profiles: Option<&Path>, accept_decrypted_samples: bool) -> Result<Self, Failure> {
        let library = models::library(profiles).map_err(Failure::Config)?;
        Ok(Self {
            keys,
            library,
            memory: Memory::default(),
            opener: Opener::with_options(OpenOptions { accept_decrypted_samples }),
            link: Vec::new(),
            meters: HashMap::new(),
        })
    }

    /// What a radio frame says.
    pub(super) fn tell(&mut self, bytes: &[u8]) -> Told {
        let mut link = std::mem::take(&mut self.link);
        let told = match Telegram::parse(bytes, &mut link) {
            Ok(telegram) => self.open(&telegram, bytes),
            Err(error) => Told::wrong(Protocol::Wmbus, telegram_wrong(&error)),
        };
        let told = match (&told.wrong, told.frame) {
            // Without CRCs, one in 65,536 passes for format B.
            (Some(_), Link::Radio(_, Format::B, _)) => self.tell_stripped(bytes, &mut link).unwrap_or(told),
            _ => told,
        };
        self.link = link;
        told
    }

    /// What a radio frame says if it has no CRCs; `None` if that makes no sense either.
    fn tell_stripped(&mut self, bytes: &[u8], link: &mut Vec<u8>) -> Option<Told> {
        let frame = LinkFrame::parse_as(Format::Stripped, bytes, link).ok()?;
        let told = self.open(&Telegram::from_link(&frame).ok()?, bytes);
        told.wrong.is_none().then_some(told)
    }

    /// What an encrypted wired frame says.
    pub(super) fn tell_wired(&mut self, bytes: &[u8]) -> Told {
        let mut told = match Telegram::parse_wired(bytes, None) {
            Ok(telegram) => self.open(&telegram, bytes),
            Err(error) => Told::wrong(Protocol::Mbus, telegram_wrong(&error)),
        };
        if let Ok(Frame::Long { control, address, ci, .. }) = Frame::parse_whole(bytes) {
            told.frame = Link::Long(control, address.0, ci);
        }
        if let Some(record) = &mut told.record {
            record.meter.protocol = Protocol::Mbus.name().into();
        }
        told
    }

    pub(super) fn annotate(&mut self, bytes: &[u8]) -> Vec<Annotation> {
        let mut link = std::mem::take(&mut self.link);
        let state = match Telegram::parse(bytes, &mut link) {
            Ok(telegram) => self.state_of(&telegram),
            Err(_) => MeterState::default(),
        };
        self.link = link;
        plomb_wmbus::annotate(bytes, &mut self.opener, &state)
    }

    pub(super) fn annotate_wired(&mut self, bytes: &[u8]) -> Vec<Annotation> {
        let telegram = Telegram::parse_wired(bytes, None);
        let state = telegram.map(|telegram| self.state_of(&telegram)).unwrap_or_default();
        plomb_wmbus::annotate_wired(bytes, None, &mut self.opener, &state)
    }

    fn state_of(&self, telegram: &Telegram<'_>) -> MeterState {
        telegram.meter().map_or_else(MeterState::default, |sent| {
            let known = self.meters.get(&sent).map(|kept| kept.state.clone());
            known.unwrap_or_else(|| fresh(&self.keys, &self.library, sent, telegram).state)
        })
    }

    fn open(&mut self, telegram: &Telegram<'_>, bytes: &[u8]) -> Told {
        let Self { keys, library, memory, opener, meters, .. } = self;
        let frame = frame_of(telegram);
        let Some(sent) = telegram.meter() else {
            let wrong = Wrong::new("meter unknown", "the telegram does not name its meter", 0);
            return Told { frame, wrong: Some(wrong), ..Told::default() };
        };
        if meters.len() >= METERS_MAX && !meters.contains_key(&sent) {
            meters.clear();
        }
        let kept = meters.entry(sent).or_insert_with(|| fresh(keys, library, sent, telegram));
        let ci = own_ci(telegram);
        let sender = || SecondaryAddress::from(library.identity(sent, ci)).to_string();
        let wrong = |wrong| Told { frame, sender: Some(sender()), wrong: Some(wrong), ..Told::default() };
        let telegram = match telegram.upper {
            Upper::Fragment { .. } => match kept.reassembly.add(telegram, plomb_session::Instant::ORIGIN) {
                Ok(Some(whole)) => whole,
                Ok(None) | Err(FragmentError::Repeated { .. }) => {
                    return Told { frame, said: Some("a fragment; the rest is awaited".into()), ..Told::default() };
                }
                Err(error) => return wrong(Wrong::new("fragment", error.to_string(), 0)),
            },
            _ => *telegram,
        };
        let opened = match opener.open(&telegram, &kept.state) {
            Ok(opened) => opened,
            Err(error) => return wrong(open_wrong(&error)),
        };
        let security = Some(Security {
            mode: Some(opened.mode.0),
            suite: None,
            protection: opened.protection.name().into(),
            access: opened.access,
            counter: opened.counter.map(|counter| counter.value),
            title: None,
            decrypted_sample: opened.sample,
        });
        let key = kept.state.security.key.as_ref();
        let told = match record(&opened, bytes, None, Aids { library, key, memory }) {
            Ok((record, error)) => {
                let wrong = error.map(|error| Wrong::new("record", error.to_string(), error.offset()));
                Told { frame, security, record: Some(record), wrong, ..Told::default() }
            }
            Err(NormaliseError::NoValues(what)) => Told { frame, security, said: Some(what.into()), ..Told::default() },
            Err(error) => Told { security, ..wrong(Wrong::new(error.kind(), error.to_string(), opened.plain_at)) },
        };
        match opened.content {
            Content::Records(records) => kept.state.formats.learn(records),
            Content::Format(format) => kept.state.formats.add(format),
            _ => {}
        }
        told
    }
}

/// A meter that was not heard before. Nothing is expected of it: this is a look, not a gateway.
fn fresh(keys: &Keys, library: &Library, sent: MeterId, telegram: &Telegram<'_>) -> Kept {
    let known = library.identity(sent, own_ci(telegram));
    let key = keys.find(&known).or_else(|| keys.find(&sent)).cloned();
    let state = MeterState::new(Expected { key, minimum: Protection::Plain });
    Kept { state, reassembly: Reassembly::default() }
}

fn frame_of(telegram: &Telegram<'_>) -> Link {
    let ci = match telegram.upper {
        Upper::Message { transport, .. } => Some(transport.ci),
        _ => None,
    };
    match telegram.bearer {
        Bearer::Radio { format, link: Sender { control, .. } } => Link::Radio(control, format, ci),
        Bearer::Wired { control, address, .. } => Link::Long(control, address.0, ci.unwrap_or_default()),
    }
}

fn telegram_wrong(error: &TelegramError) -> Wrong<'static> {
    Wrong::new(error.kind(), error.to_string(), error.offset())
}

fn open_wrong(error: &OpenError) -> Wrong<'static> {
    Wrong::new(error.kind(), error.to_string(), error.offset())
}
