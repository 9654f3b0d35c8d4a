"""The page at ``/`` in headless Chromium: an image by keyboard and mouse, the answer, the map, the token."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from selenium import webdriver
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import Select, WebDriverWait

from nas_peft.serving.page import page
from supernet import load_subnet

from .conftest import png, random_image, running

SHOWN = "Show where the model looks"
DROP = """
const [zone, data] = arguments, bytes = Uint8Array.from(atob(data), c => c.charCodeAt(0));
const transfer = new DataTransfer();
transfer.items.add(new File([bytes], "dropped.png", {type: "image/png"}));
for (const name of ["dragenter", "dragover", "drop"])
  zone.dispatchEvent(new DragEvent(name, {dataTransfer: transfer, bubbles: true, cancelable: true}));
"""
COLOURS = """
const data = arguments[0].getContext("2d").getImageData(0, 0, 640, 640).data, found = new Set();
for (let i = 0; i < data.length; i += 4) found.add((data[i] << 16) + (data[i + 1] << 8) + data[i + 2]);
return found.size;
"""


def test_the_page_is_one_file_that_loads_nothing_from_elsewhere():
    html = page().html
    assert re.findall(r"""\s(?:src|href|action)=["']?(?!data:)[^"'\s>]+""", html) == []
    assert re.findall(r"https?://|url\(|@import|import\(", html) == []
    assert re.search(r"\son[a-z]+=|\sstyle=", html) is None  # the policy forbids both
    assert len(re.findall(r"'sha256-[\w+/]+='", page().policy)) == 2
    assert "unsafe" not in page().policy


@pytest.fixture
def image(tmp_path: Path) -> Path:
    file = tmp_path / "picture.png"
    file.write_bytes(png(random_image(5)))
    return file


def shown(browser: webdriver.Chrome, identity: str) -> str:
    return browser.find_element(By.ID, identity).text


def wait_for(browser: webdriver.Chrome, identity: str, text: str) -> None:
    WebDriverWait(browser, 20, 0.02).until(
        lambda b: text in b.find_element(By.ID, identity).text, f"'{text}' in {identity}"
    )


def complaints(browser: webdriver.Chrome) -> list[str]:
    """What the browser's console says, such as violations of the page's policy."""
    return [entry["message"] for entry in browser.get_log("browser") if entry["level"] == "SEVERE"]


@pytest.mark.slow
def test_an_image_is_classified_and_the_map_is_drawn(browser, server, subnets, backbone, image: Path):
    browser.get(f"http://127.0.0.1:{server.port}/")
    wait_for(browser, "task", "pets")
    Select(browser.find_element(By.ID, "task")).select_by_value("pets")
    browser.find_element(By.ID, "file").send_keys(str(image))
    wait_for(browser, "classes", "%")
    subnet = load_subnet(subnets["pets"], backbone)
    shares = (subnet.logits([random_image(5)])[0] / 1.5).softmax(0)
    best = shares.argsort(descending=True)
    rows = [row.text.splitlines() for row in browser.find_elements(By.CSS_SELECTOR, "#classes .row")]
    assert rows == [[subnet.classes[i], percent(float(shares[i]))] for i in best]
    said = browser.find_element(By.ID, "status").get_property("textContent")
    assert said == f"pets: {rows[0][0]}, {rows[0][1]}"

    Select(browser.find_element(By.ID, "task")).select_by_value("plain")
    wait_for(browser, "classes", "yes")
    button = browser.find_element(By.ID, "looking")
    assert (button.text, button.get_attribute("aria-expanded")) == (SHOWN, "false")
    button.click()
    wait_for(browser, "looking", "Hide")
    picture = browser.find_element(By.ID, "picture")
    assert picture.is_displayed()
    assert re.match(r"Map of attention: most of it, \d+\.\d%, is (at the|in the)", picture.accessible_name)
    colours = browser.execute_script(COLOURS, picture)
    assert colours > 1000
    button.click()
    assert not picture.is_displayed()
    assert complaints(browser) == []


@pytest.mark.thorough
def test_the_keyboard_reaches_everything(browser, server, image: Path):
    browser.get(f"http://127.0.0.1:{server.port}/")
    wait_for(browser, "task", "pets")
    names = []
    for _ in range(3):
        ActionChains(browser).send_keys(Keys.TAB).perform()
        names.append(browser.switch_to.active_element.accessible_name)
    assert names[0] == "Task"
    assert names[1].startswith("Choose an image")
    assert names[2] == "About this task"
    browser.find_element(By.ID, "file").send_keys(str(image))
    wait_for(browser, "classes", "%")
    ActionChains(browser).send_keys(Keys.TAB).perform()
    active = browser.switch_to.active_element
    assert active.accessible_name == SHOWN
    active.send_keys(Keys.ENTER)
    wait_for(browser, "looking", "Hide")
    first = browser.find_element(By.CSS_SELECTOR, "#classes .row").text
    browser.find_element(By.ID, "task").send_keys("pl")
    wait_for(browser, "classes", "yes")
    assert browser.find_element(By.CSS_SELECTOR, "#classes .row").text != first
    unnamed = [
        element.tag_name
        for element in browser.find_elements(By.CSS_SELECTOR, "input, select, button, summary, canvas, img")
        if element.is_displayed() and not element.accessible_name
    ]
    assert unnamed == []


@pytest.mark.slow
def test_a_dropped_file_and_a_refusal(browser, server, image: Path):
    import base64

    browser.get(f"http://127.0.0.1:{server.port}/")
    wait_for(browser, "task", "pets")
    zone = browser.find_element(By.ID, "zone")
    browser.execute_script(DROP, zone, base64.b64encode(image.read_bytes()).decode())
    wait_for(browser, "classes", "%")
    browser.execute_script(DROP, zone, base64.b64encode(b"no image").decode())
    wait_for(browser, "problem", "the image cannot be decoded")
    assert shown(browser, "classes") == ""
    assert browser.find_element(By.ID, "problem").aria_role == "alert"


@pytest.mark.thorough
def test_a_server_with_a_token_asks_for_it(browser, make_service, image: Path):
    with running(make_service(), "0123456789abcdef") as guarded:
        browser.get(f"http://127.0.0.1:{guarded.port}/")
        wait_for(browser, "problem", "This server needs a token.")
        field = browser.switch_to.active_element
        assert field.accessible_name == "Token of this server"
        field.send_keys("wrong", Keys.ENTER)
        wait_for(browser, "problem", "The token is wrong.")
        field.clear()
        field.send_keys("0123456789abcdef", Keys.ENTER)
        wait_for(browser, "task", "pets")
        browser.find_element(By.ID, "file").send_keys(str(image))
        wait_for(browser, "classes", "%")
        assert shown(browser, "problem") == ""


@pytest.mark.thorough
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_texts_are_legible_in_light_and_dark(browser, server, scheme: str):
    """Contrast of at least 4.5, as WCAG 2 asks for, of each colour of text on its ground."""
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
    browser.get(f"http://127.0.0.1:{server.port}/")
    pairs = [("ink", "ground"), ("ink", "card"), ("quiet", "card"), ("quiet", "ground")]
    pairs += [("on-accent", "accent"), ("accent", "card"), ("bad", "bad-ground"), ("ink", "soft")]
    colours = browser.execute_script(
        "const style = getComputedStyle(document.documentElement);"
        "return arguments[0].map(pair => pair.map(name => style.getPropertyValue('--' + name).trim()))",
        pairs,
    )
    contrasts = {pair: contrast(*given) for pair, given in zip(pairs, colours, strict=True)}
    assert {pair: found for pair, found in contrasts.items() if found < 4.5} == {}
    assert (brightness(colours[0][1]) > 0.5) == (scheme == "light")
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})


def percent(share: float) -> str:
    return "< 0.1%" if share < 0.0005 else f"{100 * share:.1f}%"


def brightness(colour: str) -> float:
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(first: str, second: str) -> float:
    low, high = sorted((brightness(first), brightness(second)))
    return (high + 0.05) / (low + 0.05)
