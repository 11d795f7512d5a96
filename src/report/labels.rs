//! Machine name → label and meaning, and how numbers are written; one place for terminal, page and figures.

use super::{GateRow, MetricFacts, PairedFacts, Segment, Share, Spread, StageFacts, VarianceComponent};
pub(crate) use crate::error::printable as visible;

/// What stands where there is no number.
pub(crate) const NONE: &str = "–";

/// At most `width` characters on one line, the rest elided.
pub(crate) fn short(text: &str, width: usize) -> String {
    let text = visible(text);
    if text.chars().count() <= width {
        return text;
    }
    let mut kept: String = text.chars().take(width.saturating_sub(1)).collect();
    kept.truncate(kept.trim_end().len());
    kept.push('…');
    kept
}

/// The last `width` characters on one line: of a path, its end tells.
pub(crate) fn tail(text: &str, width: usize) -> String {
    let text = visible(text);
    let length = text.chars().count();
    if length <= width {
        return text;
    }
    std::iter::once('…').chain(text.chars().skip(length - width.saturating_sub(1))).collect()
}

/// What is taken as true of the candidate, in a few words.
pub(crate) fn world(name: &str) -> String {
    match name {
        "recorded" => "as recorded".to_owned(),
        "null" => "as good as stable (A/A)".to_owned(),
        other => match other.strip_prefix("margin: ") {
            Some(gate) => format!("at margin: {}", visible(gate)),
            None => visible(other),
        },
    }
}

/// `all requests` or `column = value`.
pub(crate) fn segment(segment: Option<&Segment>) -> String {
    segment.map_or_else(
        || "all requests".to_owned(),
        |segment| format!("{} = {}", visible(&segment.column), visible(&segment.value)),
    )
}

/// The gate's rule in words.
pub(crate) fn test(name: &str) -> String {
    match name {
        "point" => "bare threshold".to_owned(),
        "fixed" => "one test".to_owned(),
        "confidence-sequence" => "confidence sequence".to_owned(),
        "group-sequential" => "group-sequential".to_owned(),
        "exact" => "exact counts".to_owned(),
        "max-sprt" => "MaxSPRT".to_owned(),
        "mann-whitney" => "rank test of points".to_owned(),
        "kayenta" => "Kayenta's judge".to_owned(),
        other => visible(other),
    }
}

/// Digits in groups of three: `1,234,567`.
pub(crate) fn count(value: f64) -> String {
    if !value.is_finite() {
        return NONE.to_owned();
    }
    let digits = format!("{:.0}", value.abs());
    let mut grouped = String::with_capacity(digits.len() + digits.len() / 3 + 1);
    if value < 0.0 && digits != "0" {
        grouped.push('−');
    }
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// A whole number in groups of three.
pub(crate) fn whole(value: u64) -> String {
    count(value as f64)
}

/// About three significant digits.
pub(crate) fn number(value: f64) -> String {
    if !value.is_finite() {
        return NONE.to_owned();
    }
    let size = value.abs();
    let text = match size {
        0.0 => "0".to_owned(),
        _ if size >= 1000.0 => return count(value),
        _ if size >= 100.0 => format!("{size:.0}"),
        _ if size >= 10.0 => format!("{size:.1}"),
        _ if size >= 1.0 => format!("{size:.2}"),
        _ if size >= 0.1 => format!("{size:.3}"),
        _ if size >= 0.01 => format!("{size:.4}"),
        _ if size >= 0.000_1 => format!("{size:.5}"),
        _ => format!("{size:.1e}"),
    };
    if value < 0.0 { format!("−{text}") } else { text }
}

/// A number with its sign, for differences.
pub(crate) fn signed(value: f64) -> String {
    if value.is_finite() && value > 0.0 { format!("+{}", number(value)) } else { number(value) }
}

/// A variance with its interval.
pub(crate) fn variance(found: &VarianceComponent) -> String {
    let interval = found.low.zip(found.high).map(|(low, high)| format!(" ({} to {})", number(low), number(high)));
    number(found.variance) + &interval.unwrap_or_default()
}

/// A share without its sign for percent: whole percents, one decimal below ten, never rounded to 0 or 100.
pub(crate) fn percent_digits(share: f64) -> String {
    let percent = share * 100.0;
    match percent.abs() {
        size if !size.is_finite() => NONE.to_owned(),
        0.0 => "0".to_owned(),
        size if size < 0.05 => "<0.1".to_owned(),
        size if size < 9.95 => trim_zero(&format!("{percent:.1}")),
        size if (99.5..99.95).contains(&size) => format!("{percent:.1}"),
        size if (99.95..100.0).contains(&size) => ">99.9".to_owned(),
        _ => count(percent),
    }
}

fn trim_zero(text: &str) -> String {
    text.strip_suffix(".0").unwrap_or(text).replace('-', "−")
}

/// `1.9 %`.
pub(crate) fn percent(share: f64) -> String {
    let digits = percent_digits(share);
    if digits == NONE { digits } else { format!("{digits} %") }
}

/// A share with its Monte Carlo interval: `93 % (91–95)`.
pub(crate) fn share(share: Share) -> String {
    format!("{} ({}–{})", percent(share.share), percent_digits(share.low), percent_digits(share.high))
}

/// Two largest units: `2d 3h`, `45m`, `90s`.
pub(crate) fn duration(seconds: f64) -> String {
    if !seconds.is_finite() {
        return NONE.to_owned();
    }
    let sign = if seconds < 0.0 { "−" } else { "" };
    let size = seconds.abs();
    // Rounded to the smaller shown unit first, so that `23h 60m` cannot appear.
    let (unit, major, minor) = match size {
        _ if size < 90.0 => return format!("{sign}{size:.0}s"),
        _ if size < 3_570.0 => (60.0, ("h", 60.0), "m"),
        _ if size < 86_370.0 => (60.0, ("h", 60.0), "m"),
        _ => (3_600.0, ("d", 24.0), "h"),
    };
    let rounded = (size / unit).round();
    let (high, low) = ((rounded / major.1).floor(), rounded % major.1);
    match (high > 0.0, low > 0.0) {
        (true, true) => format!("{sign}{}{} {low}{minor}", count(high), major.0),
        (true, false) => format!("{sign}{}{}", count(high), major.0),
        (false, _) => format!("{sign}{low}{minor}"),
    }
}

/// Median with the range of the middle 80 %: `3h (1h–7h)`.
pub(crate) fn spread(spread: Spread, written: fn(f64) -> String) -> String {
    format!("{} ({}–{})", written(spread.p50), written(spread.p10), written(spread.p90))
}

/// A value of a metric with its unit, if it has one.
pub(crate) fn with_unit(value: String, unit: Option<&str>) -> String {
    match unit {
        Some(unit) if value != NONE => format!("{value} {}", visible(unit)),
        _ => value,
    }
}

/// The smallest regression a gate sees, on the scale on which its accepted regression is written.
pub(crate) fn regression(row: &GateRow, metric: Option<&MetricFacts>) -> Option<String> {
    let written_relative = row.allow.ends_with('%');
    match (row.mde_relative, row.mde) {
        (Some(relative), _) if written_relative => Some(percent(relative)),
        (_, Some(mde)) if metric.is_some_and(|metric| metric.kind == "proportion") => {
            Some(format!("{} pp", number(mde * 100.0)))
        }
        (_, Some(mde)) => Some(with_unit(number(mde), metric.and_then(|metric| metric.unit.as_deref()))),
        (Some(relative), None) => Some(percent(relative)),
        (None, None) => None,
    }
}

/// What a column of the page means, in one line.
pub(crate) fn meaning(name: &str) -> &'static str {
    match name {
        "promoted" => "reached the end of the schedule",
        "rolled_back" => "rolled back by a gate",
        "stalled" => "stopped and waiting for a person",
        "paused" => "stopped by a gate with `on_fail = \"pause\"` until a person came, once or more",
        "resumed" => "let go on by a person who found no gate failing, once or more",
        "rolled_back_paused" => "by a person who found a gate failing still",
        "paused_for" => "of those to whom somebody came, or that were rolled back before; median (10 %–90 %)",
        "harm" => "the world’s effect is past the gate’s margin in the failing slice",
        "noise" => "rolled back although the effect is within the margin",
        "no_data" => "a look had too little data and the gate treats that as a failure",
        "detected" => "rolled back for harm",
        "together" => "share in which every gate passes at the stage’s end, if the candidate is as good as stable",
        "together_closed_form" => "the same from the gates’ own chances and the correlation of their statistics",
        "together_at_least" => "the same whatever the correlation: 1 less the sum of the gates’ misses",
        "power_each" => "plan each gate with this power, and all pass together with the power that the gates ask for",
        "time_to_detect" => "from the effect’s onset to the rollback, among replicates that detect; median (10 %–90 %)",
        "diagnose" => "from the failing look to the decision to roll back; median (10 %–90 %)",
        "mitigate" => "from the decision until everyone is back on stable; median (10 %–90 %)",
        "time_to_recover" => {
            "from the effect’s onset until everyone is back on stable, among replicates that detect; median (10 %–90 %)"
        }
        "exposed" => "served by the candidate before the end, or until everyone is back on stable; median (10 %–90 %)",
        "pass_null" => "chance to pass at the stage’s end if the candidate is as good as stable",
        "false_alarm" => "chance to fail although the candidate is as good as stable",
        "wrong_pass" => "chance to pass although the metric is worse by exactly the accepted regression",
        "wrong_failure" => "chance to fail although the metric is not worse than the accepted regression",
        "mde" => "smallest regression that fails at the stage’s end with the gate’s power",
        "needed" => "needed to pass with the gate’s power if the candidate is as good as stable",
        "excess_bad" => "bad outcomes served beyond what stable would have served; median (10 %–90 %)",
        "budget_burned" => {
            "bad requests of the candidate, of all that the budget allows all traffic in its period; median (10 %–90 %)"
        }
        "health_p" => "alarms below 0.001",
        "health_e" => "evidence that holds however often one looks; alarms from 1000 on",
        "health_rate" => "share of replicates that alarm; about 0.1 % where nothing is wrong",
        "design_effect" => "variance with requests of a unit kept together, over that of independent requests",
        "q_value" => {
            "expected share without any difference among the slices of this metric up to this q (Benjamini and Hochberg)"
        }
        "if_missing" => "the same difference with a version’s missing values left out, or counted as the worst value",
        "pairs" => "requests on which only the candidate’s outcome is the worse one, and only stable’s",
        "mid_p" => "McNemar’s two-sided mid-p on counts divided by the design effect of the difference",
        "between_outputs" => "variance from one output of a request to the next: the version’s own noise",
        "between_requests" => "variance of what is expected of the outputs of a user’s requests",
        "between_units" => {
            "variance of what users’ requests have in common; with one request each, of what requests differ in too"
        }
        "repeated" => "requests with two outputs or more",
        "tango_p" => {
            "Tango’s one-sided p of a regression below what the gate accepts, on counts divided by the design effect"
        }
        "human" => "what people would say of all judged requests: the judge corrected by their labels of some",
        "labels_needed" => {
            "labels of each version with which a candidate as good as stable passes with the gate’s power"
        }
        "missingness" => {
            "two-sided p of the paired difference between the shares without a value, by unit; alarm below 0.001"
        }
        _ => "",
    }
}

/// `5 %`, or `mean 9.5 %: tier = internal 50 %, others 5 %`.
pub(super) fn exposure(stage: &StageFacts) -> String {
    match &stage.by_segment {
        Some(by_segment) => format!("mean {}: {}", percent(stage.exposure), visible(by_segment)),
        None => percent(stage.exposure),
    }
}

/// Whom a stage takes.
pub(super) fn who(stage: &StageFacts) -> String {
    match (&stage.paired, &stage.only) {
        (Some(paired), _) => format!("nobody: {}", pairs(paired)),
        (None, Some(only)) => visible(only),
        (None, None) => "everyone".to_owned(),
    }
}

/// Whose answers a stage compares that exposes nobody: `298 rows of golden.parquet`, `12,345 requests mirrored, $3.20`.
fn pairs(of: &PairedFacts) -> String {
    let cost = of.cost_usd.map_or_else(String::new, |cost| format!(", ${cost:.2}"));
    let requests = count(of.requests);
    match &of.log {
        Some(log) => format!("{requests} rows of {}{cost}", visible(&file_name(log))),
        None => format!("{requests} requests mirrored{cost}"),
    }
}

/// The last part of a path.
pub(crate) fn file_name(path: &str) -> String {
    std::path::Path::new(path).file_name().map_or_else(|| path.to_owned(), |name| name.to_string_lossy().into_owned())
}

/// Who the candidate is compared with, in words.
pub(super) fn control(name: &str) -> &'static str {
    if name == "matched" { "as many others" } else { "the rest" }
}

/// Whether a stage simply takes a share of everyone, and compares it with the rest at every look.
pub(super) fn takes_a_share_of_everyone(stage: &StageFacts) -> bool {
    let everyone = stage.only.is_none() && stage.by_segment.is_none() && stage.paired.is_none();
    everyone && stage.control.as_deref() != Some("matched") && stage.quiet_looks == 0
}

/// `96`, or `96, the first 8 quiet`.
pub(super) fn looks(stage: &StageFacts) -> String {
    let all = whole(stage.looks as u64);
    if stage.quiet_looks == 0 { all } else { format!("{all}, the first {} quiet", whole(stage.quiet_looks as u64)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_that_hides_or_reorders_becomes_visible() {
        assert_eq!(visible("a\u{202e}b\nc\u{200b}\u{1b}"), "a\\u{202e}b\\nc\\u{200b}\\u{1b}");
        assert_eq!(short("a rather long name", 9), "a rather…");
        assert_eq!(tail("/long/way/to/log.parquet", 12), "…log.parquet");
    }

    #[test]
    fn numbers_are_written_for_people() {
        assert_eq!(count(1_234_567.4), "1,234,567");
        assert_eq!(count(-1_234.0), "−1,234");
        assert_eq!(count(-0.2), "0");
        assert_eq!(number(0.012_345), "0.0123");
        assert_eq!(number(-12.34), "−12.3");
        assert_eq!(signed(0.5), "+0.500");
        assert_eq!(number(f64::NAN), NONE);
    }

    #[test]
    fn shares_never_round_to_certainty() {
        assert_eq!(percent(0.0), "0 %");
        assert_eq!(percent(0.000_2), "<0.1 %");
        assert_eq!(percent(0.032), "3.2 %");
        assert_eq!(percent(0.05), "5 %");
        assert_eq!(percent(0.996), "99.6 %");
        assert_eq!(percent(0.999_9), ">99.9 %");
        assert_eq!(percent(1.0), "100 %");
        assert_eq!(share(Share { share: 0.93, low: 0.91, high: 0.95 }), "93 % (91–95)");
    }

    #[test]
    fn durations_show_their_two_largest_units() {
        for (seconds, shown) in [
            (45.0, "45s"),
            (900.0, "15m"),
            (3_599.0, "1h"),
            (5_400.0, "1h 30m"),
            (86_399.0, "1d"),
            (183_600.0, "2d 3h"),
            (-3_600.0, "−1h"),
        ] {
            assert_eq!(duration(seconds), shown);
        }
    }
}
