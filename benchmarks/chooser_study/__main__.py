"""Entry point of ``python -m benchmarks.chooser_study``."""

import sys

from benchmarks.chooser_study.run import main

if __name__ == "__main__":
    sys.exit(main())
