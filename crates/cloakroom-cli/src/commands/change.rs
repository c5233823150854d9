//! Changing one session, and its token.

use cloakroom::{DynamicFields, DynamicValue, ErrorKind, Session};
use serde_json::Value;
use time::OffsetDateTime;

use crate::args::{Expiry, Update};
use crate::commands::create::{self, parse_data};
use crate::commands::one::find;
use crate::context::Context;
use crate::failure::Failure;
use crate::value::{self, Moment, Span};

/// How often a token is given anew to a session that other processes keep writing.
const ATTEMPTS: usize = 20;

pub(crate) async fn update(context: &Context, command: Update) -> Result<(), Failure> {
    let Update { one, set, set_null, data, expiry } = command;
    let id = value::id(&one.id)?;
    if set.is_empty() && set_null.is_empty() && data.is_none() && expiry.is_by_default() {
        return Err(Failure::usage(
            "say what is to change: --set, --set-null, --data, --ttl, --expires-at or --never",
        ));
    }
    let data = data.as_deref().map(exact_data).transpose()?;
    let sessions = context.sessions().await?;
    let mut values = Vec::new();
    for assignment in &set {
        values.push((&*assignment.name, assignment.parse(sessions.definition(), sessions.backend())?));
    }
    values.extend(set_null.iter().map(|name| (&**name, DynamicValue::Null)));
    // Lets the library reject names that the table does not have, before anything is read.
    let mut fields = DynamicFields::new(sessions.definition(), sessions.backend());
    for (place, (name, value)) in values.iter().enumerate() {
        fields.set(name, value.clone())?;
        if values[..place].iter().any(|(other, _)| other == name) {
            return Err(Failure::usage(format!("{name} is set twice")));
        }
    }

    let mut session = find(&sessions, id).await?;
    let now = sessions.config().now();
    if !session.is_valid(now) {
        return Err(Failure::not_found("the session has expired, and an expired session is not changed"));
    }
    sessions
        .update_with(&mut session, |session| {
            change(session, &values, data.as_ref());
            session.expires_at = new_expiry(&expiry, now, session.expires_at);
        })
        .await?;
    context.output.session(&session, sessions.config().now())
}

fn change(session: &mut Session<DynamicFields>, values: &[(&str, DynamicValue)], data: Option<&Value>) {
    for (name, value) in values {
        // The names are the table's.
        let _ = session.fields.set(name, value.clone());
    }
    if let Some(data) = data {
        *session.data = data.clone();
    }
}

/// Returns the new value of an expiry that is `current`.
fn new_expiry(
    expiry: &Expiry,
    now: OffsetDateTime,
    current: Option<OffsetDateTime>,
) -> Option<OffsetDateTime> {
    match (expiry.ttl, expiry.expires_at, expiry.never) {
        (Some(Span::Of(ttl)), ..) => Some(Moment::In(ttl).instant(now)),
        (_, Some(instant), _) => Some(instant),
        (Some(Span::Never), ..) | (.., true) => None,
        (None, None, false) => current,
    }
}

/// Returns the data if each of its numbers can be written as it was given.
fn exact_data(text: &str) -> Result<Value, Failure> {
    let data: Value = serde_json::from_str(parse_data(text)?.get())?;
    let (given, kept) = (numbers(text), numbers(&data.to_string()));
    match given.iter().find(|number| !kept.contains(number)) {
        None => Ok(data),
        Some(_) => Err(Failure::usage(
            "--data has a number with more digits than can be kept here; write it as text, in quotation marks",
        )),
    }
}

/// Returns the numbers of a JSON text, each as its sign, its digits and its exponent of ten.
fn numbers(json: &str) -> Vec<(bool, String, i64)> {
    let mut numbers = Vec::new();
    let mut rest = json;
    while let Some(at) = rest.find(['"', '-', '0', '1', '2', '3', '4', '5', '6', '7', '8', '9']) {
        rest = &rest[at..];
        if rest.starts_with('"') {
            let mut is_escaped = false;
            let end = rest[1..].find(|character| {
                let is_end = character == '"' && !is_escaped;
                is_escaped = character == '\\' && !is_escaped;
                is_end
            });
            rest = end.map_or("", |end| &rest[end + 2..]);
        } else {
            let is_part = |character: char| character.is_ascii_digit() || "+-.eE".contains(character);
            let end = rest.find(|character| !is_part(character)).unwrap_or(rest.len());
            numbers.push(normal(&rest[..end]));
            rest = &rest[end..];
        }
    }
    numbers
}

fn normal(number: &str) -> (bool, String, i64) {
    let (mantissa, exponent) = number.split_once(['e', 'E']).unwrap_or((number, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = format!("{}{fraction}", whole.trim_start_matches('-'));
    let trimmed = digits.trim_end_matches('0');
    // No database keeps a number with an exponent that is too long.
    let exponent: i64 = exponent.parse().unwrap_or(i64::MAX / 2);
    let shift =
        i64::try_from(digits.len() - trimmed.len()).unwrap_or(0) - i64::try_from(fraction.len()).unwrap_or(0);
    let significant = trimmed.trim_start_matches('0');
    if significant.is_empty() {
        return (false, String::new(), 0);
    }
    (number.starts_with('-'), significant.to_owned(), exponent.saturating_add(shift))
}

pub(crate) async fn rotate(context: &Context, id: &str) -> Result<(), Failure> {
    let id = value::id(id)?;
    let sessions = context.sessions().await?;
    let mut session = find(&sessions, id).await?;
    for _ in 1..ATTEMPTS {
        match sessions.rotate(&mut session).await {
            Err(error) if error.kind() == ErrorKind::Conflict => sessions.reload(&mut session).await?,
            result => return create::print(context, &session, &result?, sessions.config().now()),
        }
    }
    let token = sessions.rotate(&mut session).await?;
    create::print(context, &session, &token, sessions.config().now())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_whose_numbers_could_not_be_kept_is_refused() {
        for exact in [
            "{}",
            "{\"a\": 1.50, \"b\": [-3, 1e2, 0.0, -0, 18446744073709551615, 0.1]}",
            "\"123456789012345678901234567890 \\\" 1.00000000000000000000001\"",
            "1e308",
        ] {
            assert!(exact_data(exact).is_ok(), "{exact}");
        }
        for inexact in [
            "123456789012345678901234567890",
            "[1, 0.1000000000000000000000001]",
            "{\"a\": 1e-400}",
            "-18446744073709551617",
        ] {
            assert!(exact_data(inexact).is_err(), "{inexact}");
        }
    }
}
