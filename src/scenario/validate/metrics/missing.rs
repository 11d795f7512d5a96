//! `metrics.NAME.null_means` and `worst`: what a missing value of a mirrored request counts as.

use super::super::super::places::At;
use super::super::super::problems::Problems;
use super::super::super::wire::{self, NullMeans};
use crate::domain::metric::{Direction, MetricKind, Nulls};

/// The worst value of a request, where there is one: of a share it follows from the direction, otherwise it is what was written.
pub(super) fn worst(
    metric: &At,
    written: &wire::Metric,
    kind: Option<&MetricKind>,
    better: Direction,
    problems: &mut Problems,
) -> Option<f64> {
    let at = metric.key("worst");
    let own = match (better, kind) {
        (Direction::Higher, Some(kind)) if kind.is_share() => Some(0.0),
        (Direction::Lower, Some(kind)) if kind.is_share() => Some(1.0),
        _ => None,
    };
    let Some(worst) = written.worst else { return own };
    match kind {
        Some(kind) if kind.is_share() => {
            let own = own.unwrap_or_default();
            let message = format!("`{}`: the worst outcome of this proportion is {own}", problems.name(&at));
            problems.add(&at, message, "leave `worst` out")
        }
        Some(MetricKind::Ratio { .. }) => {
            let message =
                format!("`{}` is of a value of a request, which a ratio of two sums does not have", problems.name(&at));
            problems.add(&at, message, "leave `worst` out")
        }
        Some(kind) if kind.quantile().is_some() && worst < 0.0 => {
            problems.wrong(&at, "which is less than 0", format!("a {} is of values of 0 or more", kind.name()))
        }
        _ if !worst.is_finite() || worst.abs() > 1e100 => problems.wrong(&at, "which is no value of a request", ""),
        _ => Some(worst),
    }
}

pub(super) fn nulls(
    metric: &At,
    written: &wire::Metric,
    kind: Option<&MetricKind>,
    problems: &mut Problems,
) -> Option<Nulls> {
    let at = metric.key("null_means");
    let (Some(meaning), Some(kind)) = (written.null_means, kind) else {
        return (!problems.is_broken(&at)).then_some(Nulls::Excluded);
    };
    let is_proportion = kind.is_share();
    match meaning {
        NullMeans::Exclude => Some(Nulls::Excluded),
        NullMeans::Worst | NullMeans::Fail if is_proportion => Some(Nulls::Worst),
        NullMeans::Worst if matches!(kind, MetricKind::Ratio { .. }) => problems.wrong(
            &at,
            "but a ratio of two sums has no worst value",
            "use `exclude`, and gate what makes the nulls (errors) as a proportion",
        ),
        NullMeans::Worst => {
            let given = written.worst.is_some() || problems.is_broken(&metric.key("worst"));
            if given {
                return Some(Nulls::Worst);
            }
            let hint = format!("the value that a missing one of this {} counts as, such as 0 or 60000", kind.name());
            problems.missing(&metric.key("worst"), hint)
        }
        NullMeans::Fail => problems.wrong(
            &at,
            format!("but only a request of a proportion fails, not one of a {}", kind.name()),
            "use `worst` with the value that a missing one counts as, or gate the errors as a proportion",
        ),
    }
}
