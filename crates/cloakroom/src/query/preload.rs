use std::collections::HashMap;
use std::fmt;
use std::hash::Hash;
use std::marker::PhantomData;

use sea_query::{Expr, ExprTrait, IntoTableRef, Query, TableRef};

use crate::database::{FieldType, FieldValue, Guard, LoadedRow, MAX_PLACEHOLDERS, Row, Statement};
use crate::error::{Error, ErrorKind, Result};
use crate::observe::Operation;
use crate::query::SessionQuery;
use crate::session::Session;
use crate::sql::{Filter, identifier};
use crate::table::{Column, SessionFields, TableDefinition, column};

/// A relation from a session to at most one row of another table.
///
/// A table is named as in SQL: `users` or `auth.users`. Without a schema, the connection's own schema is meant.
///
/// A column with `belongs_to = "users.id"` converts into a `ToOne`: `.preload::<User>(UserSession::USER_ID)`.
pub struct ToOne<T>(Relation, PhantomData<fn() -> T>);

/// A relation from a session to any number of rows of another table.
pub struct ToMany<T>(Relation, PhantomData<fn() -> T>);

#[derive(Clone)]
struct Relation {
    /// The session's column.
    column: &'static str,
    /// The other table, and the column of it or of the join table that equals the session's column. `None` stands for
    /// what the session's table declares.
    target: Option<Target>,
    /// Reads that column with the type of the session's column.
    read_key: fn(&Row, usize) -> Result<FieldValue, sqlx::Error>,
}

#[derive(Clone)]
struct Target {
    table: String,
    key: String,
    through: Option<Through>,
}

#[derive(Clone)]
struct Through {
    table: String,
    session_key: String,
    target_key: String,
}

impl<T: SessionFields> ToOne<T> {
    /// Relates each session to the row with a `table.key` that equals the session's `column`, as `user_id` equals
    /// `users.id`.
    pub fn belongs_to<V: FieldType>(column: Column<T, V>, table: &str, key: &str) -> Self {
        Self(Relation::direct(column, table, key), PhantomData)
    }

    /// Relates each session to the one row with a `table.key` that equals the session's `column`, usually its id. If
    /// there are several such rows, the first one that the database returns is taken.
    pub fn has_one<V: FieldType>(column: Column<T, V>, table: &str, key: &str) -> Self {
        Self(Relation::direct(column, table, key), PhantomData)
    }
}

impl<T: SessionFields> ToMany<T> {
    /// Relates each session to all rows with a `table.key` that equals the session's `column`.
    pub fn has_many<V: FieldType>(column: Column<T, V>, table: &str, key: &str) -> Self {
        Self(Relation::direct(column, table, key), PhantomData)
    }

    /// Relates each session to rows of `table` through a join table. `join_table.session_key` holds the session's
    /// `column`, and `join_table.target_key` holds the `table.key` of a related row.
    pub fn many_to_many<V: FieldType>(
        column: Column<T, V>,
        (join_table, session_key, target_key): (&str, &str, &str),
        (table, key): (&str, &str),
    ) -> Self {
        let mut relation = Relation::direct(column, table, key);
        if let Some(target) = &mut relation.target {
            target.through = Some(Through {
                table: join_table.to_owned(),
                session_key: session_key.to_owned(),
                target_key: target_key.to_owned(),
            });
        }
        Self(relation, PhantomData)
    }
}

/// The relation that the column's `belongs_to` declares.
impl<T: SessionFields, V: FieldType> From<Column<T, V>> for ToOne<T> {
    fn from(column: Column<T, V>) -> Self {
        Self(Relation::new(column, None), PhantomData)
    }
}

impl<T> fmt::Debug for ToOne<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ToOne").field(&self.0.column).finish()
    }
}

impl<T> fmt::Debug for ToMany<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ToMany").field(&self.0.column).finish()
    }
}

impl Relation {
    fn direct<T: SessionFields, V: FieldType>(column: Column<T, V>, table: &str, key: &str) -> Self {
        let target = Target { table: table.to_owned(), key: key.to_owned(), through: None };
        Self::new(column, Some(target))
    }

    fn new<T: SessionFields, V: FieldType>(column: Column<T, V>, target: Option<Target>) -> Self {
        Self {
            column: column.name(),
            target,
            read_key: |row, index| row.get::<V>(index).map(|key| FieldValue::new(&key)),
        }
    }

    fn target(&self, table: &TableDefinition) -> Result<Target> {
        if let Some(target) = &self.target {
            return Ok(target.clone());
        }
        let field = table.fields.iter().find(|field| field.name == self.column);
        let reference = field.and_then(|field| field.references.as_ref()).ok_or_else(|| {
            let message =
                format!("{} of {table} declares no belongs_to; name the table with ToOne", self.column);
            Error::new(ErrorKind::Unsupported, message)
        })?;
        Ok(Target { table: reference.table.to_string(), key: reference.column.to_string(), through: None })
    }
}

/// A query that fetches sessions together with their related rows.
///
/// It takes one query for the sessions and one more for all their related rows, however many sessions there are. (If
/// the column that leads there is of a type of the application's own, it takes one more for each 30,000 different
/// values.)
///
/// Made by [`SessionQuery::preload`] and [`SessionQuery::preload_many`]. `R` is read by [`sqlx::FromRow`]; `L` is
/// `Option<R>` or `Vec<R>`.
#[must_use]
pub struct Preload<'c, T: SessionFields, R, L> {
    query: SessionQuery<'c, T>,
    relation: Relation,
    of: PhantomData<fn() -> (R, L)>,
}

impl<T: SessionFields, R, L> fmt::Debug for Preload<'_, T, R, L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Preload").field("query", &self.query).finish_non_exhaustive()
    }
}

impl<'c, T: SessionFields, R> Preload<'c, T, R, Option<R>> {
    pub(crate) fn one(query: SessionQuery<'c, T>, relation: ToOne<T>) -> Self {
        Self { query, relation: relation.0, of: PhantomData }
    }
}

impl<'c, T: SessionFields, R> Preload<'c, T, R, Vec<R>> {
    pub(crate) fn many(query: SessionQuery<'c, T>, relation: ToMany<T>) -> Self {
        Self { query, relation: relation.0, of: PhantomData }
    }
}

impl<T: SessionFields, R: LoadedRow + Clone, L: Loaded<R>> Preload<'_, T, R, L> {
    /// Returns all sessions that match, each with its related rows.
    pub async fn fetch_all(mut self) -> Result<Vec<(Session<T>, L)>> {
        self.query.read_as_list();
        self.query.operations.call(Operation::Preload).of(self.load_all()).await
    }

    async fn load_all(&mut self) -> Result<Vec<(Session<T>, L)>> {
        let sessions = self.query.find_all().await?;
        self.load(sessions).await
    }

    /// Returns the session that matches, if there is one; see [`SessionQuery::fetch_optional`].
    pub async fn fetch_optional(mut self) -> Result<Option<(Session<T>, L)>> {
        self.query.operations.call(Operation::Preload).finding(self.load_optional()).await
    }

    async fn load_optional(&mut self) -> Result<Option<(Session<T>, L)>> {
        let session = self.query.find_optional().await?;
        Ok(self.load(session.into_iter().collect()).await?.pop())
    }

    /// Returns the one session that matches; see [`SessionQuery::fetch_one`].
    pub async fn fetch_one(mut self) -> Result<(Session<T>, L)> {
        self.query.operations.call(Operation::Preload).of(self.load_one()).await
    }

    async fn load_one(&mut self) -> Result<(Session<T>, L)> {
        let session = self.query.find_one().await?;
        let table = self.query.operations.table().to_string();
        let loaded = self.load(vec![session]).await?.pop();
        loaded.ok_or_else(|| Error::new(ErrorKind::NotFound, format!("no session of {table} matches")))
    }

    async fn load(&mut self, sessions: Vec<Session<T>>) -> Result<Vec<(Session<T>, L)>> {
        let table = self.query.operations.table();
        let mut keys = Vec::with_capacity(sessions.len());
        let mut distinct = HashMap::new();
        for session in &sessions {
            let key = value_of(table, session, self.relation.column)?;
            let fingerprint = key.fingerprint();
            if let Some(fingerprint) = &fingerprint {
                distinct.entry(fingerprint.clone()).or_insert(key);
            }
            keys.push(fingerprint);
        }
        let related = self.related(distinct.into_values().collect()).await?;
        let rows_of =
            |key: Option<Vec<u8>>| key.and_then(|key| related.get(&key)).map_or(&[][..], Vec::as_slice);
        Ok(sessions
            .into_iter()
            .zip(keys)
            .map(|(session, key)| (session, L::from_rows(rows_of(key))))
            .collect())
    }

    /// Returns the rows of the other table, by the fingerprint of the key that leads to them.
    async fn related(&mut self, keys: Vec<FieldValue>) -> Result<HashMap<Vec<u8>, Vec<R>>> {
        let target = self.relation.target(self.query.operations.table())?;
        let mut related: HashMap<Vec<u8>, Vec<R>> = HashMap::new();
        // Keys that are bound as one value are never split; see `is_among`.
        let at_once = if keys.iter().all(|key| key.as_plain().is_some()) {
            keys.len().max(1)
        } else {
            MAX_PLACEHOLDERS
        };
        for keys in keys.chunks(at_once) {
            let statement = self.statement(&target, keys.to_vec());
            let failed = |error| Error::from_sqlx(error, &target.table);
            for row in self.query.operations.connection().fetch_all(&statement).await.map_err(failed)? {
                // The key comes before the columns that guard the statement.
                let guards = usize::from(statement.guard == Guard::LastColumn);
                let key = (self.relation.read_key)(&row, row.width() - 1 - guards).map_err(failed)?;
                if let Some(fingerprint) = key.fingerprint() {
                    related.entry(fingerprint).or_default().push(R::load(&row).map_err(failed)?);
                }
            }
        }
        Ok(related)
    }

    fn statement(&self, target: &Target, keys: Vec<FieldValue>) -> Statement {
        let mut bindings = self.query.operations.bindings();
        let column =
            |table: &str, column: &str| Expr::col((identifier(unqualified(table)), identifier(column)));
        let mut select = Query::select();
        select.column((identifier(unqualified(&target.table)), sea_query::Asterisk));
        let key = match &target.through {
            None => {
                select.from(named(&target.table));
                column(&target.table, &target.key)
            }
            Some(through) => {
                let joined =
                    column(&target.table, &target.key).eq(column(&through.table, &through.target_key));
                select.from(named(&through.table)).inner_join(named(&target.table), joined);
                column(&through.table, &through.session_key)
            }
        };
        // The key comes last, so that rows that are read by position are not shifted.
        select.expr_as(key.clone(), "cloakroom_key");
        select.and_where(bindings.is_among(key, keys));
        let guard = self.query.operations.guard(&mut select);
        let statement = bindings.build(&select).guarded(guard);
        if !bindings.backend().dialect().remembers_columns() {
            return statement;
        }
        // A connection learns of a change of its tables when it reads, and the driver looks at the columns before that.
        // So a statement that reads none of the table's columns goes first.
        let schema = target.table.split_once('.').map_or("main", |(schema, _)| schema);
        let mut look = Query::select();
        look.expr(Expr::cust("1"))
            .from((identifier(schema), identifier("sqlite_schema")))
            .and_where(Expr::cust("0"));
        let look = bindings.build(&look).sql;
        Statement::new(format!("{look}; {}", statement.sql), statement.values).compiled_anew()
    }
}

/// A form in which the related rows of a session are returned: `Option<R>` or `Vec<R>`.
pub trait Loaded<R> {
    #[doc(hidden)]
    fn from_rows(rows: &[R]) -> Self;
}

impl<R: Clone> Loaded<R> for Option<R> {
    fn from_rows(rows: &[R]) -> Self {
        rows.first().cloned()
    }
}

impl<R: Clone> Loaded<R> for Vec<R> {
    fn from_rows(rows: &[R]) -> Self {
        rows.to_vec()
    }
}

impl<T: SessionFields> SessionQuery<'_, T> {
    /// Returns the sessions of many owners, in one query. Each owner's key maps to its sessions, in this query's order.
    /// An owner without sessions has no entry.
    ///
    /// This is "has many" from the owner's side: `.has_many(UserSession::USER_ID, users.map(|user| user.id))`.
    pub async fn has_many<V>(
        mut self,
        column: Column<T, V>,
        owners: impl IntoIterator<Item = V>,
    ) -> Result<HashMap<V, Vec<Session<T>>>>
    where
        V: FieldType + Eq + Hash,
    {
        let mut owners: HashMap<Vec<u8>, V> = owners
            .into_iter()
            .filter_map(|owner| Some((FieldValue::new(&owner).fingerprint()?, owner)))
            .collect();
        if owners.is_empty() {
            return Ok(HashMap::new());
        }
        let keys: Vec<FieldValue> = owners.values().map(FieldValue::new).collect();
        let among = Filter::new(move |bindings| {
            Ok(sea_query::Condition::all().add(bindings.is_field_among(column.name(), keys.clone())?))
        });
        let sessions = self.reborrow().filter(among).fetch_all().await?;
        let mut by_key: HashMap<Vec<u8>, Vec<Session<T>>> = HashMap::new();
        for session in sessions {
            let key = value_of(self.operations.table(), &session, column.name())?.fingerprint();
            if let Some(key) = key {
                by_key.entry(key).or_default().push(session);
            }
        }
        Ok(by_key.into_iter().filter_map(|(key, sessions)| Some((owners.remove(&key)?, sessions))).collect())
    }

    /// Returns the first session, in this query's order, of each of many owners, in one query.
    pub async fn has_one<V>(
        self,
        column: Column<T, V>,
        owners: impl IntoIterator<Item = V>,
    ) -> Result<HashMap<V, Session<T>>>
    where
        V: FieldType + Eq + Hash,
    {
        let sessions = self.has_many(column, owners).await?;
        Ok(sessions.into_iter().filter_map(|(key, list)| Some((key, list.into_iter().next()?))).collect())
    }
}

fn named(table: &str) -> TableRef {
    match table.split_once('.') {
        Some((schema, table)) => (identifier(schema), identifier(table)).into_table_ref(),
        None => identifier(table).into_table_ref(),
    }
}

fn unqualified(table: &str) -> &str {
    table.split_once('.').map_or(table, |(_, table)| table)
}

/// Returns the value that `session` holds in a column, as it is bound.
fn value_of<T: SessionFields>(
    table: &TableDefinition,
    session: &Session<T>,
    name: &str,
) -> Result<FieldValue> {
    if name == column::ID {
        return Ok(FieldValue::new(&session.id));
    }
    let value = table.field_index(name).and_then(|index| session.fields.to_values().into_iter().nth(index));
    value.ok_or_else(|| Error::new(ErrorKind::Unsupported, format!("{name} cannot lead to another table")))
}
