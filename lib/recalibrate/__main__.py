"""Entry point of `python -m lib.recalibrate`."""

import sys

from lib.definitions import refuse_without_docstrings

try:
    refuse_without_docstrings()
except ValueError as error:
    sys.exit(f"recalibrate: {error}")

from lib.recalibrate.run import main  # it imports transformers

main()
