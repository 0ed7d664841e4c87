"""The classical data sets, read from the CSV files in the package."""

import textwrap
from dataclasses import dataclass
from importlib import resources
from typing import Any, TypeAlias

import pandas as pd
from sklearn.utils import Bunch

Loaded: TypeAlias = Bunch | tuple[Any, Any]

_DAVIES = (
    "Davies, O. L. and Goldsmith, P. L. (eds) (1972) Statistical Methods in Research and "
    "Production, 4th ed., Oliver and Boyd"
)
_PINHEIRO_BATES = (
    "Pinheiro, J. C. and Bates, D. M. (2000) Mixed-Effects Models in S and S-PLUS, Springer"
)
_PUBLISHED = (
    "These are published numbers (facts). They are distributed with the R package {package}, "
    "which is under the GPL; only the numbers are reproduced here, no code or documentation text."
)
_SIMULATED = "Simulated for this package; there is no restriction on its use."


@dataclass(frozen=True)
class _Column:
    meaning: str
    unit: str | None = None  # None: a factor, whose labels are strings even where they are digits


@dataclass(frozen=True)
class _DataSet:
    title: str
    target: str
    columns: dict[str, _Column]
    source: str
    model: str
    license_note: str

    def describe(self, frame: pd.DataFrame) -> str:
        """Return the text of DESCR: rows, columns, source, model and license."""
        columns = [
            _wrap(f"- {name}: {column.meaning} ({_kind(column, frame[name])})")
            for name, column in self.columns.items()
        ]
        return "\n".join(
            [
                self.title,
                "=" * len(self.title),
                "",
                f"Rows: {len(frame)}",
                f"Target: {self.target}",
                "Columns:",
                *columns,
                "",
                _wrap(f"Source: {self.source}"),
                _wrap(f"Classical model: {self.model}"),
                _wrap(f"License: {self.license_note}"),
            ]
        )


def _wrap(text: str) -> str:
    return textwrap.fill(text, 75, subsequent_indent="  ", break_on_hyphens=False)


def _kind(column: _Column, values: "pd.Series[Any]") -> str:
    if column.unit is None:
        return f"string, {values.nunique()} levels"
    return f"number, {column.unit}"


def load_sleepstudy(*, return_X_y: bool = False, as_frame: bool = True) -> Loaded:
    """Load reaction times under sleep deprivation (18 subjects).

    Mean reaction times of 18 subjects on ten days; the classical model has an
    intercept and a slope over the days for each subject.

    Parameters
    ----------
    return_X_y : bool, default=False
        Return ``(data, target)`` instead of a Bunch.
    as_frame : bool, default=True
        Return a DataFrame and a Series; False returns arrays. The default is
        not scikit-learn's False, because grouping columns go by their names.

    Returns
    -------
    Bunch, or tuple of (data, target)
        ``data`` of shape (180, 2), labels as strings (dtype object without
        frames); ``target`` of shape (180,), in milliseconds; ``frame`` with
        both, or None; ``feature_names``, ``target_name``, ``DESCR`` and
        ``filename``.

    References
    ----------
    .. [1] Belenky, G., Wesensten, N. J., Thorne, D. R., Thomas, M. L., Sing,
       H. C., Redmond, D. P., Russo, M. B. and Balkin, T. J. (2003) Patterns of
       performance degradation and restoration during sleep restriction and
       subsequent recovery: a sleep dose-response study. Journal of Sleep
       Research 12, 1-12.

    Examples
    --------
    >>> from skmixed.datasets import load_sleepstudy
    >>> X, y = load_sleepstudy(return_X_y=True)
    >>> X.join(y).head(3)
       Days Subject  Reaction
    0   0.0     308  249.5600
    1   1.0     308  258.7047
    2   2.0     308  250.8006
    """
    return _load("sleepstudy", return_X_y, as_frame)


def load_dyestuff(*, return_X_y: bool = False, as_frame: bool = True) -> Loaded:
    """Load yields of dyestuff from six batches.

    Five preparations from each of six batches of an intermediate product: the
    balanced one-way layout.

    Parameters
    ----------
    return_X_y : bool, default=False
        Return ``(data, target)`` instead of a Bunch.
    as_frame : bool, default=True
        Return a DataFrame and a Series; False returns arrays. The default is
        not scikit-learn's False, because grouping columns go by their names.

    Returns
    -------
    Bunch, or tuple of (data, target)
        ``data`` of shape (30, 1), labels as strings (dtype object without
        frames); ``target`` of shape (30,), in grams of standard color;
        ``frame`` with both, or None; ``feature_names``, ``target_name``,
        ``DESCR`` and ``filename``.

    References
    ----------
    .. [1] Davies, O. L. and Goldsmith, P. L. (eds) (1972) Statistical Methods
       in Research and Production, 4th ed., Oliver and Boyd, section 6.4.

    Examples
    --------
    >>> from skmixed.datasets import load_dyestuff
    >>> dyestuff = load_dyestuff()
    >>> dyestuff.frame.groupby("Batch")["Yield"].mean()
    Batch
    A    1505.0
    B    1528.0
    C    1564.0
    D    1498.0
    E    1600.0
    F    1470.0
    Name: Yield, dtype: float64
    """
    return _load("dyestuff", return_X_y, as_frame)


def load_dyestuff2(*, return_X_y: bool = False, as_frame: bool = True) -> Loaded:
    """Load constructed yields without variation between batches.

    Made so that the means of the batches differ less than chance alone would
    let them: the estimated variance between batches is 0.

    Parameters
    ----------
    return_X_y : bool, default=False
        Return ``(data, target)`` instead of a Bunch.
    as_frame : bool, default=True
        Return a DataFrame and a Series; False returns arrays. The default is
        not scikit-learn's False, because grouping columns go by their names.

    Returns
    -------
    Bunch, or tuple of (data, target)
        ``data`` of shape (30, 1), labels as strings (dtype object without
        frames); ``target`` of shape (30,), without a unit; ``frame`` with
        both, or None; ``feature_names``, ``target_name``, ``DESCR`` and
        ``filename``.

    References
    ----------
    .. [1] Box, G. E. P. and Tiao, G. C. (1973) Bayesian Inference in
       Statistical Analysis, Addison-Wesley, section 5.1.2.

    Examples
    --------
    >>> from skmixed.datasets import load_dyestuff2
    >>> X, y = load_dyestuff2(return_X_y=True)
    >>> y.groupby(X["Batch"]).mean()
    Batch
    A    6.2268
    B    4.6560
    C    7.5212
    D    5.6848
    E    6.0796
    F    3.8252
    Name: Yield, dtype: float64
    """
    return _load("dyestuff2", return_X_y, as_frame)


def load_penicillin(*, return_X_y: bool = False, as_frame: bool = True) -> Loaded:
    """Load zones of inhibition of penicillin (two crossed factors).

    Each of six samples is tested on each of 24 assay plates: two crossed
    factors.

    Parameters
    ----------
    return_X_y : bool, default=False
        Return ``(data, target)`` instead of a Bunch.
    as_frame : bool, default=True
        Return a DataFrame and a Series; False returns arrays. The default is
        not scikit-learn's False, because grouping columns go by their names.

    Returns
    -------
    Bunch, or tuple of (data, target)
        ``data`` of shape (144, 2), labels as strings (dtype object without
        frames); ``target`` of shape (144,), in millimeters; ``frame`` with
        both, or None; ``feature_names``, ``target_name``, ``DESCR`` and
        ``filename``.

    References
    ----------
    .. [1] Davies, O. L. and Goldsmith, P. L. (eds) (1972) Statistical Methods
       in Research and Production, 4th ed., Oliver and Boyd, section 6.6.

    Examples
    --------
    >>> from skmixed.datasets import load_penicillin
    >>> X, y = load_penicillin(return_X_y=True)
    >>> X.nunique()
    plate     24
    sample     6
    dtype: int64
    """
    return _load("penicillin", return_X_y, as_frame)


def load_pastes(*, return_X_y: bool = False, as_frame: bool = True) -> Loaded:
    """Load strengths of a chemical paste (casks within batches).

    Two tests of each of three casks from ten batches. The labels of ``cask``
    recur in every batch; those of ``sample`` name batch and cask.

    Parameters
    ----------
    return_X_y : bool, default=False
        Return ``(data, target)`` instead of a Bunch.
    as_frame : bool, default=True
        Return a DataFrame and a Series; False returns arrays. The default is
        not scikit-learn's False, because grouping columns go by their names.

    Returns
    -------
    Bunch, or tuple of (data, target)
        ``data`` of shape (60, 3), labels as strings (dtype object without
        frames); ``target`` of shape (60,), in a unit that the source does not
        state; ``frame`` with both, or None; ``feature_names``,
        ``target_name``, ``DESCR`` and ``filename``.

    References
    ----------
    .. [1] Davies, O. L. and Goldsmith, P. L. (eds) (1972) Statistical Methods
       in Research and Production, 4th ed., Oliver and Boyd, section 6.5.

    Examples
    --------
    >>> from skmixed.datasets import load_pastes
    >>> X, y = load_pastes(return_X_y=True)
    >>> X.nunique()
    batch     10
    cask       3
    sample    30
    dtype: int64
    """
    return _load("pastes", return_X_y, as_frame)


def load_orthodont(*, return_X_y: bool = False, as_frame: bool = True) -> Loaded:
    """Load growth curves of an orthodontic distance (27 children).

    A distance in the skulls of 16 boys and 11 girls at ages 8, 10, 12 and 14.

    Parameters
    ----------
    return_X_y : bool, default=False
        Return ``(data, target)`` instead of a Bunch.
    as_frame : bool, default=True
        Return a DataFrame and a Series; False returns arrays. The default is
        not scikit-learn's False, because grouping columns go by their names.

    Returns
    -------
    Bunch, or tuple of (data, target)
        ``data`` of shape (108, 3), labels as strings (dtype object without
        frames); ``target`` of shape (108,), in millimeters; ``frame`` with
        both, or None; ``feature_names``, ``target_name``, ``DESCR`` and
        ``filename``.

    References
    ----------
    .. [1] Potthoff, R. F. and Roy, S. N. (1964) A generalized multivariate
       analysis of variance model useful especially for growth curve problems.
       Biometrika 51, 313-326.
    .. [2] Pinheiro, J. C. and Bates, D. M. (2000) Mixed-Effects Models in S
       and S-PLUS, Springer, appendix A.17.

    Examples
    --------
    >>> from skmixed.datasets import load_orthodont
    >>> X, y = load_orthodont(return_X_y=True)
    >>> y.groupby([X["Sex"], X["age"]]).mean().unstack().round(1)
    age     8.0   10.0  12.0  14.0
    Sex
    Female  21.2  22.2  23.1  24.1
    Male    22.9  23.8  25.7  27.5
    """
    return _load("orthodont", return_X_y, as_frame)


def load_oats(*, return_X_y: bool = False, as_frame: bool = True) -> Loaded:
    """Load a split-plot experiment on oats and nitrogen.

    Six blocks of three plots, one for each variety; each plot has four
    subplots with different amounts of nitrogen.

    Parameters
    ----------
    return_X_y : bool, default=False
        Return ``(data, target)`` instead of a Bunch.
    as_frame : bool, default=True
        Return a DataFrame and a Series; False returns arrays. The default is
        not scikit-learn's False, because grouping columns go by their names.

    Returns
    -------
    Bunch, or tuple of (data, target)
        ``data`` of shape (72, 3), labels as strings (dtype object without
        frames); ``target`` of shape (72,), in bushels per acre; ``frame`` with
        both, or None; ``feature_names``, ``target_name``, ``DESCR`` and
        ``filename``.

    References
    ----------
    .. [1] Yates, F. (1935) Complex experiments. Supplement to the Journal of
       the Royal Statistical Society 2, 181-247.
    .. [2] Pinheiro, J. C. and Bates, D. M. (2000) Mixed-Effects Models in S
       and S-PLUS, Springer, appendix A.15.
    .. [3] Venables, W. N. and Ripley, B. D. (2002) Modern Applied Statistics
       with S, 4th ed., Springer.

    Examples
    --------
    >>> from skmixed.datasets import load_oats
    >>> X, y = load_oats(return_X_y=True)
    >>> y.groupby(X["nitro"]).mean().round(1)
    nitro
    0.0     79.4
    0.2     98.9
    0.4    114.2
    0.6    123.4
    Name: yield, dtype: float64
    """
    return _load("oats", return_X_y, as_frame)


def load_machines(*, return_X_y: bool = False, as_frame: bool = True) -> Loaded:
    """Load productivity scores of six workers on three machines.

    Each of six workers tries each of three brands of machines three times.

    Parameters
    ----------
    return_X_y : bool, default=False
        Return ``(data, target)`` instead of a Bunch.
    as_frame : bool, default=True
        Return a DataFrame and a Series; False returns arrays. The default is
        not scikit-learn's False, because grouping columns go by their names.

    Returns
    -------
    Bunch, or tuple of (data, target)
        ``data`` of shape (54, 2), labels as strings (dtype object without
        frames); ``target`` of shape (54,), without a unit; ``frame`` with
        both, or None; ``feature_names``, ``target_name``, ``DESCR`` and
        ``filename``.

    References
    ----------
    .. [1] Milliken, G. A. and Johnson, D. E. (1992) Analysis of Messy Data,
       Volume I: Designed Experiments, Chapman and Hall, p. 285.
    .. [2] Pinheiro, J. C. and Bates, D. M. (2000) Mixed-Effects Models in S
       and S-PLUS, Springer, appendix A.14.

    Examples
    --------
    >>> from skmixed.datasets import load_machines
    >>> X, y = load_machines(return_X_y=True)
    >>> y.groupby([X["Worker"], X["Machine"]]).mean().unstack().round(1)
    Machine     A     B     C
    Worker
    1        52.6  62.9  67.2
    2        52.6  59.6  61.8
    3        59.5  68.0  70.8
    4        51.2  62.7  64.8
    5        51.4  65.1  71.7
    6        46.8  43.6  61.3
    """
    return _load("machines", return_X_y, as_frame)


def load_rail(*, return_X_y: bool = False, as_frame: bool = True) -> Loaded:
    """Load travel times of ultrasonic waves in six rails.

    Three measurements on each of six rails: a balanced one-way layout in which
    rails differ far more than measurements of one rail.

    Parameters
    ----------
    return_X_y : bool, default=False
        Return ``(data, target)`` instead of a Bunch.
    as_frame : bool, default=True
        Return a DataFrame and a Series; False returns arrays. The default is
        not scikit-learn's False, because grouping columns go by their names.

    Returns
    -------
    Bunch, or tuple of (data, target)
        ``data`` of shape (18, 1), labels as strings (dtype object without
        frames); ``target`` of shape (18,), in nanoseconds less 36,100;
        ``frame`` with both, or None; ``feature_names``, ``target_name``,
        ``DESCR`` and ``filename``.

    References
    ----------
    .. [1] Devore, J. L. (2000) Probability and Statistics for Engineering and
       the Sciences, 5th ed., Duxbury, example 10.10.
    .. [2] Pinheiro, J. C. and Bates, D. M. (2000) Mixed-Effects Models in S
       and S-PLUS, Springer, appendix A.26.

    Examples
    --------
    >>> from skmixed.datasets import load_rail
    >>> X, y = load_rail(return_X_y=True)
    >>> y.groupby(X["Rail"]).mean()
    Rail
    1    54.000000
    2    31.666667
    3    84.666667
    4    96.000000
    5    50.000000
    6    82.666667
    Name: travel, dtype: float64
    """
    return _load("rail", return_X_y, as_frame)


def load_cake(*, return_X_y: bool = False, as_frame: bool = True) -> Loaded:
    """Load breaking angles of chocolate cakes (a split plot).

    For each of three recipes 15 batches of batter, each baked at six
    temperatures. The labels of ``replicate`` recur in every recipe: a batch is
    recipe and replicate together. ``temperature`` has the labels, ``temp`` the
    numbers.

    Parameters
    ----------
    return_X_y : bool, default=False
        Return ``(data, target)`` instead of a Bunch.
    as_frame : bool, default=True
        Return a DataFrame and a Series; False returns arrays. The default is
        not scikit-learn's False, because grouping columns go by their names.

    Returns
    -------
    Bunch, or tuple of (data, target)
        ``data`` of shape (270, 4), labels as strings (dtype object without
        frames); ``target`` of shape (270,), in degrees; ``frame`` with both,
        or None; ``feature_names``, ``target_name``, ``DESCR`` and
        ``filename``.

    References
    ----------
    .. [1] Cook, F. E. (1938) Chocolate cake, I. Optimum baking temperature.
       Master's thesis, Iowa State College.
    .. [2] Cochran, W. G. and Cox, G. M. (1957) Experimental Designs, 2nd ed.,
       Wiley, p. 300.

    Examples
    --------
    >>> from skmixed.datasets import load_cake
    >>> X, y = load_cake(return_X_y=True)
    >>> X.head(3)
      replicate recipe temperature   temp
    0         1      A         175  175.0
    1         1      A         185  185.0
    2         1      A         195  195.0
    >>> (X["recipe"] + X["replicate"]).nunique()
    45
    """
    return _load("cake", return_X_y, as_frame)


def load_schools(*, return_X_y: bool = False, as_frame: bool = True) -> Loaded:
    """Load simulated scores of twelve students in three schools.

    Four students in each of three schools: an example small enough to follow
    by hand.

    Parameters
    ----------
    return_X_y : bool, default=False
        Return ``(data, target)`` instead of a Bunch.
    as_frame : bool, default=True
        Return a DataFrame and a Series; False returns arrays. The default is
        not scikit-learn's False, because grouping columns go by their names.

    Returns
    -------
    Bunch, or tuple of (data, target)
        ``data`` of shape (12, 1), labels as strings (dtype object without
        frames); ``target`` of shape (12,), without a unit; ``frame`` with
        both, or None; ``feature_names``, ``target_name``, ``DESCR`` and
        ``filename``.

    Notes
    -----
    Simulated in R by ``set.seed(123); school_effects <- rnorm(3, 0, 10);
    school_id <- rep(1:3, each = 4);
    scores <- 50 + school_effects[school_id] + rnorm(12, 0, 15)``.

    Examples
    --------
    >>> from skmixed.datasets import load_schools
    >>> schools = load_schools()
    >>> print(schools.DESCR)
    Simulated scores of four students in each of three schools
    ==========================================================
    <BLANKLINE>
    Rows: 12
    Target: score
    Columns:
    - school: school (string, 3 levels)
    - score: score of a student (number, no unit)
    <BLANKLINE>
    Source: Simulated in R: set.seed(123); school_effects <- rnorm(3, 0, 10);
      school_id <- rep(1:3, each = 4); scores <- 50 + school_effects[school_id]
      + rnorm(12, 0, 15).
    Classical model: score ~ 1 + (1 | school), one-way random effects,
      balanced.
    License: Simulated for this package; there is no restriction on its use.
    """
    return _load("schools", return_X_y, as_frame)


_DATA_SETS = {
    "sleepstudy": _DataSet(
        title="Reaction times under sleep deprivation",
        target="Reaction",
        columns={
            "Reaction": _Column("mean reaction time of the subject on that day", "ms"),
            "Days": _Column("time since the start of sleep deprivation", "days"),
            "Subject": _Column("subject"),
        },
        source="Belenky, G., Wesensten, N. J., Thorne, D. R., Thomas, M. L., Sing, H. C., "
        "Redmond, D. P., Russo, M. B. and Balkin, T. J. (2003) Patterns of performance degradation "
        "and restoration during sleep restriction and subsequent recovery: a sleep dose-response "
        "study. Journal of Sleep Research 12, 1-12.",
        model="Reaction ~ Days + (Days | Subject), intercept and slope by subject.",
        license_note=_PUBLISHED.format(package="lme4"),
    ),
    "dyestuff": _DataSet(
        title="Yield of dyestuff from six batches of an intermediate",
        target="Yield",
        columns={
            "Batch": _Column("batch of the intermediate product"),
            "Yield": _Column("yield of dyestuff", "grams of standard color"),
        },
        source=f"{_DAVIES}, section 6.4.",
        model="Yield ~ 1 + (1 | Batch), one-way random effects, balanced.",
        license_note=_PUBLISHED.format(package="lme4"),
    ),
    "dyestuff2": _DataSet(
        title="Constructed yields without variation between batches",
        target="Yield",
        columns={
            "Batch": _Column("batch"),
            "Yield": _Column("constructed response", "no unit"),
        },
        source="Box, G. E. P. and Tiao, G. C. (1973) Bayesian Inference in Statistical Analysis, "
        "Addison-Wesley, section 5.1.2.",
        model="Yield ~ 1 + (1 | Batch); the estimated variance of Batch is 0.",
        license_note=_PUBLISHED.format(package="lme4"),
    ),
    "penicillin": _DataSet(
        title="Zones of inhibition of penicillin samples on assay plates",
        target="diameter",
        columns={
            "diameter": _Column("diameter of the zone of inhibition", "mm"),
            "plate": _Column("assay plate"),
            "sample": _Column("penicillin sample; every sample is on every plate"),
        },
        source=f"{_DAVIES}, section 6.6.",
        model="diameter ~ 1 + (1 | plate) + (1 | sample), two crossed factors.",
        license_note=_PUBLISHED.format(package="lme4"),
    ),
    "pastes": _DataSet(
        title="Strength of a chemical paste by delivery batch and cask",
        target="strength",
        columns={
            "strength": _Column("paste strength", "unit not stated in the source"),
            "batch": _Column("delivery batch"),
            "cask": _Column("cask within the batch; labels a to c recur in every batch"),
            "sample": _Column("batch and cask in one label"),
        },
        source=f"{_DAVIES}, section 6.5.",
        model="strength ~ 1 + (1 | batch/cask), casks nested in batches; the same as "
        "strength ~ 1 + (1 | batch) + (1 | sample).",
        license_note=_PUBLISHED.format(package="lme4"),
    ),
    "orthodont": _DataSet(
        title="Growth of an orthodontic distance in children",
        target="distance",
        columns={
            "distance": _Column("from the pituitary to the pterygomaxillary fissure", "mm"),
            "age": _Column("age of the child", "years"),
            "Subject": _Column("child"),
            "Sex": _Column("sex of the child"),
        },
        source="Potthoff, R. F. and Roy, S. N. (1964) A generalized multivariate analysis of "
        "variance model useful especially for growth curve problems. Biometrika 51, 313-326; "
        f"{_PINHEIRO_BATES}, appendix A.17.",
        model="distance ~ age * Sex + (age | Subject), growth curves by child.",
        license_note=_PUBLISHED.format(package="nlme"),
    ),
    "oats": _DataSet(
        title="Split-plot experiment on varieties of oats and nitrogen",
        target="yield",
        columns={
            "Block": _Column("block of the field"),
            "Variety": _Column("variety of oats, one per plot of a block"),
            "nitro": _Column("nitrogen applied to the subplot", "cwt per acre"),
            "yield": _Column("yield of the subplot", "bushels per acre"),
        },
        source="Yates, F. (1935) Complex experiments. Supplement to the Journal of the Royal "
        f"Statistical Society 2, 181-247; {_PINHEIRO_BATES}, appendix A.15; Venables, W. N. and "
        "Ripley, B. D. (2002) Modern Applied Statistics with S, 4th ed., Springer.",
        model="yield ~ nitro + (1 | Block/Variety), plots nested in blocks.",
        license_note=_PUBLISHED.format(package="nlme"),
    ),
    "machines": _DataSet(
        title="Productivity of workers on three brands of machines",
        target="score",
        columns={
            "Worker": _Column("worker"),
            "Machine": _Column("brand of the machine"),
            "score": _Column("productivity score", "no unit"),
        },
        source="Milliken, G. A. and Johnson, D. E. (1992) Analysis of Messy Data, Volume I: "
        f"Designed Experiments, Chapman and Hall, p. 285; {_PINHEIRO_BATES}, appendix A.14.",
        model="score ~ Machine + (1 | Worker) + (1 | Worker:Machine), an interaction of a fixed "
        "and a random factor.",
        license_note=_PUBLISHED.format(package="nlme"),
    ),
    "rail": _DataSet(
        title="Travel times of ultrasonic waves in rails",
        target="travel",
        columns={
            "Rail": _Column("rail"),
            "travel": _Column("travel time, less 36,100 ns", "ns"),
        },
        source="Devore, J. L. (2000) Probability and Statistics for Engineering and the Sciences, "
        f"5th ed., Duxbury, example 10.10; {_PINHEIRO_BATES}, appendix A.26.",
        model="travel ~ 1 + (1 | Rail), one-way random effects, balanced.",
        license_note=_PUBLISHED.format(package="nlme"),
    ),
    "cake": _DataSet(
        title="Breaking angle of chocolate cakes by recipe and temperature",
        target="angle",
        columns={
            "replicate": _Column("batch of batter; labels 1 to 15 recur in every recipe"),
            "recipe": _Column("recipe"),
            "temperature": _Column("baking temperature in degrees Fahrenheit, as a label"),
            "angle": _Column("angle at which the cake broke", "degrees"),
            "temp": _Column("baking temperature", "degrees Fahrenheit"),
        },
        source="Cook, F. E. (1938) Chocolate cake, I. Optimum baking temperature. Master's thesis, "
        "Iowa State College; Cochran, W. G. and Cox, G. M. (1957) Experimental Designs, 2nd ed., "
        "Wiley, p. 300.",
        model="angle ~ recipe * temperature + (1 | recipe:replicate), a split plot.",
        license_note=_PUBLISHED.format(package="lme4"),
    ),
    "schools": _DataSet(
        title="Simulated scores of four students in each of three schools",
        target="score",
        columns={
            "school": _Column("school"),
            "score": _Column("score of a student", "no unit"),
        },
        source="Simulated in R: set.seed(123); school_effects <- rnorm(3, 0, 10); "
        "school_id <- rep(1:3, each = 4); "
        "scores <- 50 + school_effects[school_id] + rnorm(12, 0, 15).",
        model="score ~ 1 + (1 | school), one-way random effects, balanced.",
        license_note=_SIMULATED,
    ),
}


def _load(name: str, return_X_y: bool, as_frame: bool) -> Loaded:
    data_set, filename = _DATA_SETS[name], f"{name}.csv"
    frame = _read(filename, data_set)
    features = [column for column in frame.columns if column != data_set.target]
    data: Any = frame[features].copy()
    target: Any = frame[data_set.target].copy()
    if not as_frame:
        # Labels and numbers in one array: only dtype object holds both. The
        # copy is writable, which a view of a Series is not.
        data, target = data.to_numpy(dtype=object), target.to_numpy(copy=True)
    if return_X_y:
        return data, target
    return Bunch(
        data=data,
        target=target,
        frame=frame if as_frame else None,
        feature_names=features,
        target_name=data_set.target,
        DESCR=data_set.describe(frame),
        filename=filename,
    )


def _read(filename: str, data_set: _DataSet) -> pd.DataFrame:
    columns = data_set.columns.items()
    path = resources.files("skmixed.datasets").joinpath("data", filename)
    with path.open(encoding="utf-8") as lines:
        return pd.read_csv(
            lines,
            dtype={name: str for name, column in columns if column.unit is None},
            # Python's float rounds correctly; pandas' parser may be off in the last place.
            converters={name: float for name, column in columns if column.unit is not None},
            na_filter=False,
        )
