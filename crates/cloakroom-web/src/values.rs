use std::fmt;
use std::pin::Pin;
use std::sync::Arc;

use cloakroom::{ErrorKind, NewSession, SessionFields};
use http::request::Parts;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::rejection::SessionRejection;
use crate::state::{Current, Places, State};

/// The data of the request's session, as an extractor for handlers that read and change it.
///
/// Changes of requests at the same time are not lost: each is made to what the row holds. If another request has written
/// the row first, the change is made again, to what that has left. It is written at once, and not when the response goes
/// out.
///
/// | the request has | [`get`](Self::get), [`data`](Self::data) | [`insert`](Self::insert), [`update`](Self::update), [`change`](Self::change) |
/// |---|---|---|
/// | a session | its data | are written |
/// | none, and the layer is [for visitors](crate::SessionLayer::for_visitors) | `None` | begin a session, whose cookie goes out with the response |
/// | none | `None` | [`LoggedOut`](SessionRejection::LoggedOut) |
///
/// ```
/// # use cloakroom::SessionTable;
/// use cloakroom_web::{SessionRejection, Values};
///
/// # #[derive(Clone, SessionTable)] #[session(table = "visitors")] struct Visitor { language: Option<String> }
/// async fn add(values: Values<Visitor>) -> Result<String, SessionRejection> {
///     let article = 17;
///     let basket = values.update("basket", |basket: &mut Vec<u64>| basket.push(article)).await?;
///     Ok(format!("{} articles", basket.len()))
/// }
/// ```
///
/// A [`CurrentSession`](crate::CurrentSession) that the same request has extracted before is a copy, and does not see the
/// change. Later extractors do. If a [`Cache`](cloakroom::Cache) answers for the session, `get` may be as old as that
/// allows; a change never is made to old data.
pub struct Values<T: SessionFields> {
    state: Arc<State<T>>,
    places: Places,
    /// What a visitor's session begins as.
    new: Option<NewSession<T>>,
}

type Change<'c, T> = dyn FnMut(&mut <T as SessionFields>::Data) + Send + 'c;

impl<T: SessionFields> Values<T> {
    /// Returns a copy of the session's data; `None` if the request has no session.
    pub async fn data(&self) -> Result<Option<T::Data>, SessionRejection> {
        Ok(self.state.lock().await?.held().map(|held| held.session.data.clone()))
    }

    /// Changes the data with `change` and writes it. Returns what `change` returned at last. It runs again if another request
    /// has written the row meanwhile.
    ///
    /// # Errors
    ///
    /// [`LoggedOut`](SessionRejection::LoggedOut) if the request has no session and the layer is not for visitors, or if
    /// the session has ended meanwhile; and the errors of [`Sessions::update_with`](cloakroom::Sessions::update_with).
    pub async fn change<R: Send>(
        &self,
        mut change: impl FnMut(&mut T::Data) -> R + Send,
    ) -> Result<R, SessionRejection> {
        let mut result = None;
        self.write(&mut |data| result = Some(change(data))).await?;
        result.ok_or_else(|| self.state.exchange.logged_out(&self.places))
    }

    /// The same without a type for each change, so that the type of a handler does not grow with it.
    fn write<'c>(
        &'c self,
        change: &'c mut Change<'_, T>,
    ) -> Pin<Box<dyn Future<Output = Result<(), SessionRejection>> + Send + 'c>> {
        Box::pin(async move {
            let sessions = self.state.exchange.sessions();
            let mut current = self.state.lock().await?;
            if current.held().is_none() {
                self.begin(&mut current).await?;
            }
            let Some(held) = current.held() else { return Err(self.ended()) };
            match sessions.update_with(&mut held.session, |session| change(&mut session.data)).await {
                // A session that has ended meanwhile may still have its row.
                Ok(()) if held.session.is_valid(sessions.config().now()) => Ok(()),
                Err(error) if error.kind() != ErrorKind::NotFound => Err(error.into()),
                _ => {
                    current.clear();
                    Err(self.ended())
                }
            }
        })
    }

    async fn begin(&self, current: &mut Current<'_, T>) -> Result<(), SessionRejection> {
        let new = self.new.clone().ok_or_else(|| self.ended())?;
        let created = self.state.exchange.sessions().create(new).await?;
        if !self.state.exchange.fits(created.token.expose()) {
            let _ = self.state.exchange.sessions().delete(created.session).await;
            return Err(SessionRejection::UnfitToken);
        }
        self.state.exchange.note_seen(&created.session);
        current.replace(created.session, created.token.expose());
        Ok(())
    }

    /// The handler may have done something by now, so the request is not one that may be repeated.
    fn ended(&self) -> SessionRejection {
        self.state.exchange.logged_out(&self.places)
    }

    /// Returns the session's data as the database has it.
    pub(crate) async fn data_afresh(&self) -> Result<Option<T::Data>, SessionRejection> {
        Ok(self.state.lock_afresh(false).await?.held().map(|held| held.session.data.clone()))
    }

    pub(crate) fn reads_ahead(&self) -> bool {
        self.state.exchange.reads_ahead()
    }
}

/// For tables whose data is any JSON, which is the default.
impl<T: SessionFields<Data = Value>> Values<T> {
    /// Returns the value of this name; `None` if there is none, or if the request has no session.
    ///
    /// # Errors
    ///
    /// [`UnfitValue`](SessionRejection::UnfitValue) if it is not of the type `V`.
    pub async fn get<V: DeserializeOwned>(&self, name: &str) -> Result<Option<V>, SessionRejection> {
        let data = self.data().await?;
        data.as_ref().and_then(|data| data.get(name)).map(|value| read(name, value)).transpose()
    }

    /// Sets the value of this name.
    ///
    /// # Errors
    ///
    /// Those of [`change`](Self::change), and [`UnfitValue`](SessionRejection::UnfitValue) if the value cannot be written as
    /// JSON, or if the session's data is no object.
    pub async fn insert(&self, name: &str, value: impl Serialize) -> Result<(), SessionRejection> {
        let value = written(name, &value)?;
        self.change(|data| {
            members(name, data)?.insert(name.to_owned(), value.clone());
            Ok(())
        })
        .await?
    }

    /// Removes the value of this name. Returns `true` if there was one. A request without a session removes nothing, and
    /// begins none.
    ///
    /// # Errors
    ///
    /// Those of [`change`](Self::change).
    pub async fn remove(&self, name: &str) -> Result<bool, SessionRejection> {
        if self.data().await?.is_none() {
            return Ok(false);
        }
        self.change(|data| data.as_object_mut().is_some_and(|data| data.remove(name).is_some())).await
    }

    /// Changes the value of this name with `change`, and its default if there is none. Returns what it has become. `change`
    /// runs again if another request has written the row meanwhile.
    ///
    /// # Errors
    ///
    /// Those of [`insert`](Self::insert), and [`UnfitValue`](SessionRejection::UnfitValue) if the value is not of the type `V`.
    pub async fn update<V>(
        &self,
        name: &str,
        mut change: impl FnMut(&mut V) + Send,
    ) -> Result<V, SessionRejection>
    where
        V: Serialize + DeserializeOwned + Default + Send,
    {
        self.change(|data| {
            let members = members(name, data)?;
            let mut value = members.get(name).map_or_else(|| Ok(V::default()), |value| read(name, value))?;
            change(&mut value);
            members.insert(name.to_owned(), written(name, &value)?);
            Ok(value)
        })
        .await?
    }
}

fn read<V: DeserializeOwned>(name: &str, value: &Value) -> Result<V, SessionRejection> {
    V::deserialize(value).map_err(|_| unfit(name))
}

fn written(name: &str, value: &impl Serialize) -> Result<Value, SessionRejection> {
    serde_json::to_value(value).map_err(|_| unfit(name))
}

fn members<'d>(name: &str, data: &'d mut Value) -> Result<&'d mut Map<String, Value>, SessionRejection> {
    if data.is_null() {
        *data = Value::Object(Map::new());
    }
    data.as_object_mut().ok_or_else(|| unfit(name))
}

/// The error of the reader would quote the value.
fn unfit(name: &str) -> SessionRejection {
    SessionRejection::UnfitValue { name: name.to_owned() }
}

impl<T: SessionFields> Values<T> {
    pub(crate) fn of(parts: &Parts) -> Result<Self, SessionRejection> {
        let state = State::<T>::of(&parts.extensions)?;
        let places = state.exchange.places(parts);
        let new = state.exchange.settings().for_visitors.as_ref().map(|begin| begin(parts));
        Ok(Self { state, places, new })
    }
}

impl<T: SessionFields> fmt::Debug for Values<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Values").field("begins", &self.new.is_some()).finish_non_exhaustive()
    }
}
