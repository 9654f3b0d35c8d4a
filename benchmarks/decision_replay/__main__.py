"""Entry point of ``python -m benchmarks.decision_replay``."""

import sys

from benchmarks.decision_replay.run import main

if __name__ == "__main__":
    sys.exit(main())
