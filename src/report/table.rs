//! Tables with aligned columns.

use console::{Alignment, measure_text_width, pad_str};

/// Rows of cells as aligned columns, with two spaces between them and no trailing blanks. The first row is the header.
///
/// Widths are those on a terminal: colors have none. Every line ends with a newline.
pub fn table(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|cell| measure_text_width(cell)).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns).map(width).collect();
    rows.iter()
        .map(|row| {
            let cells: Vec<_> = row.iter().zip(&widths).map(|(cell, &width)| pad_str(cell, width, Alignment::Left, None)).collect();
            format!("{}\n", cells.join("  ").trim_end())
        })
        .collect()
}

/// A row for [`table`] from values that implement `Display`.
macro_rules! row {
    ($($cell:expr),* $(,)?) => { vec![$($cell.to_string()),*] };
}

pub(crate) use row;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_and_lines_end_where_their_text_does() {
        let rows = [
            row!["name", "role", "ready"],
            row!["twilightsparkle", "control-plane", "yes"],
            row!["überpony", console::style("worker").red().force_styling(true), ""],
        ];
        insta::assert_snapshot!(console::strip_ansi_codes(&table(&rows)), @r"
        name             role           ready
        twilightsparkle  control-plane  yes
        überpony         worker
        ");
    }
}
