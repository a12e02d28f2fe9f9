//! Curves as an SVG picture: panels side by side, sizes on a logarithmic axis, costs on one that begins at zero.

use std::fmt::Write;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

/// One picture: curves over the same sizes.
pub(crate) struct Panel {
    pub(crate) over: &'static str,
    pub(crate) curves: Vec<Curve>,
}

/// Costs in microseconds, by size.
pub(crate) struct Curve {
    pub(crate) name: String,
    pub(crate) points: Vec<(f64, f64)>,
}

/// Writes the panels to a file.
pub(crate) fn write(path: &Path, panels: &[Panel]) -> Result<()> {
    let width = WIDTH * panels.len().min(2) as f64;
    let height = HEIGHT * panels.len().div_ceil(2) as f64;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" font-family=\"sans-serif\" \
         font-size=\"12\">\n<rect width=\"{width}\" height=\"{height}\" fill=\"white\"/>\n"
    );
    for (number, panel) in panels.iter().enumerate() {
        let (x, y) = ((number % 2) as f64 * WIDTH, (number / 2) as f64 * HEIGHT);
        let _ = writeln!(svg, "<g transform=\"translate({x} {y})\">{}</g>", drawn(panel));
    }
    svg.push_str("</svg>\n");
    fs::write(path, svg).with_context(|| format!("failed to write {}", path.display()))
}

fn drawn(panel: &Panel) -> String {
    let points = || panel.curves.iter().flat_map(|curve| &curve.points);
    let (mut least, mut most, mut top) = (f64::INFINITY, 0.0_f64, 0.0_f64);
    for (x, y) in points() {
        (least, most, top) = (least.min(*x), most.max(*x), top.max(*y));
    }
    let span = (most.ln() - least.ln()).max(f64::EPSILON);
    let at_x = |x: f64| LEFT + (x.ln() - least.ln()) / span * (WIDTH - LEFT - RIGHT);
    let at_y = |y: f64| HEIGHT - BOTTOM - y / top.max(f64::EPSILON) * (HEIGHT - BOTTOM - TOP);
    let mut svg = String::new();
    let title = format!("microseconds of one core, by {}", panel.over);
    let _ = write!(svg, "<text x=\"{LEFT}\" y=\"20\" font-weight=\"bold\">{title}</text>");
    let (bottom, right) = (HEIGHT - BOTTOM, WIDTH - RIGHT);
    let _ = write!(
        svg,
        "<path d=\"M{LEFT} {TOP}V{bottom}H{right}\" fill=\"none\" stroke=\"black\"/>\
         <text x=\"{}\" y=\"{}\" text-anchor=\"end\">{top:.0}</text>\
         <text x=\"{}\" y=\"{bottom}\" text-anchor=\"end\">0</text>",
        LEFT - 6.0,
        TOP + 4.0,
        LEFT - 6.0,
    );
    let mut marks: Vec<f64> = points().map(|(x, _)| *x).collect();
    marks.sort_by(f64::total_cmp);
    marks.dedup();
    for x in marks {
        let _ = write!(
            svg,
            "<text x=\"{:.1}\" y=\"{}\" text-anchor=\"middle\">{x}</text>",
            at_x(x),
            bottom + 18.0
        );
    }
    for (number, (curve, colour)) in panel.curves.iter().zip(COLOURS).enumerate() {
        let line: Vec<String> =
            curve.points.iter().map(|(x, y)| format!("{:.1},{:.1}", at_x(*x), at_y(*y))).collect();
        let _ = write!(
            svg,
            "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>",
            line.join(" ")
        );
        let (x, y) = (LEFT + number as f64 * LEGEND, HEIGHT - 12.0);
        let _ = write!(svg, "<text x=\"{x}\" y=\"{y}\" fill=\"{colour}\">{}</text>", curve.name);
    }
    svg
}

const WIDTH: f64 = 660.0;
const HEIGHT: f64 = 320.0;
const LEFT: f64 = 60.0;
const RIGHT: f64 = 40.0;
const TOP: f64 = 40.0;
const BOTTOM: f64 = 60.0;
const LEGEND: f64 = 122.0;
const COLOURS: [&str; 6] = ["#1b6ca8", "#c0392b", "#1e8449", "#8e44ad", "#b9770e", "#566573"];
