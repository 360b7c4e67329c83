//! All maps that are known.

use thiserror::Error;

use crate::{MapError, RegisterMap, SampleError};

/// The most maps.
pub const MAPS_MAX: usize = 1000;

/// The maps that come with the program.
const SHIPPED: &[(&str, &str)] = &[
    ("aquametro-calec-st", include_str!("../profiles/aquametro-calec-st.toml")),
    ("eastron-sdm630", include_str!("../profiles/eastron-sdm630.toml")),
    ("gavazzi-em340", include_str!("../profiles/gavazzi-em340.toml")),
    ("schneider-iem3155", include_str!("../profiles/schneider-iem3155.toml")),
    ("sunspec-203", include_str!("../profiles/sunspec-203.toml")),
];

/// Maps, by name.
#[derive(Clone, Debug, Default)]
pub struct Maps {
    maps: Vec<RegisterMap>,
}

/// Why a map is not taken.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum MapsError {
    /// The file is wrong.
    #[error(transparent)]
    Map(#[from] MapError),
    /// It does not read its own test.
    #[error("{0}: {1}")]
    Sample(String, SampleError),
    /// There are too many.
    #[error("more than {MAPS_MAX} register maps")]
    Full,
}

impl Maps {
    /// No maps.
    #[must_use]
    pub fn empty() -> Self {
        Self::default()
    }

    /// The maps that come with the program.
    ///
    /// # Errors
    /// None, as a test makes sure; the type says that they are files like any other.
    pub fn shipped() -> Result<Self, MapsError> {
        let mut maps = Self::empty();
        for (name, text) in SHIPPED {
            maps.add(&format!("{name}.toml"), text)?;
        }
        Ok(maps)
    }

    /// Adds the map of a file, in the place of one with the same name. It must read its own tests.
    ///
    /// # Errors
    /// [`MapsError`].
    pub fn add(&mut self, file: &str, text: &str) -> Result<(), MapsError> {
        let map = RegisterMap::parse(file, text)?;
        map.check().map_err(|error| MapsError::Sample(file.into(), error))?;
        if self.maps.len() >= MAPS_MAX {
            return Err(MapsError::Full);
        }
        self.maps.retain(|old| old.name != map.name);
        self.maps.push(map);
        Ok(())
    }

    /// The map of this name.
    #[must_use]
    pub fn by_name(&self, name: &str) -> Option<&RegisterMap> {
        self.maps.iter().find(|map| map.name == name)
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &RegisterMap> {
        self.maps.iter()
    }
}
