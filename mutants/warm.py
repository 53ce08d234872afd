"""Starts pytest without its long imports: one process makes them once and forks itself for every run.

`python -m mutants.warm PATH` serves at a socket; `python -m mutants.warm PATH ARGUMENT..` has pytest run there with the
arguments, and ends with its status. Only libraries are imported beforehand, never the code of this repository, which
differs from run to run.
"""

import importlib
import os
import signal
import sys
from multiprocessing import get_context
from multiprocessing.connection import Client, Listener, wait

LIBRARIES = (
    *("torch", "transformers.modeling_utils", "transformers.models.llama", "accelerate", "tokenizers"),
    *("h5netcdf", "h5py", "jsonschema", "scipy.stats", "xarray", "matplotlib.pyplot"),
    *("pytest", "pytest_html", "pytest_benchmark.plugin", "hypothesis.strategies", "hypothesis.extra.numpy"),
)


def serve(path: str) -> None:
    """Answer one client after another, until the process is ended."""
    for name in LIBRARIES:
        importlib.import_module(name)
    # every run draws the same examples, and a failure is enough: it need not become a small one
    from hypothesis import Phase, settings

    settings.register_profile(
        "mutants", phases=(Phase.explicit, Phase.generate), derandomize=True, database=None, deadline=None
    )
    settings.load_profile("mutants")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    with Listener(path) as listener:
        while True:
            with listener.accept() as client:
                run = get_context("fork").Process(target=_pytest, args=(client.recv(),))
                run.start()
                ended = False
                try:
                    ended = run.sentinel in wait([run.sentinel, client])
                finally:
                    if not ended:  # this process is ended, or the client was, because its time was over
                        os.killpg(run.pid, signal.SIGKILL)
                    run.join()
                if ended:
                    client.send(run.exitcode)
                # what the first run compiles serves all later ones; what these compile would outlive their change
                sys.dont_write_bytecode = True


def _pytest(arguments: list[str]) -> None:
    os.setsid()
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    sys.path.insert(0, os.getcwd())
    import pytest

    sys.exit(pytest.main(arguments))


def ask(path: str, arguments: list[str]) -> int:
    """The exit status of pytest with these arguments; negative if a signal ended it."""
    with Client(path) as server:
        server.send(arguments)
        return server.recv()


if __name__ == "__main__":
    path, *arguments = sys.argv[1:]
    sys.exit(ask(path, arguments) if arguments else serve(path))
