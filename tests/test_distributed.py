"""Fits on a cluster of several processes, one of which may die."""

import os
import signal
import time
from pathlib import Path

import dask
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest
from _estimators.test_incremental import SAME, assert_same_fit, assert_same_statistics, rows
from distributed import Client, LocalCluster
from distributed.utils import get_mp_context
from numpy.testing import assert_array_equal
from repeated_models import simulated
from sklearn.base import clone

from skmixed import MixedLinearRegressor, MixedPoissonRegressor, ResidualCovariance
from skmixed.distributed import dask_statistics, fit_dask
from skmixed.exceptions import RankDeficiencyWarning

# Third parties' own: sockets and event loops closed late, and a nanny's farewell.
pytestmark = [
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]


@pytest.fixture(scope="module")
def client():
    """A cluster whose workers are copies of one process that has the packages.

    Each of them, and the one in the place of a worker that was killed, would import them again.
    """
    with dask.config.set({"distributed.worker.multiprocessing-method": "forkserver"}):
        modules = ["dask.dataframe", "distributed.nanny", "skmixed.distributed"]
        get_mp_context().set_forkserver_preload(modules)
        with (
            LocalCluster(
                n_workers=3, threads_per_worker=1, processes=True, dashboard_address=":0"
            ) as cluster,
            Client(cluster) as client,
        ):
            yield client


def frame(seed, n=600):
    X, y, weights = rows(seed, n)
    return X.assign(y=y, w=weights)


MODEL = MixedLinearRegressor(["g", ("g", "h")], fixed=["x", "z"])


@pytest.mark.slow
@pytest.mark.parametrize(("weight", "n_partitions"), [("w", 1), (None, 2), ("w", 20)])
def test_partitions_add_up(client, weight, n_partitions):
    rows = frame(0) if weight else frame(0).drop(columns="w")
    ddf = dd.from_pandas(rows, npartitions=n_partitions, sort=False)
    model = clone(MODEL)
    assert fit_dask(model, ddf, target="y", sample_weight=weight) is model
    X = rows[["x", "z", "g", "h", "k"]]
    whole = clone(MODEL).fit(X, rows["y"], rows[weight] if weight else None)
    assert_same_statistics(whole, model)
    assert_same_fit(whole, model)


def test_near_and_dependent_columns(client):
    rows = frame(0).drop(columns="w")
    rows["near"] = rows["x"] + 1e-6 * np.random.default_rng(99).normal(size=len(rows))
    rows["sum"] = rows["near"] - rows["x"]
    model = MixedLinearRegressor("g", fixed=["x", "near", "z", "sum"])
    with pytest.warns(RankDeficiencyWarning, match="column 'sum' depends linearly"):
        whole = clone(model).fit(rows.drop(columns="y"), rows["y"])
    for n_partitions in (3, 40):
        ddf = dd.from_pandas(rows, npartitions=n_partitions, sort=False)
        with pytest.warns(RankDeficiencyWarning, match="column 'sum' depends linearly"):
            fit_dask(model, ddf, target="y")
        # The columns' rounding over what they differ by.
        assert model.criterion_ == pytest.approx(whole.criterion_, rel=1e-10)


def slow_part(bounds, folder):
    """A partition that takes a while, and leaves the number of its process."""
    start, stop = bounds
    (Path(folder) / f"{os.getpid()}-{start}").touch()
    time.sleep(0.1)
    return frame(1).iloc[start:stop]


@pytest.mark.slow
def test_a_worker_killed_during_the_run(client, tmp_path):
    bounds = [(start, start + 25) for start in range(0, 600, 25)]
    ddf = dd.from_map(slow_part, bounds, folder=str(tmp_path), meta=frame(1).iloc[:0])
    expected = clone(MODEL).fit(frame(1).drop(columns=["y", "w"]), frame(1)["y"], frame(1)["w"])

    undisturbed = dask_statistics(MODEL, ddf, target="y", sample_weight="w")
    for file in tmp_path.iterdir():
        file.unlink()
    future = client.submit(time.sleep, 0)  # the client answers
    future.result()
    before = {info["pid"] for info in client.run(_identity).values()}
    killer = _KillOnce(tmp_path, before)
    killer.start()
    model = fit_dask(clone(MODEL), ddf, target="y", sample_weight="w")
    killer.join()
    assert killer.killed in before
    after = {info["pid"] for info in client.run(_identity).values()}
    assert killer.killed not in after
    assert_same_statistics(expected, model)
    assert_same_fit(expected, model)
    assert_array_equal(model._model.stats.total, undisturbed.products.total)
    assert_array_equal(model._model.stats.factors[1].sums, undisturbed.products.factors[1].sums)


def _identity():
    return {"pid": os.getpid()}


class _KillOnce:
    """Kills the first worker that has begun its second partition."""

    def __init__(self, folder, workers):
        import threading

        self.folder, self.workers, self.killed = folder, workers, None
        self.thread = threading.Thread(target=self.run)

    def start(self):
        self.thread.start()

    def join(self):
        self.thread.join(60)

    def run(self):
        deadline = time.monotonic() + 50
        while self.killed is None and time.monotonic() < deadline:
            begun = [int(file.name.partition("-")[0]) for file in self.folder.iterdir()]
            busy = [pid for pid in self.workers if begun.count(pid) >= 2]
            if busy:
                os.kill(busy[0], signal.SIGKILL)
                self.killed = busy[0]
            time.sleep(0.01)


def test_partitions_without_rows(client):
    rows = frame(2)
    rows.loc[:199, "w"] = 0.0
    ddf = dd.from_pandas(rows, npartitions=6, sort=False)
    ddf = dd.concat([ddf[ddf["x"] > np.inf], ddf])
    model = fit_dask(clone(MODEL), ddf, target="y", sample_weight="w")
    whole = clone(MODEL).fit(rows.drop(columns=["y", "w"]), rows["y"], rows["w"])
    assert_same_statistics(whole, model)
    with pytest.raises(ValueError, match="ddf has no rows of positive weight"):
        fit_dask(clone(MODEL), ddf[ddf["x"] > np.inf], target="y", sample_weight="w")


def test_bad_input(client):
    rows = frame(3)
    ddf = dd.from_pandas(rows, npartitions=4, sort=False)
    model = clone(MODEL)
    with pytest.raises(
        ValueError, match="target='Y' is not a column of ddf, which has columns 'x'"
    ):
        fit_dask(model, ddf, target="Y")
    with pytest.raises(ValueError, match="sample_weight='v' is not a column of ddf"):
        fit_dask(model, ddf, target="y", sample_weight="v")
    with pytest.raises(TypeError, match=r"ddf is of type DataFrame. Give a dask.dataframe"):
        fit_dask(model, rows, target="y")
    rows.loc[300, "x"] = np.nan
    ddf = dd.from_pandas(rows, npartitions=4, sort=False)
    with pytest.raises(
        ValueError, match=r"In partition 2 \(counted from 0\): Column 'x' contains NaN .* row 0"
    ):
        fit_dask(model, ddf, target="y", sample_weight="w")
    assert set(vars(model)) == set(model.get_params())


def test_statistics_of_a_cluster_add_to_others(client):
    rows = frame(4)
    half = dd.from_pandas(rows[:300], npartitions=2, sort=False)
    own = dask_statistics(MODEL, half, target="y", sample_weight="w")
    rest = MODEL.statistics(rows[300:].drop(columns=["y", "w"]), rows["y"][300:], rows["w"][300:])
    model = clone(MODEL).fit_statistics(own + rest)
    whole = clone(MODEL).fit(rows.drop(columns=["y", "w"]), rows["y"], rows["w"])
    assert model.criterion_ == pytest.approx(whole.criterion_, rel=SAME)
    assert isinstance(rows, pd.DataFrame)


@pytest.mark.slow
def test_models_that_read_rows_more_than_once_are_refused_with_their_own_way():
    ddf = dd.from_pandas(pd.DataFrame({"y": [0, 1], "g": [0, 1]}), npartitions=1)
    with pytest.raises(TypeError, match=r"model.fit_chunks\(ddf, target='y'\)"):
        fit_dask(MixedPoissonRegressor("g"), ddf, target="y")


def test_targets_that_are_no_columns():
    X, y, _ = rows(0)
    ddf = dd.from_pandas(X.assign(y=y), npartitions=2)
    model = MixedLinearRegressor("g")
    with pytest.raises(TypeError, match="target=None is of type NoneType"):
        fit_dask(model, ddf, target=None)
    with pytest.raises(TypeError, match="ddf is of type Series, a single column"):
        fit_dask(model, ddf[ddf.columns[0]], target="y")


def test_rows_of_a_subject_in_several_partitions(client):
    rows = simulated(3, n_subjects=40).drop(columns="weight")
    residual = ResidualCovariance("unstructured", subject="subject", time="time")
    model = MixedLinearRegressor(fixed=["x", "arm", "time"], residual=residual)
    whole = clone(model).fit(rows.drop(columns="y"), rows["y"])
    ddf = dd.from_pandas(rows, npartitions=5, sort=False)
    fit_dask(model, ddf, target="y")
    assert model.criterion_ == pytest.approx(whole.criterion_, abs=1e-8)
    X = rows.drop(columns="y")
    np.testing.assert_allclose(model.predict(X), whole.predict(X), rtol=1e-6)
