//! A conversation with the person at the command line, who may be a script.

use std::io::{BufRead, Read, Write};

use super::quiet::{INTERRUPT, Quiet};
use crate::settings::Secret;

/// What a person types is no longer than this, in bytes.
const LONGEST: u64 = 16 << 10;

/// Questions go to `to`, answers come from `from`.
pub struct Talk<R, W> {
    pub from: R,
    pub to: W,
    /// What the environment gives, by name.
    pub environment: Vec<(String, String)>,
    /// Whether the answers are typed at the terminal of this program.
    pub is_terminal: bool,
}

impl<R: BufRead, W: Write> Talk<R, W> {
    /// What cannot be shown is not worth an end: the answer decides.
    pub fn say(&mut self, text: &str) {
        let _ = writeln!(self.to, "{text}");
    }

    /// Asks for one line; `None`: there is none, or it is empty.
    pub fn ask(&mut self, what: &str) -> Option<String> {
        let _ = write!(self.to, "{what}: ");
        let _ = self.to.flush();
        let mut line = String::new();
        Read::take(&mut self.from, LONGEST).read_line(&mut line).ok()?;
        let line = line.trim();
        (!line.is_empty()).then(|| line.to_owned())
    }

    /// Asks for something that nobody else is to see.
    pub fn ask_secret(&mut self, what: &str) -> Option<Secret> {
        let quiet = self.is_terminal.then(Quiet::terminal).flatten();
        let answer = self.ask(what);
        if quiet.is_some() {
            // The end of the line was not shown either.
            self.say("");
        }
        answer.filter(|text| !text.contains(INTERRUPT)).map(Secret::new)
    }

    /// A variable that is set and not empty.
    pub fn variable(&self, name: &str) -> Option<String> {
        let (_, value) = self.environment.iter().find(|(known, _)| known == name)?;
        let value = value.trim();
        (!value.is_empty()).then(|| value.to_owned())
    }
}
