use cloakroom::device::DeviceKey;
use cloakroom::{BindingTerms, Session, SessionTable, Sessions};

#[derive(Clone, SessionTable)]
struct WithoutRole {
    user_id: String,
}

async fn bound(sessions: Sessions<WithoutRole>, session: Session<WithoutRole>) {
    let _ = session.is_bound();
    let _ = sessions.renew_bound("token", None, &BindingTerms::new()).await;
}

#[derive(Clone, SessionTable)]
struct OfAnotherType {
    #[session(device_key)]
    key: Option<String>,
}

#[derive(Clone, SessionTable)]
struct NeverNull {
    #[session(device_key)]
    key: DeviceKey,
}

#[derive(Clone, SessionTable)]
#[session(exchange)]
struct AlsoExchanged {
    #[session(device_key)]
    key: Option<DeviceKey>,
    #[session(column = "Device_Challenge")]
    challenge: Option<String>,
    device_token_until: Option<String>,
}

#[derive(Clone, SessionTable)]
struct ByAnotherName {
    #[session(dbsc)]
    key: Option<DeviceKey>,
}

// Without the role the name is free.
#[derive(Clone, SessionTable)]
struct Free {
    device_challenge: Option<String>,
}

fn main() {}
