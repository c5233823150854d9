//! `#[session(…)]`, read from its tokens.

use proc_macro2::TokenTree;
use syn::ext::IdentExt;
use syn::parse::{ParseStream, Parser};
use syn::token::Paren;
use syn::{Attribute, Error, Ident, LitStr, Meta, Path, Result, Token, Type};

use crate::known::{Place, unknown};
use crate::report::Report;
use crate::role::{self, Given};

/// What is written on the struct.
#[derive(Default)]
pub(crate) struct TableAttrs {
    pub(crate) schema: Option<LitStr>,
    pub(crate) table: Option<LitStr>,
    pub(crate) data: Option<Type>,
    /// Where the library is, for crates that know it by another path.
    pub(crate) library: Option<Path>,
    pub(crate) exchange: Option<Ident>,
    pub(crate) rotation_grace: Option<Ident>,
    pub(crate) audit_log: Option<Ident>,
}

/// What is written on a field.
#[derive(Default)]
pub(crate) struct FieldAttrs {
    pub(crate) column: Option<LitStr>,
    pub(crate) index: Option<Ident>,
    pub(crate) belongs_to: Option<Reference>,
    /// The name of a `belongs_to`, with a valid value or not.
    pub(crate) belongs_to_name: Option<Ident>,
    /// The name of an `on_delete = "cascade"`.
    pub(crate) cascade: Option<Ident>,
    pub(crate) sql_type: Option<LitStr>,
    pub(crate) role: Option<Given>,
}

/// The value of `belongs_to`.
pub(crate) struct Reference {
    pub(crate) literal: LitStr,
    pub(crate) table: String,
    pub(crate) column: String,
}

impl TableAttrs {
    pub(crate) fn from_syn(attributes: &[Attribute], report: &mut Report) -> Self {
        let mut attrs = Self::default();
        for_each_item(attributes, Place::Struct, report, |name, input| {
            let word = name.unraw().to_string();
            match word.as_str() {
                "schema" => set(&mut attrs.schema, name, string(name, input, "auth")?),
                "table" => set(&mut attrs.table, name, string(name, input, "api_keys")?),
                "data" => set(&mut attrs.data, name, data_type(name, input)?),
                "crate" => set(&mut attrs.library, name, library(name, input)?),
                "exchange" => set(&mut attrs.exchange, name, flag(name, input)?),
                "rotation_grace" => set(&mut attrs.rotation_grace, name, flag(name, input)?),
                "audit_log" => set(&mut attrs.audit_log, name, flag(name, input)?),
                _ => Err(unknown(name, Place::Struct)),
            }
        });
        attrs
    }
}

impl FieldAttrs {
    pub(crate) fn from_syn(attributes: &[Attribute], report: &mut Report) -> Self {
        let mut attrs = Self::default();
        for_each_item(attributes, Place::Field, report, |name, input| {
            let word = name.unraw().to_string();
            match word.as_str() {
                "column" => set(&mut attrs.column, name, string(name, input, "owner_id")?),
                "index" => set(&mut attrs.index, name, flag(name, input)?),
                "belongs_to" => {
                    attrs.belongs_to_name = Some(name.clone());
                    set(&mut attrs.belongs_to, name, reference(name, input)?)
                }
                "on_delete" => set(&mut attrs.cascade, name, cascade(name, input)?),
                "sql_type" => set(&mut attrs.sql_type, name, string(name, input, "varchar(32)")?),
                _ => match role::role(&word) {
                    Some(role) => set_role(&mut attrs.role, Given { role, ident: flag(name, input)? }),
                    None => Err(unknown(name, Place::Field)),
                },
            }
        });
        attrs
    }
}

fn for_each_item(
    attributes: &[Attribute],
    place: Place,
    report: &mut Report,
    mut item: impl FnMut(&Ident, ParseStream) -> Result<()>,
) {
    let ours = attributes.iter().filter(|attribute| attribute.path().is_ident("session"));
    for attribute in ours {
        let Meta::List(list) = &attribute.meta else {
            report.at(&attribute.meta, "`session` takes a list in parentheses: write `#[session(…)]`");
            continue;
        };
        let parser = |input: ParseStream| items(input, place, report, &mut item);
        if let Err(error) = parser.parse2(list.tokens.clone()) {
            report.add(error);
        }
    }
}

/// Reads the items. After an error it goes on after the next comma.
fn items(
    input: ParseStream,
    place: Place,
    report: &mut Report,
    item: &mut impl FnMut(&Ident, ParseStream) -> Result<()>,
) -> Result<()> {
    while !input.is_empty() {
        let result =
            item_name(input, place).and_then(|name| item(&name, input)).and_then(|()| end_of_item(input));
        if let Err(error) = result {
            report.add(error);
            skip_item(input)?;
        }
        input.parse::<Option<Token![,]>>()?;
    }
    Ok(())
}

fn item_name(input: ParseStream, place: Place) -> Result<Ident> {
    // Any word is read, since `crate` and `type` are keywords.
    input.call(Ident::parse_any).map_err(|error| {
        let message = format!("a name belongs here: {}", place.takes());
        Error::new(error.span(), message)
    })
}

fn end_of_item(input: ParseStream) -> Result<()> {
    if input.is_empty() || input.peek(Token![,]) {
        return Ok(());
    }
    Err(input.error("the attribute before this is complete: write a `,` between the two"))
}

fn skip_item(input: ParseStream) -> Result<()> {
    // A comma inside `Map<K, V>` ends nothing.
    let mut depth = 0_usize;
    while !input.is_empty() && (depth > 0 || !input.peek(Token![,])) {
        match input.parse()? {
            TokenTree::Punct(punct) if punct.as_char() == '<' => depth += 1,
            TokenTree::Punct(punct) if punct.as_char() == '>' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    Ok(())
}

pub(crate) fn set<T>(slot: &mut Option<T>, name: &Ident, value: T) -> Result<()> {
    if slot.is_some() {
        let message = format!("`{name}` is given twice: keep one of them");
        return Err(Error::new(name.span(), message));
    }
    *slot = Some(value);
    Ok(())
}

fn set_role(slot: &mut Option<Given>, given: Given) -> Result<()> {
    if let Some(other) = slot.as_ref().filter(|other| other.role.name != given.role.name) {
        let message = format!("a field has one role, and this one has `{}` already", other.role.name);
        return Err(Error::new(given.ident.span(), message));
    }
    let name = given.ident.clone();
    set(slot, &name, given)
}

fn flag(name: &Ident, input: ParseStream) -> Result<Ident> {
    if input.peek(Token![=]) || input.peek(Paren) {
        let message = format!("`{name}` takes no value: write `{name}` alone, or leave it out");
        return Err(input.error(message));
    }
    Ok(name.clone())
}

pub(crate) fn string(name: &Ident, input: ParseStream, example: &str) -> Result<LitStr> {
    let write = format!("`{name}` takes a string: write `{name} = \"{example}\"`");
    equals_sign(name, input, &write)?;
    if input.peek(LitStr) {
        return input.parse();
    }
    if let Ok(word) = input.fork().call(Ident::parse_any) {
        let write = format!("`{name}` takes a string: write `{name} = \"{word}\"`");
        return Err(input.error(write));
    }
    Err(input.error(write))
}

fn data_type(name: &Ident, input: ParseStream) -> Result<Type> {
    let write = "`data` takes a type: write `data = DeviceInfo`";
    equals_sign(name, input, write)?;
    if let Some(text) = input.parse::<Option<LitStr>>()? {
        let message = match text.parse::<Type>() {
            Ok(_) => {
                format!("`data` takes a type without quotation marks: write `data = {}`", text.value().trim())
            }
            Err(_) => write.to_owned(),
        };
        return Err(Error::new(text.span(), message));
    }
    let start = input.span();
    Type::without_plus(input).map_err(|_| Error::new(start, write))
}

pub(crate) fn library(name: &Ident, input: ParseStream) -> Result<Path> {
    let write = "`crate` takes the path of the library: write `crate = my_framework::cloakroom`";
    equals_sign(name, input, write)?;
    if let Some(text) = input.parse::<Option<LitStr>>()? {
        return text.parse_with(Path::parse_mod_style).map_err(|_| Error::new(text.span(), write));
    }
    let start = input.span();
    Path::parse_mod_style(input).map_err(|_| Error::new(start, write))
}

fn reference(name: &Ident, input: ParseStream) -> Result<Reference> {
    let literal = string(name, input, "users.id")?;
    let value = literal.value();
    let parts: Vec<&str> = value.split('.').collect();
    let write = match parts.as_slice() {
        [table, column] if !table.is_empty() && !column.is_empty() => {
            let (table, column) = ((*table).to_owned(), (*column).to_owned());
            return Ok(Reference { literal, table, column });
        }
        [table] if !table.trim().is_empty() => format!("{table}.id"),
        [.., table, column] if parts.len() > 2 && !table.is_empty() && !column.is_empty() => {
            let write = format!("{table}.{column}");
            let message =
                format!("`belongs_to` names a table and its column, without a schema: write `{write}`");
            return Err(Error::new(literal.span(), message));
        }
        _ => "users.id".to_owned(),
    };
    let message = format!("`belongs_to` names a table and its column: write `{write}`");
    Err(Error::new(literal.span(), message))
}

fn cascade(name: &Ident, input: ParseStream) -> Result<Ident> {
    let value = string(name, input, "cascade")?;
    if value.value() == "cascade" {
        return Ok(name.clone());
    }
    let message = "`on_delete` knows one value: write `on_delete = \"cascade\"`, or leave it out \
                   for a column without a foreign key";
    Err(Error::new(value.span(), message))
}

/// Parses the `=` between a name and its value. If one of the two is missing, `write` is the error.
fn equals_sign(name: &Ident, input: ParseStream, write: &str) -> Result<()> {
    if !input.peek(Token![=]) {
        return Err(Error::new(name.span(), write));
    }
    let sign: Token![=] = input.parse()?;
    if input.is_empty() || input.peek(Token![,]) {
        return Err(Error::new_spanned(sign, write));
    }
    Ok(())
}
