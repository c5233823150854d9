use cloakroom::{
    Backend, ColumnType, DynamicFields, FieldDefinition, NewSession, Session, TableDefinition, Token,
    migrations,
};
use serde::Serialize;
use serde_json::value::RawValue;
use time::OffsetDateTime;

use crate::args::{Create, Expiry};
use crate::context::{Context, Table};
use crate::escape::printable;
use crate::failure::Failure;
use crate::output::{self, SessionJson, Shown};
use crate::value::{Assignment, Span};

#[derive(Serialize)]
struct Created<'s> {
    token: &'s str,
    session: SessionJson<'s>,
}

pub(crate) async fn run(context: &Context, create: Create) -> Result<(), Failure> {
    let data = create.data.as_deref().map(parse_data).transpose()?;
    let sessions = open(context, &create.set).await?;

    let mut fields = DynamicFields::new(sessions.definition(), sessions.backend());
    for assignment in &create.set {
        let value = assignment.parse(sessions.definition(), sessions.backend())?;
        fields.set(&assignment.name, value)?;
    }
    let mut new = with_expiry(NewSession::new(fields), &create.expiry);
    if let Some(data) = &data {
        new = new.raw_data(data);
    }
    let created = sessions.create(new).await?;
    print(context, &created.session, &created.token, sessions.config().now())
}

/// Prints a new token and its session. Without JSON the token stands alone on standard output.
pub(crate) fn print(
    context: &Context,
    session: &Session<DynamicFields>,
    token: &Token,
    now: OffsetDateTime,
) -> Result<(), Failure> {
    let token = token.expose();
    if !context.output.is_json() {
        output::describe(session, now);
    }
    let shown = Shown::of(session, now);
    context.output.answer(&Created { token, session: SessionJson::new(&shown) }, token)
}

/// Returns the table. If an embedded database has none, it is created.
async fn open(context: &Context, set: &[Assignment]) -> Result<Table, Failure> {
    if context.backend() != Backend::Sqlite {
        return context.sessions().await;
    }
    let wanted = match table_for(context, set) {
        // No file is made for a table with an invalid definition.
        Err(failure) if context.missing_file().is_some() => return Err(failure),
        wanted => wanted,
    };
    let database = context.connect_or_make().await?;
    if let Some(existing) = context.existing(&database).await? {
        return context.sessions_of(database, existing);
    }
    let sessions = context.sessions_of(database, wanted?)?;
    sessions.migrate().await?;
    eprintln!("made the table {}", printable(&sessions.definition().to_string()));
    Ok(sessions)
}

/// Returns a table for the fields that are set: each is text, with an index.
fn table_for(context: &Context, set: &[Assignment]) -> Result<TableDefinition, Failure> {
    if set.is_empty() {
        return Err(Failure::usage(format!(
            "a new table needs a field: say --set user_id=1234, or run: {}",
            context.hint("migrate up")
        )));
    }
    if let Some(blank) = set.iter().find(|assignment| assignment.value.trim().is_empty()) {
        return Err(Failure::usage(format!("{} can't be blank", blank.name)));
    }
    let mut definition = context.definition();
    for assignment in set {
        definition =
            definition.field(FieldDefinition::dynamic(assignment.name.clone(), ColumnType::Text).indexed());
    }
    migrations::up_sql(&definition, context.backend())?;
    Ok(definition)
}

pub(crate) fn parse_data(text: &str) -> Result<Box<RawValue>, Failure> {
    serde_json::from_str(text).map_err(|error| {
        Failure::usage("--data takes JSON, such as {\"device\":\"a phone\"}").caused_by(&error)
    })
}

fn with_expiry(new: NewSession<DynamicFields>, expiry: &Expiry) -> NewSession<DynamicFields> {
    match (expiry.ttl, expiry.expires_at, expiry.never) {
        (Some(Span::Of(ttl)), ..) => new.expires_in(ttl),
        (_, Some(instant), _) => new.expires_at(instant),
        (Some(Span::Never), ..) | (.., true) => new.never_expires(),
        (None, None, false) => new,
    }
}
