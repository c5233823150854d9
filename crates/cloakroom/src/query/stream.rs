use futures_core::stream::BoxStream;
use futures_util::stream;
use time::OffsetDateTime;

use super::each::Each;
use super::{SessionQuery, SortOrder, UnreadableSession, not_pageable};
use crate::error::Result;
use crate::observe::Operation;
use crate::session::Session;
use crate::table::SessionFields;

/// How many sessions a stream reads at once, at first and at most. If no index serves the order, each page scans the
/// whole table, so a long stream takes larger pages to have fewer of them.
const STREAM_PAGES: std::ops::RangeInclusive<u64> = 500..=8_000;

impl<'c, T: SessionFields> SessionQuery<'c, T> {
    /// Returns a stream of all sessions that match, for results too large to hold at once. Extends none of them.
    ///
    /// The stream reads page by page, so no connection is held while the caller works. A session that is created or
    /// deleted meanwhile may or may not be seen. No session is seen twice.
    ///
    /// # Errors
    ///
    /// The stream's items are `Result`s, and it ends after the first error. A query with an order of its own, set by
    /// [`order_by`](Self::order_by), cannot be read page by page and fails with `Unsupported`.
    pub fn stream(self) -> BoxStream<'c, Result<Session<T>>> {
        self.unfold(|each| each.map_err(|unreadable| unreadable.error))
    }

    /// Returns a stream of all sessions that match, in which a session that does not decode is an item among the
    /// others; see [`stream`](Self::stream) and [`fetch_each`](Self::fetch_each).
    ///
    /// # Errors
    ///
    /// The same as those of [`stream`](Self::stream), except that a session that does not decode does not end the
    /// stream.
    pub fn stream_each(self) -> BoxStream<'c, Result<Result<Session<T>, UnreadableSession>>> {
        self.unfold(Ok)
    }

    fn unfold<I: Send + 'c>(mut self, item: fn(Each<T>) -> Result<I>) -> BoxStream<'c, Result<I>> {
        self.read_as_list();
        let now = self.operations.config().now();
        let state = StreamState {
            remaining: self.criteria.limit,
            page_size: *STREAM_PAGES.start(),
            query: Some(self),
            page: Vec::new().into_iter(),
        };
        Box::pin(stream::try_unfold(state, move |mut state| async move {
            loop {
                if let Some(each) = state.page.next() {
                    return Ok(Some((item(each)?, state)));
                }
                if !state.read_page(now).await? {
                    return Ok(None);
                }
            }
        }))
    }
}

struct StreamState<'c, T: SessionFields> {
    /// `None` once there is nothing more to read.
    query: Option<SessionQuery<'c, T>>,
    remaining: Option<u64>,
    page_size: u64,
    page: std::vec::IntoIter<Each<T>>,
}

impl<T: SessionFields> StreamState<'_, T> {
    /// Reads the next page, and returns `false` if there is none. The page may be empty.
    async fn read_page(&mut self, now: OffsetDateTime) -> Result<bool> {
        let Some(query) = &mut self.query else {
            return Ok(false);
        };
        let size = self.remaining.map_or(self.page_size, |remaining| Ord::min(remaining, self.page_size));
        self.page_size = Ord::min(self.page_size * 2, *STREAM_PAGES.end());
        query.criteria.limit = Some(size);
        if matches!(query.criteria.order, SortOrder::By(_)) {
            return Err(not_pageable());
        }
        if size == 0 {
            self.query = None;
            return Ok(true);
        }
        let page = query.operations.call(Operation::FetchPage).of(query.fetch_page(now)).await?;
        self.remaining = self.remaining.map(|remaining| remaining - page.rows);
        match page.last {
            // If the creation of the last row cannot be read, its place is unknown, and no page can follow it.
            Some(last) if page.rows == size => query.criteria.after = Some(last?),
            _ => self.query = None,
        }
        self.page = page.found.into_iter();
        Ok(true)
    }
}
