"""Which runs are on the same data: folders of one name may have other images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from nas_peft.compare.runs import ComparedRun
from search_spaces import InputError


def other_data(first: ComparedRun, second: ComparedRun) -> bool | None:
    """Whether two runs are on other data sets; ``None`` where the runs' records do not tell.

    The records have a digest of the images in their parts. Runs that split one data set by other seeds have
    other digests, so that these tell something only where both runs made the parts in the same way.
    """
    if first.class_count != second.class_count:
        return True
    if first.inputs.classes and second.inputs.classes and first.inputs.classes != second.inputs.classes:
        return True
    if first.fingerprint is not None and first.fingerprint == second.fingerprint:
        return False
    alike = first.reading() == second.reading()
    known = None not in (first.fingerprint, second.fingerprint)
    if alike and first.splits == second.splits and (known or first.counts != second.counts):
        return True
    if alike and first.images != second.images:
        return True
    return False if first.place == second.place else None


def by_data(runs: Sequence[ComparedRun]) -> dict[str, list[ComparedRun]]:
    """The runs on each data set by the shortest name that no other data set here has.

    That is the last component of the path, all of the path as it was given, or the whole path. Where the
    records do not tell, runs on folders of one name count as on one data set, unless two of them have one
    seed: nobody has the same run twice in different places.

    Raises `InputError` for a data set that has changed between two runs.
    """
    found: list[list[ComparedRun]] = []
    for run in runs:
        for known in found:
            if known[0].short_name == run.short_name and not any(_apart(other, run) for other in known):
                known.append(run)
                break
        else:
            found.append([run])
    for number, of in enumerate(found):
        for run in of:
            if changed := next((o for rest in found[:number] for o in rest if _changed(o, run)), None):
                raise InputError(
                    f"the data set '{run.spec}' has changed between the runs '{changed.run}' and "
                    f"'{run.run}': its classes or images differ; leave one of them out"
                )
    return {_name(of, found): of for of in found}


def remarks(data: Mapping[str, Sequence[ComparedRun]]) -> dict[str, tuple[str, ...]]:
    """Sentences on the images of the runs on each data set, where these differ or may differ."""
    return {name: (*_places(runs), *differing_images(runs)) for name, runs in data.items()}


def differing_images(runs: Sequence[ComparedRun]) -> list[str]:
    """A sentence for each part whose images differ between runs on one data set."""
    said = []
    for part in ("test", "val", "train"):
        ways = dict.fromkeys(str(run.splits.get(part)) for run in runs)
        counts = dict.fromkeys(run.counts.get(part) for run in runs)
        texts = " and ".join(f"'{way}'" for way in ways) if len(ways) > 1 else ""
        sizes = " and ".join(f"{count:,} images" for count in counts) if len(counts) > 1 else ""
        if texts or sizes:
            said.append(
                f"the {part} images differ between the runs ({'; '.join(filter(None, (texts, sizes)))}); "
                "differences include those of the images"
            )
    return said


def _places(runs: Sequence[ComparedRun]) -> list[str]:
    """A sentence where runs found their data in other folders, and nothing tells that these are equal."""
    for first, second in ((a, b) for number, a in enumerate(runs) for b in runs[number + 1 :]):
        if other_data(first, second) is None:
            return [
                f"the data were at '{first.place}' for the run '{first.run}' and at '{second.place}' for "
                f"'{second.run}', and the records do not tell whether these are the same images"
            ]
    return []


def _apart(first: ComparedRun, second: ComparedRun) -> bool:
    other = other_data(first, second)
    return first.seed == second.seed if other is None else other


def _changed(first: ComparedRun, second: ComparedRun) -> bool:
    return first.place == second.place and bool(other_data(first, second))


def _name(of: Sequence[ComparedRun], found: Sequence[Sequence[ComparedRun]]) -> str:
    first = of[0]
    others = [run for known in found if known is not of for run in known]
    if all(run.short_name != first.short_name for run in others):
        return first.short_name
    return first.place if any(run.spec == first.spec for run in others) else first.spec
