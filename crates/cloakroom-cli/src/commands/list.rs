use cloakroom::FieldDefinition;
use serde_json::json;

use crate::args::{Count, List};
use crate::context::{Context, select};
use crate::failure::Failure;

/// How many sessions a terminal is shown unless it asks for another number.
const LIMIT_ON_TERMINAL: u64 = 100;

pub(crate) async fn list(context: &Context, list: List) -> Result<(), Failure> {
    let sessions = context.sessions().await?;
    let limit = list.limit.or_else(|| context.output.is_table().then_some(LIMIT_ON_TERMINAL));
    let mut query = select(&sessions, &list.filter.conditions, list.status)?;
    if let Some(limit) = limit {
        query = query.limit(limit);
    }
    let names: Vec<&str> = sessions.definition().fields().iter().map(FieldDefinition::name).collect();
    context.output.sessions(&names, query.stream(), sessions.config().now()).await?;

    if context.output.is_table() && list.limit.is_none() {
        let all = select(&sessions, &list.filter.conditions, list.status)?.count().await?;
        if all > LIMIT_ON_TERMINAL {
            eprintln!("the newest {LIMIT_ON_TERMINAL} of {all}; --limit shows more");
        }
    }
    Ok(())
}

pub(crate) async fn count(context: &Context, count: Count) -> Result<(), Failure> {
    let sessions = context.sessions().await?;
    let mut query = select(&sessions, &count.filter.conditions, count.status)?;
    if let Some(limit) = count.limit {
        query = query.limit(limit);
    }
    let count = query.count().await?;
    context.output.answer(&json!({"count": count}), count)
}
