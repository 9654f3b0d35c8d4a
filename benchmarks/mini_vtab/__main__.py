"""Entry point of ``python -m benchmarks.mini_vtab``."""

import sys

from benchmarks.mini_vtab.run import main

if __name__ == "__main__":
    sys.exit(main())
