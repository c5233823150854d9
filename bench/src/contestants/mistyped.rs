//! Clients that present mistyped keys.

use std::hint::black_box;
use std::sync::Arc;

use cloakroom::{Sessions, TokenFormat};

use super::{Performs, Refuse, pick};
use crate::dataset::UserSession;
use crate::failure::Outcome;

/// How many different keys there are.
const KEYS: u64 = 10_000;

/// The format of the keys.
pub fn format() -> Outcome<TokenFormat> {
    Ok(TokenFormat::prefixed("acme_live")?)
}

/// Keys with one character of the random part mistyped.
#[derive(Clone)]
pub struct Keys(Arc<[String]>);

impl Keys {
    pub fn mistyped() -> Outcome<Self> {
        let format = format()?;
        let start = format.length() - 33;
        let mistyped = |number: u64| {
            let key = format.generate()?;
            let place = start + (number % 27) as usize;
            let (before, after) = key.expose().split_at(place);
            let other = if after.starts_with('0') { '1' } else { '0' };
            Outcome::Ok(format!("{before}{other}{}", &after[1..]))
        };
        let keys: Outcome<Vec<_>> = (0..KEYS).map(mistyped).collect();
        Ok(Self(keys?.into()))
    }
}

/// Cloakroom, which refuses them, at once or after a question to the database.
#[derive(Clone)]
pub struct Refusing {
    pub sessions: Sessions<UserSession>,
    pub keys: Keys,
}

/// Picks a key, and does nothing with it.
#[derive(Clone)]
pub struct Harness(pub Keys);

impl Performs<Refuse> for Refusing {
    async fn perform(&self, random: u64) -> Outcome {
        match black_box(self.sessions.authenticate(pick(&self.keys.0, random)).await?) {
            None => Ok(()),
            Some(_) => Err("a mistyped key was accepted".into()),
        }
    }
}

impl Performs<Refuse> for Harness {
    async fn perform(&self, random: u64) -> Outcome {
        black_box(pick(&self.0.0, random).as_bytes().first());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_is_mistyped_in_one_character() {
        let format = format().unwrap();
        let wrong = Err(cloakroom::ParseTokenError::Checksum);
        assert!(Keys::mistyped().unwrap().0.iter().all(|key| format.parse(key) == wrong));
    }
}
