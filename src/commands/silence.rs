//! Metrics whose values leave nothing to decide on: no value, no denominator, no variation.

use crate::digest::cells::{MetricCells, Sums};
use crate::domain::version::{PerVersion, Version};

/// Code and text of the warning about a metric, if its gates cannot speak whatever the traffic.
pub(super) fn of(name: &str, cells: &MetricCells) -> Option<(&'static str, String)> {
    let requests = PerVersion::from_fn(|version| match cells {
        MetricCells::Sums(sums) => sums.version.get(version).n.iter().sum::<f64>(),
        MetricCells::Bins(lists) => lists.get(version).bins.len() as f64,
    });
    for version in Version::BOTH {
        if *requests.get(version) <= 0.0 {
            let text = format!(
                "no request has a value of `{name}` for {}: there is nothing to compare, and as recorded its gates stay inconclusive",
                who(version)
            );
            return Some(("no-values", text));
        }
    }
    match cells {
        MetricCells::Sums(sums) => {
            let found = PerVersion::from_fn(|version| constant(sums.version.get(version)));
            let zero = Version::BOTH.into_iter().find(|&version| *found.get(version) == Some(Constant::Undefined));
            if let Some(version) = zero {
                let text = format!(
                    "the denominator of `{name}` is 0 in every request of {}: the metric has no value, and its gates stay \
                     inconclusive",
                    who(version)
                );
                return Some(("zero-denominator", text));
            }
            let (Some(Constant::Value(stable)), Some(Constant::Value(candidate))) = (found.stable, found.candidate)
            else {
                return None;
            };
            let values = if (stable - candidate).abs() <= 1e-9 * stable.abs() {
                format!("is {stable}")
            } else {
                format!("is {stable} for stable and {candidate} for the candidate")
            };
            Some(("constant", unvaried(name, &values)))
        }
        MetricCells::Bins(lists) => {
            let same = |bins: &[i16]| bins.windows(2).all(|pair| pair[0] == pair[1]);
            let constant = same(&lists.stable.bins) && same(&lists.candidate.bins);
            constant.then(|| ("constant", unvaried(name, "is the same")))
        }
    }
}

fn who(version: Version) -> &'static str {
    match version {
        Version::Stable => "stable",
        Version::Candidate => "the candidate",
    }
}

fn unvaried(name: &str, values: &str) -> String {
    format!(
        "every value of `{name}` {values}: without variation there is no standard error, and gates that need one stay inconclusive"
    )
}

/// What every request says alike.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Constant {
    Value(f64),
    /// A ratio over zero.
    Undefined,
}

/// The ratio of numerator to denominator, if it is the same for every request: then, and only then, the inequality of
/// Cauchy and Schwarz holds with equality.
fn constant(sums: &Sums) -> Option<Constant> {
    let total = |of: &dyn Fn(usize) -> f64| (0..sums.n.len()).map(of).sum::<f64>();
    let num2: f64 = sums.num2.iter().sum();
    let den2 = total(&|cell| sums.den2(cell));
    let numden = total(&|cell| sums.numden(cell));
    if den2 <= 0.0 {
        return Some(Constant::Undefined);
    }
    // Sums are exact to about 12 digits.
    (num2 * den2 - numden * numden <= 1e-11 * num2 * den2).then_some(Constant::Value(numden / den2))
}
