"""A task service for clusters and grids: datasets go in, pilots claim tasks, results come out."""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version('iceprod-tasks')
except PackageNotFoundError:  # a plain checkout on the path, not installed
    __version__ = '0+unknown'
