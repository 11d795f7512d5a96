//! How the cost of a rollout grows: simulating with cells and replicates alone, deciding also with what is asked in which world.
//!
//! Not Criterion's: `cargo bench --bench growth` prints a table and writes `datasets/figures/growth.svg`. One thread plays replicates from
//! the first start of the bundled log; each time is the best of five.

mod support;

use std::fmt::Write as _;
use std::hint::black_box;
use std::io::Write as _;
use std::time::Instant;

use replay::digest::{self, Digest};
use replay::domain::quantity::Seconds;
use replay::domain::world::{Change, Effect};
use replay::outcome::player::{Player, Twins};
use replay::outcome::recovery::Rollback;
use replay::scenario::Scenario;
use replay::simulate::Simulator;
use replay::simulate::lanes::Lane;

const FACTORS: [usize; 4] = [1, 2, 4, 8];
const LANES: usize = 64;

/// What is made larger.
#[derive(Clone, Copy)]
enum Grown {
    Cells,
    Replicates,
    Effects,
    Gates,
    Margins,
}

/// Seconds, simulating and deciding.
#[derive(Clone, Copy)]
struct Cost {
    simulate: f64,
    decide: f64,
}

fn main() {
    let case = support::cases().swap_remove(0);
    let digest = digest::load(case.typed(), &case.scenario, &|_| {}).expect("the log has no problems");
    let grown = [
        ("cells met", Grown::Cells),
        ("replicates", Grown::Replicates),
        ("effects", Grown::Effects),
        ("gates", Grown::Gates),
        ("gates, each with a margin of its own", Grown::Margins),
    ];
    let costs: Vec<(&str, Vec<Cost>)> = grown
        .iter()
        .map(|&(name, grown)| {
            (name, FACTORS.iter().map(|&factor| cost(&digest, &case.scenario, grown, factor)).collect())
        })
        .collect();
    let mut table = format!("{}\n\n", case.name);
    table.push_str("| growing | part | x 1 | x 2 | x 4 | x 8 |\n|---|---|---|---|---|---|\n");
    for (name, costs) in &costs {
        for (part, of) in PARTS {
            let times: Vec<String> = costs.iter().map(|cost| format!("{:.1} ms", of(cost) * 1e3)).collect();
            let _ = writeln!(table, "| {name} | {part} | {} |", times.join(" | "));
        }
    }
    let _ = std::io::stdout().lock().write_all(table.as_bytes());
    let figure = concat!(env!("CARGO_MANIFEST_DIR"), "/datasets/figures/growth.svg");
    std::fs::write(figure, draw(&costs)).expect("the figure can be written");
}

/// Of a cost, by name.
type Part = (&'static str, fn(&Cost) -> f64);

const PARTS: [Part; 2] = [("simulate", |cost| cost.simulate), ("decide", |cost| cost.decide)];

fn cost(digest: &Digest, scenario: &Scenario, grown: Grown, factor: usize) -> Cost {
    let mut scenario = scenario.clone();
    let mut replicates = LANES;
    match grown {
        // An eighth of each stage, and up to all of it.
        Grown::Cells => {
            for stage in &mut scenario.stages {
                let looks = stage.duration.0 / stage.look_every.0;
                stage.duration = Seconds(stage.look_every.0 * (looks * factor as i64 / 8));
            }
        }
        Grown::Replicates => replicates *= factor,
        Grown::Effects => {
            let more = (scenario.effects.len()..scenario.effects.len().max(4) * factor).map(|index| Effect {
                name: format!("effect {index}"),
                family: format!("effect {index}"),
                metric: index % scenario.metrics.len(),
                change: Change::Scale(1.0 + 0.001 * index as f64),
                only: Vec::new(),
                onset: Seconds(0),
                ramp: Seconds(0),
            });
            let more: Vec<Effect> = more.collect();
            scenario.effects.extend(more);
        }
        Grown::Gates | Grown::Margins => {
            let each = if matches!(grown, Grown::Margins) { 0.1 } else { 0.0 };
            let gates = scenario.gates.clone();
            for copy in 1..factor {
                scenario.gates.extend(gates.iter().cloned().map(|mut gate| {
                    gate.name = format!("{} {copy}", gate.name);
                    gate.allow = gate.allow.map(|margin| margin.times(1.0 + each * copy as f64));
                    gate
                }));
            }
        }
    }
    let starts = scenario.starts(digest.first, digest.end());
    let simulator = Simulator::new(digest, &scenario);
    let player = Player::new(&scenario, &simulator, starts);
    let start = simulator.slot_at(player.starts[0]);
    let planned = player.planned(&simulator.census_of_schedule(start));
    let mut best = Cost { simulate: f64::INFINITY, decide: f64::INFINITY };
    for _ in 0..5 {
        let mut now = Cost { simulate: 0.0, decide: 0.0 };
        let all: Vec<usize> = (0..replicates).collect();
        for block in all.chunks(LANES) {
            let lanes: Vec<(usize, Lane)> = block.iter().map(|&r| (start, simulator.replicate(&scenario, r))).collect();
            let begin = Instant::now();
            let trajectories = simulator.trajectories(&lanes);
            now.simulate += begin.elapsed().as_secs_f64();
            let begin = Instant::now();
            for own in &trajectories {
                black_box(player.judge(Twins::alone(own), &planned, Rollback::median(player.scenario)));
            }
            now.decide += begin.elapsed().as_secs_f64();
        }
        best = Cost { simulate: best.simulate.min(now.simulate), decide: best.decide.min(now.decide) };
    }
    best
}

/// Time against factor, both on scales of doubling: what is in proportion rises with the grey diagonal.
fn draw(costs: &[(&str, Vec<Cost>)]) -> String {
    const COLORS: [&str; 5] = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00"];
    let (wide, high, left, top) = (70.0, 42.0, 60.0, 70.0);
    let x = |factor: f64, panel: usize| left + panel as f64 * 300.0 + wide * factor.log2();
    let y = |times: f64| top + 20.0 + high * (5.5 - times.log2());
    let mut svg = String::from(
        r##"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 900 380" font-family="DejaVu Sans, Verdana, sans-serif" font-size="11" fill="#222222"><rect width="900" height="380" fill="#ffffff"/><text x="16" y="26" font-size="16" font-weight="bold">Growth of cost</text><text x="16" y="44" fill="#666666">Time of 64 replicates of the bundled log, as a multiple of the first; grey is in proportion.</text>"##,
    );
    for (panel, (part, of)) in PARTS.into_iter().enumerate() {
        let _ = write!(svg, r#"<text x="{}" y="{}" font-weight="bold">{part}</text>"#, x(1.0, panel), top);
        for times in [1.0, 2.0, 4.0, 8.0, 16.0, 32.0] {
            let (from, to, at) = (x(1.0, panel), x(8.0, panel), y(times));
            let _ = write!(svg, r##"<line x1="{from}" x2="{to}" y1="{at}" y2="{at}" stroke="#e3e3e3"/>"##);
            let _ = write!(svg, r#"<text x="{}" y="{}" text-anchor="end">{times}</text>"#, from - 8.0, at + 4.0);
        }
        for factor in FACTORS {
            let (x, y) = (x(factor as f64, panel), y(1.0) + 40.0);
            let _ = write!(svg, r#"<text x="{x}" y="{y}" text-anchor="middle">{factor} x</text>"#);
        }
        let line = |points: Vec<(f64, f64)>, color: &str| {
            let points: Vec<String> = points.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
            format!(r#"<polyline points="{}" fill="none" stroke="{color}" stroke-width="2"/>"#, points.join(" "))
        };
        svg += &line(vec![(x(1.0, panel), y(1.0)), (x(8.0, panel), y(8.0))], "#bbbbbb");
        for ((_, costs), color) in costs.iter().zip(COLORS) {
            let at = |(cost, factor): (&Cost, usize)| (x(factor as f64, panel), y((of(cost) / of(&costs[0])).max(0.6)));
            svg += &line(costs.iter().zip(FACTORS).map(at).collect(), color);
        }
    }
    for (row, ((name, _), color)) in costs.iter().zip(COLORS).enumerate() {
        let at = top + 20.0 + 18.0 * row as f64;
        let _ = write!(svg, r#"<text x="620" y="{at}" fill="{color}">{name}</text>"#);
    }
    svg += "</svg>\n";
    svg
}
