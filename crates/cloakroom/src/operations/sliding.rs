//! Sessions with a span of their own, and tables that cannot hold one because they were not migrated.

use std::sync::Arc;

use time::OffsetDateTime;

use super::Operations;
use crate::error::{Error, ErrorKind, Result};
use crate::session::{Sliding, expiry};
use crate::store::HasSliding;
use crate::table::{SessionFields, column};

impl<T: SessionFields> Operations<'_, T> {
    /// Finds out whether the table has the column, before the first statement that would name it.
    pub(crate) async fn know_sliding(&mut self) -> Result<()> {
        let handle = Arc::clone(self.handle());
        handle.store().know_sliding(self.connection()).await
    }

    /// Returns `true` if the table has the column by now. Another process may have migrated it since it was looked at.
    pub(super) async fn has_sliding_by_now(&mut self) -> Result<bool> {
        let handle = Arc::clone(self.handle());
        let known = &handle.store().known;
        if known.has_sliding() != HasSliding::Yes {
            known.ask(self.connection(), handle.definition()).await?;
        }
        Ok(known.has_sliding() == HasSliding::Yes)
    }

    /// Refuses to write what a later read would not know, and so would not keep to.
    pub(super) async fn check_sliding(
        &mut self,
        sliding: Sliding,
        inserted_at: OffsetDateTime,
        expires_at: Option<OffsetDateTime>,
    ) -> Result<()> {
        let is_kept_without = match sliding {
            Sliding::AsConfigured => true,
            Sliding::Fixed => {
                !expiry::is_ever_extended(self.config(), inserted_at, expires_at, Sliding::AsConfigured)
            }
            Sliding::By(_) => false,
        };
        if is_kept_without || self.has_sliding_by_now().await? {
            return Ok(());
        }
        let message = format!(
            "{} has no column {} to say how long the session lives, and a read would extend it as configured: migrate \
             the table first",
            self.table(),
            column::SLIDING
        );
        Err(Error::new(ErrorKind::MissingColumn, message))
    }
}
