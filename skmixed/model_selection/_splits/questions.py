"""New groups, or new rows of known ones: which of the two questions splits ask."""

from collections.abc import Mapping

from skmixed.model_selection._splits.groups import Groups
from skmixed.model_selection._splits.splits import Splits

QUESTIONS = ("new_groups", "known_groups")


def check_question(question: str | None, splits: Splits, groups: Groups) -> None:
    """Refuse splits that answer another question than was asked.

    Raises
    ------
    ValueError
        If a group is in training and in test where new groups are asked for, or in test
        alone where known groups are.
    """
    if question is None:
        return
    name, codes = groups.name, groups.required()
    share = splits.share_known(codes)
    if question == "new_groups" and share > 0:
        number, row = splits.first_row(codes, known=True)
        raise ValueError(
            f"question='new_groups', but split {number} trains on rows of the group of {name!r} "
            f"that its test row {row} is of. Give cv a splitter that keeps groups whole, such as "
            "GroupKFold, or ask for question='known_groups'."
        )
    if question == "known_groups" and share < 1:
        number, row = splits.first_row(codes, known=False)
        raise ValueError(
            f"question='known_groups', but test row {row} of split {number} is of a group of "
            f"{name!r} without training rows{' of positive weight' * (splits.counts is not None)}. "
            "Give cv a splitter that leaves rows of each group, such as StratifiedKFold on the "
            "labels of the groups, or ask for question='new_groups'."
        )


def question_of(splits: Splits, groups: Groups) -> str | None:
    """Return the question that all test rows of some splits ask; None where there are no groups.

    Raises
    ------
    ValueError
        If some rows are of known groups and others of new ones, or there is no saying which
        groups are left out.
    """
    shares = {name: splits.share_known(codes) for name, codes in groups.factors.items()}
    if groups.codes is None and all(share == 1.0 for share in shares.values()):
        return "known_groups" if shares else None
    share = splits.share_known(groups.required())
    if 0.0 < share < 1.0:
        raise ValueError(
            f"cv predicts rows of known groups of {groups.name!r} ({share:.0%}) and of new ones "
            f"({1 - share:.0%}), which have intervals of different widths. Give a splitter that "
            "keeps groups whole, such as GroupKFold, or a number of folds."
        )
    return "known_groups" if share else "new_groups"


def in_words(splits: Splits, groups: Groups) -> str:
    """Return which question the splits ask of each grouping factor, and of the groups left out."""
    return in_words_of({name: splits.share_known(own) for name, own in groups.all_of_them.items()})


def in_words_of(shares: Mapping[str, float]) -> str:
    """Return the question by the share of predicted rows whose level of each factor is known."""
    if not shares:
        return "new rows; the model has no groups"
    return "; ".join(_asked(name, share) for name, share in shares.items())


def _asked(name: str, share: float) -> str:
    if share == 0:
        return f"new groups of {name!r}"
    if share == 1:
        return f"new rows of known groups of {name!r}"
    return f"new rows of known groups of {name!r} ({share:.0%}) and new groups ({1 - share:.0%})"
