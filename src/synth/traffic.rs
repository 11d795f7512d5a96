//! Who asks, and when.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, Exp1, Poisson, StandardNormal};
use rayon::prelude::*;

use super::recipe::{Recipe, Tail};

const BIN_US: i64 = 15 * 60 * 1_000_000;
const HOUR_US: i64 = 4 * BIN_US;
const DAY_US: i64 = 24 * HOUR_US;

/// What a random stream is for: each purpose and index has a stream of its own, so that work can be split anywhere.
#[derive(Debug, Clone, Copy)]
pub(super) enum Purpose {
    /// Weight, arrival and tenant of a user.
    User = 1,
    /// The requests of a user.
    Requests = 2,
    /// The items of one value of their segment.
    Items = 3,
    /// The embeddings of a user, and of all.
    Embeddings = 4,
}

/// The generator of one purpose and index. `ChaCha` is documented to be portable.
pub(super) fn stream(seed: u64, purpose: Purpose, index: usize) -> ChaCha8Rng {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(((purpose as u64) << 56) | index as u64);
    rng
}

/// Weights whose running sums are drawn from.
#[derive(Debug, Clone)]
pub(super) struct Choice {
    running: Vec<f64>,
}

impl Choice {
    /// Weights must not be negative, and one must be positive.
    pub(super) fn new(weights: impl IntoIterator<Item = f64>) -> Self {
        let running = weights
            .into_iter()
            .scan(0.0, |sum, weight| {
                *sum += weight;
                Some(*sum)
            })
            .collect();
        Self { running }
    }

    /// An index, with the probability of its weight.
    pub(super) fn draw(&self, rng: &mut ChaCha8Rng) -> usize {
        let point = rng.random::<f64>() * self.running.last().expect("checked: there is a weight");
        // Rounding may put the point at the very end.
        self.running.partition_point(|sum| *sum <= point).min(self.running.len() - 1)
    }
}

/// One weight of a heavy tail.
pub(super) fn heavy(tail: Tail, rng: &mut ChaCha8Rng) -> f64 {
    let from_zero_excluded = 1.0 - rng.random::<f64>();
    match tail {
        Tail::Pareto(shape) => from_zero_excluded.powf(-1.0 / shape),
        Tail::Zipf(exponent) => from_zero_excluded.powf(-exponent),
        Tail::Lognormal(sigma) => {
            let normal: f64 = StandardNormal.sample(rng);
            (sigma * normal).exp()
        }
    }
}

/// The curve of traffic over the log, as a running share.
#[derive(Debug, Clone)]
pub(super) struct Curve {
    running: Vec<f64>,
}

impl Curve {
    fn new(recipe: &Recipe) -> Self {
        let bins = i64::from(recipe.days) * DAY_US / BIN_US;
        let rates = (0..bins).map(|bin| {
            let moment = recipe.start + bin * BIN_US + BIN_US / 2;
            let hour = moment.rem_euclid(DAY_US) as f64 / HOUR_US as f64;
            let phase = (hour - recipe.traffic.peak_hour) / 24.0 * std::f64::consts::TAU;
            // 1970-01-01 was a Thursday; 0 is Monday.
            let weekend = (moment.div_euclid(DAY_US) + 3).rem_euclid(7) >= 5;
            (1.0 + recipe.traffic.daily_amplitude * phase.cos()) * if weekend { recipe.traffic.weekend } else { 1.0 }
        });
        let mut running = vec![0.0];
        running.extend(Choice::new(rates).running);
        let total = *running.last().expect("starts with 0");
        for share in &mut running {
            *share /= total;
        }
        Self { running }
    }

    /// Share of the traffic before a moment, counted from the start of the log.
    #[expect(clippy::cast_possible_wrap, reason = "a year has fewer than 2^63 bins")]
    fn share_before(&self, offset_us: i64) -> f64 {
        let bin = usize::try_from(offset_us / BIN_US).expect("inside the log").min(self.running.len() - 2);
        let within = (offset_us - bin as i64 * BIN_US) as f64 / BIN_US as f64;
        self.running[bin] + within * (self.running[bin + 1] - self.running[bin])
    }

    /// The inverse: the moment before which this share of the traffic has come.
    #[expect(clippy::cast_possible_truncation, clippy::cast_possible_wrap, reason = "at most a year, in microseconds")]
    fn moment(&self, share: f64) -> i64 {
        let bin = self.running.partition_point(|sum| *sum <= share).clamp(1, self.running.len() - 1) - 1;
        let width = self.running[bin + 1] - self.running[bin];
        let within = if width > 0.0 { (share - self.running[bin]) / width } else { 0.0 };
        bin as i64 * BIN_US + (within * BIN_US as f64) as i64
    }
}

/// Someone who may ask.
#[derive(Debug, Clone, Copy)]
pub(super) struct User {
    /// Expected number of requests.
    expected: f64,
    /// Share of the traffic that had come when the user turned up.
    from: f64,
    /// Index of the tenant; 0 without tenants.
    pub(super) tenant: usize,
}

/// One request's place in time.
#[derive(Debug, Clone, Copy)]
pub(super) struct Arrival {
    /// Microseconds since 1970-01-01 UTC.
    pub(super) moment: i64,
    /// Counted from 0 within the user.
    pub(super) session: u32,
}

/// All users and the curve they follow: everything that must be known at once.
#[derive(Debug, Clone)]
pub(super) struct Traffic {
    /// By index.
    pub(super) users: Vec<User>,
    curve: Curve,
    start: i64,
    end: i64,
    session_requests: f64,
    gap_us: f64,
}

impl Traffic {
    pub(super) fn new(recipe: &Recipe) -> Self {
        let curve = Curve::new(recipe);
        let length = i64::from(recipe.days) * DAY_US;
        let tenants = recipe.tenants.as_ref().map(|tenants| {
            let mut rng = stream(recipe.seed, Purpose::User, usize::MAX >> 8);
            Choice::new((0..tenants.count).map(|_| heavy(tenants.tail, &mut rng)))
        });
        let mut users: Vec<User> = (0..recipe.users.count as usize)
            .into_par_iter()
            .map(|index| {
                let mut rng = stream(recipe.seed, Purpose::User, index);
                let weight = heavy(recipe.users.tail, &mut rng);
                let present = rng.random::<f64>() < recipe.users.present;
                let turned_up = curve.share_before(rng.random_range(0..length));
                let from = if present { 0.0 } else { turned_up };
                let tenant = tenants.as_ref().map_or(0, |tenants| tenants.draw(&mut rng));
                User { expected: weight * (1.0 - from), from, tenant }
            })
            .collect();
        spread(&mut users, recipe.requests, recipe.users.largest);
        Self {
            users,
            curve,
            start: recipe.start,
            end: recipe.start + length,
            session_requests: recipe.sessions.requests,
            gap_us: recipe.sessions.gap_s * 1e6,
        }
    }

    /// The moment before which this share of the traffic comes, in microseconds since 1970-01-01 UTC.
    pub(super) fn moment(&self, share: f64) -> i64 {
        self.start + self.curve.moment(share)
    }

    /// The requests of one user, session by session; sessions are in order, and requests within a session.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "counts, and gaps of days in microseconds"
    )]
    pub(super) fn arrivals(&self, user: User, rng: &mut ChaCha8Rng) -> Vec<Arrival> {
        // A user may be expected to send next to nothing, which `Poisson` refuses.
        let sessions = Poisson::new(user.expected / self.session_requests).map_or(0.0, |poisson| poisson.sample(rng));
        let mut starts: Vec<i64> = (0..sessions as u64)
            .map(|_| self.curve.moment(user.from + rng.random::<f64>() * (1.0 - user.from)))
            .collect();
        starts.sort_unstable();
        let ends = 1.0 / self.session_requests;
        let mut arrivals = Vec::new();
        for (session, start) in (0..).zip(starts) {
            let mut moment = self.start + start;
            while moment < self.end {
                arrivals.push(Arrival { moment, session });
                if rng.random::<f64>() < ends {
                    break;
                }
                let gap: f64 = Exp1.sample(rng);
                moment += (gap * self.gap_us) as i64;
            }
        }
        arrivals
    }
}

/// Scales what is expected of users to a total, and cuts the heaviest at a share of it.
fn spread(users: &mut [User], requests: f64, largest: f64) {
    let limit = largest * requests;
    let weights: f64 = users.iter().map(|user| user.expected).sum();
    for user in &mut *users {
        user.expected *= requests / weights;
    }
    // What is cut goes to the others, some of whom may then be above the limit themselves.
    while users.iter().any(|user| user.expected > limit) {
        for user in &mut *users {
            user.expected = user.expected.min(limit);
        }
        let free: f64 = users.iter().map(|user| user.expected).filter(|expected| *expected < limit).sum();
        let cut = users.iter().filter(|user| user.expected >= limit).count() as f64 * limit;
        for user in users.iter_mut().filter(|user| user.expected < limit) {
            user.expected *= (requests - cut) / free;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_follow_the_weights() {
        let choice = Choice::new([1.0, 0.0, 3.0]);
        let mut rng = stream(1, Purpose::Items, 0);
        let mut counts = [0; 3];
        for _ in 0..4000 {
            counts[choice.draw(&mut rng)] += 1;
        }
        assert_eq!(counts[1], 0);
        // Standard deviation of the count is 27.
        assert!((counts[0] - 1000_i32).abs() < 110, "{counts:?}");
    }

    #[test]
    fn the_heaviest_user_is_cut_and_the_total_kept() {
        let mut users: Vec<User> =
            [1000.0, 500.0, 1.0, 1.0, 1.0].map(|expected| User { expected, from: 0.0, tenant: 0 }).into();
        spread(&mut users, 100.0, 0.4);
        assert!(users.iter().all(|user| user.expected <= 40.0 + 1e-9));
        assert!((users.iter().map(|user| user.expected).sum::<f64>() - 100.0).abs() < 1e-6);
    }
}
