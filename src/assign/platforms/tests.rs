//! What holds for every platform: raising exposure only adds units, shares are the exposures, steps are exact.

use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::assign::values::What;
use crate::assign::{Buckets, NEVER};
use crate::domain::quantity::Fraction;
use crate::domain::rollout::Sticky;
use crate::domain::version::Version;
use crate::scenario::Assignment;

/// Every algorithm in every form that a scenario can give it.
const FORMS: &[(&str, &[(&str, &str)])] = &[
    ("configcat", &[("flag", "f")]),
    ("configcat", &[("flag", "f"), ("position", "last")]),
    ("envoy_weighted_cluster", &[]),
    ("envoy_weighted_cluster", &[("total", "10000"), ("template", "{unit}-x"), ("position", "last")]),
    ("eppo", &[("salt", "s")]),
    ("eppo", &[("salt", "s"), ("total", "1000"), ("position", "last")]),
    ("firebase_rc_server", &[("seed", "s")]),
    ("flagd_v1", &[("flag", "f")]),
    ("flagd_v1", &[("flag", "f"), ("total", "1000"), ("position", "last")]),
    ("flagd_v2", &[("salt", "s"), ("total", "1000")]),
    ("flagd_v3", &[("flag", "f")]),
    ("flagd_v3", &[("salt", "s"), ("total", "10000"), ("position", "last")]),
    ("flagr", &[("flag", "7")]),
    ("flagr", &[("flag", "7"), ("kind", "rollout")]),
    ("flagsmith", &[("flag", "12")]),
    ("flagsmith", &[("flag", "12"), ("kind", "multivariate"), ("environment", "e"), ("position", "last")]),
    ("flipper", &[("flag", "f")]),
    ("flipt_boolean", &[("flag", "f")]),
    ("flipt_variant", &[("flag", "f"), ("generation", "server-v1")]),
    ("flipt_variant", &[("flag", "f"), ("generation", "server-v2")]),
    ("flipt_variant", &[("flag", "f"), ("generation", "client"), ("position", "last")]),
    ("go_feature_flag", &[("flag", "f"), ("position", "first")]),
    ("go_feature_flag", &[("flag", "f"), ("position", "last")]),
    ("growthbook", &[("flag", "f"), ("hash_version", "1"), ("operator", "<")]),
    ("growthbook", &[("seed", "s"), ("hash_version", "1"), ("operator", "<=")]),
    ("growthbook", &[("seed", "s"), ("hash_version", "2"), ("operator", "<="), ("encoding", "utf16")]),
    ("haproxy", &[("converter", "crc32")]),
    ("haproxy", &[("converter", "djb2"), ("argument", "1")]),
    ("haproxy", &[("converter", "sdbm"), ("argument", "1"), ("total", "1000")]),
    ("haproxy", &[("converter", "wt6")]),
    ("haproxy", &[("converter", "xxh32"), ("argument", "7")]),
    ("launchdarkly", &[("flag", "f"), ("salt", "s")]),
    ("launchdarkly", &[("seed", "61"), ("precision", "f32"), ("position", "last")]),
    ("md5-mod100", &[("salt", "s")]),
    ("naive_md5_mod", &[("total", "10000")]),
    ("nginx_split_clients", &[]),
    ("nginx_split_clients", &[("template", "{unit}AAA"), ("position", "last")]),
    ("optimizely", &[("rule", "18")]),
    ("posthog", &[("flag", "f")]),
    ("posthog", &[("flag", "f"), ("kind", "variant"), ("position", "last")]),
    ("split_legacy", &[("seed", "-7")]),
    ("split_murmur", &[("seed", "7"), ("position", "last")]),
    ("statsig", &[("salt", "s"), ("rule_salt", "r")]),
    ("statsig", &[("salt", "s"), ("kind", "user_bucket")]),
    ("unleash", &[("group", "g")]),
    ("unleash", &[("group", "g"), ("kind", "variant"), ("encoding", "js_charcode_low8"), ("position", "last")]),
];

fn platform(name: &str, settings: &[(&str, &str)]) -> Platform {
    let settings = settings.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    Platform::read(name, settings).unwrap().unwrap_or_else(|troubles| panic!("{name}: {troubles:?}"))
}

fn forms() -> impl Iterator<Item = (Platform, Arc<dyn Bucketing>)> {
    FORMS.iter().map(|(name, settings)| {
        let platform = platform(name, settings);
        (platform.clone(), platform.bucketing())
    })
}

fn share(value: f64) -> Fraction {
    Fraction::new(value).unwrap()
}

#[test]
fn every_algorithm_has_a_form() {
    for name in names() {
        assert!(FORMS.iter().any(|(form, _)| *form == name), "{name}");
    }
}

proptest! {
    #[test]
    fn raising_exposure_only_adds_units(unit in ".{0,20}", low in 0.0..1.0f64, more in 0.0..1.0f64) {
        let (low, high) = (share(low), share(low + (1.0 - low) * more));
        for (platform, bucketing) in forms() {
            if bucketing.version(&unit, low) == Version::Candidate {
                prop_assert_eq!(bucketing.version(&unit, high), Version::Candidate, "{} {:?}", platform, unit);
            }
            prop_assert!((0.0..=NEVER).contains(&bucketing.place(&unit)));
        }
    }
}

#[test]
fn shares_of_units_are_the_exposures() {
    let units: Vec<String> = (0..20_000).map(|i| format!("user-{i}")).collect();
    for (platform, bucketing) in forms() {
        for exposure in [0.01, 0.05, 0.25, 0.5, 1.0] {
            let served =
                units.iter().filter(|unit| bucketing.version(unit, share(exposure)) == Version::Candidate).count();
            let nominal = bucketing.served(share(exposure));
            // A step is the most that rounding and inclusive edges add; GrowthBook's first version has the widest, 1/1000.
            assert!((nominal - exposure).abs() <= 1e-3 + 1e-12, "{platform} {exposure}: {nominal}");
            let (n, found) = (units.len() as f64, served as f64);
            // Four and a half standard deviations: about one in 150,000 for each of some 230 checks.
            let slack = 4.5 * (n * nominal * (1.0 - nominal)).sqrt() + 1e-6;
            assert!((found - n * nominal).abs() <= slack, "{platform} {exposure}: {found} of {n}");
        }
    }
}

#[test]
fn steps_are_exact() {
    for (platform, bucketing) in
        forms().filter(|(platform, _)| !["growthbook", "firebase_rc_server"].contains(&platform.name()))
    {
        let Some(steps) = bucketing.steps() else { continue };
        // Statsig rounds up where the product of its percentage does: 0.07 * 100 is 7.000000000000001.
        let rounds_up = platform.name() == "statsig" && steps == 10_000;
        // Theirs fall short too, before they are cut off or compared; in 64 bits 4.35 * 1000 may be 4349.999999999999.
        let cuts_off = ["go_feature_flag", "flipper", "flipt_variant"].contains(&platform.name());
        let wanted = (0..=2_000_u64).map(|k| k * u64::from(steps) / 2_000);
        let off: Vec<f64> = wanted
            .map(|step| bucketing.served(share(step as f64 / f64::from(steps))) * f64::from(steps) - step as f64)
            .filter(|difference| difference.abs() > 1e-6)
            .collect();
        let allowed = |difference: &f64| {
            (rounds_up && (difference - 1.0).abs() < 1e-6) || (cuts_off && (difference.abs() - 1.0).abs() < 1e-6)
        };
        assert!(off.iter().all(allowed), "{platform}: {off:?}");
        assert!(off.len() < 200, "{platform}: {}", off.len());
    }
}

/// 573 of the 10,000 percentages with two decimals let one bucket more in (bucketing reference, 3.2).
#[test]
fn statsig_rounds_up_as_often_as_it_does() {
    let bucketing = platform("statsig", &[("salt", "s"), ("rule_salt", "r")]).bucketing();
    let more = |step: &u32| {
        let served = (bucketing.served(share(f64::from(*step) / 10_000.0)) * 10_000.0).round();
        let more = served - f64::from(*step);
        assert!(more.abs() < 1e-6 || (more - 1.0).abs() < 1e-6, "{step}: {served}");
        more > 0.5
    };
    assert_eq!((1..10_000).filter(more).count(), 573);
}

/// Inclusive coverage of 5 % lets 51 of 1,000 and 501 of 10,000 in (bucketing reference, 3.4); half-open 50 and 500.
#[test]
fn growthbook_includes_its_edge_where_the_sdk_does() {
    for (version, operator, served) in [("1", "<=", 0.051), ("2", "<=", 0.0501), ("1", "<", 0.05), ("2", "<", 0.05)] {
        let bucketing =
            platform("growthbook", &[("seed", "s"), ("hash_version", version), ("operator", operator)]).bucketing();
        assert!((bucketing.served(share(0.05)) - served).abs() < 1e-12, "{version} {operator}");
    }
}

#[test]
fn a_signed_hash_serves_half_of_all() {
    let bucketing = platform("haproxy", &[("converter", "xxh64")]).bucketing();
    let units = (0..20_000).map(|i| format!("user-{i}"));
    let served = units.filter(|unit| bucketing.version(unit, share(0.05)) == Version::Candidate).count();
    // 0.5 + 0.5 * 0.05, within five standard deviations.
    assert!((served as f64 / 20_000.0 - 0.525).abs() < 0.018, "{served}");
    assert!(bucketing.caution().is_some());
}

#[test]
fn traffic_keeps_others_out_at_every_exposure() {
    let part: &[(&str, &str)] = &[("traffic.key", "t"), ("traffic.start", "0.2"), ("traffic.end", "0.6")];
    let split: &[(&str, &str)] = &[("traffic.key", "99"), ("traffic.end", "0.4")];
    let forms = [
        ("eppo", [&[("salt", "s")], part].concat()),
        ("growthbook", [&[("flag", "f"), ("hash_version", "2"), ("operator", "<")], part].concat()),
        ("optimizely", [&[("rule", "1")], part].concat()),
        ("split_murmur", [&[("seed", "1")], split].concat()),
    ];
    let units: Vec<String> = (0..10_000).map(|i| format!("user-{i}")).collect();
    for (name, settings) in forms {
        let bucketing = platform(name, &settings).bucketing();
        let served = |exposure| {
            units.iter().filter(|unit| bucketing.version(unit, share(exposure)) == Version::Candidate).count()
        };
        // 40 % take part, within five standard deviations; half of them at half exposure.
        assert!((served(1.0) as f64 - 4_000.0).abs() < 245.0, "{name}: {}", served(1.0));
        assert!((served(0.5) as f64 - 2_000.0).abs() < 200.0, "{name}: {}", served(0.5));
    }
}

#[test]
fn a_bucket_is_served_as_its_units_are() {
    for (platform, bucketing) in forms() {
        let assignment = Assignment {
            unit: "u".into(),
            sticky: Sticky::Unit,
            within: None,
            platform: platform.clone(),
            buckets: Some(9_950),
            overrides: crate::assign::overrides::Overrides::new(),
        };
        let buckets = Buckets::of(&assignment).unwrap();
        let exposures: [f64; 9] = [0.0, 0.005, 0.01, 0.05, 0.0701, 0.25, 0.5, 0.9999, 1.0];
        // Of continuous places, and of more steps than buckets, exposures between buckets are known to a bucket.
        let told_apart = bucketing.steps().is_some_and(|steps| steps <= 1_000_000);
        for unit in (0..3_000).map(|i| format!("user-{i}")).chain([String::new(), "ünïcode".into()]) {
            let name = Buckets::name(buckets.bucket(&unit));
            for exposure in
                exposures.into_iter().filter(|exposure| told_apart || (exposure * 9_950.0_f64).fract() == 0.0)
            {
                let exposure = share(exposure);
                assert_eq!(
                    buckets.version(&name, exposure),
                    bucketing.version(&unit, exposure),
                    "{platform} {unit} {exposure:?}"
                );
            }
        }
    }
}

#[test]
fn buckets_are_a_multiple_of_the_platforms() {
    let count = |name: &str, settings: &[(&str, &str)], buckets| {
        let platform = platform(name, settings);
        let overrides = crate::assign::overrides::Overrides::new();
        let sticky = Sticky::Unit;
        Buckets::of(&Assignment { unit: "u".into(), sticky, within: None, platform, buckets: Some(buckets), overrides })
            .unwrap()
            .count()
    };
    assert_eq!(count("md5-mod100", &[], 9_950), 10_000);
    assert_eq!(count("unleash", &[("group", "g"), ("kind", "variant")], 10_000), 10_000);
    assert_eq!(count("launchdarkly", &[("seed", "1")], 10_000), 100_000);
    assert_eq!(count("posthog", &[("flag", "f")], 10_000), 10_000);
    assert_eq!(count("firebase_rc_server", &[], 10_000), 10_000);
}

#[test]
fn all_that_is_wrong_is_said_at_once() {
    let settings = [("flag", "f"), ("operator", "<<"), ("traffic.start", "0.5"), ("rule_salt", "r")];
    let settings = settings.map(|(key, value)| (key.to_owned(), value.to_owned())).to_vec();
    let troubles = Platform::read("growthbook", settings).unwrap().unwrap_err();
    let said: Vec<(&str, &str)> = troubles
        .iter()
        .map(|trouble| {
            let what = match &trouble.what {
                What::Missing(_) => "missing",
                What::Wrong(..) => "wrong",
                What::Unused(_) => "unused",
            };
            (trouble.name.as_str(), what)
        })
        .collect();
    let expected =
        [("hash_version", "missing"), ("operator", "wrong"), ("traffic.key", "missing"), ("rule_salt", "unused")];
    assert_eq!(said, expected);
    assert!(Platform::read("growth-book", Vec::new()).is_none());
}

/// Python 3.11: `int(hashlib.md5(b"user-506283").hexdigest(), 16) % 100`.
#[test]
fn a_salt_is_written_before_the_unit() {
    let bucketing = platform("md5-mod100", &[("salt", "user-")]).bucketing();
    assert_eq!(bucketing.hashed("506283").bucket, "50 of 100");
}
