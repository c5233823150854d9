use cloakroom::sea_query::{Alias, Expr, ExprTrait, Order, Query, SelectStatement};
use cloakroom::{
    DynamicFields, DynamicValue, FieldDefinition, Session, SessionQuery, Status, TableDefinition,
};
use serde::Serialize;

use crate::context::{Context, Table};
use crate::failure::Failure;
use crate::output::{ValueJson, counted, text_of, timestamp};

/// The field that names the owner, by custom.
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

pub(crate) async fn run(context: &Context) -> Result<(), Failure> {
    let sessions = context.sessions().await?;
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

/// The field that says whose a session is: the one so named, or else the first to look up by.
fn owner_field(table: &TableDefinition) -> Option<&str> {
    let named = table.fields().iter().find(|field| field.name() == OWNER);
    named.or_else(|| table.fields().iter().find(|field| field.is_indexed())).map(FieldDefinition::name)
}

/// The value that most sessions have in `field`, and how many they are.
async fn busiest(sessions: &Table, field: &str) -> Result<Option<(DynamicValue, u64)>, Failure> {
    let has_most = || {
        let most = most_frequent(sessions.definition(), field);
        sessions.query().status(Status::All).filter(Expr::col(Alias::new(field)).eq(most))
    };
    let Some(session) = first(has_most()).await? else {
        return Ok(None);
    };
    let count = has_most().count().await?;
    Ok(session.fields.get(field).map(|value| (value.clone(), count)))
}

fn most_frequent(table: &TableDefinition, field: &str) -> SelectStatement {
    let field = Alias::new(field);
    let mut most = Query::select();
    most.column(field.clone())
        .and_where(Expr::col(field.clone()).is_not_null())
        .group_by_col(field.clone())
        .order_by_expr(Expr::cust("COUNT(*)"), Order::Desc)
        .order_by(field, Order::Asc)
        .limit(1);
    let name = Alias::new(table.table_name().to_owned());
    match table.schema_name() {
        Some(schema) => most.from((Alias::new(schema.to_owned()), name)),
        None => most.from(name),
    };
    most
}
