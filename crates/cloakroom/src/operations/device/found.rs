//! Which session a token means, also one that a renewal has replaced.

use crate::database::Row;
use crate::device::DeviceKey;
use crate::error::Result;
use crate::operations::Operations;
use crate::session::{BindingRefusal, Session};
use crate::sql::device::{self, DeviceRow, Of};
use crate::sql::{retired, unreadable};
use crate::table::{Role, SessionFields};
use crate::token::{PossibleDigests, TokenDigest};

/// A session that is to be renewed.
pub(super) struct Found<'d, T: SessionFields> {
    pub(super) row: DeviceRow<T>,
    pub(super) key: DeviceKey,
    pub(super) by: By<'d>,
}

/// By which token it was found.
pub(super) enum By<'d> {
    /// Its present one.
    Present(&'d TokenDigest),
    /// One that a renewal has replaced.
    Old { digest: &'d TokenDigest, sealed: Option<Vec<u8>> },
}

impl<T: SessionFields> Operations<'_, T> {
    /// Returns the bound session that a token means, or why there is none.
    pub(super) async fn find_bound<'d>(
        &mut self,
        digests: &'d PossibleDigests,
    ) -> Result<Result<Found<'d, T>, BindingRefusal>> {
        let (row, by) = match self.row_of_token(digests).await? {
            Some((row, digest)) => (row, By::Present(digest)),
            None => match self.row_of_old(digests).await? {
                Some(found) => found,
                None => return Ok(Err(BindingRefusal::UnknownToken)),
            },
        };
        let Some(text) = &row.key else {
            return Ok(Err(BindingRefusal::NotBound));
        };
        let column = self.table().field_for(Role::DeviceKey).map_or("", |field| field.name());
        let key = text.parse().map_err(|error| unreadable(self.table(), column, error))?;
        Ok(Ok(Found { row, key, by }))
    }

    pub(super) async fn row_of_token<'d>(
        &mut self,
        digests: &'d PossibleDigests,
    ) -> Result<Option<(DeviceRow<T>, &'d TokenDigest)>> {
        let Some(row) = self.device_row(Of::Token(digests)).await? else {
            return Ok(None);
        };
        let digest = digests.iter().find(|digest| digest.matches(&row.digest));
        Ok(digest.map(|digest| (row, digest)))
    }

    pub(super) async fn row_of_old<'d>(
        &mut self,
        digests: &'d PossibleDigests,
    ) -> Result<Option<(DeviceRow<T>, By<'d>)>> {
        let mut bindings = self.bindings();
        let mut find = retired::find(&mut bindings, digests);
        let guard = self.guard(&mut find);
        let rows = self.fetch_all(&bindings.build(&find).guarded(guard)).await?;
        let Some((old, digest)) = retired::RetiredRow::among(&rows, digests, self.table())? else {
            return Ok(None);
        };
        let (id, sealed) = (old.session.id, old.sealed);
        Ok(self.device_row(Of::Id(id)).await?.map(|row| (row, By::Old { digest, sealed })))
    }

    /// Returns the session that a renewal with this token would be about.
    pub(super) async fn awaiting(&mut self, token: &[u8]) -> Result<Option<Session<T>>> {
        let digests = self.digests(token).filter(|_| self.table().binds_devices());
        let Some(digests) = digests else {
            return Ok(None);
        };
        let row = match self.row_of_token(&digests).await? {
            Some((row, _)) => Some(row),
            None => self.row_of_old(&digests).await?.map(|(row, _)| row),
        };
        Ok(row.filter(|row| row.key.is_some()).map(|row| row.session))
    }

    /// Reads a session with what is needed to bind or renew it, unless it is over. The database compares digests by its own
    /// rules, so the caller looks again.
    pub(super) async fn device_row(&mut self, of: Of<'_>) -> Result<Option<DeviceRow<T>>> {
        self.know_sliding().await?;
        let mut bindings = self.bindings();
        let mut find = device::find(&mut bindings, of);
        let guard = self.guard(&mut find);
        let rows: Vec<Row> = self.fetch_all(&bindings.build(&find).guarded(guard)).await?;
        let now = self.config().now();
        for row in &rows {
            if let Some(row) = DeviceRow::read(row, self.table(), self.config(), now)? {
                let is_it = match of {
                    Of::Id(id) => row.session.id == id,
                    Of::Token(digests) => digests.iter().any(|digest| digest.matches(&row.digest)),
                };
                if is_it {
                    return Ok(Some(row));
                }
            }
        }
        Ok(None)
    }
}
