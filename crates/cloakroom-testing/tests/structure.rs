//! No file of these crates leads back to itself along the paths that it names. The rooms of the core have a test of
//! their own, in the core's `tests/structure.rs`.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// Crates, and how many files each has at least: a test that finds none would always pass.
const CRATES: [(&str, usize); 3] =
    [("cloakroom-web", 40), ("cloakroom-derive", 8), ("cloakroom-testing", 15)];

/// A module by its path from the root of its crate, which is empty. Each is a file.
type Module = Vec<String>;

/// Each module, and the text of its file.
type Modules = BTreeMap<Module, String>;

/// Which module names which.
type Arrows = BTreeSet<(Module, Module)>;

fn modules(directory: &Path, above: &[String], modules: &mut Modules) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let own = [above, std::slice::from_ref(&name)].concat();
        if path.is_dir() {
            self::modules(&path, &own, modules);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let own = if ["lib", "main", "mod"].contains(&name.as_str()) { above.to_vec() } else { own };
            modules.insert(own, code(&fs::read_to_string(&path).unwrap()));
        }
    }
}

/// The text without its comments, and without the unit tests that end it.
fn code(text: &str) -> String {
    let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
    text.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}

/// The names of the files that a file declares as its modules.
fn children(text: &str) -> impl Iterator<Item = &str> {
    text.lines().filter_map(|line| {
        let (before, name) = line.trim().strip_suffix(';')?.rsplit_once(' ')?;
        (before == "mod" || before.ends_with(" mod")).then_some(name)
    })
}

/// Reads the path that `text` begins with, or each path of a group such as `a::{b, c::{d, e}}`. Returns the rest, too.
fn paths(text: &str) -> (Vec<Vec<&str>>, &str) {
    let mut path = Vec::new();
    let mut rest = text;
    loop {
        if let Some(group) = rest.strip_prefix('{') {
            let mut all = Vec::new();
            rest = group.trim_start();
            while !rest.is_empty() && !rest.starts_with('}') {
                let (inner, after) = paths(rest);
                all.extend(inner.into_iter().map(|inner| [&path[..], &inner].concat()));
                let end = after.find([',', '}']).unwrap_or(after.len());
                rest = after[end..].trim_start_matches(',').trim_start();
            }
            return (all, rest.strip_prefix('}').unwrap_or(rest));
        }
        let end = rest.find(|char: char| !is_of_name(char)).unwrap_or(rest.len());
        path.push(&rest[..end]);
        match rest[end..].strip_prefix("::") {
            Some(after) => rest = after,
            None => return (vec![path], &rest[end..]),
        }
    }
}

fn is_of_name(char: char) -> bool {
    char.is_alphanumeric() || char == '_'
}

/// Every path in `text` that begins with one of these names, and with nothing before it.
fn paths_from<'t>(text: &'t str, first: &str) -> Vec<Vec<&'t str>> {
    let start = format!("{first}::");
    let found = text.match_indices(&start).filter(|(at, _)| {
        !text[..*at].ends_with(|char: char| is_of_name(char) || char == ':' || char == '$')
    });
    found.flat_map(|(at, _)| paths(&text[at..]).0).collect()
}

/// The module that a path in `own` leads to.
fn resolved(own: &Module, path: &[&str], modules: &Modules) -> Module {
    let mut place = own.clone();
    for (at, name) in path.iter().enumerate() {
        match *name {
            "crate" if at == 0 => place.clear(),
            "self" => {}
            "super" => drop(place.pop()),
            name => {
                place.push(name.to_owned());
                if !modules.contains_key(&place) {
                    place.pop();
                    break;
                }
            }
        }
    }
    place
}

fn arrows(modules: &Modules) -> Arrows {
    let mut arrows = Arrows::new();
    for (own, text) in modules {
        for first in ["crate", "self", "super"].into_iter().chain(children(text)) {
            let places = paths_from(text, first).into_iter().map(|path| resolved(own, &path, modules));
            arrows.extend(places.filter(|place| place != own).map(|place| (own.clone(), place)));
        }
    }
    arrows
}

/// What is left if every arrow is taken away that nothing leads to, or that leads to nothing further.
fn circles(arrows: &Arrows) -> Arrows {
    let goes_on = |arrow: &(Module, Module)| {
        arrows.iter().any(|(from, _)| *from == arrow.1) && arrows.iter().any(|(_, to)| *to == arrow.0)
    };
    let kept: Arrows = arrows.iter().filter(|arrow| goes_on(arrow)).cloned().collect();
    if kept.len() == arrows.len() { kept } else { circles(&kept) }
}

fn shown(arrows: &Arrows) -> Vec<String> {
    arrows.iter().map(|(from, to)| format!("{} → {}", from.join("::"), to.join("::"))).collect()
}

#[test]
fn no_file_leads_back_to_itself() {
    for (name, files) in CRATES {
        let mut found = Modules::new();
        let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(name).join("src");
        modules(&sources, &[], &mut found);
        assert!(found.len() >= files, "{name}: {} files were found", found.len());
        let arrows = arrows(&found);
        assert!(arrows.len() >= files, "{name}: {} arrows were found", arrows.len());
        let circles = shown(&circles(&arrows));
        assert!(circles.is_empty(), "{name}: {circles:#?}");
    }
}

#[test]
fn a_circle_is_found_however_it_is_written() {
    let files = |a: &str, b: &str| {
        let texts = [("", "mod a;\nmod b;\npub use a::A;"), ("a", a), ("b", b), ("b::c", "use super::B;")];
        let module =
            |path: &str| path.split("::").filter(|name| !name.is_empty()).map(str::to_owned).collect();
        texts.into_iter().map(|(path, text)| (module(path), code(text))).collect::<Modules>()
    };
    let found = |a, b| shown(&circles(&arrows(&files(a, b))));
    let none = [""; 0];
    assert_eq!(found("use crate::b::B;", "struct B;"), none);
    assert_eq!(found("use crate::b::B;\n// super::a\n", "use std::fmt;"), none);
    assert_eq!(found("use crate::b::B;", "fn b() { other::super::a(); $crate::a::b() }"), none);
    for (a, b) in [
        ("use crate::b::B;", "use crate::a::A;"),
        ("use super::b::B;", "fn b() -> super::a::A {}"),
        ("use crate::{b::{B, D as E}, b::F};", "use crate::{\n    b::F,\n    a::A,\n};"),
        ("use crate::b::c::C;", "use crate::a::*;"),
    ] {
        let expected: &[&str] = if a.contains("c::C") {
            &["a → b::c", "b → a", "b::c → b"]
        } else {
            &["a → b", "b → a"]
        };
        assert_eq!(found(a, b), expected, "{a} {b}");
    }
    // A parent that declares a module knows it by its name alone, and one that is named as an item leads to the root.
    assert_eq!(found("", "mod c;\nfn b() { c::C }"), ["b → b::c", "b::c → b"]);
    assert_eq!(found("use crate::A;", ""), [" → a", "a → "]);
}

/// Both frameworks have the same rules because the rules do not know which one they are for.
#[test]
fn of_the_web_crate_only_the_room_of_a_framework_knows_it() {
    let mut found = Modules::new();
    modules(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../cloakroom-web/src"), &[], &mut found);
    let rooms = [("for_axum", &["axum", "tower_layer", "tower_service"][..]), ("for_actix", &["actix_web"])];
    for (room, frameworks) in rooms {
        for framework in frameworks {
            let knows = found.iter().filter(|(_, text)| !paths_from(text, framework).is_empty());
            let knows: Vec<_> = knows.map(|(module, _)| module.join("::")).collect();
            assert!(!knows.is_empty(), "{framework} is looked for under its name");
            let elsewhere: Vec<_> = knows.iter().filter(|module| !module.starts_with(room)).collect();
            assert!(elsewhere.is_empty(), "{framework}: {elsewhere:?}");
        }
    }
}
