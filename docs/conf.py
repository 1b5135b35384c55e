"""How the documentation is built; the folder `_ext` draws what is drawn from code."""

import sys
from pathlib import Path

DOCS = Path(__file__).resolve().parent
sys.path[:0] = [str(DOCS / '_ext'), str(DOCS.parent)]

from iceprod_tasks import __version__  # noqa: E402

project = 'iceprod_tasks'
author = 'the founders of iceprod_tasks'
project_copyright = author
version = release = __version__

extensions = ['myst_parser', 'permission_table', 'rest_reference', 'schema_fields', 'status_drawing']
exclude_patterns = ['_build']
# What docstrings quote is JSON and Python.
smartquotes = False
nitpicky = True
# Headings of three levels can be linked to, as `page.md#heading`.
myst_heading_anchors = 3
myst_enable_extensions = ['deflist']

html_theme = 'furo'
html_title = 'iceprod_tasks'
html_copy_source = False
html_show_sphinx = False
# Pages say the same wherever and whenever they are built.
html_last_updated_fmt = None
