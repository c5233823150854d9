//! Which of the sessions to import are in the table already.

use std::collections::HashMap;

use sea_query::Query;
use time::OffsetDateTime;
use uuid::Uuid;

use super::{ImportedRow, UnplacedRow};
use crate::config::Config;
use crate::database::{FieldValue, Foreign, Row};
use crate::error::{Error, ErrorKind, Result};
use crate::operations::Operations;
use crate::operations::create::not_storable;
use crate::sql::{RowHeader, select_columns, unreadable};
use crate::table::{FieldReader, Role, SessionFields, column};
use crate::token::{DigestForm, PossibleDigests, TokenDigest};

/// A session to import, and by what it is known.
pub(super) struct Known<T> {
    pub(super) row: ImportedRow,
    /// The id that the row gets, and those that it would have got under another order of the schemes.
    pub(super) ids: Vec<Uuid>,
    /// Whether the id was given.
    has_id: bool,
    inserted_at: Option<OffsetDateTime>,
    fields: T,
    secret: Secret,
}

enum Secret {
    /// A session with a token may be stored under any scheme.
    Token(PossibleDigests),
    Digest(TokenDigest),
}

impl<T> Known<T> {
    /// Makes it of a session and its row, which `place` returns for the id.
    pub(super) fn new(
        config: &Config,
        row: UnplacedRow<T>,
        place: impl FnOnce(&UnplacedRow<T>, Uuid) -> ImportedRow,
    ) -> Result<Self> {
        let secret = match &row.token {
            Some(token) => {
                let hashed = config.hash(token.as_ref()).map_err(not_storable)?;
                Secret::Token(hashed.digests())
            }
            None => Secret::Digest(row.digest.clone()),
        };
        let own = row.id.unwrap_or_else(|| id_of(&row.digest, row.inserted_at));
        let mut ids = vec![own];
        if row.id.is_none() {
            let others = secret.digests().map(|digest| id_of(digest, row.inserted_at));
            ids.extend(others.filter(|id| *id != own));
        }
        let placed = place(&row, own);
        let (has_id, inserted_at, fields) = (row.id.is_some(), row.inserted_at, row.fields);
        Ok(Self { row: placed, ids, has_id, inserted_at, fields, secret })
    }

    /// Returns the digests under which it may be stored, as far as they are known.
    pub(super) fn digests(&self) -> impl Iterator<Item = &str> {
        self.secret.digests().map(TokenDigest::expose)
    }
}

impl Secret {
    fn digests(&self) -> impl Iterator<Item = &TokenDigest> {
        let (token, digest) = match self {
            Self::Token(digests) => (Some(digests.iter()), None),
            Self::Digest(digest) => (None, Some(digest)),
        };
        token.into_iter().flatten().chain(digest)
    }
}

/// Returns the id of a session for which none is given: the same one each time, in the order of creation. It is a UUID of
/// version 7 whose random bits are those of a hash of the digest.
fn id_of(digest: &TokenDigest, inserted_at: Option<OffsetDateTime>) -> Uuid {
    let milliseconds = inserted_at.map_or(0, |instant| instant.unix_timestamp_nanos() / 1_000_000);
    // Instants before 1970 have no place in a UUID.
    let milliseconds = u64::try_from(milliseconds).unwrap_or(0);
    uuid::Builder::from_unix_timestamp_millis(milliseconds, &digest.fingerprint()).into_uuid()
}

/// The rows of the table that may be those of sessions to import.
pub(super) struct Present {
    rows: Vec<PresentRow>,
    by_digest: HashMap<String, usize>,
    by_id: HashMap<Uuid, usize>,
}

struct PresentRow {
    digest: String,
    head: RowHeader,
    row: Row,
}

/// The columns before those of the session's header.
const DIGEST_WIDTH: usize = 1;

impl<T: SessionFields> Operations<'_, T> {
    /// Reads the rows with the digests and the ids of these sessions.
    pub(super) async fn present(&mut self, sessions: &[Known<T>]) -> Result<Present> {
        self.know_sliding().await?;
        let digests = sessions.iter().flat_map(Known::digests).map(FieldValue::plain).collect();
        let ids = sessions.iter().flat_map(|known| &known.ids).map(|id| FieldValue::plain(*id)).collect();
        let mut present = Present { rows: Vec::new(), by_digest: HashMap::new(), by_id: HashMap::new() };
        for (name, keys) in [(column::DIGEST, digests), (column::ID, ids)] {
            let mut bindings = self.bindings();
            let mut select = Query::select();
            select.from(self.table_ref()).expr(bindings.column(column::DIGEST));
            select_columns(&bindings, &mut select);
            let key = bindings.column(name);
            select.and_where(bindings.is_among(key, keys));
            let statement = bindings.build(&select);
            for row in self.fetch_all(&statement).await? {
                present.add(self.present_row(row)?);
            }
        }
        Ok(present)
    }

    fn present_row(&self, row: Row) -> Result<PresentRow> {
        let digest = row.text(0).map_err(|error| unreadable(self.table(), column::DIGEST, error))?;
        let head = RowHeader::read(self.table(), &row, DIGEST_WIDTH)?;
        Ok(PresentRow { digest: digest.unwrap_or_default(), head, row })
    }

    /// Returns `true` if the session is in the table already.
    ///
    /// # Errors
    ///
    /// If another session is, with its token or its id.
    pub(super) fn is_present(&self, known: &Known<T>, present: &Present) -> Result<bool> {
        let by_digest = known.digests().find_map(|digest| present.by_digest.get(digest));
        let by_id = known.ids.iter().find_map(|id| present.by_id.get(id));
        let refused = |kind, what: &str, differs: &str| {
            let message = format!("another session in {} has its {what}: {differs}", self.table());
            Err(Error::new(kind, message))
        };
        let (place, kind, what) = match (by_digest, by_id) {
            (None, None) => return Ok(false),
            (Some(place), None) if !known.has_id => (*place, ErrorKind::DuplicateToken, "token"),
            (Some(place), Some(same)) if place == same => (*place, ErrorKind::DuplicateToken, "token"),
            (Some(_), _) => return refused(ErrorKind::DuplicateToken, "token", "the ids differ"),
            (None, Some(place)) => {
                let stored = &present.rows[*place].digest;
                if !Self::may_be_stored_anew(known, stored) {
                    return refused(ErrorKind::Constraint, "id", "the tokens differ");
                }
                (*place, ErrorKind::Constraint, "id")
            }
        };
        match self.difference(known, &present.rows[place])? {
            None => Ok(true),
            Some(name) => refused(kind, what, &format!("{name} differs")),
        }
    }

    /// Returns `true` if the row with the id of a session may be that session's although it has none of its digests: the
    /// session may be stored under another scheme by now, or have another token. An id that was made of the digest is
    /// certain.
    fn may_be_stored_anew(known: &Known<T>, stored: &str) -> bool {
        let form = DigestForm::of_text(stored);
        !known.has_id || known.digests().all(|digest| DigestForm::of_text(digest) != form)
    }

    /// Returns the column in which a row differs from what was given of the session. Values that a column may store in
    /// another form are not compared.
    fn difference(&self, known: &Known<T>, present: &PresentRow) -> Result<Option<String>> {
        // A column may round to seconds.
        let is_close =
            |given: OffsetDateTime| (given - present.head.inserted_at).abs() < time::Duration::SECOND;
        if !known.inserted_at.is_none_or(is_close) {
            return Ok(Some(column::INSERTED_AT.to_owned()));
        }
        let (table, backend) = (self.table(), self.handle().backend());
        let first = DIGEST_WIDTH + RowHeader::width(table) + 1;
        let mut fields = T::from_row(&FieldReader::new(&present.row, table, first))?;
        fields.truncate_instants();
        let values = fields.to_values().into_iter().zip(known.fields.to_values());
        let differing = table.fields.iter().zip(values).find(|(field, (stored, given))| {
            let is_exact = field.foreign[backend as usize].as_ref().is_none_or(Foreign::is_exact);
            // A hint goes with the token, which the session may have another of by now, and a use may have been recorded.
            let is_kept = !field.role.is_some_and(Role::is_written_by_use);
            field.indexed && is_exact && is_kept && !given.is_same(stored)
        });
        Ok(differing.map(|(field, _)| field.name.to_string()))
    }
}

impl Present {
    fn add(&mut self, row: PresentRow) {
        if self.by_id.contains_key(&row.head.id) {
            return;
        }
        let place = self.rows.len();
        self.by_digest.insert(row.digest.clone(), place);
        self.by_id.insert(row.head.id, place);
        self.rows.push(row);
    }
}
