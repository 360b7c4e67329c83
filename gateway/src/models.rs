//! The meter models that are known: those that are shipped, and those of a folder.

use std::{
    fs,
    io::Read,
    path::{Path, PathBuf},
};

use plomb_modbus::{MAP_BYTES_MAX, MAPS_MAX, Maps};
use plomb_profiles::{Library, PROFILE_BYTES_MAX, Profile};

use crate::keys::open_regular;

/// The most files of a folder that are read.
pub const PROFILES_MAX: usize = 1000;

/// The shipped models, and those of the folder's `.toml` files, which replace shipped ones of their name.
/// Each must read its own test telegrams.
pub fn library(folder: Option<&Path>) -> Result<Library, String> {
    let mut library = Library::shipped().map_err(|error| format!("the meter models: {error}"))?;
    let Some(folder) = folder else { return Ok(library) };
    for (path, text) in files(folder, PROFILES_MAX, PROFILE_BYTES_MAX)? {
        let profile = Profile::parse(&path.display().to_string(), &text).map_err(|error| error.to_string())?;
        profile.check().map_err(|error| wrong(&path, error.to_string()))?;
        library.replace(profile).map_err(|error| wrong(&path, error.to_string()))?;
    }
    Ok(library)
}

/// The shipped register maps of Modbus meters, and those of the folder's `.toml` files, which replace shipped ones
/// of their name. Each must read its own tests.
pub fn register_maps(folder: Option<&Path>) -> Result<Maps, String> {
    let mut maps = Maps::shipped().map_err(|error| format!("the register maps: {error}"))?;
    let Some(folder) = folder else { return Ok(maps) };
    for (path, text) in files(folder, MAPS_MAX, MAP_BYTES_MAX)? {
        maps.add(&path.display().to_string(), &text).map_err(|error| error.to_string())?;
    }
    Ok(maps)
}

fn wrong(path: &Path, what: impl std::fmt::Display) -> String {
    format!("{}: {what}", path.display())
}

/// The `.toml` files of a folder, by name.
fn files(folder: &Path, count_max: usize, bytes_max: usize) -> Result<Vec<(PathBuf, String)>, String> {
    let listed = fs::read_dir(folder).map_err(|error| wrong(folder, error))?;
    let mut paths: Vec<_> = listed.filter_map(|entry| Some(entry.ok()?.path())).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "toml"));
    paths.sort();
    if paths.len() > count_max {
        return Err(wrong(folder, format!("more than {count_max} profiles")));
    }
    let read = |path: PathBuf| {
        let (file, _) = open_regular(&path)?;
        let mut text = String::new();
        file.take(bytes_max as u64 + 1).read_to_string(&mut text).map_err(|error| wrong(&path, error))?;
        if text.len() > bytes_max {
            return Err(wrong(&path, format!("more than {bytes_max} bytes")));
        }
        Ok((path, text))
    };
    paths.into_iter().map(read).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROFILE: &str = "format = 1\nname = \"town-water\"\nversion = 1\nmodel = \"Water meter of the town\"\n\
         security = \"plain\"\n[[match]]\nmanufacturer = \"TWN\"\n[[record]]\nvib = \"13\"\nname = \"consumption\"\n";

    #[test]
    fn a_folder_adds_models_and_a_wrong_file_names_its_line() {
        let folder = tempfile::tempdir().unwrap();
        assert!(library(Some(folder.path())).unwrap().by_name("town-water").is_none());
        fs::write(folder.path().join("town.toml"), PROFILE).unwrap();
        fs::write(folder.path().join("notes.txt"), "not a profile").unwrap();
        assert!(library(Some(folder.path())).unwrap().by_name("town-water").is_some());
        fs::write(folder.path().join("town.toml"), PROFILE.replace("vib =", "vip =")).unwrap();
        let error = library(Some(folder.path())).unwrap_err();
        assert!(error.contains("town.toml:9:") && error.contains("vib"), "{error}");
        assert!(library(Some(&folder.path().join("absent"))).is_err());
        // A device has no length, and no end.
        fs::remove_file(folder.path().join("town.toml")).unwrap();
        std::os::unix::fs::symlink("/dev/zero", folder.path().join("town.toml")).unwrap();
        assert!(library(Some(folder.path())).unwrap_err().contains("pipe or device"));
    }
}
