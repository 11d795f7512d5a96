//! What every benchmark starts from: a log, its scenario, and its digest.

use std::path::{Path, PathBuf};

use replay::scenario::Scenario;

/// A log and a scenario that fits it.
pub(crate) struct Case {
    /// Names the benchmark.
    pub(crate) name: &'static str,
    pub(crate) log: PathBuf,
    pub(crate) scenario: Scenario,
}

impl Case {
    fn new(name: &'static str, log: PathBuf, scenario: &str) -> Self {
        let scenario = Scenario::read(&root().join("scenarios").join(scenario)).expect("the scenario is checked");
        Self { name, log, scenario }
    }

    /// The path as a user types it.
    pub(crate) fn typed(&self) -> &str {
        self.log.to_str().expect("paths of the repository are text")
    }
}

/// The bundled log, and the large one where it lies beside the repository.
pub(crate) fn cases() -> Vec<Case> {
    let mut cases = vec![Case::new("support-bot", root().join("datasets/support-bot.parquet"), "staged.toml")];
    let large = root().join("../shared/datasets/llm-shadow.parquet");
    if large.exists() {
        cases.push(Case::new("llm-shadow", large, "llm-shadow.toml"));
    }
    cases
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}
