//! Gates of style `kayenta`: the judge on points counted row by row, and a score simple enough to write down.

use super::*;
use replay::domain::gate::{Gate as ProgramGate, KayentaMetric};
use replay::stats::kayenta::{Label, judge as classified};

/// Two metrics with a weight each: one that fails, or half of them without data, is less than the pass score of 95. With one of them
/// at or below 75 every run ends the stage.
fn with_judge(plan: &Plan, metrics: [usize; 2], window: &str) -> String {
    let gate = |(name, metric): (&str, usize)| {
        let metric = plan::NAMES[metric];
        format!(
            "\n[[gates]]\nname = \"{name}\"\nmetric = \"{metric}\"\nallow = \"0%\"\ntest = \"mann-whitney\"\nstyle = \"kayenta\"\n\
             window = \"{window}\"\nkayenta = {{ groups = [\"{name}\"], direction = \"either\" }}\n"
        )
    };
    let (text, rollout) = {
        let text = plan.text();
        let at = text.find("\n[rollout]\n").expect("a plan has rules of the rollout");
        (text[..at].to_owned(), text[at..].to_owned())
    };
    let gates: String = [("first", metrics[0]), ("second", metrics[1])].into_iter().map(gate).collect();
    let score = "\n[rollout.kayenta]\npass = 95\nmarginal = 75\nweights = { first = 60, second = 40 }\n";
    text + &gates + &rollout + score
}

/// One stage of a few looks, a gate that always lets go, and no effects.
fn quiet(looks: usize, exposure: f64) -> Plan {
    let stage = plan::Stage::plain(exposure, looks, 1);
    let gate = plan::Gate {
        on_fail: plan::Action::Hold,
        on_inconclusive: plan::Action::Promote,
        on_no_data: plan::Action::Promote,
        ..plan::Gate::point(0, plan::Margin::Percent(500.0), vec![])
    };
    Plan::of_gate(stage, plan::Gate { allow: Some(plan::Margin::Absolute(1e6)), ..gate })
}

#[test]
fn kayentas_judge_reads_the_points_of_the_log() {
    let (mut seen, mut compared) = (std::collections::BTreeSet::new(), 0);
    for seed in 0..40 {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let metrics = [[5, 0], [3, 2], [0, 5]][seed as usize % 3];
        let (window, window_slots) = if seed % 2 == 0 { ("stage", None) } else { ("1h", Some(4)) };
        let plan = quiet(12, 0.5);
        let text = with_judge(&plan, metrics, window);
        let log = Log::draw(&mut rng, 150, 25, 12, QUARTER_S);
        let case = Case::of_text(log, plan, 0, &text);
        let simulator = Simulator::new(&case.digest, &case.scenario);
        let player = Player::new(&case.scenario, &simulator, vec![case.moment()]);
        let copies = crowd::copies(&case.log, &case.plan, 0);
        let judge = Judge::new(&case.log, &case.plan, case.start, copies, thresholds(&simulator));
        let played = player.play_lanes(vec![(case.start, simulator.replicate(&case.scenario, 0))]);
        let said = |gate: usize, look: usize| {
            let said = played[0].verdicts[gate][0][0].as_ref().expect("the gate asks");
            said.runs[look].classes[0].label
        };
        for (gate, look) in [1, 2].into_iter().flat_map(|gate| (0..12).map(move |look| (gate, look))) {
            let label = label(&case.scenario.gates[gate], &judge, look, window_slots);
            if let Some(label) = label {
                assert_eq!(said(gate, look), label, "seed {seed}, gate {gate}, look {look}");
                seen.insert(label);
                compared += 1;
            }
        }
        let passes = |label: Label| matches!(label, Label::Pass | Label::Error);
        let expected_end = (0..12).find(|&look| ![1, 2].iter().all(|&gate| passes(said(gate, look))));
        let outcome = played[0].worlds[0].outcome;
        assert_eq!(outcome.looks, expected_end.map_or(12, |look| look + 1), "seed {seed}");
        assert_eq!(outcome.end == schedule::End::Promoted, expected_end.is_none(), "seed {seed}");
    }
    assert!(seen.contains(&Label::Pass) && seen.len() >= 3 && compared > 600, "{seen:?}, {compared}");
}

/// The label of a gate; `None` where the judge, with one value in an arm, hangs on the last digits of it.
fn label(gate: &ProgramGate, judge: &Judge<'_>, look: usize, window: Option<usize>) -> Option<Label> {
    let points = |arm: Arm| judge.points((0, look, window), (gate.metric, None), World::Recorded, arm);
    let (stable, candidate) = (points(Arm::Stable), points(Arm::Candidate));
    let known = |points: &[f64]| points.iter().copied().filter(|point| !point.is_nan()).collect::<Vec<f64>>();
    let constant = |points: &[f64]| known(points).windows(2).all(|pair| pair[0] == pair[1]);
    let hangs =
        !known(&stable).is_empty() && !known(&candidate).is_empty() && (constant(&stable) || constant(&candidate));
    let KayentaMetric { config, .. } = gate.kayenta.as_ref().expect("of style `kayenta`");
    (!hangs).then(|| classified(&stable, &candidate, config).label)
}
