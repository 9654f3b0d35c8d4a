"""Trainings without a domain, by which the robust objective judges each training on a domain it has not seen.

For every training on the training set, and every domain of that set, there is another that differs in nothing
but that it does not see the domain, whose images it is then scored on. They are shifted images of the first.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from nas_peft.training.training import Training
from nas_peft.training.training_record import TrainingRecord


def trainings_without(trainings: Iterable[Training], domains: Sequence[str]) -> list[Training]:
    """The trainings without each of ``domains`` that belong to ``trainings``.

    Final models have none, and neither have further trainings from one initialisation, for averages.
    """
    return [
        without(training, domain)
        for training in trainings
        if training.on == "train" and training.init_seed is None
        for domain in domains
    ]


def without(training: Training, domain: str) -> Training:
    """The training that does not see a domain."""
    return replace(training, without=domain, keep=False)


def judged(
    record: TrainingRecord, records: Mapping[str, TrainingRecord], domains: Sequence[str]
) -> TrainingRecord:
    """The record with the scores on left-out domains, of ``records`` by key, among its shifted images.

    It fails where one of these trainings has failed: what cannot be judged cannot be chosen.
    """
    parts = [records.get(without(record.training, domain).key) for domain in domains]
    found = [part for part in parts if part is not None]
    if not found or record.failure is not None or record.images is None:
        return record
    if failed := next((part for part in found if part.failure is not None), None):
        return TrainingRecord.failed(record.training, f"without the domain, {failed.failure}")
    scores = [part.images for part in found if part.images is not None]
    return replace(record, images=record.images.with_left_out(scores))
