use cloakroom::{Scope, Scopes};

#[derive(Clone, Scope)]
struct NoEnum;

#[derive(Clone, Scope)]
enum WithoutScopes {}

#[derive(Clone, Scope)]
enum WithData {
    Read,
    Write(i64),
    Delete { id: i64 },
}

#[derive(Clone, Scope)]
enum WithParameters<'a> {
    Read(&'a str),
}

#[derive(Clone, Scope)]
enum OfOneName {
    Read,
    #[scope(rename = "read")]
    Other,
}

#[derive(Clone, Scope)]
enum OutsideTheSyntax {
    #[scope(rename = "read all")]
    ReadAll,
    #[scope(rename = "\"quoted\"")]
    Quoted,
    Été,
    #[scope(rename = "")]
    Nothing,
}

#[derive(Clone, Scope)]
#[scope(rename_all = "Snake", rename = "x")]
enum OddAttributes {
    #[scope(rename_all = "kebab-case")]
    Read,
    #[scope(name = "write")]
    Write,
    #[scope(rename = write)]
    Other,
    #[scope]
    Last,
}

#[derive(Scope)]
enum NotClone {
    Read,
}

enum NotDerived {
    Read,
}

// Its trait is there all the same, so that this is no further error.
fn of_one_name(scopes: Scopes<OfOneName>) -> bool {
    scopes.contains(OfOneName::Read)
}

fn of_another_enum(scopes: Scopes<WithData>, others: Scopes<String>) {
    let _ = scopes.contains(OfOneName::Read);
    let _ = others.contains("read");
    let _ = scopes.contains("read");
}

fn not_derived() {
    let _ = Scopes::<NotDerived>::new();
}

fn main() {}
