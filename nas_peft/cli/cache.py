"""``nas-peft cache``: what is in the cache of decoded images, its removal and its check."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nas_peft.cli.cache_options import CacheFolder, use_cache
from nas_peft.cli.subnet_options import Debug, Json
from nas_peft.cli.user_errors import user_errors

if TYPE_CHECKING:
    from nas_peft.data.cache_entry import CacheEntry
    from nas_peft.data.data_cache import DataCache

_SHOWN = 12  # digits of a key


class Action(str, Enum):
    """What to do with the cache."""

    LIST = "list"
    CLEAR = "clear"
    VERIFY = "verify"


def cache(
    action: Annotated[Action, typer.Argument(help="list, clear or verify.")] = Action.LIST,
    entries: Annotated[
        list[str] | None,
        typer.Argument(metavar="[ENTRY]...", help="First digits of an entry, or the name of a data set."),
    ] = None,
    older_than: Annotated[
        float | None,
        typer.Option(min=0, help="Clear only what was not used for this many days."),
    ] = None,
    folder: CacheFolder = None,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """List the decoded images of large data sets, clear them, or verify them.

    Large data sets are decoded once, and later starts, resumed runs and other seeds read them from here.
    Clear removes all, those named, or those not used for some days; images that a running command reads stay.
    Verify reads every byte, and the exit status is 1 if any is damaged; the next command that needs those
    images decodes them anew.
    """
    with user_errors(debug):
        from search_spaces.errors import InputError

        if older_than is not None and action is not Action.CLEAR:
            raise InputError("--older-than is for nas-peft cache clear; leave it out")
        if as_json and action is not Action.LIST:
            raise InputError("--json is for nas-peft cache list; leave it out")
        use_cache(folder, None)
        if action is Action.CLEAR:
            _clear(entries, older_than)
        elif action is Action.VERIFY:
            _verify(entries)
        else:
            _show(entries, as_json)


def _clear(entries: list[str] | None, older_than: float | None) -> None:
    import time

    from nas_peft.data.cache_settings import size_text

    of = _cache()
    before = time.time() - 86400 * older_than if older_than is not None else None
    freed, removed = 0, 0
    with of.removing():
        for entry in _named(of, entries):
            if before is not None and entry.used > before:
                continue
            if entry.in_use:
                print(f"{entry.key[:_SHOWN]} ({entry.name}) is in use and stays")
                continue
            freed, removed = freed + entry.nbytes, removed + 1
            of.remove(entry)
        if not entries and older_than is None:
            of.remove_leftovers()
    print(f"removed {removed} {'entry' if removed == 1 else 'entries'}, {size_text(freed)}")


def _verify(entries: list[str] | None) -> None:
    of, damaged = _cache(), 0
    for entry in _named(of, entries):
        reason = entry.damage("whole")
        damaged += reason is not None
        print(f"{entry.key[:_SHOWN]}  {entry.name}: {reason or 'as it was written'}")
    for path in [] if entries else of.leftovers():
        damaged += 1
        print(f"{path.name[:_SHOWN]}  unfinished or damaged: nas-peft cache clear removes it")
    if damaged:
        raise typer.Exit(1)


def _cache() -> DataCache:
    from nas_peft.data.cache_settings import CacheSettings
    from nas_peft.data.data_cache import DataCache
    from search_spaces import InputError

    found = DataCache.of(CacheSettings.current())
    if found is None:
        raise InputError("the cache is switched off; give its folder: nas-peft cache --cache FOLDER")
    return found


def _named(of: DataCache, names: list[str] | None) -> list[CacheEntry]:
    from search_spaces import InputError, unknown_name

    found = of.entries()
    if not names:
        return found
    for name in names:
        if not name:  # each key begins with it, and clear would remove all
            raise InputError(
                "the name of an entry is empty; give the first digits of an entry or the name of a data set, "
                "or no name at all for every entry"
            )
        if not found:
            raise InputError(f"the cache is empty, so it has no entry '{name}'; leave the name out")
        if not any(name == entry.name or entry.key.startswith(name) for entry in found):
            known = [word for entry in found for word in (entry.name, entry.key[:_SHOWN])]
            raise unknown_name("entry of the cache", name, dict.fromkeys(known))
    return [e for e in found if any(name == e.name or e.key.startswith(name) for name in names)]


def _show(names: list[str] | None, as_json: bool) -> None:
    import json
    from datetime import datetime

    from nas_peft.data.cache_settings import size_text

    of = _cache()
    entries = _named(of, names)
    rows = [
        {
            "entry": entry.key,
            "data set": entry.name,
            "source": entry.source,
            "images": sum(entry.counts.values()),
            "pixels": list(entry.shape[1:]),
            "bytes": entry.nbytes,
            "last used": datetime.fromtimestamp(entry.used).isoformat(" ", "seconds"),
            "in use": entry.in_use,
        }
        for entry in entries
    ]
    total, copies = of.nbytes, len(of.copies())
    if as_json:
        print(
            json.dumps(
                {
                    "folder": str(of.folder),
                    "limit": of.limit,
                    "bytes": total,
                    "copies": copies,
                    "entries": rows,
                }
            )
        )
        return
    from nas_peft.run.plain_table import plain_table
    from nas_peft.run.text_console import TextConsole

    if rows:
        table = plain_table("")
        for header in ("entry", "data set", "images", "pixels", "size", "last used"):
            table.add_column(header)
        for row, entry in zip(rows, entries, strict=True):
            size = "×".join(map(str, entry.shape[1:]))
            used = "in use" if row["in use"] else str(row["last used"])
            number = f"{sum(entry.counts.values()):,}"
            table.add_row(entry.key[:_SHOWN], entry.name, number, size, size_text(entry.nbytes), used)
        TextConsole().print(table)
    if copies:
        print(f"{copies} {'copy' if copies == 1 else 'copies'} of files of other machines")
    print(f"{size_text(total)} of at most {size_text(of.limit)} in '{_short(of.folder)}'")


def _short(folder: Path) -> str:
    home = str(Path.home())
    text = str(folder)
    return f"~{text[len(home) :]}" if text.startswith(home + "/") else text
