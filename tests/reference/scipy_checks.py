"""Random cases of fixed-horizon tests, written to scipy_checks.csv, which the vector tests read.

Made with Python 3.11, numpy 2.4.6 and scipy 1.17.1. Run: python scipy_checks.py > scipy_checks.csv
Columns: check, arguments, expected values, relative tolerance; lists are separated by spaces. A sample is its size and its values.
"""

import numpy as np
from scipy import optimize, stats

rng = np.random.default_rng(20261121)


def row(check, arguments, expected, tolerance):
    print(check, " ".join(map(repr, map(float, arguments))), " ".join(map(repr, map(float, expected))), tolerance, sep=",")


def sample(values):
    return [len(values), *values]


def score(x1, n1, x2, n2, d):
    """Farrington and Manning's statistic, the restricted estimate found on the score equation."""

    def slope(p2):
        p1 = p2 + d
        return x1 / p1 - (n1 - x1) / (1 - p1) + x2 / p2 - (n2 - x2) / (1 - p2)

    low, high = max(0, -d) + 1e-13, min(1, 1 - d) - 1e-13
    if slope(low) <= 0:
        p2 = low
    elif slope(high) >= 0:
        p2 = high
    else:
        p2 = optimize.brentq(slope, low, high, xtol=1e-16, rtol=1e-14, maxiter=500)
    p1 = p2 + d
    return (x1 / n1 - x2 / n2 - d) / np.sqrt(p1 * (1 - p1) / n1 + p2 * (1 - p2) / n2)


def discrete_and_continuous_laws():
    for _ in range(40):
        t, df, delta = rng.normal(0, 4), np.exp(rng.uniform(0, 8)), rng.normal(0, 3)
        row("noncentral_t", [t, df, delta], [stats.nct.cdf(t, df, delta)], 1e-6)
        tail, df = np.exp(rng.uniform(-20, -0.7)), np.exp(rng.uniform(-0.5, 18))
        row("t_quantile", [tail, df], [stats.t.isf(tail, df)], 1e-8)
        n = int(np.exp(rng.uniform(0, 12)))
        k, p = rng.binomial(n, rng.uniform(0, 1) ** 3), rng.uniform(0, 1) ** 3
        test = [stats.binomtest(k, n, p, side).pvalue for side in ("less", "greater", "two-sided")]
        bounds = stats.binomtest(k, n, p).proportion_ci(0.9)
        row("binomial", [k, n, p], [*test, *bounds], 1e-7)
        a, b, c, d = rng.integers(0, 60, 4) * rng.integers(1, 30, 4)
        row("fisher", [a, b, c, d], [stats.fisher_exact([[a, b], [c, d]], side)[1] for side in ("less", "greater", "two-sided")], 1e-8)


def scores():
    for _ in range(120):
        n1, n2 = (int(np.exp(rng.uniform(1, 14))) for _ in range(2))
        p = rng.uniform(0, 1) ** 4
        x1, x2 = rng.binomial(n1, p), rng.binomial(n2, p)
        d = rng.choice([-1, 1]) * np.exp(rng.uniform(-9, -0.5))
        row("score", [x1, n1, x2, n2, d], [score(x1, n1, x2, n2, d)], 1e-6)


def ranks_and_distances():
    for index in range(40):
        m, n = rng.integers(4, 14, 2)
        tied = index % 2 == 0
        draw = (lambda k: rng.integers(0, 9, k)) if tied else (lambda k: rng.normal(0, 1, k))
        x, y = draw(m), draw(n)
        sides = ("less", "greater", "two-sided")
        two = [stats.mannwhitneyu(x, y, alternative=side, method="asymptotic").pvalue for side in sides]
        row("mann_whitney", [*sample(x), *sample(y)], two, 1e-7)
        exact = stats.ks_2samp(x, y, method="asymp")
        row("ks_approximate", [*sample(x), *sample(y)], [exact.statistic, exact.pvalue], 1e-7)
        welch = stats.ttest_ind(x, y, equal_var=False)
        row("welch", [*sample(x), *sample(y)], [welch.statistic, welch.df, welch.pvalue], 1e-8)
        if tied:
            pairs = rng.integers(-5, 6, m + 6)
            pairs[0] = 1
            normal = [stats.wilcoxon(pairs, alternative=side, correction=True, method="asymptotic").pvalue for side in sides[:2]]
            row("signed_rank", sample(pairs), normal, 1e-7)
        else:
            pairs = rng.normal(0.3, 1, m)
            row("signed_rank_exact", sample(pairs), [stats.wilcoxon(pairs, alternative=side, method="exact").pvalue for side in sides], 1e-9)
            exact = [stats.mannwhitneyu(x, y, alternative=side, method="exact").pvalue for side in sides]
            row("mann_whitney_exact", [*sample(x), *sample(y)], exact, 1e-9)
            row("ks_exact", [*sample(x), *sample(y)], [stats.ks_2samp(x, y, method="exact").pvalue], 1e-9)
        table = rng.integers(1, 40, (2, 5))
        test = stats.chi2_contingency(table, correction=False)
        row("chi_square", table.flatten(), [test.statistic, test.pvalue], 1e-9)
        p = rng.uniform(0, 1, 7) ** 3
        row("benjamini_hochberg", p, stats.false_discovery_control(p), 1e-10)
        row("benjamini_yekutieli", p, stats.false_discovery_control(p, method="by"), 1e-10)


def one_sample_distances():
    for _ in range(40):
        n = int(np.exp(rng.uniform(0, 6.2)))
        d = min(1, rng.uniform(0.3, 3) / np.sqrt(n))
        row("kolmogorov", [d, n], [stats.kstwo.sf(d, n)], 1e-6 if n <= 140 else 1e-5)  # beyond, scipy approximates


discrete_and_continuous_laws()
scores()
ranks_and_distances()
one_sample_distances()
