"""Runs the command `python -m lib.sweep GRID.toml`."""

import sys

from lib.sweep.command import main

sys.exit(main())
