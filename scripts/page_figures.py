#!/usr/bin/env python3
"""Draws docs/page*.png: the page of `onestep serve` as Chromium shows it, 1280 and 390 pixels wide: .venv/bin/python
scripts/page_figures.py [FOLDER [ONESTEP]]. Without a folder, docs; without a program, build/src/onestep. Needs Debian's chromium and
chromium-driver, and selenium from PyPI."""

import subprocess
import sys
from pathlib import Path

from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

# File, width, height, a phone, dark, what is opened, what shows that it is there.
FIGURES = [("page.png", 1280, 800, False, False, "?seed=24", ".sheet[aria-busy=false] li:last-child img[src]"),
           ("page-dark.png", 1280, 800, False, True, "?label=Coat&open=2&tool=more", ".handful li:last-child:not(.waiting) img[src]"),
           ("page-phone.png", 390, 844, True, False, "?seed=24", ".sheet[aria-busy=false] li:last-child img[src]")]
ROOT = Path(__file__).resolve().parents[1]

folder = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "docs"
onestep = sys.argv[2] if len(sys.argv) > 2 else ROOT / "build/src/onestep"
server = subprocess.Popen([onestep, "serve", "fashion", "fashion-teacher", "--port", "0"], stdout=subprocess.PIPE, text=True)
try:
    address = server.stdout.readline().split()[-1]
    options = webdriver.ChromeOptions()
    # As on a machine with a mouse.
    for argument in ["--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars",
                     "--blink-settings=primaryHoverType=2,availableHoverTypes=2,primaryPointerType=4,availablePointerTypes=4"]:
        options.add_argument(argument)
    browser = webdriver.Chrome(options=options, service=Service("/usr/bin/chromedriver"))
    try:
        for file, width, height, phone, dark, query, there in FIGURES:
            browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride",
                                    {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": phone})
            browser.execute_cdp_cmd("Emulation.setTouchEmulationEnabled", {"enabled": phone})
            browser.execute_cdp_cmd("Emulation.setEmulatedMedia",
                                    {"features": [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]})
            browser.get(f"{address}/{query}")
            for shown in (there, ".cards label:last-child img[src]"):
                WebDriverWait(browser, 60).until(lambda _: browser.find_elements(By.CSS_SELECTOR, shown))
            browser.execute_async_script("setTimeout(arguments[0], 500)")  # what fades in has come
            browser.save_screenshot(str(folder / file))
    finally:
        browser.quit()
finally:
    server.terminate()
    server.wait()
