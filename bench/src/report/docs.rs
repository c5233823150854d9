//! The page about performance: its text is written by hand, its tables by a run.

use crate::failure::Outcome;

const BEGIN: &str = "<!-- What follows is written by `cargo xtask bench --docs`. -->\n";
const END: &str = "<!-- End of what is written by `cargo xtask bench --docs`. -->\n";

/// Returns the page with these tables in place of those between the marks.
pub fn with_tables(page: &str, tables: &str) -> Outcome<String> {
    let missing = || format!("the page lacks its marks: {BEGIN}and {END}");
    let (before, rest) = page.split_once(BEGIN).ok_or_else(missing)?;
    let (_, after) = rest.split_once(END).ok_or_else(missing)?;
    Ok(format!("{before}{BEGIN}\n{}\n\n{END}{after}", tables.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_replaced_and_the_text_around_them_stays() {
        let page = format!("# Title\n\n{BEGIN}old tables\n{END}\nThe end.\n");
        let once = with_tables(&page, "new tables\n").unwrap();
        assert_eq!(once, format!("# Title\n\n{BEGIN}\nnew tables\n\n{END}\nThe end.\n"));
        assert_eq!(with_tables(&once, "new tables\n").unwrap(), once);
    }

    #[test]
    fn a_page_without_marks_is_left_alone() {
        assert!(with_tables("# Title\n", "tables").is_err());
        assert!(with_tables(&format!("{END}{BEGIN}"), "tables").is_err());
    }
}
