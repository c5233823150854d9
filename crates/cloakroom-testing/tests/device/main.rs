//! Sessions that are bound to a key of the browser's device, and renewed by its proofs.

mod migrated;
mod registered;
mod renewed;
mod together;

use std::time::Duration;

use cloakroom::device::{Challenge, DeviceKey};
use cloakroom::{
    BindingRefusal, BindingTerms, BoundSession, CreatedSession, NewSession, Registration, Renewal,
    SessionTable, Sessions, Token,
};
use cloakroom_testing::{Device, Kind, TestDatabase};

pub(crate) const MICROSECOND: Duration = Duration::from_micros(1);
pub(crate) const SECOND: Duration = Duration::from_secs(1);
pub(crate) const MINUTE: Duration = Duration::from_mins(1);
pub(crate) const DAY: Duration = Duration::from_hours(24);

/// By how much the clocks of two machines may differ.
pub(crate) const SLACK: Duration = Duration::from_mins(3);

/// The default.
pub(crate) const TERMS: BindingTerms = BindingTerms::new();

/// A browser that is logged in.
#[derive(Clone, Debug, PartialEq, SessionTable)]
#[session(table = "web")]
pub(crate) struct Web {
    #[session(index)]
    pub(crate) user_id: String,
    #[session(hint)]
    pub(crate) shown: Option<String>,
    #[session(device_key)]
    pub(crate) device_key: Option<DeviceKey>,
}

pub(crate) fn web(user_id: &str) -> NewSession<Web> {
    NewSession::new(Web { user_id: user_id.into(), shown: None, device_key: None })
}

/// A device, and the session that it is about to bind or has bound.
pub(crate) struct Browser {
    pub(crate) device: Device,
    pub(crate) token: Token,
    pub(crate) challenge: Challenge,
}

impl Browser {
    /// Logs in. The challenge is that of the registration.
    pub(crate) async fn logged_in(sessions: &Sessions<Web>) -> (Self, CreatedSession<Web>) {
        let created = sessions.create(web("1234")).await.unwrap();
        let challenge = sessions.device_challenge(&created.session).await.unwrap().unwrap();
        (Self { device: Device::new(), token: created.token.clone(), challenge }, created)
    }

    /// Logs in and registers. The challenge is that of the next renewal.
    pub(crate) async fn bound(sessions: &Sessions<Web>) -> (Self, BoundSession<Web>) {
        let (mut browser, _) = Self::logged_in(sessions).await;
        let proof = browser.device.registration(browser.challenge.as_str());
        let registration = sessions.register_device(&browser.token, Some(&proof), &TERMS).await.unwrap();
        let Registration::Bound(bound) = registration else { panic!("{registration:?}") };
        browser.challenge = bound.challenge.clone();
        (browser, bound)
    }

    /// The proof for the challenge in hand.
    pub(crate) fn proof(&self) -> Vec<u8> {
        self.device.proof(self.challenge.as_str())
    }

    /// Presents a token with the proof for the challenge in hand.
    pub(crate) async fn present(&self, sessions: &Sessions<Web>, token: &Token) -> Renewal<Web> {
        sessions.renew_bound(token, Some(&self.proof()), &TERMS).await.unwrap()
    }

    /// Renews, with a second round if it takes one, and returns the bound session.
    pub(crate) async fn renew(&mut self, sessions: &Sessions<Web>) -> BoundSession<Web> {
        for _ in 0..2 {
            match self.present(sessions, &self.token).await {
                Renewal::Renewed { bound, token } => {
                    self.token = token;
                    self.challenge = bound.challenge.clone();
                    return bound;
                }
                Renewal::Challenged { challenge, .. } => self.challenge = challenge,
                Renewal::Refused(because) => panic!("{because}"),
            }
        }
        panic!("two rounds were not enough")
    }
}

pub(crate) fn challenged(renewal: Renewal<Web>) -> (Challenge, BindingRefusal) {
    match renewal {
        Renewal::Challenged { challenge, because, .. } => (challenge, because),
        other => panic!("{other:?}"),
    }
}

pub(crate) fn renewed(renewal: Renewal<Web>) -> (BoundSession<Web>, Token) {
    match renewal {
        Renewal::Renewed { bound, token } => (bound, token),
        other => panic!("{other:?}"),
    }
}

pub(crate) fn refused(renewal: Renewal<Web>) -> BindingRefusal {
    match renewal {
        Renewal::Refused(because) => because,
        other => panic!("{other:?}"),
    }
}

pub(crate) async fn works(sessions: &Sessions<Web>, token: &Token) -> bool {
    sessions.authenticate(token).await.unwrap().is_some()
}

/// The first column of a query as a number.
pub(crate) async fn count(db: &TestDatabase, condition: &str) -> usize {
    let text = if db.kind() == Kind::MariaDb { "CHAR" } else { "TEXT" };
    let counted = db.texts(&format!("SELECT CAST(count(*) AS {text}) FROM {condition}")).await;
    counted[0].as_ref().unwrap().parse().unwrap()
}
