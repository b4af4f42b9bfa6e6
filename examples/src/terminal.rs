//! Text for a person: results on standard output, notes on standard error.
//!
//! The reader of either may close it early, as `| head` does. That is neither an error nor a reason to stop training.

use std::fmt::Display;
use std::io::{self, ErrorKind, Write};

/// Prints text at once. `false` when nobody reads standard output any more: a program that only prints may end then.
///
/// # Errors
/// When standard output cannot be written for another reason, such as a full disk.
pub fn print(text: impl Display) -> io::Result<bool> {
    let mut output = io::stdout().lock();
    match write!(output, "{text}").and_then(|()| output.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(false),
        printed => printed.map(|()| true),
    }
}

/// Prints a line; otherwise as [`print()`].
///
/// # Errors
/// As [`print()`].
pub fn print_line(text: impl Display) -> io::Result<bool> {
    print(format_args!("{text}\n"))
}

/// Writes a line to standard error. Progress is not worth an error: what cannot be written is dropped.
pub fn note(text: impl Display) {
    let _ = writeln!(io::stderr(), "{text}");
}
