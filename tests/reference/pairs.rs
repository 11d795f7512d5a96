//! Mirrored traffic: pairs of answers counted request by request, copy by copy, with errors clustered by copy and by item both.

use std::collections::BTreeMap;

use super::*;
use replay::domain::world::World as OfProgram;

/// A stage that mirrors two hours, before one that exposes units.
const MIRROR: &str = "\n[[stages]]\nname = \"mirror\"\nkind = \"shadow\"\nduration = \"2h\"\n";

/// Slots that it mirrors.
const SLOTS: i64 = 8;

/// Gates on the metrics by index, their factors and offsets.
const GATES: &str = r#"
[[gates]]
name = "quality"
metric = "quality"
allow = 0.1
test = "fixed"
looks = "end"
min_units = 2
by = ["region"]

[[gates]]
name = "ok"
metric = "ok"
allow = "4%"
test = "fixed"
looks = "end"
min_units = 2

[[gates]]
name = "cost per token"
metric = "cost_per_token"
allow = "10%"
test = "fixed"
looks = "end"
min_units = 2
"#;

const EFFECT: &str = r#"
[[effects]]
name = "worse quality"
metric = "quality"
shift = -0.3
only = { region = ["eu", "us"] }
onset = "30m"
ramp = "30m"
"#;

/// Metric, factor and offset of each gate.
const CONTRASTS: [(usize, f64, f64); 3] = [(0, 1.0, 0.1), (1, 0.96, 0.0), (4, 1.1, 0.0)];

/// One request of one copy: the copy, its item, and what the candidate and stable add to numerator and denominator.
struct Pair {
    copy: usize,
    unit: usize,
    item: &'static str,
    candidate: (f64, f64),
    stable: (f64, f64),
}

fn ratio(pairs: &[Pair], of: impl Fn(&Pair) -> (f64, f64)) -> f64 {
    let (y, x) = pairs.iter().map(of).fold((0.0, 0.0), |(a, b), (y, x)| (a + y, b + x));
    y / x
}

/// Difference and variance by the definition: sums of influences squared over copies, items, and pairs of them.
fn contrast(pairs: &[Pair], factor: f64) -> Option<(f64, f64)> {
    let (rc, rs) = (ratio(pairs, |pair| pair.candidate), ratio(pairs, |pair| pair.stable));
    let x = |of: fn(&Pair) -> f64| pairs.iter().map(of).sum::<f64>();
    let (xc, xs) = (x(|pair| pair.candidate.1), x(|pair| pair.stable.1));
    let influence = |pair: &Pair| {
        (pair.candidate.0 - rc * pair.candidate.1) / xc - factor * (pair.stable.0 - rs * pair.stable.1) / xs
    };
    let by = |key: &dyn Fn(&Pair) -> (usize, &'static str)| {
        let mut sums: BTreeMap<(usize, &str), f64> = BTreeMap::new();
        for pair in pairs {
            *sums.entry(key(pair)).or_default() += influence(pair);
        }
        let groups = sums.len() as f64;
        (groups >= 2.0).then(|| groups / (groups - 1.0) * sums.values().map(|sum| sum * sum).sum::<f64>())
    };
    let one_way = by(&|pair| (pair.copy, ""))?;
    // Of an item all products, but those of copies of one unit with each other.
    let counts = |a: &Pair, b: &Pair| a.item == b.item && (a.copy == b.copy || a.unit != b.unit);
    let with = |a: &Pair| pairs.iter().filter(|b| counts(a, b)).map(|b| influence(a) * influence(b)).sum::<f64>();
    let items = pairs.iter().map(|pair| pair.item).collect::<std::collections::BTreeSet<_>>().len() as f64;
    let by_item = (items >= 2.0).then(|| items / (items - 1.0) * pairs.iter().map(with).sum::<f64>());
    let both_ways = by_item.zip(by(&|pair| (pair.copy, pair.item))).map(|(item, both)| {
        let variance = one_way + item - both;
        if variance > 0.0 { variance } else { one_way.max(item) }
    });
    Some((rc - factor * rs, one_way.max(both_ways.unwrap_or(0.0))))
}

/// The pairs of some copies in one slice, as a world shows them.
fn pairs(case: &Case, copies: &[usize], metric: usize, region: Option<&str>, world: OfProgram) -> Vec<Pair> {
    let window = case.log.first_slot() + case.start as i64;
    let mirrored = |row: &&log::Row| {
        let slot = case.log.slot(row) - window;
        row.is_covered && (0..SLOTS).contains(&slot) && region.is_none_or(|region| row.segment(0) == region)
    };
    let of = |(copy, unit): (usize, usize)| {
        let rows = case.log.rows.iter().filter(mirrored).filter(move |row| row.unit == unit);
        rows.filter_map(move |row| {
            let (stable, candidate) = (plan::value(metric, &row.stable)?, plan::value(metric, &row.candidate)?);
            Some((row, Pair { copy, unit, item: row.segment(1), candidate, stable }))
        })
    };
    // Every unit once: what is true of the window.
    let everyone: Vec<Pair> = (0..case.log.units()).flat_map(|unit| of((unit, unit))).map(|(_, pair)| pair).collect();
    let shift = if world == OfProgram::Recorded {
        0.0
    } else {
        ratio(&everyone, |pair| pair.stable) - ratio(&everyone, |pair| pair.candidate)
    };
    let added = |row: &log::Row, x: f64| {
        let since = case.log.slot(row) - window - 2;
        let holds = world == OfProgram::Effect(0) && metric == 0 && row.segment(0) != "(null)" && since >= 0;
        if holds { -0.3 * x * f64::midpoint(since as f64, 0.5).min(1.0) } else { 0.0 }
    };
    let shown = |(row, pair): (&log::Row, Pair)| {
        let (y, x) = pair.candidate;
        Pair { candidate: (y + shift * x + added(row, pair.stable.1), x), ..pair }
    };
    copies.iter().copied().enumerate().flat_map(of).map(shown).collect()
}

#[test]
fn pairs_of_mirrored_requests_are_those_of_the_rows() {
    let mut compared = [0; 3];
    for seed in 0..30 {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut log = Log::draw(&mut rng, 400, 25, 21, QUARTER_S);
        for row in &mut log.rows {
            row.segments[1] = row.segments[1].or(Some("free"));
        }
        let gate = plan::Gate::point(0, plan::Margin::Percent(0.0), vec![]);
        let plan = Plan::of_gate(plan::Stage::plain(0.3, 6, 1), gate);
        let text = plan.text();
        let stages = text.find("\n[[stages]]").expect("a plan has stages");
        let gates = text.find("\n[[gates]]").expect("a plan has gates");
        let rollout = text.find("\n[rollout]\n").expect("a plan has rules of the rollout");
        let item = if seed % 3 == 0 { "" } else { "item = \"tier\"\n" };
        let text = format!(
            "[log]\n{item}{}{MIRROR}{}{GATES}{}{EFFECT}",
            text[..stages].strip_prefix("[log]\n").expect("it begins with the log"),
            &text[stages..gates],
            &text[rollout..]
        );
        let case = Case::of_text(log, plan, seed as usize % 2, &text);
        let simulator = Simulator::new(&case.digest, &case.scenario);
        let golden = vec![None; case.scenario.stages.len()];
        let player = Player::new(&case.scenario, &simulator, vec![case.moment()]).with_pairs(&case.digest, &golden);
        for replicate in 0..2 {
            let copies: Vec<usize> =
                crowd::copies(&case.log, &case.plan, replicate).iter().map(|copy| copy.unit).collect();
            let lane = simulator.replicate(&case.scenario, replicate as usize);
            let played = player.play_lanes(vec![(case.start, lane)]);
            let worlds = [OfProgram::Recorded, OfProgram::Null, OfProgram::Effect(0)];
            for (place, world) in worlds.into_iter().enumerate() {
                let index = player.worlds.iter().position(|&other| other == world).expect("a world of every run");
                for (gate, (metric, factor, offset)) in CONTRASTS.into_iter().enumerate() {
                    let asked = &player.gates[gate];
                    let said = played[0].verdicts[gate][asked.lens_of_world[index]][0].as_ref().expect("it is asked");
                    for (question, record) in asked.questions.iter().zip(&said.questions) {
                        let region = match simulator.layout.slices[question.slice] {
                            layout::Slice::Overall => None,
                            layout::Slice::Segment { column, value } => {
                                Some(case.digest.segments[column].values[value].as_str())
                            }
                        };
                        let mut pairs = pairs(&case, &copies, metric, region, world);
                        if item.is_empty() {
                            for pair in &mut pairs {
                                pair.item = "";
                            }
                        }
                        let Some((difference, se)) = record.difference.zip(record.se) else { continue };
                        let (raw, variance) = contrast(&pairs, factor).expect("the program has a standard error");
                        let expected = plan::SIGN[metric] * raw - offset;
                        let share = 0.04 * ratio(&pairs, |pair| pair.stable);
                        // A share that is worse by its margin differs in that many requests at least.
                        let least = if metric == 1 { (share - share * share) / pairs.len() as f64 } else { 0.0 };
                        let what = format!("seed {seed}, replicate {replicate}, gate {gate}, {region:?}, {world:?}");
                        assert!((difference - expected).abs() < 1e-9, "{what}: {difference}, not {expected}");
                        assert!(
                            (se - variance.max(least).sqrt()).abs() < 1e-9,
                            "{what}: {se}, not {}",
                            variance.sqrt()
                        );
                        compared[place] += 1;
                    }
                }
            }
        }
    }
    assert!(compared.iter().all(|&compared| compared > 200), "{compared:?}");
}
