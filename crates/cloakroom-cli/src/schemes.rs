//! Reads the digest schemes that settings and arguments name: `sha512`, `knox4=sha512:decoded-hex`, and the keys of
//! `CLOAKROOM_KEYS`.
//!
//! No error quotes what may be a secret in the wrong place.

use std::env;

use cloakroom::{Config, Hashing, Key, Reading, Scheme};
use zeroize::Zeroizing;

/// The environment variable with the keys, newest first.
pub(crate) const KEYS_VARIABLE: &str = "CLOAKROOM_KEYS";

/// How a scheme is written.
const FORM: &str = "write it as TAG=HASH, followed by steps such as :decoded-hex";

/// A scheme as it was written, for comparing two of them.
#[derive(Clone)]
pub(crate) struct Written {
    /// The tag, or the name of a hash.
    pub(crate) name: String,
    /// Whether it says how the digests are made. A name alone refers to a scheme of the configuration, or is a hash.
    pub(crate) text: Option<String>,
    pub(crate) scheme: Option<Scheme>,
}

impl Written {
    /// Reads `TAG=HASH[:STEP]…`, or a name alone.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        Self::parse_with(text, &variable)
    }

    fn parse_with(text: &str, variable: &Variable<'_>) -> Result<Self, String> {
        match text.split_once('=') {
            None => {
                let scheme = text.parse().ok().map(Scheme::hashed);
                Ok(Self { name: text.to_owned(), text: None, scheme })
            }
            Some((tag, reading)) => {
                if !is_tag(tag) {
                    return Err(format!(
                        "its tag must have 1 to 32 letters, digits, hyphens, underscores and dots; {FORM}"
                    ));
                }
                let scheme = Scheme::adopted(tag.to_owned(), self::reading(reading, variable)?);
                Ok(Self { name: tag.to_owned(), text: Some(reading.to_owned()), scheme: Some(scheme) })
            }
        }
    }
}

type Variable<'v> = dyn Fn(&str) -> Option<Zeroizing<Vec<u8>>> + 'v;

fn variable(name: &str) -> Option<Zeroizing<Vec<u8>>> {
    let value = env::var_os(name).map(|value| Zeroizing::new(value.into_encoded_bytes()));
    value.filter(|value| !value.is_empty())
}

fn is_tag(text: &str) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    (1..=32).contains(&text.len()) && text.bytes().all(is_allowed)
}

/// Reads `HASH[:STEP]…`.
fn reading(text: &str, variable: &Variable<'_>) -> Result<Reading, String> {
    let (hash, mut rest) = text.split_once(':').map_or((text, None), |(hash, rest)| (hash, Some(rest)));
    let mut reading = match hash {
        "wordpress" => Reading::wordpress(),
        hash => match hash.parse() {
            Ok(Hashing::DangerousPlaintext) => {
                return Err("what the other system has not hashed is a token, and needs no scheme".to_owned());
            }
            Ok(hashing) => Reading::of(hashing),
            Err(_) => {
                return Err(format!("it names no hash that is known, such as sha256 or sha512; {FORM}"));
            }
        },
    };
    while let Some(steps) = rest {
        let step;
        (step, rest) = next_step(steps);
        reading = with_step(reading, step, variable)?;
    }
    Ok(reading)
}

/// Returns the first step, and the others. The separator of `after=` may be a colon.
fn next_step(steps: &str) -> (&str, Option<&str>) {
    let separator = steps.strip_prefix("after=").and_then(|rest| rest.chars().next());
    let least = separator.map_or(0, |separator| "after=".len() + separator.len_utf8());
    match steps[least..].find(':') {
        Some(end) => (&steps[..least + end], Some(&steps[least + end + 1..])),
        None => (steps, None),
    }
}

fn with_step(reading: Reading, step: &str, variable: &Variable<'_>) -> Result<Reading, String> {
    let (name, value) = step.split_once('=').map_or((step, None), |(name, value)| (name, Some(value)));
    let secret = || {
        let name = value.unwrap_or_default();
        let is_name = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
        if name.is_empty() || !name.bytes().all(is_name) {
            return Err("prepend-env and append-env take the name of an environment variable".to_owned());
        }
        // The name itself may be a secret in the wrong place.
        variable(name).ok_or_else(|| {
            "the environment variable that prepend-env or append-env names is not set, or is empty".to_owned()
        })
    };
    match (name, value) {
        ("decoded-hex", None) => Ok(reading.decoded_hex()),
        ("decoded-base64url", None) => Ok(reading.decoded_base64url()),
        ("twice", None) => Ok(reading.twice()),
        ("after", Some(separator)) => {
            let mut characters = separator.chars();
            match (characters.next(), characters.next()) {
                (Some(separator), None) => Ok(reading.after(separator)),
                _ => Err("after takes one character, as in after=|".to_owned()),
            }
        }
        ("prepend-env", _) => Ok(reading.prepend(secret()?.to_vec())),
        ("append-env", _) => Ok(reading.append(secret()?.to_vec())),
        ("prepend" | "append", _) => Err(
            "a secret does not stand on the command line or in the configuration: put it into an environment \
             variable, and say prepend-env=NAME or append-env=NAME"
                .to_owned(),
        ),
        _ => Err(
            "it has a step that is none of after=CHARACTER, decoded-hex, decoded-base64url, prepend-env=NAME, \
             append-env=NAME and twice"
                .to_owned(),
        ),
    }
}

/// Reads the keys of the environment, newest first.
pub(crate) fn keys() -> Result<Vec<Scheme>, String> {
    match variable(KEYS_VARIABLE) {
        Some(text) => parse_keys(&text).map_err(|error| format!("{KEYS_VARIABLE}: {error}")),
        None => Ok(Vec::new()),
    }
}

fn parse_keys(text: &[u8]) -> Result<Vec<Scheme>, String> {
    let text = std::str::from_utf8(text).map_err(|_| "it is not UTF-8".to_owned())?;
    let entries: Vec<&str> = text.split(',').map(str::trim).collect();
    let of = |place: usize| format!("key {} of {}", place + 1, entries.len());
    let parse = |(place, entry): (usize, &&str)| {
        let form = "write NAME:BASE64, as `cloakroom keys generate` does";
        let (name, key) =
            entry.split_once(':').ok_or_else(|| format!("{} has no name; {form}", of(place)))?;
        if !is_tag(name) {
            return Err(format!(
                "the name of {} must have 1 to 32 letters, digits, hyphens, underscores and dots; {form}",
                of(place)
            ));
        }
        let key = Key::from_base64(key).map_err(|error| format!("{}: {error}", of(place)))?;
        Ok(Scheme::hmac_sha256(name.to_owned(), &key))
    };
    entries.iter().enumerate().map(parse).collect()
}

/// Makes a new key, and returns its name and its entry for [`KEYS_VARIABLE`].
pub(crate) fn generate(name: String) -> Result<(String, Zeroizing<String>), String> {
    if !is_tag(&name) {
        return Err(
            "a key's name must have 1 to 32 letters, digits, hyphens, underscores and dots".to_owned()
        );
    }
    let is_taken = keys()?.iter().any(|scheme| scheme.name().eq_ignore_ascii_case(&name));
    if is_taken {
        return Err(format!(
            "{KEYS_VARIABLE} has a key of the name {name}, and a name always stands for the same key; give another"
        ));
    }
    let key = Key::generate().map_err(|error| error.to_string())?;
    // The library's own rules hold for names too.
    let scheme = Scheme::hmac_sha256(name.clone(), &key);
    Config::builder().digests([scheme]).build().map_err(|error| error.to_string())?;
    let entry = Zeroizing::new(format!("{name}:{}", key.expose_base64().as_str()));
    Ok((name, entry))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Written, String> {
        Written::parse_with(text, &|name| (name == "PEPPER").then(|| Zeroizing::new(b"pepper".to_vec())))
    }

    #[test]
    fn a_reading_is_written_as_its_steps() {
        let of = Reading::of;
        for (text, reading) in [
            ("knox5=sha512", of(Hashing::Sha512)),
            ("knox4=sha512:decoded-hex", of(Hashing::Sha512).decoded_hex()),
            ("phx=sha256:decoded-base64url", of(Hashing::Sha256).decoded_base64url()),
            ("sanctum=sha256:after=|", of(Hashing::Sha256).after('|')),
            ("colon=sha256:after=::twice", of(Hashing::Sha256).after(':').twice()),
            ("grafana=sha256:append-env=PEPPER", of(Hashing::Sha256).append("pepper")),
            ("gitlab=sha256:prepend-env=PEPPER:twice", of(Hashing::Sha256).prepend("pepper").twice()),
            ("wp=wordpress", Reading::wordpress()),
        ] {
            let written = parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
            let expected = Scheme::adopted(written.name.clone(), reading);
            let token = "12|61626364:61626364";
            for token in [token, "61626364"] {
                let digest =
                    |scheme: &Scheme| scheme.digest(token).map(|digest| digest.expose().to_owned()).ok();
                assert_eq!(digest(written.scheme.as_ref().unwrap()), digest(&expected), "{text}");
            }
        }
        let named = parse("sha512").unwrap();
        assert_eq!((named.text, named.scheme.unwrap().name().into_owned()), (None, "sha512".to_owned()));
        assert!(parse("2025-04").unwrap().scheme.is_none());
    }

    #[test]
    fn a_mistake_in_a_reading_is_named_and_no_secret_shown() {
        for (text, expected) in [
            ("a$b=sha256", "its tag must have"),
            ("=sha256", "its tag must have"),
            ("x=md5", "no hash that is known"),
            ("x=", "no hash that is known"),
            ("x=none", "needs no scheme"),
            ("x=sha256:", "it has a step that is none of"),
            ("x=sha256:twice=hush", "it has a step that is none of"),
            ("x=sha256:hush", "it has a step that is none of"),
            ("x=sha256:after=hush", "after takes one character"),
            ("x=sha256:after=", "after takes one character"),
            ("x=sha256:append=hush", "append-env=NAME"),
            ("x=sha256:prepend=hush", "append-env=NAME"),
            ("x=sha256:append-env=HUSH", "is not set, or is empty"),
            ("x=sha256:append-env=hush!", "take the name of an environment variable"),
            ("x=sha256:append-env", "take the name of an environment variable"),
        ] {
            let error = parse(text).err().unwrap_or_else(|| panic!("{text}"));
            assert!(error.contains(expected), "{text}: {error}");
            assert!(!error.to_lowercase().contains("hush"), "{text}: {error}");
        }
    }

    #[test]
    fn keys_are_read_newest_first_and_a_mistake_does_not_show_them() {
        let (one, other) = (Key::generate().unwrap(), Key::generate().unwrap());
        let text = format!(
            "2026-11:{}, 2025-04:{}\n",
            *one.expose_base64(),
            other.expose_base64().trim_end_matches('=')
        );
        let schemes = parse_keys(text.as_bytes()).unwrap();
        let expected = [Scheme::hmac_sha256("2026-11", &one), Scheme::hmac_sha256("2025-04", &other)];
        for (scheme, expected) in schemes.iter().zip(&expected) {
            assert_eq!(scheme.digest("token").unwrap().expose(), expected.digest("token").unwrap().expose());
        }
        assert_eq!(schemes.len(), 2);
        let secret = one.expose_base64();
        for (text, expected) in [
            (secret.as_str().to_owned(), "key 1 of 1 has no name"),
            (format!("2026-11:{},", *secret), "key 2 of 2 has no name"),
            (format!("{}:2026-11", *secret), "the name of key 1 of 1 must have"),
            ("2026-11:aHVzaA==".to_owned(), "key 1 of 1: the key has 4 bytes"),
            ("2026-11:".to_owned(), "key 1 of 1: the key is empty"),
            (format!("2026-11:{}!", *secret), "key 1 of 1: the key is not base64"),
        ] {
            let error = parse_keys(text.as_bytes()).unwrap_err();
            assert!(error.contains(expected), "{error}");
            assert!(!error.contains(secret.as_str()) && !error.contains("aHVzaA"), "{error}");
        }
    }
}
