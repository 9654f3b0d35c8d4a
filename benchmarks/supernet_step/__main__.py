"""Entry point of ``python -m benchmarks.supernet_step``."""

import sys

from benchmarks.supernet_step.run import main

if __name__ == "__main__":
    sys.exit(main())
