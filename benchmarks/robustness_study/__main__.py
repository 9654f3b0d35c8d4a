"""``python -m benchmarks.robustness_study``."""

import sys

from benchmarks.robustness_study.run import main

if __name__ == "__main__":
    sys.exit(main())
