//! Passwords: their hashes, and the limit on attempts.

use std::hash::{BuildHasher, Hash, RandomState};
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::Arc;

use argon2::Argon2;
use argon2::password_hash::{Error, PasswordHasher, PasswordVerifier};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};
use tokio::sync::Semaphore;

/// For a name: ten attempts at once, then one every six seconds.
const PER_NAME: Quota = Quota::per_minute(NonZeroU32::new(10).unwrap());

/// For an address, which many users may share: sixty attempts at once, then one a second.
const PER_ADDRESS: Quota = Quota::per_minute(NonZeroU32::new(60).unwrap());

/// Attempts are counted by a few bits of a hash, so that the memory is bounded for any input. Two keys that share a
/// count by chance share the limit. A client cannot choose which keys do, because the hash has a secret key.
type Slot = u16;

/// Limits how often passwords may be tried, by name and by address. It counts in this process: an application of
/// several processes would count in its database or in its proxy.
#[derive(Debug)]
pub(crate) struct AttemptLimit {
    hasher: RandomState,
    names: DefaultKeyedRateLimiter<Slot>,
    addresses: DefaultKeyedRateLimiter<Slot>,
}

impl AttemptLimit {
    pub(crate) fn new() -> Self {
        Self {
            hasher: RandomState::new(),
            names: RateLimiter::keyed(PER_NAME),
            addresses: RateLimiter::keyed(PER_ADDRESS),
        }
    }

    /// Counts an attempt. Returns `true` if it is allowed.
    pub(crate) fn allows(&self, name: &str, address: IpAddr) -> bool {
        self.addresses.check_key(&self.slot(network(address))).is_ok()
            && self.names.check_key(&self.slot(name)).is_ok()
    }

    fn slot(&self, key: impl Hash) -> Slot {
        let [low, high, ..] = self.hasher.hash_one(key).to_le_bytes();
        Slot::from_le_bytes([low, high])
    }
}

/// Returns the part of an address that identifies a client. A client with IPv6 has 64 bits of addresses.
fn network(address: IpAddr) -> u128 {
    match address.to_canonical() {
        IpAddr::V4(address) => u128::from(address.to_bits()),
        IpAddr::V6(address) => address.to_bits() >> 64 << 64,
    }
}

/// Hashes and verifies passwords, a few at a time: each takes 19 MiB and tens of milliseconds of a processor.
#[derive(Clone, Debug)]
pub(crate) struct Passwords {
    permits: Arc<Semaphore>,
    /// The hash of no password. It is verified if there is no user, so that the time does not reveal that.
    decoy: Arc<str>,
}

impl Passwords {
    pub(crate) fn new() -> Result<Self, Error> {
        let processors = std::thread::available_parallelism().map_or(2, usize::from);
        let decoy = hash(&RandomState::new().hash_one(0).to_string())?;
        Ok(Self { permits: Arc::new(Semaphore::new(processors)), decoy: decoy.into() })
    }

    pub(crate) async fn hash(&self, password: String) -> Result<String, Error> {
        self.run(move || hash(&password)).await?
    }

    /// Returns `true` if it is the password. Without a hash it is never the password.
    pub(crate) async fn verify(&self, password: String, hash: Option<String>) -> Result<bool, Error> {
        let is_there = hash.is_some();
        let hash = hash.unwrap_or_else(|| self.decoy.to_string());
        let verified =
            self.run(move || Argon2::default().verify_password(password.as_bytes(), hash.as_str()));
        match verified.await? {
            Ok(()) => Ok(is_there),
            Err(Error::PasswordInvalid) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Runs on a thread that may block.
    async fn run<R: Send + 'static>(&self, work: impl FnOnce() -> R + Send + 'static) -> Result<R, Error> {
        let permit = Arc::clone(&self.permits).acquire_owned().await.map_err(|_| Error::Internal)?;
        // The work holds it, because the work goes on if its caller is dropped.
        let work = move || {
            let _permit = permit;
            work()
        };
        tokio::task::spawn_blocking(work).await.map_err(|_| Error::Internal)
    }
}

fn hash(password: &str) -> Result<String, Error> {
    Ok(Argon2::default().hash_password(password.as_bytes())?.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_limited_from_whatever_address() {
        let limit = AttemptLimit::new();
        let tried = (0..100_u8).filter(|n| limit.allows("bob", IpAddr::from([192, 0, 2, *n]))).count();
        assert_eq!(tried, 10);
    }

    #[test]
    fn an_address_is_limited_for_whatever_name() {
        let limit = AttemptLimit::new();
        let tried = (0..100).filter(|n| limit.allows(&n.to_string(), IpAddr::from([192, 0, 2, 1]))).count();
        assert_eq!(tried, 60);
    }

    #[tokio::test]
    async fn work_whose_caller_went_away_keeps_its_permit_until_it_is_done() {
        let passwords = Passwords { permits: Arc::new(Semaphore::new(1)), decoy: "".into() };
        let (starts, started) = tokio::sync::oneshot::channel();
        let (finish, finished) = std::sync::mpsc::channel::<()>();
        let mut work = Box::pin(passwords.run(move || {
            starts.send(()).unwrap();
            finished.recv().unwrap();
        }));
        tokio::select! {
            done = &mut work => panic!("{done:?}"),
            started = started => started.unwrap(),
        }
        drop(work);
        assert_eq!(passwords.permits.available_permits(), 0);
        finish.send(()).unwrap();
        drop(passwords.permits.acquire().await.unwrap());
    }

    #[test]
    fn one_network_of_ipv6_is_one_address() {
        let of = |text: &str| network(text.parse().unwrap());
        assert_eq!(of("2001:db8::1"), of("2001:db8::ffff:1"));
        assert_ne!(of("2001:db8::1"), of("2001:db8:0:1::1"));
        assert_eq!(of("::ffff:192.0.2.1"), of("192.0.2.1"));
    }
}
