//! What a token looks like: with a prefix and a checksum, or plain.

use std::fmt;
use std::sync::Arc;

use crc::{CRC_32_ISO_HDLC, Crc, Table};
use zeroize::Zeroizing;

use super::{ALPHABET, Token, TokenError};

/// The digits of base62, in the order of their values.
const BASE62: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// The CRC-32 of IEEE 802.3, also that of gzip and PNG.
const CRC: Crc<u32, Table<16>> = Crc::<u32, Table<16>>::new(&CRC_32_ISO_HDLC);

/// The length of a prefixed token's random part: 62²⁷ is over 2¹⁶⁰.
const BODY: usize = 27;

/// The length of a checksum: 62⁶ is over 2³².
const CHECKSUM: usize = 6;

const MAX_PREFIX: usize = 32;

/// The length of a new token if nothing else is asked for.
const DEFAULT_LENGTH: usize = 64;

/// How many characters a hint shows at each end.
const SHOWN: usize = 4;

/// How many characters of a token from this library a hint hides at least. Each carries 5.95 bits or more: over 112.
const HIDDEN: usize = 19;

/// The same for a token of unknown making, of which a character may carry as little as the 4 bits of hexadecimal.
const HIDDEN_OF_UNKNOWN: usize = 28;

/// What a token looks like: plain random text, or text with a prefix and a checksum.
///
/// [`ConfigBuilder::token_format`](crate::ConfigBuilder::token_format) sets the format of a table's new tokens, and
/// says which tokens a table accepts. The default is [`plain`](Self::plain), of 64 characters.
///
/// A key with a prefix is recognised wherever it turns up: by its owner, by support, and by the programs that search
/// source code for leaked secrets ([`regex`](Self::regex)). Its checksum tells a mistyped key from a revoked one
/// without a question to the database.
///
/// ```
/// use cloakroom::{ParseTokenError, TokenFormat};
///
/// let format = TokenFormat::prefixed("acme_live")?;
/// let key = format.generate()?;
/// assert!(key.expose().starts_with("acme_live_") && key.expose().len() == 43);
/// assert_eq!(format.parse(key.expose()), Ok(key.clone()));
///
/// let cut_off = &key.expose()[..42];
/// assert_eq!(format.parse(cut_off), Err(ParseTokenError::Length));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct TokenFormat(Form);

#[derive(Clone, PartialEq, Eq, Hash)]
enum Form {
    Plain {
        length: usize,
    },
    Prefixed {
        /// The prefix and the underscore after it.
        start: Arc<str>,
    },
}

impl TokenFormat {
    /// Returns the format of tokens of `length` characters `A–Z a–z 0–9 - _`, without a prefix or a checksum.
    ///
    /// The length is checked where a token is made: see [`Token::generate`] for its bounds.
    pub const fn plain(length: usize) -> Self {
        Self(Form::Plain { length })
    }

    /// Returns the format of tokens that begin with `prefix` and an underscore.
    ///
    /// Then come 27 characters `0–9 A–Z a–z` from the operating system's generator, which are 160 bits, and 6 characters
    /// that hold the CRC-32 of all that stands before them. This is how [GitHub's
    /// tokens](https://github.blog/engineering/platform-security/behind-githubs-new-authentication-token-formats/) are
    /// made. A double click selects such a token as a whole.
    ///
    /// A prefix says whose key it is and what it is for: `acme_live`, `acme_test`. It is no secret. It has 1 to 32
    /// characters `a–z 0–9 _`. It neither begins nor ends with an underscore: a key that begins with one is taken for
    /// emphasis in Markdown, and two underscores in a row look like one.
    ///
    /// The checksum is no protection against a forged key, which its random part is. It finds mistakes: every change of
    /// one character, and two neighbours in each other's place.
    ///
    /// # Errors
    ///
    /// If the prefix is none.
    pub fn prefixed(prefix: &str) -> Result<Self, TokenPrefixError> {
        if prefix.is_empty() || prefix.len() > MAX_PREFIX {
            return Err(TokenPrefixError::Length);
        }
        if !prefix.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_')) {
            return Err(TokenPrefixError::Character);
        }
        if prefix.starts_with('_') || prefix.ends_with('_') {
            return Err(TokenPrefixError::Underscore);
        }
        Ok(Self(Form::Prefixed { start: format!("{prefix}_").into() }))
    }

    /// Returns the prefix, without the underscore after it; `None` if the format is plain.
    pub fn prefix(&self) -> Option<&str> {
        match &self.0 {
            Form::Plain { .. } => None,
            Form::Prefixed { start } => start.strip_suffix('_'),
        }
    }

    /// Returns the length of a token, in characters.
    pub fn length(&self) -> usize {
        match &self.0 {
            Form::Plain { length } => *length,
            Form::Prefixed { start } => start.len() + BODY + CHECKSUM,
        }
    }

    /// Generates a new token, from the operating system's generator.
    ///
    /// # Errors
    ///
    /// If the generator fails, or if the length of a plain format is out of bounds.
    pub fn generate(&self) -> Result<Token, TokenError> {
        let start = match &self.0 {
            Form::Plain { length } => return Token::generate(*length),
            Form::Prefixed { start } => start,
        };
        // Its full length at once: text that grows leaves copies behind.
        let mut text = Zeroizing::new(String::with_capacity(self.length()));
        text.push_str(start);
        let mut random = Zeroizing::new([0_u8; 2 * BODY]);
        while text.len() < start.len() + BODY {
            getrandom::fill(&mut *random).map_err(TokenError::Generator)?;
            let missing = start.len() + BODY - text.len();
            text.extend(random.iter().filter_map(|byte| base62_digit(*byte)).take(missing));
        }
        let checksum = checksum(text.as_bytes());
        text.extend(checksum.map(char::from));
        Ok(Token(text))
    }

    /// Reads a token of this format, and says what is wrong with any other text.
    ///
    /// No database is asked: whether a session has the token, [`authenticate`](crate::Sessions::authenticate) says. This
    /// is for programs that take a key from a person or a file, and can say at once that it was not copied whole.
    ///
    /// # Errors
    ///
    /// The first thing that is wrong, from the left. The error holds nothing of the text.
    pub fn parse(&self, text: &str) -> Result<Token, ParseTokenError> {
        self.check(text.as_bytes())?;
        Ok(Token(Zeroizing::new(text.to_owned())))
    }

    pub(super) fn check(&self, token: &[u8]) -> Result<(), ParseTokenError> {
        let start = match &self.0 {
            Form::Plain { length } if token.len() != *length => return Err(ParseTokenError::Length),
            Form::Plain { .. } if !token.iter().all(|byte| ALPHABET.contains(byte)) => {
                return Err(ParseTokenError::Character);
            }
            Form::Plain { .. } => return Ok(()),
            Form::Prefixed { start } => start,
        };
        let rest = token.strip_prefix(start.as_bytes()).ok_or(ParseTokenError::Prefix)?;
        if rest.len() != BODY + CHECKSUM {
            return Err(ParseTokenError::Length);
        }
        if !rest.iter().all(u8::is_ascii_alphanumeric) {
            return Err(ParseTokenError::Character);
        }
        // From the right, since a prefix may hold underscores too.
        let (summed, sum) = token.split_at(token.len() - CHECKSUM);
        if checksum(summed) == *sum { Ok(()) } else { Err(ParseTokenError::Checksum) }
    }

    /// Returns a regular expression for programs that search for leaked secrets; `None` if the format is plain, since
    /// any long word could be such a token.
    ///
    /// It finds every token of this format that stands alone, and nothing else but mistyped ones: no regular expression
    /// can check a checksum. It has the syntax that RE2, Go, Rust, PCRE and JavaScript share. `docs/keys.md` in the
    /// repository shows the settings of gitleaks and trufflehog.
    ///
    /// ```
    /// # use cloakroom::TokenFormat;
    /// let regex = TokenFormat::prefixed("acme_live")?.regex();
    /// assert_eq!(regex.as_deref(), Some(r"\bacme_live_[0-9A-Za-z]{33}\b"));
    /// # Ok::<(), cloakroom::TokenPrefixError>(())
    /// ```
    pub fn regex(&self) -> Option<String> {
        match &self.0 {
            Form::Plain { .. } => None,
            Form::Prefixed { start } => Some(format!(r"\b{start}[0-9A-Za-z]{{{}}}\b", BODY + CHECKSUM)),
        }
    }

    /// Returns what may be shown of a token, so that its owner knows it again in a list: `acme_live_7Qx4…k3Fq`.
    ///
    /// These are the prefix and the first and the last four characters of the random part, in at most 42 characters. A
    /// hint is no secret: at least 112 bits of the token stay hidden, which is what NIST asks of a key ([SP 800-57 part
    /// 1](https://doi.org/10.6028/NIST.SP.800-57pt1r5), section 5.6.3). The checksum is never shown, since it would tell
    /// 32 bits of what is hidden.
    ///
    /// Of a plain token these are its first and last four characters, or fewer of a token under 27 characters, so that as
    /// much stays hidden. A token of another making, such as an imported one, is taken to carry 4 bits in a character, as
    /// hexadecimal does: less is shown of one under 36 characters, and `…` alone of one under 29.
    ///
    /// With the role `#[session(hint)]` a column holds each session's hint; see
    /// [`derive(SessionTable)`](derive@crate::SessionTable).
    pub fn hint(&self, token: &Token) -> String {
        let text = token.expose();
        match (&self.0, self.check(text.as_bytes())) {
            (Form::Prefixed { start }, Ok(())) => {
                let body = &text[start.len()..start.len() + BODY];
                format!("{start}{}", ends(body, HIDDEN))
            }
            (Form::Plain { .. }, Ok(())) => ends(text, HIDDEN),
            (_, Err(_)) => ends(text, HIDDEN_OF_UNKNOWN),
        }
    }
}

/// The format of a table's tokens by default: [`plain`](TokenFormat::plain), of 64 characters.
impl Default for TokenFormat {
    fn default() -> Self {
        Self::plain(DEFAULT_LENGTH)
    }
}

impl fmt::Debug for TokenFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Form::Plain { length } => f.debug_tuple("Plain").field(length).finish(),
            Form::Prefixed { start } => {
                f.debug_tuple("Prefixed").field(&start.trim_end_matches('_')).finish()
            }
        }
    }
}

/// Returns a digit for four bytes out of each 62, and none for the bytes that are left over, so that all digits are
/// equally likely.
fn base62_digit(byte: u8) -> Option<char> {
    const USED: u8 = 4 * 62;
    (byte < USED).then(|| char::from(BASE62[usize::from(byte % 62)]))
}

fn checksum(bytes: &[u8]) -> [u8; CHECKSUM] {
    let mut rest = CRC.checksum(bytes) as usize;
    let mut digits = [0; CHECKSUM];
    for digit in digits.iter_mut().rev() {
        *digit = BASE62[rest % 62];
        rest /= 62;
    }
    digits
}

/// Returns the first and last characters of a secret, and as few of them as hide `hidden` characters.
fn ends(text: &str, hidden: usize) -> String {
    // Another system's token may hold anything, and a hint is shown.
    let is_shown = text.bytes().all(|byte| byte.is_ascii_graphic());
    let shown = if is_shown { text.len().saturating_sub(hidden).min(2 * SHOWN) } else { 0 };
    let (first, last) = (shown.div_ceil(2), shown / 2);
    format!("{}…{}", &text[..first], &text[text.len() - last..])
}

/// Why a text is no token of a [`TokenFormat`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ParseTokenError {
    /// It does not begin with the prefix and an underscore.
    Prefix,
    /// It is too short or too long. It may not have been copied as a whole.
    Length,
    /// It holds a character that no token of this format holds.
    Character,
    /// Its checksum is wrong: a character was mistyped, or two are in each other's place.
    Checksum,
}

impl fmt::Display for ParseTokenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Prefix => "the token does not begin with the expected prefix",
            Self::Length => "the token is too short or too long: it may not have been copied whole",
            Self::Character => "the token holds a character that no such token holds",
            Self::Checksum => "the token is mistyped: its checksum is wrong",
        })
    }
}

impl std::error::Error for ParseTokenError {}

/// Why a text is no prefix of a [`TokenFormat`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TokenPrefixError {
    /// It is empty or has more than 32 characters.
    Length,
    /// It holds a character other than `a–z 0–9 _`.
    Character,
    /// It begins or ends with an underscore.
    Underscore,
}

impl fmt::Display for TokenPrefixError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The text itself is not shown, since it may be a token in the wrong place.
        match self {
            Self::Length => write!(f, "the prefix of a token has 1 to {MAX_PREFIX} characters"),
            Self::Character => {
                f.write_str("the prefix of a token holds only the characters a to z, 0 to 9 and _")
            }
            Self::Underscore => {
                f.write_str("the prefix of a token neither begins nor ends with _, which follows it anyhow")
            }
        }
    }
}

impl std::error::Error for TokenPrefixError {}

#[cfg(test)]
mod tests;
