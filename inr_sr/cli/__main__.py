"""`python -m inr_sr.cli` is `inr-sr`."""

import sys

from inr_sr.cli import main

sys.exit(main())
