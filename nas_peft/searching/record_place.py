"""Check of the place of a search's record, without opening it."""

from __future__ import annotations

from search_spaces.errors import InputError


def require_record_place(storage: str | None, study: str | None) -> None:
    """Raise `InputError` for a place of the record that cannot be one; no storage is opened."""
    if study and not storage:
        raise InputError("study names a study in --storage, which is not given; give both")
    if storage is not None:
        from nas_peft.searching.study_storage import StudyStorage  # it imports Optuna

        StudyStorage(storage).require_address()
