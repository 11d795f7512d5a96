//! What both versions answer.
//!
//! Each outcome has a level per combination of segment values: a rate, a mean or a median, on the scale on which users and
//! items vary. Levels of rates and means are solved so that the average over users and items is the number in the
//! recipe: a planted change of 1 % is 1 % of the rate, not of the odds.

use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};
use statrs::function::erf::erfc;

use super::recipe::{Amount, Binary, ByValue, Cost, Metric, Only, Recipe, Score, Segment};
use crate::domain::version::{PerVersion, Version};

/// Latent quantities that users, items and requests have one of each.
#[derive(Debug, Clone, Copy)]
enum Latent {
    Error,
    Success,
    Quality,
    Severe,
    Citation,
    Latency,
    Slow,
    Tokens,
    Prompt,
    Retry,
}

const LATENTS: usize = 10;

/// One standard normal of each latent quantity.
#[derive(Debug, Clone, Copy)]
pub(super) struct Normals([f64; LATENTS]);

impl Normals {
    /// No deviation from the average.
    pub(super) const NONE: Self = Self([0.0; LATENTS]);

    pub(super) fn draw(rng: &mut ChaCha8Rng) -> Self {
        Self(std::array::from_fn(|_| StandardNormal.sample(rng)))
    }

    fn get(&self, latent: Latent) -> f64 {
        self.0[latent as usize]
    }
}

/// What a request's outcomes depend on besides its own luck.
#[derive(Debug, Clone, Copy)]
pub(super) struct Setting<'a> {
    /// Index of the combination of segment values.
    pub(super) combination: usize,
    /// The user's.
    pub(super) user: &'a Normals,
    /// What the candidate changes for the user.
    pub(super) user_change: &'a Normals,
    /// The item's.
    pub(super) item: &'a Normals,
}

/// What one version answered; outcomes that the recipe does not make are `None` or 0.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Answer {
    pub(super) error: Option<bool>,
    pub(super) success: Option<bool>,
    pub(super) quality: Option<f64>,
    pub(super) severe: Option<bool>,
    pub(super) citation_valid: Option<bool>,
    pub(super) latency_ms: f64,
    pub(super) output_tokens: i32,
    pub(super) cost_usd: f64,
    pub(super) retry: Option<bool>,
}

/// Draws outcomes of requests.
#[derive(Debug, Clone)]
pub(super) struct Model {
    error: Option<Coin>,
    success: Option<Coin>,
    severe: Option<Coin>,
    citation: Option<Coin>,
    retry: Option<PerOutcome>,
    quality: Option<(Score, Levels)>,
    latency: Option<(Amount, Levels)>,
    tokens: Option<(Amount, Levels)>,
    cost: Option<(Cost, Levels)>,
}

/// Whether the user asks again depends on how the task ended.
#[derive(Debug, Clone)]
struct PerOutcome {
    success: Coin,
    failure: Coin,
}

type Levels = PerVersion<Vec<f64>>;

/// A 0/1 outcome with its levels on the logit scale.
#[derive(Debug, Clone)]
struct Coin {
    binary: Binary,
    latent: Latent,
    levels: Levels,
    /// By combination: false where the outcome is null.
    made: Vec<bool>,
}

impl Coin {
    fn new(recipe: &Recipe, metric: Metric, latent: Latent, binary: &Binary) -> Self {
        let levels = PerVersion::from_fn(|version| {
            let deviations = [binary.user_sd, binary.item_sd, candidate_only(version, binary.change_sd)];
            let mut solver = Solver::new(&deviations);
            combinations(recipe)
                .map(|values| {
                    let rate = rate_at(&recipe.segments, binary.rate, &binary.rates, &values);
                    solver.level(changed(recipe, metric, version, rate, &values))
                })
                .collect()
        });
        let made = combinations(recipe).map(|values| belongs(&recipe.segments, &binary.only, &values)).collect();
        Self { binary: binary.clone(), latent, levels, made }
    }

    fn toss(&self, version: Version, setting: Setting, luck: &Luck) -> Option<bool> {
        let binary = &self.binary;
        let logit = self.levels.get(version)[setting.combination]
            + binary.user_sd * setting.user.get(self.latent)
            + binary.item_sd * setting.item.get(self.latent)
            + candidate_only(version, binary.change_sd) * setting.user_change.get(self.latent);
        self.made[setting.combination]
            .then(|| below(luck.get(self.latent, binary.agreement, version)) < logistic(logit))
    }
}

/// A request's own normals: what both versions share, and what each has alone.
#[derive(Debug, Clone, Copy)]
struct Luck {
    shared: Normals,
    own: PerVersion<Normals>,
}

impl Luck {
    fn draw(rng: &mut ChaCha8Rng) -> Self {
        Self { shared: Normals::draw(rng), own: PerVersion::from_fn(|_| Normals::draw(rng)) }
    }

    /// A standard normal that correlates between the versions by `agreement`.
    fn get(&self, latent: Latent, agreement: f64, version: Version) -> f64 {
        agreement.sqrt() * self.shared.get(latent) + (1.0 - agreement).sqrt() * self.own.get(version).get(latent)
    }
}

impl Model {
    pub(super) fn new(recipe: &Recipe) -> Self {
        let outcomes = &recipe.outcomes;
        let coin = |metric, latent, binary: &Option<Binary>| {
            binary.as_ref().map(|binary| Coin::new(recipe, metric, latent, binary))
        };
        let quality = outcomes.quality.as_ref().map(|score| {
            let levels = PerVersion::from_fn(|version| {
                let change = candidate_only(version, score.change_sd);
                let mut solver = Solver::new(&[score.sd, score.user_sd, score.item_sd, change]);
                combinations(recipe)
                    .map(|values| {
                        let mean = rate_at(&recipe.segments, score.mean, &score.means, &values);
                        solver.level(changed(recipe, Metric::Quality, version, mean, &values))
                    })
                    .collect()
            });
            (score.clone(), levels)
        });
        let amount = |metric, amount: &Option<Amount>| {
            amount.as_ref().map(|amount| (amount.clone(), amount_levels(recipe, metric, amount)))
        };
        let retry = outcomes.retry.as_ref().map(|retry| {
            let coin = |rate| {
                let binary = Binary {
                    rate,
                    rates: ByValue::new(),
                    user_sd: retry.user_sd,
                    change_sd: 0.0,
                    item_sd: 0.0,
                    agreement: retry.agreement,
                    only: Only::new(),
                };
                Coin::new(recipe, Metric::Retry, Latent::Retry, &binary)
            };
            PerOutcome { success: coin(retry.rate), failure: coin(retry.after_failure) }
        });
        Self {
            error: coin(Metric::Error, Latent::Error, &outcomes.error),
            success: coin(Metric::Success, Latent::Success, &outcomes.success),
            severe: coin(Metric::Severe, Latent::Severe, &outcomes.severe),
            citation: coin(Metric::CitationValid, Latent::Citation, &outcomes.citation_valid),
            retry,
            quality,
            latency: amount(Metric::LatencyMs, &outcomes.latency_ms),
            tokens: amount(Metric::OutputTokens, &outcomes.output_tokens),
            cost: outcomes.cost_usd.as_ref().map(|cost| (cost.clone(), cost_levels(recipe))),
        }
    }

    /// Both versions' answers to one request. Takes the same number of draws whatever the recipe makes, so that
    /// describing one outcome more leaves the others as they were.
    pub(super) fn answer(&self, setting: Setting, rng: &mut ChaCha8Rng) -> PerVersion<Answer> {
        let luck = Luck::draw(rng);
        let multiples = PerVersion::from_fn(|_| 1.0 - rng.random::<f64>());
        PerVersion::from_fn(|version| self.answer_of(version, setting, &luck, *multiples.get(version)))
    }

    fn answer_of(&self, version: Version, setting: Setting, luck: &Luck, multiple: f64) -> Answer {
        let toss = |coin: &Option<Coin>| coin.as_ref().and_then(|coin| coin.toss(version, setting, luck));
        let error = toss(&self.error);
        let failed = error == Some(true);
        let success = toss(&self.success).map(|success| success && !failed);
        let output_tokens = self.tokens.as_ref().map_or(0.0, |(amount, levels)| {
            let normal = luck.get(Latent::Tokens, amount.agreement, version);
            let tokens = spread_amount(amount, levels.get(version), setting, Latent::Tokens, normal);
            tokens.min(amount.max.unwrap_or(f64::from(i32::MAX))).round().max(1.0)
        });
        #[expect(clippy::cast_possible_truncation, reason = "cut at the largest 32-bit integer")]
        Answer {
            error,
            success,
            quality: self.quality(version, setting, luck).filter(|_| !failed),
            severe: toss(&self.severe).filter(|_| !failed),
            citation_valid: toss(&self.citation).filter(|_| !failed),
            latency_ms: self.latency_ms(version, setting, luck, multiple),
            output_tokens: output_tokens as i32,
            cost_usd: self.cost_usd(version, setting, luck, output_tokens),
            retry: self.retry.as_ref().and_then(|retry| {
                let coin = if success == Some(false) || failed { &retry.failure } else { &retry.success };
                coin.toss(version, setting, luck)
            }),
        }
    }

    fn quality(&self, version: Version, setting: Setting, luck: &Luck) -> Option<f64> {
        let (score, levels) = self.quality.as_ref()?;
        let blend = |success: f64, own: f64| {
            score.with_success * success + (1.0 - score.with_success * score.with_success).sqrt() * own
        };
        let of = |normals: &Normals| blend(normals.get(Latent::Success), normals.get(Latent::Quality));
        // A task succeeds where its normal is low, so the sign turns.
        let agreement = self.success.as_ref().map_or(0.0, |coin| coin.binary.agreement);
        let request =
            blend(-luck.get(Latent::Success, agreement, version), luck.get(Latent::Quality, score.agreement, version));
        let logit = levels.get(version)[setting.combination]
            + score.user_sd * of(setting.user)
            + score.item_sd * of(setting.item)
            + candidate_only(version, score.change_sd) * of(setting.user_change)
            + score.sd * request;
        Some(round(logistic(logit), 1e3))
    }

    fn latency_ms(&self, version: Version, setting: Setting, luck: &Luck, multiple: f64) -> f64 {
        let Some((amount, levels)) = &self.latency else { return 0.0 };
        let tokens_agreement = self.tokens.as_ref().map_or(0.0, |(tokens, _)| tokens.agreement);
        let normal = amount.with_tokens * luck.get(Latent::Tokens, tokens_agreement, version)
            + (1.0 - amount.with_tokens * amount.with_tokens).sqrt()
                * luck.get(Latent::Latency, amount.agreement, version);
        let mut latency_ms = spread_amount(amount, levels.get(version), setting, Latent::Latency, normal);
        if let Some(slow) = amount.slow
            && below(luck.get(Latent::Slow, amount.agreement, version)) < slow.share
        {
            latency_ms *= multiple.powf(-1.0 / slow.pareto);
        }
        round(latency_ms.min(amount.max.unwrap_or(f64::INFINITY)), 1.0)
    }

    fn cost_usd(&self, version: Version, setting: Setting, luck: &Luck, output_tokens: f64) -> f64 {
        let Some((cost, levels)) = &self.cost else { return 0.0 };
        let prompt = cost.per_request * (cost.sd * luck.shared.get(Latent::Prompt)).exp();
        round(levels.get(version)[setting.combination] * (prompt + cost.per_output_token * output_tokens), 1e7)
    }
}

/// A lognormal amount of a user, an item and a request.
fn spread_amount(amount: &Amount, levels: &[f64], setting: Setting, latent: Latent, request: f64) -> f64 {
    let deviation =
        amount.user_sd * setting.user.get(latent) + amount.item_sd * setting.item.get(latent) + amount.sd * request;
    levels[setting.combination] * deviation.exp()
}

/// The medians of each combination.
fn amount_levels(recipe: &Recipe, metric: Metric, amount: &Amount) -> Levels {
    PerVersion::from_fn(|version| {
        combinations(recipe)
            .map(|values| {
                let ratio: f64 =
                    stated(&recipe.segments, &amount.medians, &values).map(|median| median / amount.median).product();
                changed(recipe, metric, version, amount.median * ratio, &values)
            })
            .collect()
    })
}

/// The factors on cost of each combination.
fn cost_levels(recipe: &Recipe) -> Levels {
    PerVersion::from_fn(|version| {
        combinations(recipe).map(|values| changed(recipe, Metric::CostUsd, version, 1.0, &values)).collect()
    })
}

/// The first rate or mean of the candidate, and its segments, that the recipe's changes push out of (0, 1).
pub(super) fn level_out_of_range(recipe: &Recipe, metric: Metric) -> Option<(f64, String)> {
    let outcomes = &recipe.outcomes;
    let binary = |binary: &Option<Binary>| binary.as_ref().map(|binary| vec![(binary.rate, binary.rates.clone())]);
    let bases = match metric {
        Metric::Error => binary(&outcomes.error),
        Metric::Success => binary(&outcomes.success),
        Metric::Severe => binary(&outcomes.severe),
        Metric::CitationValid => binary(&outcomes.citation_valid),
        Metric::Quality => outcomes.quality.as_ref().map(|score| vec![(score.mean, score.means.clone())]),
        Metric::Retry => outcomes
            .retry
            .as_ref()
            .map(|retry| vec![(retry.rate, ByValue::new()), (retry.after_failure, ByValue::new())]),
        Metric::LatencyMs | Metric::OutputTokens | Metric::CostUsd => None,
    }?;
    bases.iter().find_map(|(base, by)| {
        combinations(recipe).find_map(|values| {
            let rate = rate_at(&recipe.segments, *base, by, &values);
            let rate = changed(recipe, metric, Version::Candidate, rate, &values);
            let names =
                recipe.segments.iter().zip(&values).map(|(segment, value)| format!("{} = {value}", segment.column));
            // Rounded for reading; 1e-9 hides the binary rounding of sums.
            (!(1e-9..=1.0 - 1e-9).contains(&rate)).then(|| (round(rate, 1e9), names.collect::<Vec<_>>().join(", ")))
        })
    })
}

/// Every combination of segment values, the last column varying fastest; one empty combination without segments.
pub(super) fn combinations(recipe: &Recipe) -> impl Iterator<Item = Vec<&str>> {
    let values: Vec<Vec<&str>> =
        recipe.segments.iter().map(|segment| segment.shares.keys().map(String::as_str).collect()).collect();
    let count: usize = values.iter().map(Vec::len).product();
    (0..count).map(move |mut index| {
        let mut combination: Vec<&str> = values
            .iter()
            .rev()
            .map(|values| {
                let value = values[index % values.len()];
                index /= values.len();
                value
            })
            .collect();
        combination.reverse();
        combination
    })
}

/// Whether every column named holds one of its values.
pub(super) fn belongs(segments: &[Segment], only: &Only, values: &[&str]) -> bool {
    segments.iter().zip(values).all(|(segment, value)| {
        only.get(&segment.column).is_none_or(|allowed| allowed.iter().any(|allowed| allowed == value))
    })
}

/// The numbers stated for these values.
pub(super) fn stated<'a>(
    segments: &'a [Segment],
    by: &'a ByValue,
    values: &'a [&str],
) -> impl Iterator<Item = f64> + use<'a> {
    segments.iter().zip(values).filter_map(|(segment, value)| by.get(&segment.column)?.get(*value).copied())
}

/// A rate or mean where several columns add on the logit scale.
fn rate_at(segments: &[Segment], base: f64, by: &ByValue, values: &[&str]) -> f64 {
    let mut stated = stated(segments, by, values).peekable();
    if stated.peek().is_none() {
        return base;
    }
    logistic(logit(base) + stated.map(|rate| logit(rate) - logit(base)).sum::<f64>())
}

/// A level after the recipe's changes.
fn changed(recipe: &Recipe, metric: Metric, version: Version, level: f64, values: &[&str]) -> f64 {
    if version == Version::Stable {
        return level;
    }
    let apply = recipe
        .changes
        .iter()
        .filter(|change| change.metric == metric && belongs(&recipe.segments, &change.only, values));
    apply.fold(level, |level, change| level * change.scale + change.shift)
}

fn candidate_only(version: Version, value: f64) -> f64 {
    match version {
        Version::Stable => 0.0,
        Version::Candidate => value,
    }
}

fn logit(p: f64) -> f64 {
    (p / (1.0 - p)).ln()
}

fn logistic(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

/// The standard normal distribution function: the share of luck below this one.
fn below(z: f64) -> f64 {
    0.5 * erfc(-z / std::f64::consts::SQRT_2)
}

/// Rounds to `1 / per_unit`. It makes files small and hides the last-digit differences between mathematics libraries.
fn round(value: f64, per_unit: f64) -> f64 {
    (value * per_unit).round() / per_unit
}

/// Solves `E[logistic(level + sd * Z)] = mean` for the level.
struct Solver {
    sd: f64,
    /// The last solution: combinations often repeat a mean.
    last: Option<(f64, f64)>,
}

impl Solver {
    fn new(deviations: &[f64]) -> Self {
        Self { sd: deviations.iter().map(|sd| sd * sd).sum::<f64>().sqrt(), last: None }
    }

    fn level(&mut self, mean: f64) -> f64 {
        if let Some((known, level)) = self.last
            && known.to_bits() == mean.to_bits()
        {
            return level;
        }
        // The average pulls towards 1/2, so the level lies beyond logit(mean) by no more than the tails reach.
        let (mut low, mut high) = (logit(mean) - 1.0 - 9.0 * self.sd, logit(mean) + 1.0 + 9.0 * self.sd);
        for _ in 0..60 {
            let middle = f64::midpoint(low, high);
            if self.mean(middle) < mean {
                low = middle;
            } else {
                high = middle;
            }
        }
        let level = f64::midpoint(low, high);
        self.last = Some((mean, level));
        level
    }

    /// Trapezoid rule, which converges faster than any power for functions as smooth as this one.
    fn mean(&self, level: f64) -> f64 {
        if self.sd == 0.0 {
            return logistic(level);
        }
        let nodes = (-32..=32).map(|step| f64::from(step) * 0.25);
        let (sum, weights) = nodes.fold((0.0, 0.0), |(sum, weights), z| {
            let weight = (-0.5 * z * z).exp();
            (sum + weight * logistic(level + self.sd * z), weights + weight)
        });
        sum / weights
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn solved_levels_give_the_mean_back() {
        for sd in [0.0, 0.4, 1.5] {
            for mean in [0.0006, 0.1, 0.5, 0.93] {
                let mut solver = Solver::new(&[sd]);
                let level = solver.level(mean);
                assert!((solver.mean(level) - mean).abs() < 1e-12, "sd {sd}, mean {mean}");
            }
        }
        // E[logistic(1 + Z)] by a sum over 2.4 million nodes from -12 to 12, in numpy.
        assert!((Solver::new(&[1.0]).mean(1.0) - 0.696_734_670_143_683_2).abs() < 1e-12);
    }

    #[test]
    fn luck_is_uniform_and_correlates_by_agreement() {
        let mut rng = super::super::traffic::stream(3, super::super::traffic::Purpose::Requests, 0);
        let n = 40_000;
        let (mut sum, mut product) = (0.0, 0.0);
        for _ in 0..n {
            let luck = Luck::draw(&mut rng);
            let [stable, candidate] = Version::BOTH.map(|version| luck.get(Latent::Success, 0.6, version));
            sum += below(stable);
            product += stable * candidate;
        }
        // Standard errors: 0.0014 and 0.0058.
        assert!((sum / f64::from(n) - 0.5).abs() < 0.006);
        assert!((product / f64::from(n) - 0.6).abs() < 0.025);
    }
}
