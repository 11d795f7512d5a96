//! Distances of two distributions: requests counted row by row, copy by copy, in bins made from the rows.

use super::*;

const BINS: usize = 5;

/// How many times as long answers take in the effect's region, a whole number of the program's bins.
const SLOWER: f64 = 1.189_207_115_002_721;

/// Gates that are asked in each region, too; limits that are near what these small arms show.
const GATES: &str = r#"
[metrics.spread]
kind = "drift"
column = "{version}_latency_ms"
bins = 5

[[gates]]
name = "distance"
metric = "spread"
limit = 0.15
test = "point"
by = ["region"]
correction = "none"
min_requests = 6

[[gates]]
name = "stability"
metric = "spread"
measure = "psi"
limit = 0.25
by = ["region"]
correction = "none"
min_requests = 6

[[effects]]
name = "slower"
metric = "spread"
scale = 1.189207115002721
only = { region = ["eu"] }
onset = "45m"
"#;

const LIMITS: [f64; 2] = [0.15, 0.25];

fn plan() -> (Plan, String) {
    let stage = plan::Stage::plain;
    Plan::beside(vec![stage(0.3, 5, 1), stage(0.5, 3, 2)], GATES)
}

/// The value that is written for it in the program's bins of 1/64 octave: the largest of its bin.
fn edge(value: f64) -> f64 {
    ((64.0 * value.log2()).ceil() / 64.0).exp2()
}

/// Edges between bins with equal shares of stable's requests in the log.
fn edges(case: &Case) -> Vec<f64> {
    let covered = case.log.rows.iter().filter(|row| row.is_covered);
    let mut values: Vec<f64> = covered.filter_map(|row| row.stable.latency_ms).collect();
    values.sort_unstable_by(f64::total_cmp);
    let rank = |part: usize| (part as f64 / BINS as f64 * values.len() as f64).ceil() as usize;
    (1..BINS).map(|part| edge(values[rank(part) - 1])).collect()
}

/// What an arm has shown of a slice since its stage began, in whole slots of the rollout.
struct Shown<'a> {
    case: &'a Case,
    copies: &'a [crowd::Copied],
    stage: usize,
    slots: std::ops::Range<usize>,
    slice: Slice,
}

impl Shown<'_> {
    /// Latencies of every copy's requests, and how many requests there were.
    fn latencies(&self, arm: Arm, world: usize) -> (Vec<f64>, usize) {
        let (mut values, mut requests) = (Vec::new(), 0);
        let exposure = self.case.plan.stages[self.stage].exposure;
        for row in self.case.log.rows.iter().filter(|row| row.is_covered) {
            let slot = usize::try_from(self.case.log.slot(row) - self.case.log.first_slot()).expect("not before");
            let Some(slot) = slot.checked_sub(self.case.start).filter(|slot| self.slots.contains(slot)) else {
                continue;
            };
            if self.slice.is_some_and(|(column, value)| row.segment(column) != value) {
                continue;
            }
            let is_candidate = arm == Arm::Candidate;
            let of_unit = self.copies.iter().filter(|copy| copy.unit == row.unit);
            let here = of_unit.filter(|copy| (copy.places[self.stage] < exposure) == is_candidate).count();
            let slower = is_candidate && world == 2 && slot >= 3 && row.segment(0) == "eu";
            let answer = if is_candidate && world == 0 { &row.candidate } else { &row.stable };
            requests += here;
            let value = answer.latency_ms.map(|ms| if slower { SLOWER * ms } else { ms });
            values.extend(value.into_iter().flat_map(|ms| std::iter::repeat_n(ms, here)));
        }
        (values, requests)
    }

    /// Distance and stability index; none with too few requests.
    fn measures(&self, edges: &[f64], world: usize) -> Option<[f64; 2]> {
        let arms = [Arm::Candidate, Arm::Stable].map(|arm| self.latencies(arm, world));
        if arms.iter().any(|(values, requests)| *requests < 6 || values.is_empty()) {
            return None;
        }
        let [candidate, stable] = arms.map(|(values, _)| {
            let (mut bins, count) = ([0.0; BINS], values.len() as f64);
            for value in values {
                bins[edges.iter().filter(|edge| value > **edge).count()] += 1.0;
            }
            (bins, count)
        });
        let (mut distance, mut apart, mut index) = (0.0_f64, 0.0, 0.0);
        for (mine, theirs) in candidate.0.iter().zip(stable.0) {
            apart += mine / candidate.1 - theirs / stable.1;
            distance = distance.max(f64::abs(apart));
            let [p, q] = [mine.max(0.5) / candidate.1, theirs.max(0.5) / stable.1];
            index += (p - q) * (p / q).ln();
        }
        Some([distance, index])
    }
}

#[test]
fn distances_are_counted_row_by_row() {
    let mut seen = std::collections::BTreeSet::new();
    let mut compared = 0;
    for seed in 0..30 {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let (plan, text) = plan();
        let log = Log::draw(&mut rng, 500, 60, 13, QUARTER_S);
        let case = Case::of_text(log, plan, seed as usize % 2, &text);
        let simulator = Simulator::new(&case.digest, &case.scenario);
        let player = Player::new(&case.scenario, &simulator, vec![case.moment()]);
        let copies = crowd::copies(&case.log, &case.plan, 0);
        let played = player.play_lanes(vec![(case.start, simulator.replicate(&case.scenario, 0))]);
        let edges = edges(&case);
        let effect = player.worlds.iter().position(|&world| world == world::World::Effect(0)).expect("it is played");
        for (world, of_program) in [0, 1, effect].into_iter().enumerate() {
            let mut begin = 0;
            for (stage, plan) in case.plan.stages.iter().enumerate() {
                for (gate, limit) in LIMITS.into_iter().enumerate() {
                    let lens = player.gates[1 + gate].lens_of_world[of_program];
                    let said = played[0].verdicts[1 + gate][lens][stage].as_ref().expect("the gate asks");
                    for (index, question) in player.gates[1 + gate].questions.iter().enumerate() {
                        let slice = case.slice(&simulator, question.slice);
                        let at = |look: usize| {
                            let slots = begin..begin + look * plan.slots_per_look;
                            let shown = Shown { case: &case, copies: &copies, stage, slots, slice };
                            shown.measures(&edges, world).map(|measures| measures[gate])
                        };
                        let looks: Vec<Option<f64>> = (1..=plan.looks).map(at).collect();
                        let close = |found: &Option<f64>| found.is_some_and(|found| (found - limit).abs() < 1e-9);
                        if looks.iter().any(close) {
                            continue;
                        }
                        let what =
                            format!("seed {seed}, world {world}, stage {stage}, gate {gate}, {slice:?}: {looks:?}");
                        let record = said.questions[index];
                        let past = |found: &Option<f64>| found.is_some_and(|found| found > limit);
                        assert_eq!(record.failed, looks.iter().any(past), "{what}");
                        let last = looks.last().copied().flatten();
                        assert_eq!(record.passed, last.is_some_and(|last| last <= limit), "{what}");
                        let beyond = record.difference.zip(last).map(|(shown, last)| shown - (last - limit));
                        assert!(beyond.is_none_or(|beyond| beyond.abs() < 1e-9), "{what} {beyond:?}");
                        assert_eq!(record.difference.is_some(), last.is_some(), "{what}");
                        compared += 1;
                        seen.insert((gate, world, record.failed, record.passed));
                    }
                }
                begin += plan.looks * plan.slots_per_look;
            }
        }
    }
    let all = |failed, passed| (0..2).all(|gate| (0..3).all(|world| seen.contains(&(gate, world, failed, passed))));
    assert!(compared > 1000 && all(true, true) && all(true, false) && all(false, true), "{compared} {seen:?}");
}
