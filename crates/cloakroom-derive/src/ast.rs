//! The user's struct, as far as the derive reads it.

use proc_macro2::Span;
use syn::ext::IdentExt;
use syn::{
    Data, DeriveInput, Error, Fields, GenericArgument, Generics, Ident, PathArguments, Result, Type,
    Visibility,
};

use crate::attr::{FieldAttrs, TableAttrs};
use crate::report::Report;

pub(crate) struct Table<'a> {
    pub(crate) ident: &'a Ident,
    pub(crate) generics: &'a Generics,
    pub(crate) attrs: TableAttrs,
    pub(crate) fields: Vec<Field<'a>>,
}

pub(crate) struct Field<'a> {
    pub(crate) ident: &'a Ident,
    pub(crate) visibility: &'a Visibility,
    pub(crate) attrs: FieldAttrs,
    /// The type of a value in the column: the field's, without its `Option`.
    pub(crate) value_type: &'a Type,
    pub(crate) nullable: bool,
}

impl<'a> Table<'a> {
    /// Reads the struct. Errors in its attributes go to `report`.
    pub(crate) fn from_syn(node: &'a DeriveInput, report: &mut Report) -> Result<Self> {
        let attrs = TableAttrs::from_syn(&node.attrs, report);
        let fields = named_fields(node)?
            .filter_map(|field| Some(Field::from_syn(field, field.ident.as_ref()?, report)))
            .collect();
        Ok(Self { ident: &node.ident, generics: &node.generics, attrs, fields })
    }

    pub(crate) fn name(&self) -> String {
        match &self.attrs.table {
            Some(table) => table.value(),
            None => "sessions".to_owned(),
        }
    }
}

impl<'a> Field<'a> {
    fn from_syn(node: &'a syn::Field, ident: &'a Ident, report: &mut Report) -> Self {
        let option = option_argument(&node.ty);
        Self {
            ident,
            visibility: &node.vis,
            attrs: FieldAttrs::from_syn(&node.attrs, report),
            value_type: option.unwrap_or(&node.ty),
            nullable: option.is_some(),
        }
    }

    /// Returns the field's name, without an `r#`.
    pub(crate) fn name(&self) -> String {
        self.ident.unraw().to_string()
    }

    pub(crate) fn column(&self) -> String {
        match &self.attrs.column {
            Some(column) => column.value(),
            None => self.name(),
        }
    }

    /// Returns the last word of the path of a value's type, as it is written.
    pub(crate) fn type_name(&self) -> Option<&Ident> {
        match without_group(self.value_type) {
            Type::Path(path) => path.path.segments.last().map(|segment| &segment.ident),
            _ => None,
        }
    }

    /// Returns the name of the column's constant, or `None` if the field's name has no upper case that can be an
    /// identifier.
    pub(crate) fn constant(&self) -> Option<Ident> {
        let mut constant: Ident = syn::parse_str(&self.name().to_uppercase()).ok()?;
        constant.set_span(self.ident.span().resolved_at(Span::call_site()));
        Some(constant)
    }
}

fn named_fields(node: &DeriveInput) -> Result<impl Iterator<Item = &syn::Field>> {
    let name = &node.ident;
    let wanted = "`SessionTable` is for a struct with named fields, each a column of the table";
    match &node.data {
        Data::Struct(data) => match &data.fields {
            Fields::Named(fields) => Ok(fields.named.iter()),
            Fields::Unnamed(fields) => Err(Error::new_spanned(
                fields,
                format!("{wanted}: write `struct {name} {{ user_id: String }}`"),
            )),
            Fields::Unit => Err(Error::new_spanned(
                name,
                format!("{wanted}: write `struct {name} {{}}` for a table without further columns"),
            )),
        },
        Data::Enum(data) => Err(Error::new_spanned(
            data.enum_token,
            format!(
                "{wanted}: write `struct {name} {{ user_id: String }}`, with an enum as the type \
                 of a field if need be"
            ),
        )),
        Data::Union(data) => Err(Error::new_spanned(
            data.union_token,
            format!("{wanted}: write `struct {name} {{ user_id: String }}`"),
        )),
    }
}

/// Returns the `T` of an `Option<T>`, with any path.
pub(crate) fn option_argument(ty: &Type) -> Option<&Type> {
    let Type::Path(path) = without_group(ty) else {
        return None;
    };
    let option = path.path.segments.last()?;
    let PathArguments::AngleBracketed(arguments) = &option.arguments else {
        return None;
    };
    match arguments.args.first()? {
        GenericArgument::Type(ty) if option.ident == "Option" && arguments.args.len() == 1 => Some(ty),
        _ => None,
    }
}

/// Returns the type itself: a type that came through a `macro_rules` is in an invisible group.
pub(crate) fn without_group(ty: &Type) -> &Type {
    match ty {
        Type::Group(group) => without_group(&group.elem),
        Type::Paren(paren) => without_group(&paren.elem),
        ty => ty,
    }
}
