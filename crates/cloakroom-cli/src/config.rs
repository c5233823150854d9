//! Reads the settings: the configuration file, the salt from the environment, and the library's defaults.

use std::env;
use std::fmt;
use std::fs;
use std::path::Path;

use cloakroom::{Config, Hashing, Scheme, TokenFormat};
use serde::de::{self, Deserialize, Deserializer, Visitor};
use zeroize::Zeroizing;

use crate::failure::Failure;
use crate::schemes::{self, Written};
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
    #[serde(default)]
    schemes: Vec<String>,
}

/// What the environment adds to the file.
struct Environment {
    salt: Option<Zeroizing<Vec<u8>>>,
    keys: Vec<Scheme>,
}

/// Returns the settings of `file`, if one is named, and of the environment. `prefix` comes before the file's, and
/// `no_extend` overrides whether reading extends. `scheme` is one more under which tokens are found, or the name of one;
/// it is returned too.
pub(crate) fn load(
    file: Option<&Path>,
    prefix: Option<String>,
    no_extend: bool,
    scheme: Option<&str>,
) -> Result<(Config, Option<Scheme>), Failure> {
    let salt = env::var_os(SALT_VARIABLE).map(|salt| Zeroizing::new(salt.into_encoded_bytes()));
    let environment = Environment { salt, keys: schemes::keys().map_err(Failure::usage)? };
    if let Some(prefix) = &prefix {
        // An error of the command line, and not of the file.
        TokenFormat::prefixed(prefix).map_err(|error| Failure::usage(format!("--prefix: {error}")))?;
    }
    let scheme =
        scheme.map(|text| Written::parse(text).map_err(|problem| of_argument(&problem))).transpose()?;
    match file {
        None => build(File { token_prefix: prefix, ..File::default() }, environment, no_extend, scheme),
        Some(path) => {
            let in_file = |failure: Failure| failure.context(format!("the configuration {}", path.display()));
            let text = fs::read_to_string(path)
                .map(Zeroizing::new)
                .map_err(|error| in_file(Failure::usage(error.to_string())))?;
            parse(&text)
                .and_then(|mut file| {
                    file.token_prefix = prefix.or(file.token_prefix);
                    build(file, environment, no_extend, scheme)
                })
                .map_err(in_file)
        }
    }
}

fn of_argument(problem: &str) -> Failure {
    Failure::usage(format!("--scheme: {problem}"))
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

fn build(
    file: File,
    environment: Environment,
    no_extend: bool,
    argument: Option<Written>,
) -> Result<(Config, Option<Scheme>), Failure> {
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
    // Many shells express "no value" by an empty variable.
    let salt = environment.salt.filter(|salt| !salt.is_empty()).or(file.secret_salt.map(|Salt(salt)| salt));
    let mut digests = environment.keys;
    // With a key, what any program can compute is accepted only if that is asked for.
    if digests.is_empty() || file.hashing.is_some() || salt.is_some() {
        let hashing = file.hashing.map_or_else(Hashing::default, |HashingName(hashing)| hashing);
        digests.push(match salt {
            Some(salt) => Scheme::salted(hashing, salt.to_vec()),
            None => Scheme::hashed(hashing),
        });
    }
    let mut written = Vec::with_capacity(file.schemes.len());
    for (place, text) in file.schemes.iter().enumerate() {
        let wrong = |problem| Failure::usage(format!("entry {} of schemes: {problem}", place + 1));
        let entry = Written::parse(text).map_err(wrong)?;
        let Some(scheme) = &entry.scheme else {
            return Err(wrong("it is neither TAG=HASH nor the name of a hash".to_owned()));
        };
        digests.push(scheme.clone());
        written.push(entry);
    }
    let scheme = argument.map(|argument| named(argument, &written, &mut digests)).transpose()?;
    // What this command reads, it leaves under the scheme under which it is: the application's list decides.
    let digests = digests
        .into_iter()
        .enumerate()
        .map(|(place, scheme)| if place == 0 { scheme } else { scheme.incoming() });
    config = config.digests(digests);
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
    Ok((config.build()?, scheme))
}

/// Returns the scheme of `--scheme`. It is added to the others unless it is one of them.
fn named(argument: Written, configured: &[Written], digests: &mut Vec<Scheme>) -> Result<Scheme, Failure> {
    let Some(text) = &argument.text else {
        let found = digests.iter().find(|scheme| scheme.name() == argument.name);
        return found
            .cloned()
            .ok_or_else(|| of_argument("the configuration has no scheme of this name; say TAG=READING"));
    };
    match (configured.iter().find(|written| written.name == argument.name), argument.scheme) {
        (Some(same), Some(scheme)) if same.text.as_ref() == Some(text) => Ok(scheme),
        (Some(_), _) => Err(of_argument("the configuration has another reading for this tag")),
        (None, Some(scheme)) => {
            digests.push(scheme.clone());
            Ok(scheme)
        }
        (None, None) => Err(of_argument("say TAG=READING")),
    }
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

    use cloakroom::Key;

    use super::*;

    const DAY: Duration = Duration::from_hours(24);

    fn load_with(
        text: &str,
        salt: Option<&[u8]>,
        keys: Vec<Scheme>,
        scheme: Option<&str>,
    ) -> Result<(Config, Option<Scheme>), String> {
        let environment = Environment { salt: salt.map(|salt| Zeroizing::new(salt.to_vec())), keys };
        let scheme = scheme.map(|scheme| Written::parse(scheme).unwrap());
        let config = parse(text).and_then(|file| build(file, environment, false, scheme));
        config.map_err(|failure| format!("{failure:?}"))
    }

    fn load(text: &str) -> Result<Config, String> {
        load_with(text, None, Vec::new(), None).map(|(config, _)| config)
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
            let (config, _) = load_with(file, Some(variable), Vec::new(), None).unwrap();
            config.digest("a token").unwrap().expose().to_owned()
        };
        let peppered = Hashing::Sha256.digest(b"pepper", b"a token").unwrap().expose().to_owned();
        assert_eq!(digest("secret_salt = \"other\"", b"pepper"), peppered);
        assert_eq!(digest("secret_salt = \"pepper\"", b""), peppered);
    }

    fn names(config: &Config) -> Vec<String> {
        config.digests().iter().map(|scheme| scheme.name().into_owned()).collect()
    }

    #[test]
    fn keys_come_first_and_a_hash_beside_them_only_if_it_is_set() {
        let key = |name: &str| Scheme::hmac_sha256(name.to_owned(), &Key::from_bytes([7; 32]).unwrap());
        let keys = || vec![key("2026-11"), key("2025-04")];
        let schemes = "schemes = [\"knox4=sha512:decoded-hex\", \"sha512\"]";
        for (text, salt, expected) in [
            ("", None, &["2026-11", "2025-04"][..]),
            ("hashing = \"sha256\"", None, &["2026-11", "2025-04", "sha256"]),
            ("secret_salt = \"pepper\"", None, &["2026-11", "2025-04", "sha256"]),
            ("", Some(&b"pepper"[..]), &["2026-11", "2025-04", "sha256"]),
            (schemes, None, &["2026-11", "2025-04", "knox4", "sha512"]),
        ] {
            let (config, _) = load_with(text, salt, keys(), None).unwrap();
            assert_eq!(names(&config), expected, "{text}");
        }
        assert_eq!(names(&load(schemes).unwrap()), ["sha256", "knox4", "sha512"]);
    }

    #[test]
    fn a_scheme_of_an_argument_is_added_or_found_by_its_name() {
        let text = "schemes = [\"knox4=sha512:decoded-hex\"]";
        let with = |scheme| load_with(text, None, Vec::new(), Some(scheme));
        for (scheme, expected) in [
            ("knox5=sha512", &["sha256", "knox4", "knox5"][..]),
            ("knox4=sha512:decoded-hex", &["sha256", "knox4"]),
            ("knox4", &["sha256", "knox4"]),
            ("sha256", &["sha256", "knox4"]),
        ] {
            let (config, found) = with(scheme).unwrap();
            assert_eq!(names(&config), expected, "{scheme}");
            assert_eq!(found.unwrap().name(), scheme.split('=').next().unwrap());
        }
        for (scheme, expected) in [
            ("knox4=sha512", "has another reading for this tag"),
            ("sha512", "has no scheme of this name"),
            ("KNOX4=sha512", "KNOX4"),
        ] {
            let error = with(scheme).unwrap_err();
            assert!(error.contains(expected), "{error}");
        }
        let error = load("schemes = [\"sha256\", \"sha-hush\"]").unwrap_err();
        assert!(error.contains("entry 2 of schemes") && !error.contains("hush"), "{error}");
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
