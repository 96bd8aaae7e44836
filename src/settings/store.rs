//! Where the journal is kept: `PW_TIMESERIES_PATH` → a file or memory.

use std::path::{MAIN_SEPARATOR, Path, PathBuf};

use serde::Deserialize;

use super::load::{Inputs, Reader};

const VARIABLE: &str = "PW_TIMESERIES_PATH";
/// The name that the servers before gave their history.
const FILE: &str = "timeseries.db";
/// Keeps everything in memory.
const OFF: &str = "off";

#[derive(Default, Deserialize)]
struct StoreVariables {
    pw_timeseries_path: Option<String>,
}

impl Reader {
    pub(super) fn store(&mut self) -> Option<PathBuf> {
        let raw: StoreVariables = self.variables();
        let parse = |text: &str| Ok((!text.eq_ignore_ascii_case(OFF)).then(|| file(text)));
        let show = |path: &Option<PathBuf>| match path {
            Some(path) => path.display().to_string(),
            None => "off: in memory, until the program ends".to_owned(),
        };
        self.value(VARIABLE, raw.pw_timeseries_path, None, parse, show)
    }
}

impl Inputs {
    /// With the file that the servers before use when nothing else is said: `timeseries.db` in `volume` if
    /// there is such a folder, else in `local` if they left one there.
    #[must_use]
    pub fn with_store_in(mut self, volume: &Path, local: &Path) -> Self {
        let is_given = self
            .environment
            .iter()
            .any(|(name, text)| name.eq_ignore_ascii_case(VARIABLE) && !text.trim().is_empty());
        let found = match () {
            () if volume.is_dir() => Some((volume.join(FILE), "the mounted folder")),
            () if local.join(FILE).is_file() => Some((local.join(FILE), "the file that is there")),
            () => None,
        };
        if let (false, Some((path, source))) = (is_given, found) {
            self.flags.push((VARIABLE, path.display().to_string(), source));
        }
        self
    }
}

/// A folder gets the usual name.
fn file(text: &str) -> PathBuf {
    let path = Path::new(text);
    match text.ends_with(MAIN_SEPARATOR) || path.is_dir() {
        true => path.join(FILE),
        false => path.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::settings::Settings;

    fn store(inputs: &Inputs) -> Option<PathBuf> {
        Settings::load(inputs).unwrap().store
    }

    fn given(path: &str) -> Inputs {
        Inputs { environment: vec![(VARIABLE.into(), path.into())], flags: Vec::new() }
    }

    #[test]
    fn a_folder_gets_the_usual_name_and_off_is_memory() {
        let folder = tempfile::tempdir().unwrap();
        let named = folder.path().to_str().unwrap();
        assert_eq!(store(&given(named)), Some(folder.path().join(FILE)));
        assert_eq!(store(&given("/nowhere/yet/")), Some("/nowhere/yet/timeseries.db".into()));
        assert_eq!(store(&given("/nowhere/house.db")), Some("/nowhere/house.db".into()));
        assert_eq!(store(&given("off")), None);
        assert_eq!(store(&Inputs::default()), None);
    }

    #[test]
    fn without_a_word_the_file_of_the_servers_before_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let (volume, local) = (folder.path().join("volume"), folder.path().join("local"));
        let found = |inputs: Inputs| store(&inputs.with_store_in(&volume, &local));
        assert_eq!(found(Inputs::default()), None);
        fs::create_dir(&local).unwrap();
        assert_eq!(found(Inputs::default()), None, "a folder of this name may be anybody's");
        fs::write(local.join(FILE), "").unwrap();
        assert_eq!(found(Inputs::default()), Some(local.join(FILE)));
        fs::create_dir(&volume).unwrap();
        assert_eq!(found(Inputs::default()), Some(volume.join(FILE)));
        assert_eq!(found(given("  ")), Some(volume.join(FILE)), "empty is not set");
        assert_eq!(found(given("off")), None);
        assert_eq!(found(given("/else.db")), Some("/else.db".into()));
    }
}
