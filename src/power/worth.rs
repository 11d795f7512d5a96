//! What shadow mode has shown about each gate, what it would take to show more, and what is left for the canary.

use crate::report::labels;
use crate::report::planning::{NeedRow, ShadowWorth};
use crate::scenario::Scenario;
use crate::shadow::Against;
use crate::stats::normal;

/// One row per gate with `allow`, and per slice it asks in; without needs nothing is said of a canary.
pub(super) fn rows(shown: &[Against], scenario: &Scenario, needs: &[NeedRow]) -> Vec<ShadowWorth> {
    shown.iter().map(|found| row(found, scenario, needs)).collect()
}

fn row(found: &Against, scenario: &Scenario, needs: &[NeedRow]) -> ShadowWorth {
    let gate = &scenario.gates[found.gate];
    let width = normal::upper_quantile(gate.alpha.get()) * found.se;
    let power = -normal::upper_quantile(gate.power.get());
    let deviates = normal::upper_quantile(gate.alpha.get()) + power;
    // The standard error falls with the root of the requests, as long as they come with new units and items.
    let needed = |distance: f64| {
        (distance > 0.0 && found.requests > 0.0)
            .then(|| (found.requests * (deviates * found.se / distance).powi(2)).ceil())
    };
    let (low, high) = (found.beyond - width, found.beyond + width);
    let shown = if high < 0.0 {
        "pass"
    } else if low > 0.0 {
        "fail"
    } else {
        "inconclusive"
    };
    let requests_needed = needed(found.allowed);
    let requests_needed_recorded = needed(found.beyond.abs());
    ShadowWorth {
        gate: gate.name.clone(),
        metric: scenario.metrics[gate.metric].name.clone(),
        segment: found.segment.clone(),
        beyond: found.beyond,
        low,
        high,
        shown: shown.into(),
        requests: found.requests,
        requests_needed,
        requests_needed_recorded,
        left: left(shown, found, requests_needed_recorded, &canary(needs, &gate.name, found)),
    }
}

/// What the canary's first stage would need to pass the same question.
fn canary(needs: &[NeedRow], gate: &str, found: &Against) -> String {
    let mut mine = needs.iter().filter(|row| row.gate == gate && row.segment == found.segment);
    let cheapest = mine.find_map(|row| row.pass.as_ref()?.requests.map(|requests| (row.exposure, requests.candidate)));
    cheapest.map_or_else(String::new, |(exposure, requests)| {
        format!(
            "; a canary at {} needs {} requests on the candidate to pass it",
            labels::percent(exposure),
            labels::count(requests)
        )
    })
}

fn left(shown: &str, found: &Against, recorded: Option<f64>, canary: &str) -> String {
    match shown {
        "pass" => "shown already: the canary is for what shadow cannot see, load and what users do next".to_owned(),
        "fail" => "shown to be worse than allowed: mend it before anyone is exposed".to_owned(),
        _ => {
            // A hundred logs like this one are as good as none.
            let within_reach = |more: &f64| *more > 0.0 && *more < 100.0 * found.requests;
            let more = recorded.map(|needed| needed - found.requests).filter(within_reach);
            let more = more.map_or_else(
                || "open: recorded and allowed are too near to each other for shadow to part them".to_owned(),
                |more| {
                    let days = if found.requests_per_day > 0.0 {
                        format!(" ({} at the log's rate)", labels::duration(more / found.requests_per_day * 86_400.0))
                    } else {
                        String::new()
                    };
                    let kind = if found.is_paired { "mirrored requests" } else { "requests of the two versions" };
                    format!(
                        "open: {} more {kind}{days} part what was recorded from what is allowed",
                        labels::count(more)
                    )
                },
            );
            more + canary
        }
    }
}
