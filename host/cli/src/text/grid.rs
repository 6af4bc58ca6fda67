//! Tables: columns that give way where there is no room for all of them.
//!
//! On a narrow screen the columns that are least needed go first, from the right; then those that may be cut are cut,
//! the widest first. What is [kept](Column::kept) stays whole.

use unicode_width::UnicodeWidthStr as _;

use super::{fit, printable};
use crate::paint::Paint;

/// Between two columns.
const GAP: usize = 2;

/// A column: its head, and how it gives way.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Column {
    head: &'static str,
    right: bool,
    kept: bool,
    /// Columns that it needs at least, if it may be cut.
    least: Option<usize>,
}

impl Column {
    /// Words.
    pub(crate) const fn left(head: &'static str) -> Self {
        Self { head, right: false, kept: false, least: None }
    }

    /// Numbers.
    pub(crate) const fn right(head: &'static str) -> Self {
        Self { right: true, ..Self::left(head) }
    }

    /// It is there however narrow the screen is.
    pub(crate) const fn kept(self) -> Self {
        Self { kept: true, ..self }
    }

    /// It may be cut to so many columns.
    pub(crate) const fn cut(self, least: usize) -> Self {
        Self { least: Some(least), ..self }
    }
}

/// What stands in one place of a table.
#[derive(Debug, Clone)]
pub(crate) struct Cell {
    text: String,
    paint: fn(Paint, &str) -> String,
}

/// A cell. Whoever had a hand in the text, it steers nothing.
pub(crate) fn cell(text: impl AsRef<str>) -> Cell {
    Cell { text: printable(text.as_ref()), paint: |_, text| text.to_owned() }
}

impl Cell {
    /// In this colour.
    pub(crate) fn painted(self, paint: fn(Paint, &str) -> String) -> Self {
        Self { paint, ..self }
    }

    /// In this colour, if so.
    pub(crate) fn painted_if(self, condition: bool, paint: fn(Paint, &str) -> String) -> Self {
        if condition { self.painted(paint) } else { self }
    }
}

/// A table that is being made.
#[derive(Debug, Clone)]
pub(crate) struct Grid {
    columns: Vec<Column>,
    rows: Vec<Vec<Cell>>,
}

impl Grid {
    /// With these columns, and no row yet.
    pub(crate) fn new(columns: impl IntoIterator<Item = Column>) -> Self {
        Self { columns: columns.into_iter().collect(), rows: Vec::new() }
    }

    /// A cell for each column.
    pub(crate) fn row(&mut self, cells: impl IntoIterator<Item = Cell>) {
        self.rows.push(cells.into_iter().collect());
    }

    /// The table, a line a row, for so many columns of a screen.
    pub(crate) fn text(&self, paint: Paint, width: usize) -> String {
        let heads = self.columns.iter().map(|column| cell(column.head).painted(Paint::dim)).collect();
        let rows: Vec<&Vec<Cell>> = std::iter::once(&heads).chain(&self.rows).collect();
        let shown = self.fitted(&rows, width);
        let mut text = String::new();
        for row in rows {
            let mut line = String::new();
            // Blanks that are written once something stands behind them.
            let mut blank = 0;
            for &(at, wide) in &shown {
                let Some(cell) = row.get(at) else { continue };
                let fitted = fit(&cell.text, wide);
                let pad = wide.saturating_sub(fitted.width());
                let (before, after) = if self.columns[at].right { (pad, 0) } else { (0, pad) };
                blank += before;
                if !fitted.is_empty() {
                    line.push_str(&" ".repeat(blank));
                    line.push_str(&(cell.paint)(paint, &fitted));
                    blank = 0;
                } else {
                    blank += fitted.width();
                }
                blank += after + GAP;
            }
            text.push_str(&line);
            text.push('\n');
        }
        text
    }

    /// The columns that are shown, and how wide each is.
    fn fitted(&self, rows: &[&Vec<Cell>], width: usize) -> Vec<(usize, usize)> {
        let wide = |at: usize| rows.iter().filter_map(|row| row.get(at)).map(|cell| cell.text.width()).max();
        let mut shown: Vec<(usize, usize)> =
            (0..self.columns.len()).map(|at| (at, wide(at).unwrap_or(0).min(width))).collect();
        let least = |&(at, wide): &(usize, usize)| self.columns[at].least.map_or(wide, |least| wide.min(least));
        let gaps = |columns: &[(usize, usize)]| columns.len().saturating_sub(1) * GAP;
        while shown.iter().map(least).sum::<usize>().saturating_add(gaps(&shown)) > width
            && let Some(last) = shown.iter().rposition(|(at, _)| !self.columns[*at].kept)
        {
            shown.remove(last);
        }
        loop {
            let all = shown.iter().map(|(_, wide)| wide).fold(gaps(&shown), |sum, wide| sum.saturating_add(*wide));
            let over = all.saturating_sub(width);
            let cuttable = shown.iter_mut().filter(|column| least(column) < column.1);
            let Some(widest) = cuttable.max_by_key(|(_, wide)| *wide).filter(|_| over > 0) else { return shown };
            // By halves, so that two wide ones end up alike.
            let spare = widest.1 - least(widest);
            widest.1 -= over.min(spare).div_ceil(2);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grid() -> Grid {
        let columns = [Column::left("name").kept().cut(6), Column::right("runs").kept(), Column::left("why").cut(5)];
        let mut grid = Grid::new(columns);
        grid.row([cell("a"), cell("12"), cell("because it is so")]);
        grid.row([cell("a-long-name"), cell("1,234"), cell("")]);
        grid
    }

    #[test]
    fn columns_stand_below_their_heads() {
        let text = grid().text(Paint::PLAIN, usize::MAX);
        let expected = "name          runs  why\na               12  because it is so\na-long-name  1,234\n";
        assert_eq!(text, expected);
    }

    #[test]
    fn columns_give_way() {
        for width in 13..60 {
            let text = grid().text(Paint::PLAIN, width);
            assert!(text.lines().all(|line| line.width() <= width), "{width}:\n{text}");
            assert!(text.contains("1,234"), "{width}:\n{text}");
        }
        let narrow = "name          runs\na               12\na-long-name  1,234\n";
        assert_eq!(grid().text(Paint::PLAIN, 18), narrow);
    }

    #[test]
    fn words_of_others_steer_nothing() {
        let mut grid = Grid::new([Column::left("x").kept().cut(3)]);
        grid.row([cell("a\u{1b}[31m\nb")]);
        grid.row([cell("y".repeat(1_000_000))]);
        let text = grid.text(Paint::PLAIN, 10);
        assert_eq!(text, format!("x\na\u{fffd}[31m\u{fffd}b\n{}\u{2026}\n", "y".repeat(9)));
    }
}
