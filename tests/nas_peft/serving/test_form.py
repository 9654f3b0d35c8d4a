"""Forms: the image among other parts, and forms that are malformed."""

from __future__ import annotations

import pytest

from nas_peft.serving.form import image_of_form
from nas_peft.serving.refusal import Refusal

KIND = "multipart/form-data; boundary=edge"
END = b"--edge--\r\n"


def part(options: str, content: bytes = b"x") -> bytes:
    return f"--edge\r\nContent-Disposition: form-data; {options}\r\n\r\n".encode() + content + b"\r\n"


def test_the_image_is_found_among_other_parts():
    content = bytes(range(256)) * 30 + b"--edge\r\n\r\n-edge"
    body = part('name="note"') + part('filename="a.png"; name="image"', content) + part('name="image"') + END
    assert image_of_form(KIND, body) == content
    assert image_of_form('multipart/form-data; boundary="edge"', body) == content


@pytest.mark.parametrize(
    ("kind", "body", "reason"),
    [
        ("multipart/form-data", b"x", "no boundary"),
        ("multipart/form-data; boundary=", b"x", "no boundary"),
        (KIND, b"x", "cannot be read"),
        (KIND, END, "no file in the field 'image'"),
        (KIND, part('name="image"') + END, "no file in the field 'image'"),
        (KIND, part('name="other"; filename="../../image"') + END, "no file in the field 'image'"),
        (KIND, part('name="image"; filename="a"')[:-4], "no file in the field 'image'"),
        (KIND, b"--edge\r\nContent-Disposition\r\n\r\nx\r\n" + END, "cannot be read"),
        (KIND, b"--edge\r\n\xff\xfe: \x00\r\n\r\nx\r\n" + END, "cannot be read"),
        (KIND, part('name="a"') * 9 + END, "more than 8 parts"),
        ("multipart/form-data; boundary=" + "e" * 300, b"x", "cannot be read"),
    ],
    ids=[
        *("no boundary", "empty boundary", "no form", "no parts", "no file", "another field", "no end"),
        *("header without value", "header of bytes", "many parts", "long boundary"),
    ],
)
def test_malformed_forms_are_refused(kind: str, body: bytes, reason: str):
    with pytest.raises(Refusal, match=reason) as refused:
        image_of_form(kind, body)
    assert refused.value.status == 400
