"""Sounds from the command line: edited, looked at, compared, refused. Usage: sounds_test.py ONESTEP"""

import json
import os
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

import numpy
import soundfile
import tiny_models
from PIL import Image

ONESTEP = sys.argv.pop(1)
# Other tests run at the same time, and threads that wait for each other's cores take many times as long.
os.environ["OMP_NUM_THREADS"] = "1"
RATE, LENGTH = 8000, 800
DRUMS_RATE = DRUMS_LENGTH = 22_050
STEP = 1 / 32768  # of 16 bits


def tone(frequency: float, rate: int = RATE, seconds: float = LENGTH / RATE) -> numpy.ndarray:
    return 0.5 * numpy.sin(2 * numpy.pi * frequency * numpy.arange(round(rate * seconds)) / rate)


def spectrum(sound: numpy.ndarray) -> numpy.ndarray:
    """Amplitudes: 43 frames of a window of 512."""
    frames = numpy.lib.stride_tricks.sliding_window_view(sound, 512)[::512] * numpy.hanning(512)
    return numpy.abs(numpy.fft.rfft(frames))


def apart(a: numpy.ndarray, b: numpy.ndarray) -> float:
    return float(numpy.abs(spectrum(a) - spectrum(b)).mean())


class Sounds(unittest.TestCase):
    def setUp(self):
        temporary = tempfile.TemporaryDirectory()
        self.addCleanup(temporary.cleanup)
        self.folder = Path(temporary.name)
        about = {"network": {"noise_input": {"kind": "sigma"}, "prediction": {"kind": "denoised"}}}
        about["sample"] = {"modality": "audio", "shape": [1, LENGTH], "sample_rate": RATE}
        tiny_models.write(self.folder / "halves.pt", tiny_models.Half(), **about)  # D(x, sigma) = x / 2
        about["sample"] = about["sample"] | {"shape": [2, LENGTH]}
        tiny_models.write(self.folder / "stereo.pt", tiny_models.HalfOfALabel(), **about,
                          labels={"count": 2, "names": ["kick", "snare"], "encoding": "index"})
        self.sound = numpy.random.default_rng(0).uniform(-0.9, 0.9, LENGTH).astype(numpy.float32)
        self.write("a.wav", self.sound)
        self.noise = numpy.random.default_rng(1).standard_normal((2, 1, 1, LENGTH)).astype(numpy.float32)
        numpy.save(self.folder / "z.npy", self.noise)
        numpy.save(self.folder / "z0.npy", self.noise[:1])

    def write(self, name: str, sound: numpy.ndarray, rate: int = RATE, subtype: str = "FLOAT"):
        soundfile.write(self.folder / name, sound, rate, subtype="PCM_24" if name.endswith(".flac") else subtype)

    def run_onestep(self, *arguments, code: int = 0) -> subprocess.CompletedProcess:
        result = subprocess.run([ONESTEP, *map(str, arguments)], capture_output=True, text=True, cwd=self.folder)
        self.assertEqual(result.returncode, code, result.stderr)
        return result

    def edit(self, *arguments, output: str = "e.npy") -> numpy.ndarray:
        result = self.run_onestep("edit", *arguments, "-o", output, "--json")
        self.report, self.said = json.loads(result.stdout), result.stderr
        return numpy.load(self.folder / output)

    # ---- edits, where the answer is known: the network halves what it is given

    def test_stroke_is_the_sound_with_noise_taken_out(self):
        wanted = 0.5 * (self.sound + 0.1 * self.noise[0, 0, 0])
        drawn = self.edit("stroke", "halves.pt", "a.wav", "--noise", "z0.npy")
        self.assertEqual((self.report["levels"], self.report["nfe"]), ([0.1], 1))
        numpy.testing.assert_allclose(drawn[0, 0], wanted, atol=1e-6)  # float32
        self.write("a.flac", self.sound)
        numpy.testing.assert_allclose(self.edit("stroke", "halves.pt", "a.flac", "--noise", "z0.npy")[0, 0], wanted,
                                      atol=1 / 2**23)  # 24 bits
        wanted = 0.5 * (self.sound + 3 * self.noise[0, 0, 0])
        drawn = self.edit("stroke", "halves.pt", "a.wav", "--noise", "z0.npy", "--levels", "3")
        numpy.testing.assert_allclose(drawn[0, 0], wanted, atol=1e-6)

    def test_denoise_adds_no_noise(self):
        drawn = self.edit("denoise", "halves.pt", "a.wav", "--sigma", "0.05", "--seeds", "1,2")
        self.assertEqual(self.report["levels"], [0.05])
        for row in drawn:
            numpy.testing.assert_allclose(row[0], 0.5 * self.sound, atol=1e-6)

    def test_a_gap_is_drawn_and_the_rest_kept(self):
        drawn = self.edit("inpaint", "halves.pt", "a.wav", "--gap", "0.02-0.05", "--noise", "z.npy")
        self.assertEqual(self.report["levels"], [80, 0.1])
        gap = slice(160, 400)
        first = 0.5 * 80 * self.noise[0, 0, 0, gap]
        wanted = 0.5 * (first + 0.1 * self.noise[1, 0, 0, gap])
        numpy.testing.assert_allclose(drawn[0, 0, gap], wanted, atol=1e-4)  # float32 of numbers up to 100
        kept = numpy.r_[0:160, 400:LENGTH]
        numpy.testing.assert_array_equal(drawn[0, 0, kept], self.sound[kept])

    def test_what_padding_adds_is_drawn(self):
        self.write("short.wav", self.sound[:500])
        drawn = self.edit("inpaint", "halves.pt", "short.wav", "--fit", "pad")
        numpy.testing.assert_array_equal(drawn[0, 0, :500], self.sound[:500])
        self.assertGreater(numpy.abs(drawn[0, 0, 500:]).min(), 0)
        drawn = self.edit("denoise", "halves.pt", "short.wav", "--fit", "pad", "--sigma", "0.1")
        numpy.testing.assert_allclose(drawn[0, 0], 0.5 * numpy.pad(self.sound[:500], (0, 300)), atol=1e-6)
        self.write("long.wav", numpy.concatenate([self.sound, self.sound]))
        drawn = self.edit("denoise", "halves.pt", "long.wav", "--fit", "crop", "--sigma", "0.1")
        numpy.testing.assert_allclose(drawn[0, 0], 0.5 * self.sound, atol=1e-6)

    # ---- users' own files

    def test_another_rate_and_other_channels_are_changed_and_said(self):
        self.write("fast.wav", numpy.stack([tone(440, 44_100), 0.5 * tone(440, 44_100)], 1), 44_100)
        drawn = self.edit("denoise", "halves.pt", "fast.wav", "--sigma", "0.1")
        words = "fast.wav: resampled from 44100 to 8000 Hz, 2 channels made 1"
        self.assertEqual((self.said, self.report["remark"]), (f"onestep: {words}\n", words))
        # Away from the ends, where the sound begins and stops at once. The filter is 90 dB down.
        numpy.testing.assert_allclose(drawn[0, 0, 100:-100], 0.5 * 0.75 * tone(440)[100:-100], atol=1e-4)
        drawn = self.edit("denoise", "stereo.pt", "a.wav", "--sigma", "0.1")
        self.assertIn("1 channel made 2", self.said)
        numpy.testing.assert_array_equal(drawn[0, 0], drawn[0, 1])
        self.assertEqual(self.run_onestep("edit", "denoise", "stereo.pt", "a.wav", "--sigma", "0.1", "--quiet", "-o", "b.wav").stderr, "")

    def test_several_go_into_a_folder(self):
        self.run_onestep("edit", "stroke", "stereo.pt", "a.wav", "--label", "snare", "--seeds", "3-5", "-o", "variations/")
        files = sorted(file.name for file in (self.folder / "variations").iterdir())
        self.assertEqual(files, ["000003.wav", "000004.wav", "000005.wav"])
        sounds = [soundfile.read(self.folder / "variations" / name)[0] for name in files]
        self.assertEqual(sounds[0].shape, (LENGTH, 2))
        self.assertGreater(numpy.abs(sounds[0] - sounds[1]).max(), 0.01)
        (self.folder / "v").mkdir()
        report = json.loads(self.run_onestep("edit", "stroke", "stereo.pt", "a.wav", "--seeds", "3", "-o", "v/{seed}.png", "--json").stdout)
        self.assertEqual(report["files"], ["v/3.png"])
        with Image.open(self.folder / "v/3.png") as picture:
            made = json.loads(picture.text["onestep"])
        self.assertEqual((made["task"], made["seeds"], made["labels"]), ("stroke", [3], report["labels"]))

    def test_refuses_with_a_reason_and_leaves_nothing(self):
        self.write("short.wav", self.sound[:500])
        self.write("long.wav", numpy.concatenate([self.sound, self.sound]))
        self.write("six.wav", numpy.zeros((LENGTH, 6)))
        self.write("none.wav", numpy.zeros(0))
        self.write("slow.wav", numpy.zeros(80), 800)
        self.write("nan.wav", numpy.full(LENGTH, numpy.nan))
        (self.folder / "cut.wav").write_bytes((self.folder / "a.wav").read_bytes()[:1000])
        (self.folder / "empty.wav").touch()
        Image.new("L", (8, 8)).save(self.folder / "mask.png")
        (self.folder / "text.wav").write_text("no sound at all")
        tiny_models.write(self.folder / "picture.pt", tiny_models.Half())
        before = sorted(self.folder.iterdir())
        for arguments, code, words in (
                (["stroke", "halves.pt", "short.wav"], 4, "short.wav: lasts 0.062 s (500 samples at 8000 Hz); it must last 0.100 s (800 samples "
                                                          "at 8000 Hz): --fit pad adds silence"),
                (["stroke", "halves.pt", "short.wav", "--fit", "crop"], 4, "--fit pad adds silence"),
                (["stroke", "halves.pt", "long.wav"], 4, "--fit crop cuts its end"),
                (["stroke", "halves.pt", "long.wav", "--fit", "stretch"], 2, "would change a sound's pitch"),
                (["stroke", "stereo.pt", "six.wav"], 4, "has 6 channels; tiny has 2"),
                (["stroke", "halves.pt", "none.wav"], 4, "none.wav: has no samples"),
                (["stroke", "halves.pt", "slow.wav"], 4, "has 800 samples a second"),
                (["stroke", "halves.pt", "nan.wav"], 4, "nan.wav: holds nan at sample 0"),
                (["stroke", "halves.pt", "cut.wav"], 4, "cut.wav: is cut short"),
                (["stroke", "halves.pt", "empty.wav"], 4, "is empty"),
                (["stroke", "halves.pt", "text.wav"], 4, "is no WAV or FLAC sound"),
                (["stroke", "halves.pt", "missing.wav"], 4, "no such file"),
                (["stroke", "halves.pt", "."], 4, "is a folder"),
                (["stroke", "halves.pt", "a.wav", "--levels", "0.1,0.3"], 2, "must be below"),
                (["stroke", "halves.pt", "a.wav", "-n", "2"], 2, ".wav holds one sample"),
                (["inpaint", "halves.pt", "a.wav"], 2, "a.wav is known all over; give --gap"),
                (["inpaint", "halves.pt", "a.wav", "--gap", "0.05"], 2, "--gap 0.05 must be FROM-TO"),
                (["inpaint", "halves.pt", "a.wav", "--gap", "0.05-0.02"], 2, "must be FROM-TO"),
                (["inpaint", "halves.pt", "a.wav", "--gap", "nan-nan"], 2, "must be FROM-TO"),
                (["inpaint", "halves.pt", "a.wav", "--gap", "0.05-0.2"], 2, "must have a sample and lie within the sound's 0.100 s"),
                (["inpaint", "halves.pt", "a.wav", "--gap", "0.05-inf"], 2, "lie within the sound's"),
                (["inpaint", "halves.pt", "a.wav", "--gap", "0.05-0.05001"], 2, "must have a sample"),
                (["inpaint", "halves.pt", "a.wav", "--mask", "mask.png"], 2, "--mask is for pictures"),
                (["inpaint", "picture.pt", "mask.png", "--gap", "0-1"], 2, "--gap is for sounds"),
                (["upscale", "halves.pt", "a.wav"], 2, "edit upscale works on pictures; on sounds work inpaint, stroke, denoise"),
                (["stroke", "songs", "a.wav"], 2, "works on pictures and sounds; compose edits music")):
            with self.subTest(arguments=arguments):
                # A folder that would have been made is not.
                result = self.run_onestep("edit", *arguments, "-o", "no.wav" if "-n" in arguments else "no/", code=code)
                self.assertIn(words, result.stderr)
                self.assertEqual(sorted(self.folder.iterdir()), before)

    # ---- looked at

    def test_a_grid_of_pictures(self):
        self.run_onestep("generate", "stereo.pt", "-n", "16", "--grid", "-o", "all.png")
        self.run_onestep("generate", "stereo.pt", "--seeds", "3", "--grid", "-o", "one.png")
        with Image.open(self.folder / "all.png") as picture, Image.open(self.folder / "one.png") as one:
            self.assertEqual(picture.size, (4 * 256 + 5 * 16, 4 * one.height + 5 * 16))
            # The fourth of sixteen is seed 3's.
            left = 16 + 3 * (256 + 16)
            numpy.testing.assert_array_equal(numpy.asarray(picture)[16:16 + one.height, left:left + 256], numpy.asarray(one))
            self.assertEqual(json.loads(picture.text["onestep"])["seeds"], list(range(16)))

    def test_a_comparison_shows_waveforms_and_spectra(self):
        said = self.run_onestep("compare", "stereo.pt", "stereo.pt:consistency:2", "--seeds", "3", "--label", "snare", "-o", "sheet.png").stdout
        self.assertIn("ms/sample", said)
        self.run_onestep("generate", "stereo.pt", "--seeds", "3", "--label", "snare", "-o", "one.png")
        with Image.open(self.folder / "sheet.png") as sheet, Image.open(self.folder / "one.png") as one:
            sheet, one = numpy.asarray(sheet.convert("RGB")), numpy.asarray(one)
        waveform = one[-202:-130]  # below the line of text, which has no seed there
        places = [(y, x) for y in range(sheet.shape[0] - 72) for x in range(sheet.shape[1] - 256)
                  if (sheet[y, x:x + 256] == waveform[0]).all() and (sheet[y:y + 72, x:x + 256] == waveform).all()]
        self.assertEqual(len(places), 1)

    # ---- the shipped model

    def test_drums(self):
        """Of a snare: variations are like it, but not it; noise of 0.05 is taken out; a gap is filled with as much as is around it."""
        self.run_onestep("generate", "drums", "--label", "snare", "--seeds", "0", "-o", "snare.wav")
        self.run_onestep("generate", "drums", "--label", "snare", "--seeds", "1-8", "-o", "others.npy")
        snare, others = soundfile.read(self.folder / "snare.wav")[0], numpy.load(self.folder / "others.npy")[:, 0]
        drawn = self.edit("stroke", "drums", "snare.wav", "--label", "snare", "-n", "8")[:, 0]
        near, far = (numpy.mean([apart(snare, other) for other in sounds]) for sounds in (drawn, others))
        self.assertLess(near, 0.6 * far)
        self.assertGreater(apart(drawn[0], drawn[1]), 0.2 * far)

        noisy = snare + 0.05 * numpy.random.default_rng(0).standard_normal(DRUMS_LENGTH)
        self.write("noisy.wav", noisy, DRUMS_RATE)
        clean = self.edit("denoise", "drums", "noisy.wav", "--sigma", "0.05", "--label", "snare")[0, 0]
        self.assertLess(numpy.mean((clean - snare) ** 2), numpy.mean((noisy - snare) ** 2) / 2)

        filled = self.edit("inpaint", "drums", "snare.wav", "--gap", "0.05-0.1", "--label", "snare")[0, 0]
        begin, end = round(0.05 * DRUMS_RATE), round(0.1 * DRUMS_RATE)
        kept = numpy.r_[0:begin, end:DRUMS_LENGTH]
        numpy.testing.assert_allclose(filled[kept], snare[kept], atol=STEP)
        loudness = 20 * numpy.log10(filled[begin:end].std() / snare[begin:end].std())
        self.assertGreater(loudness, -20)
        self.assertLess(loudness, 10)


if __name__ == "__main__":
    unittest.main()
