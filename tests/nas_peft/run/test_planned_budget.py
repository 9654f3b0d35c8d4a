"""The budget of a plan: room for LoRA of rank 8 everywhere, or a share of the backbone."""

from nas_peft.run.planned_budget import LEAST_PERCENT, LEAST_RANK, budget_of
from nas_peft.run.single_methods import lora_everywhere
from search_spaces import BackboneShape, Budget, count_params
from supernet import Backbone


def limit(budget: str, params: int) -> int:
    return Budget.parse(budget, backbone_params=params).limit(0)


def test_a_narrow_backbone_has_room_for_the_least_rank(backbone: Backbone):
    shape: BackboneShape = backbone.shape
    needed = count_params(lora_everywhere(LEAST_RANK, shape), shape)
    assert needed <= limit(budget_of(shape, backbone.params), backbone.params) < 1.1 * needed


def test_a_wide_backbone_has_a_share(backbone: Backbone):
    for params in (100 * backbone.params, 85_800_001):
        assert budget_of(backbone.shape, params) == f"{LEAST_PERCENT}%"


def test_a_head_that_is_counted_has_its_own_room(backbone: Backbone):
    shape, params, head = backbone.shape, backbone.params, 30_000
    needed = count_params(lora_everywhere(LEAST_RANK, shape), shape) + head
    assert needed <= limit(budget_of(shape, params, head), params)
    assert limit(budget_of(shape, 100 * params, head), 100 * params) >= 4 * params + head
