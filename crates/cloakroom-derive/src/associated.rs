//! What stands beside the accessor in the implementation of a role's trait: types of the application's own.

use proc_macro2::TokenStream;
use quote::{quote, quote_spanned};

use crate::ast::Field;
use crate::role::{Kind, Role};

/// Returns the type that belongs to a role's trait, if one does.
pub(crate) fn associated_type(role: &Role, field: &Field, library: &TokenStream) -> Option<TokenStream> {
    let value_type = field.value_type;
    match role.kind {
        Kind::Text | Kind::OptionalText | Kind::Instant => None,
        Kind::DeviceKey => Some(field.device_key(library)),
        Kind::Owner => Some(field.owner(library)),
        Kind::Assurance => Some(field.assurance()),
        Kind::Scopes => Some(
            quote_spanned!(field.type_span()=> type Scope = <#value_type as #library::ScopesField>::Scope;),
        ),
    }
}

impl Field<'_> {
    /// Returns the type of the levels, and the function that sets one, in the implementation of `HasAssurance`.
    fn assurance(&self) -> TokenStream {
        let (value_type, ident) = (self.value_type, self.ident_at_type());
        let value = if self.nullable {
            quote!(::std::option::Option::Some(__assurance))
        } else {
            quote!(__assurance)
        };
        quote! {
            type Assurance = #value_type;

            fn set_assurance(&mut self, __assurance: #value_type) {
                self.#ident = #value;
            }
        }
    }

    /// Returns the function that sets the key, in the implementation of `HasDeviceKey`.
    fn device_key(&self, library: &TokenStream) -> TokenStream {
        let ident = self.ident_at_type();
        quote_spanned! {self.type_span()=>
            fn set_device_key(&mut self, __key: #library::device::DeviceKey) {
                #library::DeviceKeyField::set_device_key(&mut self.#ident, __key)
            }
        }
    }

    /// Returns the owner's type, and the function that makes a value of one, in the implementation of `HasOwner`.
    fn owner(&self, library: &TokenStream) -> TokenStream {
        let value_type = self.value_type;
        quote! {
            type Owner = #value_type;

            fn owner_value(
                __owner: &#value_type,
                _: &#library::FieldDefinition,
                _: #library::Backend,
            ) -> #library::FieldValue {
                #library::FieldValue::new(__owner)
            }
        }
    }
}
