"""``nas-peft doctor``: whether this installation and machine can do what the tool does."""

from __future__ import annotations

from typing import Annotated

import typer

from nas_peft.cli.subnet_options import Debug, Json
from nas_peft.cli.user_errors import user_errors

_MARKS = {True: "ok", None: "--", False: "NO"}


def doctor(
    ray: Annotated[
        bool, typer.Option("--ray/--no-ray", help="Start Ray for a moment and let it do a task, or do not.")
    ] = True,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Check versions, devices, memory, disks, permissions, Ray, extras and the network, a line for each.

    Ray is started, or the one that RAY_ADDRESS names is reached, and does a task. Lines with ok are fine,
    those with -- work without, those with NO have to be mended and say how. The exit status is 1 if there
    is a NO, else 0.
    """
    with user_errors(debug):
        import json
        import shutil
        import sys
        from dataclasses import asdict
        from pathlib import Path

        from huggingface_hub.constants import HF_HUB_CACHE

        from nas_peft.cli.two_columns import WIDEST, two_columns
        from nas_peft.machine.health import (
            extra_checks,
            folder_checks,
            machine_checks,
            network_check,
            package_checks,
            ray_checks,
            ray_trial_check,
        )
        from nas_peft.machine.ray_start import LIMIT

        of_ray = list(ray_checks())
        if ray and all(check.fine is not False for check in of_ray):
            if sys.stderr.isatty():
                print(f"starting Ray, at most {LIMIT:.0f} s (not with --no-ray)", file=sys.stderr)
            of_ray.append(ray_trial_check())
        checks = [
            *package_checks(),
            *machine_checks(),
            *folder_checks({"runs": Path("runs"), "cache": Path(HF_HUB_CACHE)}),
            *of_ray,
            *extra_checks(),
            network_check(),
        ]
        if as_json:
            print(json.dumps([asdict(check) for check in checks], indent=1))
        else:
            names = max(len(check.name) for check in checks) + 3
            width = min(WIDEST, shutil.get_terminal_size().columns)
            rows = [
                (
                    f"{_MARKS[check.fine]} {check.name}",
                    check.found + ("" if check.fine or not check.remedy else f"; {check.remedy}"),
                )
                for check in checks
            ]
            print("\n".join(two_columns(rows, names=names, width=width, indent=0)))
        if any(check.fine is False for check in checks):
            raise typer.Exit(1)
