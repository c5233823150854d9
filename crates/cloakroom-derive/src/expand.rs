use proc_macro2::{Literal, Span, TokenStream};
use quote::{format_ident, quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{DeriveInput, Ident};

use crate::associated::associated_type;
use crate::ast::{Field, Table};
use crate::fallback;
use crate::report::Report;
use crate::role::Role;

pub(crate) fn derive(input: &DeriveInput) -> TokenStream {
    let mut report = Report::default();
    let table = match Table::from_syn(input, &mut report) {
        Ok(table) => Some(table),
        Err(error) => {
            report.add(error);
            None
        }
    };
    if let Some(table) = &table {
        table.validate(&mut report);
    }
    match (table, report.into_error()) {
        (Some(table), None) => table.expand(),
        (table, error) => {
            let error = error.map(|error| error.to_compile_error());
            let stand_in = table.map(|table| fallback::expand(&table));
            quote!(#error #stand_in)
        }
    }
}

impl Table<'_> {
    fn expand(&self) -> TokenStream {
        let ident = self.ident;
        let library = self.library();
        let definition = self.definition();
        let columns = self.fields.iter().map(|field| self.column(field));
        let data = self.data();
        let values = self.fields.iter().map(|field| {
            let ident = field.ident_at_type();
            let library = self.library_at(field.type_span());
            quote_spanned!(field.type_span()=> #library::FieldValue::new(&self.#ident))
        });
        let truncations = self.fields.iter().map(|field| {
            let ident = field.ident_at_type();
            let library = self.library_at(field.type_span());
            quote_spanned!(field.type_span()=> #library::FieldValue::truncate_instants(&mut self.#ident);)
        });
        let readings = self.fields.iter().enumerate().map(|(index, field)| {
            let ident = field.ident_at_type();
            let index = Literal::usize_unsuffixed(index);
            quote_spanned!(field.type_span()=> #ident: __row.get(#index)?)
        });
        let roles = self.role_mut();
        let role_traits = self.role_traits();
        let table_traits = self.table_traits();
        quote! {
            #[automatically_derived]
            impl #ident {
                #(#columns)*
            }

            #[automatically_derived]
            impl #library::SessionFields for #ident {
                type Data = #data;

                fn truncate_instants(&mut self) {
                    #(#truncations)*
                }

                #roles

                fn to_values(&self) -> ::std::vec::Vec<#library::FieldValue> {
                    ::std::vec![#(#values),*]
                }

                fn from_row(
                    __row: &#library::FieldReader<'_>,
                ) -> ::std::result::Result<Self, #library::Error> {
                    ::std::result::Result::Ok(Self { #(#readings),* })
                }
            }

            #[automatically_derived]
            impl #library::SessionTable for #ident {
                fn definition() -> #library::TableDefinition {
                    #definition
                }
            }

            #(#role_traits)*

            #(#table_traits)*
        }
    }

    fn fields_with_roles(&self) -> impl Iterator<Item = (&Field<'_>, &'static Role)> {
        self.fields.iter().filter_map(|field| Some((field, field.attrs.role.as_ref()?.role)))
    }

    /// Returns the method that lends the library the fields with roles; nothing if there are none.
    fn role_mut(&self) -> Option<TokenStream> {
        let library = self.library();
        let mut arms = self.fields_with_roles().filter_map(|(field, role)| {
            let (ident, variant) = (field.ident_at_type(), format_ident!("{}", role.variant));
            let at_type = self.library_at(field.type_span());
            let (field_trait, _) =
                role.kind.field_trait(field.type_span()).filter(|_| role.kind.is_filled_in())?;
            let field = quote_spanned!(field.type_span()=> #at_type::#field_trait::field(&mut self.#ident));
            Some(quote!(#library::Role::#variant => ::std::option::Option::Some(#field),))
        });
        let first = arms.next()?;
        Some(quote! {
            fn role_mut(
                &mut self,
                __role: #library::Role,
            ) -> ::std::option::Option<#library::RoleField<'_>> {
                match __role {
                    #first
                    #(#arms)*
                    _ => ::std::option::Option::None,
                }
            }
        })
    }

    /// Returns the implementations of the roles' traits.
    fn role_traits(&self) -> impl Iterator<Item = TokenStream> {
        let (ident, library) = (self.ident, self.library());
        self.fields_with_roles().map(move |(field, role)| {
            let (trait_name, accessor) =
                (format_ident!("{}", role.trait_name), format_ident!("{}", role.name));
            let (field_ident, at_type) = (field.ident_at_type(), self.library_at(field.type_span()));
            let value = role.kind.value(&at_type, field.type_span());
            let associated = associated_type(role, field, &at_type);
            let read = match role.kind.field_trait(field.type_span()) {
                Some((field_trait, read)) => {
                    quote_spanned!(field.type_span()=> #at_type::#field_trait::#read(&self.#field_ident))
                }
                None if field.nullable => quote!(self.#field_ident.as_ref()),
                None => quote!(::std::option::Option::Some(&self.#field_ident)),
            };
            let method = quote_spanned!(field.type_span()=> fn #accessor(&self) -> #value { #read });
            quote! {
                #[automatically_derived]
                impl #library::#trait_name for #ident {
                    #associated

                    #method
                }
            }
        })
    }

    /// Returns the implementations of the traits that attributes of the struct ask for.
    pub(crate) fn table_traits(&self) -> impl Iterator<Item = TokenStream> {
        let (ident, library) = (self.ident, self.library());
        let exchange = self.attrs.exchange.as_ref().map(|_| quote!(ExchangesTokens));
        let rotation_grace = self.attrs.rotation_grace.as_ref().map(|_| quote!(RotatesWithGrace));
        let audit_log = self.attrs.audit_log.as_ref().map(|_| quote!(KeepsAuditLog));
        exchange.into_iter().chain(rotation_grace).chain(audit_log).map(move |name| {
            quote! {
                #[automatically_derived]
                impl #library::#name for #ident {}
            }
        })
    }

    /// Returns the path of the library.
    pub(crate) fn library(&self) -> TokenStream {
        if let Some(path) = &self.attrs.library {
            return quote!(#path);
        }
        quote!(::cloakroom)
    }

    fn library_at(&self, location: Span) -> TokenStream {
        let tokens = self.library().into_iter();
        tokens
            .map(|mut token| {
                token.set_span(token.span().located_at(location));
                token
            })
            .collect()
    }

    /// Returns the type of the sessions' data.
    pub(crate) fn data(&self) -> TokenStream {
        if let Some(data) = &self.attrs.data {
            return quote!(#data);
        }
        let library = self.library();
        quote!(#library::JsonValue)
    }

    fn definition(&self) -> TokenStream {
        let library = self.library();
        let name = self.name();
        let schema = self.attrs.schema.iter().map(|schema| quote!(.schema(#schema)));
        let fields = self.fields.iter().map(|field| {
            let definition = field.definition(&self.library_at(field.type_span()));
            quote!(.field(#definition))
        });
        let exchange = self.attrs.exchange.iter().map(|_| quote!(.exchange()));
        let rotation_grace = self.attrs.rotation_grace.iter().map(|_| quote!(.rotation_grace()));
        let audit_log = self.attrs.audit_log.iter().map(|_| quote!(.audit_log()));
        quote! {
            #library::TableDefinition::new(#name) #(#schema)* #(#fields)* #(#exchange)* #(#rotation_grace)* #(#audit_log)*
        }
    }

    /// Returns the constant for a column.
    pub(crate) fn column(&self, field: &Field) -> TokenStream {
        let library = self.library();
        let visibility = field.visibility;
        let constant = field.constant();
        let column = field.column();
        let value_type = field.value_type;
        let doc = format!("The column `{column}` of the table `{}`.", self.name());
        quote! {
            #[doc = #doc]
            #visibility const #constant: #library::Column<Self, #value_type> =
                #library::Column::new(#column);
        }
    }
}

impl Field<'_> {
    fn definition(&self, library: &TokenStream) -> TokenStream {
        let column = self.column();
        let value_type = self.value_type;
        let nullable = self.nullable.then(|| quote!(.nullable()));
        let indexed = self.attrs.index.as_ref().map(|_| quote!(.indexed()));
        let references = self.attrs.belongs_to.as_ref().map(|reference| {
            let (table, column) = (&reference.table, &reference.column);
            quote!(.references(#table, #column))
        });
        let cascade = self.attrs.cascade.as_ref().map(|_| quote!(.on_delete_cascade()));
        let sql_type = self.attrs.sql_type.as_ref().map(|ty| quote!(.sql_type(#ty)));
        let role = self.attrs.role.as_ref().map(|given| {
            let variant = format_ident!("{}", given.role.variant);
            quote!(.for_role(#library::Role::#variant))
        });
        let new = quote_spanned! {self.type_span()=>
            #library::FieldDefinition::new::<#value_type>(#column)
        };
        let blank = (self.type_name().is_some_and(|name| name == "Scopes")).then(|| quote!(.allow_blank()));
        quote!(#new #nullable #indexed #references #cascade #sql_type #role #blank)
    }

    /// Puts an error about a type that cannot be stored where that type is written. Names are still
    /// looked up from the derive: the type may have come from a `macro_rules` with names of its own.
    pub(crate) fn type_span(&self) -> Span {
        self.value_type.span().resolved_at(Span::call_site())
    }

    pub(crate) fn ident_at_type(&self) -> Ident {
        let mut ident = self.ident.clone();
        ident.set_span(self.type_span());
        ident
    }
}
