//! A Markdown table that is readable as it stands.

/// Rows of cells below a heading. Numbers stand to the right: every column but the first, and but
/// those whose heading starts with `<`.
pub(crate) struct Table {
    rows: Vec<Vec<String>>,
    left: Vec<bool>,
}

impl Table {
    /// A table with these columns.
    pub(crate) fn new(heading: &[&str]) -> Self {
        let left = heading.iter().enumerate().map(|(i, cell)| i == 0 || cell.starts_with('<'));
        let cells = heading.iter().map(|cell| cell.trim_start_matches('<').to_owned());
        Self { left: left.collect(), rows: vec![cells.collect()] }
    }

    /// Adds a row with as many cells.
    pub(crate) fn row(&mut self, cells: Vec<String>) {
        self.rows.push(cells);
    }

    /// Returns the table, each column as wide as its widest cell.
    pub(crate) fn render(&self) -> String {
        let columns = self.rows[0].len();
        let width = |column: usize| {
            let cells = self.rows.iter().filter_map(|row| row.get(column));
            cells.map(|cell| cell.chars().count()).max().unwrap_or(0).max(3)
        };
        let widths: Vec<_> = (0..columns).map(width).collect();
        let mut text = String::new();
        for (i, row) in self.rows.iter().enumerate() {
            text.push('|');
            for (column, width) in widths.iter().copied().enumerate() {
                let cell = row.get(column).map_or("", String::as_str);
                text.push_str(&match self.left[column] {
                    true => format!(" {cell:<width$} |"),
                    false => format!(" {cell:>width$} |"),
                });
            }
            text.push('\n');
            if i == 0 {
                text.push('|');
                for (column, width) in widths.iter().copied().enumerate() {
                    text.push_str(&match self.left[column] {
                        true => format!(" {} |", "-".repeat(width)),
                        false => format!(" {}: |", "-".repeat(width - 1)),
                    });
                }
                text.push('\n');
            }
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up() {
        let mut table = Table::new(&["peer", "x", "<which"]);
        table.row(vec!["a".into(), "1.25".into(), "b".into()]);
        let expected =
            "| peer |    x | which |\n| ---- | ---: | ----- |\n| a    | 1.25 | b     |\n";
        assert_eq!(table.render(), expected);
    }
}
