"""Runs the command `python -m lib.compare A.json B.json`."""

import sys

from lib.compare.run import main

sys.exit(main())
