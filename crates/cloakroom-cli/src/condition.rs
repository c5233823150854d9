//! Parses what `--where` takes: `role=admin`, `quota>=10`, `data.device.os!=iOS`, `scopes~=write`, `role is null`.

use std::str::FromStr;

use cloakroom::sea_query::{Alias, Expr, ExprTrait};
use cloakroom::{ColumnType, Comparison, DynamicFields, DynamicValue, SessionFields, SessionQuery};

use crate::args::Filter;
use crate::context::Table;
use crate::failure::Failure;
use crate::path::Path;
use crate::value::{self, Moment};

/// A longer operator stands before a shorter one that it begins with.
const OPERATORS: [(&str, Comparison); 6] = [
    ("!=", Comparison::NotEqual),
    ("<=", Comparison::LessOrEqual),
    (">=", Comparison::GreaterOrEqual),
    ("=", Comparison::Equal),
    ("<", Comparison::Less),
    (">", Comparison::Greater),
];

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Condition {
    name: String,
    test: Test,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Test {
    IsNull,
    IsNotNull,
    Compares(Comparison, String),
    HasScope(String),
}

impl FromStr for Condition {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let problem = "write it as name=value, with =, !=, <, <=, >, >= or ~=, or as `name is null`";
        let condition = |name: &str, test| {
            let name = name.trim().to_owned();
            if name.is_empty() { Err(problem) } else { Ok(Self { name, test }) }
        };
        let found = text.find(['=', '<', '>']).map(|at| match text[..at].strip_suffix(['!', '~']) {
            Some(name) if text[at..].starts_with('=') => name.len(),
            _ => at,
        });
        if let Some(at) = found {
            let (name, rest) = text.split_at(at);
            if let Some(scope) = rest.strip_prefix("~=") {
                return condition(name, Test::HasScope(scope.to_owned()));
            }
            let known =
                OPERATORS.iter().find_map(|(sign, comparison)| Some((rest.strip_prefix(sign)?, *comparison)));
            let (value, comparison) = known.ok_or(problem)?;
            return condition(name, Test::Compares(comparison, value.to_owned()));
        }
        if let Some(name) = text.strip_suffix(" is not null") {
            return condition(name, Test::IsNotNull);
        }
        text.strip_suffix(" is null").map_or(Err(problem), |name| condition(name, Test::IsNull))
    }
}

impl Condition {
    fn filter(&self, sessions: &Table) -> Result<cloakroom::Filter<DynamicFields>, Failure> {
        let (table, backend) = (sessions.definition(), sessions.backend());
        let is_field = table.fields().iter().any(|field| field.name() == self.name);
        if let Some(keys) = self.name.strip_prefix("data.").filter(|_| !is_field) {
            return Ok(Path::parse(keys)?.condition(&self.test, backend)?.into());
        }
        if self.name == "data" && !is_field {
            return Err(Failure::usage("data is compared by its parts: data.name, or data.device.os"));
        }
        let column_type = value::column_type(table, backend, &self.name)?;
        let column = || Expr::col(Alias::new(&*self.name));
        Ok(match &self.test {
            Test::IsNull => column().is_null().into(),
            Test::IsNotNull => column().is_not_null().into(),
            Test::HasScope(scope) => DynamicFields::contains_scope(table, &self.name, scope),
            Test::Compares(comparison, text) => {
                let moment = (column_type == ColumnType::Timestamp).then(|| text.parse::<Moment>().ok());
                let value = match moment.flatten() {
                    Some(moment) => DynamicValue::Timestamp(moment.instant(sessions.config().now())),
                    None => DynamicValue::parse(&column_type, text).map_err(|error| {
                        Failure::from(error).context(format!("{} is not right", self.name))
                    })?,
                };
                DynamicFields::compare(table, &self.name, *comparison, &value)
            }
        })
    }
}

impl Filter {
    /// Returns the sessions for which all of these conditions hold, of any status.
    pub(crate) fn query(&self, sessions: &Table) -> Result<SessionQuery<'static, DynamicFields>, Failure> {
        let mut query = sessions.query().status(cloakroom::Status::All);
        for condition in &self.conditions {
            query = query.filter(condition.filter(sessions)?);
        }
        let now = sessions.config().now();
        if let Some(moment) = self.expires_before {
            query = query.filter(DynamicFields::EXPIRES_AT.lt(moment.instant(now)));
        }
        if let Some(moment) = self.expires_after {
            query = query.filter(DynamicFields::EXPIRES_AT.ge(moment.instant(now)));
        }
        if let Some(moment) = self.created_before {
            query = query.filter(DynamicFields::INSERTED_AT.lt(moment.instant(now)));
        }
        if let Some(moment) = self.created_after {
            query = query.filter(DynamicFields::INSERTED_AT.ge(moment.instant(now)));
        }
        Ok(query)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_sign_parts_the_name_from_the_value() {
        for (text, name, comparison, value) in [
            ("user_id=1=2", "user_id", Comparison::Equal, "1=2"),
            ("user_id=", "user_id", Comparison::Equal, ""),
            ("role!=admin", "role", Comparison::NotEqual, "admin"),
            ("quota<=-3", "quota", Comparison::LessOrEqual, "-3"),
            ("quota>=3", "quota", Comparison::GreaterOrEqual, "3"),
            ("quota<>3", "quota", Comparison::Less, ">3"),
            ("quota>3", "quota", Comparison::Greater, "3"),
            ("note=a is null", "note", Comparison::Equal, "a is null"),
            ("admin?!=x", "admin?", Comparison::NotEqual, "x"),
            ("odd!>3", "odd!", Comparison::Greater, "3"),
            ("data.a.b=x", "data.a.b", Comparison::Equal, "x"),
        ] {
            let test = Test::Compares(comparison, value.to_owned());
            assert_eq!(text.parse(), Ok(Condition { name: name.to_owned(), test }), "{text}");
        }
        for (text, name, scope) in [("scopes~=read:all", "scopes", "read:all"), ("odd~~=a=b", "odd~", "a=b")]
        {
            let test = Test::HasScope(scope.to_owned());
            assert_eq!(text.parse(), Ok(Condition { name: name.to_owned(), test }), "{text}");
        }
    }

    #[test]
    fn null_is_asked_for_in_words() {
        let condition = |name: &str, test| Ok(Condition { name: name.to_owned(), test });
        assert_eq!("role is null".parse(), condition("role", Test::IsNull));
        assert_eq!("Tenant A is not null".parse(), condition("Tenant A", Test::IsNotNull));
        for text in ["", "role", "=x", " is null", "!=x", "role is nil", "~=x"] {
            assert!(text.parse::<Condition>().is_err(), "{text:?}");
        }
    }
}
