pub(crate) mod binding;
pub(crate) mod cache_entry;
mod cursor;
pub(crate) mod data;
#[cfg(feature = "dbsc")]
mod device;
mod end_reason;
mod exchange;
pub(crate) mod expiry;
pub(crate) mod seen;
mod serialize;
mod session_data;
mod sliding;

pub use cursor::{Cursor, ParseCursorError};
pub use data::DefaultData;
#[cfg(feature = "dbsc")]
pub use device::{BindingRefusal, BindingTerms, BoundSession, Registration, Renewal};
pub use end_reason::{EndReason, ParseEndReasonError};
pub use exchange::{Exchange, RetiredToken};
pub use seen::Seen;
pub use session_data::SessionData;
pub use sliding::Sliding;

use std::borrow::Cow;
use std::fmt;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use serde_json::value::RawValue;
use time::OffsetDateTime;
use uuid::Uuid;

use cache_entry::{CacheEntry, EntryMetadata};
use data::StoredData;

use crate::clock::{clock_reading, to_stored_precision};
use crate::config::Config;
use crate::error::Result;
use crate::scopes::{NamesScope, Scopes};
use crate::table::{
    HasAuthenticatedAt, HasEndedBecause, HasHint, HasLastAddress, HasLastSeen, HasLastUserAgent, HasScopes,
    RotatesWithGrace, SessionFields,
};
use crate::token::Token;

/// One session: a row of the table without its digest. Its fields are those of [`SessionRow`].
///
/// Change `fields`, `data` and `expires_at`, then pass the session to [`Sessions::update`](crate::Sessions::update).
/// Changes to the other fields are not written.
///
/// A session is cheap to clone: clones share one row until one of them is changed, which then gets a copy. The same
/// holds for the sessions that a [`Cache`](crate::Cache) returns.
#[derive(Clone)]
pub struct Session<T: SessionFields>(Arc<CacheEntry<SessionRow<T>>>);

/// The row that a [`Session`] holds and derefs to.
#[non_exhaustive]
pub struct SessionRow<T: SessionFields> {
    /// The row's id: a UUID of version 7, in the order of creation. It is no secret.
    pub id: Uuid,
    /// The application's own columns.
    pub fields: T,
    /// The application's own JSON. It derefs to the table's data type.
    pub data: SessionData<T::Data>,
    /// When the session expires; `None` if it never does.
    pub expires_at: Option<OffsetDateTime>,
    /// When the session was created.
    pub inserted_at: OffsetDateTime,
    /// When the row was last written. It grows strictly with every write, even if the clock is set back.
    pub updated_at: OffsetDateTime,
    /// The row as it was read. `update`, `extend` and `rotate` compare the stored row with it.
    pub(crate) stored: Stored<T>,
}

pub(crate) struct Stored<T> {
    pub(crate) expires_at: Option<OffsetDateTime>,
    pub(crate) updated_at: OffsetDateTime,
    pub(crate) sliding: Sliding,
    /// The fields as they were read, once the session was borrowed mutably or its row was copied. Before that the row's
    /// own fields are as they were read, so a session that is only read needs no second copy.
    pub(crate) fields: Option<Arc<T>>,
    /// Until when the token is good with which the session was found, if that is no longer the session's token.
    pub(crate) old_token_until: Option<OffsetDateTime>,
    /// Until when the session's token is good, if the session is bound to a device.
    pub(crate) token_until: Option<OffsetDateTime>,
}

/// Also copies what was read. If the copy is changed and made a session again, the changes are known.
impl<T: SessionFields> Clone for SessionRow<T> {
    fn clone(&self) -> Self {
        let stored = &self.stored;
        let as_read = stored.fields.clone().unwrap_or_else(|| Arc::new(self.fields.clone()));
        Self {
            id: self.id,
            fields: self.fields.clone(),
            data: self.data.copied(),
            expires_at: self.expires_at,
            inserted_at: self.inserted_at,
            updated_at: self.updated_at,
            stored: Stored {
                expires_at: stored.expires_at,
                updated_at: stored.updated_at,
                sliding: stored.sliding,
                fields: Some(as_read),
                old_token_until: stored.old_token_until,
                token_until: stored.token_until,
            },
        }
    }
}

impl<T: SessionFields> SessionRow<T> {
    /// Keeps the fields as they were read. Must be called before the caller can change them.
    fn keep_as_read(&mut self) {
        if self.stored.fields.is_none() {
            self.stored.fields = Some(Arc::new(self.fields.clone()));
        }
    }
}

impl<T: SessionFields> Deref for Session<T> {
    type Target = SessionRow<T>;

    fn deref(&self) -> &SessionRow<T> {
        &self.0.value
    }
}

/// Copies the row first if another clone shares it, and keeps the fields as they were read.
impl<T: SessionFields> DerefMut for Session<T> {
    fn deref_mut(&mut self) -> &mut SessionRow<T> {
        let row = self.row_mut();
        row.keep_as_read();
        row
    }
}

impl<T: SessionFields> From<SessionRow<T>> for Session<T> {
    fn from(row: SessionRow<T>) -> Self {
        Self(Arc::new(CacheEntry::uncached(row)))
    }
}

impl<T: SessionFields> Session<T> {
    /// Returns the row itself, so that its fields can be moved out. The row is copied if another clone shares it.
    pub fn into_row(self) -> SessionRow<T> {
        let mut row = Arc::unwrap_or_clone(self.0).value;
        row.keep_as_read();
        row
    }

    /// Returns the row, for changes to anything but its fields.
    pub(crate) fn row_mut(&mut self) -> &mut SessionRow<T> {
        &mut Arc::make_mut(&mut self.0).value
    }

    /// Makes a session of a row that clones share.
    pub(crate) fn of(kept: Arc<CacheEntry<SessionRow<T>>>) -> Self {
        Self(kept)
    }

    /// Sets the metadata by which a cache finds the row, and returns the row as clones share it, with no more than the
    /// text of its data.
    pub(crate) fn with_metadata(&mut self, metadata: EntryMetadata) -> Arc<CacheEntry<SessionRow<T>>> {
        let entry = Arc::make_mut(&mut self.0);
        entry.set_metadata(metadata);
        entry.value.data.let_go();
        Arc::clone(&self.0)
    }

    /// Returns whether the session is valid or expired at `now`.
    pub fn status(&self, now: OffsetDateTime) -> Status {
        if self.is_valid(now) { Status::Valid } else { Status::Expired }
    }

    /// Returns `true` if the session never expires, or expires after `now` and was not ended.
    ///
    /// A session with an expiry that is not after its last write was ended, perhaps by a machine with a clock that is
    /// ahead. It is valid at no `now`.
    pub fn is_valid(&self, now: OffsetDateTime) -> bool {
        !expiry::is_over(self.expires_at, self.updated_at, now)
    }

    /// Returns how the session's expiry moves when the session is used.
    pub fn sliding(&self) -> Sliding {
        self.stored.sliding
    }

    /// Returns `data` as the JSON text that is stored, with every digit of numbers that no Rust type holds.
    ///
    /// This is what was read or last written. Changes to `data` show here after an update.
    pub fn stored_data(&self) -> &str {
        self.data.stored().as_str()
    }

    /// Records that the row was written, except for its fields and data.
    pub(crate) fn note_write(&mut self, expires_at: Option<OffsetDateTime>, updated_at: OffsetDateTime) {
        let row = self.row_mut();
        row.updated_at = updated_at;
        row.stored.expires_at = expires_at;
        row.stored.updated_at = updated_at;
    }

    /// Records that the library has written a field. What the caller has changed in the others is still to be written.
    pub(crate) fn note_field(&mut self, mut note: impl FnMut(&mut T)) {
        let row = self.row_mut();
        note(&mut row.fields);
        if let Some(as_read) = &mut row.stored.fields {
            note(Arc::make_mut(as_read));
        }
    }

    /// Returns what may be shown of the session's token, such as `acme_live_7Qx4…k3Fq`; see
    /// [`TokenFormat::hint`](crate::TokenFormat::hint).
    ///
    /// `None` if the column is null, as that of a session that is older than the column, or if a table that is defined at
    /// run time has no such column.
    pub fn hint(&self) -> Option<&str>
    where
        T: HasHint,
    {
        self.fields.hint()
    }

    /// Returns when the session was last used before it was read, as its row said. `None` if it was not yet.
    ///
    /// Uses are written a little later, so this may be as much older than the last use as
    /// [`record_seen`](crate::ConfigBuilder::record_seen) says. [`Sessions::last_seen`](crate::Sessions::last_seen) knows
    /// what this process has not written yet.
    pub fn last_seen(&self) -> Option<OffsetDateTime>
    where
        T: HasLastSeen,
    {
        self.fields.last_seen()
    }

    /// Returns `true` if the session's user proved who they are at most `span` before `now`.
    ///
    /// This counts from the authentication, which [`reauthenticate`](crate::Sessions::reauthenticate) renews, and not from
    /// the last write or use of the session. A machine with a clock ahead of `now` by no more than `span` may have recorded
    /// it. A session without the instant is not fresh.
    pub fn is_fresh(&self, now: OffsetDateTime, span: Duration) -> bool
    where
        T: HasAuthenticatedAt,
    {
        self.fields.authenticated_at().is_some_and(|at| (now - at).unsigned_abs() <= span)
    }

    /// Returns the session's scopes: the column with the role `scopes`.
    ///
    /// `None` if the column is null, or if a table that is defined at run time has no such column.
    pub fn scopes(&self) -> Option<Cow<'_, Scopes<T::Scope>>>
    where
        T: HasScopes,
    {
        self.fields.scopes()
    }

    /// Returns `true` if the session has this scope. A session without scopes, or with a null in their place, has none.
    ///
    /// These are the scopes that the session had when it was read; [`authenticate`](crate::Sessions::authenticate) reads
    /// them on each request.
    pub fn has_scope(&self, scope: impl NamesScope<T::Scope>) -> bool
    where
        T: HasScopes,
    {
        self.fields.scopes().is_some_and(|scopes| scopes.contains(scope))
    }

    /// Returns why the session was ended, such as `logged_out`; see [`EndReason`].
    ///
    /// `None` if the session is valid, if it has reached its expiry without being ended, if it was ended before the column
    /// was there, or if a table that is defined at run time has no such column.
    pub fn ended_because(&self) -> Option<&str>
    where
        T: HasEndedBecause,
    {
        self.fields.ended_because()
    }

    /// Returns the address from which the session was last used, as its row said, such as `192.0.2.1` or `2001:db8::1`.
    /// `None` if it is not known.
    pub fn last_address(&self) -> Option<&str>
    where
        T: HasLastAddress,
    {
        self.fields.last_address()
    }

    /// Returns the `User-Agent` of the request with which the session was last used, as its row said. `None` if it is not
    /// known.
    ///
    /// A client sends whatever it likes: a page that shows this text must escape it.
    pub fn last_user_agent(&self) -> Option<&str>
    where
        T: HasLastUserAgent,
    {
        self.fields.last_user_agent()
    }

    /// Returns until when the token is good with which the session was found, if a [rotation with a
    /// grace](crate::Sessions::rotate_with_grace) has replaced it. `None` if it was the session's own token, or if the
    /// session was not found by a token.
    pub fn old_token_until(&self) -> Option<OffsetDateTime>
    where
        T: RotatesWithGrace,
    {
        self.stored.old_token_until
    }

    /// Returns `true` if the session was found by a token that it had before, which is good for a little longer. A client
    /// that presents it has the new one, or is about to get it.
    pub fn is_by_old_token(&self) -> bool {
        self.stored.old_token_until.is_some()
    }

    /// Returns the place of this session in a listing; see [`SessionQuery::after`](crate::SessionQuery::after).
    pub fn cursor(&self) -> Cursor {
        Cursor::new(self.inserted_at, self.id)
    }
}

impl<T: SessionFields + fmt::Debug> fmt::Debug for Session<T>
where
    T::Data: fmt::Debug,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).debug("Session", f)
    }
}

impl<T: SessionFields + fmt::Debug> fmt::Debug for SessionRow<T>
where
    T::Data: fmt::Debug,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.debug("SessionRow", f)
    }
}

impl<T: SessionFields + fmt::Debug> SessionRow<T>
where
    T::Data: fmt::Debug,
{
    fn debug(&self, name: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct(name)
            .field("id", &self.id)
            .field("fields", &self.fields)
            .field("data", &self.data)
            .field("expires_at", &self.expires_at)
            .field("inserted_at", &self.inserted_at)
            .field("updated_at", &self.updated_at)
            .finish_non_exhaustive()
    }
}

/// Two sessions are equal if all that the application sees of them is equal.
impl<T: SessionFields + PartialEq> PartialEq for Session<T>
where
    T::Data: PartialEq,
{
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl<T: SessionFields + PartialEq> PartialEq for SessionRow<T>
where
    T::Data: PartialEq,
{
    fn eq(&self, other: &Self) -> bool {
        self.id == other.id
            && self.fields == other.fields
            && self.data == other.data
            && self.expires_at == other.expires_at
            && self.inserted_at == other.inserted_at
            && self.updated_at == other.updated_at
    }
}

/// A session that does not exist yet, for [`Sessions::create`](crate::Sessions::create).
#[derive(Clone, Debug)]
#[must_use]
pub struct NewSession<T: SessionFields> {
    pub(crate) fields: T,
    pub(crate) data: NewData,
    pub(crate) expiry: Expiry,
    pub(crate) token: Option<Token>,
}

/// The `data` of a new session. It is serialised when it is given; an error is kept for `create`.
#[derive(Clone)]
pub(crate) struct NewData(pub(crate) Arc<Result<StoredData>>);

impl NewData {
    fn of<D: Serialize + ?Sized>(data: &D) -> Self {
        Self(Arc::new(StoredData::of(data)))
    }
}

impl fmt::Debug for NewData {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &*self.0 {
            Ok(data) => f.write_str(data.as_str()),
            Err(error) => fmt::Debug::fmt(error, f),
        }
    }
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Expiry {
    ByDefault,
    At(OffsetDateTime),
    In(Duration),
    Sliding(Duration),
    Never,
}

impl Expiry {
    /// Returns when a session that is created at `now` expires, apart from its absolute lifetime.
    pub(crate) fn at(self, config: &Config, now: OffsetDateTime) -> Option<OffsetDateTime> {
        match self {
            Self::ByDefault => expiry::by_default(config, now),
            Self::At(instant) => Some(to_stored_precision(instant)),
            Self::In(span) | Self::Sliding(span) => Some(to_stored_precision(expiry::later(now, span))),
            Self::Never => None,
        }
    }

    /// Returns how the expiry of a session moves that another system has made. An instant is how far it had come there.
    pub(crate) fn sliding_of_import(self) -> Sliding {
        if matches!(self, Self::At(_)) { Sliding::AsConfigured } else { self.sliding() }
    }

    /// Returns how the expiry moves from then on.
    pub(crate) fn sliding(self) -> Sliding {
        match self {
            Self::ByDefault | Self::Never => Sliding::AsConfigured,
            Self::At(_) | Self::In(_) => Sliding::Fixed,
            Self::Sliding(span) => Sliding::by(span),
        }
    }
}

impl<T: SessionFields> NewSession<T> {
    /// Makes a new session with these extra fields, the default of the table's data type, and the expiry that the
    /// configuration gives.
    ///
    /// If the table declares no data type, the data is the JSON `{}`. A data type without a `Default` does not compile
    /// here; [`with_data`](Self::with_data) takes the data instead.
    pub fn new(fields: T) -> Self
    where
        T::Data: DefaultData,
    {
        Self::with_data(fields, T::Data::default_data())
    }

    /// Makes a new session with these extra fields and this data, and the expiry that the configuration gives.
    pub fn with_data(fields: T, data: impl Into<T::Data>) -> Self {
        Self { fields, data: NewData::of(&data.into()), expiry: Expiry::ByDefault, token: None }
    }

    /// Returns the extra fields, for code that fills in values that the caller could not know.
    pub fn fields_mut(&mut self) -> &mut T {
        &mut self.fields
    }

    /// Sets the session's JSON data.
    pub fn data(self, data: impl Into<T::Data>) -> Self {
        Self { data: NewData::of(&data.into()), ..self }
    }

    /// Sets the session's JSON data from text. Its numbers are stored digit by digit.
    ///
    /// `create` fails if the text could not be read again: if it holds a number beyond the range of 64-bit floats or
    /// half of a surrogate pair, or is nested deeper than 127 levels.
    pub fn raw_data(self, data: &RawValue) -> Self {
        Self { data: NewData(Arc::new(StoredData::of_raw(data))), ..self }
    }

    /// Sets when the session expires. The instant may lie in the past; then the session is created expired.
    ///
    /// Such a session is never extended, neither by a read nor by [`extend`](crate::Sessions::extend). `create` fails
    /// with [`MissingColumn`](crate::ErrorKind::MissingColumn) if a read would extend it and the table has no column
    /// that says otherwise, because it was not [migrated](crate::Sessions::migrate).
    pub fn expires_at(self, instant: OffsetDateTime) -> Self {
        Self { expiry: Expiry::At(instant), ..self }
    }

    /// Sets how long the session lives, in place of the configured time to live.
    ///
    /// Such a session is never extended; see [`expires_at`](Self::expires_at), and [`sliding`](Self::sliding) for one
    /// that is.
    pub fn expires_in(self, span: Duration) -> Self {
        Self { expiry: Expiry::In(span), ..self }
    }

    /// Sets how long the session lives after it was created or last extended, in place of the configured time to live:
    /// for example thirty days for a browser that is to be remembered, and the configured day for others.
    ///
    /// The span is kept in whole seconds, rounded up. Whether and how often a read extends the session is up to the
    /// configuration, as for every session. If the span is shorter than the configured time to live,
    /// [`extend_after`](crate::ConfigBuilder::extend_after) is shortened in proportion.
    /// [`max_lifetime`](crate::ConfigBuilder::max_lifetime) ends the session all the same.
    ///
    /// `create` fails with [`MissingColumn`](crate::ErrorKind::MissingColumn) if the table has no column for the span,
    /// because it was not [migrated](crate::Sessions::migrate).
    pub fn sliding(self, span: Duration) -> Self {
        Self { expiry: Expiry::Sliding(span), ..self }
    }

    /// Makes the session never expire, unless the configuration sets a `max_lifetime`.
    pub fn never_expires(self) -> Self {
        Self { expiry: Expiry::Never, ..self }
    }

    /// Uses this token in place of a new one and stores its digest. This is for tokens that another system of your own
    /// issued and that clients already hold.
    ///
    /// Never pass a token that a client made up. Creating a session for a token that an attacker chose is session
    /// fixation.
    pub fn import_token(self, token: Token) -> Self {
        Self { token: Some(token), ..self }
    }
}

/// A new session and its token. The token exists only here: send it to the client now.
#[derive(Clone)]
#[non_exhaustive]
pub struct CreatedSession<T: SessionFields> {
    /// The session as it was stored.
    pub session: Session<T>,
    /// The secret that the client presents from now on.
    pub token: Token,
}

impl<T: SessionFields + fmt::Debug> fmt::Debug for CreatedSession<T>
where
    T::Data: fmt::Debug,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CreatedSession").field("session", &self.session).field("token", &self.token).finish()
    }
}

/// Whether a session is valid or expired; also selects the sessions that a query looks at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Status {
    /// The session never expires, or expires after now and was not ended. The default of every query.
    #[default]
    Valid,
    /// The session expired now or before, or was ended: its expiry is not after its last write.
    Expired,
    /// Both. Only a query has this status; no session does.
    All,
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Valid => "valid",
            Self::Expired => "expired",
            Self::All => "all",
        })
    }
}
