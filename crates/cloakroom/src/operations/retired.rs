//! Tokens that sessions had before and that are good for a while: a rotation with a grace.

use std::time::Duration;

use time::OffsetDateTime;
use uuid::Uuid;

use super::Operations;
use super::authenticate::Use;
use super::rotate::Why;
use crate::clock::to_stored_precision;
use crate::database::{Row, Statement};
use crate::error::{Error, ErrorKind, Result};
use crate::observe::Operation;
use crate::session::{RetiredToken, Session, expiry};
use crate::sql::{as_it_was_read, retired, unreadable};
use crate::table::{Role, RoleField, RotatesWithGrace, SessionFields, column, retired_column};
use crate::token::{PossibleDigests, Token, TokenDigest};

/// How often an old token is looked for if other callers keep writing its session.
const ATTEMPTS: usize = 5;

impl<T: SessionFields> Operations<'_, T> {
    /// See [`Sessions::rotate_with_grace`](crate::Sessions::rotate_with_grace). [On a
    /// connection](crate::Sessions::on_connection) a transaction must be open.
    pub async fn rotate_with_grace(&mut self, session: &mut Session<T>, grace: Duration) -> Result<Token>
    where
        T: RotatesWithGrace,
    {
        self.call(Operation::RotateWithGrace).of(self.rotate_row_with_grace(session, grace)).await
    }

    async fn rotate_row_with_grace(&mut self, session: &mut Session<T>, grace: Duration) -> Result<Token> {
        if !self.table().has_rotation_grace() {
            let message = format!("{} does not keep the tokens that were rotated", self.table());
            return Err(Error::new(ErrorKind::Unsupported, message));
        }
        self.rotate_row(session, &[], &|_| {}, Some(grace), Why::Asked).await
    }

    /// Returns what is written of the session's old tokens when it gets another one. The present token stays good for
    /// `grace`, and older ones for no longer; without a grace all of them end: another party may have seen them. Returns
    /// the digest of the present token too, if it is recorded as retired.
    ///
    /// The present token of a bound session is recorded also without a grace: its browser may be about to renew with it, and
    /// that takes the device's key.
    pub(super) async fn retiring(
        &mut self,
        session: &Session<T>,
        now: OffsetDateTime,
        grace: Option<Duration>,
    ) -> Result<(Option<TokenDigest>, Vec<Statement>)> {
        let until = to_stored_precision(expiry::later(now, grace.unwrap_or(Duration::ZERO)));
        let shorten = retired::shorten(&mut self.bindings(), session.id, until);
        if grace.is_none() && session.stored.token_until.is_none() {
            return Ok((None, vec![shorten]));
        }
        let Some(digest) = self.digest_as_read(session).await? else {
            return Err(self.lost(session).await?);
        };
        let new = retired::NewRetired {
            digest: &digest,
            session: session.id,
            retired_at: now,
            usable_until: grace.map(|_| until),
            hint: hint_as_read(session),
            sealed: None,
        };
        let insert = retired::insert(&mut self.bindings(), new);
        Ok((Some(digest), vec![insert, shorten]))
    }

    /// Returns the digest of the session's present token, or `None` if its row is not as it was read.
    async fn digest_as_read(&mut self, session: &Session<T>) -> Result<Option<TokenDigest>> {
        let mut bindings = self.bindings();
        let condition = as_it_was_read(&mut bindings, session);
        let mut select = retired::current_digest(&bindings, condition);
        let guard = self.guard(&mut select);
        let row = self.fetch_optional(&bindings.build(&select).guarded(guard)).await?;
        let digest = row.map(|row| row.text(0)).transpose();
        let digest = digest.map_err(|error| unreadable(self.table(), column::DIGEST, error))?;
        Ok(digest.flatten().map(TokenDigest::new))
    }

    /// Returns the valid session of an old token that is still good.
    pub(super) async fn find_by_old_token(
        &mut self,
        digests: &PossibleDigests,
        how: Use,
    ) -> Result<Option<Session<T>>> {
        for _ in 0..ATTEMPTS {
            let Some(session) = self.find_usable(digests).await? else {
                return Ok(None);
            };
            match how {
                Use::Leaves => return Ok(Some(session)),
                Use::Extends => {
                    if let Some(session) = self.extend_on_read(session).await? {
                        return Ok(Some(session));
                    }
                }
            }
        }
        self.find_usable(digests).await
    }

    async fn find_usable(&mut self, digests: &PossibleDigests) -> Result<Option<Session<T>>> {
        let now = self.config().now();
        let mut bindings = self.bindings();
        let mut find = retired::find_usable(&mut bindings, digests, now);
        let guard = self.guard(&mut find);
        let rows = self.fetch_all(&bindings.build(&find).guarded(guard)).await?;
        let Some((found, _)) = retired::RetiredRow::among(&rows, digests, self.table())? else {
            return Ok(None);
        };
        // The query may have waited long for a connection.
        let now = Ord::max(now, self.config().now());
        let Some(until) =
            found.usable_until.filter(|until| now < *until && !found.session.is_over(self.config(), now))
        else {
            return Ok(None);
        };
        let mut session: Session<T> = found.session(self.table(), self.config())?;
        session.row_mut().stored.old_token_until = Some(until);
        Ok(Some(session))
    }

    /// See [`Sessions::retired_tokens`](crate::Sessions::retired_tokens).
    pub async fn retired_tokens(&mut self, session: &Session<T>) -> Result<Vec<RetiredToken>>
    where
        T: RotatesWithGrace,
    {
        self.call(Operation::RetiredTokens).of(self.list_retired(session.id)).await
    }

    async fn list_retired(&mut self, session: Uuid) -> Result<Vec<RetiredToken>> {
        if !self.table().keeps_retired_tokens() {
            return Ok(Vec::new());
        }
        let now = self.config().now();
        let mut bindings = self.bindings();
        let mut list = retired::list(&mut bindings, session, now);
        let guard = self.guard(&mut list);
        let rows = self.fetch_all(&bindings.build(&list).guarded(guard)).await?;
        rows.iter().map(|row| self.read_retired(row)).collect()
    }

    fn read_retired(&self, row: &Row) -> Result<RetiredToken> {
        let failed = |name, error| unreadable(self.table(), name, error);
        let instant = |place, name| {
            let missing = || sqlx::Error::Decode("unexpected null".into());
            let instant = row.timestamp(place).and_then(|instant| instant.ok_or_else(missing));
            instant.map_err(|error| failed(name, error))
        };
        Ok(RetiredToken {
            retired_at: instant(0, retired_column::RETIRED_AT)?,
            usable_until: instant(1, retired_column::USABLE_UNTIL)?,
            hint: row.text(2).map_err(|error| failed(retired_column::HINT, error))?,
        })
    }
}

/// Returns the hint of the session's present token, as it was read.
fn hint_as_read<T: SessionFields>(session: &Session<T>) -> Option<String> {
    let as_read = session.stored.fields.as_deref().unwrap_or(&session.fields);
    match as_read.clone().role_mut(Role::Hint)? {
        RoleField::Text(field) => field.text().map(str::to_owned),
        RoleField::Instant(_) => None,
    }
}
