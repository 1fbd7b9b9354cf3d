"""The Python module against the library and its command line. Usage: module_test.py ONESTEP (the program)"""

import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import numpy as np

import pyonestep


def raises(error, act, *words):
    try:
        act()
    except error as found:
        assert all(word in str(found) for word in words), f"{found!s} has not all of {words}"
        return found
    raise AssertionError(f"no {error.__name__}")


def drawn_by_the_command(folder: Path, *options: str) -> np.ndarray:
    subprocess.run([sys.argv[1], "generate", "fashion", *options, "-o", folder / "a.npy", "--quiet"], check=True)
    return np.load(folder / "a.npy")


def main() -> None:
    model = pyonestep.Model("fashion")
    assert (model.name, model.shape, model.range, model.modality) == ("fashion", (1, 28, 28), (-1, 1), "image")
    assert len(model.labels) == 10 and "fashion" in repr(model)

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        two = model.generate(seeds=range(3, 9), labels=["dress"], steps=2, sampler="consistency")
        assert two.shape == (6, 1, 28, 28) and two.dtype == np.float32
        assert np.array_equal(two, drawn_by_the_command(folder, "--seeds", "3-8", "--label", "dress", "--steps", "2"))
        model.save(folder / "b.npy", seeds=np.arange(3, 9), labels=["dress"], steps=2)
        assert np.array_equal(np.load(folder / "b.npy"), two)

    samples = model.draw(4, labels=[1, 2])
    assert samples.seeds == [0, 1, 2, 3] and samples.labels == [1, 2, 1, 2] and samples.report["nfe"] == 1
    assert np.array_equal(samples[-1], np.asarray(samples)[3])
    raises(IndexError, lambda: samples[4])
    assert model.plan(1, steps=4)["nfe"] == 4

    # Noise of one's own, and the ends of what lies between two seeds.
    noise = model.interpolate_seeds(1, 2, 3)
    between = model.generate(seeds=[1, 1, 1], labels=[0], noise=noise)
    ends = model.generate(seeds=[1, 2], labels=[0])
    assert np.abs(between[[0, 2]] - ends).max() < 1e-5  # the circle's ends are reached but for a rounding

    # What is known stays, and the rest is drawn.
    mask = np.zeros(model.shape, np.float32)
    mask[:, :14] = 1
    whole = model.generate(seeds=[5], edit="inpaint", input=between[0], mask=mask)[0]
    assert np.array_equal(whole[:, :14], between[0][:, :14]) and not np.array_equal(whole, between[0])

    # Stopping, and what a callback throws.
    stopped = raises(pyonestep.Stopped, lambda: model.draw(8, batch=2, on_progress=lambda c, cs, done, n: done >= 2))
    assert len(stopped.samples) == 2
    seen = []
    raises(pyonestep.Stopped, lambda: model.generate_each(lambda seed, label, values: seen.append(seed) or seed == 2, 8, batch=2))
    assert seen == [0, 1, 2]

    def fails(*_):
        raise ZeroDivisionError("mine")

    raises(ZeroDivisionError, lambda: model.generate(2, on_progress=fails), "mine")

    # A plane: the same pixels in pieces, from several threads.
    plane = model.canvas(7, label="bag")
    region = plane.region(-9, 5, 40, 30)
    assert region.shape == (1, 30, 40)
    parts = [None] * 4
    threads = [threading.Thread(target=lambda i=i: parts.__setitem__(i, plane.region(-9 + 10 * i, 5, 10, 30))) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert np.array_equal(np.concatenate(parts, axis=2), region)
    period = model.canvas(7, label="bag", period=(56, 56))
    assert np.array_equal(period.region(0, 0, 56, 10), period.region(56, 56, 56, 10))

    assert raises(pyonestep.Error, lambda: pyonestep.Model("no-such"), "no-such").kind == "model"
    for wrong, word in ((dict(count=1, labels=["hat"]), "hat"), (dict(count=1, colour=3), "colour"), ({}, "seeds"),
                        (dict(count=1, edit="shave"), "shave"), (dict(count=1, noise=np.zeros(3)), "noise")):
        assert raises(pyonestep.Error, lambda: model.generate(**wrong), word).kind == "usage"
    raises(pyonestep.Error, lambda: plane.region(0, 0, 0, 5), "width = 0")
    raises(pyonestep.Error, lambda: pyonestep.Model("fashion", precision="fp99"), "fp99")
    print("all is well")


main()
