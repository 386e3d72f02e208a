"""Bundled data sets and a generator, after scikit-learn's conventions; nothing is downloaded."""

from ._loaders import load_cbpp, load_contraception, load_toenail, load_verbagg
from ._schools import make_schools

__all__ = ["load_cbpp", "load_contraception", "load_toenail", "load_verbagg", "make_schools"]
