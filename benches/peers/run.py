"""replay beside two Python programs that answer the same question, in one run.

    python3 -m venv /tmp/peers && /tmp/peers/bin/pip install -r benches/peers/requirements.txt
    cargo build --release --locked
    /tmp/peers/bin/python benches/peers/run.py ../shared/datasets/llm-shadow.parquet

The question: a candidate that is exactly as good as stable gets 20 % of the users for 63 hours. How often does a one-sided
test at 5 % call it worse, on the last look and on any look, a look every 15 minutes, for each of four metrics? Users are
assigned anew in every replicate, and standard errors are clustered by user.

- `cluster-experiments`: its PowerAnalysis with clustered OLS, on the rows of these hours. One look, one metric.
- `dense`: NumPy. One matrix of assignments, one product of it with the features of all users per look.
- `incremental`: NumPy. The same, with only the users of the last 15 minutes in each product.
- `replay`: the program, on two threads. What a replicate costs is the difference of two runs, since a run does more than
  replicates: it reads the log, plans, and writes a report. It plays ten worlds, of which the peers play one; only that one
  is counted.

Costs are per (replicate x look x metric). Rejection rates must agree within Monte Carlo error, or the run fails. The result
is `result.json` beside this file: machine, versions, every timing.
"""

import argparse
import json
import math
import os
import platform
import subprocess
import sys
import tempfile
import time
from datetime import timedelta
from importlib.metadata import version
from pathlib import Path

import numpy as np
import polars as pl

HERE = Path(__file__).parent
METRICS = {"quality": "higher", "error": "lower", "safety_flag": "lower", "cost_usd": "lower"}
EXPOSURE, ALPHA, HOURS, SLOT_S = 0.2, 0.05, 63, 900
LOOKS = HOURS * 3600 // SLOT_S
# Upper 5 % of the normal distribution.
CRITICAL = 1.6448536269514722
# Rates that differ by more are not of one law: 1 in 10,000.
DEVIATES = 3.89


def read(path):
    """The rows of the first hours, with users as codes and stable's metrics as floats."""
    columns = ["ts", "user_id", *(f"stable_{metric}" for metric in METRICS)]
    log = pl.scan_parquet(path).select(columns)
    first = log.select(pl.col("ts").min()).collect().item()
    first = first.replace(minute=first.minute // 15 * 15, second=0, microsecond=0)
    rows = log.filter(pl.col("ts") < first + timedelta(hours=HOURS)).collect()
    return first, rows.with_columns(
        pl.col("user_id").rank("dense").cast(pl.Int64).sub(1).alias("user"),
        ((pl.col("ts") - first).dt.total_seconds() // SLOT_S).alias("slot"),
        *(pl.col(f"stable_{metric}").cast(pl.Float64).alias(metric) for metric in METRICS),
    )


def increments(rows):
    """Per look: the users of its slot, and what their squares, products and sums grow by; per metric y, x, yy, yx, xx."""
    users = rows["user"].max() + 1
    sums = rows.group_by("slot", "user").agg(
        *(pl.col(metric).sum().alias(f"{metric} y") for metric in METRICS),
        *(pl.col(metric).count().cast(pl.Float64).alias(f"{metric} x") for metric in METRICS),
    )
    y, x = np.zeros((users, len(METRICS))), np.zeros((users, len(METRICS)))
    seen = np.zeros(users, bool)
    looks = []
    for slot in range(LOOKS):
        own = sums.filter(pl.col("slot") == slot)
        at = own["user"].to_numpy()
        dy = own.select(f"{metric} y" for metric in METRICS).to_numpy()
        dx = own.select(f"{metric} x" for metric in METRICS).to_numpy()
        new = (~seen[at]).astype(float)[:, None]
        seen[at] = True
        grown = [dy, dx, dy * (2 * y[at] + dy), y[at] * dx + x[at] * dy + dy * dx, dx * (2 * x[at] + dx)]
        y[at] += dy
        x[at] += dx
        looks.append((at, np.hstack([new, *grown])))
    return users, looks


def deviates(arm, everyone):
    """One-sided z of `candidate is worse`, per replicate and metric."""
    sides = []
    for sums in (arm, everyone - arm):
        units = sums[:, :1]
        y, x, yy, yx, xx = np.split(sums[:, 1:], 5, axis=1)
        with np.errstate(divide="ignore", invalid="ignore"):
            ratio = y / x
            variance = units / (units - 1) * (yy - 2 * ratio * yx + ratio**2 * xx) / x**2
        sides.append((ratio, variance))
    (candidate, of_candidate), (stable, of_stable) = sides
    worse = np.array([-1.0 if better == "higher" else 1.0 for better in METRICS.values()])
    with np.errstate(divide="ignore", invalid="ignore"):
        return worse * (candidate - stable) / np.sqrt(of_candidate + of_stable)


def dense(users, looks, replicates, rng):
    assigned = (rng.random((replicates, users)) < EXPOSURE).astype(float)
    features = np.zeros((users, looks[0][1].shape[1]))
    ever = np.zeros((replicates, len(METRICS)), bool)
    for at, grown in looks:
        features[at] += grown
        z = deviates(assigned @ features, features.sum(axis=0))
        ever |= z > CRITICAL
    return {"last": (z > CRITICAL).mean(axis=0), "any": ever.mean(axis=0)}


def incremental(users, looks, replicates, rng):
    assigned = (rng.random((users, replicates)) < EXPOSURE).astype(float)
    arm = np.zeros((replicates, looks[0][1].shape[1]))
    everyone = np.zeros(looks[0][1].shape[1])
    ever = np.zeros((replicates, len(METRICS)), bool)
    for at, grown in looks:
        arm += assigned[at].T @ grown
        everyone += grown.sum(axis=0)
        z = deviates(arm, everyone)
        ever |= z > CRITICAL
    return {"last": (z > CRITICAL).mean(axis=0), "any": ever.mean(axis=0)}


def cluster_experiments(rows, metric, simulations, seed):
    import pandas as pd
    from cluster_experiments import ClusteredOLSAnalysis, ClusteredSplitter, ConstantPerturbator, PowerAnalysis

    measured = rows.select("user", metric).drop_nulls()
    frame = pd.DataFrame({"user": measured["user"].cast(pl.String).to_list(), metric: measured[metric].to_numpy()})
    analysis = PowerAnalysis(
        perturbator=ConstantPerturbator(target_col=metric),
        splitter=ClusteredSplitter(cluster_cols=["user"], splitter_weights=[1 - EXPOSURE, EXPOSURE]),
        analysis=ClusteredOLSAnalysis(
            cluster_cols=["user"],
            target_col=metric,
            hypothesis="less" if METRICS[metric] == "higher" else "greater",
        ),
        target_col=metric,
        n_simulations=simulations,
        alpha=ALPHA,
        seed=seed,
    )
    return analysis.power_analysis(frame, average_effect=0.0)


def kind(metric):
    return "proportion" if metric in ("error", "safety_flag") else "mean"


def scenario(first):
    lines = ['[log]', 'timestamp = "ts"', f'slot = "{SLOT_S}s"', '[assignment]', 'unit = "user_id"', 'salt = "peers"']
    for metric, better in METRICS.items():
        lines += [f"[metrics.{metric}]", f'kind = "{kind(metric)}"', f'column = "{{version}}_{metric}"', f'better = "{better}"']
    lines += ['[[stages]]', 'name = "20%"', f'exposure = "{EXPOSURE:.0%}"', f'duration = "{HOURS}h"', f'look_every = "{SLOT_S}s"']
    for metric in METRICS:
        for name, looks in (("any", "all"), ("last", "end")):
            lines += ['[[gates]]', f'name = "{metric} {name}"', f'metric = "{metric}"', 'allow = "0%"', 'test = "fixed"']
            lines += [f"alpha = {ALPHA}", "min_units = 2"] + ([f'looks = "{looks}"'] if looks == "end" else [])
            lines += ['style = "wald"'] if kind(metric) == "proportion" else []
    lines += ['[rollout]', f'start = ["{first:%Y-%m-%d %H:%M}"]', '[simulation]', 'resample = "none"', 'seed = 1']
    return "\n".join(lines) + "\n"


def replay(program, log, first, replicates, directory):
    path = Path(directory) / "peers.toml"
    path.write_text(scenario(first))
    command = [program, log, "--scenario", path, "--replicates", str(replicates), "--threads", "2", "--out", Path(directory) / "report"]
    start = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True)
    seconds = time.perf_counter() - start
    if done.returncode != 0:
        sys.exit(done.stderr)
    report = json.loads((Path(directory) / "report" / "report.json").read_text())
    rates = {"last": [], "any": []}
    for metric in METRICS:
        for name in rates:
            gate = next(row for row in report["gates"] if row["gate"] == f"{metric} {name}")
            rates[name].append(gate["rates"]["null"]["fail"]["share"])
    return seconds, {name: np.array(shares) for name, shares in rates.items()}


def differs(a, n, b, m):
    rate = (a * n + b * m) / (n + m)
    return abs(a - b) > DEVIATES * math.sqrt(max(rate * (1 - rate), 1e-4) * (1 / n + 1 / m))


def machine():
    info = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    model = next((line.split(":", 1)[1].strip() for line in info.splitlines() if line.startswith("model name")), platform.machine())
    return {"processor": model, "cores": os.cpu_count(), "system": platform.platform(), "load": os.getloadavg()}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("log")
    parser.add_argument("--replay", default=HERE / "../../target/release/replay")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--replicates", type=int, default=4000, help="of replay; dense plays 200 at a time")
    parser.add_argument("--simulations", type=int, default=100, help="of cluster-experiments")
    parser.add_argument("--out", default=HERE / "result.json")
    args = parser.parse_args()

    first, rows = read(args.log)
    users, looks = increments(rows)
    before, timings, problems = machine(), [], []
    answers = len(METRICS) * LOOKS

    def timed(side, run, count, work):
        start = time.perf_counter()
        result = work()
        seconds = time.perf_counter() - start
        timings.append({"side": side, "run": run, "seconds": seconds, "counted": count, "each": seconds / count})
        return result

    rates = {"dense": [], "incremental": [], "cluster-experiments": []}
    with tempfile.TemporaryDirectory() as directory:
        for run in range(args.runs):
            rng = np.random.default_rng(run)
            rates["dense"].append(timed("dense", run, 200 * answers, lambda: dense(users, looks, 200, rng)))
            count = 1000
            rates["incremental"].append(timed("incremental", run, count * answers, lambda: incremental(users, looks, count, rng)))
            simulations = args.simulations
            rates["cluster-experiments"].append(
                timed("cluster-experiments", run, simulations, lambda: cluster_experiments(rows, "cost_usd", simulations, run))
            )
            few, _ = replay(args.replay, args.log, first, 100, directory)
            many, shares = replay(args.replay, args.log, first, args.replicates, directory)
            count = (args.replicates - 100) * answers
            timings.append({"side": "replay", "run": run, "seconds": many - few, "counted": count, "each": (many - few) / count,
                            "whole_run_s": many})

    table = {"replay": {name: shares[name].tolist() for name in shares}}
    for side, count in (("dense", 200), ("incremental", 1000)):
        table[side] = {name: np.mean([rate[name] for rate in rates[side]], axis=0).tolist() for name in shares}
        for name in shares:
            for metric, mine, theirs in zip(METRICS, shares[name], table[side][name]):
                if differs(mine, args.replicates, theirs, count * args.runs):
                    problems.append(f"{metric}, {name} look: replay {mine:.4f}, {side} {theirs:.4f}")
    cost = list(METRICS).index("cost_usd")
    theirs = float(np.mean(rates["cluster-experiments"]))
    table["cluster-experiments"] = {"last": {"cost_usd": theirs}}
    if differs(shares["last"][cost], args.replicates, theirs, args.simulations * args.runs):
        problems.append(f"cost_usd, last look: replay {shares['last'][cost]:.4f}, cluster-experiments {theirs:.4f}")

    each = {side: [row["each"] for row in timings if row["side"] == side] for side in [*rates, "replay"]}
    ratios = {side: sorted(theirs / ours for theirs, ours in zip(each[side], each["replay"])) for side in rates}
    result = {
        "machine": before,
        "versions": {"python": platform.python_version(),
                     **{name: version(name) for name in ("cluster-experiments", "numpy", "pandas", "polars", "statsmodels")},
                     "replay": subprocess.run([args.replay, "--version"], capture_output=True, text=True).stdout.strip()},
        "question": {"rows": rows.height, "users": int(users), "looks": LOOKS, "metrics": list(METRICS),
                     "exposure": EXPOSURE, "alpha": ALPHA, "replicates": args.replicates},
        "rejected": table,
        "disagreements": problems,
        "times_the_cost_of_replay": ratios,
        "timings": timings,
    }
    Path(args.out).write_text(json.dumps(result, indent=1) + "\n")
    for side, values in ratios.items():
        print(f"{side}: {np.median(values):,.3g} times the cost of replay ({values[0]:,.3g} to {values[-1]:,.3g}, {len(values)} runs)")
    for problem in problems:
        print(f"answers differ: {problem}", file=sys.stderr)
    sys.exit(1 if problems else 0)


if __name__ == "__main__":
    main()
