"""Sphinx configuration; build with `python -m sphinx -W --keep-going -b html docs docs/_build/html`."""

from __future__ import annotations

import os
from pathlib import Path

HERE = Path(__file__).resolve().parent
# figures that the examples save while the gallery runs stay out of the source tree
os.environ["EXAMPLE_FIGURES"] = str(HERE / "_build" / "figures")

import sklearn_mllm  # noqa: E402

project = "sklearn_mllm"
author = "The sklearn_mllm developers"
copyright = f"{author}, BSD-3-Clause"
version = release = sklearn_mllm.__version__

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.mathjax",
    "numpydoc",
    "myst_parser",
    "sphinx_gallery.gen_gallery",
]
source_suffix = {".rst": "restructuredtext", ".md": "markdown"}
exclude_patterns = ["_build", "**/README.rst"]
nitpicky = False
templates_path = ["_templates"]

# -- reference -----------------------------------------------------------------------------------
autosummary_generate = True
autodoc_typehints = "none"
default_role = "code"
toc_object_entries_show_parents = "hide"
numpydoc_show_class_members = False
numpydoc_xref_param_type = False
# the docstrings of the public names are checked at every build
numpydoc_validation_checks = {
    "GL02", "GL03", "GL05", "GL06", "GL07", "GL08", "GL10",
    "SS01", "SS02", "SS03", "SS04", "PR01", "PR02", "PR03", "PR04", "PR05", "PR06", "PR10", "RT01",
}  # fmt: skip
# results are frozen values: their attributes are documented, not parameters of a constructor
numpydoc_validation_exclude = {r"^(?!sklearn_mllm)", r"^sklearn_mllm\.result\."}

# -- gallery -------------------------------------------------------------------------------------
sphinx_gallery_conf = {
    "examples_dirs": "../examples",
    "gallery_dirs": "gallery",
    "filename_pattern": r"/0\d_",
    "ignore_pattern": r"(_figures|contraception)\.py$",
    "within_subsection_order": "FileNameSortKey",
    "download_all_examples": False,
    "remove_config_comments": True,
    "show_memory": False,
    "write_computation_times": False,
    "plot_gallery": "True",
    "abort_on_example_error": True,
}

# -- pages ---------------------------------------------------------------------------------------
html_theme = "pydata_sphinx_theme"
html_title = "sklearn_mllm"
html_static_path = ["_static"]
html_css_files = ["custom.css"]
html_theme_options = {
    "show_prev_next": False,
    "navbar_align": "left",
    "secondary_sidebar_items": ["page-toc"],
    "footer_start": ["copyright"],
    "footer_end": [],
}
html_show_sourcelink = False
