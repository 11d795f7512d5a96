//! Pairs of answers, and their difference with its clustered standard error.

/// Squared influences below this share of the squares of their terms are rounding.
const ROUNDING: f64 = 1e-24;

/// Sums of a metric over the pairs of a unit, or of a unit and an item.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(super) struct Row {
    /// Pairs.
    pub(super) requests: f64,
    /// Numerator and denominator of the candidate's answers.
    pub(super) candidate: (f64, f64),
    /// And of stable's.
    pub(super) stable: (f64, f64),
}

/// All pairs of one question, in rows; those of one unit are neighbours.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Rows {
    pub(super) each: Vec<Row>,
    /// The unit of each row.
    pub(super) unit: Vec<u32>,
    /// The item of each row; empty where nothing is known of items.
    pub(super) item: Vec<u32>,
}

/// What some copies of the units show.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Moments {
    pub(super) candidate: f64,
    pub(super) stable: f64,
    /// Of `candidate - factor * stable`, the larger of both ways; `None` with fewer than two units.
    pub(super) variance: Option<f64>,
    pub(super) units: f64,
    pub(super) requests: f64,
    /// What the requests are worth in units of equal weight.
    pub(super) effective_units: f64,
}

impl Rows {
    /// Both versions' ratios, with the variance of `candidate - factor * stable` over units and, where there are items, over units and items
    /// both. `copies` says how often each unit counts; each copy is a unit of its own. `added` is added to the candidate's numerators.
    ///
    /// # Formula
    /// Influence of a row: `(Yc - Rc Xc) / sum Xc - factor (Ys - Rs Xs) / sum Xs`. By unit: `G/(G-1) sum over units (sum of influences)²`. Both
    /// ways: by unit, plus by item, minus by pair of unit and item; where that is not positive, the larger of the first two. The larger of one
    /// way and both ways is taken. Copies of a unit got one answer to an item: that they agree says nothing of the item, so their products with
    /// each other are left out there, and on average over copies the variance is that of the units as they are.
    ///
    /// # Source
    /// A. C. Cameron, J. B. Gelbach, D. L. Miller (2011), J. Bus. Econ. Stat. 29, 238-249, equation 2.11.
    ///
    /// # Example
    /// Units with (3 of 4, 2 of 4), (1 of 2, 2 of 2) right answers of candidate and stable: 4/6 - 4/6 = 0, influences 1/6 and -1/6, variance
    /// 2 · 2/36 = 1/9.
    pub(super) fn moments(&self, copies: &[f64], added: Option<&[f64]>, factor: f64) -> Option<Moments> {
        let weight = |row: usize| copies[self.unit[row] as usize];
        let y = |row: usize| self.each[row].candidate.0 + added.map_or(0.0, |added| added[row]);
        let (mut c, mut s, mut requests) = ((0.0, 0.0), (0.0, 0.0), 0.0);
        for (index, row) in self.each.iter().enumerate() {
            let w = weight(index);
            c = (c.0 + w * y(index), c.1 + w * row.candidate.1);
            s = (s.0 + w * row.stable.0, s.1 + w * row.stable.1);
            requests += w * row.requests;
        }
        if c.1 <= 0.0 || s.1 <= 0.0 {
            return None;
        }
        let (candidate, stable) = (c.0 / c.1, s.0 / s.1);
        let influence = |index: usize| {
            let row = &self.each[index];
            (y(index) - candidate * row.candidate.1) / c.1 - factor * (row.stable.0 - stable * row.stable.1) / s.1
        };
        // Terms of this size leave that much rounding.
        let size = |index: usize| {
            let row = &self.each[index];
            (y(index) / c.1).powi(2) + (factor * row.stable.0 / s.1).powi(2)
        };
        let mut by_unit = Clusters::default();
        let mut by_pair = Clusters::default();
        // Per item: the sum of influences, and the products of those of copies of one unit with each other.
        let mut by_item: Vec<Option<(f64, f64)>> = Vec::new();
        let (mut xx_candidate, mut xx_stable) = (0.0, 0.0);
        let mut row = 0;
        while row < self.each.len() {
            let (unit, w) = (self.unit[row], weight(row));
            let (mut sum, mut x, mut terms) = (0.0, (0.0, 0.0), 0.0);
            while row < self.each.len() && self.unit[row] == unit {
                let own = influence(row);
                sum += own;
                terms += size(row);
                x = (x.0 + self.each[row].candidate.1, x.1 + self.each[row].stable.1);
                if let Some(&item) = self.item.get(row).filter(|_| w > 0.0) {
                    by_pair.add(w, own);
                    by_item.resize(by_item.len().max(item as usize + 1), None);
                    let (sum, alike) = by_item[item as usize].get_or_insert((0.0, 0.0));
                    *sum += w * own;
                    *alike += w * (w - 1.0) * own * own;
                }
                row += 1;
            }
            by_unit.add(w, if sum * sum > ROUNDING * terms { sum } else { 0.0 });
            xx_candidate += w * x.0 * x.0;
            xx_stable += w * x.1 * x.1;
        }
        let items = by_item.iter().flatten().fold(Clusters::default(), |all, (sum, alike)| Clusters {
            count: all.count + 1.0,
            squares: all.squares + sum * sum - alike,
        });
        let one_way = by_unit.variance();
        let both_ways = one_way.zip(items.variance()).zip(by_pair.variance()).map(|((unit, item), pair)| {
            let variance = unit + item - pair;
            if variance > 0.0 { variance } else { unit.max(item) }
        });
        Some(Moments {
            candidate,
            stable,
            variance: one_way.map(|one_way| one_way.max(both_ways.unwrap_or(0.0))),
            units: by_unit.count,
            requests,
            effective_units: if factor == 0.0 {
                c.1 * c.1 / xx_candidate
            } else {
                (c.1 * c.1 / xx_candidate).min(s.1 * s.1 / xx_stable)
            },
        })
    }
}

/// Sums of influences, squared and added.
#[derive(Debug, Clone, Copy, Default)]
struct Clusters {
    count: f64,
    squares: f64,
}

impl Clusters {
    fn add(&mut self, copies: f64, sum: f64) {
        self.count += copies;
        self.squares += copies * sum * sum;
    }

    fn variance(self) -> Option<f64> {
        (self.count >= 2.0).then(|| self.count / (self.count - 1.0) * self.squares)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Unit, item, right answers of the candidate and of stable, of so many.
    type Asked = (u32, Option<u32>, f64, f64, f64);

    fn rows(of: &[Asked]) -> Rows {
        let row = |&(_, _, candidate, stable, requests): &Asked| Row {
            requests,
            candidate: (candidate, requests),
            stable: (stable, requests),
        };
        Rows {
            each: of.iter().map(row).collect(),
            unit: of.iter().map(|row| row.0).collect(),
            item: of.iter().filter_map(|row| row.1).collect(),
        }
    }

    fn near(found: Option<f64>, expected: f64) {
        assert!(found.is_some_and(|found| (found - expected).abs() < 1e-12), "{found:?}, not {expected}");
    }

    #[test]
    fn influences_of_a_unit_add_up() {
        let two = rows(&[(0, None, 3.0, 2.0, 4.0), (1, None, 1.0, 2.0, 2.0)]);
        let found = two.moments(&[1.0, 1.0], None, 1.0).unwrap();
        near(Some(found.candidate - found.stable), 0.0);
        near(found.variance, 1.0 / 9.0);
        assert_eq!((found.units, found.requests), (2.0, 6.0));
        near(Some(found.effective_units), 36.0 / 20.0);
        // One right answer more of the second unit: 5/6 - 4/6; influences 3/6 - 20/36 - (2/6 - 16/36) = 1/18 and its opposite.
        let more = two.moments(&[1.0, 1.0], Some(&[0.0, 1.0]), 1.0).unwrap();
        near(Some(more.candidate - more.stable), 1.0 / 6.0);
        near(more.variance, 2.0 * 2.0 / 324.0);
    }

    #[test]
    fn what_an_item_does_to_everyone_is_one_finding() {
        // The candidate is right about the first item and wrong about the second, whoever asks.
        let asked = [(0, Some(0), 1.0, 0.0, 1.0), (0, Some(1), 0.0, 0.0, 1.0)];
        let also = [(1, Some(0), 1.0, 0.0, 1.0), (1, Some(1), 0.0, 0.0, 1.0)];
        let both = rows(&[asked, also].concat());
        // Influences ±1/8: by unit 0, by item 2 · 2/16, by both 4/3 · 4/64.
        near(both.moments(&[1.0, 1.0], None, 1.0).unwrap().variance, 0.25 - 1.0 / 12.0);
        let by_unit = Rows { item: Vec::new(), ..both };
        near(by_unit.moments(&[1.0, 1.0], None, 1.0).unwrap().variance, 0.0);
    }

    #[test]
    fn that_copies_agree_says_nothing_of_items() {
        // Everyone asks something else, so items say no more than units do, however often each unit counts.
        let own: Vec<_> =
            (0..400).map(|unit| (unit, Some(unit), f64::from(unit % 3), f64::from(unit % 5), 5.0)).collect();
        let copies: Vec<f64> = (0..400).map(|unit| f64::from(unit * 7 % 4)).collect();
        let of = |rows: &Rows| rows.moments(&copies, None, 1.0).unwrap().variance.unwrap();
        let both = rows(&own);
        let by_unit = Rows { item: Vec::new(), ..both.clone() };
        assert!((of(&both) / of(&by_unit) - 1.0).abs() < 0.01, "{} {}", of(&both), of(&by_unit));
    }

    #[test]
    fn copies_are_units_of_their_own() {
        let once = [(0, None, 3.0, 2.0, 4.0), (0, None, 0.0, 1.0, 2.0), (1, None, 1.0, 2.0, 2.0)];
        let third = [(2, None, 2.0, 0.0, 3.0)];
        let twice = [once[0], once[1]].map(|(_, item, c, s, n)| (3, item, c, s, n));
        let all = rows(&[&once[..], &third, &twice].concat());
        let counted = rows(&[&once[..], &third].concat()).moments(&[2.0, 1.0, 1.0], None, 0.9).unwrap();
        let written_out = all.moments(&[1.0; 4], None, 0.9).unwrap();
        near(counted.variance, written_out.variance.unwrap());
        near(Some(counted.candidate), written_out.candidate);
        assert_eq!((counted.units, counted.requests), (4.0, written_out.requests));
        // A unit without copies is not there.
        let gone = all.moments(&[1.0, 1.0, 1.0, 0.0], None, 0.9).unwrap();
        near(
            gone.variance,
            rows(&[&once[..], &third].concat()).moments(&[1.0; 3], None, 0.9).unwrap().variance.unwrap(),
        );
    }

    #[test]
    fn pairs_say_more_than_arms_where_answers_agree() {
        // Units differ; the candidate is right a little less often than stable, whatever the unit.
        let of = |unit: u32| (unit, None, f64::from(unit % 10), f64::from((unit % 10 + unit % 3).min(10)), 10.0);
        let units: Vec<_> = (0..300).map(of).collect();
        let paired = rows(&units).moments(&vec![1.0; 300], None, 1.0).unwrap().variance.unwrap();
        let arm = |y: fn(&Asked) -> f64| {
            let own: Vec<(f64, f64)> = units.iter().map(|unit| (y(unit), unit.4)).collect();
            crate::stats::cluster::UnitSums::of(&own).ratio_variance().unwrap()
        };
        assert!(paired < (arm(|unit| unit.2) + arm(|unit| unit.3)) / 4.0, "{paired}");
    }

    #[test]
    fn what_does_not_differ_has_no_variance_but_rounding() {
        let alike: Vec<_> =
            (0..50).map(|unit| (unit, None, f64::from(unit) * 0.1, f64::from(unit) * 0.1, 7.0)).collect();
        near(rows(&alike).moments(&[1.0; 50], None, 1.0).unwrap().variance, 0.0);
        let found = rows(&alike).moments(&[1.0; 50], None, 0.99).unwrap().variance.unwrap();
        assert!(found > 0.0, "one in a hundred of each is left");
        assert_eq!(rows(&alike[..1]).moments(&[1.0; 1], None, 1.0).unwrap().variance, None);
        assert_eq!(rows(&alike).moments(&[0.0; 50], None, 1.0), None);
    }
}
