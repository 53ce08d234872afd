"""`python -m lib.recalibrate --help`."""

from lib.recalibrate.run import main

main()
