"""What fit sets is declared in one place, and an estimator is few classes."""

import numpy as np

from skmixed import MixedEffectEncoder, MixedLinearRegressor
from skmixed.datasets import load_penicillin, load_sleepstudy


def test_a_fit_sets_what_is_declared_and_nothing_else():
    X, y = load_sleepstudy(return_X_y=True, as_frame=True)
    model = MixedLinearRegressor("Subject")
    before = set(vars(model))
    model.fit(X, y)
    assert set(vars(model)) - before == MixedLinearRegressor.set_by_fit
    model.set_params(groups=-1).fit(X.to_numpy(dtype=float), y)
    # An array has no names: those of the fit before are gone.
    assert set(vars(model)) - before == MixedLinearRegressor.set_by_fit - {"feature_names_in_"}
    X, y = load_penicillin(return_X_y=True, as_frame=True)
    encoder = MixedEffectEncoder()
    before = set(vars(encoder))
    encoder.fit(X, y)
    assert set(vars(encoder)) - before == MixedEffectEncoder.set_by_fit


def test_one_private_attribute_holds_the_fit():
    X, y = load_sleepstudy(return_X_y=True, as_frame=True)
    model = MixedLinearRegressor("Subject").fit(X, y)
    # Beside the name of y, of which nothing is computed
    assert {name for name in vars(model) if name.startswith("_")} == {"_model", "_response_name"}
    assert np.isfinite(model.predict(X)).all()


def test_few_classes_of_ours_make_the_regressor():
    own = [c for c in MixedLinearRegressor.__mro__ if c.__module__.startswith("skmixed")]
    # Where scikit-learn has no mixin of callbacks, an empty class stands for it
    own = [c for c in own if c.__name__ != "CallbackSupportMixin"]
    assert len(own) <= 5
