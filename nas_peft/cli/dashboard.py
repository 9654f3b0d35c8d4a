"""``nas-peft dashboard``: Optuna's dashboard on the search of a run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nas_peft.cli.completion import run_folders
from nas_peft.cli.subnet_options import Debug
from nas_peft.cli.user_errors import user_errors


def dashboard(
    run: Annotated[
        Path,
        typer.Argument(
            help="Run folder of nas-peft search, finished or still running.", autocompletion=run_folders
        ),
    ],
    host: Annotated[
        str,
        typer.Option(help="Address to listen at; with another than this machine's own, others see the run."),
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen at; 0 for a free one.")] = 8080,
    storage: Annotated[
        str | None,
        typer.Option(
            help="Address of the storage with its password, for a run whose --storage had one; the run "
            "folder has the address without it."
        ),
    ] = None,
    debug: Debug = False,
) -> None:
    """Show the search of a run in Optuna's dashboard, with decision, notes and pictures once it has ended.

    What is shown is a copy: nothing that is done in the dashboard changes the run, and it is gone when the
    command ends. Needs the extra 'dashboard': pip install 'nas-peft[dashboard]'.
    """
    with user_errors(debug):
        from nas_peft.deployment.extra import require_extra

        require_extra("dashboard", "nas-peft dashboard")
        import sys
        import tempfile

        from nas_peft.run.place import require_run

        require_run(run)  # before torch is imported

        from nas_peft.dashboard.server import LOOPBACK, serve_run
        from nas_peft.dashboard.shown_run import ShownRun
        from nas_peft.serving.listener import bound_socket

        with tempfile.TemporaryDirectory(prefix="nas-peft-dashboard-") as scratch:
            shown = ShownRun(run, Path(scratch), storage)
            with bound_socket(host, port) as listener:
                if listener.getsockname()[0] not in LOOPBACK:
                    print(
                        f"warning: whoever reaches {host} sees this run, without a password", file=sys.stderr
                    )
                serve_run(shown, listener, lambda line: print(line, flush=True))
