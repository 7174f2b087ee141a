//! Tables for people: columns as wide as their widest cell, no frames, so that `awk` likes them too.

/// Rows under a heading.
#[derive(Debug)]
pub(crate) struct Table {
    columns: Vec<Column>,
    rows: Vec<Vec<String>>,
}

#[derive(Debug)]
struct Column {
    heading: &'static str,
    right: bool,
}

impl Table {
    /// A table with these headings; one that begins with `>` is for numbers, which stand to the right.
    pub(crate) fn new(headings: &[&'static str]) -> Self {
        let columns = headings
            .iter()
            .map(|heading| match heading.strip_prefix('>') {
                Some(heading) => Column { heading, right: true },
                None => Column { heading, right: false },
            })
            .collect();
        Self { columns, rows: Vec::new() }
    }

    /// Adds a row; cells that are missing are empty, and an empty one is shown as `-`.
    pub(crate) fn row<const N: usize>(&mut self, cells: [String; N]) {
        self.rows
            .push(cells.into_iter().map(|cell| if cell.is_empty() { "-".into() } else { cell }).collect());
    }

    /// The lines, headings first; no line ends in a space.
    pub(crate) fn lines(&self) -> Vec<String> {
        let widths: Vec<usize> = self
            .columns
            .iter()
            .enumerate()
            .map(|(index, column)| {
                let cells = self.rows.iter().filter_map(|row| row.get(index)).map(|cell| width(cell));
                cells.chain([width(column.heading)]).max().unwrap_or(0)
            })
            .collect();
        let headings: Vec<String> = self.columns.iter().map(|column| column.heading.to_owned()).collect();
        std::iter::once(&headings).chain(&self.rows).map(|row| self.line(row, &widths)).collect()
    }

    fn line(&self, row: &[String], widths: &[usize]) -> String {
        let mut line = String::new();
        for ((cell, column), column_width) in row.iter().zip(&self.columns).zip(widths) {
            let padding = " ".repeat(column_width.saturating_sub(width(cell)));
            let (before, after) = if column.right { (&*padding, "") } else { ("", &*padding) };
            line.extend([before, cell, after, "  "]);
        }
        line.truncate(line.trim_end().len());
        line
    }
}

fn width(cell: &str) -> usize {
    cell.chars().count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_and_numbers_stand_to_the_right() {
        let mut table = Table::new(&["DRIVE", ">BLOCKS", "STATE"]);
        table.row(["a".into(), "1".into(), String::new()]);
        table.row(["longer-name".into(), "1000".into(), "serving".into()]);
        assert_eq!(
            table.lines(),
            [
                "DRIVE        BLOCKS  STATE", //
                "a                 1  -",
                "longer-name    1000  serving",
            ]
        );
    }
}
