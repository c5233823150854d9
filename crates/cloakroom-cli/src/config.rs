//! Reads the settings: the configuration file, the salt from the environment, and the library's defaults.

use std::env;
use std::fmt;
use std::fs;
use std::path::Path;

use cloakroom::{Config, Hashing, TokenFormat};
use serde::de::{self, Deserialize, Deserializer, Visitor};
use zeroize::Zeroizing;

use crate::failure::Failure;
use crate::value::Span;

/// The environment variable for the salt, which comes before the file.
const SALT_VARIABLE: &str = "CLOAKROOM_SECRET_SALT";

/// The content of the configuration file. A missing setting has the library's default.
#[derive(Default, serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    token_length: Option<usize>,
    token_prefix: Option<String>,
    accept_unprefixed: Option<bool>,
    hashing: Option<HashingName>,
    secret_salt: Option<Salt>,
    ttl: Option<Span>,
    extend_after: Option<Span>,
    auto_extend: Option<bool>,
    max_lifetime: Option<Span>,
}

/// Returns the settings of `file`, if one is named, and of the environment. `prefix` comes before the file's, and
/// `no_extend` overrides whether reading extends.
pub(crate) fn load(file: Option<&Path>, prefix: Option<String>, no_extend: bool) -> Result<Config, Failure> {
    let salt = env::var_os(SALT_VARIABLE).map(|salt| Zeroizing::new(salt.into_encoded_bytes()));
    if let Some(prefix) = &prefix {
        // An error of the command line, and not of the file.
        TokenFormat::prefixed(prefix).map_err(|error| Failure::usage(format!("--prefix: {error}")))?;
    }
    match file {
        None => build(File { token_prefix: prefix, ..File::default() }, salt, no_extend),
        Some(path) => {
            let in_file = |failure: Failure| failure.context(format!("the configuration {}", path.display()));
            let text = fs::read_to_string(path)
                .map(Zeroizing::new)
                .map_err(|error| in_file(Failure::usage(error.to_string())))?;
            parse(&text)
                .and_then(|mut file| {
                    file.token_prefix = prefix.or(file.token_prefix);
                    build(file, salt, no_extend)
                })
                .map_err(in_file)
        }
    }
}

fn parse(text: &str) -> Result<File, Failure> {
    toml::from_str(text).map_err(|error| {
        // Not its Display, which shows the line, and that may be the salt's.
        let line = error.span().map(|span| text[..span.start].matches('\n').count() + 1);
        match line {
            Some(line) => Failure::usage(format!("line {line}: {}", error.message())),
            None => Failure::usage(error.message()),
        }
    })
}

fn build(file: File, salt: Option<Zeroizing<Vec<u8>>>, no_extend: bool) -> Result<Config, Failure> {
    // Its user sees that it waits, and may end it. A statement about a whole table takes its time.
    let mut config = Config::builder().timeout(None);
    let plain = file.token_length.map_or_else(TokenFormat::default, TokenFormat::plain);
    config = config.token_format(plain.clone());
    if let Some(prefix) = &file.token_prefix {
        let prefixed = TokenFormat::prefixed(prefix)
            .map_err(|error| Failure::usage(format!("token_prefix: {error}")))?;
        config = config.token_format(prefixed);
        if file.accept_unprefixed.unwrap_or(true) {
            config = config.accept_formats([plain]);
        }
    } else if file.accept_unprefixed == Some(false) {
        return Err(Failure::usage("accept_unprefixed = false leaves no token: it needs a token_prefix"));
    }
    if let Some(HashingName(hashing)) = file.hashing {
        config = config.hashing(hashing);
    }
    // Many shells express "no value" by an empty variable.
    let salt = salt.filter(|salt| !salt.is_empty()).or(file.secret_salt.map(|Salt(salt)| salt));
    if let Some(salt) = salt {
        config = config.secret_salt(salt.to_vec());
    }
    if let Some(ttl) = file.ttl {
        config = config.ttl(ttl.duration());
    }
    if let Some(gain) = file.extend_after {
        config = config.extend_after(gain.duration());
    }
    config = config.auto_extend(!no_extend && file.auto_extend.unwrap_or(true));
    if let Some(lifetime) = file.max_lifetime {
        config = config.max_lifetime(lifetime.duration());
    }
    Ok(config.build()?)
}

struct HashingName(Hashing);

impl<'de> Deserialize<'de> for HashingName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        name.parse().map(Self).map_err(|error| de::Error::custom(format!("{name:?} is {error}")))
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct SpanVisitor;

        impl Visitor<'_> for SpanVisitor {
            type Value = Span;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a span such as \"7d\" or \"12h\", or \"never\"")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Span, E> {
                Span::parse(text).map_err(|error| E::custom(format!("{text:?}: {error}")))
            }
        }

        deserializer.deserialize_str(SpanVisitor)
    }
}

struct Salt(Zeroizing<Vec<u8>>);

impl<'de> Deserialize<'de> for Salt {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // Parsed as any value first: serde's own error about another type would show the value.
        match toml::Value::deserialize(deserializer) {
            Ok(toml::Value::String(salt)) => Ok(Self(Zeroizing::new(salt.into_bytes()))),
            _ => Err(de::Error::custom("secret_salt must be text, in quotation marks")),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const DAY: Duration = Duration::from_hours(24);

    fn load(text: &str) -> Result<Config, String> {
        parse(text).and_then(|file| build(file, None, false)).map_err(|failure| format!("{failure:?}"))
    }

    #[test]
    fn an_empty_file_asks_for_the_defaults() {
        let config = load("").unwrap();
        assert_eq!(config.ttl(), Some(7 * DAY));
        assert_eq!(config.digests()[0].name(), "sha256");
    }

    #[test]
    fn every_setting_arrives() {
        let config = load(
            "token_length = 32\nhashing = \"sha512\"\nsecret_salt = \"pepper\"\nttl = \"12h\"\n\
             extend_after = \"1h\"\nauto_extend = false\nmax_lifetime = \"30d\"\n",
        )
        .unwrap();
        assert_eq!(config.token_length(), 32);
        assert_eq!(config.digests()[0].name(), "sha512");
        assert_eq!(config.ttl(), Some(DAY / 2));
        assert_eq!(config.extend_after(), Some(DAY / 24));
        assert!(!config.auto_extend());
        assert_eq!(config.max_lifetime(), Some(30 * DAY));
        let salted = Hashing::Sha512.digest(b"pepper", b"a token").unwrap();
        assert_eq!(config.digest("a token").unwrap().expose(), salted.expose());
    }

    #[test]
    fn a_prefix_is_that_of_new_tokens_and_others_are_accepted_unless_the_file_says_no() {
        let config = load("token_prefix = \"acme_live\"\ntoken_length = 32").unwrap();
        let live = TokenFormat::prefixed("acme_live").unwrap();
        let formats: Vec<_> = config.accepted_formats().cloned().collect();
        assert_eq!(formats, [live.clone(), TokenFormat::plain(32)]);
        let alone = load("token_prefix = \"acme_live\"\naccept_unprefixed = false").unwrap();
        assert_eq!(alone.accepted_formats().cloned().collect::<Vec<_>>(), [live]);
        assert_eq!(*load("accept_unprefixed = true").unwrap().token_format(), TokenFormat::default());
    }

    #[test]
    fn the_originals_names_and_its_stale_time_of_nothing_are_understood() {
        for (name, hashing) in [
            ("sha", Hashing::Sha1),
            ("sha3_256", Hashing::Sha3_256),
            ("blake2b", Hashing::Blake2b512),
            ("blake2s", Hashing::Blake2s256),
        ] {
            let config = load(&format!("hashing = \"{name}\"")).unwrap();
            assert_eq!(config.digests()[0].name(), hashing.to_string());
        }
        assert_eq!(load("extend_after = \"0s\"").unwrap().extend_after(), Some(Duration::ZERO));
    }

    #[test]
    fn never_is_none() {
        let config = load("ttl = \"never\"\nextend_after = \"never\"\nmax_lifetime = \"never\"").unwrap();
        assert_eq!((config.ttl(), config.extend_after(), config.max_lifetime()), (None, None, None));
    }

    #[test]
    fn the_salt_of_the_environment_comes_before_the_one_of_the_file() {
        let digest = |file: &str, variable: &[u8]| {
            let salt = Some(Zeroizing::new(variable.to_vec()));
            let config = build(parse(file).unwrap(), salt, false).unwrap();
            config.digest("a token").unwrap().expose().to_owned()
        };
        let peppered = Hashing::Sha256.digest(b"pepper", b"a token").unwrap().expose().to_owned();
        assert_eq!(digest("secret_salt = \"other\"", b"pepper"), peppered);
        assert_eq!(digest("secret_salt = \"pepper\"", b""), peppered);
    }

    #[test]
    fn a_mistake_is_an_error_that_says_where_and_what() {
        for (text, expected) in [
            ("ttl = \"7d\"\ntlt = 1", "line 2: unknown field `tlt`"),
            ("hashing = \"md5\"", "line 1: \\\"md5\\\" is"),
            ("ttl = 7", "a span such as"),
            ("ttl = \"soon\"", "soon"),
            ("ttl = \"0s\"", "ttl"),
            ("max_lifetime = \"0s\"", "max_lifetime"),
            ("token_length = \"long\"", "line 1"),
            ("token_length = 21", "at least 22"),
            ("token_prefix = \"Acme\"", "only the characters a to z"),
            ("token_prefix = 7", "line 1"),
            ("accept_unprefixed = false", "needs a token_prefix"),
            ("secret_salt = \"\"", "must not be empty"),
            ("ttl = \"1d\"\nextend_after = \"2d\"", "must be less than ttl"),
            ("ttl = ", "line 1"),
            ("hashing = \"none\"\nsecret_salt = \"x\"", "cannot be salted"),
        ] {
            let error = load(text).unwrap_err();
            assert!(error.contains(expected), "{text:?}: {error}");
        }
    }

    #[test]
    fn no_mistake_shows_the_salt() {
        for text in [
            "secret_slat = \"hush123\"",
            "secret_salt = \"hush123",
            "secret_salt = hush123",
            "secret_salt = [\"hush123\"]",
            "secret_salt = \"hush123\" x",
            "secret_salt = \"hush123\"\nsecret_salt = \"hush123\"",
            "hashing = \"none\"\nsecret_salt = \"hush123\"",
            "secret_salt = \"\\hush123\"",
            "\"hush123\"",
        ] {
            let error = load(text).unwrap_err();
            assert!(!error.contains("ush123"), "{text:?}: {error}");
        }
        assert!(!load("secret_salt = 20260123").unwrap_err().contains("20260123"));
    }
}
