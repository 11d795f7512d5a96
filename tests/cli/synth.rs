//! `replay synth`.

use crate::support::{Home, demo_log, repository};

#[test]
fn the_demo_log_is_made_again_byte_by_byte() {
    let home = Home::new();
    let recipe = repository("datasets/support-bot.toml").display().to_string();
    let answer = home.succeeds(&["synth", &recipe, "-o", "made.parquet"]);
    assert_eq!(answer, "wrote made.parquet\n");
    assert!(home.read("made.parquet") == std::fs::read(demo_log()).expect("readable"));
    assert_eq!(home.names(), ["made.parquet"]);
}

#[test]
fn nothing_is_written_for_a_recipe_that_is_none() {
    let home = Home::new();
    home.write("made.parquet", "earlier");
    home.refuses(&["synth", "r.toml", "-o", "made.parquet"], "error: r.toml: does not exist\n");
    home.write("r.toml", "seed = 1\nrequests = -5\n");
    let before = home.tree();
    let ran = home.run(&["synth", "r.toml", "-o", "made.parquet"]);
    assert!(ran.code == Some(2) && ran.stderr.starts_with("error: r.toml"), "{ran:?}");
    assert!(before == home.tree());
}

#[cfg(unix)]
#[test]
fn a_log_goes_where_it_is_told_or_nowhere() {
    let home = Home::new();
    std::fs::create_dir(home.path("directory")).expect("creates");
    let _socket = std::os::unix::net::UnixListener::bind(home.path("socket")).expect("binds");
    let recipe = repository("datasets/support-bot.toml").display().to_string();
    for out in ["directory", "missing/made.parquet", "socket"] {
        let ran = home.run(&["synth", &recipe, "-o", out]);
        assert_eq!((ran.code, ran.stdout.as_str()), (Some(2), ""), "{ran:?}");
        assert!(ran.stderr.starts_with(&format!("error: {out}: ")), "{ran:?}");
        assert_eq!(home.names(), ["directory/", "socket"]);
    }
}
