"""Screenshots of a finished run for the documentation: the end of the command, and its report.

``python docs/screenshots.py runs/digits`` writes ``terminal.svg`` and ``report_*.png`` to ``docs/images``, or
to the folder that follows the run. The report must be there (``nas-peft report``), and Chromium with its
driver for it.
"""

from __future__ import annotations

import io
import re
import shutil
import sys
from pathlib import Path

from PIL import Image
from rich.console import Console
from rich.terminal_theme import DIMMED_MONOKAI
from selenium import webdriver

from nas_peft.cli.result_output import print_result
from nas_peft.run.results import SearchResult

WIDTH = 80
"""Columns of the terminal."""

PICTURES = {
    "report_light": (1100, 900, "light", ""),
    "report_dark": (1100, 1180, "dark", "architecture"),
    "report_phone": (360, 780, "dark", ""),
}
"""Width, height, colour scheme and section of each picture of the report."""

_FONTS = re.compile(r"\s*@font-face \{.*?\}\n", re.DOTALL)


def terminal(run: Path, command: str) -> str:
    """SVG of what ``command`` prints at the end of the finished ``run``."""
    console = Console(width=WIDTH, record=True, file=io.StringIO(), force_terminal=True)
    print_result(SearchResult.of_run(run), console)
    drawn = console.export_svg(title=command, theme=DIMMED_MONOKAI, unique_id="end-of-run")
    return _FONTS.sub("\n", drawn)  # else a browser would load the font from another site


def report(page: Path, folder: Path) -> None:
    """Take the pictures of the report in ``page``."""
    options = webdriver.ChromeOptions()
    for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--hide-scrollbars"):
        options.add_argument(argument)
    options.binary_location = str(shutil.which("chromium"))
    browser = webdriver.Chrome(options, webdriver.ChromeService(shutil.which("chromedriver")))
    try:
        for name, (width, height, scheme, section) in PICTURES.items():
            size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500}
            colours = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
            browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
            browser.execute_cdp_cmd("Emulation.setEmulatedMedia", colours)
            browser.get(f"{page.resolve().as_uri()}#{section}")
            taken = Image.open(io.BytesIO(browser.get_screenshot_as_png())).convert("RGB")
            taken.quantize(128, dither=Image.Dither.NONE).save(folder / f"{name}.png", optimize=True)
    finally:
        browser.quit()


if __name__ == "__main__":
    run = Path(sys.argv[1])
    if not (run / "report.html").is_file():
        sys.exit(f"'{run}' has no report; first run: nas-peft report {run}")
    folder = Path(sys.argv[2]) if len(sys.argv) > 2 else Path(__file__).parent / "images"
    (folder / "terminal.svg").write_text(terminal(run, f"nas-peft search --dataset {run.name}"), "utf-8")
    report(run / "report.html", folder)
