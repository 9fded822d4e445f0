//! A picture of what terminals show, as SVG.

use std::fmt::Write;

use vt100::{Cell, Color, Screen};

/// Pixels of a character and between lines.
const CELL: (f32, f32) = (8.4, 19.0);
const FONT: f32 = 14.0;
const MARGIN: f32 = 16.0;
const BAR: f32 = 30.0;
const FOREGROUND: &str = "#d8dee9";
/// The eight colours of a terminal, and the eight bright ones.
const COLOURS: [&str; 16] = [
    "#3b4252", "#bf616a", "#a3be8c", "#ebcb8b", "#81a1c1", "#b48ead", "#88c0d0", "#e5e9f0", "#4c566a",
    "#d08770", "#b4d99b", "#f0d9a0", "#8fbcdb", "#c9a6c4", "#8fd3d3", "#eceff4",
];

/// One terminal: what was typed to start the program, and what is shown since.
pub(crate) struct Pane<'a> {
    pub(crate) command: &'a str,
    pub(crate) screen: Screen,
}

/// The terminals, one below the other.
pub(crate) fn picture(panes: &[Pane<'_>]) -> String {
    let columns = panes.iter().map(|pane| pane.screen.size().1).max().unwrap_or(0);
    let width = f32::from(columns) * CELL.0 + 2.0 * MARGIN;
    let heights: Vec<_> = panes.iter().map(|pane| BAR + (rows(pane) + 1) as f32 * CELL.1 + MARGIN).collect();
    let height = heights.iter().sum::<f32>() + MARGIN * (panes.len().max(1) - 1) as f32;
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width:.0} {height:.0}\" width=\"{width:.0}\" \
         font-family=\"ui-monospace, Menlo, Consolas, 'DejaVu Sans Mono', monospace\" font-size=\"{FONT}\" \
         fill=\"{FOREGROUND}\">\n"
    );
    let mut top = 0.0;
    for (pane, height) in panes.iter().zip(heights) {
        draw(&mut out, pane, top, width, height);
        top += height + MARGIN;
    }
    out + "</svg>\n"
}

fn draw(out: &mut String, pane: &Pane<'_>, top: f32, width: f32, height: f32) {
    let _ = writeln!(
        out,
        "<rect y=\"{top:.0}\" width=\"{width:.0}\" height=\"{height:.0}\" rx=\"8\" fill=\"#2e3440\"/>"
    );
    for (n, colour) in ["#bf616a", "#ebcb8b", "#a3be8c"].iter().enumerate() {
        let x = MARGIN + 4.0 + n as f32 * 18.0;
        let _ = writeln!(out, "<circle cx=\"{x:.0}\" cy=\"{:.0}\" r=\"5\" fill=\"{colour}\"/>", top + 16.0);
    }
    let line = |row: usize| top + BAR + row as f32 * CELL.1 + FONT;
    let _ = writeln!(
        out,
        "<text x=\"{MARGIN}\" y=\"{:.0}\" xml:space=\"preserve\"><tspan fill=\"#a3be8c\">$ </tspan>{}</text>",
        line(0),
        escaped(pane.command)
    );
    for row in 0..rows(pane) {
        for (column, text, cell) in runs(&pane.screen, row as u16) {
            let x = MARGIN + f32::from(column) * CELL.0;
            let colour = match cell.fgcolor() {
                Color::Idx(n @ 0..16) => format!(" fill=\"{}\"", COLOURS[usize::from(n)]),
                _ => String::new(),
            };
            let bold = if cell.bold() { " font-weight=\"bold\"" } else { "" };
            let length = text.chars().count() as f32 * CELL.0;
            let _ = writeln!(
                out,
                "<text x=\"{x:.1}\" y=\"{:.0}\" textLength=\"{length:.0}\" xml:space=\"preserve\"{colour}{bold}>{}</text>",
                line(row + 1),
                escaped(&text)
            );
        }
    }
}

/// Lines in use.
fn rows(pane: &Pane<'_>) -> usize {
    let (rows, columns) = pane.screen.size();
    let last = pane.screen.rows(0, columns).take(usize::from(rows)).collect::<Vec<_>>();
    last.iter().rposition(|line| !line.trim().is_empty()).map_or(0, |last| last + 1)
}

/// The pieces of a line that look alike: column, text, how it looks.
fn runs(screen: &Screen, row: u16) -> Vec<(u16, String, Cell)> {
    let mut runs: Vec<(u16, String, Cell)> = Vec::new();
    for column in 0..screen.size().1 {
        let Some(cell) = screen.cell(row, column) else { continue };
        let text = if cell.has_contents() { cell.contents() } else { " " };
        match runs.last_mut() {
            Some((_, run, like)) if like.fgcolor() == cell.fgcolor() && like.bold() == cell.bold() => {
                run.push_str(text);
            }
            _ => runs.push((column, text.to_owned(), cell.clone())),
        }
    }
    for (_, run, _) in &mut runs {
        run.truncate(run.trim_end().len());
    }
    runs.retain(|(_, run, _)| !run.is_empty());
    runs
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
