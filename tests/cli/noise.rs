//! Bytes that nobody meant: exit code 2 and a message, whatever they are.

use proptest::prelude::*;

use crate::support::{Home, SCENARIO};

fn cases(cases: u32) -> ProptestConfig {
    // Each case starts the program; a failure shows its input, so nothing is kept on disk.
    ProptestConfig { cases, failure_persistence: None, max_shrink_iters: 20, ..ProptestConfig::default() }
}

fn assert_refused(home: &Home, log: &str) {
    let ran = home.run(&[log, "--scenario", "s.toml"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(2), ""), "{ran:?}");
    assert!(ran.stderr.starts_with("error: "), "{ran:?}");
    assert!(!home.path("replay-report").exists());
}

proptest! {
    #![proptest_config(cases(16))]

    #[test]
    fn as_a_scenario(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let home = Home::small();
        home.write("s.toml", bytes);
        assert_refused(&home, "log.csv");
    }

    #[test]
    fn as_a_log_of_any_kind(
        bytes in prop::collection::vec(any::<u8>(), 0..600),
        kind in prop::sample::select(vec!["parquet", "csv", "ndjson", "arrow"]),
        framed in any::<bool>(),
    ) {
        let home = Home::small();
        // Magic numbers let the bytes reach the readers behind them.
        let frame: &[u8] = match kind {
            "parquet" if framed => b"PAR1",
            "arrow" if framed => b"ARROW1",
            _ => b"",
        };
        let log = format!("noise.{kind}");
        home.write(&log, [frame, &bytes, frame].concat());
        assert_refused(&home, &log);
    }

    #[test]
    fn inside_a_csv_log(
        at in any::<prop::sample::Index>(),
        bytes in prop::collection::vec(any::<u8>(), 1..40),
    ) {
        let home = Home::small();
        let mut log = home.read("log.csv");
        let at = at.index(log.len());
        let end = (at + bytes.len()).min(log.len());
        log.splice(at..end, bytes);
        home.write("log.csv", log);
        let ran = home.run(&["log.csv", "--scenario", "s.toml"]);
        prop_assert!(matches!(ran.code, Some(0 | 2)), "{:?}", ran);
        prop_assert_eq!(ran.code == Some(0), home.path("replay-report").exists());
    }

    #[test]
    fn inside_a_scenario(at in any::<prop::sample::Index>(), text in "[ -~\n]{1,20}") {
        let home = Home::small();
        let at = at.index(SCENARIO.len());
        let end = (at + text.len()).min(SCENARIO.len());
        home.write("s.toml", [&SCENARIO[..at], &text, &SCENARIO[end..]].concat());
        let ran = home.run(&["log.csv", "--scenario", "s.toml", "--replicates", "2"]);
        prop_assert!(matches!(ran.code, Some(0 | 2)), "{:?}", ran);
    }
}
