//! `#[scope(…)]`, read from its tokens.

use syn::ext::IdentExt;
use syn::parse::{ParseStream, Parser};
use syn::{Attribute, Error, Ident, LitStr, Meta, Path, Result, Token};

use super::case::Case;
use crate::attr::{library, set, string};
use crate::report::Report;

/// What is written on the enum.
#[derive(Default)]
pub(super) struct EnumAttrs {
    pub(super) case: Option<Case>,
    /// Where the library is, for crates that know it by another path.
    pub(super) library: Option<Path>,
}

/// What is written on a variant.
#[derive(Default)]
pub(super) struct VariantAttrs {
    pub(super) rename: Option<LitStr>,
}

impl EnumAttrs {
    pub(super) fn from_syn(attributes: &[Attribute], report: &mut Report) -> Self {
        let mut attrs = Self::default();
        for_each_item(attributes, report, |name, input| match name.unraw().to_string().as_str() {
            "rename_all" => {
                let style = string(name, input, "kebab-case")?;
                let case = Case::from_name(&style.value()).ok_or_else(|| {
                    let names = Case::names().map(|name| format!("`\"{name}\"`")).collect::<Vec<_>>();
                    Error::new(style.span(), format!("`rename_all` knows {}", names.join(", ")))
                })?;
                set(&mut attrs.case, name, case)
            }
            "crate" => set(&mut attrs.library, name, library(name, input)?),
            "rename" => {
                let message =
                    "`rename` belongs on a variant: write `#[scope(rename = \"read:all\")]` above it";
                Err(Error::new(name.span(), message))
            }
            word => {
                let message = format!("there is no `{word}`: an enum takes `rename_all`, `crate`");
                Err(Error::new(name.span(), message))
            }
        });
        attrs
    }
}

impl VariantAttrs {
    pub(super) fn from_syn(attributes: &[Attribute], report: &mut Report) -> Self {
        let mut attrs = Self::default();
        for_each_item(attributes, report, |name, input| match name.unraw().to_string().as_str() {
            "rename" => set(&mut attrs.rename, name, string(name, input, "read:all")?),
            "rename_all" => {
                let message = "`rename_all` belongs on the enum: write `#[scope(rename_all = \"kebab-case\")]` above it";
                Err(Error::new(name.span(), message))
            }
            word => {
                let message = format!("there is no `{word}`: a scope takes `rename`");
                Err(Error::new(name.span(), message))
            }
        });
        attrs
    }
}

fn for_each_item(
    attributes: &[Attribute],
    report: &mut Report,
    mut item: impl FnMut(&Ident, ParseStream) -> Result<()>,
) {
    for attribute in attributes.iter().filter(|attribute| attribute.path().is_ident("scope")) {
        let Meta::List(list) = &attribute.meta else {
            report.at(&attribute.meta, "`scope` takes a list in parentheses: write `#[scope(…)]`");
            continue;
        };
        let parser = |input: ParseStream| {
            while !input.is_empty() {
                // Any word is read, since `crate` is a keyword.
                let name = input.call(Ident::parse_any)?;
                item(&name, input)?;
                if !input.is_empty() {
                    input.parse::<Token![,]>()?;
                }
            }
            Ok(())
        };
        if let Err(error) = parser.parse2(list.tokens.clone()) {
            report.add(error);
        }
    }
}
