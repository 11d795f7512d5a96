//! A row of planning in one line of words.

use std::fmt::Write as _;

use super::needs::{in_points, way};
use crate::domain::gate::{Gate, Test, Window};
use crate::domain::metric::Metric;
use crate::report::labels;
use crate::report::planning::{NeedRow, Side};

/// What a gate sees, what was asked of it, and what that takes.
pub(super) fn says(row: &NeedRow, gate: &Gate, metric: &Metric) -> String {
    let slice =
        row.segment.as_ref().map_or_else(String::new, |segment| format!(" ({} = {})", segment.column, segment.value));
    let place = format!(
        "{}{slice} at {} for {}",
        row.gate,
        labels::percent(row.exposure),
        labels::duration(row.duration_s as f64)
    );
    if matches!(gate.test, Test::Cusum(_) | Test::BurnRate | Test::Sentinel(_)) {
        return format!("{place}: test `{}` has no closed form; see the replay", gate.test.name());
    }
    if let Some(measure) = gate.measure {
        return format!("{place}: a distance of distributions ({}) has no closed form; see the replay", measure.name());
    }
    if gate.window != Window::Stage {
        return format!("{place}: a trailing window has no closed form; see the replay");
    }
    let way = way(metric.better);
    let relative = gate.allow_text.ends_with('%');
    let written = |size: Option<f64>, share: Option<f64>| match (share.filter(|_| relative), size) {
        (Some(share), _) => Some(labels::percent(share)),
        (None, Some(size)) if in_points(&metric.kind) => Some(format!("{} pp", labels::number(size * 100.0))),
        (None, Some(size)) => Some(labels::with_unit(labels::number(size), metric.unit.as_deref())),
        (None, None) => None,
    };
    let sees = match written(row.mde, row.mde_relative) {
        Some(size) => format!("sees a {way} of {size}"),
        None => format!("sees no {way} of a size that can be stated"),
    };
    let mut text = format!("{place} {sees}");
    if let (Some(fail), Some(name)) = (&row.fail, &row.regression) {
        let asked =
            written(row.regression_size, row.regression_relative).map_or_else(String::new, |size| format!("{size}, "));
        let _ = write!(text, "; you asked for {asked}{name}: {}", needed(fail, row));
    }
    let pass = row.pass.as_ref().map_or_else(|| "too little data to say".to_owned(), |pass| needed(pass, row));
    let _ = write!(text, "; to pass a good candidate: {pass}");
    text
}

/// `enough (95 %)`, or what to change.
fn needed(side: &Side, row: &NeedRow) -> String {
    let chance = labels::percent(side.closed_form);
    if side.duration_s.is_some_and(|needed| needed <= row.duration_s) {
        return format!("enough ({chance})");
    }
    if side.units.is_none() {
        return format!("no amount of data does ({chance})");
    }
    let here = match (side.duration_s, side.projected_s) {
        (Some(seconds), _) => format!("run {}", labels::duration(seconds as f64)),
        (None, Some(seconds)) => format!("not within the log; run about {}", labels::duration(seconds)),
        (None, None) => "never at this exposure, users return".to_owned(),
    };
    let elsewhere = side.elsewhere.map_or_else(String::new, |other| {
        format!(", or {} for {}", labels::percent(other.exposure), labels::duration(other.duration_s as f64))
    });
    format!("{here}{elsewhere} (now {chance})")
}
