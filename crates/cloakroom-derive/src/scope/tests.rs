use quote::quote;
use syn::parse_str;

use super::case::Case;
use super::derive;

/// Returns what the derive writes for this enum.
fn expansion(input: &str) -> String {
    derive(&parse_str(input).expect("an enum, a struct or a union")).to_string()
}

/// There is one error, and it says what is wrong or what to write.
#[track_caller]
fn assert_error(input: &str, remedy: &str) {
    let expanded = expansion(input);
    let errors = expanded.matches("compile_error").count();
    let shown = format!("{remedy:?}");
    assert!(
        errors == 1 && expanded.contains(shown.trim_matches('"')),
        "{input} is not answered with {remedy:?}:\n{expanded}"
    );
}

#[test]
fn an_enum_expands_to_its_scopes() {
    let expanded = expansion(
        r#"
        #[scope(crate = own::cloakroom)]
        enum Permission {
            ReadAll,
            #[scope(rename = "write:all")]
            r#Write = 7,
        }
        "#,
    );
    let expected = quote! {
        #[automatically_derived]
        impl own::cloakroom::Scope for Permission {
            const ALL: &'static [Self] = &[Self::ReadAll, Self::r#Write];

            fn name(&self) -> &'static str {
                match self {
                    Self::ReadAll => "read_all",
                    Self::r#Write => "write:all"
                }
            }
        }
    };
    assert_eq!(expanded, expected.to_string());
}

#[test]
fn a_name_is_in_the_style_that_serde_calls_so() {
    for (style, name) in [
        ("lowercase", "readall2fa"),
        ("UPPERCASE", "READALL2FA"),
        ("PascalCase", "ReadAll2FA"),
        ("camelCase", "readAll2FA"),
        ("snake_case", "read_all2_f_a"),
        ("SCREAMING_SNAKE_CASE", "READ_ALL2_F_A"),
        ("kebab-case", "read-all2-f-a"),
        ("SCREAMING-KEBAB-CASE", "READ-ALL2-F-A"),
    ] {
        assert_eq!(Case::from_name(style).unwrap().of_variant("ReadAll2FA"), name, "{style}");
        let expanded = expansion(&format!("#[scope(rename_all = \"{style}\")] enum P {{ ReadAll2FA }}"));
        assert!(expanded.contains(&format!("{name:?}")), "{expanded}");
    }
    assert_eq!(Case::names().count(), 8);
    assert_eq!(Case::Kebab.of_variant("Read_all"), "read-all");
}

#[test]
fn every_mistake_is_answered() {
    for (input, remedy) in [
        ("struct P;", "write `enum P { Read, Write }`"),
        ("union P { a: u8 }", "write `enum P { Read, Write }`"),
        ("enum P {}", "write `enum P { Read, Write }`"),
        ("enum P<const N: usize> { Read }", "takes no parameters"),
        ("enum P { Read(u8) }", "write `Read` without data"),
        ("enum P { Read { id: i64 } }", "write `Read` without data"),
        ("enum P { Read, #[scope(rename = \"read\")] Write }", "the scope `Read` is called \"read\" too"),
        (
            "#[scope(rename_all = \"lowercase\")] enum P { READ, Read }",
            "the scope `READ` is called \"read\" too",
        ),
        ("enum P { #[scope(rename = \"\")] Read }", "it is empty"),
        ("enum P { #[scope(rename = \"a b\")] Read }", "a space stands between two scopes"),
        ("enum P { #[scope(rename = \"a\\\\b\")] Read }", "RFC 6749 allows no '\\\\'"),
        ("enum P { #[scope(rename = \"é\")] Read }", "RFC 6749 allows no 'é'"),
        ("enum P { Été }", "by `#[scope(rename = \"…\")]`"),
        ("enum P { #[scope(rename = 1)] Read }", "`rename` takes a string"),
        ("enum P { #[scope(rename = \"a\", rename = \"b\")] Read }", "`rename` is given twice"),
        ("enum P { #[scope(rename_all = \"lowercase\")] Read }", "belongs on the enum"),
        ("enum P { #[scope(name = \"a\")] Read }", "a scope takes `rename`"),
        ("#[scope(rename = \"a\")] enum P { Read }", "belongs on a variant"),
        ("#[scope(rename_all = \"Snake\")] enum P { Read }", "`rename_all` knows `\"lowercase\"`"),
        ("#[scope(prefix = \"a\")] enum P { Read }", "an enum takes `rename_all`, `crate`"),
        ("#[scope] enum P { Read }", "write `#[scope(…)]`"),
    ] {
        assert_error(input, remedy);
    }
}

#[test]
fn names_that_differ_in_case_alone_are_two() {
    let expanded = expansion("enum P { Read, #[scope(rename = \"READ\")] Shout }");
    assert!(!expanded.contains("compile_error"), "{expanded}");
}
