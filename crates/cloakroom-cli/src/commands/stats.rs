use cloakroom::{
    DynamicFields, DynamicValue, FieldDefinition, Session, SessionQuery, Status, TableDefinition,
};
use serde::Serialize;

use crate::args;
use crate::context::{Context, Table};
use crate::failure::Failure;
use crate::output::{ValueJson, counted, text_of, timestamp};

/// What counts by scheme, unless a field has this name.
const SCHEME: &str = "scheme";

/// The field that names the owner, by convention.
const OWNER: &str = "user_id";

#[derive(Serialize)]
struct Stats<'s> {
    counts: Counts,
    newest: Option<String>,
    oldest: Option<String>,
    busiest: Option<Busiest<'s>>,
}

#[derive(Serialize)]
struct Counts {
    valid: u64,
    expired: u64,
    all: u64,
}

#[derive(Serialize)]
struct Busiest<'s> {
    field: &'s str,
    value: ValueJson<'s>,
    count: u64,
}

#[derive(Serialize)]
struct By<'s, V> {
    field: &'s str,
    values: Vec<V>,
}

#[derive(Serialize)]
struct ByScheme<'s> {
    value: &'s str,
    valid: u64,
    expired: u64,
    all: u64,
    /// Whether the configuration has it.
    is_configured: bool,
}

#[derive(Serialize)]
struct ByValue<'s> {
    value: ValueJson<'s>,
    valid: u64,
    expired: u64,
    all: u64,
}

pub(crate) async fn run(context: &Context, stats: args::Stats) -> Result<(), Failure> {
    let sessions = context.sessions().await?;
    let is_field = |name| sessions.definition().fields().iter().any(|field| field.name() == name);
    if stats.by.as_deref() == Some(SCHEME) && !is_field(SCHEME) {
        return by_scheme(context, &sessions).await;
    }
    if let Some(field) = &stats.by {
        return by(context, &sessions, field, stats.limit).await;
    }
    let all = || sessions.query().status(Status::All);
    let valid = sessions.query().count().await?;
    let expired = sessions.query().status(Status::Expired).count().await?;
    let newest = first(all()).await?.map(|session| timestamp(session.inserted_at));
    let oldest = first(all().oldest_first()).await?.map(|session| timestamp(session.inserted_at));
    let field = owner_field(sessions.definition());
    let busiest = match field {
        Some(field) => busiest(&sessions, field).await?,
        None => None,
    };

    let stats = Stats {
        counts: Counts { valid, expired, all: valid + expired },
        newest,
        oldest,
        busiest: field.zip(busiest.as_ref()).map(|(field, (value, count))| Busiest {
            field,
            value: ValueJson(value),
            count: *count,
        }),
    };
    let none = || "none".to_owned();
    let line = |name: &str, value: String| [name.to_owned(), value];
    let rows = [
        line("valid", valid.to_string()),
        line("expired", expired.to_string()),
        line("all", (valid + expired).to_string()),
        line("newest", stats.newest.clone().unwrap_or_else(none)),
        line("oldest", stats.oldest.clone().unwrap_or_else(none)),
        line(
            "busiest",
            stats.busiest.as_ref().map_or_else(none, |busiest| {
                format!("{}={} ({})", busiest.field, text_of(busiest.value.0), counted(busiest.count))
            }),
        ),
    ];
    context.output.rows(&stats, rows)
}

async fn first(query: SessionQuery<'_, DynamicFields>) -> Result<Option<Session<DynamicFields>>, Failure> {
    Ok(query.limit(1).fetch_all().await?.pop())
}

/// Returns the field that names the user of a session: the one with the usual name, or else the first indexed one.
fn owner_field(table: &TableDefinition) -> Option<&str> {
    let named = table.fields().iter().find(|field| field.name() == OWNER);
    named.or_else(|| table.fields().iter().find(|field| field.is_indexed())).map(FieldDefinition::name)
}

/// Returns the value that most sessions have in `field`, and their number.
async fn busiest(sessions: &Table, field: &str) -> Result<Option<(DynamicValue, u64)>, Failure> {
    // Null is no user.
    let counts = sessions.query().status(Status::All).count_by(field, 2).await?;
    let busiest = counts.into_iter().find(|count| count.value != DynamicValue::Null);
    Ok(busiest.map(|busiest| (busiest.value, busiest.count)))
}

/// Returns how many sessions have each value of a field.
async fn by(context: &Context, sessions: &Table, field: &str, limit: u64) -> Result<(), Failure> {
    let counts = sessions.query().status(Status::All).count_by(field, limit).await?;
    let values = counts.iter().map(|count| ByValue {
        value: ValueJson(&count.value),
        valid: count.valid,
        expired: count.count - count.valid,
        all: count.count,
    });
    let json = By { field, values: values.collect() };
    let rows = json
        .values
        .iter()
        .map(|by| [text_of(by.value.0), by.valid.to_string(), by.expired.to_string(), by.all.to_string()]);
    context.output.records(&json, Some([field, "valid", "expired", "all"]), rows)
}

/// Returns how many sessions are stored under each scheme.
async fn by_scheme(context: &Context, sessions: &Table) -> Result<(), Failure> {
    let counts = sessions.count_by_scheme().await?;
    let values = counts.iter().map(|count| ByScheme {
        value: &count.scheme,
        valid: count.valid,
        expired: count.count - count.valid,
        all: count.count,
        is_configured: count.is_configured,
    });
    let json = By { field: SCHEME, values: values.collect() };
    let rows = json.values.iter().map(|by| {
        let is_configured = if by.is_configured { "yes" } else { "no" };
        let numbers = [by.valid, by.expired, by.all].map(|number| number.to_string());
        let [valid, expired, all] = numbers;
        [by.value.to_owned(), valid, expired, all, is_configured.to_owned()]
    });
    context.output.records(&json, Some([SCHEME, "valid", "expired", "all", "configured"]), rows)
}
