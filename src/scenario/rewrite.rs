//! The text of a scenario with another schedule. Names, comments, metrics and all that is not asked for stay as written.

use toml_edit::{Array, ArrayOfTables, DocumentMut, InlineTable, Item, Table, TableLike, Value};

use super::Scenario;
use crate::domain::gate::{Gate, Looks, Patience, Spending, Test};
use crate::domain::quantity::{Fraction, Seconds};
use crate::domain::rollout::{Budget, Promotion};
use crate::error::{Problem, Result, printable};

/// One exposure below 100 %, and how long it holds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Step {
    /// Fraction of units on the candidate.
    pub exposure: Fraction,
    /// How long.
    pub duration: Seconds,
    /// Time between looks; divides the duration.
    pub look_every: Seconds,
}

/// What takes the place of what is written; `None` leaves it.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Changes {
    /// In place of all stages below 100 %.
    pub steps: Vec<Step>,
    /// Of every gate for which [`is_free`].
    pub test: Option<(Test, Looks)>,
    /// Budget of false rollbacks of the whole release, and how it is kept.
    pub budget: Option<(Fraction, Budget)>,
    /// Promotion needs every gate to pass at the end of the last stage with a control.
    pub proof_at_the_end: bool,
}

/// Whether a gate can be asked by another test: it estimates a difference, over the whole stage, with an error rate, and acts at once.
#[must_use]
pub fn is_free(gate: &Gate) -> bool {
    let estimates = matches!(gate.test, Test::Fixed | Test::GroupSequential(_) | Test::ConfidenceSequence);
    estimates && gate.kayenta.is_none() && gate.patience == Patience::NONE
}

/// A scenario's text with changes.
///
/// # Errors
/// Text that is not TOML, or that has no stages.
pub fn rewritten(scenario: &Scenario, text: &str, changes: &Changes) -> Result<String> {
    let refuse = |message: String| Problem::new(&scenario.path, message);
    let mut document: DocumentMut =
        text.parse().map_err(|error: toml_edit::TomlError| refuse(error.message().replace('\n', ", ")))?;
    let stages = document.get("stages").ok_or_else(|| refuse("has no stages".to_owned()))?;
    let stages = stages_with(stages, scenario, &changes.steps);
    document.insert("stages", stages);
    if let Some((test, looks)) = changes.test {
        let gates = document.get_mut("gates").map(tables).unwrap_or_default();
        for (gate, _) in gates.into_iter().zip(&scenario.gates).filter(|(_, rule)| is_free(rule)) {
            ask_by(gate, test, looks);
        }
    }
    let names = stage_names(scenario, &changes.steps);
    if let Some((share, budget)) = changes.budget {
        let rollout = rollout(&mut document);
        set(rollout, "false_rollback", written(share));
        set(rollout, "budget", budget.name());
    }
    if changes.proof_at_the_end {
        let rollout = rollout(&mut document);
        set(rollout, "promote", "all-pass");
        set(rollout, "pass_from", names.last().map_or("", String::as_str));
    } else if scenario.rollout.promote == Promotion::AllPass && scenario.rollout.pass_from > 0 {
        // The stage it names may be gone: the first at least as wide takes its place.
        let from = scenario.stages[scenario.rollout.pass_from].exposure;
        let wide = changes.steps.iter().position(|step| step.exposure >= from).unwrap_or(names.len().saturating_sub(1));
        set(rollout(&mut document), "pass_from", &names[wide]);
    }
    Ok(document.to_string())
}

/// The same with lines of comment at its head, below what an editor reads there.
#[must_use]
pub fn with_comment(text: &str, lines: &[String]) -> String {
    let comment = lines.iter().fold(String::new(), |text, line| text + "# " + &printable(line) + "\n");
    let head = if text.starts_with("#:schema") { text.find('\n').map_or(text.len(), |end| end + 1) } else { 0 };
    format!("{}{comment}\n{}", &text[..head], &text[head..])
}

/// Names of the steps: those of the user's stages with the same exposure, or the exposure.
#[must_use]
pub fn stage_names(scenario: &Scenario, steps: &[Step]) -> Vec<String> {
    let mut taken: Vec<String> =
        scenario.stages.iter().filter(|stage| !stage.has_control()).map(|stage| stage.name.clone()).collect();
    let mut name = |step: &Step| {
        let same = scenario.stages.iter().find(|stage| same(stage.exposure, step.exposure));
        let wanted = same.map_or_else(|| written(step.exposure), |stage| stage.name.clone());
        let free = (1..).map(|n| if n == 1 { wanted.clone() } else { format!("{wanted} ({n})") });
        let name = free.into_iter().find(|name| !taken.contains(name)).unwrap_or(wanted);
        taken.push(name.clone());
        name
    };
    steps.iter().map(&mut name).collect()
}

/// `12.5%`.
#[must_use]
pub fn written(share: Fraction) -> String {
    share.to_string().replace(' ', "")
}

fn same(a: Fraction, b: Fraction) -> bool {
    (a.get() - b.get()).abs() < 1e-9
}

/// The steps as tables, then the user's own stages at 100 %.
fn stages_with(stages: &Item, scenario: &Scenario, steps: &[Step]) -> Item {
    let names = stage_names(scenario, steps);
    let own = |step: &Step| {
        scenario.stages.iter().position(|stage| stage.has_control() && same(stage.exposure, step.exposure))
    };
    let full = (0..scenario.stages.len()).filter(|&stage| !scenario.stages[stage].has_control());
    if let Some(inline) = stages.as_array() {
        let mut array = Array::new();
        let own_table = |index: usize| inline.get(index).and_then(Value::as_inline_table).cloned();
        for (step, name) in steps.iter().zip(&names) {
            let mut table = own(step).and_then(own_table).unwrap_or_else(InlineTable::new);
            fill(&mut table, name, step);
            array.push(table);
        }
        full.filter_map(own_table).for_each(|table| array.push(table));
        array.iter_mut().for_each(|value| value.decor_mut().set_prefix("\n    "));
        array.set_trailing("\n");
        return Item::Value(Value::Array(array));
    }
    let written = stages.as_array_of_tables();
    let own_table = |index: usize| written.and_then(|tables| tables.get(index)).cloned();
    let mut tables = ArrayOfTables::new();
    for (step, name) in steps.iter().zip(&names) {
        let mut table = own(step).and_then(own_table).unwrap_or_else(Table::new);
        fill(&mut table, name, step);
        tables.push(table);
    }
    full.filter_map(own_table).for_each(|table| tables.push(table));
    // Where the first was; equal places keep their order.
    let place = own_table(0).and_then(|table| table.position());
    for (index, table) in tables.iter_mut().enumerate() {
        table.set_position(place);
        if index > 0 && table.decor().prefix().and_then(|prefix| prefix.as_str()).is_none_or(str::is_empty) {
            table.decor_mut().set_prefix("\n");
        }
    }
    Item::ArrayOfTables(tables)
}

fn fill(table: &mut dyn TableLike, name: &str, step: &Step) {
    set(table, "name", name);
    set(table, "exposure", written(step.exposure));
    set(table, "duration", duration(step.duration));
    set(table, "look_every", duration(step.look_every));
}

/// `48h`, or minutes where it is no whole number of hours.
fn duration(seconds: Seconds) -> String {
    if seconds.0 % 3600 == 0 { format!("{}h", seconds.0 / 3600) } else { seconds.to_string() }
}

/// Sets a text; a comment behind an old value stays where the value does not change.
fn set(table: &mut dyn TableLike, key: &str, text: impl Into<String>) {
    let text = text.into();
    if table.get(key).and_then(Item::as_str) == Some(&text) {
        return;
    }
    let mut value = Value::from(text);
    if let Some(prefix) = table.get(key).and_then(Item::as_value).and_then(|before| before.decor().prefix()) {
        value.decor_mut().set_prefix(prefix.clone());
    }
    table.insert(key, Item::Value(value));
}

fn rollout(document: &mut DocumentMut) -> &mut dyn TableLike {
    let item = document.entry("rollout").or_insert_with(|| Item::Table(Table::new()));
    item.as_table_like_mut().expect("a checked scenario's `rollout` is a table")
}

/// The elements of a list, however it is written.
fn tables(item: &mut Item) -> Vec<&mut dyn TableLike> {
    match item {
        Item::ArrayOfTables(tables) => tables.iter_mut().map(|table| table as &mut dyn TableLike).collect(),
        Item::Value(Value::Array(array)) => {
            array.iter_mut().filter_map(Value::as_inline_table_mut).map(|table| table as &mut dyn TableLike).collect()
        }
        _ => Vec::new(),
    }
}

/// Has a gate asked by a test, without the keys that belong to another one.
fn ask_by(gate: &mut dyn TableLike, test: Test, looks: Looks) {
    set(gate, "test", test.name());
    let mut foreign = vec!["tuning", "sides"];
    match test {
        Test::GroupSequential(spending) => set(gate, "spending", spent(spending)),
        Test::ConfidenceSequence => foreign = vec!["spending", "pass_spending"],
        _ => foreign.extend(["spending", "pass_spending"]),
    }
    match looks {
        Looks::End => set(gate, "looks", "end"),
        Looks::All => foreign.push("looks"),
    }
    for key in foreign {
        gate.remove(key);
    }
}

fn spent(spending: Spending) -> String {
    match spending {
        Spending::Pocock => "pocock".to_owned(),
        Spending::ObrienFleming => "obrien-fleming".to_owned(),
        Spending::Power(rho) => format!("power {rho}"),
        Spending::HwangShihDeCani(gamma) => format!("hwang-shih-decani {gamma}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::quantity::Probability;

    const STAGED: &str = include_str!("../../scenarios/staged.toml");

    fn step(exposure: f64, hours: i64) -> Step {
        Step { exposure: Fraction::new(exposure).unwrap(), duration: Seconds(hours * 3600), look_every: Seconds::HOUR }
    }

    fn staged() -> Scenario {
        Scenario::parse("staged.toml", STAGED).unwrap()
    }

    #[test]
    fn the_new_schedule_is_what_was_asked_for_and_the_rest_stays() {
        let changes = Changes { steps: vec![step(0.05, 12), step(0.25, 48)], ..Changes::default() };
        let text = rewritten(&staged(), STAGED, &changes).unwrap();
        let found = Scenario::parse("new.toml", &text).unwrap();
        let stages: Vec<(&str, f64, i64)> = found
            .stages
            .iter()
            .map(|stage| (stage.name.as_str(), stage.exposure.get(), stage.duration.0 / 3600))
            .collect();
        assert_eq!(stages, [("5%", 0.05, 12), ("25%", 0.25, 48), ("100%", 1.0, 0)]);
        let own = staged();
        assert!(found.gates == own.gates && found.metrics == own.metrics && found.effects == own.effects);
        assert_eq!(found.rollout, own.rollout);
        for comment in ["# null where the task cites nothing", "# of the whole release, split", "#:schema ./scenario"] {
            assert!(text.contains(comment), "{comment} in\n{text}");
        }
        assert!(text.find("[[stages]]") < text.find("[[gates]]"), "stages stay where they were");
    }

    #[test]
    fn every_test_and_promotion_makes_a_scenario() {
        let tests = [
            (Test::GroupSequential(Spending::ObrienFleming), Looks::All),
            (Test::ConfidenceSequence, Looks::All),
            (Test::Fixed, Looks::End),
        ];
        for (test, looks) in tests {
            let changes = Changes {
                steps: vec![step(0.02, 48)],
                test: Some((test, looks)),
                budget: Some((Fraction::new(0.2).unwrap(), Budget::Rollout)),
                proof_at_the_end: true,
            };
            let found = Scenario::parse("new.toml", &rewritten(&staged(), STAGED, &changes).unwrap()).unwrap();
            let free = |gate: &&Gate| is_free(gate);
            assert!(found.gates.iter().filter(free).all(|gate| (gate.test, gate.looks) == (test, looks)));
            assert_eq!((found.rollout.promote, found.rollout.pass_from), (Promotion::AllPass, 0));
            assert_eq!(
                (found.rollout.false_rollback.map(Probability::get), found.rollout.budget),
                (Some(0.2), Budget::Rollout)
            );
        }
    }

    #[test]
    fn lists_in_line_stay_in_line() {
        let text = STAGED.replace("[[stages]]", "[[before]]");
        let at = text.find("[[before]]").unwrap();
        let after = text.find("[[gates]]").unwrap();
        let inline =
            "stages = [{ name = \"5%\", exposure = \"5%\", duration = \"48h\" }, { name = \"all\", exposure = 1.0 }]\n";
        let log = text.find("[log]").unwrap();
        let text = format!("{}{inline}{}{}", &text[..log], &text[log..at], &text[after..]);
        let scenario = Scenario::parse("inline.toml", &text).unwrap();
        let changes = Changes { steps: vec![step(0.05, 24), step(0.5, 24)], ..Changes::default() };
        let found = Scenario::parse("new.toml", &rewritten(&scenario, &text, &changes).unwrap()).unwrap();
        let names: Vec<&str> = found.stages.iter().map(|stage| stage.name.as_str()).collect();
        assert_eq!(names, ["5%", "50%", "all"]);
    }

    #[test]
    fn a_comment_cannot_end_its_line() {
        let text = with_comment("#:schema x\nabout = 1\n", &["two\nlines = 2".to_owned()]);
        assert_eq!(text, "#:schema x\n# two\\nlines = 2\n\nabout = 1\n");
    }

    #[test]
    fn names_are_never_taken_twice() {
        let mut scenario = staged();
        scenario.stages.last_mut().unwrap().name = "25%".into();
        assert_eq!(stage_names(&scenario, &[step(0.25, 1), step(0.5, 1)]), ["25% (2)", "50%"]);
    }
}
