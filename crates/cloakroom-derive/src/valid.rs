//! Checks for attributes that parse but are wrong.

use std::collections::HashMap;

use proc_macro2::TokenStream;
use quote::ToTokens;
use syn::Type;

use crate::ast::{Field, Table, option_argument, without_group};
use crate::built_in::{BUILT_IN, OF_DEVICES};
use crate::report::Report;
use crate::role;

const MAX_NAME: usize = 63; // what PostgreSQL keeps of one, in bytes

impl Table<'_> {
    pub(crate) fn validate(&self, report: &mut Report) {
        self.check_generics(report);
        if let Some(schema) = &self.attrs.schema {
            check_name(Kind::Schema, &schema.value(), schema, report);
        }
        if let Some(table) = &self.attrs.table {
            check_name(Kind::Table, &table.value(), table, report);
        }
        if let Some(data) = &self.attrs.data {
            check_owned("its data", data, report);
        }
        for field in &self.fields {
            field.validate(report);
        }
        self.check_that_columns_differ(report);
        self.check_that_roles_differ(report);
        self.check_devices(report);
    }

    fn check_generics(&self, report: &mut Report) {
        if !self.generics.params.is_empty() {
            let message = "one struct is one table, whose columns have one type each: write the \
                           types out instead of parameters, and owned types instead of lifetimes";
            report.at(&self.generics.params, message);
        }
    }

    fn check_that_columns_differ(&self, report: &mut Report) {
        let mut columns = HashMap::new();
        let mut constants = HashMap::new();
        for field in &self.fields {
            let (name, column) = (field.name(), field.column());
            // SQLite and MariaDB take `Role` and `role` for the same column, and a struct must work on all databases.
            if let Some(other) = columns.insert(column.to_ascii_lowercase(), name.clone()) {
                let message = format!(
                    "the field `{other}` has the column `{column}` already, capital letters or \
                     not: write `#[session(column = \"…\")]` with another name"
                );
                report.at(field.column_tokens(), message);
                continue;
            }
            let Some(constant) = field.constant() else {
                continue;
            };
            if let Some(other) = constants.insert(constant.to_string(), name) {
                let message =
                    format!("the field `{other}` has the constant `{constant}` already: rename one of them");
                report.at(field.ident, message);
            }
        }
    }
}

impl Table<'_> {
    fn check_that_roles_differ(&self, report: &mut Report) {
        let mut fields = HashMap::new();
        for field in &self.fields {
            let Some(given) = &field.attrs.role else {
                continue;
            };
            if let Some(other) = fields.insert(given.role.name, field.name()) {
                let role = given.role.name;
                let message = format!(
                    "the field `{other}` has the role `{role}` already: one column of a table has it, so leave it \
                     out here"
                );
                report.at(&given.ident, message);
            }
        }
    }
}

impl Table<'_> {
    /// Checks what a field with the role `device_key` brings with it.
    fn check_devices(&self, report: &mut Report) {
        let binds = |field: &Field<'_>| {
            field.attrs.role.as_ref().is_some_and(|given| matches!(given.role.kind, role::Kind::DeviceKey))
        };
        if !self.fields.iter().any(binds) {
            return;
        }
        if let Some(exchange) = &self.attrs.exchange {
            let message = "a session that is bound to a device is renewed by a proof of the device's key, and an \
                           exchange needs none: leave `exchange` out, or `device_key`";
            report.at(exchange, message);
        }
        for field in &self.fields {
            let column = field.column();
            if let Some((name, reading)) =
                OF_DEVICES.iter().find(|(name, _)| name.eq_ignore_ascii_case(&column))
            {
                let message = format!(
                    "`{name}` is built in, a column of every table with a field `device_key` ({reading}): write \
                     another name"
                );
                report.at(field.column_tokens(), message);
            }
        }
    }
}

impl Field<'_> {
    fn validate(&self, report: &mut Report) {
        self.check_column(report);
        self.check_reference(report);
        if let Some(sql_type) = &self.attrs.sql_type
            && sql_type.value().trim().is_empty()
        {
            let message = "an empty `sql_type`: write one, as in `sql_type = \"varchar(32)\"`, or \
                           leave it out for the type that goes with the field's";
            report.at(sql_type, message);
        }
        self.check_type(report);
    }

    fn check_column(&self, report: &mut Report) {
        let name = self.name();
        if let Some(reading) = built_in(&name) {
            let message = format!(
                "`{name}` is built in, a column of every session table: leave the field out \
                 ({reading}), or give it another name"
            );
            report.at(self.ident, message);
        }
        match &self.attrs.column {
            Some(column) => {
                let value = column.value();
                if let Some(reading) = built_in(&value) {
                    let message = format!(
                        "`{value}` is built in, a column of every session table ({reading}): \
                         write another name"
                    );
                    report.at(column, message);
                }
                check_name(Kind::Column, &value, column, report);
            }
            None => check_name(Kind::Field, &name, self.ident, report),
        }
        if self.constant().is_none() {
            let message = "the column's constant cannot be named after this field: write its name \
                           with the letters A to Z";
            report.at(self.ident, message);
        }
    }

    fn check_reference(&self, report: &mut Report) {
        let attrs = &self.attrs;
        if let Some(reference) = &attrs.belongs_to {
            let literal = &reference.literal;
            check_name(Kind::OtherTable, &reference.table, literal, report);
            check_name(Kind::Column, &reference.column, literal, report);
        }
        if let (None, Some(on_delete)) = (&attrs.belongs_to_name, &attrs.cascade) {
            let message = "`on_delete` says what happens when the row that this one belongs to is \
                           deleted: write `belongs_to = \"users.id\", on_delete = \"cascade\"`";
            report.at(on_delete, message);
        }
    }

    fn check_type(&self, report: &mut Report) {
        if option_argument(self.value_type).is_some() {
            let write = compact(&self.value_type.to_token_stream());
            let message = format!(
                "a column has one NULL, an `Option` in an `Option` two ways to be `None`: \
                 write `{write}`"
            );
            report.at(self.value_type, message);
        }
        check_owned("its fields", self.value_type, report);
    }

    /// Returns `true` if the expansion can use the type.
    pub(crate) fn has_valid_type(&self) -> bool {
        option_argument(self.value_type).is_none()
            && !matches!(without_group(self.value_type), Type::Reference(_))
    }

    /// Returns the tokens that an error about the column's name underlines.
    fn column_tokens(&self) -> TokenStream {
        match &self.attrs.column {
            Some(column) => column.to_token_stream(),
            None => self.ident.to_token_stream(),
        }
    }
}

fn built_in(column: &str) -> Option<&'static str> {
    let (_, reading) = BUILT_IN.iter().find(|(name, _)| name.eq_ignore_ascii_case(column))?;
    Some(reading)
}

#[derive(Clone, Copy)]
enum Kind {
    Schema,
    Table,
    /// The name of a table that a column refers to.
    OtherTable,
    Column,
    /// A field that has a column of the same name.
    Field,
}

impl Kind {
    fn noun(self) -> &'static str {
        match self {
            Self::Schema => "schema",
            Self::Table | Self::OtherTable => "table",
            Self::Column | Self::Field => "column",
        }
    }
}

/// Checks a name. It may have any character that can be quoted; the library checks the same when a handle is made.
fn check_name(kind: Kind, name: &str, tokens: impl ToTokens, report: &mut Report) {
    let noun = kind.noun();
    if name.is_empty() {
        report.at(tokens, format!("a {noun} has a name: write one, or leave the attribute out"));
    } else if name.contains(char::is_control) {
        report.at(tokens, format!("{name:?} cannot name a {noun}: it holds a control character"));
    } else if let (Kind::Table, Some((schema, table))) = (kind, name.split_once('.')) {
        let message = format!(
            "a table's schema is an attribute of its own: write `schema = \"{schema}\", \
             table = \"{table}\"`"
        );
        report.at(tokens, message);
    } else if name.len() > MAX_NAME {
        let remedy = match kind {
            Kind::Field => "write a shorter one with `#[session(column = \"…\")]`",
            _ => "write a shorter one",
        };
        let length = name.len();
        let message =
            format!("the name of a {noun} has {MAX_NAME} bytes at most, this one {length}: {remedy}");
        report.at(tokens, message);
    }
}

fn check_owned(what: &str, ty: &Type, report: &mut Report) {
    if let Type::Reference(reference) = without_group(ty) {
        let owned = owned(&reference.elem);
        let message = format!("a session owns {what}: write `{owned}` in place of the reference");
        report.at(ty, message);
    }
}

fn owned(referent: &Type) -> String {
    let written = compact(&referent.to_token_stream());
    match written.as_str() {
        "str" => "String".to_owned(),
        "[u8]" => "Vec<u8>".to_owned(),
        _ => written,
    }
}

/// Returns a type's tokens as people write them.
fn compact(tokens: &TokenStream) -> String {
    let text = tokens.to_string();
    [" <", "< ", " >", " ::", ":: ", "[ ", " ]"]
        .iter()
        .fold(text, |text, spaced| text.replace(spaced, spaced.trim()))
        .replace(" ,", ",")
}
