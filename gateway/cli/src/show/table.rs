//! Aligned tables.

use super::one_line;

/// Rows of texts under their titles. What comes in is escaped.
pub(crate) struct Table {
    columns: Vec<Column>,
    rows: Vec<Vec<String>>,
}

struct Column {
    title: &'static str,
    right: bool,
}

impl Table {
    /// A table with these titles. One that begins with `>` heads a column of numbers.
    pub(crate) fn new(titles: &[&'static str]) -> Self {
        let column = |title: &&'static str| match title.strip_prefix('>') {
            Some(title) => Column { title, right: true },
            None => Column { title, right: false },
        };
        Self { columns: titles.iter().map(column).collect(), rows: Vec::new() }
    }

    /// Adds a row.
    pub(crate) fn row(&mut self, cells: impl IntoIterator<Item = impl AsRef<str>>) {
        self.rows.push(cells.into_iter().map(|cell| one_line(cell.as_ref())).collect());
    }

    /// The lines, titles first. Columns without any text are left out.
    pub(crate) fn lines(&self) -> Vec<String> {
        let widths: Vec<usize> = (0..self.columns.len())
            .map(|index| self.rows.iter().filter_map(|row| row.get(index)).map(|cell| width(cell)).max().unwrap_or(0))
            .collect();
        let titles: Vec<String> = self.columns.iter().map(|column| column.title.to_string()).collect();
        std::iter::once(&titles).chain(&self.rows).map(|row| self.line(row, &widths)).collect()
    }

    fn line(&self, row: &[String], widths: &[usize]) -> String {
        let shown = self.columns.iter().zip(widths).zip(row).filter(|((_, widest), _)| **widest > 0);
        let cells: Vec<String> = shown
            .map(|((column, widest), cell)| {
                let pad = " ".repeat((*widest).max(width(column.title)).saturating_sub(width(cell)));
                if column.right { format!("{pad}{cell}") } else { format!("{cell}{pad}") }
            })
            .collect();
        cells.join("  ").trim_end().to_string()
    }
}

fn width(text: &str) -> usize {
    text.chars().count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_and_empty_ones_left_out() {
        let mut table = Table::new(&["name", ">n", "note"]);
        table.row(["a", "1000", ""]);
        table.row(["long name", "2", ""]);
        assert_eq!(table.lines(), ["name          n", "a          1000", "long name     2"]);
    }
}
