"""Entry point of `python -m lib.recalibrate`."""

from lib.recalibrate.run import main

main()
