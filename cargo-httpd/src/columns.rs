//! Rows of cells as columns, for the terminal.

/// Rows below a heading; numbers stand to the right.
pub(crate) struct Columns<const N: usize> {
    rows: Vec<[String; N]>,
}

impl<const N: usize> Columns<N> {
    pub(crate) fn new(heading: [&str; N]) -> Self {
        Self { rows: vec![heading.map(str::to_owned)] }
    }

    pub(crate) fn row(&mut self, cells: [String; N]) {
        self.rows.push(cells);
    }

    /// Returns the rows, each column as wide as its widest cell, behind `indent` spaces.
    pub(crate) fn render(&self, indent: usize) -> String {
        let widths: [usize; N] = std::array::from_fn(|column| {
            self.rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0)
        });
        let is_number = |text: &str| text.starts_with(|c: char| c.is_ascii_digit());
        let right: [bool; N] = std::array::from_fn(|column| {
            self.rows.len() > 1 && self.rows[1..].iter().all(|row| is_number(&row[column]))
        });
        let mut text = String::new();
        for row in &self.rows {
            let mut line = " ".repeat(indent);
            for (column, cell) in row.iter().enumerate() {
                let width = widths[column];
                line += &if right[column] {
                    format!("{cell:>width$}")
                } else {
                    format!("{cell:<width$}")
                };
                line += "  ";
            }
            text += line.trim_end();
            text.push('\n');
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_stand_to_the_right() {
        let mut columns = Columns::new(["state", "pid", "rss"]);
        columns.row(["ready".into(), "7".into(), "12 MiB".into()]);
        columns.row(["draining".into(), "1234".into(), "9 MiB".into()]);
        let expected =
            "  state      pid     rss\n  ready        7  12 MiB\n  draining  1234   9 MiB\n";
        assert_eq!(columns.render(2), expected);
    }
}
