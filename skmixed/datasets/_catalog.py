"""What the data sets are, and how they are read from the CSV files in the package."""

import textwrap
from collections.abc import Callable
from dataclasses import dataclass
from importlib import resources
from typing import Any, Literal, Protocol, overload

import pandas as pd
from numpy.typing import NDArray
from sklearn.utils import Bunch


class FrameBunch(Bunch):
    """A data set in frames, with what is known of it."""

    data: pd.DataFrame
    target: "pd.Series[Any]"
    frame: pd.DataFrame
    feature_names: list[str]
    target_name: str
    DESCR: str
    filename: str


class ArrayBunch(Bunch):
    """A data set in arrays, with what is known of it."""

    data: NDArray[Any]
    target: NDArray[Any]
    frame: None
    feature_names: list[str]
    target_name: str
    DESCR: str
    filename: str


class Loader(Protocol):
    """A function that loads one data set: what it returns is as its arguments say."""

    @overload
    def __call__(
        self, *, return_X_y: Literal[False] = ..., as_frame: Literal[True] = ...
    ) -> FrameBunch: ...
    @overload
    def __call__(
        self, *, return_X_y: Literal[False] = ..., as_frame: Literal[False]
    ) -> ArrayBunch: ...
    @overload
    def __call__(
        self, *, return_X_y: Literal[True], as_frame: Literal[True] = ...
    ) -> tuple[pd.DataFrame, "pd.Series[Any]"]: ...
    @overload
    def __call__(
        self, *, return_X_y: Literal[True], as_frame: Literal[False]
    ) -> tuple[NDArray[Any], NDArray[Any]]: ...
    @overload
    def __call__(self, *, return_X_y: bool = ..., as_frame: bool = ...) -> Any: ...


def loader(function: Callable[..., Any]) -> Loader:
    """Declare what a function returns that loads one data set."""
    return function


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
    "cbpp": _DataSet(
        title="Contagious bovine pleuropneumonia in herds of zebu cattle",
        target="incidence",
        columns={
            "herd": _Column("herd"),
            "incidence": _Column("new cases of the herd in the period", "animals"),
            "size": _Column("animals of the herd at the start of the period", "animals"),
            "period": _Column("period of the trial"),
            "healthy": _Column("animals without the disease: size less incidence", "animals"),
        },
        source="Lesnoff, M., Laval, G., Bonnet, P., Abdicho, S., Workalemahu, A., Kifle, D., "
        "Peyraud, A., Lancelot, R. and Thiaucourt, F. (2004) Within-herd spread of contagious "
        "bovine pleuropneumonia in Ethiopian highlands. Preventive Veterinary Medicine 64, 27-40.",
        model="cbind(incidence, healthy) ~ period + (1 | herd), binomial.",
        license_note=_PUBLISHED.format(package="lme4"),
    ),
    "toenail": _DataSet(
        title="Toenail infection: two treatments over seven visits",
        target="severe",
        columns={
            "patient": _Column("patient"),
            "treated": _Column("1 for terbinafine, 0 for itraconazole", "no unit"),
            "visit": _Column("number of the visit, 1 to 7", "visits"),
            "severe": _Column("1 for moderate or severe separation of the nail, else 0", "no unit"),
        },
        source="De Backer, M., De Vroey, C., Lesaffre, E., Scheys, I. and De Keyser, P. (1998) "
        "Twelve weeks of continuous oral therapy for toenail onychomycosis caused by "
        "dermatophytes: a double-blind comparative trial of terbinafine 250 mg/day versus "
        "itraconazole 200 mg/day. Journal of the American Academy of Dermatology 38, S57-S63.",
        model="severe ~ treated + visit + (1 | patient), binary; patients differ so much that "
        "Laplace's approximation is 3 below the log-likelihood.",
        license_note=_PUBLISHED.format(package="HSAUR3"),
    ),
    "grouseticks": _DataSet(
        title="Ticks on the heads of red grouse chicks",
        target="TICKS",
        columns={
            "INDEX": _Column("chick"),
            "TICKS": _Column("number of ticks", "ticks"),
            "BROOD": _Column("brood"),
            "HEIGHT": _Column("height above the sea", "m"),
            "YEAR": _Column("year, less 1900"),
            "LOCATION": _Column("location of the brood"),
            "cHEIGHT": _Column("height less its mean", "100 m"),
        },
        source="Elston, D. A., Moss, R., Boulinier, T., Arrowsmith, C. and Lambin, X. (2001) "
        "Analysis of aggregation, a worked example: numbers of ticks on red grouse chicks. "
        "Parasitology 122, 563-569.",
        model="TICKS ~ YEAR + cHEIGHT + (1 | BROOD) + (1 | LOCATION) + (1 | INDEX), Poisson, "
        "with a chick's own effect for counts that vary more than Poisson's.",
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


def load(name: str, return_X_y: bool, as_frame: bool) -> FrameBunch | ArrayBunch | tuple[Any, Any]:
    """Return one data set in the form that the loaders promise."""
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
    return (FrameBunch if as_frame else ArrayBunch)(
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
