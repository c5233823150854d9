//! Finds the processes that a process has started.

use std::fs;
use std::process::Command;

/// Returns the direct children of `parent`, from `/proc` or, on systems without it, from `ps`.
pub(super) fn of(parent: u32) -> Vec<u32> {
    from_proc(parent).unwrap_or_else(|| from_ps(parent))
}

fn from_proc(parent: u32) -> Option<Vec<u32>> {
    // Without this file it is not a /proc like Linux's.
    fs::metadata("/proc/self/stat").ok()?;
    let processes = fs::read_dir("/proc").ok()?;
    let children = processes.flatten().filter_map(|process| {
        let pid = process.file_name().to_str()?.parse().ok()?;
        let stat = fs::read_to_string(process.path().join("stat")).ok()?;
        (parent_in_stat(&stat)? == parent).then_some(pid)
    });
    Some(children.collect())
}

/// Parses `pid (name) state ppid …`. The name may hold anything, including blanks and brackets.
fn parent_in_stat(stat: &str) -> Option<u32> {
    let (_, rest) = stat.rsplit_once(')')?;
    rest.split_whitespace().nth(1)?.parse().ok()
}

fn from_ps(parent: u32) -> Vec<u32> {
    let Ok(output) = Command::new("ps").args(["-A", "-o", "pid=,ppid="]).output() else {
        return Vec::new();
    };
    String::from_utf8_lossy(&output.stdout)
        .lines()
        .filter_map(|line| {
            let mut fields = line.split_whitespace();
            let pid = fields.next()?.parse().ok()?;
            (fields.next()?.parse() == Ok(parent)).then_some(pid)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_child_is_found() {
        let mut child = Command::new("sleep").arg("60").spawn().expect("sleep");
        assert!(of(std::process::id()).contains(&child.id()));
        child.kill().expect("it is ours");
        child.wait().expect("it is ours");
    }

    #[test]
    fn a_name_with_brackets_does_not_mislead() {
        assert_eq!(parent_in_stat("12 (a) b) 3 (c) S 7 12 12 0"), Some(7));
    }
}
