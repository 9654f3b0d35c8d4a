"""Hook of mkdocs: links from the pages to files outside ``docs`` lead to these files' names, not nowhere.

The pages are read in the repository, too, where such links work. On the site there is nothing to open, so the
text stays without a link.
"""

from __future__ import annotations

import re
from pathlib import PurePosixPath
from typing import Any

_LINK = re.compile(r"(?<!!)\[([^\]]+)\]\(((?:\.\./)+[^)\s]+)\)")


def on_page_markdown(markdown: str, *, page: Any, **_: Any) -> str:
    """The page's text without links that leave ``docs``."""
    depth = len(PurePosixPath(page.file.src_uri).parent.parts)

    def kept(match: re.Match[str]) -> str:
        ups = match[2].count("../")
        return match[0] if ups <= depth else match[1]

    return _LINK.sub(kept, markdown)
