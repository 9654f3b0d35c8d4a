"""The version, written here alone: the package's metadata are made from it."""

__version__ = "0.2.0"
