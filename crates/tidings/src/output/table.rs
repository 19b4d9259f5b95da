//! Tables of text. What others typed cannot steer the terminal it is shown on.

use std::fmt;

const GAP: &str = "  ";

/// Rows under a line of headings.
#[derive(Debug)]
pub(crate) struct Table {
    empty: &'static str,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table with these headings, which says `empty` if it gets no row.
    pub(crate) fn new<const N: usize>(headings: [&str; N], empty: &'static str) -> Self {
        Self {
            empty,
            rows: vec![headings.map(str::to_owned).to_vec()],
        }
    }

    /// Adds a row.
    pub(crate) fn row<const N: usize>(&mut self, cells: [String; N]) {
        let cleaned = cells.into_iter().map(|cell| clean(&cell));
        self.rows.push(cleaned.collect());
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.rows.len() == 1 {
            return f.write_str(self.empty);
        }
        write_aligned(f, &self.rows)
    }
}

/// Names with their values, one a line.
#[derive(Debug, Default)]
pub(crate) struct Fields {
    rows: Vec<Vec<String>>,
}

impl Fields {
    /// Adds a line.
    pub(crate) fn add(&mut self, name: &str, value: impl fmt::Display) {
        self.rows.push(vec![clean(name), clean(&value.to_string())]);
    }

    /// Adds a line if there is something to say.
    pub(crate) fn add_some(&mut self, name: &str, value: &str) {
        if !value.is_empty() {
            self.add(name, value);
        }
    }
}

impl fmt::Display for Fields {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_aligned(f, &self.rows)
    }
}

fn write_aligned(f: &mut fmt::Formatter<'_>, rows: &[Vec<String>]) -> fmt::Result {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        rows.iter()
            .filter_map(|row| row.get(column))
            .map(|cell| cell.chars().count())
            .max()
    };
    let widths: Vec<usize> = (0..columns)
        .map(|column| width(column).unwrap_or(0))
        .collect();
    for row in rows {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(&widths) {
            line.push_str(&format!("{cell:width$}{GAP}"));
        }
        writeln!(f, "{}", line.trim_end())?;
    }
    Ok(())
}

/// Makes control characters visible, so that no text moves the cursor or recolours the screen.
pub(crate) fn clean(text: &str) -> String {
    let shown = |c: char| match c.is_control() {
        true => c.escape_default().to_string(),
        false => c.to_string(),
    };
    text.chars().map(shown).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up() {
        let mut table = Table::new(["ID", "NAME"], "nothing");
        assert_eq!(table.to_string(), "nothing");
        table.row(["long id".into(), "ä".into()]);
        table.row(["x".into(), String::new()]);
        assert_eq!(table.to_string(), "ID       NAME\nlong id  ä\nx\n");
    }

    #[test]
    fn what_others_typed_cannot_steer_the_terminal() {
        let mut fields = Fields::default();
        fields.add("name", "red\x1b[31m\r\n\u{9b}2J");
        assert_eq!(fields.to_string(), "name  red\\u{1b}[31m\\r\\n\\u{9b}2J\n");
    }
}
