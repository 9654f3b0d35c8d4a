"""The version that checkpoints are marked with."""

from importlib.metadata import version

from nas_peft.run.version import __version__


def test_it_is_the_distribution_s():
    assert __version__ == version("nas-peft")
