//! What a refused client is told: the status, the challenge and the body. This file knows no framework.
//!
//! The challenges are those of [RFC 6750](https://www.rfc-editor.org/rfc/rfc6750#section-3) and
//! [RFC 9470](https://www.rfc-editor.org/rfc/rfc9470#section-3), the body for programs is that of
//! [RFC 9457](https://www.rfc-editor.org/rfc/rfc9457).

use std::time::Duration;

use http::{HeaderValue, StatusCode};

use crate::client::Client;
use crate::requirement::Lack;

/// Why a request is refused.
#[derive(Clone, Copy)]
pub(crate) enum Refusal<'r> {
    LoggedOut { is_token_refused: bool },
    Malformed,
    Ambiguous,
    Lacks(&'r Lack),
}

impl Refusal<'_> {
    pub(crate) fn status(self) -> StatusCode {
        match self {
            Self::LoggedOut { .. } | Self::Lacks(Lack::Fresh(_)) => StatusCode::UNAUTHORIZED,
            Self::Malformed | Self::Ambiguous => StatusCode::BAD_REQUEST,
            Self::Lacks(_) => StatusCode::FORBIDDEN,
        }
    }

    /// Returns the sentence that a client is told.
    pub(crate) fn sentence(self) -> &'static str {
        match self {
            Self::LoggedOut { .. } => "You are not logged in.",
            Self::Malformed => "The credential in this request is malformed.",
            Self::Ambiguous => "This request has two different credentials.",
            Self::Lacks(Lack::Scope(_)) => "This is more than the credential allows.",
            Self::Lacks(Lack::Fresh(_)) => "You have to confirm who you are.",
            #[cfg(feature = "dbsc")]
            Self::Lacks(Lack::Bound) => "This needs a browser that binds its session to the device.",
        }
    }

    /// Returns the code that the error has in the challenge, if there is any.
    fn code(self) -> Option<&'static str> {
        match self {
            // A client that presented nothing gets no reason: RFC 6750, section 3.1.
            Self::LoggedOut { is_token_refused } => is_token_refused.then_some("invalid_token"),
            Self::Malformed | Self::Ambiguous => Some("invalid_request"),
            Self::Lacks(Lack::Scope(_)) => Some("insufficient_scope"),
            Self::Lacks(Lack::Fresh(_)) => Some("insufficient_user_authentication"),
            #[cfg(feature = "dbsc")]
            Self::Lacks(Lack::Bound) => None,
        }
    }

    /// Returns `WWW-Authenticate`.
    pub(crate) fn challenge(self) -> Option<HeaderValue> {
        let error = match self.code() {
            Some(code) => format!(" error=\"{code}\""),
            None if matches!(self, Self::LoggedOut { .. }) => String::new(),
            None => return None,
        };
        let needed = match self {
            // A scope has no character that would end the quotation.
            Self::Lacks(Lack::Scope(scope)) => format!(", scope=\"{scope}\""),
            Self::Lacks(Lack::Fresh(span)) => format!(", max_age=\"{}\"", seconds(*span)),
            _ => String::new(),
        };
        HeaderValue::try_from(format!("Bearer{error}{needed}")).ok()
    }

    /// Returns the body, and its type.
    pub(crate) fn body(self, client: Client) -> (&'static str, String) {
        if client != Client::Program {
            return ("text/plain; charset=utf-8", format!("{}\n", self.sentence()));
        }
        let status = self.status();
        let mut body = serde_json::json!({
            "title": status.canonical_reason(),
            "status": status.as_u16(),
            "detail": self.sentence(),
        });
        if let Some(code) = self.code() {
            body["error"] = code.into();
        }
        match self {
            Self::Lacks(Lack::Scope(scope)) => body["scope"] = (**scope).into(),
            Self::Lacks(Lack::Fresh(span)) => body["max_age"] = seconds(*span).into(),
            _ => {}
        }
        ("application/problem+json", body.to_string())
    }
}

fn seconds(span: Duration) -> u64 {
    span.as_secs()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn challenges_are_those_of_the_standards() {
        let text = |refusal: Refusal<'_>| {
            refusal.challenge().map(|challenge| challenge.to_str().unwrap().to_owned())
        };
        let scope = Lack::Scope("read:all".into());
        let fresh = Lack::Fresh(Duration::from_millis(300_900));
        for (refusal, status, challenge) in [
            (Refusal::LoggedOut { is_token_refused: false }, 401, "Bearer"),
            (Refusal::LoggedOut { is_token_refused: true }, 401, "Bearer error=\"invalid_token\""),
            (Refusal::Malformed, 400, "Bearer error=\"invalid_request\""),
            (Refusal::Ambiguous, 400, "Bearer error=\"invalid_request\""),
            (Refusal::Lacks(&scope), 403, "Bearer error=\"insufficient_scope\", scope=\"read:all\""),
            (
                Refusal::Lacks(&fresh),
                401,
                "Bearer error=\"insufficient_user_authentication\", max_age=\"300\"",
            ),
        ] {
            assert_eq!((refusal.status().as_u16(), text(refusal).as_deref()), (status, Some(challenge)));
        }
        #[cfg(feature = "dbsc")]
        assert_eq!(text(Refusal::Lacks(&Lack::Bound)), None);
    }
}
