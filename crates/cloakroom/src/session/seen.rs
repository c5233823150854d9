//! What is known of the request with which a session was used.

use std::fmt;
use std::marker::PhantomData;
use std::net::IpAddr;
use std::sync::Arc;

use crate::table::{HasLastAddress, HasLastUserAgent, SessionFields};

/// The longest text that is kept of a `User-Agent`, in characters: what a column of text holds.
const LONGEST_USER_AGENT: usize = 255;

/// What the caller knows of the request with which a session was used, for [`Sessions::seen`](crate::Sessions::seen).
///
/// What it does not name stays in the row as it is.
///
/// ```
/// # use cloakroom::{Session, SessionTable, Sessions};
/// use std::net::IpAddr;
///
/// use cloakroom::{Seen, time::OffsetDateTime};
///
/// #[derive(Clone, SessionTable)]
/// struct UserSession {
///     user_id: String,
///     #[session(last_seen)]
///     last_seen: Option<OffsetDateTime>,
///     #[session(last_address)]
///     last_address: Option<String>,
///     #[session(last_user_agent)]
///     last_user_agent: Option<String>,
/// }
///
/// fn note(sessions: &Sessions<UserSession>, session: &Session<UserSession>, peer: IpAddr, user_agent: &[u8]) {
///     sessions.seen(session, Seen::new().address(peer).user_agent(user_agent));
/// }
/// ```
#[must_use]
pub struct Seen<T> {
    pub(crate) client: Client,
    of: PhantomData<fn() -> T>,
}

/// What is known of the client that has used a session.
#[derive(Clone, Default, PartialEq, Eq)]
pub(crate) struct Client {
    pub(crate) address: Option<IpAddr>,
    pub(crate) user_agent: Option<Arc<str>>,
}

impl<T: SessionFields> Seen<T> {
    /// Makes a use of which only the instant is known.
    pub fn new() -> Self {
        Self { client: Client::default(), of: PhantomData }
    }

    /// Sets the address of the client: that of the connection or, behind a proxy that is trusted, the one that the proxy
    /// names. An IPv4 address in the form of IPv6, `::ffff:192.0.2.1`, is kept as `192.0.2.1`.
    pub fn address(self, address: impl Into<IpAddr>) -> Self
    where
        T: HasLastAddress,
    {
        self.from_client(Some(address.into()), None)
    }

    /// Sets the `User-Agent` of the request: any bytes, of any length. At most 255 characters are kept, or as many as the
    /// column holds if those are fewer. A control character becomes a space, and what is no UTF-8 a replacement character.
    /// Text of blanks alone stands for none.
    pub fn user_agent(self, user_agent: impl AsRef<[u8]>) -> Self
    where
        T: HasLastUserAgent,
    {
        self.from_client(None, Some(user_agent.as_ref()))
    }

    /// Sets both as far as they are known, for code that works with any table, such as a layer of a web framework. What
    /// the table has no column for is left out.
    pub fn from_client(mut self, address: Option<IpAddr>, user_agent: Option<&[u8]>) -> Self {
        if let Some(address) = address {
            self.client.address = Some(address.to_canonical());
        }
        if let Some(user_agent) = user_agent {
            self.client.user_agent = cleaned(user_agent);
        }
        self
    }
}

impl<T: SessionFields> Default for Seen<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> Clone for Seen<T> {
    fn clone(&self) -> Self {
        Self { client: self.client.clone(), of: PhantomData }
    }
}

/// Says only what is known: addresses and programs are personal data, which need not stand in a log.
impl<T> fmt::Debug for Seen<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Seen")
            .field("has_address", &self.client.address.is_some())
            .field("has_user_agent", &self.client.user_agent.is_some())
            .finish()
    }
}

impl Client {
    pub(crate) fn is_unknown(&self) -> bool {
        *self == Self::default()
    }

    /// Returns what is known after a later use by `later`.
    pub(crate) fn followed_by(&self, later: &Self) -> Self {
        Self {
            address: later.address.or(self.address),
            user_agent: later.user_agent.as_ref().or(self.user_agent.as_ref()).map(Arc::clone),
        }
    }
}

/// Returns the text of a header as it is kept, or `None` if nothing of it is.
fn cleaned(header: &[u8]) -> Option<Arc<str>> {
    // A character has four bytes at most.
    let header = &header[..header.len().min(4 * LONGEST_USER_AGENT)];
    let text = String::from_utf8_lossy(header);
    let printed = text.chars().map(|character| if character.is_control() { ' ' } else { character });
    let text: String = printed.take(LONGEST_USER_AGENT).collect();
    let text = text.trim();
    (!text.is_empty()).then(|| text.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_is_kept_as_far_as_a_column_can_hold_it() {
        let kept = |header: &[u8]| cleaned(header).map(|text| text.to_string());
        assert_eq!(kept(b"curl/8.5.0").as_deref(), Some("curl/8.5.0"));
        assert_eq!(kept(b" a\0b\r\nc\td\x7f ").as_deref(), Some("a b  c d"));
        assert_eq!(kept(b"caf\xe9").as_deref(), Some("caf\u{fffd}"));
        for blank in [&b""[..], b" ", b"\0\n", b"\t\t"] {
            assert_eq!(kept(blank), None);
        }
        for (character, length) in [("x", 1), ("é", 2), ("漢", 3), ("🦀", 4)] {
            for count in [254, 255, 256, 100_000] {
                let text = kept(character.repeat(count).as_bytes()).unwrap();
                assert_eq!(
                    text,
                    character.repeat(count.min(LONGEST_USER_AGENT)),
                    "{count} of {length} bytes"
                );
            }
        }
        // The cut goes through a character.
        let long = format!("x{}", "🦀".repeat(400));
        assert_eq!(kept(long.as_bytes()).unwrap(), format!("x{}", "🦀".repeat(254)));
    }

    #[test]
    fn an_address_has_one_form_and_a_later_use_keeps_what_it_does_not_know() {
        let seen = |address: &str| {
            let seen: Seen<crate::DynamicFields> = Seen::new().address(address.parse::<IpAddr>().unwrap());
            seen.client.address.unwrap().to_string()
        };
        assert_eq!(seen("::ffff:192.0.2.1"), "192.0.2.1");
        assert_eq!(seen("2001:DB8:0:0::1"), "2001:db8::1");
        let client = |address: Option<&str>, user_agent: Option<&str>| Client {
            address: address.map(|address| address.parse().unwrap()),
            user_agent: user_agent.map(Into::into),
        };
        let both = client(Some("192.0.2.1"), Some("curl"));
        assert!(both.followed_by(&Client::default()) == both && Client::default().is_unknown());
        let moved = both.followed_by(&client(Some("192.0.2.2"), None));
        assert!(moved == client(Some("192.0.2.2"), Some("curl")));
    }
}
