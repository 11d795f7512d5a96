//! Burn rates: bad requests of a window counted row by row, copy by copy, over all stages that it reaches back to.

use super::*;
use replay::domain::gate::{Burn, BurnPair};

/// A gate on each column of segments too, with windows that reach back over stages.
const GATES: &str = r#"
[[gates]]
name = "budget"
metric = "slow"
test = "burn-rate"
slo = 0.5
burn = [{ factor = 1.1, long = "3h", short = "30m" }, { factor = 1.6, long = "1h", short = "30m" }]
min_requests = 6
by = ["region"]
correction = "none"
"#;

/// Three stages, the middle one with looks half an hour apart.
fn plan() -> (Plan, String) {
    let stage = plan::Stage::plain;
    Plan::beside(vec![stage(0.3, 6, 1), stage(0.5, 3, 2), stage(0.8, 8, 1)], GATES)
}

/// Bad requests and all requests of the candidate in slots of the rollout.
fn counted(
    case: &Case,
    copies: &[crowd::Copied],
    slots: std::ops::Range<usize>,
    slice: Slice,
    world: World,
) -> (f64, f64) {
    let mut sums = (0.0, 0.0);
    for row in case.log.rows.iter().filter(|row| row.is_covered) {
        let slot = usize::try_from(case.log.slot(row) - case.log.first_slot()).expect("not before the first");
        let asked = slice.is_none_or(|(column, value)| row.segment(column) == value);
        let Some(slot) = slot.checked_sub(case.start).filter(|slot| slots.contains(slot) && asked) else { continue };
        let mut end = 0;
        let stage = case.plan.stages.iter().position(|stage| {
            end += stage.looks * stage.slots_per_look;
            slot < end
        });
        let stage = stage.expect("the slot is in the schedule");
        let plan::Stage { exposure, looks, slots_per_look, .. } = case.plan.stages[stage];
        // Of an earlier stage a window has whole looks.
        let begin = end - looks * slots_per_look;
        if slot - (slot - begin) % slots_per_look < slots.start {
            continue;
        }
        let answer = if world == World::Recorded { &row.candidate } else { &row.stable };
        let Some((bad, _)) = plan::value(2, answer) else { continue };
        let served = copies.iter().filter(|copy| copy.unit == row.unit && copy.places[stage] < exposure).count() as f64;
        sums.0 += served * bad;
        sums.1 += served;
    }
    sums
}

/// Whether a pair burns at the end of a slot; `None` where no long window has enough requests.
fn burns(case: &Case, copies: &[crowd::Copied], burn: &Burn, end: usize, slice: Slice, world: World) -> Option<bool> {
    let of_pair = |pair: &BurnPair| {
        let within = |window: i64| {
            let slots = usize::try_from(window / QUARTER_S).expect("windows are not negative");
            counted(case, copies, end.saturating_sub(slots)..end, slice, world)
        };
        let (long, short) = (within(pair.long.0), within(pair.short.0));
        let over = |(bad, all): (f64, f64)| all > 0.0 && bad / all > pair.factor * (1.0 - burn.slo);
        (long.1 >= 6.0).then(|| over(long) && over(short))
    };
    let said: Vec<bool> = burn.pairs.iter().filter_map(of_pair).collect();
    (!said.is_empty()).then(|| said.contains(&true))
}

#[test]
fn burn_rates_are_counted_over_the_stages_that_a_window_reaches_back_to() {
    let mut seen = std::collections::BTreeSet::new();
    for seed in 0..40 {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let (plan, text) = plan();
        let log = Log::draw(&mut rng, 400, 25, 21, QUARTER_S);
        let case = Case::of_text(log, plan, seed as usize % 2, &text);
        let simulator = Simulator::new(&case.digest, &case.scenario);
        let player = Player::new(&case.scenario, &simulator, vec![case.moment()]);
        let copies = crowd::copies(&case.log, &case.plan, 0);
        let played = player.play_lanes(vec![(case.start, simulator.replicate(&case.scenario, 0))]);
        let burn = case.scenario.gates[1].burn.as_ref().expect("a gate on a budget");
        for (world, of_program) in [(World::Recorded, 0), (World::Null, 1)] {
            let lens = player.gates[1].lens_of_world[of_program];
            let mut begin = 0;
            for (stage, plan) in case.plan.stages.iter().enumerate() {
                let said = played[0].verdicts[1][lens][stage].as_ref().expect("the gate asks");
                for (index, question) in player.gates[1].questions.iter().enumerate() {
                    let slice = case.slice(&simulator, question.slice);
                    let looks = (1..=plan.looks)
                        .map(|look| burns(&case, &copies, burn, begin + look * plan.slots_per_look, slice, world));
                    let looks: Vec<Option<bool>> = looks.collect();
                    let what = format!("seed {seed}, stage {stage}, question {index}, {world:?}: {looks:?}");
                    let record = said.questions[index];
                    assert_eq!(record.failed, looks.contains(&Some(true)), "{what}");
                    assert_eq!(record.passed, looks.last() == Some(&Some(false)), "{what}");
                    seen.insert((stage, record.failed, record.passed));
                }
                begin += plan.looks * plan.slots_per_look;
            }
        }
    }
    // A stage that burnt and no longer does at its end, one that never did, and one that still does.
    assert!(
        (0..3).all(|stage| seen.contains(&(stage, true, true)) && seen.contains(&(stage, false, true))),
        "{seen:?}"
    );
    assert!(seen.contains(&(2, true, false)), "{seen:?}");
}
