"""Runs the command `python -m lib.records ls|show|verify|export`."""

import sys

from lib.records.command import main

sys.exit(main())
