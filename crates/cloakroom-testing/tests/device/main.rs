//! Sessions that are bound to a key of the browser's device, and renewed by its proofs.

mod migrated;
mod registered;
mod renewed;
mod rotated;
mod together;

use std::fmt::Debug;
use std::time::Duration;

use cloakroom::device::{Challenge, DeviceKey};
use cloakroom::{
    BindingRefusal, BindingTerms, BoundSession, CreatedSession, HasDeviceKey, NewSession, Registration,
    Renewal, SessionFields, SessionTable, Sessions, Token,
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

/// What a browser can log in to.
pub(crate) trait LogsIn: HasDeviceKey + SessionTable + SessionFields<Data: Debug> + Debug {
    fn of(user_id: &str) -> NewSession<Self>;
}

impl LogsIn for Web {
    fn of(user_id: &str) -> NewSession<Self> {
        web(user_id)
    }
}

/// A device, and the session that it is about to bind or has bound.
pub(crate) struct Browser {
    pub(crate) device: Device,
    pub(crate) token: Token,
    pub(crate) challenge: Challenge,
}

impl Browser {
    /// Logs in. The challenge is that of the registration.
    pub(crate) async fn logged_in<T: LogsIn>(sessions: &Sessions<T>) -> (Self, CreatedSession<T>) {
        let created = sessions.create(T::of("1234")).await.unwrap();
        let challenge = sessions.device_challenge(&created.session).await.unwrap().unwrap();
        (Self { device: Device::new(), token: created.token.clone(), challenge }, created)
    }

    /// Logs in and registers. The challenge is that of the next renewal.
    pub(crate) async fn bound<T: LogsIn>(sessions: &Sessions<T>) -> (Self, BoundSession<T>) {
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
    pub(crate) async fn present<T: LogsIn>(&self, sessions: &Sessions<T>, token: &Token) -> Renewal<T> {
        sessions.renew_bound(token, Some(&self.proof()), &TERMS).await.unwrap()
    }

    /// Renews, with a second round if it takes one, and returns the bound session.
    pub(crate) async fn renew<T: LogsIn>(&mut self, sessions: &Sessions<T>) -> BoundSession<T> {
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

pub(crate) fn challenged<T: LogsIn>(renewal: Renewal<T>) -> (Challenge, BindingRefusal) {
    match renewal {
        Renewal::Challenged { challenge, because, .. } => (challenge, because),
        other => panic!("{other:?}"),
    }
}

pub(crate) fn renewed<T: LogsIn>(renewal: Renewal<T>) -> (BoundSession<T>, Token) {
    match renewal {
        Renewal::Renewed { bound, token } => (bound, token),
        other => panic!("{other:?}"),
    }
}

pub(crate) fn refused<T: LogsIn>(renewal: Renewal<T>) -> BindingRefusal {
    match renewal {
        Renewal::Refused(because) => because,
        other => panic!("{other:?}"),
    }
}

pub(crate) async fn works<T: LogsIn>(sessions: &Sessions<T>, token: &Token) -> bool {
    sessions.authenticate(token).await.unwrap().is_some()
}

/// The first column of a query as a number.
pub(crate) async fn count(db: &TestDatabase, condition: &str) -> usize {
    let text = if db.kind() == Kind::MariaDb { "CHAR" } else { "TEXT" };
    let counted = db.texts(&format!("SELECT CAST(count(*) AS {text}) FROM {condition}")).await;
    counted[0].as_ref().unwrap().parse().unwrap()
}
