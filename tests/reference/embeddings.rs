//! Distances of embeddings: features of each row, added up copy by copy. Directions are the program's, and the law of a squared length.

use std::collections::BTreeMap;

use replay::domain::feature::Feature;
use replay::stats::mmd::{Spread, squared_length_deviate};
use replay::stats::{mean, student_t};

use super::*;

const FEATURES: usize = 6;

const BANDWIDTH: f64 = 0.8;

const LIMIT: f64 = 0.15;

const GATES: &str = r#"
[metrics.answers]
kind = "drift"
column = "{version}_embedding"
features = 6
bandwidth = 0.8

[[gates]]
name = "bare"
metric = "answers"
limit = 0.15
test = "point"
by = ["region"]
correction = "none"
min_requests = 6

[[gates]]
name = "distance"
metric = "answers"
limit = 0.15
test = "fixed"
by = ["region"]
correction = "none"
min_units = 2
min_requests = 6
"#;

/// What a unit adds: its features, and requests that have some.
type Added = ([f64; FEATURES], f64);

fn features(embedding: [f64; 2]) -> [f64; FEATURES] {
    let along =
        |pair: usize| -> f64 { Feature::direction(pair, 2, BANDWIDTH).iter().zip(embedding).map(|(w, x)| w * x).sum() };
    std::array::from_fn(|index| if index % 2 == 0 { along(index / 2).cos() } else { along(index / 2).sin() })
}

fn add(to: &mut Added, embedding: Option<[f64; 2]>) {
    let Some(embedding) = embedding else { return };
    to.0.iter_mut().zip(features(embedding)).for_each(|(sum, feature)| *sum += feature);
    to.1 += 1.0;
}

/// Means of features, the sum of their variances over units, and what units are worth.
struct Means {
    of: [f64; FEATURES],
    noise: f64,
    effective: f64,
}

fn means(units: &[Added]) -> Option<Means> {
    let requests: f64 = units.iter().map(|unit| unit.1).sum();
    let count = units.len() as f64;
    if requests == 0.0 || count < 2.0 {
        return None;
    }
    let means: [f64; FEATURES] = std::array::from_fn(|at| units.iter().map(|unit| unit.0[at]).sum::<f64>() / requests);
    let residuals =
        units.iter().flat_map(|unit| (0..FEATURES).map(move |at| (unit.0[at] - means[at] * unit.1).powi(2)));
    let squares: f64 = units.iter().map(|unit| unit.1 * unit.1).sum();
    Some(Means {
        of: means,
        noise: count / (count - 1.0) * residuals.sum::<f64>() / (requests * requests),
        effective: requests * requests / squares,
    })
}

/// How stable's noise is spread, from the users of the whole log.
fn spread(log: &Log, slice: Slice) -> Spread {
    let mut users: BTreeMap<usize, Added> = BTreeMap::new();
    let mirrored = log.rows.iter().filter(|row| row.is_covered);
    for row in mirrored.filter(|row| slice.is_none_or(|(column, value)| row.segment(column) == value)) {
        add(users.entry(row.unit).or_default(), row.stable.embedding());
    }
    let users: Vec<Added> = users.into_values().collect();
    let Some(known) = means(&users) else { return Spread::of(&[0.0; FEATURES * FEATURES], FEATURES) };
    let product = |at: usize| {
        let (i, j) = (at / FEATURES, at % FEATURES);
        users.iter().map(|unit| (unit.0[i] - known.of[i] * unit.1) * (unit.0[j] - known.of[j] * unit.1)).sum()
    };
    Spread::of(&(0..FEATURES * FEATURES).map(product).collect::<Vec<f64>>(), FEATURES)
}

/// What both arms have shown of a slice in some slots of a stage, with the candidate's recorded answers or with stable's.
fn shown(
    case: &Case,
    copies: &[crowd::Copied],
    (stage, slots): (usize, std::ops::Range<usize>),
    slice: Slice,
    recorded: bool,
) -> Option<[Means; 2]> {
    let exposure = case.plan.stages[stage].exposure;
    let mut arms = [(); 2].map(|()| (BTreeMap::<usize, Added>::new(), 0));
    for row in case.log.rows.iter().filter(|row| row.is_covered) {
        let slot = usize::try_from(case.log.slot(row) - case.log.first_slot()).expect("not before");
        let is_in = slot.checked_sub(case.start).is_some_and(|slot| slots.contains(&slot));
        if !is_in || slice.is_some_and(|(column, value)| row.segment(column) != value) {
            continue;
        }
        for (copy, of) in copies.iter().enumerate().filter(|(_, copy)| copy.unit == row.unit) {
            let is_candidate = of.places[stage] < exposure;
            let (units, requests) = &mut arms[usize::from(!is_candidate)];
            let answer = if is_candidate && recorded { &row.candidate } else { &row.stable };
            add(units.entry(copy).or_default(), answer.embedding());
            *requests += 1;
        }
    }
    if arms.iter().any(|(_, requests)| *requests < 6) {
        return None;
    }
    let [candidate, stable] = arms.map(|(units, _)| means(&units.into_values().collect::<Vec<_>>()));
    Some([candidate?, stable?])
}

#[test]
fn distances_of_embeddings_are_counted_row_by_row() {
    let (mut compared, mut deviates, mut verdicts) = (0, 0, std::collections::BTreeSet::new());
    for seed in 0..24 {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let stage = plan::Stage::plain;
        let (plan, text) = Plan::beside(vec![stage(0.3, 5, 1), stage(0.5, 3, 2)], GATES);
        let log = Log::draw(&mut rng, 500, 60, 13, QUARTER_S);
        let case = Case::of_text(log, plan, seed as usize % 2, &text);
        let simulator = Simulator::new(&case.digest, &case.scenario);
        let player = Player::new(&case.scenario, &simulator, vec![case.moment()]);
        let copies = crowd::copies(&case.log, &case.plan, 0);
        let played = player.play_lanes(vec![(case.start, simulator.replicate(&case.scenario, 0))]);
        for (world, recorded) in [(0, true), (1, false)] {
            let mut begin = 0;
            for (stage, plan) in case.plan.stages.iter().enumerate() {
                let slots = begin..begin + plan.looks * plan.slots_per_look;
                begin = slots.end;
                for gate in [1, 2] {
                    let lens = player.gates[gate].lens_of_world[world];
                    let said = played[0].verdicts[gate][lens][stage].as_ref().expect("the gate asks");
                    for (index, question) in player.gates[gate].questions.iter().enumerate() {
                        let slice = case.slice(&simulator, question.slice);
                        let what = format!("seed {seed}, world {world}, stage {stage}, gate {gate}, {slice:?}");
                        let record = said.questions[index];
                        let Some([candidate, stable]) = shown(&case, &copies, (stage, slots.clone()), slice, recorded)
                        else {
                            assert!(record.se.is_none(), "{what}");
                            continue;
                        };
                        let pairs = FEATURES as f64 / 2.0;
                        let square = (0..FEATURES).map(|at| (candidate.of[at] - stable.of[at]).powi(2)).sum::<f64>();
                        let noise = candidate.noise + stable.noise;
                        let distance = ((square - noise) / pairs).max(0.0).sqrt();
                        let too_few = candidate.effective.min(stable.effective) < 4.0;
                        if gate == 2 && too_few {
                            assert_eq!(record.difference, None, "{what}");
                            continue;
                        }
                        let found = record.difference.unwrap_or_else(|| panic!("{what}: no distance"));
                        assert!((found - (distance - LIMIT)).abs() < 1e-9, "{what}: {found} for {}", distance - LIMIT);
                        if noise > 0.0 {
                            let se = record.se.unwrap_or_else(|| panic!("{what}: no noise"));
                            assert!((se - (noise / pairs).sqrt()).abs() < 1e-9, "{what}: {se}");
                        }
                        if gate == 1 {
                            verdicts.insert((record.passed, recorded));
                        } else if noise > 0.0 {
                            let spread = spread(&case.log, slice);
                            let deviate =
                                squared_length_deviate(square / pairs, noise / pairs, spread, LIMIT).expect("noise");
                            let (c, s) = ((candidate.noise, candidate.effective), (stable.noise, stable.effective));
                            let expected = student_t::normal_equivalent(deviate, mean::welch_df(c, s));
                            let found = record.z_fail.unwrap_or_else(|| panic!("{what}: no deviate"));
                            assert!((found - expected).abs() < 1e-6, "{what}: {found} for {expected}");
                            deviates += 1;
                        }
                        compared += 1;
                    }
                }
            }
        }
    }
    assert!(compared > 300 && deviates > 100 && verdicts.len() == 4, "{compared} {deviates} {verdicts:?}");
}
