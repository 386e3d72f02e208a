"""Loaders of the bundled data sets."""

from __future__ import annotations

import gzip
from importlib.resources import files

import numpy as np
from sklearn.utils import Bunch

__all__ = ["load_cbpp", "load_contraception", "load_toenail", "load_verbagg"]

_YES_NO = ["N", "Y"]

_CONTRACEPTION = """Contraceptive use in Bangladesh

1,934 women in 60 districts, of the 1988 Bangladesh Fertility Survey.

woman     number of the woman
district  district, 1 to 61 (no 54)
use       whether she uses contraception: N, Y
livch     living children: 0, 1, 2, 3+
age       age in years, centred
urban     whether she lives in a town: N, Y
ch        whether she has a living child (livch is not 0): N, Y

Source: Huq, N. M. and Cleland, J. (1990), Bangladesh Fertility Survey 1989, NIPORT, Dhaka; as in
the R package mlmRev.
"""

_CBPP = """Contagious bovine pleuropneumonia

56 counts of new serological cases in 15 herds over four periods.

herd       herd, 1 to 15
incidence  new cases
size       animals at the start of the period
failures   size - incidence
period     1 to 4
obs        number of the row

The response is a count, not a label: a row stands for `incidence` successes and `failures`
failures. Name both on the left of a formula, cbind(incidence, failures) ~ period + (1 | herd), and
fit on the whole frame, which holds both columns.

Source: Lesnoff, M., Laval, G., Bonnet, P., Abdicho, S., Workalemahu, A., Kifle, D., Peyraud, A.,
Lancelot, R. and Thiaucourt, F. (2004), Within-herd spread of contagious bovine pleuropneumonia in
Ethiopian highlands, Preventive Veterinary Medicine 64, 27-40; as in the R package lme4.
"""

_TOENAIL = """Toenail infection

1,908 visits of 294 patients in a trial of two oral treatments.

patientID  patient
outcome    degree of separation of the nail: mild, severe
treatment  itraconazole, terbinafine
time       months since randomisation
visit      number of the visit

Source: De Backer, M. et al. (1998), Journal of the American Academy of Dermatology 38; as in the
R package HSAUR3.
"""

_VERBAGG = """Verbal aggression

316 persons answered 24 items on verbal aggression: 7,584 rows.

id      person
item    item
Anger   the person's trait anger
Gender  F, M
btype   behaviour of the item: curse, scold, shout
situ    situation: other, self to blame
r2      answer in two categories: N, Y (perhaps or yes)

Source: Vansteelandt, K. (2000), in De Boeck & Wilson (2004), Explanatory Item Response Models,
Springer; as in the R package lme4.
"""


def _load(name: str, response: str, levels: dict, descr: str, as_frame: bool, return_X_y: bool):
    import pandas as pd

    with (files(__package__) / "data" / f"{name}.csv.gz").open("rb") as packed:
        with gzip.open(packed, "rt", encoding="utf-8") as text:
            dtype = dict.fromkeys(levels, str)
            frame = pd.read_csv(text, dtype=dtype, keep_default_na=False)
    for column, order in levels.items():
        frame[column] = pd.Categorical(frame[column], categories=order)
    data, target = frame.drop(columns=response), frame[response]
    names = np.array(levels[response]) if response in levels else None
    if not as_frame:
        columns = [data[c].cat.codes if c in levels else data[c] for c in data.columns]
        text = any(values.dtype.kind not in "iuf" for values in columns)
        data = np.column_stack([values.to_numpy(object if text else None) for values in columns])
        target = target.to_numpy()
        if response in levels:
            target = np.asarray(target, dtype=str)
    if return_X_y:
        return data, target
    return Bunch(
        data=data,
        target=target,
        frame=frame if as_frame else None,
        feature_names=[c for c in frame.columns if c != response],
        target_names=names,
        DESCR=descr,
    )


def load_contraception(*, return_X_y: bool = False, as_frame: bool = True):
    """Contraceptive use of 1,934 women in 60 districts of Bangladesh.

    Parameters
    ----------
    return_X_y : bool, default=False
        Return (data, target) alone.
    as_frame : bool, default=True
        Data frames with their factor levels, which formulas need; scikit-learn's own loaders have
        False here. False gives arrays, with factors as the numbers of their levels from 0 (text
        columns stay text, in an array of objects), and no `frame`.

    Returns
    -------
    Bunch
        data (without the response), target (`use`), frame (all columns), feature_names,
        target_names (labels in the order of their levels), DESCR.

    References
    ----------
    Huq & Cleland (1990), Bangladesh Fertility Survey 1989, NIPORT, Dhaka; as in the R package
    mlmRev.

    Examples
    --------
    >>> from sklearn_mllm.datasets import load_contraception
    >>> load_contraception().frame.shape
    (1934, 7)
    """
    levels = {"use": _YES_NO, "livch": ["0", "1", "2", "3+"], "urban": _YES_NO, "ch": _YES_NO}
    return _load("contraception", "use", levels, _CONTRACEPTION, as_frame, return_X_y)


def load_cbpp(*, return_X_y: bool = False, as_frame: bool = True):
    """Counts of pleuropneumonia in 15 herds: `cbind(incidence, failures) ~ period + (1 | herd)`.

    The target is the count `incidence` of `size` animals, and has no labels: fit on `frame`, with a
    formula that names both counts on its left.

    Parameters
    ----------
    return_X_y : bool, default=False
        Return (data, target) alone.
    as_frame : bool, default=True
        As in `load_contraception`.

    Returns
    -------
    Bunch
        data, target, frame, feature_names, target_names, DESCR, as in `load_contraception`; target_names is
        None.

    References
    ----------
    Lesnoff et al. (2004), Preventive Veterinary Medicine 64, 27-40; as in the R package lme4.

    Examples
    --------
    >>> from sklearn_mllm.datasets import load_cbpp
    >>> load_cbpp().frame.shape
    (56, 6)
    """
    levels = {"period": ["1", "2", "3", "4"]}
    return _load("cbpp", "incidence", levels, _CBPP, as_frame, return_X_y)


def load_toenail(*, return_X_y: bool = False, as_frame: bool = True):
    """Toenail infection: 1,908 visits of 294 patients.

    Parameters
    ----------
    return_X_y : bool, default=False
        Return (data, target) alone.
    as_frame : bool, default=True
        As in `load_contraception`.

    Returns
    -------
    Bunch
        data, target, frame, feature_names, target_names, DESCR, as in `load_contraception`; the
        target is `outcome`.

    References
    ----------
    De Backer et al. (1998), Journal of the American Academy of Dermatology 38; as in the R
    package HSAUR3.

    Examples
    --------
    >>> from sklearn_mllm.datasets import load_toenail
    >>> load_toenail().frame.shape
    (1908, 5)
    """
    levels = {"outcome": ["mild", "severe"], "treatment": ["itraconazole", "terbinafine"]}
    return _load("toenail", "outcome", levels, _TOENAIL, as_frame, return_X_y)


def load_verbagg(*, return_X_y: bool = False, as_frame: bool = True):
    """Verbal aggression: 316 persons by 24 items.

    Parameters
    ----------
    return_X_y : bool, default=False
        Return (data, target) alone.
    as_frame : bool, default=True
        As in `load_contraception`.

    Returns
    -------
    Bunch
        data, target, frame, feature_names, target_names, DESCR, as in `load_contraception`; the
        target is `r2`.

    References
    ----------
    Vansteelandt (2000), in De Boeck & Wilson (2004), Explanatory Item Response Models, Springer; as
    in the R package lme4.

    Examples
    --------
    >>> from sklearn_mllm.datasets import load_verbagg
    >>> load_verbagg().frame.shape
    (7584, 7)
    """
    levels = {
        "r2": _YES_NO,
        "Gender": ["F", "M"],
        "btype": ["curse", "scold", "shout"],
        "situ": ["other", "self"],
    }
    return _load("verbagg", "r2", levels, _VERBAGG, as_frame, return_X_y)
