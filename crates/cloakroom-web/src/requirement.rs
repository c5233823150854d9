//! What a session must be for a request to go on. This file knows no framework.

use std::time::Duration;

#[cfg(feature = "dbsc")]
use cloakroom::HasDeviceKey;
use cloakroom::time::OffsetDateTime;
use cloakroom::{HasAuthenticatedAt, HasScopes, NamesScope, Session, SessionFields};

type IsMet<T> = dyn Fn(&Session<T>, OffsetDateTime) -> bool + Send + Sync;

/// What a session must be for a request to go on.
pub(crate) struct Requirement<T: SessionFields> {
    is_met: Box<IsMet<T>>,
    lack: Lack,
}

/// What a session lacks that is valid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Lack {
    /// The scope of this name.
    Scope(Box<str>),
    /// An authentication within this span.
    Fresh(Duration),
    /// A key of the browser's device.
    #[cfg(feature = "dbsc")]
    Bound,
}

impl<T: SessionFields> Requirement<T> {
    pub(crate) fn scope<S>(scope: S) -> Self
    where
        T: HasScopes,
        S: NamesScope<T::Scope> + Clone + Send + Sync + 'static,
    {
        let lack = Lack::Scope(scope.scope_name().into());
        Self { is_met: Box::new(move |session, _| session.has_scope(scope.clone())), lack }
    }

    pub(crate) fn fresh(span: Duration) -> Self
    where
        T: HasAuthenticatedAt,
    {
        Self { is_met: Box::new(move |session, now| session.is_fresh(now, span)), lack: Lack::Fresh(span) }
    }

    #[cfg(feature = "dbsc")]
    pub(crate) fn bound() -> Self
    where
        T: HasDeviceKey,
    {
        Self { is_met: Box::new(|session, _| session.is_bound()), lack: Lack::Bound }
    }

    /// Returns what a session lacks that is not so.
    pub(crate) fn lack(&self) -> &Lack {
        &self.lack
    }

    /// Fails if the session, which is valid, is not as it must be.
    pub(crate) fn check(&self, session: &Session<T>, now: OffsetDateTime) -> Result<(), &Lack> {
        if (self.is_met)(session, now) { Ok(()) } else { Err(&self.lack) }
    }
}
