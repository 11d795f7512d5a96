//! What a judge that samples or errs costs: the variance that would be left with a full judge, and with one that never errs.

use super::curve::Census;
use crate::digest::Digest;
use crate::digest::cells::MetricCells;
use crate::domain::metric::{Judge, Metric};
use crate::gate::question::Question;
use crate::simulate::layout::{Layout, Shape, Slice};
use crate::stats::{misclassification, subsampling};

/// A choice of the judge, and the share of the variance that is left without it, by look; in its place why that is not known.
pub(super) struct Cost {
    /// As in the price list.
    pub(super) of: &'static str,
    /// Per look of a census; not a number where there is no variance yet.
    pub(super) left: Result<Vec<f64>, &'static str>,
}

/// What the judge of a question's metric costs.
pub(super) fn costs(
    metric: &Metric,
    index: usize,
    question: Question,
    digest: &Digest,
    census: &Census<'_>,
    looks: usize,
) -> Vec<Cost> {
    let Judge { share, errors, .. } = metric.judge;
    if share.is_none() && errors.is_none() {
        return Vec::new();
    }
    let requests = if metric.kind.is_rare() {
        Err("a unit counts once, and the digest does not hold which other events of it a judge would have seen")
    } else if census.asker.gate.covariate {
        Err("what stable answered is taken out, and the digest does not hold how much of a request that leaves")
    } else {
        Requests::of(digest, index, question, census.asker.layout)
    };
    let with = |of: &'static str, left: &dyn Fn(&Requests, f64, f64) -> f64| {
        let at = |requests: &Requests, look: usize| {
            let (q, x) = residuals(census, look);
            left(requests, q, x)
        };
        let left = requests.as_ref().map_err(|why| *why);
        Cost { of, left: left.map(|requests| (0..looks).map(|look| at(requests, look)).collect()) }
    };
    let mut costs = Vec::new();
    if let Some(share) = share {
        let full = move |of: &Requests, q: f64, x: f64| subsampling::with_all_measured(share, q, of.squares * x);
        costs.push(with("judge sampling", &full));
    }
    if let Some(errors) = errors {
        let without = move |of: &Requests, q: f64, x: f64| {
            1.0 - misclassification::noise(of.mean.clamp(0.0, 1.0), errors.sensitivity, errors.specificity) * x / q
        };
        costs.push(with("judge errors", &without));
    }
    costs
}

/// Squared residuals of everybody's units at a look, and their judged requests, under stable's answers.
fn residuals(census: &Census<'_>, look: usize) -> (f64, f64) {
    let Some(sums) = census.stable(look).filter(|sums| sums.x > 0.0) else { return (f64::NAN, f64::NAN) };
    let ratio = sums.y / sums.x;
    (sums.yy - 2.0 * ratio * sums.yx + ratio * ratio * sums.xx, sums.x)
}

/// Stable's judged requests over the whole log, of one slice: what of them does not depend on how long one looks.
struct Requests {
    /// The ratio.
    mean: f64,
    /// Squared residual of a request, per unit of the denominator.
    squares: f64,
}

impl Requests {
    fn of(digest: &Digest, metric: usize, question: Question, layout: &Layout) -> Result<Self, &'static str> {
        if let Shape::Grid(grid) = &layout.shapes[metric] {
            return Ok(Self { mean: grid.tail, squares: grid.tail * (1.0 - grid.tail) });
        }
        let MetricCells::Sums(sums) = &digest.cells.metrics[metric] else {
            return Err("the digest holds no sums of it");
        };
        let stable = &sums.version.stable;
        let slice = layout.slices[question.slice];
        let inside = |cell: &usize| match slice {
            Slice::Overall => true,
            Slice::Segment { column, value } => usize::from(digest.cells.segment[column][*cell]) == value,
        };
        let (mut y, mut x, mut yy, mut yx, mut xx) = (0.0, 0.0, 0.0, 0.0, 0.0);
        for cell in (0..digest.cells.len()).filter(inside) {
            y += stable.num[cell];
            x += stable.den(cell);
            yy += stable.num2[cell];
            yx += stable.numden(cell);
            xx += stable.den2(cell);
        }
        if x <= 0.0 {
            return Err("stable has no judged request in it");
        }
        let mean = y / x;
        Ok(Self { mean, squares: (yy - 2.0 * mean * yx + mean * mean * xx).max(0.0) / x })
    }
}
