//! A terminal that does not show what is typed.

#[cfg(unix)]
use rustix::termios::{LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcsetattr};

/// What Ctrl-C types, where it is no signal.
pub(super) const INTERRUPT: char = '\u{3}';

/// As long as this lives, the terminal of the program shows nothing of what is typed. Ctrl-C ends the line
/// instead of the program, which would leave the terminal dumb.
pub(super) struct Quiet {
    #[cfg(unix)]
    before: Termios,
}

impl Quiet {
    /// `None`: standard input is no terminal, or one that cannot do this.
    pub(super) fn terminal() -> Option<Self> {
        #[cfg(unix)]
        {
            let input = std::io::stdin();
            let before = tcgetattr(&input).ok()?;
            let mut quiet = before.clone();
            quiet.local_modes.remove(LocalModes::ECHO | LocalModes::ISIG);
            quiet.special_codes[SpecialCodeIndex::VEOL] = INTERRUPT as u8;
            tcsetattr(&input, OptionalActions::Now, &quiet).ok()?;
            Some(Self { before })
        }
        #[cfg(not(unix))]
        None
    }
}

impl Drop for Quiet {
    fn drop(&mut self) {
        #[cfg(unix)]
        let _ = tcsetattr(std::io::stdin(), OptionalActions::Now, &self.before);
    }
}
