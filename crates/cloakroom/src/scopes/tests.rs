use std::collections::{BTreeSet, HashSet};

use super::text::is_scope;
use super::{AnyScope, Scope, Scopes};
use cloakroom_derive::Scope;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Scope)]
#[scope(crate = crate)]
enum Permission {
    Write,
    Read,
    #[scope(rename = "read:all")]
    ReadAll,
}

use Permission::{Read, ReadAll, Write};

/// An implementation by hand, whose names nothing has checked.
#[derive(Clone)]
struct Unchecked(&'static str);

impl Scope for Unchecked {
    const ALL: &'static [Self] = &[Unchecked("read admin"), Unchecked("read")];

    fn name(&self) -> &'static str {
        self.0
    }
}

fn parsed<E: AnyScope>(text: &str) -> Scopes<E> {
    text.parse().unwrap()
}

fn stored(text: &str) -> Scopes<Permission> {
    Scopes::from_stored(text)
}

/// Every character that a scope may have, as RFC 6749 lists them.
fn allowed() -> Vec<char> {
    let codes = [0x21].into_iter().chain(0x23..=0x5b).chain(0x5d..=0x7e);
    codes.map(|code| char::from_u32(code).unwrap()).collect()
}

#[test]
fn a_name_has_the_characters_that_the_rfc_lists_and_no_others() {
    let allowed = allowed();
    for code in 0..=0x2ff {
        let character = char::from_u32(code).unwrap();
        let is_allowed = allowed.contains(&character);
        assert_eq!(is_scope(&character.to_string()), is_allowed, "{character:?}");
        assert_eq!(Scopes::<String>::from_names([format!("a{character}b")]).is_ok(), is_allowed);
    }
    assert!(!is_scope(""));
}

#[test]
fn a_set_is_written_sorted_and_each_scope_once() {
    let scopes = Scopes::from([Write, ReadAll, Read, Write]);
    assert_eq!(scopes.to_string(), "read read:all write");
    assert_eq!(scopes.iter().collect::<Vec<_>>(), [Read, ReadAll, Write]);
    assert_eq!(format!("{scopes:?}"), "Scopes(\"read read:all write\")");
    assert_eq!(Scopes::<Permission>::new().to_string(), "");
    assert_eq!(Scopes::<Permission>::all(), scopes);
    assert_eq!(parsed::<String>("b A a Z").to_string(), "A Z a b");
}

#[test]
fn what_is_no_set_of_known_scopes_is_an_error_that_says_why() {
    for (text, problem) in [
        (" ", "one space stands between"),
        (" read", "one space stands between"),
        ("read ", "one space stands between"),
        ("read  write", "one space stands between"),
        ("read\twrite", "no '\\t'"),
        ("read \"all\"", "no '\"'"),
        ("a\\b", "no '\\\\'"),
        ("lire:é", "no 'é'"),
        ("read delete", "no scope delete"),
        ("Read", "no scope Read"),
        ("rea", "no scope rea"),
    ] {
        let error = text.parse::<Scopes<Permission>>().unwrap_err().to_string();
        assert!(error.contains(problem), "{text:?}: {error}");
    }
    let long = "x".repeat(100_000).parse::<Scopes<Permission>>().unwrap_err().to_string();
    assert!(long.len() < 200, "{}", long.len());
    assert_eq!(parsed::<Permission>("write read write"), Scopes::from([Read, Write]));
    assert!(parsed::<Permission>("").is_empty());
    let by_name = Scopes::<Permission>::from_names(["read:all", "read"]).unwrap();
    assert_eq!(by_name, Scopes::from([Read, ReadAll]));
    let error = Scopes::<Permission>::from_names(["read write"]).unwrap_err();
    assert_eq!(error.to_string(), "a scope's name has no space");
}

#[test]
fn random_names_are_read_as_they_were_written() {
    let allowed = allowed();
    for seed in 0..500 {
        let mut random = fastrand::Rng::with_seed(seed);
        let mut name = || -> String {
            let length = random.usize(1..12);
            (0..length).map(|_| *random.choice(&allowed).unwrap()).collect()
        };
        let names: Vec<String> = (0..seed % 9).map(|_| name()).collect();
        let expected: BTreeSet<String> = names.iter().cloned().collect();
        let text = expected.iter().cloned().collect::<Vec<_>>().join(" ");

        let set = Scopes::<String>::from_names(&names).unwrap();
        assert_eq!(set.to_string(), text, "seed {seed}");
        assert_eq!(set.iter().collect::<BTreeSet<_>>(), expected, "seed {seed}");
        for read in [parsed(&text), parsed(&names.join(" ")), Scopes::from_stored(&text)] {
            assert_eq!(read, set, "seed {seed}");
        }
        // However the text is written, it is read as the names in it.
        let odd = format!("  {} {}  ", names.join("   "), names.join(" "));
        assert_eq!(Scopes::<String>::from_stored(&odd), set, "seed {seed}");
        let json = serde_json::to_string(&set).unwrap();
        assert_eq!(json, serde_json::to_string(&text).unwrap(), "seed {seed}");
        assert_eq!(serde_json::from_str::<Scopes<String>>(&json).unwrap(), set, "seed {seed}");
        // Nothing but whole names is in it.
        for name in &names {
            assert!(set.contains(name), "seed {seed}");
            let (part, more) = (&name[..name.len() - 1], format!("{name}x"));
            assert_eq!(set.contains(part), expected.contains(part), "seed {seed}");
            assert_eq!(set.contains(&more), expected.contains(&more), "seed {seed}");
        }
    }
}

#[test]
fn random_text_of_a_row_is_kept_and_grants_no_more_than_its_names() {
    let characters: Vec<char> = "read wit:l\u{0}\t\n\"\\é   ".chars().collect();
    for seed in 0..2000 {
        let mut random = fastrand::Rng::with_seed(seed);
        let length = random.usize(0..30);
        let text: String = (0..length).map(|_| *random.choice(&characters).unwrap()).collect();
        let names: BTreeSet<&str> = text.split(' ').filter(|name| !name.is_empty()).collect();
        let set = stored(&text);
        let written = names.iter().copied().collect::<Vec<_>>().join(" ");
        assert_eq!(set.to_string(), written, "{text:?}");
        assert_eq!(stored(&written), set, "{text:?}");
        for scope in Permission::ALL {
            let is_named = names.contains(scope.name());
            assert_eq!(set.contains(scope), is_named, "{text:?}");
            assert_eq!(set.iter().any(|known| known == *scope), is_named, "{text:?}");
        }
        let known = set.iter().count();
        assert_eq!(known + set.unknown().count(), names.len(), "{text:?}");
        assert_eq!(set.narrowed_to(&set).iter().count(), known, "{text:?}");
        assert_eq!(set.narrowed_to(&set).unknown().count(), 0, "{text:?}");
    }
}

#[test]
fn an_unknown_scope_is_kept_and_never_granted() {
    let mut scopes = stored("read admin:v2 \"odd\" read");
    assert_eq!(scopes.unknown().collect::<Vec<_>>(), ["\"odd\"", "admin:v2"]);
    assert_eq!(scopes.iter().collect::<Vec<_>>(), [Read]);
    assert!(scopes.insert(Write) && !scopes.insert(Read) && scopes.remove(Read) && !scopes.remove(ReadAll));
    assert_eq!(scopes.to_string(), "\"odd\" admin:v2 write");

    let same = scopes.clone();
    assert!(!scopes.is_subset(&same) && !same.is_superset(&scopes), "an unknown scope is in no other set");
    assert_eq!(scopes.narrowed_to(&same), Scopes::from([Write]));
    let excess = scopes.clone().within(&same).unwrap_err();
    assert_eq!(excess.excess().collect::<Vec<_>>(), ["\"odd\"", "admin:v2"]);
    assert_eq!(excess.to_string(), "more scopes than may be given: \\\"odd\\\", admin:v2");
    // Only what is needed counts.
    assert!(Scopes::from([Write]).is_subset(&scopes) && scopes.is_superset(&Scopes::from([Write])));

    let only_unknown = stored("admin:v2");
    assert!(!only_unknown.is_empty() && only_unknown.iter().next().is_none());
    assert_ne!(only_unknown, Scopes::new());
    // Text in the column that is no scope is not granted under its own name either.
    let odd = Scopes::<String>::from_stored("a\tb \"c\" d");
    assert!(!odd.contains("a\tb") && !odd.contains("\"c\"") && odd.contains("d"));
    assert_eq!(odd.iter().collect::<Vec<_>>(), ["d"]);
    assert_eq!(odd.unknown().collect::<Vec<_>>(), ["\"c\"", "a\tb"]);
}

#[test]
fn text_from_elsewhere_brings_no_unknown_scope_in() {
    assert!("read admin:v2".parse::<Scopes<Permission>>().is_err());
    let error = serde_json::from_str::<Scopes<Permission>>("\"read admin:v2\"").unwrap_err().to_string();
    assert!(error.contains("no scope admin:v2"), "{error}");
    for json in ["[\"read\"]", "null", "1", "\"read  write\""] {
        assert!(serde_json::from_str::<Scopes<Permission>>(json).is_err(), "{json}");
    }
    assert_eq!(serde_json::to_string(&stored("read admin:v2")).unwrap(), "\"admin:v2 read\"");
    assert_eq!(serde_json::from_str::<Scopes<Permission>>("\"\"").unwrap(), Scopes::new());
}

#[test]
fn a_key_gets_no_more_than_its_maker_has() {
    let maker = Scopes::from([Read, Write]);
    let asked = Scopes::from([Read, ReadAll]);
    assert_eq!(asked.narrowed_to(&maker), Scopes::from([Read]));
    assert_eq!(asked.within(&maker).unwrap_err().excess().collect::<Vec<_>>(), ["read:all"]);
    for less in [Scopes::new(), Scopes::from([Read]), maker.clone()] {
        assert_eq!(less.clone().within(&maker), Ok(less.clone()));
        assert_eq!(less.narrowed_to(&maker), less);
        assert!(less.is_subset(&maker));
    }
    assert!(Scopes::from([Read]).within(&Scopes::new()).is_err());
}

#[test]
fn a_name_with_a_space_does_not_become_two_scopes() {
    let mut scopes = Scopes::<String>::new();
    assert!(scopes.insert("read admin").is_err() && scopes.insert("").is_err());
    assert_eq!(scopes.insert("read"), Ok(true));
    assert_eq!(scopes.insert("read"), Ok(false));
    assert!(!parsed::<String>("read admin").contains("read admin"));

    let scopes = Scopes::<Unchecked>::all();
    assert_eq!(scopes.to_string(), "read");
    assert!(!Scopes::<Unchecked>::from_stored("admin read").contains(Unchecked("read admin")));
}

#[test]
fn sets_do_what_sets_do() {
    let (one, other) = (stored("read write x y"), stored("read:all write y z"));
    assert_eq!((&one | &other).to_string(), "read read:all write x y z");
    assert_eq!((&one & &other).to_string(), "write y");
    assert_eq!((&one - &other).to_string(), "read x");
    assert_eq!(one.clone() | other.clone(), one.union(&other));
    assert_eq!(one.clone() & other.clone(), one.intersection(&other));
    assert_eq!(one.clone() - other.clone(), one.difference(&other));
    let mut changed = one.clone();
    changed |= &other;
    changed -= stored("y");
    changed &= stored("read x y");
    assert_eq!(changed.to_string(), "read x");
    changed.extend([Write]);
    assert_eq!(changed.to_string(), "read write x");
    assert!(one.is_disjoint(&stored("z")) && !one.is_disjoint(&stored("y")));
    assert_eq!(Permission::ALL.iter().copied().collect::<Scopes<_>>().iter().count(), 3);
    let mut granted = Vec::new();
    for scope in &one {
        granted.push(scope);
    }
    assert_eq!(granted, [Read, Write]);
    assert_eq!(HashSet::from([one.clone(), one, other]).len(), 2);
    assert_eq!(Scopes::<Permission>::default(), Scopes::new());
}
