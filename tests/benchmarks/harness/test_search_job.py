"""Keys of searches."""

from pathlib import Path

from benchmarks.harness.search_job import SearchJob
from benchmarks.harness.search_plan import SearchPlan


def test_a_space_that_has_changed_is_searched_anew(tmp_path: Path) -> None:
    space, keys = tmp_path / "space.yaml", []
    for sizes in ("[0, 1]", "[0, 1, 2]", "[0, 1]"):
        space.write_text(f"name: mine\nkinds: {{lora_rank: {{sizes: {sizes}}}}}\n")
        keys.append(SearchJob("digits", SearchPlan(space=str(space)), 0).key)
    assert keys[0] == keys[2] != keys[1]
