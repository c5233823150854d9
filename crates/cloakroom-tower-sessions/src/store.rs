use std::collections::HashMap;
use std::fmt;
use std::hash::BuildHasher;
use std::sync::Arc;

use async_trait::async_trait;
use cloakroom::{Error, ErrorKind, NewSession, Session, SessionTable, Sessions, Token};
use serde_json::Value;
use time::OffsetDateTime;
use time::macros::datetime;

/// What tower-sessions keeps in a session.
type Data = HashMap<String, Value>;

/// Sets the columns of a session by its data.
type Fill<T> = dyn Fn(&mut T, &Data) + Send + Sync;

/// The end of a session that never ends, for tower-sessions, whose sessions all do.
const NEVER: OffsetDateTime = datetime!(9999-12-31 23:59:59 UTC);

/// A store for tower-sessions, on the table of `T`. Clones share their sessions.
pub struct CloakroomStore<T> {
    sessions: Sessions<T>,
    fill: Arc<Fill<T>>,
    keeps_ended: bool,
}

impl<T: SessionTable<Data = Value> + Default> CloakroomStore<T> {
    /// Makes a store of these sessions. The table must be migrated.
    ///
    /// `fill` sets the columns of a session from its data, whenever it is created or saved: whose it is, most of all, so
    /// that sessions can be listed by user. The other columns begin as `T::default()` has them, and stay as they are.
    pub fn new(sessions: Sessions<T>, fill: impl Fn(&mut T, &Data) + Send + Sync + 'static) -> Self {
        Self { sessions, fill: Arc::new(fill), keeps_ended: false }
    }

    /// Keeps the row of a session that tower-sessions deletes, as one that has ended, until it is pruned. By default the row
    /// is deleted.
    #[must_use]
    pub fn keep_ended(mut self, keeps: bool) -> Self {
        self.keeps_ended = keeps;
        self
    }

    /// Returns the sessions, to list them and to end them.
    pub fn sessions(&self) -> &Sessions<T> {
        &self.sessions
    }

    /// Creates a session with this token. Returns `false` if there is one already.
    async fn create_with(&self, token: &str, data: &Data, end: OffsetDateTime) -> Result<bool, Error> {
        let token = Token::import(token).expect("an id of tower-sessions is 22 characters of base64");
        let mut fields = T::default();
        (self.fill)(&mut fields, data);
        let new = NewSession::new(fields).data(object(data)).expires_at(end).import_token(token);
        match self.sessions.create(new).await {
            Ok(_) => Ok(true),
            Err(error) if error.kind() == ErrorKind::DuplicateToken => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Writes the session with this token, if it is valid.
    async fn write(&self, token: &str, data: &Data, end: OffsetDateTime) -> Result<(), Error> {
        let Some(mut session) = self.find(token).await? else {
            tracing::debug!(table = %self.sessions.definition(), "a session was not saved, since it has ended");
            return Ok(());
        };
        let saved = object(data);
        let written = self.sessions.update_with(&mut session, |session| {
            (self.fill)(&mut session.fields, data);
            session.data.clone_from(&saved);
            session.expires_at = Some(end);
        });
        match written.await {
            // It was ended meanwhile.
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::Expired) => Ok(()),
            written => written,
        }
    }

    async fn find(&self, token: &str) -> Result<Option<Session<T>>, Error> {
        self.sessions.authenticate_without_extending(token).await
    }

    async fn end(&self, token: &str) -> Result<(), Error> {
        match self.find(token).await? {
            Some(mut session) if self.keeps_ended => self.sessions.expire(&mut session).await.map(drop),
            Some(session) => self.sessions.delete(session).await.map(drop),
            None => Ok(()),
        }
    }
}

fn object(data: &Data) -> Value {
    Value::Object(data.iter().map(|(key, value)| (key.clone(), value.clone())).collect())
}

/// Returns what an object holds, or `None` if the data is none.
fn entries(data: &Value) -> Option<Data> {
    Some(data.as_object()?.iter().map(|(key, value)| (key.clone(), value.clone())).collect())
}

/// Returns the id of the user whom axum-login has logged in, as text. `None` if there is none, or if the id is neither text
/// nor a number.
///
/// It reads the entry `axum-login.data`, where axum-login 0.18 keeps it unless its layer has another `data_key`.
pub fn axum_login_user<S: BuildHasher>(data: &HashMap<String, Value, S>) -> Option<String> {
    match data.get("axum-login.data")?.get("user_id")? {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

impl<T> Clone for CloakroomStore<T> {
    fn clone(&self) -> Self {
        Self { sessions: self.sessions.clone(), fill: Arc::clone(&self.fill), keeps_ended: self.keeps_ended }
    }
}

impl<T> fmt::Debug for CloakroomStore<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CloakroomStore")
            .field("sessions", &self.sessions)
            .field("keeps_ended", &self.keeps_ended)
            .finish_non_exhaustive()
    }
}

/// Implements the traits of one version of tower-sessions.
macro_rules! implement {
    ($feature:literal, $core:ident) => {
        #[cfg(feature = $feature)]
        #[async_trait]
        impl<T: SessionTable<Data = Value> + Default> $core::SessionStore for CloakroomStore<T> {
            async fn create(&self, record: &mut $core::session::Record) -> $core::session_store::Result<()> {
                let failed = |error: Error| $core::session_store::Error::Backend(error.to_string());
                while !self
                    .create_with(&record.id.to_string(), &record.data, record.expiry_date)
                    .await
                    .map_err(failed)?
                {
                    record.id = $core::session::Id::default();
                }
                Ok(())
            }

            async fn save(&self, record: &$core::session::Record) -> $core::session_store::Result<()> {
                let written = self.write(&record.id.to_string(), &record.data, record.expiry_date).await;
                written.map_err(|error| $core::session_store::Error::Backend(error.to_string()))
            }

            async fn load(
                &self,
                id: &$core::session::Id,
            ) -> $core::session_store::Result<Option<$core::session::Record>> {
                let found = self.find(&id.to_string()).await;
                let found = found.map_err(|error| $core::session_store::Error::Backend(error.to_string()))?;
                let Some(session) = found else { return Ok(None) };
                let Some(data) = entries(&session.data) else {
                    let problem = "the data of a session of another program's is no object".to_owned();
                    return Err($core::session_store::Error::Decode(problem));
                };
                let expiry_date = session.expires_at.unwrap_or(NEVER);
                Ok(Some($core::session::Record { id: *id, data, expiry_date }))
            }

            async fn delete(&self, id: &$core::session::Id) -> $core::session_store::Result<()> {
                let ended = self.end(&id.to_string()).await;
                ended.map_err(|error| $core::session_store::Error::Backend(error.to_string()))
            }
        }

        #[cfg(feature = $feature)]
        #[async_trait]
        impl<T: SessionTable<Data = Value> + Default> $core::ExpiredDeletion for CloakroomStore<T> {
            async fn delete_expired(&self) -> $core::session_store::Result<()> {
                let deleted = self.sessions.delete_expired().await;
                deleted.map(drop).map_err(|error| $core::session_store::Error::Backend(error.to_string()))
            }
        }
    };
}

implement!("v0_15", tower_sessions_core_0_15);
implement!("v0_14", tower_sessions_core_0_14);

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_user_of_axum_login_is_text_or_a_number() {
        let user = |id: Value| {
            axum_login_user(&Data::from([(
                "axum-login.data".to_owned(),
                json!({ "user_id": id, "auth_hash": null }),
            )]))
        };
        assert_eq!(user(json!("ann")).as_deref(), Some("ann"));
        assert_eq!(user(json!(7)).as_deref(), Some("7"));
        assert_eq!(user(Value::Null), None);
        assert_eq!(user(json!({"tenant": 1, "id": 2})), None);
        assert_eq!(axum_login_user(&Data::new()), None);
    }
}
