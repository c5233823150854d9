//! Sessions that are bound to a device: neither their tokens, nor their challenges, nor what is sealed.

use cloakroom::device::DeviceKey;
use cloakroom::{BindingTerms, Config, NewSession, Registration, Renewal, SessionTable, Sessions, Token};
use cloakroom_testing::{Device, Kind, TestDatabase};

use crate::seen::Seen;

#[derive(Clone, Debug, PartialEq, SessionTable)]
#[session(table = "bound")]
struct Browser {
    user_id: String,
    #[session(device_key)]
    device_key: Option<DeviceKey>,
}

/// Registers and renews, and what is refused.
pub(crate) async fn bind(db: &TestDatabase, config: &Config, seen: &mut Seen) {
    let Some(sessions) = seen.made(Sessions::<Browser>::new(db.database(), config.clone())) else { return };
    sessions.migrate_down().await.unwrap();
    sessions.migrate().await.unwrap();
    let (device, terms) = (Device::new(), BindingTerms::new());
    seen.show("BindingTerms", &terms);
    let new = NewSession::new(Browser { user_id: "1234".into(), device_key: None });
    let created = sessions.create(new).await.unwrap();
    seen.token(&created.token, config);
    let challenge = sessions.device_challenge(&created.session).await.unwrap().unwrap();
    seen.secret("a challenge", challenge.as_str().as_bytes());
    seen.show("Challenge", &challenge);
    let wrong = device.proof(challenge.as_str());
    let refused = sessions.register_device(&created.token, Some(&wrong), &terms).await.unwrap();
    seen.show("Registration", &refused);
    let Registration::Refused(because) = refused else { panic!("{refused:?}") };
    seen.show("BindingRefusal", &because);
    seen.error(&because);
    let proof = device.registration(challenge.as_str());
    let registration = sessions.register_device(&created.token, Some(&proof), &terms).await.unwrap();
    seen.show("Registration", &registration);
    let Registration::Bound(mut bound) = registration else { panic!("{registration:?}") };
    seen.show("BoundSession", &bound);
    let mut token = created.token;
    for _ in 0..2 {
        seen.secret("a challenge", bound.challenge.as_str().as_bytes());
        let proof = device.proof(bound.challenge.as_str());
        let renewal = sessions.renew_bound(&token, Some(&proof), &terms).await.unwrap();
        seen.show("Renewal", &renewal);
        let Renewal::Renewed { bound: next, token: new } = renewal else { panic!("{renewal:?}") };
        seen.token(&new, config);
        seen.session(&next.session);
        for sealed in sealed(db).await {
            seen.secret("a seal", sealed.as_bytes());
        }
        (bound, token) = (next, new);
    }
    let used = device.proof(challenge.as_str());
    seen.show("Renewal", &sessions.renew_bound(&token, Some(&used), &terms).await.unwrap());
    let unknown = Token::generate(64).unwrap();
    seen.show("Renewal", &sessions.renew_bound(&unknown, None, &terms).await.unwrap());
    db.execute("DROP TABLE bound_retired_tokens").await;
    let proof = device.proof(bound.challenge.as_str());
    seen.failed(sessions.renew_bound(&token, Some(&proof), &terms).await);
    seen.failed(sessions.renew_bound(&unknown, Some(&proof), &terms).await);
}

/// What is sealed, in hexadecimal.
async fn sealed(db: &TestDatabase) -> Vec<String> {
    let hex = if db.kind() == Kind::Postgres { "encode(sealed, 'hex')" } else { "HEX(sealed)" };
    let sealed = db.texts(&format!("SELECT {hex} FROM bound_retired_tokens WHERE sealed IS NOT NULL")).await;
    sealed.into_iter().flatten().collect()
}
