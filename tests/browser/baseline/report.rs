//! Holds pictures beside those that are kept, keeps new ones, and shows what differs as a page.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

use super::compare::Picture;

pub struct Report {
    album: PathBuf,
    /// How the names of the pictures begin that this report is about.
    about: &'static [&'static str],
    seen: BTreeSet<String>,
    /// Names, and what is wrong with each.
    wrong: Vec<(String, String)>,
    updates: bool,
}

/// Where what differs is shown.
fn folder() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap().join("baseline")
}

impl Report {
    pub fn of(album: &Path, about: &'static [&'static str]) -> Self {
        let updates = std::env::var_os("UPDATE_PICTURES").is_some();
        Self { album: album.to_owned(), about, seen: BTreeSet::new(), wrong: Vec::new(), updates }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.album.join(format!("{name}.png"))
    }

    pub fn compare(&mut self, name: &str, now: &Picture) {
        assert!(self.seen.insert(name.to_owned()), "{name} was taken twice");
        let kept = fs::read(self.path(name)).ok();
        let difference = kept.as_ref().map(|was| now.differs(&Picture::read(was)));
        if matches!(difference, Some(None)) {
            return;
        }
        if self.updates {
            fs::create_dir_all(&self.album).unwrap();
            fs::write(self.path(name), now.small()).unwrap();
            return;
        }
        let (says, shown) = match difference.flatten() {
            Some(difference) => (difference.says, Some(difference.shown)),
            None => ("there is no picture of it yet".to_owned(), None),
        };
        fs::create_dir_all(folder()).unwrap();
        let put = |what: &str, bytes: Vec<u8>| {
            fs::write(folder().join(format!("{name}.{what}.png")), bytes).unwrap()
        };
        put("was", kept.unwrap_or_default());
        put("now", now.small());
        put("off", shown.map(|shown| shown.small()).unwrap_or_default());
        self.wrong.push((name.to_owned(), says));
    }

    /// The kept pictures that nobody takes any more.
    fn forgotten(&self) -> Vec<String> {
        let files = fs::read_dir(&self.album).into_iter().flatten().flatten();
        let names = files.filter_map(|file| Some(file.path().file_stem()?.to_str()?.to_owned()));
        let is_ours = |name: &String| self.about.iter().any(|start| name.starts_with(start));
        names.filter(is_ours).filter(|name| !self.seen.contains(name)).collect()
    }

    /// # Panics
    /// If a picture differs, with where to look.
    pub fn finish(mut self) {
        for name in self.forgotten() {
            match self.updates {
                true => fs::remove_file(self.path(&name)).unwrap(),
                false => self.wrong.push((name, "nobody takes this picture any more".into())),
            }
        }
        // One page for each group, so that tests at the same time do not overwrite it.
        let page = folder().join(format!("{}index.html", self.about[0]));
        let _ = fs::remove_file(&page);
        if self.wrong.is_empty() {
            return;
        }
        let mut text = String::from(
            "<!doctype html><meta charset=utf-8><title>Pictures that differ</title><style>body{font:16px \
             sans-serif;margin:1em}img{max-width:31vw;border:1px solid #888;vertical-align:top}</style>\
             <h1>As it was · as it is · what differs</h1>",
        );
        for (name, says) in &self.wrong {
            let _ = write!(text, "<h2>{name}</h2><p>{says}</p>");
            for what in ["was", "now", "off"] {
                let _ = write!(text, "<img src=\"{name}.{what}.png\" alt=\"{what}\"> ");
            }
        }
        fs::create_dir_all(folder()).unwrap();
        fs::write(&page, text).unwrap();
        panic!(
            "{} pictures differ, see {}: {:#?}\nIf they are right: UPDATE_PICTURES=1 cargo test \
             --all-features --test browser baseline",
            self.wrong.len(),
            page.display(),
            self.wrong
        );
    }
}
