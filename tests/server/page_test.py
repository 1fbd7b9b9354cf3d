"""The page as a person meets it: Chromium, driven by its WebDriver, clicks, drags and types through every feature, against a
server that it starts. Needs Debian's chromium and chromium-driver, and selenium from PyPI; with axe-core-python, also from
PyPI, what axe knows of accessibility is held against each view.

Usage: page_test.py ONESTEP MODELS, a folder that make_models.py has filled"""

import base64
import io
import json
import os
import re
import shlex
import subprocess
import sys
import tempfile
import time
import unittest
import zipfile
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import numpy
from PIL import Image
from selenium import webdriver
from selenium.webdriver import ActionChains, Keys
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.actions.action_builder import ActionBuilder
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import Select, WebDriverWait

from served import Server

try:
    import axe_core_python

    AXE_SCRIPT = (Path(axe_core_python.__file__).parent / "axe.min.js").read_text()
except ImportError:
    AXE_SCRIPT = None

ONESTEP = str(Path(sys.argv.pop(1)).resolve())
MODELS = Path(sys.argv.pop(1))
SHOWN = [ONESTEP, "fashion", "fashion-teacher"]
PATIENCE = int(os.environ.get("PATIENCE", 60))  # seconds; a machine that compiles beside this test is slow

# Runs before the page does: keeps what the page asks of the server, so that a test sees what a click has sent.
SPY = """
window.asked = [];
const fetched = window.fetch;
window.fetch = (path, options) => {
  window.asked.push({path: String(path), body: options?.body ? JSON.parse(options.body) : null});
  options?.signal?.addEventListener('abort', () => window.asked.push({path: 'aborted ' + path}));
  return fetched(path, options);
};
"""
# The values of a picture that is shown.
VALUES = """
const [image, done] = arguments;
image.decode().then(() => {
  const canvas = document.createElement('canvas');
  canvas.width = image.naturalWidth;
  canvas.height = image.naturalHeight;
  const surface = canvas.getContext('2d');
  surface.drawImage(image, 0, 0);
  done([canvas.width, canvas.height, Array.from(surface.getImageData(0, 0, canvas.width, canvas.height).data)]);
}).catch((error) => done(String(error)));
"""


def start_browser(folder):
    options = Options()
    for argument in ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--window-size=1280,800",
                     "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync",
                     # As on a machine with a mouse.
                     "--blink-settings=primaryHoverType=2,availableHoverTypes=2,primaryPointerType=4,availablePointerTypes=4"]:
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    browser = webdriver.Chrome(options=options, service=Service("/usr/bin/chromedriver"))
    browser.execute_cdp_cmd("Browser.setDownloadBehavior", {"behavior": "allow", "downloadPath": str(folder)})
    browser.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": SPY})
    browser.set_script_timeout(PATIENCE)
    return browser


class Page(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.downloads = Path(cls.folder.name)
        cls.server = Server(*SHOWN)
        cls.browser = start_browser(cls.downloads)

    @classmethod
    def tearDownClass(cls):
        cls.browser.quit()
        cls.server.end()
        cls.folder.cleanup()

    def setUp(self):
        self.size(1280, 800)
        self.browser.get("about:blank")
        self.messages()
        self.requests()

    def tearDown(self):
        # Nothing is complained of, and nothing is asked of anyone else.
        complaints = [each for each in self.messages() if each["level"] == "SEVERE" and not self.gone(each["message"])]
        self.assertEqual(complaints, [])
        strangers = [url for url in self.requests() if not url.startswith((self.server.address + "/", "blob:", "data:", "about:"))]
        self.assertEqual(strangers, [])
        self.may_be_gone = False

    may_be_gone = False  # only the test that stops the server

    def gone(self, message):
        return self.may_be_gone and "ERR_" in message

    # ---- the browser ----

    def size(self, width, height, phone=False):
        self.browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride",
                                     {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": phone})

    def messages(self):
        return self.browser.get_log("browser")

    def requests(self):
        messages = [json.loads(entry["message"])["message"] for entry in self.browser.get_log("performance")]
        return [each["params"]["request"]["url"] for each in messages if each["method"] == "Network.requestWillBeSent"]

    def open(self, query=""):
        self.browser.get(self.server.address + "/" + query)

    def wait(self, condition, what):
        def holds(_):
            try:
                return condition()
            except Exception as error:  # elements come and go while a page draws
                if type(error).__module__.startswith("selenium"):
                    return False
                raise
        return WebDriverWait(self.browser, PATIENCE, poll_frequency=0.05).until(holds, what)

    def all(self, selector):
        return self.browser.find_elements(By.CSS_SELECTOR, selector)

    def one(self, selector):
        return self.wait(lambda: next((each for each in self.all(selector) if each.is_displayed()), None), f"{selector} is shown")

    def button(self, text):
        return self.wait(lambda: next((each for each in self.all("button") if each.is_displayed() and each.text.split("\n")[0] == text), None),
                         f"a button says {text}")

    def script(self, text, *values):
        return self.browser.execute_script(text, *values)

    def address(self):
        return {name: value[0] for name, value in parse_qs(urlsplit(self.browser.current_url).query).items()}

    def values(self, image):
        """[height, width, 4] of a picture that is shown."""
        answer = self.browser.execute_async_script(VALUES, image)
        self.assertIsInstance(answer, list, answer)
        width, height, values = answer
        return numpy.array(values, dtype=numpy.uint8).reshape(height, width, 4)

    def keys(self, *keys):
        ActionChains(self.browser).send_keys(*keys).perform()

    def asked(self, path):
        """Bodies of what the page has asked of an address."""
        return [each["body"] for each in self.script("return window.asked") if each["path"] == path]

    def sheet(self, count):
        """The sheet's pictures, once all are there."""
        self.wait(lambda: self.one(".sheet").get_attribute("aria-busy") == "false" and
                  len(self.all(".sheet li:not(.waiting):not(.empty) img[src]")) == count, f"a sheet of {count}")
        return self.all(".sheet img")

    def names(self):
        return [image.get_attribute("alt") for image in self.all(".sheet img")]

    def sources(self):
        return [image.get_attribute("src") for image in self.all(".sheet img")]

    def downloaded(self, ending, act):
        for path in self.downloads.iterdir():
            path.unlink()
        act()
        return self.wait(lambda: next(self.downloads.glob(f"*{ending}"), None), f"a file *{ending} is downloaded")

    def opened(self):
        """The large picture, once it is there."""
        return self.wait(lambda: next(iter(self.all("dialog[open] .frame:not(.waiting) .large[src]")), None), "a picture is open")

    def command(self, where="dialog[open]"):
        button = self.one(f"{where} [data-copy]")
        button.click()
        return self.wait(lambda: button.get_attribute("data-copied"), "a command is copied")

    def run_command(self, command):
        """What a shell makes of a command that the page gave: the last picture that it writes."""
        with tempfile.TemporaryDirectory() as folder:
            (Path(folder) / "bin").mkdir()
            (Path(folder) / "bin/onestep").symlink_to(ONESTEP)
            environment = {**os.environ, "PATH": f"{folder}/bin:{os.environ['PATH']}"}
            subprocess.run(["bash", "-c", command], cwd=folder, env=environment, check=True, capture_output=True, timeout=PATIENCE)
            output = shlex.split(command.split("&&")[-1])[-1]
            return numpy.asarray(Image.open(Path(folder) / output).convert("RGBA"))

    # ---- pictures ----

    def test_opens_on_a_full_sheet_of_the_first_model(self):
        self.open()
        images = self.sheet(24)
        first = self.script("return performance.getEntriesByType('paint').at(-1)?.startTime")
        print(f"first paint {first:.0f} ms; {self.one('.headline .status').text}", file=sys.stderr)
        values = [self.values(image) for image in images]
        self.assertEqual({value.shape for value in values}, {(28, 28, 4)})
        self.assertEqual(len({value.tobytes() for value in values}), 24, "pictures differ")
        self.assertRegex(self.names()[5], r"^[A-Z][\w -]+, seed 5$")
        self.wait(lambda: len([face for face in self.all(".face img") if face.get_attribute("src")]) == 2, "each model has a picture")

    def test_the_button_and_the_space_bar_draw_the_next_sheet(self):
        self.open()
        self.sheet(24)
        first = [self.values(image).tobytes() for image in self.all(".sheet img")[:4]]
        self.one(".big").click()
        self.wait(lambda: self.address().get("seed") == "24", "the address has the next seed")
        self.wait(lambda: self.names()[0].endswith("seed 24"), "the next sheet")
        self.sheet(24)
        second = [self.values(image).tobytes() for image in self.all(".sheet img")[:4]]
        self.assertFalse(set(first) & set(second), "pictures really change")
        self.script("document.activeElement.blur()")
        self.keys(" ")
        self.wait(lambda: self.names()[0].endswith("seed 48"), "the space bar draws the next sheet")
        self.browser.back()
        self.wait(lambda: self.names()[0].endswith("seed 24"), "back goes back")
        self.sheet(24)
        self.assertEqual([self.values(image).tobytes() for image in self.all(".sheet img")[:4]], second)

    def test_label_count_steps_and_seed_choose_what_is_drawn(self):
        self.open()
        self.sheet(24)
        Select(self.one("[name=label]")).select_by_visible_text("Dress")
        self.wait(lambda: self.names()[0] == "Dress, seed 0", "dresses")
        for name, value in [("count", "6"), ("seed", "100")]:
            field = self.one(f"[name={name}]")
            field.clear()
            field.send_keys(value, Keys.TAB)
            self.wait(lambda: self.address().get(name) == value, name)
        self.wait(lambda: self.names() == [f"Dress, seed {100 + i}" for i in range(6)], "six dresses from seed 100")
        one_step = self.values(self.sheet(6)[0])
        self.script("arguments[0].click()", self.browser.find_element(By.CSS_SELECTOR, "[name=steps][value='2']"))
        sheets = lambda: [request for request in self.asked("/api/generate") if "steps" in request]  # not the models' own pictures
        self.wait(lambda: sheets()[-1]["steps"] == 2, "two steps are asked for")
        self.wait(lambda: "2 network calls" in self.one(".headline .status").text, "two calls are reported")
        self.assertFalse(numpy.array_equal(self.values(self.sheet(6)[0]), one_step))
        self.assertEqual(sheets()[-1],
                         {"model": "fashion", "seeds": list(range(100, 106)), "steps": 2, "labels": ["Dress"]})

    def test_another_model_is_chosen(self):
        self.open("?count=3")
        self.sheet(3)
        self.script("arguments[0].click()", self.browser.find_element(By.CSS_SELECTOR, "[name=model][value=fashion-teacher]"))
        self.wait(lambda: self.address().get("model") == "fashion-teacher", "the address has the model")
        self.wait(lambda: re.search(r"\b35 network calls", self.one(".headline .status").text), "the teacher's calls")
        self.sheet(3)
        self.one(".sheet a").click()
        self.opened()
        self.assertEqual([], self.all("[data-tool=fix].action"), "what a model can't do is not shown")

    def test_a_link_shows_the_same_again(self):
        self.open("?label=Bag&seed=7&steps=2&count=4&open=9&tool=more&strength=300")
        self.opened()
        self.wait(lambda: len(self.all(".handful li:not(.waiting) img[src]")) == 8, "variations")
        before = [self.values(image).tobytes() for image in self.all(".handful img") + self.sheet(4)]
        self.assertEqual(self.names(), [f"Bag, seed {seed}" for seed in range(7, 11)])
        link = self.browser.current_url
        self.browser.get("about:blank")
        self.browser.get(link)
        self.opened()
        self.wait(lambda: len(self.all(".handful li:not(.waiting) img[src]")) == 8, "variations")
        self.assertEqual([self.values(image).tobytes() for image in self.all(".handful img") + self.sheet(4)], before)

    def test_pictures_are_downloaded_as_png_sheet_and_zip(self):
        self.open("?count=5&seed=3")
        images = self.sheet(5)
        shown = [self.values(image) for image in images]
        archive = self.downloaded(".zip", lambda: self.button("All as ZIP").click())
        with zipfile.ZipFile(archive) as files:
            self.assertIsNone(files.testzip())
            self.assertEqual(len(files.namelist()), 5)
            for name, value in zip(files.namelist(), shown):
                picture = Image.open(io.BytesIO(files.read(name)))
                self.assertIn("onestep", picture.text, "how it was made is inside")
                self.assertTrue(numpy.array_equal(numpy.asarray(picture.convert("RGBA")), value))
        ActionChains(self.browser).move_to_element(images[1]).perform()
        self.all(".tick input")[1].click()
        ActionChains(self.browser).move_to_element(images[4]).perform()
        self.all(".tick input")[4].click()
        archive = self.downloaded(".zip", lambda: self.button("Download 2 as ZIP").click())
        with zipfile.ZipFile(archive) as files:
            self.assertEqual([name.rsplit("-", 1)[1] for name in files.namelist()], ["4.png", "7.png"])
        with Image.open(self.downloaded("sheet.png", lambda: self.button("Sheet as PNG").click())) as sheet:
            self.assertGreaterEqual(sheet.width * sheet.height, 5 * 28 * 28)

    # ---- one picture ----

    def test_a_picture_opens_with_its_seed_and_its_command_makes_it_again(self):
        self.open("?count=6")
        self.sheet(6)
        name = self.names()[4]
        self.all(".sheet a")[4].click()
        large = self.opened()
        self.assertEqual(large.get_attribute("alt"), name)
        self.assertEqual(self.one("dialog[open] .status").text, "Seed 4")
        self.assertGreater(large.size["width"], 400, "it grows")
        shown = self.values(large)
        file = self.downloaded(".png", lambda: self.one("[data-download]").click())
        self.assertTrue(numpy.array_equal(numpy.asarray(Image.open(file).convert("RGBA")), shown))
        self.assertTrue(numpy.array_equal(self.run_command(self.command()), shown), "the command makes the same picture")
        self.keys(Keys.ESCAPE)
        self.wait(lambda: not self.all("dialog[open]"), "Escape closes")
        self.assertNotIn("open", self.address())

    def test_more_like_this(self):
        self.open("?count=6&label=Coat&open=2")
        start = self.values(self.opened())
        self.one("[data-tool=more].action").click()
        self.wait(lambda: len(self.all(".handful li:not(.waiting) img[src]")) == 8, "variations")
        request = self.asked("/api/edit")[-1]
        self.assertEqual((request["task"], len(request["seeds"]), request["labels"]), ("stroke", 8, [4]))
        self.assertTrue(base64.b64decode(request["picture"]).startswith(b"\x89PNG"))
        near = [self.values(image) for image in self.all(".handful img")]
        self.assertEqual(len({value.tobytes() for value in near}), 8)
        # A slider further to the right goes further from the picture.
        asked = len(self.asked("/api/edit"))
        self.one("#strength").send_keys(Keys.HOME)
        self.wait(lambda: len(self.asked("/api/edit")) > asked and self.address().get("strength") == "30", "asked anew")
        self.wait(lambda: len(self.all(".handful li:not(.waiting) img[src]")) == 8, "variations")
        nearer = [self.values(image) for image in self.all(".handful img")]
        distance = lambda values: numpy.mean([numpy.abs(value.astype(int) - start).mean() for value in values])
        self.assertLess(distance(nearer), distance(near))
        self.all(".handful button")[3].click()
        self.wait(lambda: "made" in self.address(), "the change is in the address")
        taken = self.values(self.opened())
        self.wait(lambda: self.all("dialog[open] .status")[0].text == "Seed 2 · 1 change", "a change is counted")
        taken = self.values(self.opened())
        self.assertTrue(numpy.array_equal(taken, nearer[3]))
        self.assertTrue(numpy.array_equal(self.run_command(self.command()), taken), "the command makes the same picture")
        self.browser.refresh()
        self.assertTrue(numpy.array_equal(self.values(self.opened()), taken), "the link makes the change again")

    def test_between_two(self):
        self.open("?count=8&label=Dress&open=1")
        start = self.values(self.opened())
        self.one("[data-tool=between].action").click()
        self.wait(lambda: len(self.all(".handful img[src]")) >= 7, "others to choose from")
        self.one(".handful [data-seed='6']").click()
        self.wait(lambda: self.address().get("to") == "6", "the other is in the address")
        request = self.wait(lambda: self.asked("/api/edit")[-1], "frames are asked for")
        self.assertEqual([request[field] for field in ("task", "from_seed", "to_seed", "labels")], ["interpolate", 1, 6, [3]])
        slider = self.one("#part:enabled")
        alt = lambda: self.opened().get_attribute("alt")
        self.wait(lambda: len(self.all(".end img[src]")) == 2, "all frames are there")
        slider.send_keys(Keys.HOME)
        self.wait(lambda: alt().startswith("Dress, 0 %"), "the start")
        self.assertLessEqual(int(numpy.abs(self.values(self.opened()).astype(int) - start).max()), 1, "the start is the picture itself")
        slider.send_keys(Keys.END)
        self.wait(lambda: alt().startswith("Dress, 100 %"), "the end")
        end = self.values(self.opened())
        other = next(image for image in self.all(".sheet img") if image.get_attribute("alt") == "Dress, seed 6")
        self.assertLessEqual(int(numpy.abs(end.astype(int) - self.values(other)).max()), 1, "the end is the other one")
        # The mouse drags it: pictures change on the way.
        width = slider.size["width"]
        ActionChains(self.browser).move_to_element_with_offset(slider, width // 2 - 10, 0).click_and_hold().move_by_offset(-width // 2, 0).perform()
        self.wait(lambda: 20 < int(re.search(r"(\d+) %", alt())[1]) < 80, "live while dragged")
        ActionChains(self.browser).release().perform()
        middle = self.values(self.opened())
        self.assertFalse(numpy.array_equal(middle, end))
        self.wait(lambda: "part" in self.address(), "the place is in the address")
        self.browser.refresh()
        self.wait(lambda: len(self.all(".end img[src]")) == 2 and "% of the way" in alt(), "the link shows it")
        self.assertTrue(numpy.array_equal(self.values(self.opened()), middle))
        sheet = self.run_command(self.command())  # a gap of two pixels between pictures of 28
        tiles = [sheet[y:y + 28, x:x + 28] for y in range(2, sheet.shape[0], 30) for x in range(2, sheet.shape[1], 30)]
        self.assertTrue(any(numpy.array_equal(tile, middle) for tile in tiles), "the command makes the same picture")
        archive = self.downloaded(".zip", lambda: self.button("All frames as ZIP").click())
        with zipfile.ZipFile(archive) as files:
            self.assertIsNone(files.testzip())
            self.assertEqual(len(files.namelist()), 33)

    def test_a_mask_drawn_with_the_mouse_reaches_the_model(self):
        self.open("?count=6&label=Bag&open=3")
        start = self.values(self.opened())
        self.one("[data-tool=fix].action").click()
        brush = self.one(".brush")
        width, height = brush.size["width"], brush.size["height"]
        ActionChains(self.browser).move_to_element_with_offset(brush, -width // 4, -height // 4).click_and_hold() \
            .move_by_offset(0, height // 3).release().perform()
        self.wait(lambda: len(self.all(".handful li:not(.waiting) img[src]")) == 4, "repairs")
        request = self.asked("/api/edit")[-1]
        self.assertEqual(request["task"], "inpaint")
        mask = numpy.asarray(Image.open(io.BytesIO(base64.b64decode(request["mask"]))).convert("L"))
        self.assertEqual(mask.shape, (28, 28))
        self.assertEqual((mask[10, 7], mask[10, 21], mask[27, 7]), (255, 0, 0), "white where the mouse was")
        self.assertTrue(set(numpy.unique(mask)) <= {0, 255})
        repairs = [self.values(image) for image in self.all(".handful img")]
        self.assertEqual(len({value.tobytes() for value in repairs}), 4)
        for value in repairs:
            self.assertLessEqual(int(numpy.abs(value.astype(int) - start)[mask == 0].max()), 1, "the rest stays")
            self.assertGreater(int(numpy.abs(value.astype(int) - start)[mask == 255].max()), 1, "the part is new")
        self.all(".handful button")[1].click()
        self.wait(lambda: self.all("dialog[open] .status")[0].text == "Seed 3 · 1 change", "the repair is taken")
        taken = self.values(self.opened())
        self.assertTrue(numpy.array_equal(taken, repairs[1]))
        self.assertTrue(numpy.array_equal(self.run_command(self.command()), taken), "the command makes the same picture")

    def test_the_brush_works_by_keys(self):
        self.open("?count=2&label=Bag&open=1&tool=fix")
        self.opened()
        self.script("arguments[0].focus()", self.one(".brush"))
        self.keys(Keys.ARROW_LEFT, Keys.ARROW_LEFT, " ")
        self.wait(lambda: len(self.all(".handful li:not(.waiting) img[src]")) == 4, "repairs")
        self.assertIn("mask", self.address())
        self.keys(Keys.DELETE)
        self.wait(lambda: "mask" not in self.address(), "Delete clears")

    # ---- the plane ----

    def painted(self):
        """How much of the map is not empty."""
        return self.script("""const map = document.querySelector('.map');
          const values = map.getContext('2d').getImageData(0, 0, map.width, map.height).data;
          let full = 0;
          for (let i = 3; i < values.length; i += 4) full += values[i] === 255;
          return full / (values.length / 4);""")

    def map_values(self):
        return self.script("""const map = document.querySelector('.map');
          return Array.from(map.getContext('2d').getImageData(map.width / 2 - 50, map.height / 2 - 50, 100, 100).data)""")

    def test_the_map_drags_zooms_and_jumps(self):
        self.size(1000, 560)  # the fewer tiles
        full = lambda: self.wait(lambda: self.painted() == 1, "tiles fill the map")
        middle = lambda: numpy.array(self.map_values()).reshape(100, 100, 4)
        self.open("?view=plane&label=Bag&steps=1")
        full()
        before = middle()
        self.assertGreater(before[..., 0].std(), 1, "something is drawn")
        world = self.one(".map")
        ActionChains(self.browser).move_to_element(world).click_and_hold().move_by_offset(-60, 40).release().perform()
        self.wait(lambda: self.address().get("at") == "30,-20,2", "the place is in the address")
        full()
        after = middle()
        self.assertTrue(numpy.array_equal(after[40:, :40], before[:60, 60:]), "what was there has moved with the hand")
        self.browser.refresh()
        full()
        self.assertTrue(numpy.array_equal(middle(), after), "the link shows it")
        for name, value in [("map-x", "-100000"), ("map-y", "5000")]:
            field = self.one(f"#{name}")
            field.clear()
            field.send_keys(value)
        self.button("Go there").click()
        self.wait(lambda: self.address()["at"] == "-100000,5000,2", "jumped")
        full()
        self.assertFalse(numpy.array_equal(middle(), after))
        world = self.one(".map")
        self.script("arguments[0].focus()", world)
        self.keys("-", Keys.ARROW_RIGHT)
        self.wait(lambda: self.address()["at"] == "-99904,5000,1", "keys move and zoom")
        self.one("[aria-label='Zoom out']").click()
        self.wait(lambda: self.address()["at"].endswith(",0.5"), "zoomed out")
        self.wait(lambda: any("/-1/" in each["path"] for each in self.script("return window.asked")), "smaller tiles are asked for")
        self.script("arguments[0].focus()", world)
        self.keys(" ")
        self.wait(lambda: self.address().get("seed") == "1", "the space bar draws another plane")

    def test_tiles_that_are_out_of_view_are_given_up(self):
        self.open("?view=plane&label=Bag&at=0,0,0.5")
        self.wait(lambda: any(each["path"].startswith("/api/canvas/") for each in self.script("return window.asked")), "tiles are asked for")
        for x in range(3):
            self.script("document.querySelector('#map-x').value = arguments[0]", 1_000_000 * (x + 1))
            self.script("document.querySelector('form[aria-label^=Jump]').requestSubmit()")
        given_up = lambda asked: sum(each["path"].startswith("aborted /api/canvas/") for each in asked)
        before = given_up(self.script("return window.asked"))
        self.assertGreater(before, 0)
        # So are those of a page that is left; back on it, it is there again.
        drawn = lambda: self.script("return window.asked.filter(({path}) => path.startsWith('/api/canvas/')).length")
        self.script("window.onpagehide = () => sessionStorage.setItem('asked', JSON.stringify(window.asked))")
        self.open("?count=2")
        self.sheet(2)
        left = json.loads(self.script("return sessionStorage.getItem('asked')"))
        self.assertGreater(given_up(left), before, "what was in view when the page was left")
        self.browser.back()
        self.wait(lambda: drawn() > 0 and self.one(".map"), "back on the map")

    def test_a_piece_is_cut_out(self):
        self.open("?view=plane&label=Bag&steps=1&at=40,10,1")
        self.button("Draw it").click()
        world = self.one(".map")
        ActionChains(self.browser).move_to_element_with_offset(world, -50, -50).click_and_hold().move_by_offset(112, 84).release().perform()
        self.wait(lambda: self.address().get("cut") == "-10,-40,112,84", "the piece is in the address")
        self.assertEqual([self.one(f"#cut-{side}").get_attribute("value") for side in ("width", "height")], ["112", "84"])
        self.button("Cut this out").click()
        file = self.downloaded("112x84.png", lambda: self.one("dialog[open] [data-download]").click())
        with Image.open(file) as picture:
            piece = numpy.asarray(picture.convert("RGBA"))
        self.assertEqual(piece.shape, (84, 112, 4))
        request = self.asked("/api/canvas")[-1]
        self.assertEqual((request["size"], request["at"], request["seamless"], request["label"]), ([112, 84], [-10, -40], False, "Bag"))
        again = self.run_command(self.command())
        self.assertTrue(numpy.array_equal(again, piece), "the command makes the same piece")
        self.keys(Keys.ESCAPE)
        self.wait(lambda: not self.all("dialog[open]"), "Escape closes")

    def test_a_seamless_piece_repeats(self):
        self.open("?view=plane&label=Bag&steps=1&cut=0,0,112,112")
        self.one("[name=seamless]").click()
        self.wait(lambda: self.address().get("seamless") == "1", "seamless is in the address")
        self.button("Cut this out").click()
        self.one("dialog[open] .repeated")
        self.assertIs(self.asked("/api/canvas")[-1]["seamless"], True)
        file = self.downloaded("112x112.png", lambda: self.one("dialog[open] [data-download]").click())
        values = numpy.asarray(Image.open(file).convert("L")).astype(int)
        self.assertEqual(values.shape, (112, 112))
        # From the last column to the first is no greater step than from any to the next.
        steps = numpy.abs(numpy.diff(values, axis=1)).mean(axis=0)
        self.assertLessEqual(numpy.abs(values[:, 0] - values[:, -1]).mean(), steps.max())

    def test_labels_are_painted_on_the_plane(self):
        """With a model whose pixels are the label: 0 grey, 1 white."""
        cls = type(self)
        usual = cls.server
        self.open("?view=plane&label=Bag&steps=1")
        self.one(".map")
        self.assertEqual([], self.all("[name=brush]"), "what a model can't do is not shown")
        cls.server = Server(ONESTEP, str(MODELS / "Painted.pt"))
        try:
            self.size(1000, 560)
            self.open("?view=plane&label=0&at=0,0,1")
            full = lambda: self.wait(lambda: self.painted() == 1 and self.one(".world").get_attribute("aria-busy") == "false", "tiles fill the map")
            middle = lambda: numpy.array(self.map_values()).reshape(100, 100, 4)[..., 0]
            full()
            grey = middle()[50, 50]
            self.assertTrue((middle() == grey).all() and grey < 200, grey)
            world = self.one(".map")
            # Without a brush a drag moves the map; with one it paints.
            ActionChains(self.browser).move_to_element(world).click_and_hold().move_by_offset(-10, 0).release().perform()
            self.wait(lambda: self.address().get("at") == "10,0,1", "moved")
            self.script("arguments[0].click()", self.browser.find_element(By.CSS_SELECTOR, "[name=brush][value='1']"))
            ActionChains(self.browser).move_to_element(world).click_and_hold().move_by_offset(30, 30).release().perform()
            self.wait(lambda: "paint" in self.address(), "the painting is in the address")
            self.assertEqual(self.address()["at"], "10,0,1", "the map stays")
            full()
            self.wait(lambda: middle()[50, 50] == 255 and middle()[80, 80] == 255, "white where the brush was")
            request = self.asked("/api/canvas")[-1]
            self.assertNotIn("label", request)
            self.assertTrue({0, 1} == set(sum(request["label_map"]["labels"], [])), request)
            ActionChains(self.browser).move_to_element(self.one(".big")).perform()  # without the brush, which is drawn under the mouse
            full()
            painted = middle()
            self.browser.refresh()
            full()
            self.wait(lambda: numpy.array_equal(middle(), painted), "the link shows it")
            # What is cut out is what was painted, and the command draws it again.
            self.script("arguments[0].value = 200; arguments[1].value = 150; arguments[1].dispatchEvent(new Event('change'))",
                        self.one("#cut-width"), self.one("#cut-height"))
            self.button("Cut this out").click()
            with Image.open(self.downloaded("200x150.png", lambda: self.one("dialog[open] [data-download]").click())) as picture:
                piece = numpy.asarray(picture.convert("RGBA"))
            self.assertEqual(set(numpy.unique(piece[..., 0])), {grey, 255})
            command = self.command().replace("generate painted", f"generate {MODELS / 'Painted.pt'}")
            self.assertTrue(numpy.array_equal(self.run_command(command), piece))
            self.keys(Keys.ESCAPE)
            # By keys: Enter paints at the middle; rubbing out and clearing take it away.
            self.script("arguments[0].click()", self.browser.find_element(By.CSS_SELECTOR, "[name=brush][value='none']"))
            self.script("arguments[0].focus()", self.one(".map"))
            before = self.address()["paint"]
            self.keys(Keys.ENTER)
            self.wait(lambda: self.address().get("paint") != before, "rubbed out")
            self.wait(lambda: middle()[50, 50] == grey, "grey again")
            self.button("Clear the painting").click()
            self.wait(lambda: "paint" not in self.address() and (middle() == grey).all(), "cleared")
            if AXE_SCRIPT:
                self.script(AXE_SCRIPT)
                result = self.browser.execute_async_script("const done = arguments[0]; axe.run().then(done, (e) => done({violations: [String(e)]}))")
                self.assertEqual([each["id"] for each in result["violations"]], [])
            self.assertTrue(all(url.startswith((cls.server.address, "blob:", "data:", "about:", usual.address)) for url in self.requests()))
        finally:
            self.browser.get("about:blank")
            self.requests()
            cls.server.end()
            cls.server = usual

    def test_what_the_server_refuses_is_said_in_its_words(self):
        self.open("?view=plane&label=Bag&steps=1&cut=0,0,113,97&seamless=1")
        self.button("Cut this out").click()
        self.wait(lambda: re.search(r"11[23]", self.one("dialog[open] .notice").text), "the size is named")
        self.assertEqual([each["level"] for each in self.messages() if "422" not in each["message"]], [])
        self.open("?label=Hat&count=2")
        self.wait(lambda: "unknown label Hat" in self.one(".notice").text, "the label is named")
        self.messages()  # Chromium tells of every answer of 400 and above

    # ---- music ----

    def with_music(self):
        """A server that has a model of music too: its voice sings the tonic at every beat, its piano plays the triad twice a bar."""
        cls = type(self)
        usual, cls.server = cls.server, Server(ONESTEP, "fashion", str(MODELS / "triads.pt"))

        def end():
            self.browser.get("about:blank")
            self.requests()
            cls.server.end()
            cls.server = usual
        return end

    def piece(self, notes=None):
        """The notes of the piece, once it is there, and, if these are asked for, once it has them: (part, start, length, pitch)."""
        def found():
            if not self.all(".piece-roll:not(.waiting) .note") or self.all(".piece-roll.waiting"):
                return None
            texts = self.script("return [...document.querySelectorAll('.piece-roll [data-note]')].map((each) => each.dataset.note)")
            piece = {(part, *map(int, numbers)) for part, *numbers in (text.split() for text in texts)}
            return piece if notes is None or notes <= piece else None
        return self.wait(found, "a piece is there")

    def motif(self):
        return self.script("return [...document.querySelectorAll('.editor [data-note]')].map((each) => each.dataset.note)")

    def cell(self, column, pitch):
        """Where the middle of a sixteenth lies, from that of what is seen of the roll; it is brought into view."""
        return self.script("""const [column, pitch] = arguments, editor = document.querySelector('.editor'), grid = editor.querySelector('.roll');
          const rows = grid.clientHeight / 24, wide = grid.clientWidth / 64;  // pitches 60 to 83, four bars
          editor.scrollTop = (83.5 - pitch) * rows - editor.clientHeight / 2;
          const box = grid.getBoundingClientRect();
          return [Math.round(box.left + (column + 0.5) * wide), Math.round(box.top + (83.5 - pitch) * rows)];""", column, pitch)

    def drag(self, begin, end):
        actions = ActionBuilder(self.browser)
        mouse = actions.pointer_action.move_to_location(*self.cell(*begin)).pointer_down()
        if end != begin:
            mouse.move_to_location(*self.cell(*end))
        mouse.pointer_up()
        actions.perform()

    def test_a_motif_clicked_in_comes_back_harmonised(self):
        end = self.with_music()
        try:
            self.open("?view=music&bars=3&label=C")
            self.assertEqual(self.piece(), {("voice", 4 * beat, 4, 60) for beat in range(12)} |
                             {("piano", 8 * half, 8, pitch) for half in range(6) for pitch in (60, 64, 67)}, "opens on a new piece")
            self.assertEqual([radio.get_attribute("value") for radio in self.all("[name=task]:disabled")], ["harmonise", "continue", "vary", "fill"])
            # Click, drag, and take away again: D F A, and one that was wrong.
            self.drag((0, 62), (0, 62))
            self.drag((4, 65), (11, 65))
            self.drag((13, 70), (13, 70))
            self.drag((13, 70), (13, 70))
            self.drag((16, 69), (16, 69))
            given = {("voice", 0, 4, 62), ("voice", 4, 8, 65), ("voice", 16, 4, 69)}
            self.assertEqual(sorted(self.motif()), sorted(" ".join(map(str, note)) for note in given))
            self.assertIn("motif", self.address())
            Select(self.one("[name=label]")).select_by_visible_text("Any")
            self.script("arguments[0].click()", self.browser.find_element(By.CSS_SELECTOR, "[name=task][value=harmonise]"))
            piece = self.piece(given)
            # No others in the bars of the melody, which it has two of; the third is the model's.
            tonic = {"D minor": 62, "F major": 65, "A minor": 69}[self.one(".written h1").text]
            self.assertEqual({note for note in piece if note[0] == "voice"}, given | {("voice", start, 4, tonic) for start in range(32, 48, 4)})
            self.assertEqual(len([note for note in piece if note[0] == "piano"]), 18, "a triad twice a bar")
            self.assertEqual(len(self.all(".piece-roll .given")), 3)
            request = self.asked("/api/compose")[-1]
            self.assertEqual((request["task"], request["bars"], len(request["motif"])), ("harmonise", 3, 3))
            self.assertNotIn("key", request)
            # The command writes the same piece, and the file is that piece.
            file = self.downloaded(".mid", lambda: self.button(".mid").click()).read_bytes()
            self.assertTrue(file.startswith(b"MThd"))
            command = self.command(".written").replace("compose triads", f"compose {MODELS / 'triads.pt'}")
            self.assertEqual(self.run_bytes(command), file)
            with Image.open(self.downloaded(".png", lambda: self.button("Picture").click())) as picture:
                self.assertEqual(picture.size, (3 * 16 * 6 + 1, 24 * 6))
            if self.script("return [...document.querySelectorAll('.written button')].some((each) => each.textContent === '.wav' && !each.hidden)"):
                self.assertTrue(self.downloaded(".wav", lambda: self.button(".wav").click()).read_bytes().startswith(b"RIFF"))
            # The link brings back motif and piece.
            self.browser.refresh()
            self.assertEqual(self.piece(given), piece)
            self.assertEqual(len(self.motif()), 3)
            # Another seed, by the space bar; back in the history.
            self.script("document.activeElement.blur()")
            self.keys(" ")
            self.wait(lambda: self.address().get("seed") == "1" and "seed 1" in self.one(".written .status").text, "another one")
            self.browser.back()
            self.wait(lambda: "seed 0" in self.one(".written .status").text, "back")
            self.assertEqual(self.piece(given), piece)
        finally:
            end()

    def run_bytes(self, command):
        with tempfile.TemporaryDirectory() as folder:
            (Path(folder) / "onestep").symlink_to(ONESTEP)
            environment = {**os.environ, "PATH": f"{folder}:{os.environ['PATH']}"}
            subprocess.run(["bash", "-c", command], cwd=folder, env=environment, check=True, capture_output=True, timeout=PATIENCE)
            return (Path(folder) / shlex.split(command)[-1]).read_bytes()

    def test_a_motif_is_written_by_keys_continued_and_varied(self):
        end = self.with_music()
        try:
            self.open("?view=music&bars=1")
            self.piece()
            self.script("document.querySelector('.grid').focus()")  # at C4
            self.keys(Keys.ARROW_UP, Keys.ARROW_UP, Keys.ENTER)
            self.wait(lambda: self.motif() == ["voice 0 4 62"], "a note")
            shift = lambda key: ActionChains(self.browser).key_down(Keys.SHIFT).send_keys(key).key_up(Keys.SHIFT).perform()
            self.keys("-")
            shift(Keys.ARROW_RIGHT)
            self.keys(Keys.ARROW_RIGHT)
            shift(Keys.ARROW_UP)
            self.keys(" ")
            self.wait(lambda: self.motif() == ["voice 0 3 62", "voice 5 4 74"], "two, the first shorter")
            self.assertNotIn("seed", self.address(), "the space bar writes a note here")
            said = lambda: self.script("return document.getElementById('announcer').textContent")
            self.assertEqual(said(), "D5, bar 1, beat 2 and 1 sixteenth written")
            self.keys(Keys.DELETE)
            self.wait(lambda: self.motif() == ["voice 0 3 62"], "deleted")
            self.script("arguments[0].click()", self.browser.find_element(By.CSS_SELECTOR, "[name=task][value=continue]"))
            self.wait(lambda: "1 bar ·" in self.one(".written .status").text, "as many as asked for")
            field = self.one("[name=bars]")
            field.clear()
            field.send_keys("4", Keys.TAB)
            self.wait(lambda: "4 bars" in self.one(".written .status").text, "four bars")
            voice = {note for note in self.piece({("voice", 0, 3, 62)}) if note[0] == "voice"}
            self.assertEqual(min(start for _, start, _, _ in voice - {("voice", 0, 3, 62)}), 16, "it goes on behind the motif's bar")
            self.script("arguments[0].click()", self.browser.find_element(By.CSS_SELECTOR, "[name=task][value=vary]"))
            slider = self.one("#freedom")
            self.wait(lambda: self.asked("/api/compose")[-1]["task"] == "vary", "varied")
            slider.send_keys(Keys.END)
            self.wait(lambda: self.asked("/api/compose")[-1].get("freedom") == 1, "the slider reaches the model")
            self.assertEqual(self.address()["freedom"], "100")
            self.piece()
            self.button("Take as motif").click()
            self.wait(lambda: len(self.motif()) > 4, "the piece is the motif")
            self.script("arguments[0].click()", self.browser.find_element(By.CSS_SELECTOR, "[name=task][value=fill]"))
            self.wait(lambda: self.asked("/api/compose")[-1].get("gap") == [3, 3], "the middle bar of four")
            first = self.one("[name=gap-first]")
            first.clear()
            first.send_keys("4", Keys.TAB)
            self.wait(lambda: self.asked("/api/compose")[-1].get("gap") == [4, 4], "the last bar comes along")
            kept = {tuple(note.split()) for note in self.motif() if int(note.split()[1]) < 48}
            written = {tuple(map(str, note)) for note in self.piece()}
            self.assertGreater(len(kept), 0)
            self.assertLessEqual(kept, written, "what lies before the gap stays")
            self.button("Clear").click()
            self.wait(lambda: "motif" not in self.address() and "task" not in self.address(), "cleared")
        finally:
            end()

    def test_a_midi_file_is_opened(self):
        end = self.with_music()
        try:
            notes = [{"pitch": 67, "start": 0, "length": 40}, {"pitch": 64, "start": 70, "length": 2}, {"pitch": 61, "start": 0, "length": 3, "part": "piano"}]
            status, _, content = self.server.ask("POST", "/api/compose", {"task": "vary", "motif": notes, "tempo": 140}, Accept="application/json")
            self.assertEqual(status, 200, content)
            (self.downloads / "song.mid").write_bytes(base64.b64decode(json.loads(content)["motif"]["mid"]))
            (self.downloads / "none.mid").write_bytes(b"RIFF0000")
            self.open("?view=music&bars=2&seed=4")
            self.piece()
            self.browser.find_element(By.ID, "motif-file").send_keys(str(self.downloads / "song.mid"))
            self.wait(lambda: self.address().get("task") == "harmonise", "it is harmonised")
            self.piece({("voice", 0, 40, 67), ("voice", 70, 2, 64)})
            self.assertEqual((self.address()["tempo"], self.one("[name=bars]").get_attribute("value")), ("140", "5"))
            self.assertEqual(sorted(self.motif()), ["piano 0 3 61", "voice 0 40 67", "voice 70 2 64"])
            self.browser.find_element(By.ID, "motif-file").send_keys(str(self.downloads / "none.mid"))
            self.wait(lambda: "none.mid: is no MIDI file" in self.one(".written .notice").text, "what it is not is said")
            self.messages()  # Chromium tells of every answer of 400 and above
        finally:
            end()

    def test_a_piece_is_played(self):
        end = self.with_music()
        try:
            self.open("?view=music&bars=1&tempo=400")
            self.piece()
            heads = lambda: self.script("return [...document.querySelectorAll('.piece-roll .head')].map((each) => "
                                        "each.getAttribute('visibility') === 'visible' ? each.getAttribute('transform') : null)")
            self.assertEqual(heads(), [None])
            play = self.one(".play")
            self.assertEqual(play.get_attribute("aria-label"), "Play")
            # Sounds are made: oscillators, of both instruments.
            self.script("""window.sounds = new Set();
              const start = OscillatorNode.prototype.start;
              OscillatorNode.prototype.start = function (at) { window.sounds.add(this.frequency.value.toFixed(0)); return start.call(this, at); };""")
            play.click()
            self.wait(lambda: heads()[0], "a play head")
            first = heads()[0]
            self.wait(lambda: heads()[0] != first, "it moves")
            self.wait(lambda: play.get_attribute("aria-label") == "Play" and heads() == [None], "it ends")
            self.assertGreater(len(self.script("return [...window.sounds]")), 3)
            self.script("document.activeElement.blur()")
            self.keys("p")
            self.assertEqual(play.get_attribute("aria-label"), "Stop")
            self.keys("p")
            self.assertEqual((play.get_attribute("aria-label"), heads()), ("Play", [None]))
        finally:
            end()

    def test_music_is_for_everybody(self):
        self.open("?view=music")
        self.sheet(24)
        self.assertEqual([tab.text for tab in self.all("#tabs a")], ["Pictures", "Backgrounds", "Race"], "without a model of music there is none")
        end = self.with_music()
        try:
            self.open("?label=Bag&count=2&model=fashion")
            self.sheet(2)
            self.all("#tabs a")[2].click()
            self.piece()
            self.assertEqual([tab.text for tab in self.all("#tabs a")], ["Pictures", "Backgrounds", "Music"])
            self.assertEqual({name for name in self.address() if name != "count"}, {"view"}, "what is another model's is left behind")
            for scheme in ("light", "dark") if AXE_SCRIPT else ():
                self.browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": scheme}]})
                self.open("?view=music&task=vary&motif=0426")
                self.piece()
                self.script(AXE_SCRIPT)
                result = self.browser.execute_async_script("const done = arguments[0]; axe.run().then(done, (e) => done({violations: [String(e)]}))")
                self.assertEqual([(each["id"], [node["html"] for node in each["nodes"]][:3]) for each in result["violations"]], [])
            self.size(390, 844, phone=True)
            self.open("?view=music&task=harmonise&motif=0426&bars=20")
            self.piece()
            self.assertLessEqual(self.script("return document.documentElement.scrollWidth"), 390, "no wider than the phone")
            self.assertEqual(len(self.all(".system")), 5, "four bars a row")
            # A finger that taps writes a note, one that moves scrolls.
            self.browser.execute_cdp_cmd("Emulation.setTouchEmulationEnabled", {"enabled": True})
            self.script("document.querySelector('.editor').scrollIntoView({block: 'center'})")
            x, y = self.cell(3, 72)
            touch = lambda kind, *points: self.browser.execute_cdp_cmd("Input.dispatchTouchEvent", {
                "type": kind, "touchPoints": [{"x": x, "y": y} for x, y in points]})
            touch("touchStart", (x, y))
            touch("touchEnd")
            self.wait(lambda: "voice 3 4 72" in self.motif(), "a note by a tap")
            before = self.script("return document.querySelector('.editor').scrollTop")
            touch("touchStart", (x + 60, y))
            for step in range(1, 9):
                touch("touchMove", (x + 60, y - 10 * step))
            touch("touchEnd")
            self.wait(lambda: self.script("return document.querySelector('.editor').scrollTop") > before, "the roll scrolls")
            self.assertEqual(len(self.motif()), 2)
        finally:
            self.browser.execute_cdp_cmd("Emulation.setTouchEmulationEnabled", {"enabled": False})
            end()

    # ---- drums and loops ----

    def kit(self):
        """What the pads say, once all sixteen sound."""
        self.wait(lambda: len(self.all(".pad:not(.waiting)[aria-label]")) == 16, "sixteen pads")
        return [pad.get_attribute("aria-label") for pad in self.all(".pad")]

    def played(self):
        return self.script("return document.getElementById('view').dataset.played")

    def test_sixteen_pads_sound(self):
        usual, type(self).server = self.server, Server(ONESTEP, "fashion", str(MODELS / "beeps.pt"))
        try:
            self.open("?view=drums")
            first = self.kit()
            self.assertEqual([tab.text for tab in self.all("#tabs a")], ["Pictures", "Backgrounds", "Drums"])
            self.assertEqual(first[:6], ["Pad 1: kick, seed 0", "Pad 2: snare, seed 1", "Pad 3: closed hat, seed 2", "Pad 4: open hat, seed 3",
                                         "Pad 5: bell, seed 4", "Pad 6: kick, seed 5"])
            self.all(".pad")[1].click()
            self.wait(lambda: self.played() == "1 snare", "a click sounds")
            self.keys("q")
            self.wait(lambda: self.played() == "2 bell", "a key sounds")
            self.all(".pad")[3].send_keys(Keys.ENTER)
            self.wait(lambda: self.played() == "3 open hat", "the keyboard's way to press sounds")
            # Another sound for that pad alone; the link keeps it.
            self.button("Another one").click()
            self.wait(lambda: self.kit()[3] == "Pad 4: open hat, seed 1003", "another one")
            self.assertEqual((self.address()["pads"], self.kit()[:3] + self.kit()[4:]), ("3.1003", first[:3] + first[4:]))
            self.assertEqual([len(each["seeds"]) for each in self.asked("/api/generate") if each["model"] == "beeps"], [16, 1])
            wav = self.downloaded(".wav", lambda: self.button(".wav").click()).read_bytes()
            command = self.command(".tools[role=group]").replace("generate beeps", f"generate {MODELS / 'beeps.pt'}")
            self.assertEqual(self.run_bytes(command), wav)
            self.browser.refresh()
            self.assertEqual(self.kit()[3], "Pad 4: open hat, seed 1003")
            with zipfile.ZipFile(self.downloaded(".zip", lambda: self.button("Kit as ZIP").click())) as archive:
                names = archive.namelist()
                self.assertEqual((len(names), names[3], archive.read(names[3])), (16, "beeps-4-open-hat-1003.wav", wav))
            # Another kit, by the space bar, and sixteen of one label.
            self.script("document.activeElement.blur()")
            self.keys(" ")
            self.wait(lambda: self.kit()[0] == "Pad 1: kick, seed 16", "another kit")
            Select(self.one("[name=label]")).select_by_visible_text("bell")
            self.wait(lambda: all(": bell," in pad for pad in self.kit()), "one label")
            self.axe_finds_nothing("drums")
            self.size(390, 844, phone=True)
            self.open("?view=drums")
            self.kit()
            self.assertLessEqual(self.script("return document.documentElement.scrollWidth"), 390, "no wider than the phone")
        finally:
            self.browser.get("about:blank")
            self.requests()
            self.server.end()
            type(self).server = usual

    def test_loops_move(self):
        usual, type(self).server = self.server, Server(ONESTEP, "fashion", str(MODELS / "blinks.pt"))
        try:
            self.open("?view=loops&count=5")
            self.sheet(5)
            self.assertEqual([name.rsplit(" ", 1)[1] for name in self.names()], ["0", "1", "2", "3", "4"])
            Select(self.one("[name=label]")).select_by_visible_text("wild")
            self.wait(lambda: self.sheet(5) and all("wild" in name for name in self.names()), "one label")
            self.all(".sheet a")[2].click()
            self.wait(lambda: self.one(".chosen h2").text == "wild, seed 2", "one is chosen")
            webp = self.downloaded(".webp", lambda: self.button("Animated WebP").click())
            moving = webp.read_bytes()
            with Image.open(webp) as clip:
                self.assertEqual((clip.n_frames, clip.size), (4, (8, 8)))
                frames = []
                for at in range(4):
                    clip.seek(at)
                    frames.append(numpy.asarray(clip.convert("RGB")).astype(int))
            self.assertGreater(abs(frames[0] - frames[2]).max(), 20, "it moves")
            with Image.open(self.downloaded(".png", lambda: self.button("Sprite sheet as PNG").click())) as strip:
                self.assertEqual(strip.size, (4 * 8, 8), "frame beside frame")
            command = self.command(".chosen").replace("generate blinks", f"generate {MODELS / 'blinks.pt'}")
            self.assertEqual(self.run_bytes(command), moving)
            self.browser.refresh()
            self.sheet(5)
            self.assertEqual(self.one(".chosen h2").text, "wild, seed 2")
            with zipfile.ZipFile(self.downloaded(".zip", lambda: self.button("All as ZIP").click())) as archive:
                self.assertEqual(len(archive.namelist()), 5)
            self.axe_finds_nothing("loops")
        finally:
            self.browser.get("about:blank")
            self.requests()
            self.server.end()
            type(self).server = usual

    def axe_finds_nothing(self, what):
        if not AXE_SCRIPT:
            return
        self.script(AXE_SCRIPT)
        result = self.browser.execute_async_script("const done = arguments[0]; axe.run().then(done, (e) => done({violations: [String(e)]}))")
        self.assertEqual([(each["id"], [node["html"] for node in each["nodes"]][:3]) for each in result["violations"]], [], what)

    # ---- the race ----

    def test_the_race(self):
        self.open("?view=race&label=Sneaker&seed=2")
        self.wait(lambda: len(self.all(".lane[data-done]")) == 2, "both arrive")
        one_step, teacher = self.all(".lane")
        self.assertEqual([lane.get_attribute("data-model") for lane in (one_step, teacher)], ["fashion", "fashion-teacher"])
        self.assertIn("1 network call", one_step.text)
        self.assertIn("35 network calls", teacher.text)
        times = [float(re.search(r"([\d.]+) s", lane.text)[1]) for lane in (one_step, teacher)]
        self.assertTrue(all(0 < seconds < PATIENCE for seconds in times), times)
        asked = self.asked("/api/generate")
        self.assertTrue(all(request["previews"] and request["seeds"] == [2] for request in asked[:2]))
        images = [self.values(lane.find_element(By.CSS_SELECTOR, "img")) for lane in (one_step, teacher)]
        self.assertFalse(numpy.array_equal(*images))
        # Previews are seen on the way.
        self.script("""window.seen = new Set();
          new MutationObserver((changes) => changes.forEach(({target}) => target.alt && window.seen.add(target.alt)))
            .observe(document.querySelector('main'), {subtree: true, attributes: true, attributeFilter: ['alt']});""")
        self.keys(" ")
        self.wait(lambda: self.address().get("seed") == "3" and len(self.all(".lane[data-done]")) == 2, "the next race")
        seen = self.script("return [...window.seen]")
        self.assertGreater(len([text for text in seen if re.match(r"fashion-teacher, after \d+ of 35 calls", text)]), 5, seen)

    # ---- for everybody ----

    def test_the_keyboard_alone(self):
        self.open("?count=8")
        self.sheet(8)
        for _ in range(30):
            self.keys(Keys.TAB)
            if self.script("return document.activeElement.matches('.sheet a')"):
                break
        focused = lambda: self.script("return document.activeElement.querySelector('img')?.alt ?? document.activeElement.textContent")
        self.assertRegex(focused(), "seed 0$")
        outline = self.script("return getComputedStyle(document.activeElement).outlineStyle")
        self.assertEqual(outline, "solid", "focus is seen")
        self.keys(Keys.ARROW_RIGHT, Keys.ARROW_RIGHT, Keys.ARROW_LEFT)
        self.assertRegex(focused(), "seed 1$")
        self.keys(Keys.ARROW_DOWN)
        self.assertRegex(focused(), "seed 7$")  # six a row
        self.keys("x")
        self.button("Download 1 as ZIP")
        self.keys(Keys.ENTER)
        self.opened()
        self.assertEqual(self.address()["open"], "7")
        self.keys(Keys.ARROW_LEFT)
        self.wait(lambda: self.address()["open"] == "6", "the one before")
        self.keys(Keys.ESCAPE)
        self.wait(lambda: not self.all("dialog[open]"), "Escape closes")
        self.assertRegex(focused(), "seed 6$", "focus is back on the sheet")
        self.keys(" ")
        self.wait(lambda: self.address().get("seed") == "8", "the space bar draws the next sheet")

    def test_what_is_drawn_is_announced(self):
        self.open("?count=4")
        self.sheet(4)
        self.wait(lambda: re.match("4 pictures, drawn in", self.script("return document.getElementById('announcer').textContent")), "announced")
        unnamed = self.script("""return [...document.querySelectorAll('button, input, select, a, canvas')]
          .filter((each) => !each.hidden && !(each.ariaLabel || each.textContent.trim() || each.labels?.[0]?.textContent.trim() ||
                  each.querySelector('img')?.alt)).map((each) => each.outerHTML)""")
        self.assertEqual(unnamed, [])

    @unittest.skipUnless(AXE_SCRIPT, "axe-core-python is not installed")
    def test_axe_finds_nothing(self):
        for scheme in ("light", "dark"):
            self.browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": scheme}]})
            for query, there in [("?count=6", ".sheet li:not(.waiting) img[src]"), ("?open=3", "dialog[open] .action"),
                                 ("?open=3&tool=between&to=5", "#part:enabled"), ("?view=plane&label=Bag", ".map"), ("?view=race", ".lane[data-done]")]:
                self.open(query)
                self.one(there) if "img" not in there else self.sheet(6)
                time.sleep(0.3)  # what fades in has come
                self.script(AXE_SCRIPT)
                result = self.browser.execute_async_script("const done = arguments[0]; axe.run().then(done, (e) => done({violations: [String(e)]}))")
                found = [(each["id"], [node["html"] for node in each["nodes"]][:3]) if isinstance(each, dict) else each for each in result["violations"]]
                self.assertEqual(found, [], f"{query} {scheme}")

    def test_a_phone(self):
        self.size(390, 844, phone=True)
        for query, there in [("", ".sheet img[src]"), ("?open=3&tool=more", ".handful img[src]"), ("?view=plane", ".map"), ("?view=race", ".lane")]:
            self.open(query)
            self.one(there)
            self.assertLessEqual(self.script("return document.documentElement.scrollWidth"), 390, f"{query or '/'} is no wider than the phone")
        self.open("?open=3&tool=fix")
        self.opened()
        below = self.one(".frame").rect["y"] + self.one(".frame").rect["height"]
        self.assertTrue(all(each.rect["y"] >= below for each in self.all(".panel button") if each.is_displayed()), "nothing lies on the picture")
        self.open("?count=3")
        self.sheet(3)
        self.one(".big").click()
        self.wait(lambda: self.address().get("seed") == "3", "the big button is within reach")

    def test_a_second_tab_does_not_disturb_the_first(self):
        self.open("?label=Shirt&count=4")
        sources = [image.get_attribute("src") for image in self.sheet(4)]
        link = self.browser.current_url
        first = self.browser.current_window_handle
        self.browser.switch_to.new_window("tab")
        try:
            self.open("?label=Bag&count=5")
            self.sheet(5)
            self.one(".big").click()
            self.wait(lambda: self.names()[0] == "Bag, seed 5", "the second goes on")
        finally:
            self.browser.close()
            self.browser.switch_to.window(first)
        self.assertEqual(self.browser.current_url, link)
        self.assertEqual(self.sources(), sources)

    def test_a_token_is_taken_from_the_address_that_is_printed(self):
        cls = type(self)
        usual, token = cls.server, "a-secret-of-24-characters"
        cls.server = Server(*SHOWN, "--token", token)
        try:
            self.assertTrue(cls.server.line.endswith(f"/#token={token}"))
            self.browser.get(cls.server.line.removeprefix("onestep serves at "))
            self.sheet(24)
            self.assertNotIn(token, self.browser.current_url, "a link that is passed on doesn't carry it")
            self.browser.refresh()
            self.sheet(24)
            self.script("sessionStorage.clear()")
            self.browser.refresh()
            self.wait(lambda: "Authorization" in self.one(".notice").text, "without it the server's refusal is shown")
            self.messages()  # Chromium tells of every answer of 400 and above
            self.assertTrue(all(url.startswith(cls.server.address) or not url.startswith("http") for url in self.requests()))
        finally:
            self.browser.get("about:blank")
            self.requests()
            cls.server.end()
            cls.server = usual

    def test_the_servers_end_is_shown_and_healed(self):
        self.may_be_gone = True
        cls = type(self)
        self.open("?count=4")
        self.sheet(4)
        cls.server.end()
        try:
            self.one(".big").click()
            self.wait(lambda: self.one("#banner").text.startswith("The server does not answer"), "the banner")
        finally:
            cls.server = Server(*SHOWN, port=cls.server.port)
        self.wait(lambda: not self.browser.find_element(By.ID, "banner").is_displayed(), "the banner goes")
        self.sheet(4)
        self.assertEqual(self.names()[0].split(", ")[1], "seed 4", "it goes on where it was")


if __name__ == "__main__":
    unittest.main()
