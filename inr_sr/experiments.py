"""Where experiments were run from before; they are in `inr_sr.studies.experiments`."""

import sys

from inr_sr.errors import MISTAKE

_MOVED = "python -m inr_sr.experiments is now python -m inr_sr.studies.experiments"

if __name__ != "__main__":
    raise ImportError("inr_sr.experiments is now inr_sr.studies.experiments")
print(f"error: {_MOVED}", file=sys.stderr)
sys.exit(MISTAKE)
