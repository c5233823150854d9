use cloakroom::SessionFields;
use http::request::Parts;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::rejection::SessionRejection;
use crate::values::Values;

/// The name of the value that holds the messages.
const NAME: &str = "_flash";

/// How many messages wait at most.
const MOST: usize = 16;

/// Messages for the next page that the user sees, as an extractor: "Saved." after a form was sent and the browser was sent
/// on.
///
/// They stand in the session's data under the name `_flash`, so they need a session, or a layer
/// [for visitors](crate::SessionLayer::for_visitors), and data that is any JSON.
///
/// ```
/// # use cloakroom::SessionTable;
/// use cloakroom_web::{Flash, SessionRejection};
///
/// # #[derive(Clone, SessionTable)] #[session(table = "visitors")] struct Visitor { language: Option<String> }
/// async fn save(flash: Flash<Visitor>) -> Result<(), SessionRejection> {
///     flash.push("success", "Saved.").await
/// }
///
/// async fn page(flash: Flash<Visitor>) -> Result<String, SessionRejection> {
///     let messages = flash.take().await?;
///     Ok(messages.iter().map(|message| format!("{}: {}\n", message.kind, message.text)).collect())
/// }
/// ```
///
/// Each message is taken once, also if two requests ask at the same time. A request that reads ahead
/// ([`Sec-Purpose`](crate::CurrentSession)) takes none, because its page may never be seen.
#[derive(Debug)]
pub struct Flash<T: SessionFields>(Values<T>);

/// A message of [`Flash`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Message {
    /// What kind of message it is, such as `success`: a word of the application's.
    pub kind: String,
    /// What the user is told. A page has to escape it as everything else.
    pub text: String,
}

impl<T: SessionFields<Data = Value>> Flash<T> {
    /// Leaves a message for the next page. At most 16 wait; the oldest goes first.
    ///
    /// # Errors
    ///
    /// Those of [`Values::change`].
    pub async fn push(
        &self,
        kind: impl Into<String>,
        text: impl Into<String>,
    ) -> Result<(), SessionRejection> {
        let message = Message { kind: kind.into(), text: text.into() };
        let push = |messages: &mut Vec<Message>| {
            messages.push(message.clone());
            messages.drain(..messages.len().saturating_sub(MOST));
        };
        self.0.update(NAME, push).await.map(drop)
    }

    /// Returns the messages, oldest first, and removes them. The database is asked for them, so that a message that another
    /// process has left a moment ago is there. Nothing is written if there are none.
    ///
    /// # Errors
    ///
    /// Those of [`Values::change`].
    pub async fn take(&self) -> Result<Vec<Message>, SessionRejection> {
        if self.0.reads_ahead() {
            return Ok(Vec::new());
        }
        let data = self.0.data_afresh().await?;
        if data.is_none_or(|data| data.get(NAME).is_none()) {
            return Ok(Vec::new());
        }
        let taken = self.0.change(|data| data.as_object_mut().and_then(|data| data.remove(NAME))).await?;
        // What another version of the application has left and this one cannot read is not shown.
        Ok(taken.and_then(|messages| serde_json::from_value(messages).ok()).unwrap_or_default())
    }
}

impl<T: SessionFields> Flash<T> {
    pub(crate) fn of(parts: &Parts) -> Result<Self, SessionRejection> {
        Values::of(parts).map(Self)
    }
}
