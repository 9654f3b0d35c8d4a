"""The stage that searches the supernet."""

from __future__ import annotations

import time
from typing import Any

from nas_peft.candidate import Candidate
from nas_peft.inherited import InheritedEvaluator
from nas_peft.progress import StageBars
from nas_peft.record import SearchRecord
from nas_peft.run_folder import RunFolder
from nas_peft.run_inputs import RunInputs
from nas_peft.searchers import describe_searcher
from supernet import Supernet


def search_supernet(
    inputs: RunInputs, supernet: Supernet, folder: RunFolder, bars: StageBars
) -> tuple[list[Candidate], dict[str, Any]]:
    """All evaluated candidates, and the stage's record.

    Each generation is proposed from the ones before it, so a search that was stopped makes the proposals that
    it would have made without the stop, and evaluates those that are not in the Optuna record.
    """
    config = inputs.config
    searcher = inputs.searcher()
    described = describe_searcher(config.searcher, searcher)
    record = SearchRecord.open(folder.journal, inputs.space)
    record.describe(described)
    evaluator = InheritedEvaluator(supernet, inputs.dataset.val, inputs.preprocessing, config.precision)
    history = record.candidates()
    total = config.generations * config.population
    started = time.perf_counter()
    with bars.stage("search (candidates)") as advance:
        done = len(history)
        advance(done, total)

        def count() -> None:
            nonlocal done
            done += 1
            advance(done, total)

        for generation in range(config.generations):
            earlier = [c for c in history if c.generation < generation]
            proposals = searcher.ask(generation, earlier)
            if not proposals:
                break  # every architecture within the budget has been evaluated
            recorded = sum(c.generation == generation for c in history)
            evaluated = evaluator.evaluate(
                proposals[recorded:],
                generation=generation,
                first_number=len(history),
                on_candidate=count,
            )
            record.add_generation(evaluated)
            history += evaluated
        advance(len(history), len(history))
    stage = folder.read_stage("search")
    if stage is None:
        stage = {
            "seconds": time.perf_counter() - started,
            "searcher": described,
            "candidates": len(history),
            "image_passes_forward": sum(c.images for c in history),
        }
        folder.write_stage("search", stage)
    return history, stage
