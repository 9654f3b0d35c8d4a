"""The tasks of a server: their names, and the files that clients may load and unload."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from pathlib import Path

from nas_peft.serving.allowed_folder import AllowedFolder, shortened
from nas_peft.serving.refusal import Refusal
from nas_peft.serving.task_names import NAMES_ARE, is_task_name
from search_spaces.errors import InputError
from supernet import MultiTaskModel
from supernet.multi_task import Task


class ServedTasks:
    """Named subnets on one backbone, some of which clients may load and unload.

    Args:
        model: the model that holds the subnets.
        files: the file of each subnet that the model has.
        folder: the folder from which clients may load; without one they may not.
    """

    def __init__(
        self, model: MultiTaskModel, files: Mapping[str, Path], folder: AllowedFolder | None
    ) -> None:
        self.model = model
        self._files = dict(files)
        self._folder = folder
        self._changing = threading.Lock()
        """Held while a task is loaded or unloaded, so that the model's tasks and the files stay together."""

    def names(self) -> list[str]:
        """The names of all tasks, in the order of loading."""
        return list(self.model.tasks)

    def task(self, name: str) -> Task:
        """The task of a name. Raises `Refusal` with status 404 for an unknown one."""
        found = self.model.tasks.get(name)
        if found is None:
            raise Refusal(404, f"no task '{shortened(name)}'; GET /tasks lists the tasks")
        return found

    def load(self, name: str, given: str) -> Task:
        """Load the file at a path relative to the allowed folder as task ``name``.

        Raises `Refusal`: 403 without a folder or for a path that leads out of it, 404 for a missing file, 400
        for a malformed name, 409 for a name that is taken, 422 for a file that is no subnet of the backbone.
        """
        file = self._required_folder().file(given)
        if not is_task_name(name):
            raise Refusal(400, f"'{shortened(name)}' is no name of a task: {NAMES_ARE}")
        with self._changing:
            if name in self.model.tasks:
                raise Refusal(409, f"there is a task '{name}' already; unload it first, or give another name")
            try:
                task = self.model.add(name, file)
            except InputError as error:  # the place of the folder is not the client's business
                raise Refusal(422, str(error).replace(str(file), shortened(given))) from error
            self._files[name] = file
        return task

    def unload(self, name: str) -> None:
        """Unload a task whose file is in the allowed folder.

        Raises `Refusal`: 404 for an unknown name, 403 for a task that no client could load again.
        """
        folder = self._required_folder()
        with self._changing:
            self.task(name)
            if not folder.holds(self._files[name]):
                raise Refusal(
                    403, f"the file of task '{name}' is outside the folder from which subnets may be loaded"
                )
            self.model.drop(name)
            del self._files[name]

    def _required_folder(self) -> AllowedFolder:
        if self._folder is None:
            raise Refusal(403, "this server neither loads nor unloads tasks; start it with --folder FOLDER")
        return self._folder
