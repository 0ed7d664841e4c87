"""Save fitted models as the installed version pickles them, with what they predict.

Run at each release, and never over the files of a release that is out, on the
oldest supported dependencies (.ci/oldest.txt): NumPy reads the pickles of earlier
versions of NumPy, but not of later ones.

    python tests/golden/make.py

writes tests/golden/<version>/. Later versions must read them (_saved/test_state.py).
"""

import json
import pickle
from pathlib import Path

import numpy as np
import pandas as pd

import skmixed
from skmixed import MixedEffectEncoder, MixedLinearRegressor, RandomEffect, lmer
from skmixed.datasets import load_cake, load_pastes, load_sleepstudy


def sleepstudy():
    X, y = load_sleepstudy(return_X_y=True)
    return X.reset_index(drop=True), np.asarray(y, dtype=float)


def cases():
    """Return the model, X, y and what else `fit` is given, by name."""
    X, y = sleepstudy()
    number = X["Subject"].astype(str).astype(int)
    weights = 1.0 + np.arange(len(y)) % 3
    date = pd.Timestamp("2020-01-01") + pd.to_timedelta(number, unit="D")
    pairs = pd.Series([(int(n) // 10, n) for n in number], index=X.index)
    pastes, strength = load_pastes(return_X_y=True)
    pastes = pastes[["batch", "cask"]]
    cake, angle = load_cake(return_X_y=True)
    cake = cake[["recipe", "replicate", "temp"]]
    slopes = {"random_slopes": ["Days"]}
    effects = [RandomEffect("replicate"), RandomEffect(("recipe", "replicate"), covariance="diag")]
    return {
        "text": (MixedLinearRegressor("Subject", **slopes), X, y, {}),
        "integers": (MixedLinearRegressor(-1, method="ml"), X.assign(Subject=number), y, {}),
        "dates": (MixedLinearRegressor("Subject"), X.assign(Subject=date), y, {}),
        "tuples": (MixedLinearRegressor("Subject"), X.assign(Subject=pairs), y, {}),
        "weights": (
            MixedLinearRegressor("Subject", **slopes, covariance="diag"),
            X,
            y,
            {"sample_weight": weights},
        ),
        "array": (MixedLinearRegressor(1, random_slopes=[0]), np.c_[X["Days"], number], y, {}),
        "beside": (MixedLinearRegressor(**slopes), X[["Days"]], y, {"groups": X["Subject"]}),
        "least_squares": (MixedLinearRegressor(), X[["Days"]], y, {}),
        "nested": (MixedLinearRegressor(["batch", ("batch", "cask")]), pastes, strength, {}),
        "effects": (MixedLinearRegressor(effects, fixed=["temp"]), cake, angle, {}),
    }


def observed(model, X, fit_arguments):
    """What a later version must find in the model."""
    groups = {k: v for k, v in fit_arguments.items() if k == "groups"}
    return {
        "predictions": model.predict(X, **groups).tolist(),
        "fixed": model.fixed_effects_.to_dict(),
        "criterion": float(model.criterion_),
        "sigma": float(model.sigma_),
        "bic": model.bic_,
        "effects": {key: frame.to_numpy().tolist() for key, frame in model.random_effects_.items()},
        "params": repr(model),
    }


def others():
    """Return a fitted model of each other class, and its numbers, by name."""
    X, y = sleepstudy()
    frame = X.assign(Reaction=y, late=X["Days"] > 4)
    formula = "Reaction ~ poly(Days, 2) + C(late, contr.sum) + log(Days + 1) + (Days | Subject)"
    cake, angle = load_cake(return_X_y=True)
    cake = cake[["recipe", "replicate"]]
    return {
        "formula": (lmer(formula, frame), lambda model: model.predict(frame).tolist()),
        "encoder": (
            MixedEffectEncoder().fit(cake, angle),
            lambda encoder: encoder.transform(cake).ravel().tolist(),
        ),
        "statistics": (
            MixedLinearRegressor("Subject").statistics(X, y),
            lambda stats: [MixedLinearRegressor("Subject").fit_statistics(stats).criterion_],
        ),
    }


def main():
    folder = Path(__file__).parent / skmixed.__version__
    folder.mkdir(exist_ok=True)
    expected = {}
    for name, (model, X, y, arguments) in cases().items():
        model.fit(X, y, **arguments)
        # Protocol 4 is read by every supported Python.
        (folder / f"{name}.pickle").write_bytes(pickle.dumps(model, protocol=4))
        expected[name] = observed(model, X, arguments)
    for name, (model, numbers) in others().items():
        (folder / f"{name}.pickle").write_bytes(pickle.dumps(model, protocol=4))
        expected[name] = numbers(model)
    (folder / "slim.pickle").write_bytes(pickle.dumps(slim_copy(), protocol=4))
    (folder / "expected.json").write_text(json.dumps(expected, indent=1) + "\n")


def slim_copy():
    model, X, y, _ = cases()["text"]
    return model.fit(X, y).slim()


if __name__ == "__main__":
    main()
