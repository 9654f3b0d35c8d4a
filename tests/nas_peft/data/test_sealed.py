import copy
import io
import pickle  # noqa: TID251 - to show that it is refused

import pytest
import torch

from nas_peft.data import Part, ProtocolError, SealedPart


@pytest.fixture
def part() -> Part:
    return Part(torch.full((4, 3, 2, 2), 9, dtype=torch.uint8), torch.arange(4))


def test_the_length_is_known_while_sealed_and_after(part):
    sealed = SealedPart(part)
    assert len(sealed) == 4
    assert not sealed.opened
    sealed.open("lora 8")
    assert len(sealed) == 4
    assert sealed.opened


def test_opening_gives_the_part(part):
    assert SealedPart(part).open("lora 8") is part


def test_a_second_opening_says_when_and_for_what_the_first_was(part):
    sealed = SealedPart(part)
    sealed.open("lora 8 in layers 0 to 3")
    with pytest.raises(ProtocolError, match=r"opened at \d{4}-\d\d-\d\dT.*lora 8 in layers 0 to 3"):
        sealed.open("another")


@pytest.mark.parametrize("decision", ["", " \n"])
def test_an_opening_without_a_decision_is_refused_and_leaves_the_seal(part, decision):
    sealed = SealedPart(part)
    with pytest.raises(ProtocolError, match="frozen configuration"):
        sealed.open(decision)
    assert not sealed.opened


@pytest.mark.parametrize(
    "escape",
    [
        copy.copy,
        copy.deepcopy,
        pickle.dumps,
        lambda sealed: torch.save(sealed, io.BytesIO()),
        lambda sealed: sealed.__getstate__(),
        lambda sealed: sealed.__reduce__(),
    ],
)
def test_no_copy_escapes(part, escape):
    with pytest.raises(ProtocolError, match="neither copied nor pickled"):
        escape(SealedPart(part))


def test_the_text_of_a_seal_tells_its_state_and_no_content(part):
    sealed = SealedPart(part)
    assert repr(sealed) == "SealedPart(4 images, sealed)"
    sealed.open("lora 8")
    assert "lora 8" in repr(sealed)
