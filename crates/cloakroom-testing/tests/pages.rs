//! What the documentation says of the tests is so.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}

/// The names of all functions in the sources below this folder.
fn functions(folder: &Path, found: &mut BTreeSet<String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            if path.file_name().is_none_or(|name| name != "target") {
                functions(&path, found);
            }
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path).unwrap();
            let names = text.split("fn ").skip(1).filter_map(|rest| rest.split(['(', '<']).next());
            found.extend(names.map(str::to_owned));
        }
    }
}

#[test]
fn each_test_that_the_page_about_asvs_names_exists() {
    let page = fs::read_to_string(root().join("docs/asvs.md")).unwrap();
    let mut known = BTreeSet::new();
    functions(&root().join("crates"), &mut known);
    functions(&root().join("demo"), &mut known);
    let mut rows = 0;
    for line in page.lines().filter(|line| line.starts_with("| ") && line.as_bytes()[2].is_ascii_digit()) {
        rows += 1;
        let cells: Vec<_> = line.split('|').collect();
        assert_eq!(cells.len(), 7, "{line}");
        for name in cells[4].split('`').skip(1).step_by(2) {
            assert!(known.contains(name), "there is no test {name}");
        }
    }
    assert_eq!(rows, 26, "the rows 7.1.1 to 7.6.2, 3.3.1 to 3.3.5, 10.4.5 and 10.4.8");
}
