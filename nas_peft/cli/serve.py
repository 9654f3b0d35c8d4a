"""``nas-peft serve``: answer requests for many subnets on one backbone."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated

import typer

from nas_peft.cli.subnet_options import (
    MAX_PIXELS,
    BackboneWeights,
    Debug,
    MaxPixels,
    ModuleFiles,
    OneDevice,
)
from nas_peft.cli.user_errors import user_errors


def serve(
    files: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="FILE…",
            help="Subnet checkpoints of one backbone. Each is a task named after its file, or after its "
            "folder if the file is called subnet.safetensors.",
        ),
    ] = None,
    task: Annotated[
        list[str],
        typer.Option(metavar="NAME=FILE", help="Subnet checkpoint with a name; can be given several times."),
    ] = [],  # noqa: B006
    folder: Annotated[
        Path | None,
        typer.Option(
            help="Folder from which clients may load subnets, and unload them; by default they may not."
        ),
    ] = None,
    host: Annotated[
        str, typer.Option(help="Address to listen at. Other than this machine's own needs a token.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen at; 0 for a free one.")] = 8000,
    token_file: Annotated[
        Path | None,
        typer.Option(
            help="File with the token that clients must send. Without it the environment variable "
            "NAS_PEFT_TOKEN is read."
        ),
    ] = None,
    max_body: Annotated[float, typer.Option(min=0.001, help="Largest body of a request, in MiB.")] = 16,
    max_pixels: MaxPixels = MAX_PIXELS,
    queue: Annotated[
        int, typer.Option(min=1, help="Requests in hand at one time; further ones are refused with 503.")
    ] = 64,
    max_wait: Annotated[
        float, typer.Option(min=0, help="Milliseconds that an image waits for others to share its batch.")
    ] = 5,
    max_batch: Annotated[int, typer.Option(min=1, help="Largest number of images of a batch.")] = 32,
    send_seconds: Annotated[
        float, typer.Option(min=0.1, help="Seconds that a client may take to send a request.")
    ] = 10,
    device: OneDevice = "auto",
    backbone_weights: BackboneWeights = None,
    module_file: ModuleFiles = [],  # noqa: B006
    debug: Debug = False,
) -> None:
    """Serve subnets over HTTP: classification in batches of mixed tasks, metrics, and a page for trying them.

    Needs the extra 'serve': pip install 'nas-peft[serve]'. SIGTERM and Ctrl+C answer what has been asked
    and end with status 0.
    """
    with user_errors(debug):
        from nas_peft.deployment.extra import require_extra

        require_extra("serve", "nas-peft serve")
        from nas_peft.cli.early_checks import require_subnet
        from nas_peft.serving.access import read_token, require_token
        from nas_peft.serving.allowed_folder import AllowedFolder
        from nas_peft.serving.limits import Limits
        from nas_peft.serving.listener import address_of, bound_socket
        from nas_peft.serving.task_names import named_files
        from search_spaces.errors import InputError

        for option, number, unit in (
            ("--max-body", max_body, "MiB"),
            ("--max-wait", max_wait, "milliseconds"),
            ("--send-seconds", send_seconds, "seconds"),
        ):
            if not math.isfinite(number):  # a server without a limit could be held or filled by any client
                raise InputError(f"{option} is {number:g}; give a finite number of {unit}")

        named = named_files(files or [], task)
        for file in named.values():
            require_subnet(file)  # before torch is imported
        token = read_token(token_file)
        require_token(host, token)
        allowed = None if folder is None else AllowedFolder(folder)
        limits = Limits(
            max_body=int(max_body * 2**20),
            max_pixels=max_pixels,
            queue=queue,
            max_wait=max_wait / 1000,
            max_batch=max_batch,
            send_seconds=send_seconds,
        )
        with bound_socket(host, port) as listener:
            from nas_peft.machine.devices import resolve_device
            from nas_peft.run.module_files import import_module_files
            from nas_peft.serving.metrics import Metrics
            from nas_peft.serving.served_tasks import ServedTasks
            from nas_peft.serving.server import Server
            from nas_peft.serving.service import Service
            from supernet import MultiTaskModel

            on = resolve_device(device)
            import_module_files(module_file)
            model = MultiTaskModel(None, named, backbone_weights=backbone_weights, device=on)
            service = Service(ServedTasks(model, named, allowed), limits, Metrics())
            print(f"loaded {', '.join(named)} on {model.backbone.name} ({on})", flush=True)
            service.warm_up()
            where = address_of(listener)
            started = f"serving at {where} (Ctrl+C ends)"
            Server(service, token, lambda: print(started, flush=True)).serve_on(listener)
            print("ended; all requests are answered", flush=True)
