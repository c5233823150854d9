//! `#[derive(Scope)]`.

mod attr;
mod case;
#[cfg(test)]
mod tests;

use std::collections::HashMap;

use proc_macro2::TokenStream;
use quote::{ToTokens, quote};
use syn::ext::IdentExt;
use syn::{Data, DeriveInput, Error, Fields, Ident, Result, Variant};

use crate::report::Report;
use attr::{EnumAttrs, VariantAttrs};
use case::Case;

/// The enum, as far as the derive reads it.
struct Scopes<'a> {
    ident: &'a Ident,
    attrs: EnumAttrs,
    list: Vec<Scope<'a>>,
}

/// A variant.
struct Scope<'a> {
    variant: &'a Variant,
    attrs: VariantAttrs,
}

pub(crate) fn derive(input: &DeriveInput) -> TokenStream {
    let mut report = Report::default();
    let scopes = match Scopes::from_syn(input, &mut report) {
        Ok(scopes) => Some(scopes),
        Err(error) => {
            report.add(error);
            None
        }
    };
    if let Some(scopes) = &scopes {
        scopes.validate(&mut report);
    }
    let error = report.into_error().map(|error| error.to_compile_error());
    // With errors too, so that the rest of the program adds none about a missing trait.
    let expanded = scopes.map(|scopes| scopes.expand(error.is_some()));
    quote!(#error #expanded)
}

impl<'a> Scopes<'a> {
    fn from_syn(node: &'a DeriveInput, report: &mut Report) -> Result<Self> {
        let attrs = EnumAttrs::from_syn(&node.attrs, report);
        let name = &node.ident;
        let wanted = format!(
            "`Scope` is for an enum, each variant of which is a scope: write `enum {name} {{ Read, Write }}`"
        );
        let variants = match &node.data {
            Data::Enum(data) => &data.variants,
            Data::Struct(data) => return Err(Error::new_spanned(data.struct_token, wanted)),
            Data::Union(data) => return Err(Error::new_spanned(data.union_token, wanted)),
        };
        if !node.generics.params.is_empty() {
            let message = "scopes are names alone, so their enum takes no parameters";
            return Err(Error::new_spanned(&node.generics, message));
        }
        if variants.is_empty() {
            return Err(Error::new_spanned(name, wanted));
        }
        let scopes = variants
            .iter()
            .map(|variant| Scope { variant, attrs: VariantAttrs::from_syn(&variant.attrs, report) });
        Ok(Self { ident: &node.ident, attrs, list: scopes.collect() })
    }

    /// Returns the name of a scope, which `rename` sets to the letter.
    fn name(&self, scope: &Scope<'_>) -> String {
        match &scope.attrs.rename {
            Some(rename) => rename.value(),
            None => {
                self.attrs.case.unwrap_or(Case::Snake).of_variant(&scope.variant.ident.unraw().to_string())
            }
        }
    }

    fn validate(&self, report: &mut Report) {
        let mut names = HashMap::new();
        for scope in &self.list {
            let ident = &scope.variant.ident;
            if !matches!(scope.variant.fields, Fields::Unit) {
                let message = format!("a scope is a name alone: write `{ident}` without data");
                report.at(&scope.variant.fields, message);
            }
            let name = self.name(scope);
            if let Some(problem) = problem(&name) {
                let remedy = match scope.attrs.rename {
                    Some(_) => "write another",
                    None => "give it one by `#[scope(rename = \"…\")]`",
                };
                report.at(scope.name_tokens(), format!("{name:?} cannot name a scope: {problem}; {remedy}"));
            } else if let Some(other) = names.insert(name.clone(), ident) {
                let message =
                    format!("the scope `{other}` is called {name:?} too: no two scopes have one name");
                report.at(scope.name_tokens(), message);
            }
        }
    }

    fn expand(&self, has_errors: bool) -> TokenStream {
        let ident = self.ident;
        let library = self.attrs.library.as_ref().map_or_else(|| quote!(::cloakroom), |path| quote!(#path));
        let (all, name) = if has_errors {
            (quote!(&[]), quote!(::std::unreachable!()))
        } else {
            let variants: Vec<_> = self.list.iter().map(|scope| &scope.variant.ident).collect();
            let names = self.list.iter().map(|scope| self.name(scope));
            let names = variants.iter().zip(names).map(|(variant, name)| quote!(Self::#variant => #name));
            (quote!(&[#(Self::#variants),*]), quote!(match self { #(#names),* }))
        };
        quote! {
            #[automatically_derived]
            impl #library::Scope for #ident {
                const ALL: &'static [Self] = #all;

                fn name(&self) -> &'static str {
                    #name
                }
            }
        }
    }
}

impl Scope<'_> {
    /// Returns the tokens that an error about the scope's name underlines.
    fn name_tokens(&self) -> TokenStream {
        match &self.attrs.rename {
            Some(rename) => rename.to_token_stream(),
            None => self.variant.ident.to_token_stream(),
        }
    }
}

/// Returns why a scope cannot have this name: `1*( %x21 / %x23-5B / %x5D-7E )` in RFC 6749.
fn problem(name: &str) -> Option<String> {
    let is_allowed = |it: &char| it.is_ascii_graphic() && !matches!(it, '"' | '\\');
    match name.chars().find(|it| !is_allowed(it)) {
        _ if name.is_empty() => Some("it is empty".to_owned()),
        Some(' ') => Some("a space stands between two scopes".to_owned()),
        Some(it) => Some(format!("RFC 6749 allows no {it:?}")),
        None => None,
    }
}
