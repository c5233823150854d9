use std::io::{self, BufRead, IsTerminal, Write};

use crate::escape::printable;
use crate::failure::Failure;

/// Asks before something that cannot be undone. If there is no terminal to answer, the answer is no.
pub(crate) fn ask(question: &str, yes: bool) -> Result<(), Failure> {
    if yes {
        return Ok(());
    }
    if !io::stdin().is_terminal() || !io::stderr().is_terminal() {
        return Err(Failure::usage(format!("{question} Nobody is there to be asked: say --yes")));
    }
    eprint!("{} [y/N] ", printable(question));
    io::stderr().flush()?;
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer)?;
    match answer.trim().to_ascii_lowercase().as_str() {
        "y" | "yes" => Ok(()),
        _ => Err(Failure::usage("nothing was done")),
    }
}
