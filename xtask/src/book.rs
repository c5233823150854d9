//! Makes the book out of `docs`.

use crate::cargo;
use crate::tools::{self, succeed};

pub(crate) fn run() -> Result<(), String> {
    let program = tools::program("mdbook")?;
    let mut build = std::process::Command::new(program);
    build.args(["build", "docs"]).current_dir(cargo::root());
    succeed(&mut build)?;
    println!("the book: {}", cargo::root().join("target/book/index.html").display());
    println!("its examples:");
    succeed(&mut cargo::command(&["test", "--package", "cloakroom-book", "--all-features"]))
}
