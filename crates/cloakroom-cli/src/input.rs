use std::fs::File;
use std::io::{self, IsTerminal, Read};
use std::path::Path;

use cloakroom::MAX_TOKEN_LENGTH;
use console::Term;
use zeroize::Zeroizing;

use crate::failure::Failure;

/// The longest line end that is not part of the token.
const LINE_END: usize = 2;

/// Reads a token, from a file or from standard input, as bytes: it need not be text.
///
/// On a terminal it asks for the token, and does not show what the user types.
pub(crate) fn token(file: Option<&Path>) -> Result<Zeroizing<Vec<u8>>, Failure> {
    match file {
        Some(path) => {
            let unreadable = |error| Failure::from(error).context(format!("cannot read {}", path.display()));
            // A file that cannot be read is an error of the command line.
            let file = File::open(path)
                .map_err(|error| Failure::usage(format!("cannot read {}: {error}", path.display())))?;
            read(file).map_err(unreadable)
        }
        None if io::stdin().is_terminal() => {
            let terminal = Term::stderr();
            terminal.write_str("Token: ")?;
            let typed = Zeroizing::new(terminal.read_secure_line()?);
            Ok(Zeroizing::new(typed.as_bytes().to_vec()))
        }
        None => Ok(read(io::stdin().lock())?),
    }
}

/// Reads no more than is needed to see that the input is too long for a token.
fn read(input: impl Read) -> io::Result<Zeroizing<Vec<u8>>> {
    let enough = MAX_TOKEN_LENGTH + LINE_END + 1;
    // The full capacity at once: a vector that grows leaves copies behind.
    let mut token = Zeroizing::new(Vec::with_capacity(enough + 1));
    input.take(enough as u64).read_to_end(&mut token)?;
    if token.last() == Some(&b'\n') {
        token.pop();
        if token.last() == Some(&b'\r') {
            token.pop();
        }
    }
    Ok(token)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_end_is_no_part_of_the_token() {
        for (input, token) in [
            ("abc", "abc"),
            ("abc\n", "abc"),
            ("abc\r\n", "abc"),
            ("abc\n\n", "abc\n"),
            (" abc \n", " abc "),
            ("abc\r", "abc\r"),
            ("\n", ""),
        ] {
            assert_eq!(**read(input.as_bytes()).unwrap(), *token.as_bytes(), "{input:?}");
        }
    }

    #[test]
    fn an_endless_input_is_read_no_further_than_a_token_reaches() {
        let token = read(io::repeat(b'x')).unwrap();
        assert!(token.len() > MAX_TOKEN_LENGTH && token.len() < MAX_TOKEN_LENGTH + 10);
    }
}
