"""What the fits of a cross-validation have to say: warnings, failed fits and failed scores."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sklearn.exceptions import FitFailedWarning, UndefinedMetricWarning

from skmixed._fitted.fitting import CountedMessages, kind_of
from skmixed.exceptions import warn
from skmixed.model_selection._outcomes import Outcome
from skmixed.model_selection._scoring import Scorer
from skmixed.model_selection._splits.splits import Splits
from skmixed.model_selection._validation import shown

# Kinds of errors of which a warning shows one each.
MOST_KINDS = 3


@dataclass(frozen=True)
class FitNames:
    """What messages call the fits, which are numbered by candidates and splits.

    Attributes
    ----------
    params : sequence of dict
        Of the candidates.
    n_splits : int
    split : callable
        From the number of a split to its name.
    """

    params: Sequence[Mapping[str, Any]]
    n_splits: int
    split: Callable[[int], str]

    def __len__(self) -> int:
        return len(self.params) * self.n_splits

    def __call__(self, fit: tuple[int, int]) -> str:
        candidate, split = fit
        without = f"without {self.split(split)}"
        if len(self.params) == 1:
            return without
        return f"of candidate {candidate} ({shown(dict(self.params[candidate]))}) {without}"


def tell(
    outcomes: Sequence[Outcome], names: FitNames, scorers: Mapping[str, Scorer] | None = None
) -> None:
    """Say what the fits had to say, each kind once, and which of them and of the scores failed.

    Raises
    ------
    Exception
        What the first fit of a single candidate has raised, if all have failed.
    ValueError
        If all fits of several candidates have failed, or no score of any can be computed.
    """
    n = len(names)
    errors = {(c, k): error for c, own in enumerate(outcomes) for k, error in own.errors.items()}
    if len(errors) == n:
        first = next(iter(errors.values()))
        if len(names.params) == 1:
            raise first
        raise ValueError(f"All {n} fits failed. {_examples(errors, names)}") from first
    messages = CountedMessages()
    for candidate, own in enumerate(outcomes):
        for split, said in own.messages:
            messages.take(said, (candidate, split))
    messages.tell(lambda count: f"In {count} of {n} fits", lambda fit: f"that {names(fit)}")
    if errors:
        n_unpredicted = sum(len(own.unpredicted) for own in outcomes)
        warn(
            f"{_counted(len(errors) - n_unpredicted, n_unpredicted, n)}, and their scores are NaN. "
            f"{_examples(errors, names)}",
            FitFailedWarning,
        )
    _tell_scores(outcomes, names, scorers or {}, n - len(errors))


def _counted(n_fits: int, n_predictions: int, n: int) -> str:
    """Say how many fits, and how many predictions of others, have failed."""
    if not n_predictions:
        return f"{n_fits} of {n} fits failed"
    if not n_fits:
        return f"The predictions of {n_predictions} of {n} fits failed"
    return f"{n_fits} of {n} fits failed, and the predictions of {n_predictions} others"


def _tell_scores(
    outcomes: Sequence[Outcome], names: FitNames, scorers: Mapping[str, Scorer], n: int
) -> None:
    """Say which scores could not be computed, of how many of the n fits that have succeeded."""
    failed = {
        key: {(c, k): e for c, own in enumerate(outcomes) for k, e in own.failed[key].items()}
        for key in scorers
    }
    texts = {
        key: f"The score {scorers[key].name!r} cannot be computed for {len(errors)} of {n} fits"
        for key, errors in failed.items()
        if errors
    }
    if texts and all(len(errors) == n for errors in failed.values()):
        key, text = next(iter(texts.items()))
        raise ValueError(f"{text}. {_examples(failed[key], names)}") from next(
            iter(failed[key].values())
        )
    for key, text in texts.items():
        warn(f"{text}, and is NaN there. {_examples(failed[key], names)}", UserWarning)


def _examples(errors: Mapping[tuple[int, int], Exception], names: FitNames) -> str:
    """Return the first error, and the first of each other kind, with the names of their fits."""
    kinds: dict[tuple[type[Exception], str], list[tuple[int, int]]] = {}
    for fit, error in errors.items():
        kinds.setdefault((type(error), kind_of(str(error))), []).append(fit)
    texts: list[str] = []
    for fits in list(kinds.values())[:MOST_KINDS]:
        lead = f"{len(fits)} failed otherwise, the first" if texts else "The first"
        texts.append(f"{lead}, {names(fits[0])}: {_said(errors[fits[0]])}")
    left_out = len(kinds) - len(texts)
    texts += [f"{left_out} other kinds of errors are left out."] * (left_out > 0)
    return " ".join([*(f"{own.rstrip('.')}." for own in texts[:-1]), texts[-1]])


def _said(error: Exception) -> str:
    """Return the text of an error; of what is no sentence its class, too."""
    text = str(error)
    return text if isinstance(error, ValueError) and text else f"{type(error).__name__}: {text}"


def tell_single_rows(splits: Splits, scorers: Mapping[str, Scorer]) -> None:
    """Warn of splits whose R² is not defined."""
    n_single = splits.n_single_rows
    if n_single and any(own.by_split == "r2" for own in scorers.values()):
        warn(
            f"{n_single} of {len(splits)} splits predict one row, of which R² is not defined and "
            "NaN. Score by an error, such as 'neg_mean_squared_error'.",
            UndefinedMetricWarning,
        )
