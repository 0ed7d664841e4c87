"""Data sets from factories and laboratories."""

from typing import Any

from skmixed.datasets._catalog import load, loader


@loader
def load_dyestuff(*, return_X_y: bool = False, as_frame: bool = True) -> Any:
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

    See Also
    --------
    load_dyestuff2 : The same layout, without variation between batches.
    load_rail : Another balanced one-way layout, with much of it.

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
    return load("dyestuff", return_X_y, as_frame)


@loader
def load_dyestuff2(*, return_X_y: bool = False, as_frame: bool = True) -> Any:
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

    See Also
    --------
    load_dyestuff : The same layout, with variation between batches.
    skmixed.exceptions.SingularFitWarning : What a fit to these says.

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
    return load("dyestuff2", return_X_y, as_frame)


@loader
def load_penicillin(*, return_X_y: bool = False, as_frame: bool = True) -> Any:
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

    See Also
    --------
    load_pastes : Two nested factors.
    load_machines : One factor whose effects differ between machines.

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
    return load("penicillin", return_X_y, as_frame)


@loader
def load_pastes(*, return_X_y: bool = False, as_frame: bool = True) -> Any:
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

    See Also
    --------
    load_penicillin : Two crossed factors.

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
    return load("pastes", return_X_y, as_frame)


@loader
def load_machines(*, return_X_y: bool = False, as_frame: bool = True) -> Any:
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

    See Also
    --------
    load_cake : Split plots, with an interaction of fixed effects.

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
    return load("machines", return_X_y, as_frame)


@loader
def load_rail(*, return_X_y: bool = False, as_frame: bool = True) -> Any:
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

    See Also
    --------
    load_dyestuff : Another balanced one-way layout.

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
    return load("rail", return_X_y, as_frame)
