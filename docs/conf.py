"""The site: `sphinx-build -W --keep-going docs docs/_build/html`."""

import sys
from pathlib import Path

import skmixed

sys.path.insert(0, str(Path(__file__).parent / "_site"))

project = "skmixed"
author = "the skmixed developers"
project_copyright = author
version = release = skmixed.__version__

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.mathjax",
    "sphinx.ext.viewcode",
    "numpydoc",
    "myst_parser",
    "sphinx_copybutton",
    "sphinx_design",
    "sphinx_gallery.gen_gallery",
    "sphinx-mathjax-offline",  # MathJax comes with the site
    "pictures",  # _site/pictures.py draws those of the guide
    "short_titles",
    "choices",  # the table of skmixed.typing
    "thumbnails",
    "offline",  # _site/offline.py: the build fails where a page needs the network
]
templates_path = ["_templates"]
exclude_patterns = ["_build", "_templates"]

# Markdown.
myst_enable_extensions = ["amsmath", "colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 3

# Docstrings. The members of a class are chosen in _templates/autosummary/class.rst.
autosummary_generate = True
autodoc_typehints = "none"
autodoc_member_order = "bysource"
numpydoc_show_class_members = False
numpydoc_class_members_toctree = False
add_module_names = False
toc_object_entries_show_parents = "hide"
default_role = "py:obj"
smartquotes = False
highlight_options = {"python": {"stripnl": True}}

# The gallery. That no example warns is a test's matter (tests/test_examples.py).
sphinx_gallery_conf = {
    "examples_dirs": "../examples",
    "gallery_dirs": "gallery",
    "filename_pattern": r"\.py$",
    "within_subsection_order": "example_order.key",
    "backreferences_dir": "gallery/backreferences",
    "doc_module": ("skmixed",),
    "reference_url": {"skmixed": None},
    "default_thumb_file": str(Path(__file__).parent / "_static" / "lines.png"),
    "image_scrapers": ("thumbnails.scraper",),
    "image_srcset": ["2x"],
    "reset_modules": ("matplotlib", "strict_examples.reset"),
    "reset_modules_order": "both",
    "download_all_examples": False,
    "remove_config_comments": True,
    "capture_repr": ("_repr_html_",),
    "show_signature": False,
    "write_computation_times": False,
    "parallel": 2,
}

# HTML.
html_theme = "pydata_sphinx_theme"
html_title = f"skmixed {version}"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_show_sourcelink = False
html_theme_options = {
    "logo": {"text": "skmixed"},
    "navbar_align": "left",
    "header_links_before_dropdown": 7,
    "show_toc_level": 2,
    "footer_start": ["copyright"],
    "footer_end": ["sphinx-version"],
    "pygments_light_style": "tango",
    "pygments_dark_style": "monokai",
}
html_sidebars = {"index": [], "mathematics": [], "quickstart": []}
# Prompts and outputs are left behind where an example is copied.
copybutton_prompt_text = r">>> |\.\.\. "
copybutton_prompt_is_regexp = True
