"""One pass over Parquet files that need not fit into memory.

Writes generated rows (8 features, 200,000 groups by default) to Parquet files,
unless they are there, and prints, alternating in one process:

- the time of reading the columns with pyarrow and forming X'X with NumPy,
- the time of `fit_chunks` on the same batches, with the ratio and rows per second
  (also in processor time, which other programs on the machine disturb less),
- the peak resident memory of a process that only fits.

    python benchmarks/out_of_core.py [--rows 100000000] [--folder DIR]
    python benchmarks/out_of_core.py --search
    python benchmarks/out_of_core.py --classes [--rows 1000000] [--groups 100000]

With --search: the time of the optimization after the pass, for 10⁵, 10⁶ and 10⁷
rows in the same groups. With --classes: `fit_chunks` of a logistic model with 3 features,
whose rows are read in each step or, where features have few values in few groups, pooled,
beside `fit` in memory; each in a process of its own, with its passes and its peak memory. BLAS
runs on one thread throughout.
"""

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

os.environ["OPENBLAS_NUM_THREADS"] = "1"

import numpy as np
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq

from skmixed import MixedLinearRegressor, MixedLogisticClassifier

FEATURES = [f"x{j}" for j in range(8)]
BATCH = 400_000


def generate(rng, n_rows, effects):
    group = rng.integers(0, len(effects), n_rows)
    columns = {name: rng.normal(5.0, 1.0, n_rows) for name in FEATURES}
    y = sum(columns.values()) + effects[group] + rng.normal(size=n_rows)
    return pa.table({**columns, "group": group, "y": y, "unused": rng.normal(size=n_rows)})


def write(folder, n_rows, n_groups):
    rng = np.random.default_rng(0)
    effects = rng.normal(size=n_groups)
    for start in range(0, n_rows, 10_000_000):
        path = folder / f"{start}.parquet"
        if path.exists():
            continue
        with pq.ParquetWriter(path, generate(rng, 1, effects).schema) as writer:
            for _ in range(start, min(start + 10_000_000, n_rows), BATCH):
                writer.write_table(generate(rng, min(BATCH, n_rows), effects))


def batches(folder):
    """Record batches of the columns that the model needs, and no others."""
    columns = [*FEATURES, "group", "y"]
    dataset = ds.dataset(folder, format="parquet")
    # By default pyarrow holds whole files of raw columns, and its threads run ahead.
    frugal = {
        "use_threads": False,
        "batch_readahead": 1,
        "fragment_readahead": 1,
        "fragment_scan_options": ds.ParquetFragmentScanOptions(pre_buffer=False),
    }
    for batch in dataset.to_batches(columns=columns, batch_size=BATCH, **frugal):
        yield batch.select([*FEATURES, "group"]), batch["y"]


def products_only(folder):
    """Read the columns, and form [1 X y]'[1 X y] around the first batch's means."""
    total, center = 0.0, None
    for X, y in batches(folder):
        table = np.empty((len(y), len(FEATURES) + 2))
        table[:, 0] = 1.0
        for j, name in enumerate(FEATURES, start=1):
            table[:, j] = X[name]
        table[:, -1] = y
        np.asarray(X["group"]).max()
        center = table.mean(axis=0) if center is None else center
        center[0] = 0.0
        table -= center
        total = total + table.T @ table
    return total


def fit(folder):
    return MixedLinearRegressor("group").fit_chunks(batches(folder))


def timed(call, *arguments):
    """Wall-clock and processor time of a call, of all its threads."""
    start = time.perf_counter(), time.process_time()
    call(*arguments)
    return time.perf_counter() - start[0], time.process_time() - start[1]


def compare(folder, n_rows, n_groups, repeats):
    write(folder, n_rows, n_groups)
    base, own = [], []
    for _ in range(repeats):
        base.append(timed(products_only, folder))
        own.append(timed(fit, folder))
    print(f"{n_rows} rows, {n_groups} groups; best of {repeats}, alternating")
    for what, position in (("wall clock", 0), ("processor", 1)):
        first, second = (min(times[position] for times in seen) for seen in (base, own))
        print(
            f"{what:10s}  read and X'X {first:6.1f} s  fit_chunks {second:6.1f} s  "
            f"ratio {second / first:.2f}  {n_rows / second / 1e6:.2f} million rows per second"
        )
    command = [sys.executable, __file__, "--only-fit", "--folder", str(folder)]
    subprocess.run(command, check=True)


def only_fit(folder):
    model = fit(folder)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"peak resident memory {peak:.2f} GB; sigma {model.sigma_:.4f}, theta {model.theta_}")


def search(n_groups):
    rng = np.random.default_rng(0)
    effects = rng.normal(size=n_groups)
    for n_rows in (10**5, 10**6, 10**7):
        model, stats = MixedLinearRegressor("group"), None
        for _ in range(0, n_rows, 10**5):
            rows = generate(rng, 10**5, effects)
            own = model.statistics(rows.select([*FEATURES, "group"]), rows["y"])
            stats = own if stats is None else stats + own
        best = min(timed(model.fit_statistics, stats)[0] for _ in range(5))
        print(
            f"{n_rows:9d} rows, {stats.n_levels['group']} groups: search {best * 1e3:.0f} ms, "
            f"{model.n_factorizations_} factorizations"
        )


def write_classes(path, n_rows, n_groups, *, is_coarse):
    """Classes by three features, which have five values each if `is_coarse`."""
    rng = np.random.default_rng(0)
    effects = rng.normal(size=n_groups)
    writer = None
    for start in range(0, n_rows, BATCH):
        n = min(BATCH, n_rows - start)
        x, group = rng.normal(size=(3, n)), rng.integers(0, n_groups, n)
        x = np.clip(np.round(x), -2, 2) if is_coarse else x
        eta = -0.5 + np.array([0.5, -0.3, 0.2]) @ x + effects[group]
        y = rng.random(n) < 1 / (1 + np.exp(-eta))
        columns = {f"x{j}": own for j, own in enumerate(x)}
        table = pa.table({**columns, "group": group, "y": y.astype(int)})
        writer = writer or pq.ParquetWriter(path, table.schema)
        writer.write_table(table)
    writer.close()


# How the rows of classes are held, with the arguments of `fit_chunks`.
WAYS = {"in memory": None, "held": {}, "in each step": {"max_held_rows": 50_000}}


def only_classes(path, way):
    """Fit to the classes of a file in one way, and print what it took."""
    model, before = MixedLogisticClassifier("group"), resource.getrusage(resource.RUSAGE_SELF)
    start = time.perf_counter()
    if WAYS[way] is None:
        rows = pq.read_table(path).to_pandas()
        model.fit(rows.drop(columns="y"), rows["y"])
    else:
        model.fit_chunks(path, target="y", **WAYS[way])
    seconds = time.perf_counter() - start
    own = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before.ru_maxrss) / 2**10
    print(
        f"  {way:13s} {seconds:7.1f} s, {model.n_passes_:3d} passes, {model.n_iter_} steps, "
        f"{own:6.0f} MB, log-likelihood {model.log_likelihood_:.6f}",
        flush=True,
    )


def compare_classes(folder, n_rows, n_groups):
    for is_coarse in (False, True):
        path = folder / "classes.parquet"
        own = n_groups // 100 if is_coarse else n_groups
        write_classes(path, n_rows, own, is_coarse=is_coarse)
        kind = "of five values" if is_coarse else "that all differ"
        print(f"{n_rows} classes in {own} groups, features {kind}", flush=True)
        for way in WAYS:
            command = [sys.executable, __file__, "--only-classes", way, "--folder", str(path)]
            subprocess.run(command, check=True)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int)
    parser.add_argument("--groups", type=int)
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--search", action="store_true")
    parser.add_argument("--only-fit", action="store_true")
    parser.add_argument("--classes", action="store_true")
    parser.add_argument("--only-classes", choices=WAYS)
    given = parser.parse_args()
    usual = (1_000_000, 100_000) if given.classes else (20_000_000, 200_000)
    sizes = given.rows or usual[0], given.groups or usual[1]
    if given.only_classes:
        only_classes(given.folder, given.only_classes)
    elif given.classes:
        with tempfile.TemporaryDirectory() as folder:
            compare_classes(Path(folder), *sizes)
    elif given.search:
        search(20_000)
    elif given.only_fit:
        only_fit(given.folder)
    elif given.folder is not None:
        given.folder.mkdir(parents=True, exist_ok=True)
        compare(given.folder, *sizes, given.repeats)
    else:
        with tempfile.TemporaryDirectory() as folder:
            compare(Path(folder), *sizes, given.repeats)


if __name__ == "__main__":
    main()
