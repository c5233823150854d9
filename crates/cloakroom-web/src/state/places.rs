use http::HeaderValue;

/// Where a browser is sent if its request is refused.
#[derive(Clone, Default)]
pub(crate) struct Places {
    login: Option<HeaderValue>,
    confirm: Option<HeaderValue>,
}

impl Places {
    pub(super) fn new(login: Option<String>, confirm: Option<String>) -> Self {
        Self { login: login.and_then(header), confirm: confirm.and_then(header) }
    }

    /// To log in.
    pub(super) fn login(&self) -> Option<&HeaderValue> {
        self.login.as_ref()
    }

    /// To confirm who they are.
    pub(super) fn confirm(&self) -> Option<&HeaderValue> {
        self.confirm.as_ref()
    }
}

fn header(location: String) -> Option<HeaderValue> {
    let header = HeaderValue::try_from(location);
    if header.is_err() {
        tracing::error!("the page for logging in has a location that no header can hold");
    }
    header.ok()
}
