//! Fixed-horizon tests, intervals, powers and sample sizes.

use replay::stats::alternative::{Alternative, Sides};
use replay::stats::cluster::UnitSums;
use replay::stats::mean::{Estimate, Sample};
use replay::stats::poisson::Events;
use replay::stats::proportion::Count;
use replay::stats::proportion::paired::Pairs;
use replay::stats::sample_size::mean::TwoMeans;
use replay::stats::sample_size::metrics::{Goal, Metric};
use replay::stats::sample_size::other::QuantileArm;
use replay::stats::sample_size::proportion::{Null, TwoProportions};
use replay::stats::sample_size::rare::Search;
use replay::stats::sample_size::{self, Arms, Design};
use replay::stats::{
    adjust, chi_square, clustering, covariate, drift, interval, joint, ks, mean, normal, poisson, proportion, quantile,
    rank, rare, ratio, student_t,
};
use serde_json::Value;

use super::cases::{self, Case};

pub(super) const KINDS: &[&str] = &[
    "normal_quantile",
    "normal_log_sf",
    "student_t_quantile",
    "noncentral_t_cdf",
    "beta_gamma_quantiles",
    "sample_size_mean",
    "power_mean",
    "sample_size_mean_noninferiority",
    "sample_size_paired",
    "sample_size_paired_from_corr",
    "test_mean_welch",
    "test_mean_noninferiority_welch",
    "test_mean_paired",
    "relative_lift_delta_method",
    "test_mean_welch_summary",
    "mde_relative_mean",
    "sample_size_proportion",
    "power_proportion",
    "sample_size_proportion_noninferiority_FM",
    "power_proportion_noninferiority_FM",
    "test_proportion_score_FM",
    "ci_proportion_diff_score",
    "ci_proportion_diff",
    "ci_proportion",
    "test_fisher",
    "test_mcnemar",
    "power_mcnemar_exact",
    "sample_size_mcnemar",
    "test_paired_proportion_noninferiority_tango",
    "sample_size_paired_proportion_noninferiority",
    "design_effect",
    "sample_size_cluster_mean",
    "icc_anova",
    "cluster_robust_mean_variance",
    "ratio_of_sums_delta_variance",
    "ratio_of_sums_test",
    "ratio_linearisation_identity",
    "ratio_fieller_ci",
    "variance_of_ratios",
    "cuped",
    "cuped_variance_reduction",
    "srm_chi_square",
    "zero_event_sample_size",
    "zero_event_upper_bound",
    "poisson_upper_bound",
    "detection_probability",
    "acceptance_number_plan",
    "power_one_sample_binomial_exact",
    "sample_size_one_sample_binomial_exact",
    "test_binomial_exact",
    "test_poisson_two_sample_conditional",
    "test_poisson_two_sample",
    "power_poisson_two_sample_conditional_exact",
    "test_mann_whitney",
    "sample_size_mann_whitney_noether",
    "test_wilcoxon_signed_rank",
    "test_ks_two_sample",
    "drift_psi_js",
    "chi_square_homogeneity",
    "quantile_ci_order_statistics",
    "sample_quantile",
    "quantile_variance_outer_ci",
    "quantile_variance_clustered",
    "sample_size_quantile",
    "quantile_gate_as_proportion",
    "p_adjust",
    "iut_all_pass",
    "uit_any_trips",
    "risk_aware_power_correction",
    "sample_size_multi_metric",
];

/// Checks every expected key of a case against what is found for it: a key nobody answers fails.
fn check_keys(case: &Case, found: &[(&str, f64)]) {
    for key in case.expected.as_object().expect("expected keys").keys() {
        let answer = found.iter().find(|(name, _)| name == key);
        let (_, value) = answer.unwrap_or_else(|| panic!("{}: nothing answers `{key}`", case.id));
        case.check(key, *value);
    }
}

/// An input that has a usual value.
fn number_or(case: &Case, key: &str, usual: f64) -> f64 {
    if case.inputs[key].is_null() { usual } else { case.number(key) }
}

fn text<'a>(case: &'a Case, key: &str) -> &'a str {
    case.inputs[key].as_str().unwrap_or("")
}

fn whole(case: &Case, key: &str) -> u64 {
    case.inputs[key].as_u64().unwrap_or_else(|| panic!("{}: input `{key}` is no whole number", case.id))
}

fn sides(case: &Case) -> Sides {
    match case.inputs["sides"].as_u64() {
        None | Some(1) => Sides::One,
        Some(2) => Sides::Two,
        Some(other) => panic!("{}: {other} sides", case.id),
    }
}

fn alternative(case: &Case) -> Alternative {
    match text(case, "alternative") {
        "less" => Alternative::Less,
        "greater" => Alternative::Greater,
        "two-sided" => Alternative::TwoSided,
        other => panic!("{}: alternative `{other}`", case.id),
    }
}

fn design(case: &Case) -> Design {
    Design { alpha: case.number("alpha"), power: case.number("power"), sides: sides(case) }
}

/// Controls for each treated unit, from either of the two ways to write it.
fn controls_per_treated(case: &Case) -> f64 {
    if case.inputs["ratio_treat_per_control"].is_null() {
        number_or(case, "ratio_control_per_treatment", 1.0)
    } else {
        1.0 / case.number("ratio_treat_per_control")
    }
}

/// The ways a case asks for the size of two arms.
fn check_arms(case: &Case, arms: Arms) {
    check_keys(
        case,
        &[
            ("n_per_arm", arms.treatment),
            ("n_treatment", arms.treatment),
            ("n_control", arms.control),
            ("n1", arms.treatment),
            ("n2", arms.control),
            ("n_total", arms.total()),
        ],
    );
}

/// Pairs of numbers, `(numerator, denominator)`, of one arm.
fn unit_sums(arm: &Value) -> UnitSums {
    let units: Vec<(f64, f64)> =
        cases::numbers(&arm["numerator"]).into_iter().zip(cases::numbers(&arm["denominator"])).collect();
    UnitSums::of(&units)
}

/// Values by unit, from a list of units and a list of values.
fn by_cluster(case: &Case) -> Vec<Vec<f64>> {
    let labels: Vec<String> =
        case.inputs["cluster"].as_array().expect("units").iter().map(ToString::to_string).collect();
    let mut names = labels.clone();
    names.sort();
    names.dedup();
    let values = case.numbers("y");
    let group =
        |name: &String| labels.iter().zip(&values).filter(|(label, _)| *label == name).map(|(_, y)| *y).collect();
    names.iter().map(group).collect()
}

fn table(case: &Case) -> Vec<Vec<f64>> {
    case.inputs["table"].as_array().expect("a table").iter().map(cases::numbers).collect()
}

fn lists(value: &Value) -> Vec<Vec<f64>> {
    value.as_array().expect("a list of lists").iter().map(cases::numbers).collect()
}

/// Checks a list of pairs against an expected list of pairs.
fn check_pairs(case: &Case, key: &str, found: &[(f64, f64)]) {
    let expected = case.expected[key].as_array().expect("a list of pairs");
    assert_eq!(expected.len(), found.len(), "{}", case.id);
    for (expected, found) in expected.iter().zip(found) {
        case.check_value(key, &expected[0], found.0);
        case.check_value(key, &expected[1], found.1);
    }
}

fn check_pair(case: &Case, key: &str, found: (f64, f64)) {
    case.check_all(key, &[found.0, found.1]);
}

#[test]
fn normal_quantile() {
    for case in cases::of_kind("normal_quantile") {
        let upper = |p: f64| if p < 0.5 { normal::upper_quantile(p) } else { -normal::upper_quantile(1.0 - p) };
        case.check_all("z", &case.numbers("p").into_iter().map(|p| -upper(p)).collect::<Vec<_>>());
    }
}

#[test]
fn normal_log_sf() {
    for case in cases::of_kind("normal_log_sf") {
        case.check_all("log_sf", &case.numbers("z").into_iter().map(normal::log_upper_tail).collect::<Vec<_>>());
    }
}

#[test]
fn student_t_quantile() {
    for case in cases::of_kind("student_t_quantile") {
        let tail = 1.0 - case.number("p");
        let quantile = |df| student_t::upper_quantile(tail, df);
        case.check_all("t", &case.numbers("df").into_iter().map(quantile).collect::<Vec<_>>());
    }
}

#[test]
fn noncentral_t_cdf() {
    for case in cases::of_kind("noncentral_t_cdf") {
        let cdf = |at: Vec<f64>| student_t::noncentral_cdf(at[0], at[1], at[2]);
        case.check_all("cdf", &lists(&case.inputs["cases"]).into_iter().map(cdf).collect::<Vec<_>>());
    }
}

#[test]
fn beta_gamma_quantiles() {
    for case in cases::of_kind("beta_gamma_quantiles") {
        let beta = |at: Vec<f64>| proportion::exact::beta_quantile(at[0], at[1], at[2]);
        let gamma = |at: Vec<f64>| poisson::gamma_quantile(at[0], at[1]);
        case.check_all("beta_q", &lists(&case.inputs["beta"]).into_iter().map(beta).collect::<Vec<_>>());
        case.check_all("gamma_q", &lists(&case.inputs["gamma"]).into_iter().map(gamma).collect::<Vec<_>>());
    }
}

/// Two means from the keys of a case; `effect` is the distance from the null.
fn two_means(case: &Case, effect: f64) -> TwoMeans {
    let sd = number_or(case, "sd", f64::NAN);
    TwoMeans {
        effect,
        sd_treatment: number_or(case, "sd_treatment", sd),
        sd_control: number_or(case, "sd_control", sd),
        controls_per_treated: controls_per_treated(case),
    }
}

#[test]
fn sample_size_mean() {
    for case in cases::of_kind("sample_size_mean") {
        let plan = two_means(&case, case.number("delta") - number_or(&case, "margin", 0.0));
        let arms = match text(&case, "test") {
            "z" => sample_size::mean::two_means(&plan, &design(&case)),
            "t" => sample_size::mean::two_means_t(
                plan.effect,
                case.number("sd"),
                plan.controls_per_treated,
                &design(&case),
            ),
            other => panic!("{}: test `{other}`", case.id),
        };
        check_arms(&case, arms.expect("a plan"));
    }
}

#[test]
fn power_mean() {
    for case in cases::of_kind("power_mean") {
        let plan = two_means(&case, case.number("delta"));
        let k = plan.controls_per_treated;
        let treated = number_or(&case, "n_per_arm", number_or(&case, "n_total", f64::NAN) / (1.0 + k));
        let (alpha, sides) = (case.number("alpha"), sides(&case));
        let power = match text(&case, "test") {
            "z" => sample_size::mean::two_means_power(&plan, treated, alpha, sides),
            "t" => {
                let arms = Arms { treatment: treated, control: treated * k };
                sample_size::mean::two_means_power_t(plan.effect, case.number("sd"), arms, alpha, sides)
            }
            other => panic!("{}: test `{other}`", case.id),
        };
        check_keys(&case, &[("power", power)]);
    }
}

#[test]
fn sample_size_mean_noninferiority() {
    for case in cases::of_kind("sample_size_mean_noninferiority") {
        let degradation = number_or(&case, "true_degradation", number_or(&case, "true_diff", 0.0));
        let plan = two_means(&case, case.number("margin") - degradation);
        let arms = match text(&case, "test") {
            "t" => sample_size::mean::two_means_t(
                plan.effect,
                case.number("sd"),
                plan.controls_per_treated,
                &design(&case),
            ),
            _ => sample_size::mean::two_means(&plan, &design(&case)),
        };
        check_arms(&case, arms.expect("a plan"));
    }
}

#[test]
fn sample_size_paired() {
    for case in cases::of_kind("sample_size_paired") {
        let (effect, sd) = (case.number("mean_diff"), case.number("sd_diff"));
        let pairs = match text(&case, "test") {
            "z" => sample_size::mean::pairs(effect, sd, &design(&case)),
            _ => sample_size::mean::pairs_t(effect, sd, &design(&case)),
        };
        check_keys(&case, &[("n_pairs", pairs.expect("a plan"))]);
    }
}

#[test]
fn sample_size_paired_from_corr() {
    for case in cases::of_kind("sample_size_paired_from_corr") {
        let design = Design { alpha: case.number("alpha_one_sided"), power: case.number("power"), sides: Sides::One };
        let (sd, delta) = (case.number("sd"), case.number("delta"));
        let sd_diff = sample_size::mean::paired_sd(sd, case.number("corr"));
        let pairs = sample_size::mean::pairs(delta, sd_diff, &design).expect("a plan");
        let plan = TwoMeans { effect: delta, sd_treatment: sd, sd_control: sd, controls_per_treated: 1.0 };
        let unpaired = sample_size::mean::two_means(&plan, &design).expect("a plan");
        check_keys(
            &case,
            &[
                ("sd_diff", sd_diff),
                ("n_pairs_z", pairs),
                ("n_per_arm_unpaired_z", unpaired.treatment),
                ("pair_to_total_unpaired_ratio", pairs / unpaired.total()),
            ],
        );
    }
}

#[test]
fn test_mean_welch() {
    for case in cases::of_kind("test_mean_welch") {
        let welch = mean::welch(&Sample::of(&case.numbers("treatment")), &Sample::of(&case.numbers("control")));
        case.check("t", welch.statistic(0.0));
        case.check("df", welch.df);
        case.check("p_two_sided", welch.p_value(0.0, Alternative::TwoSided));
        check_pair(&case, "ci95", welch.interval(0.05));
    }
}

#[test]
fn test_mean_noninferiority_welch() {
    for case in cases::of_kind("test_mean_noninferiority_welch") {
        let welch = mean::welch(&Sample::of(&case.numbers("treatment")), &Sample::of(&case.numbers("control")));
        let (margin, alpha) = (case.number("margin"), case.number("alpha"));
        let (null, side) = match case.inputs["lower_is_better"].as_bool() {
            Some(false) => (-margin, Alternative::Greater),
            _ => (margin, Alternative::Less),
        };
        let p = welch.p_value(null, side);
        check_keys(
            &case,
            &[
                ("t", welch.statistic(null)),
                ("p", p),
                ("upper95_one_sided", welch.upper(0.05)),
                ("lower95_one_sided", welch.lower(0.05)),
                ("pass", f64::from(u8::from(p <= alpha))),
            ],
        );
    }
}

#[test]
fn test_mean_paired() {
    for case in cases::of_kind("test_mean_paired") {
        let paired = mean::paired(&case.numbers("candidate"), &case.numbers("stable")).expect("pairs");
        case.check("t", paired.statistic(0.0));
        case.check("df", paired.df);
        case.check("p_two_sided", paired.p_value(0.0, Alternative::TwoSided));
        check_pair(&case, "ci95", paired.interval(0.05));
    }
}

/// Sums of one arm.
fn summary(case: &Case, arm: &str) -> Sample {
    let field = |key: &str| cases::number(&case.inputs[arm][key]).expect("a number");
    Sample::of_sums(field("n"), field("sum"), field("sum_sq"))
}

/// The keys of a two-sided test of an estimate against zero.
fn check_estimate(case: &Case, name: &str, found: Estimate) {
    case.check(name, found.value);
    case.check("se", found.se);
    check_pair(case, "ci", found.interval(case.number("alpha")));
    case.check("p", found.p_value(0.0, Alternative::TwoSided));
}

#[test]
fn relative_lift_delta_method() {
    for case in cases::of_kind("relative_lift_delta_method") {
        let lift = mean::relative_lift(&summary(&case, "treatment"), &summary(&case, "control"));
        check_estimate(&case, "lift", lift.expect("a lift"));
    }
}

#[test]
fn test_mean_welch_summary() {
    for case in cases::of_kind("test_mean_welch_summary") {
        check_estimate(&case, "diff", mean::welch(&summary(&case, "treatment"), &summary(&case, "control")));
    }
}

#[test]
fn mde_relative_mean() {
    for case in cases::of_kind("mde_relative_mean") {
        let (mean, variance, n) = (case.number("mean"), case.number("variance"), case.number("n_per_arm"));
        let sides = if case.inputs["sides"].is_null() { Sides::Two } else { sides(&case) };
        let design = Design { sides, ..design(&case) };
        let mde = sample_size::mean::relative_mde(mean, variance, n, &design);
        let naive = sample_size::mean::relative_mde_naive(mean, variance, n, &design);
        check_keys(
            &case,
            &[
                ("mde_relative", mde.unwrap_or(f64::INFINITY)),
                ("naive_mde_relative", naive.expect("a plan")),
                ("exists", f64::from(u8::from(mde.is_some()))),
            ],
        );
    }
}

/// Two proportions from the keys of a case.
fn two_proportions(case: &Case) -> TwoProportions {
    let null = match text(case, "scale") {
        "" | "difference" => Null::Difference(number_or(case, "delta0", 0.0)),
        "rr" => Null::Ratio(case.number("log_rr0").exp()),
        other => panic!("{}: scale `{other}`", case.id),
    };
    TwoProportions {
        first: case.number("p1"),
        second: case.number("p2"),
        null,
        second_per_first: number_or(case, "ratio_n2_per_n1", 1.0),
    }
}

fn score_size(case: &Case) -> Arms {
    sample_size::proportion::two_proportions(&two_proportions(case), &design(case)).expect("a plan")
}

#[test]
fn sample_size_proportion() {
    for case in cases::of_kind("sample_size_proportion") {
        if text(&case, "method") == "pooled-null" {
            check_arms(&case, score_size(&case));
            continue;
        }
        assert_eq!(text(&case, "method"), "arcsine", "{}", case.id);
        let h = sample_size::proportion::arcsine_effect(case.number("p1"), case.number("p2"));
        let k = number_or(&case, "ratio_n2_per_n1", 1.0);
        let plan = TwoMeans { effect: h, sd_treatment: 1.0, sd_control: 1.0, controls_per_treated: k };
        let arms = sample_size::mean::two_means(&plan, &design(&case)).expect("a plan");
        let (n1, n2) = (arms.treatment, arms.control);
        check_keys(&case, &[("h", h), ("n_per_arm", n1), ("n1", n1), ("n2", n2), ("n_total", n1 + n2)]);
    }
}

fn check_score_power(kind: &str) {
    for case in cases::of_kind(kind) {
        let plan = two_proportions(&case);
        let total = number_or(&case, "n_total", f64::NAN) / (1.0 + plan.second_per_first);
        let first = number_or(&case, "n1", number_or(&case, "n_per_arm", total));
        let power = sample_size::proportion::two_proportions_power(&plan, first, case.number("alpha"), sides(&case));
        check_keys(&case, &[("power", power)]);
    }
}

#[test]
fn power_proportion() {
    check_score_power("power_proportion");
}

#[test]
fn sample_size_proportion_noninferiority_fm() {
    for case in cases::of_kind("sample_size_proportion_noninferiority_FM") {
        check_arms(&case, score_size(&case));
    }
}

#[test]
fn power_proportion_noninferiority_fm() {
    check_score_power("power_proportion_noninferiority_FM");
}

/// The two counts of a case, and the variance its score uses.
fn counts(case: &Case) -> (Count, Count, proportion::score::Variance) {
    let variance = if case.inputs["miettinen_nurminen_factor"] == Value::Bool(true) {
        proportion::score::Variance::MiettinenNurminen
    } else {
        proportion::score::Variance::FarringtonManning
    };
    let count = |events: &str, trials: &str| Count { events: case.number(events), trials: case.number(trials) };
    (count("x1", "n1"), count("x2", "n2"), variance)
}

#[test]
fn test_proportion_score_fm() {
    for case in cases::of_kind("test_proportion_score_FM") {
        let (first, second, variance) = counts(&case);
        check_keys(&case, &[("z", proportion::score::statistic(first, second, case.number("delta0"), variance))]);
    }
}

#[test]
fn ci_proportion_diff_score() {
    for case in cases::of_kind("ci_proportion_diff_score") {
        let (first, second, variance) = counts(&case);
        let (lower, upper) = proportion::score::interval(first, second, case.number("alpha"), variance);
        check_keys(&case, &[("lower", lower), ("upper", upper)]);
    }
}

#[test]
fn ci_proportion_diff() {
    use proportion::score::Variance::{FarringtonManning, MiettinenNurminen};
    for case in cases::of_kind("ci_proportion_diff") {
        let (first, second, _) = counts(&case);
        let alpha = case.number("alpha");
        for key in case.expected.as_object().expect("methods").keys() {
            let bounds = match key.as_str() {
                "newcombe" => proportion::newcombe::interval(first, second, alpha),
                "miettinen_nurminen" => proportion::score::interval(first, second, alpha, MiettinenNurminen),
                "farrington_manning" => proportion::score::interval(first, second, alpha, FarringtonManning),
                other => panic!("{}: method `{other}`", case.id),
            };
            check_pair(&case, key, bounds);
        }
    }
}

#[test]
fn ci_proportion() {
    for case in cases::of_kind("ci_proportion") {
        let alpha = number_or(&case, "alpha", 0.05);
        if case.inputs["cases"].is_null() {
            let (events, trials) = (whole(&case, "x"), whole(&case, "n"));
            for key in case.expected.as_object().expect("methods").keys() {
                let bounds = match key.as_str() {
                    "clopper_pearson" => proportion::exact::clopper_pearson(events, trials, alpha),
                    "wilson" => interval::wilson(case.number("x"), case.number("n"), 1.0 - alpha),
                    other => panic!("{}: method `{other}`", case.id),
                };
                check_pair(&case, key, bounds);
            }
        } else {
            let wilson = |at: Vec<f64>| interval::wilson(at[0], at[1], 1.0 - alpha);
            let found: Vec<_> = lists(&case.inputs["cases"]).into_iter().map(wilson).collect();
            check_pairs(&case, "wilson", &found);
        }
    }
}

#[test]
fn test_fisher() {
    for case in cases::of_kind("test_fisher") {
        let cell = |row: usize, column: usize| case.inputs["table"][row][column].as_u64().expect("a count");
        let table = [[cell(0, 0), cell(0, 1)], [cell(1, 0), cell(1, 1)]];
        check_keys(&case, &[("p", proportion::exact::fisher(table, alternative(&case)))]);
    }
}

#[test]
fn test_mcnemar() {
    for case in cases::of_kind("test_mcnemar") {
        let test = proportion::paired::mcnemar(whole(&case, "b_candidate_fails"), whole(&case, "c_stable_fails"));
        check_keys(
            &case,
            &[
                ("p_exact", test.exact),
                ("p_midp", test.mid_p),
                ("chi2", test.chi_square),
                ("p_asym", test.asymptotic),
                ("chi2_cc", test.chi_square_corrected),
                ("p_asym_cc", test.asymptotic_corrected),
            ],
        );
    }
}

#[test]
fn power_mcnemar_exact() {
    for case in cases::of_kind("power_mcnemar_exact") {
        let (worse, better) = (case.number("p10"), case.number("p01"));
        let pairs = whole(&case, "n_pairs");
        let power = sample_size::rare::mcnemar_power(worse, better, pairs, case.number("alpha"), sides(&case));
        check_keys(&case, &[("power", power)]);
    }
}

#[test]
fn sample_size_mcnemar() {
    for case in cases::of_kind("sample_size_mcnemar") {
        assert_eq!(text(&case, "method"), "connor", "{}", case.id);
        let (worse, better) = (case.number("p10_candidate_worse"), case.number("p01_candidate_better"));
        let pairs = sample_size::proportion::mcnemar_pairs(worse, better, &design(&case)).expect("a plan");
        check_keys(&case, &[("n_pairs", pairs), ("n_discordant", pairs * (worse + better))]);
    }
}

#[test]
fn test_paired_proportion_noninferiority_tango() {
    for case in cases::of_kind("test_paired_proportion_noninferiority_tango") {
        let pairs = Pairs {
            n: case.number("n"),
            first_only: case.number("b_new1_old0"),
            second_only: case.number("c_new0_old1"),
        };
        let null = case.number("null_diff");
        check_keys(
            &case,
            &[
                ("z", proportion::paired::tango(pairs, null)),
                ("p21_restricted", proportion::paired::tango_restricted(pairs, null)),
                ("p_one_sided", proportion::paired::tango_p_value(pairs, null)),
            ],
        );
    }
}

#[test]
fn sample_size_paired_proportion_noninferiority() {
    for case in cases::of_kind("sample_size_paired_proportion_noninferiority") {
        assert_eq!(text(&case, "method"), "wald", "{}", case.id);
        let (discordance, margin) = (case.number("discordance"), case.number("margin"));
        let degradation = case.number("true_degradation");
        let pairs = sample_size::proportion::noninferior_pairs(discordance, degradation, margin, &design(&case));
        check_keys(&case, &[("n_pairs", pairs.expect("a plan"))]);
    }
}

/// Design effect from the keys of a case.
fn design_effect_of(case: &Case) -> f64 {
    let size = number_or(case, "mean_m", number_or(case, "m", f64::NAN));
    clustering::design_effect(size, number_or(case, "cv", 0.0), case.number("icc"))
}

#[test]
fn design_effect() {
    for case in cases::of_kind("design_effect") {
        check_keys(&case, &[("deff", design_effect_of(&case))]);
    }
}

#[test]
fn sample_size_cluster_mean() {
    for case in cases::of_kind("sample_size_cluster_mean") {
        let plan = two_means(&case, case.number("margin") - number_or(&case, "true_diff", 0.0));
        let arms = sample_size::mean::two_means(&plan, &design(&case)).expect("a plan");
        let (deff, size) = (design_effect_of(&case), number_or(&case, "mean_m", number_or(&case, "m", f64::NAN)));
        check_keys(
            &case,
            &[
                ("n_per_arm_iid", arms.treatment),
                ("deff", deff),
                ("n_per_arm", deff * arms.treatment),
                ("clusters_per_arm", deff * arms.treatment / size),
            ],
        );
    }
}

#[test]
fn icc_anova() {
    for case in cases::of_kind("icc_anova") {
        let anova = clustering::anova(&by_cluster(&case)).expect("units");
        let sums: Vec<(f64, f64, f64)> = by_cluster(&case)
            .iter()
            .map(|group| (group.len() as f64, group.iter().sum(), group.iter().map(|value| value * value).sum()))
            .collect();
        let of_sums = clustering::anova_of_sums(&sums).expect("units");
        assert!((of_sums.between - anova.between).abs() < 1e-9 && (of_sums.within - anova.within).abs() < 1e-9);
        assert!((of_sums.size - anova.size).abs() < 1e-12);
        let found = [("msb", anova.between), ("msw", anova.within), ("m0", anova.size), ("icc", anova.icc())];
        check_keys(&case, &found);
    }
}

#[test]
fn cluster_robust_mean_variance() {
    for case in cases::of_kind("cluster_robust_mean_variance") {
        let units: Vec<(f64, f64)> = by_cluster(&case).iter().map(|y| (y.iter().sum(), y.len() as f64)).collect();
        let sums = UnitSums::of(&units);
        let (variance, units) = (sums.ratio_variance().expect("units"), sums.units);
        check_keys(
            &case,
            &[
                ("mean", sums.ratio().expect("values")),
                ("var_delta", variance),
                ("var_cr0", variance * (units - 1.0) / units),
                ("var_cr0_times_K_over_Km1", variance),
                ("var_statsmodels_corrected", variance),
                ("var_iid", Sample::of(&case.numbers("y")).variance_of_mean()),
            ],
        );
    }
}

#[test]
fn ratio_of_sums_delta_variance() {
    for case in cases::of_kind("ratio_of_sums_delta_variance") {
        let sums = unit_sums(&case.inputs);
        let variance = sums.ratio_variance().expect("units");
        check_keys(
            &case,
            &[
                ("ratio", sums.ratio().expect("a denominator")),
                ("unit_variance", variance * sums.units),
                ("var_of_ratio", variance),
                ("se", variance.sqrt()),
            ],
        );
    }
}

#[test]
fn ratio_of_sums_test() {
    for case in cases::of_kind("ratio_of_sums_test") {
        let (treatment, control) = (unit_sums(&case.inputs["treatment"]), unit_sums(&case.inputs["control"]));
        check_estimate(&case, "diff", ratio::difference(&treatment, &control).expect("units"));
    }
}

#[test]
fn ratio_linearisation_identity() {
    for case in cases::of_kind("ratio_linearisation_identity") {
        let sums = unit_sums(&case.inputs);
        check_keys(
            &case,
            &[
                ("residual_var", ratio::residual_variance(&sums).expect("units")),
                ("mean_den", sums.x / sums.units),
                ("var_of_ratio", sums.ratio_variance().expect("units")),
            ],
        );
    }
}

#[test]
fn ratio_fieller_ci() {
    for case in cases::of_kind("ratio_fieller_ci") {
        let sums = unit_sums(&case.inputs);
        let df = number_or(&case, "df", sums.units - 1.0);
        let set = ratio::fieller(&sums, case.number("alpha"), df).expect("units");
        let (lower, upper) = set.interval.unwrap_or((f64::INFINITY, f64::INFINITY));
        check_keys(&case, &[("g", set.g), ("lower", lower), ("upper", upper)]);
    }
}

#[test]
fn variance_of_ratios() {
    for case in cases::of_kind("variance_of_ratios") {
        let numerator = (case.number("mean_m"), case.number("var_m"));
        let denominator = (case.number("mean_d"), case.number("var_d"));
        check_keys(&case, &[("var", ratio::variance_of_ratio(numerator, denominator, case.number("cov")))]);
    }
}

#[test]
fn cuped() {
    for case in cases::of_kind("cuped") {
        let units = |arm: &str| -> Vec<(f64, f64)> {
            let arm = &case.inputs[arm];
            cases::numbers(&arm["post"]).into_iter().zip(cases::numbers(&arm["pre"])).collect()
        };
        let (treatment, control) = (units("treatment"), units("control"));
        let test = covariate::adjusted(&treatment, &control);
        let raw = |units: &[(f64, f64)]| Sample::of(&units.iter().map(|unit| unit.0).collect::<Vec<_>>()).variance;
        check_keys(
            &case,
            &[
                ("theta", test.theta),
                ("var_adj_control", test.variance_control),
                ("var_adj_treatment", test.variance_treatment),
                ("var_raw_control", raw(&control)),
                ("var_raw_treatment", raw(&treatment)),
                ("diff_adjusted", test.difference.value),
                ("se_adjusted", test.difference.se),
                ("p", test.difference.p_value(0.0, Alternative::TwoSided)),
            ],
        );
    }
}

#[test]
fn cuped_variance_reduction() {
    for case in cases::of_kind("cuped_variance_reduction") {
        let factor = covariate::variance_left(case.number("corr"));
        let found = [("variance_factor", factor), ("n_adjusted", factor * case.number("n_unadjusted"))];
        check_keys(&case, &found);
    }
}

#[test]
fn srm_chi_square() {
    for case in cases::of_kind("srm_chi_square") {
        let test = chi_square::sample_ratio_mismatch(&case.numbers("counts"), &case.numbers("weights"));
        let test = test.expect("arms");
        check_keys(&case, &[("chi2", test.statistic), ("p", test.p_value), ("df", test.df)]);
    }
}

#[test]
fn zero_event_sample_size() {
    for case in cases::of_kind("zero_event_sample_size") {
        let alpha = case.number("alpha");
        let all = |size: &dyn Fn(f64) -> f64| case.numbers("p0").into_iter().map(size).collect::<Vec<_>>();
        case.check_all("n_binomial", &all(&|p0| rare::zero_event_trials(p0, alpha)));
        case.check_all("n_binomial_ceil", &all(&|p0| rare::zero_event_trials(p0, alpha).ceil()));
        case.check_all("n_poisson", &all(&|p0| rare::zero_event_exposure(p0, alpha)));
        case.check_all("rule_of_three", &all(&|p0| 3.0 / p0));
    }
}

#[test]
fn zero_event_upper_bound() {
    for case in cases::of_kind("zero_event_upper_bound") {
        let (n, alpha) = (case.number("n"), case.number("alpha"));
        check_keys(
            &case,
            &[
                ("clopper_pearson_one_sided", rare::zero_event_upper_bound(n, alpha)),
                ("poisson", poisson::upper_bound(Events { count: 0, exposure: n }, alpha)),
                ("rule_of_three", 3.0 / n),
            ],
        );
    }
}

#[test]
fn poisson_upper_bound() {
    for case in cases::of_kind("poisson_upper_bound") {
        let counts = case.inputs["events"].as_array().expect("counts").iter().filter_map(Value::as_u64);
        let exposure = case.number("exposure");
        let bound = |count| poisson::upper_bound(Events { count, exposure }, case.number("alpha"));
        case.check_all("upper_one_sided", &counts.map(bound).collect::<Vec<_>>());
    }
}

#[test]
fn detection_probability() {
    for case in cases::of_kind("detection_probability") {
        let (rate, sizes) = (case.number("rate"), case.numbers("n"));
        let all = |chance: &dyn Fn(f64) -> f64| sizes.iter().map(|n| chance(*n)).collect::<Vec<_>>();
        case.check_all("p_at_least_one_binomial", &all(&|n| rare::detection_probability(rate, n)));
        case.check_all("p_at_least_one_poisson", &all(&|n| rare::detection_probability_poisson(rate, n)));
        case.check("median_requests_to_first_event", rare::units_to_detection(rate, 0.5));
        case.check("p95_requests_to_first_event", rare::units_to_detection(rate, 0.95));
    }
}

#[test]
fn acceptance_number_plan() {
    for case in cases::of_kind("acceptance_number_plan") {
        let allowed: Vec<u64> = case.inputs["c"].as_array().expect("counts").iter().filter_map(Value::as_u64).collect();
        for (key, rate) in [("p_pass_good", "p_good"), ("p_pass_bad", "p_bad")] {
            let pass = |allowed: &u64| rare::acceptance(whole(&case, "n"), *allowed, case.number(rate));
            case.check_all(key, &allowed.iter().map(pass).collect::<Vec<_>>());
        }
    }
}

#[test]
fn power_one_sample_binomial_exact() {
    for case in cases::of_kind("power_one_sample_binomial_exact") {
        let (p0, p1, n) = (case.number("p0"), case.number("p1"), whole(&case, "n"));
        let power = sample_size::rare::one_proportion_power(p0, p1, n, case.number("alpha"), sides(&case));
        check_keys(&case, &[("power", power)]);
    }
}

#[test]
fn sample_size_one_sample_binomial_exact() {
    for case in cases::of_kind("sample_size_one_sample_binomial_exact") {
        let window = &case.inputs["search"];
        let window = (window[0].as_u64().expect("a size"), window[1].as_u64().expect("a size"));
        let search = if case.inputs["conservative"] == Value::Bool(false) { Search::First } else { Search::Lasting };
        let (p0, p1) = (case.number("p0"), case.number("p1"));
        let n = sample_size::rare::one_proportion(p0, p1, &design(&case), window, search);
        check_keys(&case, &[("n", n.map_or(f64::INFINITY, |n| n as f64))]);
    }
}

#[test]
fn test_binomial_exact() {
    for case in cases::of_kind("test_binomial_exact") {
        let p = proportion::exact::test(whole(&case, "x"), whole(&case, "n"), case.number("p0"), alternative(&case));
        check_keys(&case, &[("p", p)]);
    }
}

/// The two counts of events of a case.
fn events(case: &Case) -> (Events, Events) {
    let arm = |count: &str, exposure: &str| Events { count: whole(case, count), exposure: case.number(exposure) };
    (arm("x1", "exposure1"), arm("x2", "exposure2"))
}

#[test]
fn test_poisson_two_sample_conditional() {
    for case in cases::of_kind("test_poisson_two_sample_conditional") {
        let (first, second) = events(&case);
        case.check("p", poisson::conditional_test(first, second, 1.0, alternative(&case)));
        case.check("rate_ratio", first.rate() / second.rate());
        for key in case.expected.as_object().expect("expected keys").keys() {
            let (one_sided, two_sided) =
                (poisson::ratio_interval(first, second, 0.1), poisson::ratio_interval(first, second, 0.05));
            match key.as_str() {
                "lower95_one_sided" => case.check(key, one_sided.0),
                "upper95_one_sided" => case.check(key, one_sided.1),
                "ci95" => check_pair(&case, key, two_sided),
                "p" | "rate_ratio" => (),
                other => panic!("{}: nothing answers `{other}`", case.id),
            }
        }
    }
}

#[test]
fn test_poisson_two_sample() {
    for case in cases::of_kind("test_poisson_two_sample") {
        let ((first, second), side) = (events(&case), alternative(&case));
        let z = poisson::score(first, second, 1.0);
        check_keys(
            &case,
            &[
                ("z_score", z),
                ("p_score", side.normal_p_value(z)),
                ("p_cond_midp", poisson::conditional_mid_p(first, second, 1.0, side)),
                ("p_exact_cond", poisson::conditional_test(first, second, 1.0, side)),
            ],
        );
    }
}

#[test]
fn power_poisson_two_sample_conditional_exact() {
    for case in cases::of_kind("power_poisson_two_sample_conditional_exact") {
        let arm = |rate: &str, exposure: &str| (case.number(rate), case.number(exposure));
        let (first, second) = (arm("rate1", "exposure1"), arm("rate2", "exposure2"));
        let power = sample_size::rare::two_rates_power(first, second, case.number("alpha"), sides(&case));
        check_keys(&case, &[("power", power)]);
    }
}

#[test]
fn test_mann_whitney() {
    for case in cases::of_kind("test_mann_whitney") {
        let (x, y) = (case.numbers("x"), case.numbers("y"));
        let test = rank::mann_whitney(&x, &y);
        let exact = text(&case, "method").starts_with("exact");
        let p = |side| if exact { rank::mann_whitney_exact(&x, &y, side) } else { test.p_value(side) };
        for key in case.expected.as_object().expect("expected keys").keys() {
            match key.as_str() {
                "U_x" => case.check(key, test.u),
                "p_two_sided" => case.check(key, p(Alternative::TwoSided)),
                "p_less" => case.check(key, p(Alternative::Less)),
                "p_greater" => case.check(key, p(Alternative::Greater)),
                "hodges_lehmann_approx" => case.check(key, rank::hodges_lehmann(&x, &y)),
                "ci" => check_pair(&case, key, rank::shift_interval(&x, &y, 1.0 - case.number("conf_level"))),
                other => panic!("{}: nothing answers `{other}`", case.id),
            }
        }
    }
}

#[test]
fn sample_size_mann_whitney_noether() {
    for case in cases::of_kind("sample_size_mann_whitney_noether") {
        let (p, fraction) = (case.number("p_x_less_y"), case.number("fraction_group1"));
        let total = sample_size::other::mann_whitney(p, fraction, &design(&case)).expect("a plan");
        check_keys(&case, &[("n_total", total), ("n_per_group_ceil", (total * fraction).ceil())]);
    }
}

#[test]
fn test_wilcoxon_signed_rank() {
    for case in cases::of_kind("test_wilcoxon_signed_rank") {
        let test = rank::signed_rank(&case.numbers("x"), &case.numbers("y")).expect("pairs");
        let side = alternative(&case);
        let exact = text(&case, "method").starts_with("exact");
        let p = if exact { test.exact_p_value(side) } else { test.p_value(side) };
        check_keys(&case, &[("V", test.v), ("p", p)]);
    }
}

#[test]
fn test_ks_two_sample() {
    for case in cases::of_kind("test_ks_two_sample") {
        let test = ks::two_sample(&case.numbers("x"), &case.numbers("y"));
        check_keys(
            &case,
            &[("D", test.distance), ("p_exact", test.exact_p_value()), ("p_scipy_asymp", test.approximate_p_value())],
        );
    }
}

#[test]
fn drift_psi_js() {
    for case in cases::of_kind("drift_psi_js") {
        let (p, q) = (case.numbers("p"), case.numbers("q"));
        let sizes = (case.number("n_p"), case.number("n_q"));
        check_keys(
            &case,
            &[
                ("psi", drift::population_stability(&p, &q)),
                ("js_nats", drift::jensen_shannon(&p, &q)),
                ("psi_null_expectation", drift::population_stability_null_mean(sizes, p.len())),
                ("psi_null_q95", drift::population_stability_null_quantile(sizes, p.len(), 0.05)),
            ],
        );
    }
}

#[test]
fn chi_square_homogeneity() {
    for case in cases::of_kind("chi_square_homogeneity") {
        let test = chi_square::homogeneity(&table(&case)).expect("a table");
        check_keys(&case, &[("chi2", test.statistic), ("df", test.df), ("p", test.p_value)]);
    }
}

#[test]
fn quantile_ci_order_statistics() {
    for case in cases::of_kind("quantile_ci_order_statistics") {
        let (p, alpha) = (case.number("p"), case.number("alpha"));
        let ranks = quantile::rank_interval(whole(&case, "n"), p, alpha).expect("values");
        let (low, high) = quantile::normal_ranks(case.number("n"), p, alpha, 1.0);
        check_keys(
            &case,
            &[
                ("lower_rank", ranks.lower as f64),
                ("upper_rank", ranks.upper as f64),
                ("coverage", ranks.coverage),
                ("normal_lower_rank", low),
                ("normal_upper_rank", high),
            ],
        );
    }
}

#[test]
fn sample_quantile() {
    use quantile::Definition::{Type1, Type2, Type3, Type4, Type5, Type6, Type7, Type8, Type9};
    let definitions = [Type1, Type2, Type3, Type4, Type5, Type6, Type7, Type8, Type9];
    for case in cases::of_kind("sample_quantile") {
        let mut sample = case.numbers("x");
        sample.sort_by(f64::total_cmp);
        for (definition, number) in definitions.into_iter().zip(1..) {
            let key = format!("type{number}");
            if !case.expected[&key].is_null() {
                case.check(&key, quantile::sample_quantile(&sample, case.number("p"), definition));
            }
        }
    }
}

/// The variance of one unit from the bounds of a case.
fn outer_interval_variance(case: &Case) -> f64 {
    let bounds = (case.number("q_lower"), case.number("q_upper"));
    quantile::outer_interval_variance(case.number("n"), case.number("n_star"), bounds, number_or(case, "alpha", 0.05))
}

#[test]
fn quantile_variance_outer_ci() {
    for case in cases::of_kind("quantile_variance_outer_ci") {
        let variance = outer_interval_variance(&case);
        check_keys(&case, &[("unit_variance", variance), ("se", (variance / case.number("n")).sqrt())]);
    }
}

#[test]
fn quantile_variance_clustered() {
    for case in cases::of_kind("quantile_variance_clustered") {
        let below = UnitSums {
            units: case.number("n_clusters"),
            y: case.number("sum_I"),
            x: case.number("sum_N"),
            yy: case.number("sum_I_sq"),
            yx: case.number("sum_I_N"),
            xx: case.number("sum_N_sq"),
            ..UnitSums::default()
        };
        let (p, n) = (case.number("p"), case.number("n"));
        let deff = quantile::design_effect(&below, p).expect("units");
        let variance = deff * outer_interval_variance(&case);
        check_keys(
            &case,
            &[
                ("var_I_cluster", below.ratio_variance().expect("units")),
                ("var_I_iid", p * (1.0 - p) / n),
                ("deff", deff),
                ("unit_variance", variance),
                ("se", (variance / n).sqrt()),
            ],
        );
    }
}

#[test]
fn sample_size_quantile() {
    for case in cases::of_kind("sample_size_quantile") {
        assert_eq!(text(&case, "dist"), "lognormal", "{}", case.id);
        let (mu, sigma, p) = (case.number("mu"), case.number("sigma"), case.number("p"));
        let z = normal::upper_quantile(1.0 - p);
        let at = (mu + sigma * z).exp();
        let density = (-0.5 * z * z).exp() / (2.0 * std::f64::consts::PI).sqrt() / (sigma * at);
        let arm = QuantileArm { density, deff: number_or(&case, "deff", 1.0) };
        let margin = case.number("relative_margin") * at;
        let n = sample_size::other::quantile(p, margin, (arm, arm), 1.0, &design(&case)).expect("a plan");
        let quantile_key = format!("q{}", (100.0 * p).round());
        let density_key = format!("density_at_{quantile_key}");
        check_keys(&case, &[(&quantile_key, at), (&density_key, density), ("n_per_arm", n)]);
    }
}

#[test]
fn quantile_gate_as_proportion() {
    for case in cases::of_kind("quantile_gate_as_proportion") {
        let exceeding = Count { events: case.number("exceed_treatment"), trials: case.number("n_treatment") };
        let share = 1.0 - case.number("p");
        let z = proportion::one_sample_score(exceeding, share + case.number("margin_prob"));
        let key = format!("z_vs_{}_plus_margin", (1e6 * share).round() / 1e6);
        check_keys(&case, &[("phat_exceed", exceeding.share()), (&key, z)]);
    }
}

#[test]
fn p_adjust() {
    for case in cases::of_kind("p_adjust") {
        let p = case.numbers("p");
        for key in case.expected.as_object().expect("methods").keys() {
            let adjusted = match key.as_str() {
                "holm" => adjust::holm(&p),
                "bh" => adjust::benjamini_hochberg(&p),
                "hochberg" => adjust::hochberg(&p),
                "hommel" => adjust::hommel(&p),
                "by" => adjust::benjamini_yekutieli(&p),
                "bonferroni" => adjust::bonferroni(&p),
                "sidak" => adjust::sidak(&p),
                other => panic!("{}: method `{other}`", case.id),
            };
            case.check_all(key, &adjusted);
        }
    }
}

/// Checks joint chances by the dependence that each expected key names.
fn check_joint(case: &Case, chances: &[f64], joint: fn(&[f64], f64) -> f64, bound: f64) {
    for key in case.expected.as_object().expect("expected keys").keys() {
        let found = match key.as_str() {
            "independent" => joint(chances, 0.0),
            "bonferroni_lower_bound" | "bonferroni_upper_bound" => bound,
            "comonotone_upper_bound" | "comonotone_lower_bound" => joint(chances, 1.0),
            other => {
                let correlation = other.strip_prefix("equicorr_").and_then(|number| number.parse().ok());
                joint(chances, correlation.unwrap_or_else(|| panic!("{}: dependence `{other}`", case.id)))
            }
        };
        case.check(key, found);
    }
}

#[test]
fn iut_all_pass() {
    for case in cases::of_kind("iut_all_pass") {
        let chances = case.numbers("marginal_power");
        check_joint(&case, &chances, joint::all_pass, joint::all_pass_at_least(&chances));
    }
}

#[test]
fn uit_any_trips() {
    for case in cases::of_kind("uit_any_trips") {
        let chances = case.numbers("marginal_alpha");
        check_joint(&case, &chances, joint::any_trips, joint::any_trips_at_most(&chances));
    }
}

/// A count that a `u32` holds.
fn small(value: &Value) -> u32 {
    value.as_u64().and_then(|count| u32::try_from(count).ok()).expect("a count")
}

#[test]
fn risk_aware_power_correction() {
    for case in cases::of_kind("risk_aware_power_correction") {
        let success = small(&case.inputs["n_success"]);
        let each = |guardrails: &Value| joint::power_for_each(case.number("power"), small(guardrails), success);
        let guardrails = case.inputs["n_guardrails"].as_array().expect("counts");
        case.check_all("per_metric_power", &guardrails.iter().map(each).collect::<Vec<_>>());
    }
}

/// A metric, and whether it is tested on two sides.
fn metric(value: &Value) -> (Metric, bool) {
    let field = |key: &str| value[key].as_f64();
    let goal =
        field("mde_rel").map(Goal::Effect).or(field("nim_rel").map(Goal::Margin)).expect("an effect or a margin");
    let (mean, variance) = (field("avg").expect("a mean"), field("var").expect("a variance"));
    let binary = value["binary"] == Value::Bool(true);
    (Metric { mean, variance, binary, goal }, value["two_sided"] == Value::Bool(true))
}

#[test]
fn sample_size_multi_metric() {
    for case in cases::of_kind("sample_size_multi_metric") {
        let metrics: Vec<_> = case.inputs["metrics"].as_array().expect("metrics").iter().map(metric).collect();
        let weights = case.numbers("weights");
        let success = metrics.iter().filter(|(metric, _)| matches!(metric.goal, Goal::Effect(_))).count();
        let count = |number: usize| u32::try_from(number).expect("few metrics and arms");
        let alpha = joint::level_for_each(case.number("alpha"), count(weights.len() - 1), count(success));
        let power = joint::power_for_each(case.number("power"), count(metrics.len() - success), count(success));
        let all_two_sided = case.inputs["one_sided"] == Value::Bool(false);
        let total = |(metric, two_sided): &(Metric, bool)| {
            let sides = if all_two_sided || *two_sided { Sides::Two } else { Sides::One };
            sample_size::metrics::total(metric, &weights, &Design { alpha, power, sides }).expect("a plan")
        };
        case.check_all("n_total", &metrics.iter().map(total).collect::<Vec<_>>());
    }
}

/// One row of the random cases of scipy.
struct Row<'a> {
    check: &'a str,
    arguments: Vec<f64>,
    expected: Vec<f64>,
    tolerance: f64,
}

impl<'a> Row<'a> {
    fn read(line: &'a str) -> Self {
        let fields: Vec<&str> = line.split(',').collect();
        let numbers = |field: &str| field.split(' ').map(|number| number.parse().expect("a number")).collect();
        Self {
            check: fields[0],
            arguments: numbers(fields[1]),
            expected: numbers(fields[2]),
            tolerance: fields[3].parse().expect("a tolerance"),
        }
    }

    /// A count among the arguments.
    fn count(&self, index: usize) -> u64 {
        format!("{}", self.arguments[index]).parse().expect("a whole number")
    }

    /// The two samples among the arguments, each after its size.
    fn samples(&self) -> (&[f64], &[f64]) {
        let size: usize = format!("{}", self.arguments[0]).parse().expect("a size");
        let (first, second) = self.arguments[1..].split_at(size);
        (first, second.get(1..).unwrap_or(&[]))
    }

    fn found(&self) -> Vec<f64> {
        const SIDES: [Alternative; 3] = [Alternative::Less, Alternative::Greater, Alternative::TwoSided];
        let at = &self.arguments;
        let of_samples = ["mann_", "ks_", "welch", "signed_"].iter().any(|prefix| self.check.starts_with(prefix));
        let (x, y) = if of_samples { self.samples() } else { (&at[..0], &at[..0]) };
        match self.check {
            "noncentral_t" => vec![student_t::noncentral_cdf(at[0], at[1], at[2])],
            "t_quantile" => vec![student_t::upper_quantile(at[0], at[1])],
            "binomial" => {
                let (low, high) = proportion::exact::clopper_pearson(self.count(0), self.count(1), 0.1);
                let test = |side| proportion::exact::test(self.count(0), self.count(1), at[2], side);
                SIDES.map(test).into_iter().chain([low, high]).collect()
            }
            "fisher" => {
                let table = [[self.count(0), self.count(1)], [self.count(2), self.count(3)]];
                SIDES.map(|side| proportion::exact::fisher(table, side)).to_vec()
            }
            "score" => {
                let count = |index: usize| Count { events: at[index], trials: at[index + 1] };
                let variance = proportion::score::Variance::FarringtonManning;
                vec![proportion::score::statistic(count(0), count(2), at[4], variance)]
            }
            "mann_whitney" => SIDES.map(|side| rank::mann_whitney(x, y).p_value(side)).to_vec(),
            "mann_whitney_exact" => SIDES.map(|side| rank::mann_whitney_exact(x, y, side)).to_vec(),
            "ks_exact" => vec![ks::two_sample(x, y).exact_p_value()],
            "ks_approximate" => {
                let test = ks::two_sample(x, y);
                vec![test.distance, test.approximate_p_value()]
            }
            "kolmogorov" => vec![ks::one_sample_upper_tail(at[0], at[1])],
            "welch" => {
                let welch = mean::welch(&Sample::of(x), &Sample::of(y));
                vec![welch.statistic(0.0), welch.df, welch.p_value(0.0, Alternative::TwoSided)]
            }
            "signed_rank" | "signed_rank_exact" => {
                let test = rank::signed_rank(x, &vec![0.0; x.len()]).expect("pairs");
                let exact = self.check.ends_with("exact");
                let p = |side| if exact { test.exact_p_value(side) } else { test.p_value(side) };
                SIDES.into_iter().take(self.expected.len()).map(p).collect()
            }
            "chi_square" => {
                let test = chi_square::homogeneity(&[at[..5].to_vec(), at[5..].to_vec()]).expect("a table");
                vec![test.statistic, test.p_value]
            }
            "benjamini_hochberg" => adjust::benjamini_hochberg(at),
            "benjamini_yekutieli" => adjust::benjamini_yekutieli(at),
            other => panic!("no check `{other}`"),
        }
    }
}

#[test]
fn random_cases_of_scipy() {
    let mut wrong = Vec::new();
    for line in include_str!("../reference/scipy_checks.csv").lines() {
        let row = Row::read(line);
        let found = row.found();
        assert_eq!(found.len(), row.expected.len(), "{line}");
        for (found, expected) in found.iter().zip(&row.expected) {
            if (found - expected).abs() > row.tolerance * expected.abs() + 1e-14 {
                wrong.push(format!("{found} {expected} in {line}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
}
