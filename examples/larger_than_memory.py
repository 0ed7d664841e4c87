"""
Data larger than memory
=======================

One pass over the rows is enough, in chunks from any source: a CSV file, Parquet files, a database
query. The estimates are those of a fit to all rows in memory, up to rounding. The Parquet part
runs where pyarrow is installed, the query where duckdb is too.
"""

import pickle
import tempfile
from importlib.util import find_spec
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from skmixed import MixedLinearRegressor
from skmixed.inference import coefficient_table

# %%
# 200,000 sales in 500 stores, with a column that the model does not need.
rng = np.random.default_rng(0)
sales = pd.DataFrame({"price": rng.normal(10, 2, 200_000), "store": rng.integers(0, 500, 200_000)})
sales["sold"] = rng.normal(50 - 2 * sales["price"], 5) + rng.normal(0, 2, 500)[sales["store"]]
sales["comment"] = "not needed"
temporary = tempfile.TemporaryDirectory()
folder = Path(temporary.name)
sales.to_csv(folder / "sales.csv", index=False)

# %%
# A source is anything that yields pairs of X and y. Each of these reads only the columns of the
# model. By default pyarrow reads whole files, ahead of the fit; the options prevent this.
features, columns = ["price", "store"], ["price", "store", "sold"]


def from_csv(size):
    for chunk in pd.read_csv(folder / "sales.csv", usecols=columns, chunksize=size):
        yield chunk[features], chunk["sold"]


sources = {"CSV": from_csv(50_000)}
if find_spec("pyarrow"):
    import pyarrow.dataset as ds

    sales.to_parquet(folder / "sales.parquet", index=False)
    frugal = {"use_threads": False, "batch_readahead": 1, "fragment_readahead": 1}
    frugal["fragment_scan_options"] = ds.ParquetFragmentScanOptions(pre_buffer=False)
    batches = ds.dataset(folder / "sales.parquet").to_batches(columns=columns, **frugal)
    sources["Parquet"] = ((batch.select(features), batch["sold"]) for batch in batches)
if find_spec("pyarrow") and find_spec("duckdb"):
    import duckdb

    result = duckdb.sql(f"SELECT price, store, sold FROM '{folder}/sales.csv'")
    read = getattr(result, "to_arrow_reader", None) or result.fetch_record_batch  # before 1.4
    sources["DuckDB"] = ((batch.select(features), batch["sold"]) for batch in read(50_000))

model = MixedLinearRegressor("store")
slopes = {"in memory": model.fit(sales[features], sales["sold"]).coef_[0]}
slopes |= {name: model.fit_chunks(chunks).coef_[0] for name, chunks in sources.items()}
print(pd.Series(slopes).to_string(float_format="{:.12f}".format))

# %%
# ``partial_fit`` adds rows to the earlier ones, and the estimates are available after each call.
# The model keeps sums over stores, so that its size does not depend on the number of rows.
model, steps = MixedLinearRegressor("store"), {}
for k, (X, y) in enumerate(from_csv(10_000), start=1):
    steps[10 * k] = coefficient_table(model.partial_fit(X, y)).loc["price"]
temporary.cleanup()
table, size = pd.DataFrame(steps).T, len(pickle.dumps(model))
print(f"Pickled, the model takes {size / 1e3:.0f} kB; 200,000 rows of three numbers 4,800 kB")

plt.rc("axes.spines", top=False, right=False)
_, ax = plt.subplots(figsize=(7, 3.6), layout="constrained")
ax.fill_between(table.index, table["lower"], table["upper"], color="#CCE3F0")
ax.plot(table["estimate"], color="#0072B2")
ax.axhline(-2, color="#8C8C8C", linewidth=1)
_ = ax.set(xlabel="rows seen (thousands)", ylabel="slope of price, with 95 % interval")
