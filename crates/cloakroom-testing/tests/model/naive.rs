//! The table as a `Vec` of rows, and each operation as the documentation says it: clear rather than
//! efficient, and without a look at the library.

use std::time::Duration;

use cloakroom::{ErrorKind, Status};
use serde_json::Value;
use time::OffsetDateTime;
use uuid::Uuid;

/// The settings that the rules depend on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Settings {
    pub ttl: Option<Duration>,
    pub extend_after: Option<Duration>,
    pub auto_extend: bool,
    pub max_lifetime: Option<Duration>,
    /// Whether some sessions are made by a process that stores them under an older scheme.
    pub has_older_scheme: bool,
    /// How many valid sessions a user may have; the oldest make room.
    pub limit: Option<usize>,
}

/// What a caller sees of a session.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Seen {
    pub id: Uuid,
    pub user_id: String,
    pub data: Value,
    pub expires_at: Option<OffsetDateTime>,
    pub inserted_at: OffsetDateTime,
    pub updated_at: OffsetDateTime,
    /// By which span of its own it slides; nought if it never does.
    pub span: Option<Duration>,
}

/// A row: what callers see, and which of the tokens ever given out it has now.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub seen: Seen,
    pub token: usize,
    /// Whether it is stored under the older scheme.
    pub is_older: bool,
}

#[derive(Debug)]
pub(crate) struct Naive {
    pub settings: Settings,
    pub now: OffsetDateTime,
    pub rows: Vec<Row>,
}

/// How a new session's expiry is given.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Expiry {
    Default,
    At(OffsetDateTime),
    In(Duration),
    Sliding(Duration),
    Never,
}

/// What a caller changes of a session before an update.
#[derive(Clone, Debug, Default)]
pub(crate) struct Change {
    pub user_id: Option<String>,
    pub data: Option<Value>,
    /// An instant, or never.
    pub expiry: Option<Expiry>,
}

/// What a client presents.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum TokenChoice {
    /// One that was given out at some time: still in use, rotated away, or of a session that is deleted.
    Given(usize),
    /// One that was never given out.
    Unknown(&'static [u8]),
}

/// What a query looks for; its handles are resolved.
#[derive(Clone, Debug)]
pub(crate) struct Wanted {
    pub id: Option<Uuid>,
    pub token: Option<TokenChoice>,
    pub user_id: Option<String>,
    pub data: Option<Value>,
    pub status: Status,
    pub oldest_first: bool,
    pub after: Option<(OffsetDateTime, Uuid)>,
    pub limit: Option<u64>,
}

type Outcome<T> = Result<T, ErrorKind>;

const LAST: OffsetDateTime = time::macros::datetime!(9999-12-31 23:59:59.999999 UTC);

/// Databases keep microseconds, of the years 1 to 9999.
pub(crate) fn stored(instant: OffsetDateTime) -> OffsetDateTime {
    instant.min(LAST).replace_nanosecond(instant.min(LAST).nanosecond() / 1_000 * 1_000).unwrap()
}

/// What the column keeps of a span.
fn whole_seconds(span: Duration) -> Duration {
    Duration::from_secs((span.as_secs() + u64::from(span.subsec_nanos() > 0)).max(1))
}

fn later(instant: OffsetDateTime, span: Duration) -> OffsetDateTime {
    stored(instant.checked_add(time::Duration::try_from(span).unwrap()).unwrap_or(LAST))
}

fn is_valid_at(expires_at: Option<OffsetDateTime>, now: OffsetDateTime) -> bool {
    expires_at.is_none_or(|expires_at| expires_at > now)
}

impl Seen {
    /// Every write moves `updated_at` forward, whatever the clock does.
    fn written_at(&mut self, now: OffsetDateTime) {
        self.updated_at = now.max(self.updated_at + Duration::from_micros(1));
    }

    /// Expired by the clock, or ended when it was last written: a clock that shows less than that one did
    /// brings nothing back.
    fn is_over(&self, now: OffsetDateTime) -> bool {
        !is_valid_at(self.expires_at, now) || !is_valid_at(self.expires_at, self.updated_at)
    }

    /// Expired by this clock, and not by one that is a day behind: from now on it is, and its expiry stays.
    fn end_if_lapsed(&mut self, now: OffsetDateTime) {
        let behind = self.updated_at.max(now.saturating_sub(time::Duration::DAY));
        if !is_valid_at(self.expires_at, now) && is_valid_at(self.expires_at, behind) {
            self.written_at(now);
        }
    }
}

impl Change {
    pub(crate) fn apply(&self, seen: &mut Seen) {
        if let Some(user_id) = &self.user_id {
            seen.user_id.clone_from(user_id);
        }
        if let Some(data) = &self.data {
            seen.data = data.clone();
        }
        match self.expiry {
            Some(Expiry::At(instant)) => seen.expires_at = Some(instant),
            Some(Expiry::Never) => seen.expires_at = None,
            _ => {}
        }
    }
}

impl Naive {
    pub(crate) fn new(settings: Settings, now: OffsetDateTime) -> Self {
        Self { settings, now, rows: Vec::new() }
    }

    pub(crate) fn now(&self) -> OffsetDateTime {
        stored(self.now)
    }

    /// What a new session is, but for its id.
    pub(crate) fn create(&self, user_id: &str, data: Option<&Value>, expiry: Expiry) -> Outcome<Seen> {
        if user_id.trim().is_empty() {
            return Err(ErrorKind::InvalidField);
        }
        let now = self.now();
        let expires_at = match expiry {
            Expiry::Default => self.settings.ttl.map(|ttl| later(now, ttl)),
            Expiry::At(instant) => Some(stored(instant)),
            Expiry::In(span) | Expiry::Sliding(span) => Some(later(now, span)),
            Expiry::Never => None,
        };
        let span = match expiry {
            Expiry::Default | Expiry::Never => None,
            Expiry::At(_) | Expiry::In(_) => Some(Duration::ZERO),
            Expiry::Sliding(span) => Some(whole_seconds(span)),
        };
        Ok(Seen {
            id: Uuid::nil(),
            user_id: user_id.to_owned(),
            data: data.cloned().unwrap_or_else(|| serde_json::json!({})),
            expires_at: self.capped(now, expires_at),
            inserted_at: now,
            updated_at: now,
            span,
        })
    }

    /// Ends the oldest sessions of a user who is about to get another one.
    pub(crate) fn make_room(&mut self, user_id: &str) {
        let Some(limit) = self.settings.limit else { return };
        let now = self.now();
        let is_counted = |seen: &Seen| seen.user_id == user_id && !seen.is_over(now);
        let mut counted: Vec<_> = self.rows.iter_mut().filter(|row| is_counted(&row.seen)).collect();
        counted.sort_by_key(|row| (row.seen.inserted_at, row.seen.id));
        let excess = (counted.len() + 1).saturating_sub(limit);
        for row in counted.into_iter().take(excess) {
            row.seen.expires_at = Some(now);
            row.seen.written_at(now);
        }
    }

    fn capped(&self, born: OffsetDateTime, expires_at: Option<OffsetDateTime>) -> Option<OffsetDateTime> {
        match (self.settings.max_lifetime, expires_at) {
            (None, expires_at) => expires_at,
            (Some(lifetime), None) => Some(later(born, lifetime)),
            (Some(lifetime), Some(expires_at)) => Some(expires_at.min(later(born, lifetime))),
        }
    }

    /// Where an extension is due now, what it moves the expiry to.
    fn due(&self, seen: &Seen) -> Option<OffsetDateTime> {
        let Settings { ttl, extend_after, .. } = self.settings;
        let (span, mut gain) = (seen.span.or(ttl)?, extend_after?);
        let whole = ttl.unwrap_or(Duration::from_hours(7 * 24));
        if span.is_zero() {
            return None;
        }
        if seen.span.is_some() && span < whole {
            let micros = gain.as_micros() * span.as_micros() / whole.as_micros();
            gain = Duration::from_micros(u64::try_from(micros).unwrap());
        }
        let expires_at = seen.expires_at?;
        let proposed = self.capped(seen.inserted_at, Some(later(self.now(), span)))?;
        (!seen.is_over(self.now()) && proposed > later(expires_at, gain)).then_some(proposed)
    }

    fn position(&self, id: Uuid) -> Option<usize> {
        self.rows.iter().position(|row| row.seen.id == id)
    }

    fn row(&mut self, id: Uuid) -> Outcome<&mut Row> {
        self.rows.iter_mut().find(|row| row.seen.id == id).ok_or(ErrorKind::NotFound)
    }

    /// What a read of one session answers: the session, extended where that is due.
    fn read(&mut self, at: usize) -> Seen {
        let now = self.now();
        if self.settings.auto_extend
            && let Some(expires_at) = self.due(&self.rows[at].seen)
        {
            self.rows[at].seen.expires_at = Some(expires_at);
            self.rows[at].seen.written_at(now);
        }
        self.rows[at].seen.clone()
    }

    pub(crate) fn authenticate(&mut self, token: TokenChoice) -> Option<Seen> {
        let now = self.now();
        let found = self
            .rows
            .iter()
            .position(|row| TokenChoice::Given(row.token) == token && !row.seen.is_over(now))?;
        let row = &mut self.rows[found];
        if row.is_older {
            row.seen.written_at(now);
            row.is_older = false;
        }
        Some(self.read(found))
    }

    /// The rows that match, in order.
    pub(crate) fn list(&self, wanted: &Wanted) -> Vec<Seen> {
        let now = self.now();
        let place = |seen: &Seen| (seen.inserted_at, seen.id);
        let mut found: Vec<Seen> = Vec::new();
        for Row { seen, token, .. } in &self.rows {
            let is_valid = !seen.is_over(now);
            let is_wanted = wanted.id.is_none_or(|id| seen.id == id)
                && wanted.token.is_none_or(|wanted| wanted == TokenChoice::Given(*token))
                && wanted.user_id.as_ref().is_none_or(|user_id| seen.user_id == *user_id)
                && wanted.data.as_ref().is_none_or(|data| seen.data == *data)
                && match wanted.status {
                    Status::Valid => is_valid,
                    Status::Expired => !is_valid,
                    Status::All => true,
                }
                && wanted.after.is_none_or(|cursor| {
                    if wanted.oldest_first { place(seen) > cursor } else { place(seen) < cursor }
                });
            if is_wanted {
                found.push(seen.clone());
            }
        }
        found.sort_by_key(place);
        if !wanted.oldest_first {
            found.reverse();
        }
        if let Some(limit) = wanted.limit {
            found.truncate(usize::try_from(limit).unwrap());
        }
        found
    }

    pub(crate) fn fetch_optional(&mut self, wanted: &Wanted) -> Outcome<Option<Seen>> {
        match &*self.list(wanted) {
            [] => Ok(None),
            // To look at a session is not to use it, but to present its token is.
            [one] if wanted.token.is_none() => Ok(Some(one.clone())),
            [one] => Ok(self.position(one.id).map(|at| self.read(at))),
            _ => Err(ErrorKind::MultipleSessions),
        }
    }

    pub(crate) fn fetch_one(&mut self, wanted: &Wanted) -> Outcome<Seen> {
        self.fetch_optional(wanted)?.ok_or(ErrorKind::NotFound)
    }

    pub(crate) fn reload(&mut self, handle: &mut Seen) -> Outcome<()> {
        *handle = self.row(handle.id)?.seen.clone();
        Ok(())
    }

    /// Gone, changed since it was read, or as it was read.
    fn row_as_read(&mut self, handle: &Seen) -> Outcome<&mut Row> {
        let row = self.row(handle.id)?;
        if row.seen.updated_at == handle.updated_at { Ok(row) } else { Err(ErrorKind::Conflict) }
    }

    pub(crate) fn update(&mut self, handle: &mut Seen, change: &Change) -> Outcome<()> {
        let now = self.now();
        let mut changed = handle.clone();
        change.apply(&mut changed);
        if changed.user_id.trim().is_empty() {
            return Err(ErrorKind::InvalidField);
        }
        changed.expires_at = changed.expires_at.map(stored);
        if changed.expires_at != handle.expires_at {
            changed.expires_at = self.capped(changed.inserted_at, changed.expires_at);
        }
        let row = self.row_as_read(handle)?;
        let moves = changed.expires_at != handle.expires_at;
        if moves && handle.is_over(now) && is_valid_at(changed.expires_at, now) {
            return Err(ErrorKind::Expired);
        }
        let is_earlier = |end| handle.expires_at.is_none_or(|before| end < before);
        if changed.expires_at.is_some_and(|end| end > now && is_earlier(end)) {
            changed.span = Some(Duration::ZERO);
        }
        changed.written_at(now);
        row.seen = changed.clone();
        *handle = changed;
        Ok(())
    }

    pub(crate) fn update_with(&mut self, handle: &mut Seen, change: &Change) -> Outcome<()> {
        match self.update(handle, change) {
            Err(ErrorKind::Conflict) => {
                self.reload(handle)?;
                self.update(handle, change)
            }
            result => result,
        }
    }

    pub(crate) fn extend(&mut self, handle: &mut Seen) -> Outcome<bool> {
        let now = self.now();
        // As far as the caller knows there is nothing to do, and nothing is asked.
        if self.due(handle).is_none() && !handle.is_over(now) {
            return Ok(false);
        }
        self.reload(handle)?;
        let Some(expires_at) = self.due(handle) else {
            return Ok(false);
        };
        handle.expires_at = Some(expires_at);
        handle.written_at(now);
        self.row(handle.id)?.seen = handle.clone();
        Ok(true)
    }

    pub(crate) fn expire(&mut self, handle: &mut Seen) -> bool {
        let now = self.now();
        let Ok(row) = self.row(handle.id) else {
            if !handle.is_over(now) {
                handle.expires_at = Some(now);
            }
            return false;
        };
        let was_over = row.seen.is_over(now);
        if !was_over {
            row.seen.expires_at = Some(now);
            row.seen.written_at(now);
        }
        row.seen.end_if_lapsed(now);
        *handle = row.seen.clone();
        !was_over
    }

    pub(crate) fn rotate(&mut self, handle: &mut Seen, token: usize) -> Outcome<()> {
        let now = self.now();
        let row = self.row_as_read(handle)?;
        if row.seen.is_over(now) {
            return Err(ErrorKind::Expired);
        }
        row.token = token;
        row.is_older = false;
        row.seen.written_at(now);
        *handle = row.seen.clone();
        Ok(())
    }

    pub(crate) fn delete(&mut self, id: Uuid) -> bool {
        let at = self.position(id);
        at.map(|at| self.rows.remove(at)).is_some()
    }

    pub(crate) fn expire_all(&mut self, wanted: &Wanted) -> usize {
        if wanted.status == Status::Expired {
            return 0;
        }
        let found = self.list(&Wanted { status: Status::Valid, ..wanted.clone() });
        for mut handle in found.iter().cloned() {
            self.expire(&mut handle);
        }
        self.end_lapsed(wanted, found.len());
        found.len()
    }

    pub(crate) fn delete_all(&mut self, wanted: &Wanted) -> usize {
        let found = self.list(wanted);
        let deleted = found.iter().filter(|seen| self.delete(seen.id)).count();
        if wanted.status == Status::Valid {
            self.end_lapsed(wanted, deleted);
        }
        deleted
    }

    /// Nor does anybody else accept what has expired here, whatever their clock shows; unless a limit was
    /// reached before.
    fn end_lapsed(&mut self, wanted: &Wanted, ended: usize) {
        let now = self.now();
        if wanted.limit.is_some_and(|limit| ended as u64 >= limit) {
            return;
        }
        for seen in self.list(&Wanted { status: Status::All, limit: None, ..wanted.clone() }) {
            if let Ok(row) = self.row(seen.id) {
                row.seen.end_if_lapsed(now);
            }
        }
    }

    pub(crate) fn delete_expired(&mut self) -> usize {
        let (before, now) = (self.rows.len(), self.now());
        self.rows.retain(|row| is_valid_at(row.seen.expires_at, now));
        before - self.rows.len()
    }

    /// What holds of every table, whatever was done to it.
    pub(crate) fn check(&self) {
        for (at, Row { seen, token, .. }) in self.rows.iter().enumerate() {
            assert!(seen.updated_at >= seen.inserted_at, "written before it was made: {seen:?}");
            assert!(!seen.user_id.trim().is_empty(), "a blank required field: {seen:?}");
            if let Some(lifetime) = self.settings.max_lifetime {
                let end = later(seen.inserted_at, lifetime);
                assert!(seen.expires_at.is_some_and(|expires_at| expires_at <= end), "outlives: {seen:?}");
            }
            for other in &self.rows[..at] {
                assert!(other.seen.id != seen.id && other.token != *token, "twins: {seen:?}");
            }
        }
    }
}
