//! Random scenarios, as the reference understands them and as the text that the program reads.

use std::fmt::Write as _;

use rand::seq::IndexedRandom;
use rand::{Rng, RngExt};
use replay::domain::rollout::{Control, Sticky};

use crate::judge::Verdict;
use crate::log::{Answer, QUARTER_S, SEGMENTS, VALUES};

/// Latency above this is slow.
const SLOW_MS: f64 = 500.0;

/// Index of the quantile metric.
pub(crate) const QUANTILE: usize = 5;

/// Index of the metric of which a unit counts once.
pub(crate) const RARE: usize = 6;

/// Latency above this is an event.
const STUCK_MS: f64 = 3000.0;

/// Level of the quantile metric.
pub(crate) const LEVEL: f64 = 0.9;

/// Index of the metric in US dollars per request.
pub(crate) const COST: usize = 3;

/// Indices of the proportions.
pub(crate) const PROPORTIONS: [usize; 2] = [1, 2];

/// Indices of metrics of which bad answers are counted.
pub(crate) const SHARES: [usize; 3] = [1, 2, RARE];

const METRICS: &str = r#"
[metrics.quality]
kind = "mean"
column = "{version}_quality"
better = "higher"

[metrics.ok]
kind = "proportion"
column = "{version}_ok"
better = "higher"

[metrics.slow]
kind = "proportion"
column = "{version}_latency_ms"
over = 500
better = "lower"

[metrics.cost]
kind = "ratio"
numerator = "{version}_cost_usd"
denominator = "requests"
better = "lower"
unit = "usd"

[metrics.cost_per_token]
kind = "ratio"
numerator = "{version}_cost_usd"
denominator = "{version}_tokens"
better = "lower"

[metrics.latency_p90]
kind = "quantile"
quantile = 0.9
column = "{version}_latency_ms"
better = "lower"

[metrics.stuck]
kind = "rare"
column = "{version}_latency_ms"
over = 3000
better = "lower"
"#;

/// Names in the order of [`METRICS`].
pub(crate) const NAMES: [&str; 7] = ["quality", "ok", "slow", "cost", "cost_per_token", "latency_p90", "stuck"];

/// +1 where lower is better: what makes a larger number worse.
pub(crate) const SIGN: [f64; 7] = [-1.0, -1.0, 1.0, 1.0, 1.0, 1.0, 1.0];

/// Largest numerator and denominator of a request, roughly.
pub(crate) const SCALE: [(f64, f64); 7] =
    [(1.0, 1.0), (1.0, 1.0), (1.0, 1.0), (0.02, 1.0), (0.02, 500.0), (1.0, 1.0), (1.0, 1.0)];

/// What an answer adds to numerator and denominator; latency itself for the quantile.
pub(crate) fn value(metric: usize, answer: &Answer) -> Option<(f64, f64)> {
    let share = |yes: bool| if yes { 1.0 } else { 0.0 };
    match metric {
        0 => answer.quality.map(|y| (y, 1.0)),
        1 => answer.ok.map(|ok| (ok, 1.0)),
        2 => answer.latency_ms.map(|ms| (share(ms > SLOW_MS), 1.0)),
        COST => answer.cost_usd.map(|usd| (usd, 1.0)),
        RARE => answer.latency_ms.map(|ms| (share(ms > STUCK_MS), 1.0)),
        4 => answer.cost_usd.zip(answer.tokens).map(|(usd, tokens)| (usd, tokens as f64)),
        _ => answer.latency_ms.map(|ms| (ms, 1.0)),
    }
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Margin {
    /// In per cent of stable's value.
    Percent(f64),
    Absolute(f64),
}

impl Margin {
    /// The regression is `sign (candidate - factor stable) - offset`.
    pub(crate) fn factor_and_offset(self, sign: f64) -> (f64, f64) {
        match self {
            Self::Percent(percent) => (1.0 + sign * (percent / 100.0), 0.0),
            Self::Absolute(amount) => (1.0, amount),
        }
    }

    fn text(self) -> String {
        match self {
            Self::Percent(percent) => format!("\"{percent}%\""),
            Self::Absolute(amount) => format!("{amount:?}"),
        }
    }

    fn draw(rng: &mut impl Rng, metric: usize) -> Self {
        if rng.random::<f64>() < 0.6 {
            return Self::Percent(*[0.0, 1.0, 5.0, 20.0].choose(rng).expect("not empty"));
        }
        let scale = [0.5, 0.2, 0.2, 0.004, 2e-5, 300.0, 0.1][metric];
        Self::Absolute(*[0.0, scale / 4.0, scale].choose(rng).expect("not empty"))
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Test {
    Point,
    Fixed,
    Sequence,
    /// Exact counts, at a stage's end.
    Exact,
    Rank,
}

/// How alpha is shared by slices.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Correction {
    Holm,
    Bonferroni,
    None,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Action {
    Promote,
    Hold,
    RollBack,
}

impl Action {
    fn text(self) -> &'static str {
        match self {
            Self::Promote => "promote",
            Self::Hold => "hold",
            Self::RollBack => "rollback",
        }
    }
}

#[derive(Debug, Clone)]
pub(crate) struct Gate {
    pub(crate) metric: usize,
    pub(crate) allow: Option<Margin>,
    pub(crate) harm: Option<Margin>,
    pub(crate) limit: Option<f64>,
    pub(crate) test: Test,
    pub(crate) alpha: f64,
    /// Indices of segment columns.
    pub(crate) by: Vec<usize>,
    pub(crate) correction: Correction,
    /// Length of a trailing window in slots.
    pub(crate) window: Option<usize>,
    pub(crate) only_at_end: bool,
    /// How many of how many looks must fail.
    pub(crate) patience: (usize, usize),
    pub(crate) min_units: f64,
    pub(crate) min_requests: f64,
    pub(crate) on_fail: Action,
    pub(crate) on_inconclusive: Action,
    pub(crate) on_no_data: Action,
}

impl Gate {
    /// The bare estimate against stable, at every look.
    pub(crate) fn point(metric: usize, allow: Margin, by: Vec<usize>) -> Self {
        Self {
            metric,
            allow: Some(allow),
            harm: None,
            limit: None,
            test: Test::Point,
            alpha: 0.05,
            by,
            correction: Correction::Holm,
            window: None,
            only_at_end: false,
            patience: (1, 1),
            min_units: 0.0,
            min_requests: 1.0,
            on_fail: Action::RollBack,
            on_inconclusive: Action::Hold,
            on_no_data: Action::Hold,
        }
    }

    fn draw(rng: &mut impl Rng, metric: usize, windows: &[usize], fewest_looks: usize) -> Self {
        let tests = [Test::Point, Test::Fixed, Test::Fixed, Test::Sequence, Test::Rank];
        let mut test = *tests.choose(rng).expect("not empty");
        if metric == RARE {
            test = if rng.random::<f64>() < 0.7 { Test::Exact } else { Test::Fixed };
        }
        let limit = (test != Test::Rank && rng.random::<f64>() < 0.25)
            .then(|| [0.6, 0.75, 0.5, 0.01, 5e-5, 3000.0, 0.3][metric]);
        let margin = |rng: &mut _| match Margin::draw(rng, metric) {
            // Exact counts are compared by how many times as many they are.
            Margin::Absolute(_) if test == Test::Exact => Margin::Percent(60.0),
            margin => margin,
        };
        let allow = (limit.is_none() || rng.random::<f64>() < 0.5).then(|| margin(rng));
        let harm = (allow.is_some() && rng.random::<f64>() < 0.2).then(|| margin(rng));
        let any_window = metric != RARE && matches!(test, Test::Point | Test::Rank);
        let corrections = [Correction::Holm, Correction::Holm, Correction::Bonferroni, Correction::None];
        let window = if any_window && rng.random::<f64>() < 0.5 { windows.choose(rng).copied() } else { None };
        let actions = [Action::Promote, Action::Hold, Action::RollBack];
        let only_at_end = rng.random::<f64>() < 0.3 || test == Test::Exact;
        let failing =
            if only_at_end || rng.random::<f64>() < 0.6 { 1 } else { rng.random_range(1..=fewest_looks.min(3)) };
        let of = if only_at_end { 1 } else { failing + rng.random_range(0..2) };
        Self {
            patience: (failing, of),
            metric,
            allow,
            harm,
            limit,
            test,
            alpha: *[0.01, 0.05, 0.1, 0.3].choose(rng).expect("not empty"),
            by: [vec![], vec![0], vec![1], vec![1, 0]].choose(rng).expect("not empty").clone(),
            correction: *corrections.choose(rng).expect("not empty"),
            window,
            only_at_end,
            min_units: if window.is_some() { 0.0 } else { *[0.0, 1.0, 2.0, 5.0].choose(rng).expect("not empty") },
            min_requests: *[0.0, 1.0, 8.0].choose(rng).expect("not empty"),
            on_fail: *[Action::RollBack, Action::RollBack, Action::Hold].choose(rng).expect("not empty"),
            on_inconclusive: *actions.choose(rng).expect("not empty"),
            on_no_data: *actions.choose(rng).expect("not empty"),
        }
    }

    fn text(&self, name: usize, slot_s: i64) -> String {
        let mut text = format!("\n[[gates]]\nname = \"gate {name}\"\nmetric = \"{}\"\n", NAMES[self.metric]);
        let test = match self.test {
            Test::Point => "point",
            Test::Fixed => "fixed",
            Test::Sequence => "confidence-sequence",
            Test::Exact => "exact",
            Test::Rank => "mann-whitney",
        };
        let by: Vec<&str> = self.by.iter().map(|&column| SEGMENTS[column]).collect();
        let mut line = |key: &str, value: String| writeln!(text, "{key} = {value}").expect("strings take all");
        for (key, margin) in [("allow", self.allow), ("harm", self.harm)] {
            if let Some(margin) = margin {
                line(key, margin.text());
            }
        }
        if let Some(limit) = self.limit {
            line("limit", format!("{limit:?}"));
        }
        line("test", format!("\"{test}\""));
        line("alpha", format!("{:?}", self.alpha));
        line("by", format!("{by:?}"));
        let correction = match self.correction {
            Correction::Holm => "holm",
            Correction::Bonferroni => "bonferroni",
            Correction::None => "none",
        };
        line("correction", format!("\"{correction}\""));
        if let Some(slots) = self.window {
            line("window", format!("\"{}s\"", slots as i64 * slot_s));
        }
        line("looks", (if self.only_at_end { "\"end\"" } else { "\"all\"" }).into());
        line("patience", format!("\"{} of {}\"", self.patience.0, self.patience.1));
        line("min_units", format!("{:?}", self.min_units));
        line("min_requests", format!("{:?}", self.min_requests));
        line("on_fail", (if self.on_fail == Action::Hold { "\"pause\"" } else { "\"rollback\"" }).into());
        line("on_inconclusive", format!("\"{}\"", self.on_inconclusive.text()));
        line("on_no_data", format!("\"{}\"", self.on_no_data.text()));
        text
    }
}

#[derive(Debug, Clone)]
pub(crate) struct Stage {
    pub(crate) exposure: f64,
    /// The wave: values of the unit's tier; nobody is left out by none.
    pub(crate) only: Vec<&'static str>,
    /// Exposures of tiers, where they are not all the same.
    pub(crate) by_tier: Vec<(&'static str, f64)>,
    pub(crate) looks: usize,
    pub(crate) slots_per_look: usize,
    /// Looks at which gates say nothing.
    pub(crate) quiet: usize,
}

impl Stage {
    /// Of everyone.
    pub(crate) const fn plain(exposure: f64, looks: usize, slots_per_look: usize) -> Self {
        Self { exposure, only: Vec::new(), by_tier: Vec::new(), looks, slots_per_look, quiet: 0 }
    }

    /// Share of the units of a tier that this stage asks for; nothing outside its wave.
    pub(crate) fn asks_for(&self, tier: &str) -> f64 {
        if !self.only.is_empty() && !self.only.contains(&tier) {
            return 0.0;
        }
        self.by_tier.iter().find(|(known, _)| *known == tier).map_or(self.exposure, |(_, exposure)| *exposure)
    }

    /// Whether it leaves anyone to compare with.
    pub(crate) fn has_control(&self) -> bool {
        self.exposure < 1.0
    }

    pub(crate) fn slots(&self) -> usize {
        self.looks * self.slots_per_look
    }

    /// Takes waves, and exposures by tier where as many others can be compared with.
    fn draw_who(&mut self, rng: &mut impl Rng) {
        if rng.random::<f64>() < 0.5 {
            self.only = vec![*["free", "pro", "(null)"].choose(rng).expect("not empty")];
        }
        if self.exposure <= 0.5 && rng.random::<f64>() < 0.4 {
            self.by_tier = vec![("pro", if self.exposure < 0.3 { 0.3 } else { 0.5 })];
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Change {
    Shift(f64),
    Scale(f64),
}

impl Change {
    /// Of a request's sums.
    pub(crate) fn of(self, (y, x): (f64, f64)) -> (f64, f64) {
        match self {
            Self::Shift(amount) => (y + amount * x, x),
            Self::Scale(factor) => (y * factor, x),
        }
    }
}

#[derive(Debug, Clone)]
pub(crate) struct Effect {
    pub(crate) metric: usize,
    pub(crate) change: Change,
    /// Column, and values that are meant.
    pub(crate) only: Vec<(usize, Vec<&'static str>)>,
    pub(crate) onset_slots: usize,
}

impl Effect {
    fn draw(rng: &mut impl Rng, slots: usize) -> Self {
        // Of a rare metric the program chooses the units that an effect meets.
        let metric = rng.random_range(0..RARE);
        let change = if rng.random::<f64>() < 0.5 {
            Change::Scale(*[0.5, 0.9, 1.1, 2.0].choose(rng).expect("not empty"))
        } else {
            Change::Shift([0.3, -0.1, 0.1, 0.005, -1e-5, 200.0][metric])
        };
        let mut only = Vec::new();
        for (column, values) in VALUES.iter().enumerate() {
            if rng.random::<f64>() < 0.3 {
                let named = values[..rng.random_range(1..3)].iter().flatten().copied().collect();
                only.push((column, named));
            }
        }
        let onset_slots = if slots > 1 && rng.random::<f64>() < 0.5 { rng.random_range(1..slots) } else { 0 };
        Self { metric, change, only, onset_slots }
    }

    /// Whether the change cannot be applied to finished sums.
    pub(crate) fn is_partial(&self) -> bool {
        self.onset_slots > 0 || !self.only.is_empty()
    }

    fn text(&self, name: usize, slot_s: i64) -> String {
        let change = match self.change {
            Change::Shift(amount) => format!("shift = {amount:?}"),
            Change::Scale(factor) => format!("scale = {factor:?}"),
        };
        let mut text =
            format!("\n[[effects]]\nname = \"effect {name}\"\nmetric = \"{}\"\n{change}\n", NAMES[self.metric]);
        if !self.only.is_empty() {
            let only: Vec<String> =
                self.only.iter().map(|(column, values)| format!("{} = {values:?}", SEGMENTS[*column])).collect();
            writeln!(text, "only = {{ {} }}", only.join(", ")).expect("strings take all");
        }
        if self.onset_slots > 0 {
            writeln!(text, "onset = \"{}s\"", self.onset_slots as i64 * slot_s).expect("strings take all");
        }
        text
    }
}

#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub(crate) stages: Vec<Stage>,
    /// Whom the candidate's units are compared with.
    pub(crate) control: Control,
    /// How long a unit keeps its version.
    pub(crate) sticky: Sticky,
    pub(crate) gates: Vec<Gate>,
    pub(crate) effects: Vec<Effect>,
    /// From this stage on every gate must pass; `None` where no failure is enough.
    pub(crate) pass_from: Option<usize>,
    pub(crate) poisson: bool,
    /// The null exchanges the answers of whole units.
    pub(crate) swap: bool,
    pub(crate) tiled: bool,
    pub(crate) seed: u64,
    pub(crate) slot_s: i64,
    /// Seconds from a failing look until everyone is back on stable.
    pub(crate) rollback_s: i64,
    /// Slots that a stage may be held past its duration.
    pub(crate) hold_slots: usize,
    /// Seconds that a person takes to let a rollout go on, and from which stages.
    pub(crate) approval: (i64, Vec<bool>),
    /// Seconds that a person takes to come to a paused rollout, and for how many a stage may be paused; `None` where nobody comes.
    pub(crate) resume: Option<(i64, i64)>,
    /// Per stage: for how many seconds before midnight it may not begin.
    pub(crate) closed: Vec<i64>,
    /// Per metric: seconds from a request to its judgement.
    pub(crate) delays: [i64; NAMES.len()],
}

impl Plan {
    /// One stage, one gate that asks after every look, and no effects.
    pub(crate) fn of_gate(stage: Stage, gate: Gate) -> Self {
        Self {
            stages: vec![stage],
            control: Control::Rest,
            sticky: Sticky::Unit,
            gates: vec![gate],
            effects: Vec::new(),
            pass_from: Some(0),
            poisson: true,
            swap: false,
            tiled: false,
            seed: 5,
            slot_s: QUARTER_S,
            rollback_s: 0,
            hold_slots: 0,
            approval: (0, vec![false]),
            resume: None,
            closed: vec![0],
            delays: [0; NAMES.len()],
        }
    }

    /// How many looks of a stage a metric's judgements lag behind.
    pub(crate) fn lag(&self, metric: usize, stage: usize) -> usize {
        let look_s = self.stages[stage].slots_per_look as i64 * self.slot_s;
        (0..1000).find(|looks| looks * look_s >= self.delays[metric]).expect("delays are short") as usize
    }

    pub(crate) fn draw(rng: &mut impl Rng, stages: usize, slot_s: i64, tiled: bool) -> Self {
        let mut exposures: Vec<f64> =
            (0..stages).map(|_| *[0.05, 0.1, 0.3, 0.5, 0.8, 1.0].choose(rng).expect("not empty")).collect();
        exposures.sort_unstable_by(f64::total_cmp);
        // All stages look at multiples of one length, so that windows fit every stage.
        let mut stages: Vec<Stage> = exposures
            .into_iter()
            .map(|exposure| Stage::plain(exposure, rng.random_range(1..6), rng.random_range(1..4)))
            .collect();
        let control = if rng.random::<f64>() < 0.3 { Control::Matched } else { Control::Rest };
        if control == Control::Matched {
            stages.iter_mut().filter(|stage| stage.exposure == 0.8).for_each(|stage| stage.exposure = 0.5);
        }
        if rng.random::<f64>() < 0.4 {
            for stage in &mut stages {
                stage.draw_who(rng);
            }
            // A wave may take more than what follows.
            let first = &mut stages[0];
            if first.only == ["free"] && first.by_tier.is_empty() && rng.random::<f64>() < 0.7 {
                first.exposure = *[0.5, 1.0].choose(rng).expect("not empty");
                stages[1..].iter_mut().filter(|stage| stage.only == ["free"]).for_each(|stage| stage.only.clear());
            }
        }
        let last = stages.len() - 1;
        if last > 0 && stages[last].exposure >= 1.0 && rng.random::<f64>() < 0.5 {
            stages[last].looks = 0;
        }
        stages.iter_mut().filter(|stage| stage.looks > 1).for_each(|stage| {
            stage.quiet = if rng.random::<f64>() < 0.2 { rng.random_range(0..stage.looks) } else { 0 };
        });
        let lasting: Vec<&Stage> = stages.iter().filter(|stage| stage.looks > 0).collect();
        let shortest = lasting.iter().map(|stage| stage.slots()).min().expect("a stage lasts");
        let windows: Vec<usize> =
            (1..=shortest).filter(|window| lasting.iter().all(|stage| window % stage.slots_per_look == 0)).collect();
        let slots = stages.iter().map(Stage::slots).sum();
        let fewest_looks = lasting.iter().map(|stage| stage.looks).min().expect("a stage lasts");
        let gates = (0..rng.random_range(1..5)).map(|_| {
            let metric = rng.random_range(0..NAMES.len());
            Gate::draw(rng, metric, &windows, fewest_looks)
        });
        let gates: Vec<Gate> = gates.collect();
        // A point of ranks is what was asked since the look before, so its metric is seen at once.
        let at_once = |metric: usize| gates.iter().any(|gate| gate.metric == metric && gate.test == Test::Rank);
        let delays = std::array::from_fn(|metric| {
            let delayed = !at_once(metric) && rng.random::<f64>() < 0.3;
            if delayed { rng.random_range(1..4 * slot_s) } else { 0 }
        });
        let effects = (0..rng.random_range(0..4)).map(|_| Effect::draw(rng, slots)).collect();
        let all_pass = rng.random::<f64>() < 0.5;
        // Held for longer, there are too many ways to share out the points; otherwise for a multiple of all times between looks.
        let ranks = gates.iter().any(|gate| gate.test == Test::Rank);
        let count = stages.len();
        let approved = stages.iter().map(|stage| !ranks && stage.looks > 0 && rng.random::<f64>() < 0.2).collect();
        let waves = stages.iter().any(|stage| !stage.only.is_empty() || !stage.by_tier.is_empty());
        let rare = gates.iter().any(|gate| gate.metric == RARE);
        let drifts = !tiled && !waves && !rare && control == Control::Rest;
        Self {
            approval: (rng.random_range(0..5 * slot_s), approved),
            pass_from: all_pass.then(|| rng.random_range(0..stages.len())),
            sticky: match rng.random_range(0..10) {
                0 | 1 => Sticky::Stage,
                2 | 3 => Sticky::Request,
                4 | 5 if !tiled => Sticky::Session,
                6..=8 if drifts => Sticky::Cookie,
                _ => Sticky::Unit,
            },
            stages,
            control,
            gates,
            effects,
            poisson: rng.random::<f64>() < 0.7,
            swap: rng.random::<f64>() < 0.3,
            tiled,
            seed: rng.random_range(0..1_000_000),
            slot_s,
            delays,
            hold_slots: if !ranks && rng.random::<f64>() < 0.4 { 6 * rng.random_range(1..3) } else { 0 },
            rollback_s: if rng.random::<f64>() < 0.5 { rng.random_range(1..6 * slot_s) } else { 0 },
            resume: (!ranks && rng.random::<f64>() < 0.5)
                .then(|| (rng.random_range(0..5 * slot_s), rng.random_range(0..20 * slot_s))),
            closed: if ranks || tiled || rng.random::<f64>() < 0.6 {
                vec![0; count]
            } else {
                (0..count).map(|stage| if stage > 0 { rng.random_range(0..4) * 900 } else { 0 }).collect()
            },
        }
    }

    /// Lets gates pause, often and not for good, with somebody who comes.
    pub(crate) fn pause(&mut self, rng: &mut impl Rng) {
        let look = self.stages[0].slots_per_look;
        let look_s = look as i64 * self.slot_s;
        self.resume = Some((rng.random_range(0..2 * look_s), rng.random_range(look_s..8 * look_s)));
        for stage in self.stages.iter_mut().filter(|stage| stage.looks > 0) {
            (stage.slots_per_look, stage.looks) = (look, stage.looks + 3);
        }
        let slots: usize = self.stages.iter().map(Stage::slots).sum();
        self.effects.retain(|effect| effect.onset_slots < slots);
        for gate in &mut self.gates {
            // What the last look shows is not what the next one does.
            if gate.metric != RARE && (gate.test == Test::Rank || rng.random::<f64>() < 0.6) {
                (gate.test, gate.window, gate.min_units) = (Test::Point, Some(look), 0.0);
            }
            gate.min_units = gate.min_units.min(1.0);
            if rng.random::<f64>() < 0.7 {
                gate.on_fail = Action::Hold;
                gate.on_no_data = *[Action::Promote, Action::Hold].choose(rng).expect("not empty");
            }
            if rng.random::<f64>() < 0.7 {
                gate.on_inconclusive = Action::Promote;
            }
        }
    }

    /// A plan whose only gate decides nothing, and the scenario's text with other gates beside it, whose verdicts alone are of interest.
    pub(crate) fn beside(stages: Vec<Stage>, gates: &str) -> (Self, String) {
        let gate = Gate {
            allow: Some(Margin::Absolute(1e6)),
            on_fail: Action::Hold,
            on_inconclusive: Action::Promote,
            on_no_data: Action::Promote,
            ..Gate::point(0, Margin::Percent(0.0), vec![])
        };
        let mut plan = Self::of_gate(stages[0].clone(), gate);
        plan.approval.1 = vec![false; stages.len()];
        plan.closed = vec![0; stages.len()];
        plan.stages = stages;
        let text = plan.text();
        let at = text.find("\n[rollout]\n").expect("a plan has rules of the rollout");
        let text = format!("{}{gates}{}", &text[..at], &text[at..]);
        (plan, text)
    }

    /// Whether sessions keep what they drew when they began.
    pub(crate) fn pins(&self) -> bool {
        self.sticky == Sticky::Session
    }

    /// Whether a stage compares with as many others.
    pub(crate) fn matches(&self, stage: usize) -> bool {
        self.stages[stage].has_control() && (self.control == Control::Matched || !self.stages[stage].by_tier.is_empty())
    }

    /// Whether some stage takes not simply a share of everyone.
    pub(crate) fn has_waves(&self) -> bool {
        self.stages.iter().any(|stage| !stage.only.is_empty() || !stage.by_tier.is_empty())
    }

    /// With every stage held for as long as it may be.
    pub(crate) fn slots(&self) -> usize {
        (0..self.stages.len()).map(|stage| self.all_looks(stage) * self.stages[stage].slots_per_look).sum()
    }

    /// What a gate waits for at a stage's end.
    pub(crate) fn waits(&self, gate: &Gate, stage: usize, verdict: Verdict) -> bool {
        match verdict {
            Verdict::Inconclusive => {
                self.pass_from.is_none_or(|from| stage >= from) && gate.on_inconclusive != Action::Promote
            }
            Verdict::NoData => gate.on_no_data == Action::Hold,
            Verdict::Pass | Verdict::Fail => false,
        }
    }

    /// Looks of a stage that is held for as long as a gate that is asked may hold it, paused for as long as it may be, and then left only
    /// with a person's leave when the next one may begin.
    pub(crate) fn all_looks(&self, stage: usize) -> usize {
        let plan = &self.stages[stage];
        if plan.looks == 0 {
            return 0;
        }
        let pauses = self.pause_looks(stage);
        let again = if pauses > 0 { self.longest_leave(stage, false) } else { 0 };
        plan.looks + self.hold_looks(stage) + pauses + self.longest_leave(stage, true) + again
    }

    fn is_asked(&self, gate: &Gate, stage: usize) -> bool {
        let plan = &self.stages[stage];
        plan.looks > 0 && (plan.exposure < 1.0 || gate.limit.is_some())
    }

    /// Looks for which a gate that is asked may hold a stage.
    pub(crate) fn hold_looks(&self, stage: usize) -> usize {
        let holds = |gate: &Gate| {
            self.is_asked(gate, stage)
                && [Verdict::Inconclusive, Verdict::NoData].iter().any(|&verdict| self.waits(gate, stage, verdict))
        };
        if self.gates.iter().any(holds) { self.hold_slots / self.stages[stage].slots_per_look } else { 0 }
    }

    /// Looks for which it may be paused.
    pub(crate) fn pause_looks(&self, stage: usize) -> usize {
        let pauses = |gate: &Gate| self.is_asked(gate, stage) && gate.on_fail == Action::Hold;
        let most = self.resume.filter(|_| self.gates.iter().any(pauses)).map_or(0, |(_, most)| most);
        self.looks_of(stage, most)
    }

    /// Looks until so much time has passed.
    pub(crate) fn looks_of(&self, stage: usize, seconds: i64) -> usize {
        let look_s = self.stages[stage].slots_per_look as i64 * self.slot_s;
        (0..1000).find(|looks| looks * look_s >= seconds).expect("people are fast") as usize
    }

    /// Looks until a stage is left whose gates have let go at a moment: a person answers, if one is asked, then the next stage may begin.
    pub(crate) fn leave_looks(&self, stage: usize, moment: i64, asked: bool) -> usize {
        let look_s = self.stages[stage].slots_per_look as i64 * self.slot_s;
        let answered = if asked && self.approval.1[stage] { self.looks_of(stage, self.approval.0) } else { 0 };
        let closed = self.closed.get(stage + 1).copied().unwrap_or(0);
        let may_begin = |looks: usize| (moment + looks as i64 * look_s).rem_euclid(86_400) < 86_400 - closed;
        (answered..answered + 1000).find(|&looks| may_begin(looks)).expect("days are long")
    }

    /// The longest that takes: where it depends on the hour, an hour more than on any usual day.
    fn longest_leave(&self, stage: usize, asked: bool) -> usize {
        if self.closed.get(stage + 1).is_none_or(|&closed| closed == 0) {
            return self.leave_looks(stage, 0, asked);
        }
        let look_s = self.stages[stage].slots_per_look as i64 * self.slot_s;
        let moments = (0..86_400 / self.slot_s).map(|slot| slot * self.slot_s);
        let longest = moments.map(|moment| self.leave_looks(stage, moment, asked)).max().expect("a day has slots");
        self.looks_of(stage, longest as i64 * look_s + 3600)
    }

    /// The scenario that the program reads.
    pub(crate) fn text(&self) -> String {
        let mut text = format!(
            "[log]\ntimestamp = \"ts\"\nsegments = {SEGMENTS:?}\nslot = \"{}s\"\ntile = \"{}\"\n{}\n\
             [assignment]\nunit = \"user_id\"\ncontrol = \"{}\"\nsticky = \"{}\"\n{}{METRICS}",
            self.slot_s,
            if self.tiled { "week" } else { "none" },
            if matches!(self.sticky, Sticky::Request | Sticky::Cookie) { "request = \"part\"\n" } else { "" },
            self.control.name(),
            self.sticky.name(),
            if self.pins() { "session = \"part\"\n" } else { "" },
        );
        for (name, delay) in NAMES.iter().zip(self.delays).filter(|(_, delay)| *delay > 0) {
            write!(text, "\n[metrics.{name}.measured]\ndelay = \"{delay}s\"\n").expect("strings take all");
        }
        for (index, stage) in self.stages.iter().enumerate() {
            let by_tier = stage
                .by_tier
                .iter()
                .fold(String::new(), |text, (tier, share)| format!("{text}, \"tier={tier}\" = {share:?}"));
            let exposure = format!("{:?}", stage.exposure);
            let exposure = if by_tier.is_empty() { exposure } else { format!("{{ default = {exposure}{by_tier} }}") };
            write!(text, "\n[[stages]]\nname = \"stage {index}\"\nexposure = {exposure}\n").expect("strings take all");
            if !stage.only.is_empty() {
                writeln!(text, "only = {{ tier = {:?} }}", stage.only).expect("strings take all");
            }
            if stage.quiet > 0 {
                // The first look that counts is the first at or after this.
                let look_s = stage.slots_per_look as i64 * self.slot_s;
                let bake = (stage.quiet as i64 + 1) * look_s - stage.quiet as i64 % 2 * (look_s / 2);
                writeln!(text, "bake = \"{bake}s\"").expect("strings take all");
            }
            if stage.looks > 0 {
                let (duration, look) = (stage.slots() as i64 * self.slot_s, stage.slots_per_look as i64 * self.slot_s);
                write!(text, "duration = \"{duration}s\"\nlook_every = \"{look}s\"\n").expect("strings take all");
                let approval = if self.approval.1[index] { "manual" } else { "automatic" };
                writeln!(text, "approval = \"{approval}\"").expect("strings take all");
            }
            if self.closed[index] > 0 {
                let open = (86_400 - self.closed[index]) / 60;
                writeln!(text, "start = \"Mon-Sun 00:00-{:02}:{:02}\"", open / 60, open % 60)
                    .expect("strings take all");
            }
        }
        for (index, gate) in self.gates.iter().enumerate() {
            text += &gate.text(index, self.slot_s);
        }
        for (index, effect) in self.effects.iter().enumerate() {
            text += &effect.text(index, self.slot_s);
        }
        text += "\n[rollout]\n";
        match self.pass_from {
            Some(stage) => writeln!(text, "promote = \"all-pass\"\npass_from = \"stage {stage}\""),
            None => writeln!(text, "promote = \"no-fail\""),
        }
        .expect("strings take all");
        let diagnose = self.rollback_s / 3;
        writeln!(text, "approval.delay = \"{}s\"", self.approval.0).expect("strings take all");
        writeln!(text, "max_hold = \"{}s\"", self.hold_slots as i64 * self.slot_s).expect("strings take all");
        writeln!(text, "diagnose = \"{diagnose}s\"\nmitigate = \"{}s\"", self.rollback_s - diagnose)
            .expect("strings take all");
        if let Some((delay, most)) = self.resume {
            write!(text, "resume.delay = \"{delay}s\"\nmax_pause = \"{most}s\"\n").expect("strings take all");
        }
        let resample = if self.poisson { "poisson" } else { "none" };
        let null = if self.swap { "swap" } else { "stable" };
        text + &format!(
            "\n[simulation]\nreplicates = 4\nseed = {}\nresample = \"{resample}\"\nnull = \"{null}\"\n",
            self.seed
        )
    }
}
