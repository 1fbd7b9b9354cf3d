#!/usr/bin/env python3
"""Draws docs/page*.png: the page of `onestep serve` as Chromium shows it, 1280 and 390 pixels wide: .venv/bin/python
scripts/page_figures.py [FOLDER [ONESTEP]]. Without a folder, docs; without a program, build/src/onestep. Needs Debian's chromium and
chromium-driver, and selenium from PyPI. Figures of a model that is not there are left out, which is said."""

import base64
import itertools
import math
import subprocess
import sys
from pathlib import Path

from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

ROOT = Path(__file__).resolve().parents[1]
MATERIALS = {"o": 9, "s": 15, "g": 26, "l": 7}  # ocean, sand, grass, lava


def island() -> str:
    """Painted as the address of the page has it (src/server/page/painting.js): an island with a fire in its middle."""
    columns, rows = 34, 24

    def material(column: int, row: int) -> str:
        x, y = (column - 17) / 13.5, (row - 12) / 9.5
        coast = math.hypot(x, y) + 0.13 * math.sin(3 * math.atan2(y, x) + 0.6) + 0.07 * math.sin(7 * math.atan2(y, x))
        fire = math.hypot(x + 0.08, y - 0.05) + 0.05 * math.sin(5 * math.atan2(y, x))
        return "l" if fire < 0.26 else "g" if coast < 0.62 else "s" if coast < 0.84 else "o"

    cells = [material(column, row) for row in range(rows) for column in range(columns)]
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
    runs = "".join(f"{letters[MATERIALS[kind]]}{len(list(run))}" for kind, run in itertools.groupby(cells))
    return f"{MATERIALS['o']},{-columns // 2},{-rows // 2},{columns},{rows},{runs}"


# What is opened of which models; file, width, height, a phone, dark; what shows that it is there.
SHEET = ".sheet[aria-busy=false] li:last-child img[src]"
CARDS = ".cards label:last-child img[src]"
MOTIF = "031q311t141x421v221t241s431q311s141t481x"  # D minor, of src/server/page/roll.js
FIGURES = [
    (("fashion", "fashion-teacher"), "?seed=24", [("page.png", 1280, 800, False, False), ("page-phone.png", 390, 844, True, False)], [SHEET, CARDS]),
    (("fashion", "fashion-teacher"), "?label=Coat&open=2&tool=more", [("page-dark.png", 1280, 800, False, True)],
     [".handful li:last-child:not(.waiting) img[src]", CARDS]),
    (("materials",), f"?view=plane&label=ocean&seed=5&paint={island()}", [("page-painting.jpg", 1280, 800, False, False)],
     [".world[aria-busy=false]", ".palette .cards label:nth-last-child(2) img[src]"]),
    (("songs",), f"?view=music&task=continue&bars=16&motif={MOTIF}",
     [("page-music.png", 1280, 900, False, False), ("page-music-phone.png", 390, 844, True, True)], [".piece-roll:not(.waiting) .note"]),
    (("drums",), "?view=drums", [("page-drums.png", 1280, 840, False, False)], [".pads:not(:has(.waiting)) .pad:last-child[aria-label]"]),
]

folder = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "docs"
onestep = sys.argv[2] if len(sys.argv) > 2 else ROOT / "build/src/onestep"


def draw(browser, address: str, query: str, files, there) -> None:
    for file, width, height, phone, dark in files:
        browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride",
                                {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": phone})
        browser.execute_cdp_cmd("Emulation.setTouchEmulationEnabled", {"enabled": phone})
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia",
                                {"features": [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]})
        browser.get(f"{address}/{query}")
        for shown in there:
            WebDriverWait(browser, 120).until(lambda _: browser.find_elements(By.CSS_SELECTOR, shown))
        browser.execute_async_script("setTimeout(arguments[0], 500)")  # what fades in has come
        if file.endswith(".png"):
            browser.save_screenshot(str(folder / file))
        else:
            picture = browser.execute_cdp_cmd("Page.captureScreenshot", {"format": "jpeg", "quality": 85})
            (folder / file).write_bytes(base64.b64decode(picture["data"]))


options = webdriver.ChromeOptions()
# As on a machine with a mouse.
for argument in ["--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars",
                 "--blink-settings=primaryHoverType=2,availableHoverTypes=2,primaryPointerType=4,availablePointerTypes=4"]:
    options.add_argument(argument)
browser = webdriver.Chrome(options=options, service=Service("/usr/bin/chromedriver"))
try:
    for models, figures in itertools.groupby(FIGURES, key=lambda figure: figure[0]):
        server = subprocess.Popen([onestep, "serve", *models, "--port", "0"], stdout=subprocess.PIPE, text=True)
        try:
            address = server.stdout.readline().strip().rpartition(" ")[2]
            if not address:
                print(f"left out: the figures of {', '.join(models)}", file=sys.stderr)
                continue
            for _, query, files, there in figures:
                draw(browser, address, query, files, there)
        finally:
            server.terminate()
            server.wait()
finally:
    browser.quit()
