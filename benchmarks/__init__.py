"""Benchmarks and studies of the search, each started from the root of the repository.

::

    python -m benchmarks.mini_vtab --help

Comparisons and studies are folders (`mini_vtab`, `search_study`, `chooser_study`, `supernet_step`), smaller
benchmarks are single modules. `harness` holds what several of them share; no study imports another.
``results/`` holds the published numbers. The package is not part of the wheel.
"""
