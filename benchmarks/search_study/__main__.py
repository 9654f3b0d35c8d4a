"""Entry point of ``python -m benchmarks.search_study``."""

import sys

from benchmarks.search_study.run import main

if __name__ == "__main__":
    sys.exit(main())
