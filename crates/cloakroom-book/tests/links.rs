//! The pages lead to each other, and the book has all of them.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The pages of a folder.
fn in_folder(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.filter(|path| path.extension().is_some_and(|extension| extension == "md")).collect()
}

/// The pages that people read: those of the book, and those beside it.
fn pages() -> Vec<PathBuf> {
    let mut pages = in_folder(&root());
    pages.extend(in_folder(&root().join("docs")));
    let crates = fs::read_dir(root().join("crates")).unwrap();
    pages.extend(crates.flat_map(|entry| in_folder(&entry.unwrap().path())));
    pages
}

/// The text without what stands in fences and in backticks.
fn prose(text: &str) -> String {
    let mut is_code = false;
    let mut prose = String::new();
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            is_code = !is_code;
        } else if !is_code {
            prose.extend(line.split('`').step_by(2));
            prose.push('\n');
        }
    }
    prose
}

/// Where the links of a page lead to.
fn links(prose: &str) -> impl Iterator<Item = &str> {
    prose.split("](").skip(1).filter_map(|rest| rest.split([')', ' ']).next())
}

/// What a heading is called in a link: GitHub and mdBook agree on it.
fn anchor(heading: &str) -> String {
    let kept = heading.chars().filter(|char| char.is_alphanumeric() || " -_".contains(*char));
    kept.collect::<String>().trim().to_lowercase().replace(' ', "-")
}

fn anchors(page: &Path) -> BTreeSet<String> {
    let text = fs::read_to_string(page).unwrap();
    let headings = text.lines().filter(|line| line.starts_with('#'));
    headings.map(|line| anchor(line.trim_start_matches('#').trim())).collect()
}

#[test]
fn every_link_leads_to_a_file_and_to_a_heading_that_exist() {
    let mut seen = 0;
    for page in pages() {
        let text = fs::read_to_string(&page).unwrap();
        for link in links(&prose(&text)).filter(|link| !link.contains("://") && !link.starts_with("mailto:"))
        {
            seen += 1;
            let (file, heading) = link.split_once('#').unwrap_or((link, ""));
            // A crate's README may be a link to the one above.
            let real = page.canonicalize().unwrap();
            let target = if file.is_empty() { real.clone() } else { real.parent().unwrap().join(file) };
            assert!(target.exists(), "{}: {link}: there is no such file", page.display());
            let leaves_book = real.parent().unwrap().ends_with("docs") && file.starts_with("..");
            assert!(!leaves_book, "{}: {link}: the book has only what is in docs", page.display());
            if !heading.is_empty() && target.extension().is_some_and(|extension| extension == "md") {
                let known = anchors(&target);
                assert!(known.contains(heading), "{}: {link}: there are {known:?}", page.display());
            }
        }
    }
    assert!(seen > 100, "{seen} links");
}

#[test]
fn the_book_has_every_page_of_the_folder_once_and_each_is_compiled() {
    let folder = root().join("docs");
    let summary = fs::read_to_string(folder.join("SUMMARY.md")).unwrap();
    let listed: Vec<_> = links(&summary).collect();
    let of_book: BTreeSet<_> = listed.iter().copied().collect();
    assert_eq!(listed.len(), of_book.len(), "a page stands twice: {listed:?}");
    let mut there = BTreeSet::new();
    for page in in_folder(&folder) {
        let name = page.file_name().unwrap().to_str().unwrap().to_owned();
        if name != "SUMMARY.md" {
            there.insert(name);
        }
    }
    assert_eq!(of_book, there.iter().map(String::as_str).collect());
    assert_eq!(of_book, cloakroom_book::PAGES.iter().copied().collect());
}
