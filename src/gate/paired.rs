//! A gate at the end of a stage that exposes nobody, in one world of one replicate: asked once, about pairs of answers.

use super::correction;
use super::stage::{FEWEST_EFFECTIVE_UNITS, QuestionRecord, StageVerdicts};
use crate::domain::gate::{Gate, Test, Verdict, Waits};
use crate::paired::Shown;
use crate::stats::normal;

/// At which error rates a gate is asked.
#[derive(Debug, Clone, Copy)]
pub struct Levels<'a> {
    /// Normal quantile of the gate's alpha, by which it passes.
    pub z_alpha: f64,
    /// One-sided error rate of the failing side, over all questions.
    pub alpha_fail: f64,
    /// Of that, each question's part.
    pub shares: &'a [f64],
}

/// What one question showed.
#[derive(Clone, Copy)]
struct Seen {
    record: QuestionRecord,
    p_fail: f64,
}

/// What the gate says of what its questions show. There is one look, so every test is that of a fixed sample, whatever it would do at many, and
/// the gate's patience has nothing to wait for.
#[must_use]
pub fn verdicts(gate: &Gate, shown: &[Option<Shown>], levels: Levels<'_>, waits: Waits) -> StageVerdicts {
    let seen: Vec<Option<Seen>> = shown.iter().map(|shown| see(gate, (*shown)?, levels)).collect();
    let p_values: Vec<f64> = seen.iter().map(|seen| seen.map_or(1.0, |seen| seen.p_fail)).collect();
    let mut rejected = Vec::new();
    correction::reject(gate.correction, levels.shares, &p_values, levels.alpha_fail, &mut rejected);
    let strongest =
        (0..rejected.len()).filter(|&index| rejected[index]).min_by(|&a, &b| p_values[a].total_cmp(&p_values[b]));
    let mut result = StageVerdicts::nothing(shown.len());
    result.end = if strongest.is_some() {
        Verdict::Fail
    } else if seen[0].is_none() {
        Verdict::NoData
    } else if seen.iter().all(|seen| seen.is_some_and(|seen| seen.record.passed)) {
        Verdict::Pass
    } else {
        Verdict::Inconclusive
    };
    result.first_fail = strongest.map(|question| (0, question));
    result.first_failing = strongest.map(|_| 0);
    result.first_no_data = (result.end == Verdict::NoData).then_some(0);
    result.held = (!waits.on(result.end)).then_some(0);
    result.level = correction::smallest_level(levels.shares, &p_values);
    for ((record, seen), failed) in result.questions.iter_mut().zip(seen).zip(rejected) {
        *record = QuestionRecord { failed, ..seen.map(|seen| seen.record).unwrap_or_default() };
    }
    result
}

/// `None` of too little data.
fn see(gate: &Gate, shown: Shown, levels: Levels<'_>) -> Option<Seen> {
    if shown.units < gate.min_units || shown.requests < gate.min_requests {
        return None;
    }
    let difference = Some(shown.pass.difference);
    let record = QuestionRecord { difference, ..QuestionRecord::default() };
    if gate.test == Test::Point {
        let p_fail = if shown.fail.difference > 0.0 { 0.0 } else { 1.0 };
        return Some(Seen { record: QuestionRecord { passed: shown.pass.difference <= 0.0, ..record }, p_fail });
    }
    if shown.fail.effective_units < FEWEST_EFFECTIVE_UNITS {
        return None;
    }
    // Where no pair differs there is no telling how rare a difference is.
    let Some((z_pass, z_fail)) = shown.pass.z().zip(shown.fail.z()) else { return Some(Seen { record, p_fail: 1.0 }) };
    let record = QuestionRecord {
        passed: -z_pass > levels.z_alpha,
        se: shown.pass.variance.map(f64::sqrt),
        z_fail: Some(z_fail),
        ..record
    };
    Some(Seen { record, p_fail: normal::upper_tail(z_fail) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gate::question::Contrast;
    use crate::scenario::Scenario;

    fn gate(keys: &str) -> Gate {
        let text = format!(
            "[log]\ntimestamp = \"ts\"\n[assignment]\nunit = \"user\"\n[metrics.q]\nkind = \"mean\"\ncolumn = \"{{version}}_q\"\n\
             better = \"higher\"\n[[stages]]\nname = \"mirror\"\nkind = \"shadow\"\nduration = \"1h\"\n\
             [[stages]]\nname = \"half\"\nexposure = \"50%\"\nduration = \"1h\"\n[[gates]]\nname = \"q\"\nmetric = \"q\"\nallow = 0.1\n{keys}"
        );
        Scenario::parse("scenario.toml", &text).unwrap_or_else(|error| panic!("{error}")).gates.remove(0)
    }

    /// So much beyond the margin, of a standard error of 1 over 100 units.
    #[expect(clippy::unnecessary_wraps, reason = "questions without pairs show nothing")]
    fn shown(beyond: f64) -> Option<Shown> {
        let contrast = Contrast {
            difference: beyond,
            variance: Some(1.0),
            df: f64::INFINITY,
            effective_units: 100.0,
            deviate: None,
        };
        Some(Shown { pass: contrast, fail: contrast, units: 100.0, requests: 100.0, stable: 0.5 })
    }

    fn says(gate: &Gate, shown: &[Option<Shown>]) -> StageVerdicts {
        let shares = vec![1.0 / shown.len() as f64; shown.len()];
        let levels = Levels { z_alpha: 1.644_853_626_951_472_7, alpha_fail: 0.05, shares: &shares };
        verdicts(gate, shown, levels, Waits { inconclusive: true, no_data: true })
    }

    #[test]
    fn a_gate_is_asked_once_by_a_fixed_test() {
        let gate = gate("");
        let ends = |beyond: f64| says(&gate, &[shown(beyond)]).end;
        let expected = [Verdict::Fail, Verdict::Inconclusive, Verdict::Inconclusive, Verdict::Pass];
        assert_eq!([1.65, 1.64, -1.64, -1.65].map(ends), expected);
        assert_eq!(says(&gate, &[shown(1.65)]).first_fail, Some((0, 0)));
        assert_eq!(says(&gate, &[shown(0.0)]).held, None, "it waits for a verdict");
    }

    #[test]
    fn segments_share_alpha_and_the_whole_speaks_for_data() {
        let gate = gate("");
        let two = |a: Option<Shown>, b: Option<Shown>| says(&gate, &[a, b]);
        // Half of 5 % is 1.96 standard errors.
        assert_eq!(two(shown(0.0), shown(1.95)).end, Verdict::Inconclusive);
        assert_eq!(two(shown(0.0), shown(1.97)).first_fail, Some((0, 1)));
        assert_eq!((two(None, shown(-3.0)).end, two(shown(-3.0), None).end), (Verdict::NoData, Verdict::Inconclusive));
        assert_eq!(two(shown(-3.0), shown(-3.0)).end, Verdict::Pass);
    }

    #[test]
    fn too_few_units_and_pairs_that_do_not_differ_are_no_verdict() {
        let gate = gate("min_units = 40");
        let few = shown(9.0).map(|shown| Shown { units: 39.0, ..shown });
        assert_eq!(says(&gate, &[few]).end, Verdict::NoData);
        let alike = shown(-9.0).map(|shown| {
            let contrast = Contrast { variance: Some(0.0), ..shown.pass };
            Shown { pass: contrast, fail: contrast, ..shown }
        });
        assert_eq!(says(&gate, &[alike]).end, Verdict::Inconclusive);
    }

    #[test]
    fn a_bare_threshold_needs_no_variance() {
        let gate = gate("test = \"point\"");
        assert_eq!([0.1, -0.1].map(|beyond| says(&gate, &[shown(beyond)]).end), [Verdict::Fail, Verdict::Pass]);
    }
}
