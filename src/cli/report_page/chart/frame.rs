//! Positions, lines and labels that charts of bins share.

use maud::{Markup, html};

use super::super::labels;
use super::{BOTTOM, LABEL, LEFT, RIGHT, Size, TOP, at};
use crate::report::Bins;

/// Positions in a chart of bins.
pub(super) struct Frame {
    pub(super) size: Size,
    pub(super) step: f64,
}

impl Frame {
    pub(super) fn of(size: Size, bins: &Bins) -> Self {
        let step = (size.width - LEFT - RIGHT) / bins.bins.len().max(1) as f64;
        Self { size, step }
    }

    pub(super) fn left_of(&self, nth: usize) -> f64 {
        LEFT + nth as f64 * self.step
    }

    pub(super) fn middle_of(&self, nth: usize) -> f64 {
        self.left_of(nth) + self.step / 2.0
    }

    pub(super) fn ground(&self) -> f64 {
        self.size.height - BOTTOM
    }

    /// The height of a part of all.
    pub(super) fn y(&self, share: f64) -> f64 {
        self.ground() - share * (self.ground() - TOP)
    }

    /// Horizontal lines with their labels.
    pub(super) fn lines(&self, labels: &[(f64, String)]) -> Markup {
        let right = at(self.size.width - RIGHT);
        html! {
            @for (share, label) in labels {
                @let y = at(self.y(*share));
                line.grid x1=(at(LEFT)) x2=(right) y1=(y) y2=(y) {}
                text.tick x=(at(LEFT - 8.0)) y=(y) dy="0.32em" text-anchor="end" { (label) }
            }
        }
    }

    /// Labels below the bins, as many as fit; the year where it changes.
    pub(super) fn below(&self, bins: &Bins) -> Markup {
        let fits = ((self.size.width - LEFT - RIGHT) / LABEL).max(1.0);
        let every = (1..=bins.bins.len().max(1))
            .find(|every| bins.bins.len() as f64 / *every as f64 <= fits)
            .unwrap_or(1);
        let mut year = String::new();
        let labelled = bins.bins.iter().enumerate().step_by(every);
        let labels = labelled.map(|(nth, bin)| {
            let (first, second) = labels::label(bin, bins.unit);
            let second = (second != year)
                .then(|| year.clone_from(&second))
                .map(|()| second);
            (at(self.middle_of(nth)), first, second)
        });
        html! {
            @for (x, first, second) in labels {
                text.tick x=(x) y=(at(self.ground() + 15.0)) text-anchor="middle" { (first) }
                @if let Some(second) = second {
                    text.tick x=(x) y=(at(self.ground() + 29.0)) text-anchor="middle" { (second) }
                }
            }
        }
    }

    /// The column of a bin, which shows its values on hover.
    pub(super) fn column(&self, nth: usize) -> Markup {
        html! {
            rect.hit x=(at(self.left_of(nth))) y=(at(TOP)) width=(at(self.step)) height=(at(self.ground() - TOP)) {}
        }
    }

    pub(super) fn svg(&self, label: &str, inside: &Markup) -> Markup {
        html! {
            svg.chart viewBox={ "0 0 " (at(self.size.width)) " " (at(self.size.height)) } role="img" aria-label=(label) {
                (inside)
            }
        }
    }
}
