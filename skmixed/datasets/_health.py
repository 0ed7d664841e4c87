"""Data sets of animals and patients: proportions, classes and counts."""

from typing import Any

from skmixed.datasets._catalog import load, loader


@loader
def load_cbpp(*, return_X_y: bool = False, as_frame: bool = True) -> Any:
    """Load cases of a contagious disease in herds of cattle (15 herds).

    How many animals of a herd fell ill in each of four periods: proportions, with a
    number of trials for each.

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
        ``data`` of shape (56, 4), labels as strings (dtype object without
        frames); ``target`` of shape (56,), new cases; ``frame`` with both, or
        None; ``feature_names``, ``target_name``, ``DESCR`` and ``filename``.

    See Also
    --------
    load_toenail : Two classes, over time.

    References
    ----------
    .. [1] Lesnoff, M., Laval, G., Bonnet, P., Abdicho, S., Workalemahu, A.,
       Kifle, D., Peyraud, A., Lancelot, R. and Thiaucourt, F. (2004)
       Within-herd spread of contagious bovine pleuropneumonia in Ethiopian
       highlands. Preventive Veterinary Medicine 64, 27-40.

    Examples
    --------
    >>> from skmixed.datasets import load_cbpp
    >>> load_cbpp().frame.head(3)
      herd  incidence  size period  healthy
    0    1        2.0  14.0      1     12.0
    1    1        3.0  12.0      2      9.0
    2    1        4.0   9.0      3      5.0
    """
    return load("cbpp", return_X_y, as_frame)


@loader
def load_toenail(*, return_X_y: bool = False, as_frame: bool = True) -> Any:
    """Load infections of toenails under two treatments (294 patients).

    Whether a patient's nail was moderately or severely loose, at up to seven visits:
    two classes. Patients differ so much that the probability for a new patient is far
    from that for a patient of effect 0.

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
        ``data`` of shape (1908, 3), labels as strings (dtype object without
        frames); ``target`` of shape (1908,), 0 or 1; ``frame`` with both, or
        None; ``feature_names``, ``target_name``, ``DESCR`` and ``filename``.

    See Also
    --------
    load_cbpp : Proportions.

    References
    ----------
    .. [1] De Backer, M., De Vroey, C., Lesaffre, E., Scheys, I. and De Keyser, P.
       (1998) Twelve weeks of continuous oral therapy for toenail onychomycosis
       caused by dermatophytes: a double-blind comparative trial of terbinafine
       250 mg/day versus itraconazole 200 mg/day. Journal of the American Academy
       of Dermatology 38, S57-S63.

    Examples
    --------
    >>> from skmixed.datasets import load_toenail
    >>> load_toenail().frame.head(3)
      patient  treated  visit  severe
    0       1      1.0    1.0     1.0
    1       1      1.0    2.0     1.0
    2       1      1.0    3.0     1.0
    """
    return load("toenail", return_X_y, as_frame)


@loader
def load_grouseticks(*, return_X_y: bool = False, as_frame: bool = True) -> Any:
    """Load numbers of ticks on chicks of red grouse (403 chicks).

    Counts with three nested grouping factors: chicks in broods at locations. The
    effect of each chick models counts that vary more than Poisson's.

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
        ``data`` of shape (403, 6), labels as strings (dtype object without
        frames); ``target`` of shape (403,), ticks; ``frame`` with both, or
        None; ``feature_names``, ``target_name``, ``DESCR`` and ``filename``.

    See Also
    --------
    load_pastes : Nested factors of a normal response.

    References
    ----------
    .. [1] Elston, D. A., Moss, R., Boulinier, T., Arrowsmith, C. and Lambin, X.
       (2001) Analysis of aggregation, a worked example: numbers of ticks on red
       grouse chicks. Parasitology 122, 563-569.

    Examples
    --------
    >>> from skmixed.datasets import load_grouseticks
    >>> load_grouseticks().frame.head(3).round(4)
      INDEX  TICKS BROOD  HEIGHT YEAR LOCATION  cHEIGHT
    0     1    0.0   501   465.0   95       32   0.0276
    1     2    0.0   501   465.0   95       32   0.0276
    2     3    0.0   502   472.0   95       36   0.0976
    """
    return load("grouseticks", return_X_y, as_frame)
