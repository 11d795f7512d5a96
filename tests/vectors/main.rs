//! Reference cases of other programs, one table-driven test per kind. `README.md` beside this file names their origins.

mod cases;

mod anytime;
mod bucketing;
mod fixed;
mod kayenta;
mod sequential;

/// Every case of the file is some module's: none is skipped.
#[test]
fn every_kind_is_tested() {
    let tested: Vec<&str> = [anytime::KINDS, fixed::KINDS, sequential::KINDS].concat();
    let cases = cases::all();
    assert_eq!(cases.len(), 287);
    for case in &cases {
        let owners = tested.iter().filter(|kind| **kind == case.kind).count();
        assert_eq!(owners, 1, "kind `{}` (case `{}`) is tested by {owners} modules", case.kind, case.id);
    }
}
