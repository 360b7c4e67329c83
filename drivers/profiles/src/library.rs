//! All profiles, and which of them a meter's is.

use crate::apply::{Memory, ReadError};
use crate::error::ProfileError;
use crate::named::Named;
use crate::profile::{Match, Profile, swapped};
use crate::shipped::SHIPPED;
use plomb_mbus::{Manufacturer, Medium, MeterId};
use plomb_wmbus::{Content, Key};
use std::collections::HashMap;
use thiserror::Error;

/// The most profiles of a library.
pub const PROFILE_COUNT_MAX: usize = 4096;

/// Profiles, found by manufacturer, version and medium.
#[derive(Clone, Debug, Default)]
pub struct Library {
    profiles: Vec<Profile>,
    by_name: HashMap<String, usize>,
    by_meter: HashMap<Address, Vec<Entry>>,
}

/// What is looked up: whether the address is swapped, and `None` for any.
type Address = (bool, Manufacturer, Option<u8>, Option<Medium>);

/// A profile, and which match of it led here.
#[derive(Clone, Copy, Debug)]
struct Entry {
    profile: usize,
    matching: usize,
}

/// Why a profile is not taken into a library.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum LibraryError {
    /// The file is wrong.
    #[error(transparent)]
    Profile(#[from] ProfileError),
    /// Two files of the same origin have one name.
    #[error("profile `{0}` is there already: give one of them another name")]
    Name(String),
    /// The library is full.
    #[error("a library holds at most {PROFILE_COUNT_MAX} profiles")]
    Full,
}

impl Library {
    /// A library without profiles.
    #[must_use]
    pub fn empty() -> Self {
        Self::default()
    }

    /// The profiles that come with the program.
    ///
    /// # Errors
    /// None, as a test makes sure; the type says that they are files like any other.
    pub fn shipped() -> Result<Self, LibraryError> {
        let mut library = Self::empty();
        for (name, text) in SHIPPED {
            library.add(Profile::parse(&format!("{name}.toml"), text)?)?;
        }
        Ok(library)
    }

    /// Adds a profile. Where several fit a meter equally well, the one added last is taken: what an
    /// installation adds goes before what was shipped.
    ///
    /// # Errors
    /// [`LibraryError::Name`] for a name that is there, [`LibraryError::Full`].
    pub fn add(&mut self, profile: Profile) -> Result<(), LibraryError> {
        if self.by_name.contains_key(&profile.name) {
            return Err(LibraryError::Name(profile.name));
        }
        self.put(profile)
    }

    /// Adds a profile in the place of one with the same name, if there is one.
    ///
    /// # Errors
    /// [`LibraryError::Full`].
    pub fn replace(&mut self, profile: Profile) -> Result<(), LibraryError> {
        if let Some(old) = self.by_name.remove(&profile.name) {
            self.by_meter.values_mut().for_each(|entries| entries.retain(|entry| entry.profile != old));
            if let Some(place) = self.profiles.get_mut(old) {
                // Keeps its place, matches nothing, and is found by no name.
                place.matches.clear();
            }
        }
        self.put(profile)
    }

    fn put(&mut self, profile: Profile) -> Result<(), LibraryError> {
        if self.profiles.len() >= PROFILE_COUNT_MAX {
            return Err(LibraryError::Full);
        }
        let at = self.profiles.len();
        for (matching, of) in profile.matches.iter().enumerate() {
            let versions: Vec<_> = or_any(of.versions.iter().copied());
            for medium in or_any(of.media.iter().copied()) {
                for version in &versions {
                    let entries = self.by_meter.entry((of.swapped, of.manufacturer, *version, medium)).or_default();
                    entries.insert(0, Entry { profile: at, matching });
                }
            }
        }
        self.by_name.insert(profile.name.clone(), at);
        self.profiles.push(profile);
        Ok(())
    }

    /// The profile of a meter: the one that names most of manufacturer, version and medium. `ci` is that of a
    /// payload in the maker's own coding, `None` where there are records: a match that names CIs is of such
    /// payloads only. `meter` is the address as the link or the header reads it.
    #[must_use]
    pub fn find(&self, meter: MeterId, ci: Option<u8>) -> Option<&Profile> {
        self.find_match(meter, ci).map(|(profile, _)| profile)
    }

    /// The meter as it should be known, from the address as the link reads it: some makers send version and
    /// medium in front of the identification, and their profiles say so. Keys and counters stay with the
    /// address as read.
    #[must_use]
    pub fn identity(&self, meter: MeterId, ci: Option<u8>) -> MeterId {
        match self.find_match(meter, ci) {
            Some((_, of)) if of.swapped => swapped(meter),
            _ => meter,
        }
    }

    fn find_match(&self, meter: MeterId, ci: Option<u8>) -> Option<(&Profile, &Match)> {
        [(false, meter), (true, swapped(meter))].into_iter().find_map(|(order, meter)| {
            let (version, medium) = (Some(meter.version), Some(meter.medium));
            let addresses = [(version, medium), (version, None), (None, medium), (None, None)];
            addresses.into_iter().find_map(|(version, medium)| {
                let entries = self.by_meter.get(&(order, meter.manufacturer, version, medium))?;
                entries.iter().find_map(|entry| {
                    let profile = self.profiles.get(entry.profile)?;
                    let of = profile.matches.get(entry.matching)?;
                    of.takes_ci(ci).then_some((profile, of))
                })
            })
        })
    }

    /// The profile of this name.
    #[must_use]
    pub fn by_name(&self, name: &str) -> Option<&Profile> {
        self.profiles.get(*self.by_name.get(name)?)
    }

    /// All profiles, in the order of their adding.
    pub fn profiles(&self) -> impl Iterator<Item = &Profile> {
        self.profiles.iter().filter(|profile| !profile.matches.is_empty())
    }

    /// Finds the meter's profile and applies it; `None` where the telegram needs none and none is known.
    ///
    /// # Errors
    /// [`ReadError`]; [`ReadError::Unsupported`] names maker and CI of a payload that nobody here reads.
    pub fn apply(
        &self,
        meter: MeterId,
        content: &Content<'_>,
        key: Option<&Key>,
        memory: &mut Memory,
        each: impl FnMut(&Named<'_>),
    ) -> Result<Option<&Profile>, ReadError> {
        let own = if let Content::Manufacturer(payload) = content { Some(payload.ci) } else { None };
        let Some(profile) = self.find(meter, own) else {
            let unsupported = |ci| ReadError::Unsupported { manufacturer: meter.manufacturer, ci };
            return own.map_or(Ok(None), |ci| Err(unsupported(ci)));
        };
        profile.apply(meter, content, key, memory, each).map(|()| Some(profile))
    }
}

/// The values, or "any" where there are none.
fn or_any<T>(values: impl Iterator<Item = T>) -> Vec<Option<T>> {
    let values: Vec<_> = values.map(Some).collect();
    if values.is_empty() { vec![None] } else { values }
}
