"""One pass over Parquet files that need not fit into memory.

Writes generated rows (8 features, 200,000 groups by default) to Parquet files,
unless they are there, and prints, alternating in one process:

- the time of reading the columns with pyarrow and forming X'X with NumPy,
- the time of `fit_chunks` on the same batches, with the ratio and rows per second
  (also in processor time, which other programs on the machine disturb less),
- the peak resident memory of a process that only fits.

    python benchmarks/out_of_core.py [--rows 100000000] [--folder DIR]
    python benchmarks/out_of_core.py --search

With --search: the time of the optimization after the pass, for 10⁵, 10⁶ and 10⁷
rows in the same groups. BLAS runs on one thread throughout.
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

from skmixed import MixedLinearRegressor

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


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=20_000_000)
    parser.add_argument("--groups", type=int, default=200_000)
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--search", action="store_true")
    parser.add_argument("--only-fit", action="store_true")
    given = parser.parse_args()
    if given.search:
        search(20_000)
    elif given.only_fit:
        only_fit(given.folder)
    elif given.folder is not None:
        given.folder.mkdir(parents=True, exist_ok=True)
        compare(given.folder, given.rows, given.groups, given.repeats)
    else:
        with tempfile.TemporaryDirectory() as folder:
            compare(Path(folder), given.rows, given.groups, given.repeats)


if __name__ == "__main__":
    main()
