"""``python -m benchmarks.recipe_study``."""

import sys

from benchmarks.recipe_study.run import main

if __name__ == "__main__":
    sys.exit(main())
