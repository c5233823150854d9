//! Names of the user's own do not get into the expansion's way.

#![no_implicit_prelude]
#![allow(dead_code, non_upper_case_globals)]

mod std {}
mod cloakroom {}

struct Vec;
struct Result;
struct Ok;
type String = ::std::string::String;
static row: i32 = 0;

// The type's name and the fields' come from different places.
macro_rules! table {
    ($name:ident { $($field:ident: $ty:ty),* }) => {
        #[derive(::std::clone::Clone, ::cloakroom::SessionTable)]
        #[session(table = "from_a_macro")]
        struct $name {
            $($field: $ty,)*
            r#type: String,
            own: ::std::option::Option<i32>,
        }
    };
}

table!(FromMacro { __row: String, index: ::std::option::Option<String> });

macro_rules! scopes {
    ($name:ident { $($scope:ident),* }) => {
        #[derive(::std::clone::Clone, ::cloakroom::Scope)]
        enum $name {
            $($scope,)*
            r#Vec,
        }
    };
}

scopes!(Permission { String, Name, Scope });

#[derive(::std::clone::Clone, ::cloakroom::SessionTable)]
#[session(table = "scoped")]
struct Scoped {
    #[session(scopes)]
    own: ::std::option::Option<::cloakroom::Scopes<Permission>>,
}

#[::core::prelude::v1::test]
fn names_of_the_users_own_do_not_get_in_the_way() {
    let _: ::cloakroom::Column<FromMacro, String> = FromMacro::INDEX;
    let _: ::cloakroom::Column<FromMacro, String> = FromMacro::TYPE;
    let _: ::cloakroom::Column<FromMacro, i32> = FromMacro::OWN;
    let _: ::cloakroom::Column<Scoped, ::cloakroom::Scopes<Permission>> = Scoped::OWN;
    let names: [&str; 4] = ::std::array::from_fn(|place| {
        let scope: &Permission = &<Permission as ::cloakroom::Scope>::ALL[place];
        ::cloakroom::Scope::name(scope)
    });
    ::std::assert_eq!(names, ["string", "name", "scope", "vec"]);
}
