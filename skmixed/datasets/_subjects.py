"""Data sets of people, plants and cakes."""

from typing import Any

from skmixed.datasets._catalog import load, loader


@loader
def load_sleepstudy(*, return_X_y: bool = False, as_frame: bool = True) -> Any:
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

    See Also
    --------
    load_orthodont : Growth curves, with few times and two kinds of children.

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
    return load("sleepstudy", return_X_y, as_frame)


@loader
def load_orthodont(*, return_X_y: bool = False, as_frame: bool = True) -> Any:
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

    See Also
    --------
    load_sleepstudy : A line of ten days for each subject.

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
    return load("orthodont", return_X_y, as_frame)


@loader
def load_schools(*, return_X_y: bool = False, as_frame: bool = True) -> Any:
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

    See Also
    --------
    make_mixed_regression : Simulated data of any size.

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
    return load("schools", return_X_y, as_frame)


@loader
def load_oats(*, return_X_y: bool = False, as_frame: bool = True) -> Any:
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

    See Also
    --------
    load_cake : Split plots with more replicates.

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
    return load("oats", return_X_y, as_frame)


@loader
def load_cake(*, return_X_y: bool = False, as_frame: bool = True) -> Any:
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

    See Also
    --------
    load_oats : Split plots in blocks.

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
    return load("cake", return_X_y, as_frame)
