//! The items in place of the expansion if there are errors: the same items without their contents, so that the rest of
//! the program does not add errors about missing traits and constants.

use std::collections::HashSet;

use proc_macro2::TokenStream;
use quote::{ToTokens, format_ident, quote};

use crate::associated::associated_type;
use crate::ast::{Field, Table};
use crate::role::{Kind, ROLES, Role};

pub(crate) fn expand(table: &Table) -> TokenStream {
    if !table.generics.params.is_empty() {
        // There is no type that the traits could be implemented for.
        return TokenStream::new();
    }
    let ident = table.ident;
    let library = table.library();
    let data = table.data();
    let columns = fields_with_columns(table).map(|field| table.column(field));
    let with = |role: &'static Role| {
        let given =
            |field: &&Field| field.attrs.role.as_ref().is_some_and(|given| given.role.name == role.name);
        table.fields.iter().find(given).map(|field| (role, field))
    };
    let roles = ROLES.iter().filter_map(with).map(|(role, field)| {
        let (trait_name, accessor) = (format_ident!("{}", role.trait_name), format_ident!("{}", role.name));
        let value = role.kind.value(&library, field.type_span());
        let own_type =
            || if field.has_valid_type() { field.value_type.to_token_stream() } else { quote!(()) };
        let associated = if matches!(role.kind, Kind::Assurance) {
            let assurance = own_type();
            Some(quote! {
                type Assurance = #assurance;

                fn set_assurance(&mut self, _: Self::Assurance) {
                    ::std::unreachable!()
                }
            })
        } else if matches!(role.kind, Kind::Owner) {
            let owner = own_type();
            Some(quote! {
                type Owner = #owner;

                fn owner_value(
                    _: &Self::Owner,
                    _: &#library::FieldDefinition,
                    _: #library::Backend,
                ) -> #library::FieldValue {
                    ::std::unreachable!()
                }
            })
        } else if matches!(role.kind, Kind::DeviceKey) {
            Some(quote! {
                fn set_device_key(&mut self, _: #library::device::DeviceKey) {
                    ::std::unreachable!()
                }
            })
        } else {
            associated_type(role, field, &library)
        };
        quote! {
            #[automatically_derived]
            impl #library::#trait_name for #ident {
                #associated

                fn #accessor(&self) -> #value {
                    ::std::unreachable!()
                }
            }
        }
    });
    let table_traits = table.table_traits();
    quote! {
        #[automatically_derived]
        impl #ident {
            #(#columns)*
        }

        #[automatically_derived]
        impl #library::SessionFields for #ident {
            type Data = #data;

            fn to_values(&self) -> ::std::vec::Vec<#library::FieldValue> {
                ::std::unreachable!()
            }

            fn from_row(
                _: &#library::FieldReader<'_>,
            ) -> ::std::result::Result<Self, #library::Error> {
                ::std::unreachable!()
            }
        }

        #[automatically_derived]
        impl #library::SessionTable for #ident {
            fn definition() -> #library::TableDefinition {
                ::std::unreachable!()
            }
        }

        #(#roles)*

        #(#table_traits)*
    }
}

fn fields_with_columns<'a>(table: &'a Table<'a>) -> impl Iterator<Item = &'a Field<'a>> {
    let mut constants = HashSet::new();
    table.fields.iter().filter(move |field| {
        field.has_valid_type() && field.constant().is_some_and(|constant| constants.insert(constant))
    })
}
