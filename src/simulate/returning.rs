//! How alike units are from stage to stage: what makes the statistics of two stages correlate.

use super::Simulator;
use super::cells::FlatMetric;
use super::layout::{Shape, Slice};

/// What is asked of the units.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Asked {
    /// Index of the slice.
    pub slice: usize,
    /// Index of the metric.
    pub metric: usize,
    /// Of a quantile: index of the threshold of its grid.
    pub threshold: Option<usize>,
}

/// Per stage, look of it, and earlier stage: correlation of the units' residuals; zero where either has none.
pub type ReturningUnits = Vec<Vec<Vec<f64>>>;

/// One unit's totals of a metric in a stage.
#[derive(Debug, Clone, Copy, Default)]
struct Total {
    y: f64,
    x: f64,
}

/// Sums over units: of both totals, of their squares, and of each earlier stage's residuals times both.
struct Sums {
    y: f64,
    x: f64,
    yy: f64,
    yx: f64,
    xx: f64,
    earlier: Vec<Total>,
}

impl Sums {
    /// Correlations of the residuals `Y - R X` with earlier ones, whose sums of squares are given.
    fn correlations(&self, squares: &[f64]) -> Vec<f64> {
        let ratio = if self.x > 0.0 { self.y / self.x } else { 0.0 };
        let own = self.yy - 2.0 * ratio * self.yx + ratio * ratio * self.xx;
        let with = |(sums, &square): (&Total, &f64)| {
            let scale = (own * square).sqrt();
            if scale > 0.0 { ((sums.y - ratio * sums.x) / scale).clamp(-1.0, 1.0) } else { 0.0 }
        };
        self.earlier.iter().zip(squares).map(with).collect()
    }
}

/// What a census of a stage, cut into steps of some looks, says of how units' residuals vary and return.
#[derive(Debug, Clone, PartialEq)]
pub struct Steps {
    /// Per step: the sum below the line.
    pub x: Vec<f64>,
    /// Per step and step: sums over units of the products of their residuals.
    pub products: Vec<Vec<f64>>,
}

impl Simulator {
    /// How the units' residuals under stable's answers in each step of a stage go together with those in the others.
    ///
    /// # Formula
    /// `sum e_ju e_ku` over all units, `e = Y - R X` of a unit's totals in a step, `R` the ratio of all units over the stage.
    #[must_use]
    pub fn steps(&self, start_slot: usize, stage: usize, looks_per_step: usize, asked: Asked) -> Steps {
        let plan = self.plan[stage];
        let begin = start_slot + self.plan[..stage].iter().map(|before| before.slots).sum::<usize>();
        let mut slot = begin;
        let steps = plan.looks() / looks_per_step.max(1);
        let mut totals: Vec<Vec<(usize, Total)>> = vec![Vec::new(); self.units()];
        let mut all = Total::default();
        let mut x = vec![0.0; steps];
        for (step, x) in x.iter_mut().enumerate() {
            for _ in 0..looks_per_step * plan.slots_per_look {
                for cell in self.cells_of(slot).filter(|&cell| self.compares(cell, begin)) {
                    let Some((dy, dx)) = self.added(cell, asked, Total::default()) else { continue };
                    let of_unit = &mut totals[self.cells.unit[cell] as usize];
                    match of_unit.last_mut() {
                        Some((last, total)) if *last == step => *total = Total { y: total.y + dy, x: total.x + dx },
                        _ => of_unit.push((step, Total { y: dy, x: dx })),
                    }
                    all = Total { y: all.y + dy, x: all.x + dx };
                    *x += dx;
                }
                slot += 1;
            }
        }
        let ratio = if all.x > 0.0 { all.y / all.x } else { 0.0 };
        let mut products = vec![vec![0.0; steps]; steps];
        for of_unit in &totals {
            for &(one, first) in of_unit {
                for &(other, second) in of_unit {
                    products[one][other] += (first.y - ratio * first.x) * (second.y - ratio * second.x);
                }
            }
        }
        Steps { x, products }
    }

    /// How the units' residuals under stable's answers in each stage of the schedule correlate with those in the stages before.
    ///
    /// # Formula
    /// `sum e_ju e_ku / sqrt(sum e_ju^2 sum e_ku^2)` over all units, `e = Y - R X` of a unit's totals since the stage began (`R` the ratio
    /// over all units); the later stage at each of its looks, the earlier ones at their ends.
    ///
    /// # Source
    /// Influence functions of a ratio: A. Deng, U. Knoblich, J. Lu (2018), KDD.
    #[must_use]
    pub fn returning_units(&self, start_slot: usize, asked: Asked) -> ReturningUnits {
        let mut ended: Vec<Vec<f64>> = Vec::new();
        let mut squares: Vec<f64> = Vec::new();
        let mut slot = start_slot;
        let mut stages = ReturningUnits::new();
        for plan in &self.plan {
            let mut totals = vec![Total::default(); self.units()];
            let nothing = vec![Total::default(); ended.len()];
            let mut sums = Sums { y: 0.0, x: 0.0, yy: 0.0, yx: 0.0, xx: 0.0, earlier: nothing };
            let mut looks = Vec::with_capacity(plan.looks());
            let begin = slot;
            for _ in 0..plan.looks() {
                for _ in 0..plan.slots_per_look {
                    for cell in self.cells_of(slot).filter(|&cell| self.compares(cell, begin)) {
                        self.add_returning(cell, asked, &ended, &mut totals, &mut sums);
                    }
                    slot += 1;
                }
                looks.push(sums.correlations(&squares));
            }
            let ratio = if sums.x > 0.0 { sums.y / sums.x } else { 0.0 };
            let residuals: Vec<f64> = totals.iter().map(|total| total.y - ratio * total.x).collect();
            squares.push(residuals.iter().map(|e| e * e).sum());
            ended.push(residuals);
            stages.push(looks);
        }
        stages
    }

    /// Whether a stage that begins at this slot compares a cell's unit: not a session that began before.
    fn compares(&self, cell: usize, begin: usize) -> bool {
        self.sessions.as_ref().is_none_or(|sessions| sessions.first[self.cells.unit[cell] as usize] >= begin)
    }

    /// What a cell adds to its unit's totals; nothing outside the slice.
    fn added(&self, cell: usize, asked: Asked, before: Total) -> Option<(f64, f64)> {
        if let Slice::Segment { column, value } = self.layout.slices[asked.slice]
            && usize::from(self.cells.segment[column][cell]) != value
        {
            return None;
        }
        let (dy, dx) = match (&self.cells.metrics[asked.metric], &self.layout.shapes[asked.metric]) {
            (FlatMetric::Sums(place), _) => {
                let inputs = self.cells.inputs(cell);
                (inputs[*place], inputs[place + 1])
            }
            (FlatMetric::Firsts(place), _) => {
                // A unit counts once.
                let inputs = self.cells.inputs(cell);
                let Total { y, x } = before;
                let first = |now: f64, before: f64| f64::from(u8::from(now > 0.0 && before == 0.0));
                (first(inputs[*place], y), first(inputs[place + 1], x))
            }
            (FlatMetric::Bins(lists), Shape::Grid(grid)) => {
                let bins = lists.stable.of(cell);
                let threshold = grid.bins[asked.threshold.unwrap_or(grid.quantile_range.0)];
                ((bins.len() - bins.partition_point(|&bin| bin <= threshold)) as f64, bins.len() as f64)
            }
            (FlatMetric::Bins(_), Shape::Moments) => unreachable!("bins belong to a quantile metric"),
        };
        (dy != 0.0 || dx != 0.0).then_some((dy, dx))
    }

    fn add_returning(&self, cell: usize, asked: Asked, ended: &[Vec<f64>], totals: &mut [Total], sums: &mut Sums) {
        let unit = self.cells.unit[cell] as usize;
        let Total { y, x } = totals[unit];
        let Some((dy, dx)) = self.added(cell, asked, totals[unit]) else { return };
        sums.yy += dy * (2.0 * y + dy);
        sums.yx += y * dx + x * dy + dy * dx;
        sums.xx += dx * (2.0 * x + dx);
        sums.y += dy;
        sums.x += dx;
        totals[unit] = Total { y: y + dy, x: x + dx };
        for (sums, residuals) in sums.earlier.iter_mut().zip(ended) {
            sums.y += residuals[unit] * dy;
            sums.x += residuals[unit] * dx;
        }
    }
}
