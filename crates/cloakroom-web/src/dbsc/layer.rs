use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use cloakroom::{HasDeviceKey, SessionFields};
use http::request::Parts;

use super::settings::Dbsc;
use super::switched::{SKIPPED, Switched};
use crate::framework::Framework;
use crate::layer::SessionLayer;

/// A [`SessionLayer`] that also binds sessions to the browser's device: see [`Dbsc`](crate::Dbsc).
pub struct DbscLayer<T: SessionFields> {
    layer: SessionLayer<T>,
    /// Whether a request has shown that the layer stands where it should.
    is_looked_at: Arc<AtomicBool>,
}

impl<T: SessionFields> DbscLayer<T> {
    pub(crate) fn new(layer: SessionLayer<T>) -> Self {
        Self { layer, is_looked_at: Arc::default() }
    }

    pub(crate) fn session_layer(&self) -> &SessionLayer<T> {
        &self.layer
    }

    /// Returns how sessions are bound.
    pub(crate) fn switched(&self) -> Option<&Switched> {
        self.layer.settings().dbsc.as_ref()
    }

    /// Reports what can be told from a request of where the layer stands, and of what stands before it.
    pub(crate) fn look_at(&self, framework: &Framework, dbsc: &Switched, parts: &Parts) {
        let table = self.layer.settings().sessions.definition();
        let is_nested = (framework.original_uri)(parts).path() != parts.uri.path();
        if !self.is_looked_at.swap(true, Ordering::Relaxed) && is_nested {
            tracing::error!(
                table = %table,
                register_at = dbsc.register_at(),
                renew_at = dbsc.renew_at(),
                "the layer that binds sessions is within a nested router, and browsers do not reach its paths there: \
                 add it to the outermost router",
            );
        }
        for skipped in parts.headers.get_all(SKIPPED) {
            let skipped = skipped.to_str().unwrap_or_default();
            let reason = skipped.split(';').next().unwrap_or_default().trim();
            // One word of a few that browsers know.
            let is_known = ["server_error", "unreachable", "quota_exceeded"].contains(&reason);
            tracing::warn!(
                table = %table,
                reason = if is_known { reason } else { "unknown" },
                renew_at = dbsc.renew_at(),
                "a browser could not renew its session: see what stands between it and this layer",
            );
        }
    }
}

impl<T: SessionFields> Clone for DbscLayer<T> {
    fn clone(&self) -> Self {
        Self { layer: self.layer.clone(), is_looked_at: Arc::clone(&self.is_looked_at) }
    }
}

impl<T: SessionFields> fmt::Debug for DbscLayer<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let dbsc = &self.layer.settings().dbsc;
        f.debug_struct("DbscLayer").field("layer", &self.layer).field("dbsc", dbsc).finish_non_exhaustive()
    }
}

impl<T: SessionFields> SessionLayer<T> {
    /// Binds the sessions of browsers that can do it to a key of their device (Device Bound Session Credentials): a cookie
    /// that was copied is worth nothing ten minutes later. See [`Dbsc`]. Call it last.
    ///
    /// ```
    /// # use cloakroom::device::DeviceKey;
    /// # use cloakroom::{SessionTable, Sessions};
    /// # use cloakroom_web::{Dbsc, SessionLayer};
    /// #[derive(Clone, SessionTable)]
    /// struct UserSession {
    ///     user_id: String,
    ///     #[session(device_key)]
    ///     device_key: Option<DeviceKey>,
    /// }
    ///
    /// # fn example(sessions: Sessions<UserSession>) {
    /// let layer = SessionLayer::new(sessions).dbsc(Dbsc::default());
    /// # }
    /// ```
    #[must_use]
    pub fn dbsc(self, dbsc: Dbsc) -> DbscLayer<T>
    where
        T: HasDeviceKey,
    {
        let switched = Switched::new(dbsc, &self.settings().cookie);
        DbscLayer::new(self.with(|settings| settings.dbsc = Some(switched)))
    }
}
