"""Kernels forked from a process that has only imported: no page pays for the imports again.

A `multiprocessing` forkserver imports the scientific libraries and `evidence` once,
single-threaded and without drawing, computing or opening a socket; each kernel is a fresh fork.
Plain kernels give identical results and serve on Windows or by choice.
"""

from __future__ import annotations

import atexit
import gc
import hashlib
import os
import random
import shutil
import signal
import sys
import tempfile
import threading
import types
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from multiprocessing import get_context, parent_process
from multiprocessing.process import BaseProcess
from multiprocessing.util import get_temp_dir
from pathlib import Path
from typing import Any, cast

from jupyter_client.connect import KernelConnectionInfo
from jupyter_client.kernelspec import KernelSpec
from jupyter_client.manager import AsyncKernelManager
from jupyter_client.provisioning import LocalProvisioner

from evidence.runs.store import is_alive, read_json, this_process, write_json

PRELOAD = (
    "ipykernel.kernelapp",
    "ipykernel.ipkernel",
    "ipykernel.debugger",
    "IPython.core.completerlib",
    "IPython.core.logger",
    "IPython.core.oinspect",
    "IPython.extensions.storemagic",
    "tornado.platform.asyncio",
    "encodings.utf_8_sig",
    "yaml",
    "numpy",
    "scipy.stats",
    "scipy.optimize.elementwise",
    "pandas",
    "pandas.io.formats.csvs",
    "pandas.io.formats.html",
    "pandas.core.methods.to_dict",
    "pyarrow.pandas_compat",
    "pyarrow.dataset",
    "statsmodels.api",
    "matplotlib.backends.backend_agg",
    "matplotlib.backends.backend_svg",
    "matplotlib.pyplot",
    "matplotlib._constrained_layout",
    "matplotlib.patheffects",
    "sklearn.neighbors",
    "sklearn.preprocessing",
    "narwhals._pandas_like.namespace",
    "evidence.runs.preloading",
)
"""Imported once before forking, in this order."""

SINGLE_THREADED = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "NUMEXPR_NUM_THREADS": "1",
    "ARROW_NUM_THREADS": "1",
    "ARROW_IO_THREADS": "1",
    "ARROW_DEFAULT_MEMORY_POOL": "system",
    "MPLBACKEND": "Agg",
    "PYTHONHASHSEED": "0",
}
"""Set before the imports: threads do not survive a fork, and results must not depend on them."""

FORKSERVER_NOTE = "forkserver.json"
"""Name of the note of a process and of the folder that multiprocessing keeps its sockets in."""

LONGEST_SOCKET = 100
"""Names of Unix sockets are at most 104 to 108 bytes; below a longer folder, kernels use TCP."""

_starting = threading.Lock()


def can_fork() -> bool:
    """Return whether this system has forked kernels."""
    return sys.platform != "win32" and hasattr(os, "fork")


@contextmanager
def kernel_environment(owner: Path) -> Iterator[dict[str, str]]:
    """Yield the environment that kernels start in, with folders of their own that go afterwards.

    The process environment gets the single-thread settings too, because the forkserver inherits it.
    What killed processes of the same owner left behind goes as well.

    Parameters
    ----------
    owner
        The workbook; the caller holds its lock.
    """
    before = dict(os.environ)
    prefix = f"evidence-{hashlib.sha256(str(owner.resolve()).encode()).hexdigest()[:6]}-"
    _clear_left_behind(prefix)
    if can_fork():
        _note_forkserver(prefix)
    with tempfile.TemporaryDirectory(prefix=prefix, ignore_cleanup_errors=True) as folder:
        own = {
            **SINGLE_THREADED,
            "MPLCONFIGDIR": f"{folder}/matplotlib",
            "IPYTHONDIR": f"{folder}/ipython",
            "JUPYTER_RUNTIME_DIR": f"{folder}/runtime",
            "PYDEVD_DISABLE_FILE_VALIDATION": "1",
        }
        for name in ("MPLCONFIGDIR", "IPYTHONDIR", "JUPYTER_RUNTIME_DIR"):
            Path(own[name]).mkdir()
        os.environ.update(own)
        try:
            yield own
        finally:
            os.environ.clear()
            os.environ.update(before)


def _clear_left_behind(prefix: str) -> None:
    """Delete what processes left that were killed; one that lives on keeps its sockets."""
    temporary = Path(tempfile.gettempdir())
    for folder in temporary.glob(f"{prefix}*"):
        note = read_json(folder / FORKSERVER_NOTE)
        if note is not None and is_alive(note):
            continue
        sockets = "" if note is None else Path(note["sockets"]).name
        if sockets.startswith("pymp-"):
            shutil.rmtree(temporary / sockets, ignore_errors=True)
        shutil.rmtree(folder, ignore_errors=True)


@cache
def _note_forkserver(prefix: str) -> None:
    """Note the folder that multiprocessing deletes at this process's end, unless it is killed.

    It outlives the kernels: a process killed while it renders the book has long stopped them.
    """
    folder = Path(tempfile.mkdtemp(prefix=prefix))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    write_json(folder / FORKSERVER_NOTE, {**this_process(), "sockets": Path(get_temp_dir()).name})


def kernel_manager(*, forked: bool, environment: Mapping[str, str], cwd: Path) -> type:
    """Return a kernel manager class whose kernels run in `cwd` with `environment` added.

    Parameters
    ----------
    forked
        Fork the kernels; otherwise start each as a new process.
    environment
        Variables added to the process environment.
    cwd
        Working directory of the kernel.
    """

    class RunKernelManager(AsyncKernelManager):
        """Kernels of this interpreter alone, on Unix sockets where there are any."""

        @property
        def kernel_spec(self) -> KernelSpec:
            """Return the specification of this interpreter's kernel."""
            command = [sys.executable, "-m", "ipykernel_launcher", *ARGUMENTS, "-f"]
            return KernelSpec(
                argv=[*command, "{connection_file}"],
                language="python",
                display_name="Python 3",
                metadata={},
            )

        async def _async_pre_start_kernel(self, **kw: Any) -> tuple[list[str], dict[str, Any]]:
            own = f"{os.environ['JUPYTER_RUNTIME_DIR']}/{uuid.uuid4().hex[:12]}"
            self.connection_file = f"{own}.json"
            if can_fork() and len(own) < LONGEST_SOCKET:
                self.transport = "ipc"
                self.ip = own
            if forked and self.provisioner is None:
                self.provisioner = ForkedProvisioner(
                    kernel_id=self.kernel_id, kernel_spec=self.kernel_spec, parent=self
                )
            kw["env"] = {**os.environ, **kw.get("env", {}), **environment}
            kw["cwd"] = str(cwd)
            return await super()._async_pre_start_kernel(**kw)

        pre_start_kernel = _async_pre_start_kernel

    return RunKernelManager


ARGUMENTS = ("--HistoryManager.enabled=False",)
"""No history file: a run depends on nothing that a user left behind."""


class ForkedProvisioner(LocalProvisioner):
    """Start a kernel as a fork of the process that has the libraries imported."""

    async def launch_kernel(self, cmd: list[str], **kwargs: Any) -> KernelConnectionInfo:
        """Fork a kernel on the connection file named by `cmd`."""
        child = _start(cmd[cmd.index("-f") + 1], dict(kwargs["env"]), str(kwargs["cwd"]))
        self.process = cast(Any, _Forked(child))
        self.pid = self.pgid = child.pid
        self.cwd = kwargs["cwd"]
        return self.connection_info


class _Forked:
    """The few methods of `subprocess.Popen` that jupyter_client needs, over a forked process."""

    stdin = stdout = stderr = None

    def __init__(self, child: BaseProcess) -> None:
        self.child = child
        self.pid = child.pid

    def poll(self) -> int | None:
        return self.child.exitcode

    def wait(self) -> int | None:
        self.child.join()
        return self.child.exitcode

    def send_signal(self, number: int) -> None:
        os.kill(self.child.pid or 0, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)


def _start(connection_file: str, environment: dict[str, str], cwd: str) -> BaseProcess:
    context = get_context("forkserver")
    with _starting, _main_hidden():
        context.set_forkserver_preload(list(PRELOAD))
        child = context.Process(target=_serve, args=(connection_file, environment, cwd))
        child.start()
    return child


@contextmanager
def _main_hidden() -> Iterator[None]:
    """Hide the main module, which multiprocessing would otherwise import again in each kernel."""
    main = sys.modules["__main__"]
    sys.modules["__main__"] = types.ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main


def _serve(connection_file: str, environment: dict[str, str], cwd: str) -> None:
    gc.freeze()  # what was imported is never garbage; looking through it copies its memory
    gc.set_threshold(20_000, 20, 20)  # a page ends long before its garbage matters
    os.setsid()
    threading.Thread(target=_end_with_the_build, daemon=True).start()
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(cwd)
    silence = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(silence, descriptor)
    import numpy
    from ipykernel.kernelapp import IPKernelApp

    random.seed()
    numpy.random.seed()
    sys.modules["__main__"] = types.ModuleType("__main__")
    application = IPKernelApp.instance()
    application.initialize([*ARGUMENTS, "-f", connection_file])
    application.start()


def _end_with_the_build() -> None:
    """End this kernel when the build is gone, because the fork server waits for its kernels."""
    build = parent_process()
    if build is not None:
        build.join()
        os._exit(1)
