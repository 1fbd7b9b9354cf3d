"""The HTTP API as its clients meet it. Usage: server_test.py ONESTEP MODELS, a folder that make_models.py has filled"""

import base64
import concurrent.futures
import contextlib
import gzip
import http.client
import io
import json
import os
import random
import socket
import subprocess
import sys
import tempfile
import threading
import time
import unittest
from pathlib import Path

import numpy
import torch
from PIL import Image

sys.path.insert(0, str(Path(__file__).parents[1] / "cli"))
from malformed import attack  # noqa: E402
from served import Server  # noqa: E402
from tiny_models import write  # noqa: E402

try:
    import openai
except ImportError:
    openai = None

ONESTEP = str(Path(sys.argv.pop(1)).resolve())
MODELS = Path(sys.argv.pop(1))
os.environ["OMP_NUM_THREADS"] = "1"


def pixels(server, body, path="/api/generate"):
    status, _, content = server.ask("POST", path, body, Accept="image/png")
    if status != 200:
        raise AssertionError(content)
    return numpy.asarray(Image.open(io.BytesIO(content)))


def stream_of(server, body):
    with contextlib.closing(server.connect()) as connection:
        connection.request("POST", "/api/generate", json.dumps(body), {"Accept": "text/event-stream"})
        answer = connection.getresponse()
        if answer.status != 200:
            raise AssertionError(answer.read())
        for block in answer.read().decode().strip().split("\n\n"):
            event, data = block.split("\n")
            yield event.removeprefix("event: "), json.loads(data.removeprefix("data: "))


class Api(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = Server(ONESTEP, "fashion", "fashion-teacher", "--threads", "1")

    @classmethod
    def tearDownClass(cls):
        assert cls.server.end() == 0, "SIGTERM ends a server well"

    def ask(self, *arguments, **headers):
        return self.server.ask(*arguments, **headers)

    def refused(self, status, words, *arguments, **headers):
        found, _, content = self.ask(*arguments, **headers)
        self.assertEqual(found, status, content)
        message = json.loads(content)["error"]["message"]
        self.assertIn(words, message)

    def drawn(self, *arguments):
        """By the command line."""
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "a.png"
            subprocess.run([ONESTEP, "generate", *arguments, "--quiet", "-o", str(file)], check=True)
            return numpy.asarray(Image.open(file))

    def test_models_say_what_can_be_asked(self):
        status, _, content = self.ask("GET", "/api/models")
        self.assertEqual(status, 200)
        models = {model["name"]: model for model in json.loads(content)["models"]}
        self.assertEqual(list(models), ["fashion", "fashion-teacher"])
        self.assertEqual(models["fashion"]["baseline"], "fashion-teacher")
        self.assertIn("inpaint", models["fashion"]["edits"])
        self.assertEqual(models["fashion-teacher"]["edits"], [])
        self.assertIn("Bag", models["fashion"]["labels"])

    def test_draws_what_the_command_line_draws(self):
        for body, arguments in (({"count": 9}, ["-n", "9", "--grid"]),
                                ({"seeds": [5], "labels": ["Bag"], "steps": 2}, ["--seeds", "5", "--label", "Bag", "--steps", "2"]),
                                ({"model": "fashion-teacher", "seeds": [3], "sampler": "euler", "steps": 4},
                                 ["--seeds", "3", "--sampler", "euler", "--steps", "4"])):
            model = body.get("model", "fashion")
            self.assertTrue(numpy.array_equal(pixels(self.server, body), self.drawn(model, *arguments)), body)

    def test_the_command_that_a_sample_carries_draws_it_again(self):
        for gamma in (0.25, 1e-310):  # the second is no normal number
            status, _, content = self.ask("POST", "/api/generate", {"seeds": [7, 8], "sampler": "gamma", "levels": [80, 1.5],
                                                                    "options": {"gamma": gamma}}, Accept="application/json")
            self.assertEqual(status, 200, content)
            for sample in json.loads(content)["samples"]:
                picture = numpy.asarray(Image.open(io.BytesIO(base64.b64decode(sample["png"]))))
                program, command, *arguments = sample["command"].split()
                self.assertEqual((program, command), ("onestep", "generate"))
                self.assertTrue(numpy.array_equal(picture, self.drawn(*arguments[:-2])))

    def test_requests_that_run_together_have_the_results_that_they_have_alone(self):
        bodies = [{"seeds": [seed], "steps": 1 + seed % 2, **({"labels": [seed % 10]} if seed % 3 else {})} for seed in range(60)]
        bodies += [{"count": 40}, {"seeds": [4, 9, 100], "model": "fashion-teacher", "sampler": "euler", "steps": 2}]
        alone = [pixels(self.server, body) for body in bodies]
        order = list(range(len(bodies)))
        random.Random(1).shuffle(order)
        with concurrent.futures.ThreadPoolExecutor(32) as pool:
            together = dict(zip(order, pool.map(lambda i: pixels(self.server, bodies[i]), order)))
        for i, picture in enumerate(alone):
            self.assertTrue(numpy.array_equal(picture, together[i]), bodies[i])
        metrics = dict(line.split() for line in self.ask("GET", "/metrics")[2].decode().splitlines()
                       if not line.startswith(("#", "onestep_requests")))
        self.assertLess(float(metrics["onestep_batches_total"]), float(metrics["onestep_samples_total"]) - 40)

    def require_no_wait(self, large, path):
        """A sample does not wait for a large request that came before it."""
        started = time.monotonic()
        thread = threading.Thread(target=lambda: pixels(self.server, large, path))
        thread.start()
        time.sleep(0.2)
        pixels(self.server, {"seeds": [1]})
        small = time.monotonic() - started
        thread.join()
        self.assertLess(small, (time.monotonic() - started) / 2)

    def test_a_large_request_does_not_hold_up_a_small_one(self):
        self.require_no_wait({"model": "fashion-teacher", "count": 300, "steps": 5}, "/api/generate")

    def test_a_large_plane_does_not_hold_up_a_sample(self):
        self.require_no_wait({"size": [400, 300], "seed": 77, "steps": 2}, "/api/canvas")

    def test_an_event_stream_tells_of_every_sample(self):
        events = list(stream_of(self.server, {"seeds": [3, 1, 2]}))
        names = [name for name, _ in events]
        self.assertEqual([data["seed"] for name, data in events if name == "sample"], [3, 1, 2])
        self.assertEqual(names[-1], "done")
        self.assertEqual(events[-1][1]["nfe"], 1)
        picture = numpy.asarray(Image.open(io.BytesIO(base64.b64decode(events[names.index("sample")][1]["png"]))))
        self.assertTrue(numpy.array_equal(picture, pixels(self.server, {"seeds": [3]})))

    def test_previews_come_closer_to_the_sample(self):
        events = list(stream_of(self.server, {"model": "fashion-teacher", "seeds": [3], "sampler": "euler", "steps": 6, "previews": True}))
        previews = [numpy.asarray(Image.open(io.BytesIO(base64.b64decode(data["png"])))).astype(float)
                    for name, data in events if name == "preview"]
        [sample] = [numpy.asarray(Image.open(io.BytesIO(base64.b64decode(data["png"])))).astype(float)
                    for name, data in events if name == "sample"]
        self.assertEqual(len(previews), 6)
        self.assertGreater(abs(previews[0] - sample).mean(), abs(previews[-1] - sample).mean())
        self.assertLess(abs(previews[-1] - sample).mean(), 2)  # the last Euler step ends at its denoised sample

    def test_a_client_that_goes_away_ends_its_work(self):
        before = self.batches()
        connection = socket.create_connection(("127.0.0.1", self.server.port))
        body = json.dumps({"model": "fashion-teacher", "count": 1000, "steps": 40}).encode()
        connection.sendall(b"POST /api/generate HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        time.sleep(0.5)
        connection.close()
        started = time.monotonic()
        while b"onestep_waiting_samples 0" not in self.ask("GET", "/metrics")[2]:
            self.assertLess(time.monotonic() - started, 30)
            time.sleep(0.05)
        pixels(self.server, {"seeds": [1]})
        self.assertLess(self.batches() - before, 20)  # of the 1000 / 6 that it would have taken

    def batches(self):
        [line] = [line for line in self.ask("GET", "/metrics")[2].decode().splitlines() if line.startswith("onestep_batches_total")]
        return int(line.split()[1])

    def test_edits(self):
        picture = pixels(self.server, {"seeds": [5], "labels": ["Coat"]})
        mask = numpy.zeros((28, 28), numpy.uint8)
        mask[:, 14:] = 255

        def encoded(pixels):
            file = io.BytesIO()
            Image.fromarray(pixels).save(file, "png")
            return base64.b64encode(file.getvalue()).decode()

        edited = pixels(self.server, {"task": "inpaint", "picture": encoded(picture), "mask": encoded(mask), "seeds": [1],
                                     "labels": ["Coat"]}, "/api/edit")
        self.assertTrue(numpy.array_equal(edited[:, :14], picture[:, :14]))
        self.assertFalse(numpy.array_equal(edited[:, 14:], picture[:, 14:]))
        for body in ({"task": "stroke", "picture": encoded(picture), "count": 3}, {"task": "denoise", "picture": encoded(picture), "sigma": 0.3},
                     {"task": "upscale", "picture": encoded(picture[::2, ::2].copy()), "factor": 2}):
            pixels(self.server, body, "/api/edit")
        status, _, content = self.ask("POST", "/api/edit", {"task": "interpolate", "from_seed": 3, "to_seed": 8, "frames": 4,
                                                            "labels": ["Coat"]}, Accept="application/json")
        self.assertEqual(status, 200, content)
        frames = json.loads(content)["samples"]
        self.assertEqual(len(frames), 4)
        first = numpy.asarray(Image.open(io.BytesIO(base64.b64decode(frames[0]["png"]))))
        self.assertTrue(numpy.array_equal(first, pixels(self.server, {"seeds": [3], "labels": ["Coat"]})))
        self.refused(422, "needs a picture", "POST", "/api/edit", {"task": "stroke"})
        self.refused(422, "can't edit", "POST", "/api/edit", {"task": "stroke", "model": "fashion-teacher", "picture": encoded(picture)})
        self.refused(422, "task = nonsense is unknown", "POST", "/api/edit", {"task": "nonsense"})
        self.refused(422, "picture: ", "POST", "/api/edit", {"task": "stroke", "picture": base64.b64encode(b"no picture").decode()})

    def test_planes_and_their_tiles(self):
        plane = pixels(self.server, {"label": "Bag", "size": [300, 280], "at": [-20, -20]}, "/api/canvas")
        self.assertEqual(plane.shape, (280, 300))
        status, headers, content = self.ask("GET", "/api/canvas/fashion/0/Bag/0/0/0.png")
        self.assertEqual(status, 200, content)
        tile = numpy.asarray(Image.open(io.BytesIO(content)))
        self.assertTrue(numpy.array_equal(tile, plane[20:276, 20:276]))
        self.assertIn("immutable", headers["Cache-Control"])
        status, _, content = self.ask("GET", "/api/canvas/fashion/0/Bag/0/0/0.png", If_None_Match=headers["ETag"])
        self.assertEqual((status, content), (304, b""))
        small = numpy.asarray(Image.open(io.BytesIO(self.ask("GET", "/api/canvas/fashion/0/Bag/-1/0/0.png")[2]))).astype(float)
        half = tile.astype(float).reshape(128, 2, 128, 2).mean((1, 3))
        self.assertLess(abs(small[:128, :128] - half).max(), 30)  # means of values that are clamped before, and after
        self.assertLess(abs(small[:128, :128] - half).mean(), 1)
        seamless = pixels(self.server, {"size": [56, 42], "seamless": True}, "/api/canvas")
        self.assertEqual(seamless.shape, (42, 56))
        self.refused(422, "a picture has at most", "POST", "/api/canvas", {"size": [100_000, 100_000]})
        self.refused(422, "size is missing", "POST", "/api/canvas", {})
        self.refused(406, "a plane can be had as", "POST", "/api/canvas", {"size": [8, 8]}, Accept="audio/wav")
        self.refused(422, "z = 3", "GET", "/api/canvas/fashion/0/Bag/3/0/0.png")
        self.refused(422, "unknown label", "GET", "/api/canvas/fashion/0/Hat/0/0/0.png")
        self.refused(422, "model nothing is unknown", "GET", "/api/canvas/nothing/0/-/0/0/0.png")

    def test_openai_images(self):
        status, _, content = self.ask("POST", "/v1/images/generations", {"model": "dall-e-3", "prompt": "Bag", "n": 2, "size": "64x48"})
        self.assertEqual(status, 200, content)
        for one in json.loads(content)["data"]:
            self.assertEqual(Image.open(io.BytesIO(base64.b64decode(one["b64_json"]))).size, (64, 48))
        self.refused(422, "unknown label a cat", "POST", "/v1/images/generations", {"prompt": "a cat"})
        self.refused(422, "size 64by48 must be WIDTHxHEIGHT", "POST", "/v1/images/generations", {"size": "64by48"})

    @unittest.skipUnless(openai, "the Python package openai is not installed")
    def test_the_official_openai_client(self):
        client = openai.OpenAI(base_url=self.server.address + "/v1", api_key="none", max_retries=0)
        for options, size, kind in (({"model": "gpt-image-1", "n": 2}, (28, 28), "PNG"),
                                    ({"model": "fashion", "size": "60x40", "response_format": "b64_json", "user": "somebody"}, (60, 40), "PNG"),
                                    ({"model": "dall-e-3", "output_format": "webp", "quality": "high"}, (28, 28), "WEBP")):
            answer = client.images.generate(prompt="Ankle boot", **options)
            self.assertEqual(len(answer.data), options.get("n", 1))
            self.assertLess(abs(answer.created - time.time()), 3600)
            for one in answer.data:
                picture = Image.open(io.BytesIO(base64.b64decode(one.b64_json)))
                self.assertEqual((picture.size, picture.format), (size, kind))
        with self.assertRaisesRegex(openai.UnprocessableEntityError, "unknown label a cat"):
            client.images.generate(prompt="a cat")

    def test_refusals_name_field_value_and_rule(self):
        generate = "/api/generate"
        for body, words in (({"count": 0}, "count = 0 must be in [1, "), ({"count": 1001}, "at most 1000"),
                            ({"labels": ["Hat"]}, "unknown label Hat"), ({"colour": 1}, "colour = 1 is an unknown field"),
                            ({"steps": "two"}, 'steps = "two" must be a whole number'), ({"model": "nothing"}, "there are fashion"),
                            ({"enlarge": 65}, "enlarge = 65 must be a whole number in [1, 64]"),
                            ({"count": 2, "previews": True}, "previews are of one sample"),
                            ({"sizes": {"H": 64}}, "has one size alone"), ("[1]", "must be an object"), ("{", "is not valid JSON"),
                            ("[" * 50_000 + "]" * 50_000, "nests deeper"), ({"seeds": [-1]}, "seeds[0] = -1"), ({"seeds": [], "count": 1}, "either seeds or count")):
            self.refused(422, words, "POST", generate, body)
        self.refused(406, "can be had as image/png", "POST", generate, {"count": 1}, Accept="audio/wav")
        self.refused(422, "no model of music is loaded", "POST", "/api/compose", {})
        self.refused(404, "is not here", "GET", "/nothing")
        self.refused(404, "is not here", "GET", "/page/..%2f..%2fetc%2fpasswd")
        self.refused(405, "takes POST alone", "GET", generate)
        self.refused(405, "takes GET alone", "POST", "/api/models", {})
        for method in ("OPTIONS", "TRACE", "PUT", "DELETE"):
            self.assertEqual(self.ask(method, generate, "")[1]["Allow"], "POST")
        self.refused(403, "Host evil.example", "GET", "/api/models", Host="evil.example")
        self.refused(403, "is another page", "GET", "/api/models", Origin="http://evil.example")
        status, _, _ = self.ask("GET", "/api/models", Origin=f"http://127.0.0.1:{self.server.port}", Host=f"127.0.0.1:{self.server.port}")
        self.assertEqual(status, 200)

    def test_headers_forbid_what_pages_should_not_do(self):
        status, headers, content = self.ask("GET", "/")
        self.assertEqual(status, 200)
        self.assertIn(b"<title>", content)
        self.assertIn("default-src 'self'", headers["Content-Security-Policy"])
        self.assertEqual(headers["X-Content-Type-Options"], "nosniff")
        self.assertEqual(headers["X-Frame-Options"], "DENY")
        self.assertEqual(json.loads(self.ask("GET", "/api/openapi.json")[2])["openapi"], "3.1.0")

    def test_malformed_requests_do_no_harm(self):
        answers, _ = attack(self.server, 600)
        found = {status for counts in answers.values() for status in counts if status}
        self.assertFalse({status for status in found if status >= 500} - {503}, answers)
        self.assertTrue({200, 400, 404, 405, 411, 413, 415, 422} <= found, answers)
        pixels(self.server, {"seeds": [1]})

    def raw(self, data):
        """Sends bytes, and gives what comes back until the server closes."""
        with contextlib.closing(socket.create_connection(("127.0.0.1", self.server.port), timeout=20)) as connection:
            connection.sendall(data)
            answer = b""
            while part := connection.recv(1 << 16):
                answer += part
        return answer

    def test_what_is_refused_is_not_read_as_another_request(self):
        # Neither a page of another host nor a wrong length gets a second request in, as the body of its first.
        inner = b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
        for line, headers, status in ((b"POST /api/generate", b"Origin: http://evil.example\r\nContent-Length: 100000", b"403"),
                                      (b"POST /nothing", b"Content-Length: 100000", b"404"), (b"PUT /api/generate", b"Content-Length: 100000", b"405"),
                                      (b"GET /healthz", b"Content-Length: 100000", b"400"), (b"POST /api/generate", b"Content-Length: -1", b"400"),
                                      (b"POST /api/generate", b"Content-Length: 99999999999999999999", b"400"), (b"POST /api/generate", b"X: y", b"411"),
                                      (b"POST /api/generate", b"Transfer-Encoding: chunked", b"411")):
            answer = self.raw(line + b" HTTP/1.1\r\nHost: 127.0.0.1\r\n" + headers + b"\r\n\r\n" + inner * 1000)
            self.assertEqual(answer.count(b"HTTP/1.1 "), 1, answer)
            self.assertIn(b"HTTP/1.1 " + status, answer)
            self.assertIn(b"Connection: close", answer)

    def test_what_is_packed_is_not_unpacked(self):
        before = self.server.memory()
        packed = gzip.compress(b" " * (200 << 20))
        self.refused(415, "Content-Encoding gzip", "POST", "/api/generate", packed, Content_Encoding="gzip")
        self.assertLess(self.server.memory() - before, 100)  # of 200 that it would be

    def test_a_head_without_end_is_not_kept(self):
        before = self.server.memory()
        with contextlib.closing(socket.create_connection(("127.0.0.1", self.server.port), timeout=20)) as connection:
            connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n")
            with contextlib.suppress(ConnectionError):
                for _ in range(10_000):
                    connection.sendall(b"X: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n" * 100)
                self.assertTrue(connection.recv(100).startswith(b"HTTP/1.1 400 "))
        self.assertLess(self.server.memory() - before, 20)  # of 70

    def test_a_form_s_content_type_does_not_bound_a_body(self):
        body = b'{"seeds": [1]' + b" " * 50_000 + b"}"
        status, _, content = self.ask("POST", "/api/generate", body, Content_Type="application/x-www-form-urlencoded")
        self.assertEqual(status, 200, content[:200])

    def test_answers_are_whole(self):
        status, _, content = self.ask("GET", "/healthz", Range="bytes=" + ",".join(["0-"] * 1000))
        self.assertEqual((status, content), (200, b'{"status": "ok"}'))


class Painted(unittest.TestCase):
    """Planes whose labels are painted. The model's pixels are the label: 0 grey, 1 white."""

    @classmethod
    def setUpClass(cls):
        cls.server = Server(ONESTEP, str(MODELS / "Painted.pt"), "--threads", "1")

    @classmethod
    def tearDownClass(cls):
        cls.server.end()

    def test_a_label_stands_where_it_is_painted(self):
        [model] = json.loads(self.server.ask("GET", "/api/models")[2])["models"]
        self.assertEqual((model["halo"], len(model["label_colours"]), model["label_colours"][0][0]), (1, 3, "#"))
        body = {"size": [40, 20], "at": [-10, 5], "label_map": {"labels": [[0, 1, "0"], [1, 0, 1]], "place": [-10, 5, 30, 20]}}
        picture = pixels(self.server, body, "/api/canvas")
        expected = numpy.repeat(numpy.repeat([[0, 1, 0, 0], [1, 0, 1, 1]], 10, axis=0), 10, axis=1)  # what is at an edge goes on
        self.assertTrue(numpy.array_equal(picture[..., 0] == 255, expected == 1))
        del body["label_map"]["place"]
        body["size"] = [30, 20]
        self.assertTrue(numpy.array_equal(pixels(self.server, body, "/api/canvas"), picture[:, :30]))

    def test_the_command_that_the_answer_carries_draws_it_again(self):
        [model] = json.loads(self.server.ask("GET", "/api/models")[2])["models"]
        labels = [[0, 1], [1, 0]]
        body = {"size": [30, 22], "at": [3, -4], "label_map": {"labels": labels, "place": [0, 0, 20, 10]}}
        status, headers, content = self.server.ask("POST", "/api/canvas", body)
        self.assertEqual(status, 200, content)
        arguments = headers["X-Onestep-Command"].split()
        with tempfile.TemporaryDirectory() as folder:
            colours = numpy.array([[[int(model["label_colours"][label][i:i + 2], 16) for i in (1, 3, 5)] for label in row] for row in labels])
            Image.fromarray(colours.astype(numpy.uint8)).save(Path(folder) / "map.png")
            arguments[2] = str(MODELS / "Painted.pt")  # it is not among the shipped ones
            subprocess.run([ONESTEP, *arguments[1:], "--quiet"], cwd=folder, check=True)
            again = numpy.asarray(Image.open(Path(folder) / arguments[-1]))
        self.assertTrue(numpy.array_equal(again, numpy.asarray(Image.open(io.BytesIO(content)))))

    def test_refusals(self):
        for label_map, words in (([], "label_map = [] must be an object"), ({}, "label_map.labels = null must be"), ({"labels": [[0], [0, 1]]}, "a row of 1 labels"),
                                 ({"labels": [[3]]}, "unknown label 3"), ({"labels": [[0], [0.5]]}, "label_map.labels[1][0] = 0.5 must be"), ({"labels": [[0]], "x": 1}, "label_map: x is an unknown"),
                                 ({"labels": [[0]], "place": [0, 0, 0, 1]}, "label_map.place.width")):
            status, _, content = self.server.ask("POST", "/api/canvas", {"size": [8, 8], "label_map": label_map})
            self.assertEqual(status, 422, content)
            self.assertIn(words, json.loads(content)["error"]["message"])
        status, _, content = self.server.ask("POST", "/api/canvas", {"size": [8, 8], "label": 1, "label_map": {"labels": [[0]]}})
        self.assertEqual(status, 422, content)
        self.assertIn("in place of a label", json.loads(content)["error"]["message"])


class Bounds(unittest.TestCase):
    def test_what_is_beyond_them_is_told(self):
        server = Server(ONESTEP, "fashion-teacher", "--max-queue", "10", "--max-body", "1024", "--max-seconds", "1", "--threads", "1")
        self.addCleanup(server.end)
        status, _, content = server.ask("POST", "/api/generate", b"{" + b" " * 2000 + b"}")
        self.assertEqual((status, json.loads(content)["error"]["bound"]), (413, "body"))
        slow = {"count": 1000, "steps": 1000}
        statuses = []
        threads = [threading.Thread(target=lambda: statuses.append(server.ask("POST", "/api/generate", slow))) for _ in range(3)]
        for thread in threads:
            thread.start()
            time.sleep(0.2)
        for thread in threads:
            thread.join()
        bounds = sorted(json.loads(content)["error"]["bound"] for _, _, content in statuses)
        self.assertEqual([status for status, _, _ in statuses], [503] * 3)
        self.assertEqual(bounds, ["queue", "queue", "time"])
        self.assertTrue(all("Retry-After" in headers for _, headers, _ in statuses))

    def test_a_token_is_asked_for(self):
        refused = subprocess.run([ONESTEP, "serve", "fashion", "--host", "0.0.0.0", "--port", "0"], capture_output=True, text=True)
        self.assertEqual(refused.returncode, 2)
        self.assertIn("give --token", refused.stderr)
        token = "0123456789abcdef"
        server = Server(ONESTEP, "fashion", "--host", "0.0.0.0", "--token", token, "--threads", "1")
        self.addCleanup(server.end)
        for header in ({}, {"Authorization": "Bearer 0123456789abcdeg"}, {"Authorization": "Bearer "}):
            self.assertEqual(server.ask("GET", "/api/models", **header)[0], 401)
        self.assertEqual(server.ask("GET", "/api/models", Authorization="Bearer " + token)[0], 200)
        self.assertEqual(server.ask("GET", "/healthz")[0], 200)
        self.assertEqual(server.ask("GET", "/")[0], 200)

    def test_sigterm_finishes_what_runs(self):
        server = Server(ONESTEP, "fashion-teacher", "--threads", "2")
        answers = []
        thread = threading.Thread(target=lambda: answers.append(server.ask("POST", "/api/generate", {"seeds": [1], "steps": 18})))
        thread.start()
        time.sleep(0.3)
        self.assertEqual(server.end(), 0)
        thread.join()
        self.assertEqual(answers[0][0], 200)


class Moves(torch.nn.Module):
    def forward(self, x, noise):
        return torch.tanh(x / 80)


class Clips(unittest.TestCase):
    def test_clips_are_had_in_the_kinds_of_files_that_hold_them(self):
        with tempfile.TemporaryDirectory() as folder:
            write(Path(folder) / "clips.pt", Moves(), sample={"modality": "video", "shape": [4, 3, 16, 16], "frame_rate": 8},
                  network={"noise_input": {"kind": "sigma"}, "prediction": {"kind": "denoised"}})
            server = Server(ONESTEP, str(Path(folder) / "clips.pt"), "--threads", "1")
            try:
                for accept, count, kind, start in (("*/*", 1, "image/webp", b"RIFF"), ("image/*", 1, "image/webp", b"RIFF"),
                                                   ("image/gif", 1, "image/gif", b"GIF89a"), ("image/apng", 1, "image/apng", b"\x89PNG"),
                                                   ("image/*", 2, "image/webp", b"RIFF"), ("image/png", 2, "image/png", b"\x89PNG")):
                    status, headers, content = server.ask("POST", "/api/generate", {"count": count}, Accept=accept)
                    self.assertEqual((status, headers["Content-Type"]), (200, kind), content)
                    self.assertTrue(content.startswith(start), accept)
            finally:
                self.assertEqual(server.end(), 0)


class Music(unittest.TestCase):
    """With a model whose voice sings the tonic at every beat, and whose piano plays the triad twice a bar."""

    @classmethod
    def setUpClass(cls):
        cls.server = Server(ONESTEP, "fashion", str(MODELS / "triads.pt"), "--threads", "1")

    @classmethod
    def tearDownClass(cls):
        assert cls.server.end() == 0

    MOTIF = [{"pitch": 62, "start": 0, "length": 4}, {"pitch": 65, "start": 4, "length": 6}, {"pitch": 69, "start": 10, "length": 6},
             {"pitch": 74, "start": 20, "length": 4}, {"pitch": 60, "start": 8, "length": 8, "part": "piano"}]

    def ask(self, body, path="/api/compose", **headers):
        return self.server.ask("POST", path, body, **headers)

    def composed(self, body):
        status, _, content = self.ask(body, Accept="application/json")
        self.assertEqual(status, 200, content)
        return json.loads(content)

    def refused(self, status, words, body, **headers):
        found, _, content = self.ask(body, **headers)
        self.assertEqual(found, status, content)
        self.assertIn(words, json.loads(content)["error"]["message"])

    @staticmethod
    def notes(piece, part=None):
        notes = piece["notes"] if "notes" in piece else piece["sample"]["notes"]
        return {(n.get("part", "voice"), n["start"], n["length"], n["pitch"]) for n in notes if part in (None, n.get("part", "voice"))}

    def run_command(self, command, motif, ending):
        """What the command line makes of a command that an answer has: the file's bytes."""
        with tempfile.TemporaryDirectory() as folder:
            if motif:
                (Path(folder) / "motif.mid").write_bytes(base64.b64decode(motif))
            command = command.replace("onestep compose triads", f"{ONESTEP} compose {MODELS / 'triads.pt'}").replace(".mid", ending) \
                .replace("motif" + ending, "motif.mid")
            subprocess.run(command.split(), cwd=folder, check=True, capture_output=True)
            return (Path(folder) / command.split()[-1]).read_bytes()

    def test_models_say_that_they_make_music(self):
        models = {model["name"]: model for model in json.loads(self.server.ask("GET", "/api/models")[2])["models"]}
        self.assertIsNone(models["fashion"]["music"])
        self.assertEqual(models["triads"]["modality"], "music")
        music = models["triads"]["music"]
        self.assertEqual((music["lowest_pitch"], music["pitches"], music["tasks"]), (60, 24, ["new", "harmonise", "continue", "vary", "fill"]))

    def test_samples_of_music(self):
        status, headers, midi = self.ask({"model": "triads", "seeds": [3], "labels": ["Am"]}, "/api/generate")
        self.assertEqual((status, headers["Content-Type"]), (200, "audio/midi"), midi)
        self.assertTrue(midi.startswith(b"MThd"))
        status, headers, content = self.ask({"model": "triads", "seeds": [3], "labels": ["Am"]}, "/api/generate", Accept="application/json")
        [sample] = json.loads(content)["samples"]
        self.assertEqual(base64.b64decode(sample["mid"]), midi)
        self.assertEqual(self.notes(sample, "voice"), {("voice", 4 * beat, 4, 69) for beat in range(8)})
        self.assertTrue(sample["command"].endswith("-o 3.mid"), sample["command"])
        status, headers, content = self.ask({"model": "triads", "seeds": [3]}, "/api/generate", Accept="image/*;q=0.8, audio/flac")
        self.assertEqual((status, headers["Content-Type"]), (200, "image/png"))
        # Several pieces don't go into one file, nor as what nobody has.
        status, headers, content = self.ask({"model": "triads", "count": 2}, "/api/generate", Accept="*/*")
        self.assertEqual((status, headers["Content-Type"], len(json.loads(content)["samples"])), (200, "application/json", 2))
        status, _, content = self.ask({"model": "triads", "count": 2}, "/api/generate", Accept="audio/*")
        self.assertEqual(status, 406)
        self.assertNotIn(b"audio/midi", content)

    def test_a_new_piece(self):
        piece = self.composed({"bars": 3, "key": "D", "seed": 5})
        self.assertEqual((piece["bars"], piece["tempo"], piece["motif"], piece["sample"]["label_name"]), (3, 90, None, "D"))
        self.assertEqual(self.notes(piece, "voice"), {("voice", 4 * beat, 4, 62) for beat in range(12)})
        self.assertEqual(base64.b64decode(piece["sample"]["mid"]), self.run_command(piece["sample"]["command"], None, ".mid"))
        self.assertEqual(self.composed({})["bars"], 16)

    def test_every_note_that_is_given_is_in_the_piece_and_the_command_writes_it_again(self):
        for body, part in (({"task": "harmonise"}, "voice"), ({"task": "continue", "bars": 5, "key": "F"}, None),
                           ({"task": "fill", "gap": [3, 4], "tempo": 100.3}, None), ({"task": "harmonise", "tempo": 133.7, "seed": 8, "steps": 1}, "voice")):
            piece = self.composed({"motif": self.MOTIF, **body})
            self.assertTrue(self.notes({"notes": self.MOTIF}, part) <= self.notes(piece), body)
            self.assertGreater(len(self.notes(piece)), len(self.MOTIF))
            self.assertEqual(self.notes(piece["motif"]), self.notes({"notes": self.MOTIF}))
            self.assertEqual(base64.b64decode(piece["sample"]["mid"]), self.run_command(piece["sample"]["command"], piece["motif"]["mid"], ".mid"))
        self.assertEqual(piece["report"]["nfe"], 1)
        self.assertEqual(self.composed({"task": "harmonise", "motif": self.MOTIF})["sample"]["label_name"], "Dm")

    def test_a_midi_file_and_a_list_of_notes_are_the_same(self):
        listed = self.composed({"task": "vary", "freedom": 0.7, "motif": self.MOTIF, "tempo": 120})
        filed = self.composed({"task": "vary", "freedom": 0.7, "motif": listed["motif"]["mid"]})
        self.assertEqual(listed["sample"]["notes"], filed["sample"]["notes"])
        self.assertEqual((filed["tempo"], filed["motif"]["remark"]), (120, ""))
        nearer = self.composed({"task": "vary", "freedom": 0.1, "motif": self.MOTIF})
        self.assertLess(nearer["report"]["levels"][0], listed["report"]["levels"][0])
        self.assertEqual(base64.b64decode(listed["sample"]["mid"]), self.run_command(listed["sample"]["command"], listed["motif"]["mid"], ".mid"))

    def test_kinds_of_answer(self):
        body = {"task": "harmonise", "motif": self.MOTIF, "tempo": 150}
        midi = base64.b64decode(self.composed(body)["sample"]["mid"])
        for accept, kind, start in (("", "audio/midi", b"MThd"), ("audio/*", "audio/midi", b"MThd"), ("image/png", "image/png", b"\x89PNG"),
                                    ("application/x-npy", "application/x-npy", b"\x93NUMPY")):
            status, headers, content = self.ask(body, **({"Accept": accept} if accept else {}))
            self.assertEqual((status, headers["Content-Type"]), (200, kind), content)
            self.assertTrue(content.startswith(start))
            self.assertIn("onestep compose triads", headers["X-Onestep-Command"])
            if kind == "audio/midi":
                self.assertEqual(content, midi)
            if kind == "image/png":
                self.assertEqual(json.loads(Image.open(io.BytesIO(content)).text["onestep"])["bars"], 2)
        self.refused(406, "a piece can be had as audio/midi, application/json", body, Accept="video/mp4")
        models = json.loads(self.server.ask("GET", "/api/models")[2])["models"]
        status, headers, content = self.ask(body, Accept="audio/wav")
        if models[1]["music"]["plays"]:
            self.assertEqual((status, content[:4]), (200, b"RIFF"))
            # Two bars at 150 a minute take 3.2 s, and two more seconds die away: 16 bits, two channels.
            self.assertAlmostEqual(len(content) / (44100 * 4), 5.2, delta=0.01)
        else:
            self.assertEqual(status, 422, content)

    def test_a_sound_has_a_longest_one(self):
        # 600 s are 250 bars at 100 a minute.
        self.refused(422, "251 bars at tempo 100 last 602 s: a sound has at most 600 here", {"bars": 251, "tempo": 100}, Accept="audio/wav")
        self.assertEqual(self.ask({"bars": 251, "tempo": 100}, Accept="audio/midi")[0], 200)

    def test_malformed_requests_do_no_harm(self):
        answers, _ = attack(self.server, 300)
        found = {status for counts in answers.values() for status in counts if status}
        self.assertFalse({status for status in found if status >= 500} - {503}, answers)
        self.composed({"bars": 1})

    def test_what_is_left_out_is_said(self):
        low = self.MOTIF + [{"pitch": 74, "start": 20, "length": 9}]
        piece = self.composed({"task": "harmonise", "motif": low})
        self.assertEqual(piece["motif"]["remark"], "motif: 1 note at the place of another left out")
        self.assertIn(("voice", 20, 9, 74), self.notes(piece))
        status, headers, _ = self.ask({"task": "harmonise", "motif": low})
        self.assertEqual((status, headers["X-Onestep-Remark"]), (200, piece["motif"]["remark"]))

    def test_refusals_name_field_value_and_rule(self):
        note = {"pitch": 62, "start": 0, "length": 4}
        for body, words in (({"task": "sing", "motif": [note]}, "task = sing is unknown; there are new, harmonise"),
                            ({"task": "harmonise"}, "motif is missing"), ({"motif": [note]}, "a new piece has none"),
                            ({"task": "vary", "motif": []}, "motif = [] must be"), ({"task": "vary", "motif": {}}, "motif = {} must be"),
                            ({"task": "vary", "motif": "no base 64"}, "base64"),
                            ({"task": "vary", "motif": base64.b64encode(b"RIFF0000").decode()}, "motif: is no MIDI file"),
                            ({"task": "vary", "motif": [note, {**note, "pitch": 128}]}, "pitch = 128 must be a whole number in [0, 127]"),
                            ({"task": "vary", "motif": [{**note, "part": "drums"}]}, "voice or piano"),
                            ({"task": "vary", "motif": [{**note, "loud": 1}]}, "motif[0] = "),
                            ({"task": "vary", "motif": [{"pitch": 62}]}, "motif[0] = "), ({"task": "vary", "motif": [3]}, "motif[0] = 3 must be an object"),
                            ({"task": "vary", "motif": [{**note, "pitch": 40}]}, "pitch 40 at sixteenth 0, 4 long, must lie within pitches 60 to 83"),
                            ({"task": "vary", "motif": [note], "freedom": 2}, "freedom = 2 must be a number in [0, 1]"),
                            ({"task": "vary", "motif": [note], "freedom": 0.5, "steps": 2}, "leave out sampler"),
                            ({"task": "continue", "motif": [note], "freedom": 0.5}, "that of the task vary"),
                            ({"task": "fill", "motif": [note]}, "gap: "), ({"gap": [1, 2]}, "gap: "),
                            ({"task": "fill", "motif": [note], "gap": [1, 1]}, "leave it some"),
                            ({"task": "harmonise", "motif": [{**note, "start": 160}], "bars": 4}, "at least the 11 of what is given"),
                            ({"task": "harmonise", "motif": [{**note, "part": "piano"}]}, "no notes of the voice"),
                            ({"bars": 1025}, "bars = 1025"), ({"key": "H"}, "unknown label H"), ({"key": 24}, "has 0 to 23"), ({"tempo": 5}, "tempo = 5"),
                            ({"seed": -1}, "-1"), ({"seeds": [1]}, "seeds is an unknown field"), ({"sizes": {}}, "sizes is an unknown field"),
                            ({"colour": 1}, "colour = 1 is an unknown field"), ({"sampler": "euler"}, "euler"),
                            ({"model": "fashion"}, "fashion makes image, not music"), ({"model": "songs"}, "model songs is unknown")):
            self.refused(422, words, body)


if __name__ == "__main__":
    unittest.main()
