//! Charts as inline SVG: colours come from the page's classes, so that they suit light, dark and paper; values are
//! told on hover by the browser itself.

mod frame;

use maud::{Markup, html};

use super::labels;
use crate::report::{Bin, Bins, Count};
use frame::Frame;

/// The size of a chart, in units that are pixels where the page is wide enough.
#[derive(Clone, Copy)]
pub(super) struct Size {
    pub(super) width: f64,
    pub(super) height: f64,
}

const LEFT: f64 = 46.0;
const RIGHT: f64 = 4.0;
const TOP: f64 = 8.0;
const BOTTOM: f64 = 36.0;
/// What a label below needs, and a bar takes at most.
const LABEL: f64 = 58.0;
const BAR: f64 = 44.0;

/// What a part of a bar tells.
#[derive(Clone, Copy)]
pub(super) struct Part {
    /// The class that gives its colour.
    pub(super) class: &'static str,
    /// How large it is.
    pub(super) of: fn(&Count) -> u64,
}

/// A coordinate, short.
fn at(value: f64) -> String {
    let text = format!("{value:.1}");
    text.strip_suffix(".0").map(str::to_owned).unwrap_or(text)
}

/// Bars over time, their parts on top of each other; `told` is what each tells.
pub(super) fn bars(
    size: Size,
    label: &str,
    bins: &Bins,
    parts: &[Part],
    told: impl Fn(&Bin) -> String,
) -> Markup {
    let frame = Frame::of(size, bins);
    let all = |bin: &Bin| parts.iter().map(|part| (part.of)(&bin.count)).sum::<u64>();
    let (top, lines) = scale(bins.bins.iter().map(all).max().unwrap_or(0));
    let width = (frame.step * 0.78).min(BAR);
    frame.svg(
        label,
        &html! {
            (frame.lines(&lines))
            @for (nth, bin) in bins.bins.iter().enumerate() {
                g.bin {
                    title { (told(bin)) }
                    (frame.column(nth))
                    @for (class, low, high) in stacked(bin, parts) {
                        @let [low, high] = [low, high].map(|value| frame.y(value as f64 / top as f64));
                        @let height = (low - high).max(0.5);
                        rect class=(class) x=(at(frame.middle_of(nth) - width / 2.0)) y=(at(low - height))
                            width=(at(width)) height=(at(height)) {}
                    }
                }
            }
            (frame.below(bins))
        },
    )
}

/// From where to where each part of a bar goes that is not nothing.
fn stacked<'a>(bin: &Bin, parts: &'a [Part]) -> impl Iterator<Item = (&'a str, u64, u64)> {
    let mut below = 0;
    let sums = parts.iter().map(move |part| {
        let low = below;
        below += (part.of)(&bin.count);
        (part.class, low, below)
    });
    sums.filter(|(_, low, high)| high > low)
        .collect::<Vec<_>>()
        .into_iter()
}

/// A part of all over time, from none to all; where there is none it is not drawn.
pub(super) fn line(
    size: Size,
    label: &str,
    bins: &Bins,
    of: impl Fn(&Count) -> Option<f64>,
    told: impl Fn(&Bin) -> String,
) -> Markup {
    let frame = Frame::of(size, bins);
    let lines = [0.0, 0.25, 0.5, 0.75, 1.0].map(|share| (share, format!("{}%", share * 100.0)));
    let points: Vec<Option<(f64, f64)>> = bins
        .bins
        .iter()
        .enumerate()
        .map(|(nth, bin)| Some((frame.middle_of(nth), frame.y(of(&bin.count)?))))
        .collect();
    let mut path = String::new();
    let mut drawing = false;
    for point in &points {
        if let Some((x, y)) = point {
            let step = if drawing { 'L' } else { 'M' };
            path.push_str(&format!("{step}{} {}", at(*x), at(*y)));
        }
        drawing = point.is_some();
    }
    // dots that would touch each other are only as wide as the line, so that one between two gaps is seen
    let dense = frame.step < 12.0;
    let radius = if dense { 1.0 } else { 3.0 };
    frame.svg(
        label,
        &html! {
            (frame.lines(&lines))
            path.line d=(path) {}
            @for (nth, (bin, point)) in bins.bins.iter().zip(&points).enumerate() {
                g.bin {
                    title { (told(bin)) }
                    (frame.column(nth))
                    @if let Some((x, y)) = point {
                        circle.dot.small[dense] cx=(at(*x)) cy=(at(*y)) r=(radius) {}
                    }
                }
            }
            (frame.below(bins))
        },
    )
}

/// The hours of a week, the darker the busier.
pub(super) fn week(hours: &[Vec<u64>]) -> Markup {
    const CELL: (f64, f64) = (36.0, 24.0);
    const DAYS: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];
    let most = hours.iter().flatten().copied().max().unwrap_or(0).max(1);
    let (width, height) = (LEFT + 24.0 * CELL.0, 7.0 * CELL.1 + 22.0);
    html! {
        svg.chart viewBox={ "0 0 " (at(width)) " " (at(height)) } role="img" aria-label="Conversations by hour of the week" {
            @for (day, (name, hours)) in DAYS.iter().zip(hours).enumerate() {
                @let y = day as f64 * CELL.1;
                text.tick x=(at(LEFT - 8.0)) y=(at(y + CELL.1 / 2.0)) dy="0.32em" text-anchor="end" { (name) }
                @for (hour, count) in hours.iter().enumerate() {
                    g.bin {
                        title { (name) (format!(" {hour:02}:00 – {hour:02}:59: ")) (labels::counted(*count, "conversation")) }
                        @let x = LEFT + hour as f64 * CELL.0;
                        rect.cell x=(at(x + 1.0)) y=(at(y + 1.0)) width=(at(CELL.0 - 2.0)) height=(at(CELL.1 - 2.0)) rx="3" {}
                        @if *count > 0 {
                            rect.warm-cell x=(at(x + 1.0)) y=(at(y + 1.0)) width=(at(CELL.0 - 2.0))
                                height=(at(CELL.1 - 2.0)) rx="3"
                                fill-opacity=(format!("{:.2}", 0.06 + 0.94 * *count as f64 / most as f64)) {}
                        }
                    }
                }
            }
            @for hour in (0..24).step_by(3) {
                text.tick x=(at(LEFT + (f64::from(hour) + 0.5) * CELL.0)) y=(at(height - 6.0)) text-anchor="middle" {
                    (format!("{hour:02}:00"))
                }
            }
        }
    }
}

/// Time that is covered, and gaps in it, each a part of the whole with what it tells; a gap is seen however short.
pub(super) fn coverage(label: &str, covered: &[(f64, f64, String)], gaps: &[(f64, f64, String)]) -> Markup {
    const WIDTH: f64 = 960.0;
    let piece = |class: &str, (begin, end, told): &(f64, f64, String), least: f64| {
        html! {
            rect class=(class) x=(at(begin * WIDTH)) y="0" width=(at(((end - begin) * WIDTH).max(least))) height="14" {
                title { (told) }
            }
        }
    };
    html! {
        svg.coverage viewBox={ "0 0 " (WIDTH) " 14" } preserveAspectRatio="none" role="img" aria-label=(label) {
            rect.cell x="0" y="0" width=(WIDTH) height="14" {}
            @for range in covered { (piece("covered", range, 0.5)) }
            @for gap in gaps { (piece("gap", gap, 2.0)) }
        }
    }
}

/// A bar in a table, as a part of the largest.
pub(super) fn share(part: f64) -> Markup {
    html! {
        svg.share viewBox="0 0 100 8" preserveAspectRatio="none" aria-hidden="true" {
            rect.cell x="0" y="0" width="100" height="8" {}
            rect.main x="0" y="0" width=(at(100.0 * part)) height="8" {}
        }
    }
}

/// A round number that a scale goes up to, and its lines with what they stand for.
fn scale(most: u64) -> (u64, Vec<(f64, String)>) {
    let most = most.max(1);
    let steps = (0..19).flat_map(|power| [1, 2, 5].map(|first| first * 10_u64.pow(power)));
    let step = steps
        .into_iter()
        .find(|step| most.div_ceil(*step) <= 4)
        .unwrap_or(most);
    let count = most.div_ceil(step);
    let top = step.saturating_mul(count);
    let lines = (0..=count).map(|nth| {
        (
            nth as f64 / count as f64,
            labels::compact(step.saturating_mul(nth)),
        )
    });
    (top, lines.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scales_go_up_in_round_steps() {
        for (most, top, count) in [
            (0, 1, 2),
            (1, 1, 2),
            (3, 3, 4),
            (7, 8, 5),
            (1_680, 2_000, 5),
            (999_999, 1_000_000, 3),
        ] {
            let (found, lines) = scale(most);
            assert_eq!((found, lines.len()), (top, count), "{most}");
            assert_eq!(lines[0], (0.0, "0".into()));
            assert!((lines[count - 1].0 - 1.0).abs() < 1e-9);
        }
        assert!(scale(u64::MAX).0 > 0);
    }

    #[test]
    fn what_a_bar_tells_cannot_leave_its_element() {
        let days = [(
            jiff::civil::date(2023, 10, 1),
            Count {
                sessions: 3,
                ..Count::default()
            },
        )]
        .into();
        let bins = crate::report::bins(&days).unwrap();
        let size = Size {
            width: 460.0,
            height: 150.0,
        };
        let parts = [Part {
            class: "main",
            of: |count| count.sessions,
        }];
        let svg = bars(size, "\"><script>", &bins, &parts, |_| "</title><script>".into()).into_string();
        assert!(!svg.contains("<script>"), "{svg}");
        assert!(svg.contains("&lt;/title&gt;&lt;script&gt;"), "{svg}");
        assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
    }
}
