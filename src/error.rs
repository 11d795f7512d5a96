//! What went wrong, where, and what to do about it.

use std::fmt;
use std::io;
use std::path::Path;

/// The program did what was asked.
pub const EXIT_DONE: u8 = 0;
/// The plan misses a limit stated with `--require`.
pub const EXIT_MISSED: u8 = 1;
/// Bad input or usage; nothing was written.
pub const EXIT_INPUT: u8 = 2;
/// Ended by Ctrl-C; nothing was written.
pub const EXIT_INTERRUPTED: u8 = 130;

/// One problem: place, what is wrong, and a remedy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// File with line, or file with column and row; empty where there is none (usage errors).
    pub place: String,
    /// What was seen and what is allowed, without a full stop.
    pub message: String,
    /// What to try.
    pub hint: Option<String>,
}

impl Problem {
    /// A problem at a place.
    pub fn new(place: impl Into<String>, message: impl Into<String>) -> Self {
        Self { place: place.into(), message: message.into(), hint: None }
    }

    /// The same problem with a remedy.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

/// Everything that stops a command: all problems found, not only the first.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct Error {
    /// In the order they should be read; never empty.
    pub problems: Vec<Problem>,
}

impl Error {
    /// One problem without a remedy.
    pub fn at(place: impl Into<String>, message: impl Into<String>) -> Self {
        Problem::new(place, message).into()
    }

    /// A file or directory that cannot be read.
    #[must_use]
    pub fn unreadable(path: &Path, error: &io::Error) -> Self {
        let message = match error.kind() {
            io::ErrorKind::NotFound => "does not exist".to_owned(),
            io::ErrorKind::PermissionDenied => "may not be read: permission denied".to_owned(),
            _ => format!("cannot be read: {error}"),
        };
        Self::at(path.display().to_string(), message)
    }
}

impl From<Problem> for Error {
    fn from(problem: Problem) -> Self {
        Self { problems: vec![problem] }
    }
}

impl From<Vec<Problem>> for Error {
    fn from(problems: Vec<Problem>) -> Self {
        Self { problems }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.problems.iter().enumerate() {
            if index > 0 {
                writeln!(f)?;
            }
            write!(f, "error: ")?;
            if !problem.place.is_empty() {
                write!(f, "{}: ", printable(&problem.place))?;
            }
            writeln!(f, "{}", printable(&problem.message))?;
            if let Some(hint) = &problem.hint {
                writeln!(f, "\nhint: {}", printable(hint))?;
            }
        }
        Ok(())
    }
}

/// Text on one line of a terminal: characters that steer it, end the line or turn the direction of reading become
/// visible escapes, so that a hostile log cannot write a message of its own.
#[must_use]
pub fn printable(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        let hidden = matches!(c,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{fffe}' | '\u{ffff}'
            | '\u{e0000}'..='\u{e0fff}');
        if c.is_control() || hidden { shown.extend(c.escape_default()) } else { shown.push(c) }
    }
    shown
}

/// `Result` with the program's error.
pub type Result<T> = std::result::Result<T, Error>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_problem_is_printed_with_place_and_hint() {
        let error = Error::from(vec![
            Problem::new("s.toml:4", "`alpha` is 2").hint("use a number between 0 and 1"),
            Problem::new("s.toml:9", "`exposre` is not a key here"),
        ]);
        assert_eq!(
            error.to_string(),
            "error: s.toml:4: `alpha` is 2\n\nhint: use a number between 0 and 1\n\nerror: s.toml:9: `exposre` is not a key here\n"
        );
    }

    #[test]
    fn control_characters_do_not_reach_the_terminal() {
        assert_eq!(printable("a\u{1b}[31mb"), "a\\u{1b}[31mb");
        assert_eq!(printable("a\nerror: b\u{202e}c"), "a\\nerror: b\\u{202e}c");
    }
}
