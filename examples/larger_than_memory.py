"""One model, fitted chunk by chunk: from Parquet files, a CSV file, a DuckDB query.

Each source is read once and asked only for the columns that the model needs. The
estimates are those of a fit to all rows in memory. Needs pyarrow; the DuckDB part
runs where duckdb is installed.
"""

import tempfile
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq

from skmixed import MixedLinearRegressor

rng = np.random.default_rng(0)
n_rows, n_stores = 200_000, 500
sales = pd.DataFrame({"price": rng.normal(10, 2, n_rows), "weekday": rng.integers(0, 7, n_rows)})
sales["store"] = [f"store {k}" for k in rng.integers(0, n_stores, n_rows)]
effect = dict(zip((f"store {k}" for k in range(n_stores)), rng.normal(size=n_stores), strict=True))
sales["sold"] = 50 - 2 * sales["price"] + sales["store"].map(effect) + rng.normal(size=n_rows)
sales["comment"] = "not needed"

model = MixedLinearRegressor("store", fixed=["price"])
features, target = ["price", "store"], "sold"
columns = [*features, target]


def from_parquet(folder):
    """Batches of the columns needed; the others are not read from the disk."""
    dataset = ds.dataset(folder, format="parquet")
    # By default pyarrow buffers whole files, and its threads run ahead of the fit.
    frugal = {
        "use_threads": False,
        "batch_readahead": 1,
        "fragment_readahead": 1,
        "fragment_scan_options": ds.ParquetFragmentScanOptions(pre_buffer=False),
    }
    for batch in dataset.to_batches(columns=columns, batch_size=100_000, **frugal):
        yield batch.select(features), batch[target]


def from_csv(path):
    """Chunks of 50,000 lines."""
    for frame in pd.read_csv(path, usecols=columns, chunksize=50_000):
        yield frame[features], frame[target]


def from_query(folder):
    """Arrow batches of the result, which DuckDB computes as they are asked for."""
    import duckdb

    query = f"SELECT {', '.join(columns)} FROM '{folder}/*.parquet' WHERE weekday < 7"
    result = duckdb.sql(query)
    # Called fetch_record_batch before DuckDB 1.4.
    read = getattr(result, "to_arrow_reader", None) or result.fetch_record_batch
    for batch in read(100_000):
        yield batch.select(features), batch[target]


with tempfile.TemporaryDirectory() as temporary:
    folder, csv = Path(temporary) / "sales", Path(temporary) / "sales.csv"
    folder.mkdir()
    for k, part in enumerate(np.array_split(np.arange(n_rows), 4)):
        table = pa.Table.from_pandas(sales.iloc[part], preserve_index=False)
        pq.write_table(table, folder / f"{k}.parquet")
    sales.to_csv(csv, index=False)

    sources = {
        "Parquet": from_parquet(folder),
        "CSV": from_csv(csv),
    }
    if find_spec("duckdb"):
        sources["DuckDB"] = from_query(folder)
    model.fit(sales[features], sales[target])
    print(f"{'in memory':10s} {model.coef_[0]:.12f}  {model.criterion_:.6f}")
    for name, chunks in sources.items():
        model.fit_chunks(chunks)
        print(f"{name:10s} {model.coef_[0]:.12f}  {model.criterion_:.6f}")

print("\nNew rows of one day, added to the fit:")
model.partial_fit(sales[features].tail(1000), sales[target].tail(1000))
print(f"{'1,000 more':10s} {model.coef_[0]:.12f}  {model.criterion_:.6f}")
