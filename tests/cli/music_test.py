"""Music from the command line: pieces, what is given to them, what is refused. Usage: music_test.py ONESTEP MODELS"""

import json
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

import numpy
from PIL import Image

ONESTEP, MODELS = Path(sys.argv.pop(1)).resolve(), Path(sys.argv.pop(1)).resolve()
TRIADS = MODELS / "triads.pt"


def note(track: int, channel: int, pitch: int, begin: int, end: int) -> list[str]:
    """Of the text form of a MIDI file; ticks."""
    return [f"{track}, {begin}, Note_on_c, {channel}, {pitch}, 70", f"{track}, {end}, Note_off_c, {channel}, {pitch}, 0"]


def write_midi(file: Path, *tracks: list[str]) -> None:
    """By csvmidi; 96 ticks a quarter note."""
    lines = [f"0, 0, Header, 1, {len(tracks)}, 96"]
    for number, events in enumerate(tracks, 1):
        events = sorted(events, key=lambda line: int(line.split(",")[1]))
        end = int(events[-1].split(",")[1]) if events else 0
        lines += [f"{number}, 0, Start_track", *events, f"{number}, {end}, End_track"]
    csv = file.with_suffix(".csv")
    csv.write_text("\n".join([*lines, "0, 0, End_of_file"]) + "\n")
    subprocess.run(["csvmidi", csv, file], check=True)
    csv.unlink()


def read_midi(file: Path) -> dict[str, list[tuple[int, int, int]]]:
    """By midicsv: track name to (tick, ticks, pitch)."""
    tracks, names, open_notes = {}, {}, {}
    for line in subprocess.run(["midicsv", file], check=True, capture_output=True, text=True).stdout.splitlines():
        track, tick, kind, *rest = line.split(", ")
        if kind == "Title_t":
            names[track] = rest[0].strip('"')
            tracks[names[track]] = []
        elif kind == "Note_on_c":
            open_notes[track, rest[1]] = int(tick)
        elif kind == "Note_off_c":
            begin = open_notes.pop((track, rest[1]))
            tracks[names[track]].append((begin, int(tick) - begin, int(rest[1])))
    assert not open_notes
    return {name: sorted(notes) for name, notes in tracks.items()}


class Music(unittest.TestCase):
    def setUp(self):
        temporary = tempfile.TemporaryDirectory()
        self.addCleanup(temporary.cleanup)
        self.folder = Path(temporary.name)
        # Two bars and a half of D minor: a melody, a chord below.
        self.melody = [(62, 0, 96), (65, 96, 240), (69, 240, 384), (74, 480, 576), (73, 576, 768), (62, 768, 960)]
        write_midi(self.folder / "motif.mid", ["1, 0, Tempo, 400000"],
                   ['2, 0, Title_t, "Melody"', *(line for p, b, e in self.melody for line in note(2, 0, p, b, e))],
                   [line for pitch in (62, 65, 69) for line in note(3, 1, pitch, 0, 192)])
        self.before = set(self.folder.iterdir())

    def onestep(self, *arguments: object) -> subprocess.CompletedProcess:
        return subprocess.run([ONESTEP, *map(str, arguments)], capture_output=True, text=True, cwd=self.folder)

    def compose(self, *arguments: object) -> str:
        result = self.onestep("compose", TRIADS, *arguments)
        self.assertEqual(result.returncode, 0, result.stderr)
        return result.stdout

    def refused(self, code: int, words: str, *arguments: object, model: Path = TRIADS) -> None:
        result = self.onestep("compose", model, *arguments)
        self.assertEqual(result.returncode, code, result.stderr)
        self.assertIn(words, result.stderr)
        self.assertEqual(set(self.folder.iterdir()), self.before)

    def given(self) -> list[tuple[int, int, int]]:
        """The melody in ticks of the files that are written, 480 a quarter note."""
        return [(5 * begin, 5 * (end - begin), pitch) for pitch, begin, end in self.melody]

    def test_a_new_piece(self):
        said = self.compose("--bars", "3", "--key", "D", "-o", "song.mid")
        self.assertIn("3 bars, key D", said)
        tracks = read_midi(self.folder / "song.mid")
        self.assertEqual(tracks["Voice"], [(480 * beat, 480, 62) for beat in range(12)])
        self.assertEqual(tracks["Piano"], sorted((960 * half, 960, pitch) for half in range(6) for pitch in (62, 66, 69)))

    def test_a_melody_is_harmonised_in_its_key_and_tempo(self):
        report = json.loads(self.compose("--melody", "motif.mid", "--json", "-o", "song.mid"))
        self.assertEqual([report["bars"], report["tempo"], report["levels"], report["pieces"][0]["key"]], [3, 150, [80, 0.5], "Dm"])
        tracks = read_midi(self.folder / "song.mid")
        self.assertEqual(tracks["Voice"], self.given())
        self.assertEqual(tracks["Piano"], sorted((960 * half, 960, pitch) for half in range(6) for pitch in (62, 65, 69)))

    def test_a_motif_is_continued(self):
        self.compose("--continue", "motif.mid", "-o", "song.mid")
        tracks = read_midi(self.folder / "song.mid")
        self.assertEqual([n for n in tracks["Voice"] if n[0] < 3 * 1920], self.given())
        self.assertEqual([n for n in tracks["Piano"] if n[0] < 3 * 1920], [(0, 960, p) for p in (62, 65, 69)])
        self.assertEqual([n for n in tracks["Voice"] if n[0] >= 3 * 1920], [(480 * beat, 480, 62) for beat in range(12, 24)])

    def test_variations_go_to_a_folder(self):
        self.compose("--vary", "motif.mid", "--freedom", "0.5", "--seeds", "3-5", "-o", "variations/")
        levels = [json.loads(self.compose("--vary", "motif.mid", "--freedom", freedom, "--json", "-o", "a.mid"))["levels"]
                  for freedom in (0.1, 0.9)]
        self.assertLess(levels[0][0], levels[1][0])
        self.assertEqual(levels[1][1:], [0.5])  # as the model recommends for a second step
        self.assertEqual(sorted(f.name for f in (self.folder / "variations").iterdir()), [f"{s:06d}.mid" for s in (3, 4, 5)])

    def test_a_gap_is_filled(self):
        self.compose("--fill", "motif.mid", "--gap", "2", "--key", "C", "-o", "song.mid")
        tracks = read_midi(self.folder / "song.mid")
        self.assertEqual(tracks["Voice"], sorted([n for n in self.given() if not 1920 <= n[0] < 3840] + [(1920 + 480 * beat, 480, 60) for beat in range(4)]))
        self.assertEqual(tracks["Piano"], [(0, 960, p) for p in (62, 65, 69)] + sorted((1920 + 960 * half, 960, p) for half in range(2) for p in (60, 64, 67)))

    def test_other_files(self):
        self.compose("--bars", "9", "-o", "song.npy")
        self.assertEqual(numpy.load(self.folder / "song.npy").shape, (1, 4, 24, 144))
        self.compose("--bars", "9", "-o", "song.png")
        with Image.open(self.folder / "song.png") as picture:
            self.assertEqual(picture.size, (8 * 16 * 6 + 1, 2 * 24 * 6 + 12))
            self.assertEqual(json.loads(picture.text["onestep"])["bars"], 9)
        self.assertEqual(self.onestep("generate", TRIADS, "--label", "Am", "-n", "2", "-o", "pieces/").returncode, 0)
        self.assertEqual(read_midi(self.folder / "pieces/000001.mid")["Voice"], [(480 * beat, 480, 69) for beat in range(8)])

    def test_other_commands_know_music(self):
        def done(*arguments: object) -> str:
            result = self.onestep(*arguments)
            self.assertEqual(result.returncode, 0, result.stderr)
            return result.stdout

        # A comparison shows notes: those that a picture of the sample shows, at the size of a tile of the sheet.
        said = done("compare", TRIADS, f"{TRIADS}:consistency:1", "-n", "1", "--label", "Am", "-o", "sheet.png")
        self.assertIn("ms/sample", said)
        self.compose("--bars", "2", "--key", "Am", "-o", "piece.png")
        with Image.open(self.folder / "piece.png") as piece, Image.open(self.folder / "sheet.png") as sheet:
            piece, sheet = (numpy.asarray(each.convert("RGB")).astype(int) for each in (piece, sheet))
        colours = {tuple(colour) for colour in piece.reshape(-1, 3)}
        self.assertTrue(colours <= {tuple(colour) for colour in sheet.reshape(-1, 3)})
        done("generate", TRIADS, "-n", "6", "-o", "some.npz")
        self.assertIn("80", done("tune", TRIADS, "--reference", "some.npz", "-n", "2", "--steps", "2", "--evaluations", "2"))
        self.assertIn("samples/s", done("bench", TRIADS, "--batch", "1", "--seconds", "0.01"))
        self.assertIn("music [4, 24, 32]", done("inspect", TRIADS))
        (self.folder / "pieces").mkdir()
        for words, arguments in (("--size is for pictures; triads makes music", ["compare", TRIADS, TRIADS, "--size", "64x64"]),
                                 ("give them as .npy or .npz", ["tune", TRIADS, "--reference", "pieces", "-n", "2"])):
            result = self.onestep(*arguments)
            self.assertIn(result.returncode, (2, 4))
            self.assertIn(words, result.stderr)

    def test_says_what_it_left_out(self):
        write_midi(self.folder / "low.mid", note(1, 0, 50, 0, 96) + note(1, 0, 62, 5, 96) + note(1, 9, 38, 0, 24))
        result = self.onestep("compose", TRIADS, "--melody", "low.mid", "-o", "song.mid")
        self.assertEqual(result.stderr, "onestep: low.mid: 1 drum note left out, 1 note beyond pitches 60 to 83 left out, "
                                        "1 note moved to the nearest sixteenth\n")

    def test_refuses_by_name_value_and_rule(self):
        write_midi(self.folder / "waltz.mid", ["1, 0, Time_signature, 3, 2, 24, 8", *note(1, 0, 62, 0, 96)])
        write_midi(self.folder / "long.mid", note(1, 0, 62, 6_912_000 - 96, 6_912_000))
        write_midi(self.folder / "many.mid", *([] for _ in range(100)))
        (self.folder / "none.mid").write_bytes(b"RIFF")
        (self.folder / "empty.mid").touch()
        self.before = set(self.folder.iterdir())
        for words, file in (("is in 3/4", "waltz.mid"), ("18000 bars long; at most 1024", "long.mid"), ("100 tracks", "many.mid"),
                            ("is no MIDI file", "none.mid"), ("is empty", "empty.mid"), ("no such file", "missing.mid")):
            for way in (["--melody"], ["--continue"], ["--vary"], ["--gap", "1", "--fill"]):
                self.refused(4, words, *way, file, "-o", "song.mid")
                self.refused(4, words, *way, file, "-o", "songs/")
        self.refused(2, "bars = 2 must be at least the 3", "--continue", "motif.mid", "--bars", "2", "-o", "song.mid")
        self.refused(2, "give one of them", "--continue", "motif.mid", "--vary", "motif.mid", "-o", "song.mid")
        self.refused(2, "give both", "--gap", "2-3", "-o", "song.mid")
        self.refused(2, "give both", "--fill", "motif.mid", "-o", "song.mid")
        for gap in ("0", "3-2", "1-", "two", "1-1025", "1-2-3", "-1"):
            self.refused(2, f"--gap {gap} must be bars", "--fill", "motif.mid", f"--gap={gap}", "-o", "song.mid")
        self.refused(2, "leave it some", "--fill", "motif.mid", "--gap", "1-3", "-o", "song.mid")
        self.refused(2, "--vary, which is missing", "--freedom", "0.5", "-o", "song.mid")
        self.refused(2, "freedom = 2 must lie in [0, 1]", "--vary", "motif.mid", "--freedom", "2", "-o", "song.mid")
        self.refused(2, "leave out --sampler", "--vary", "motif.mid", "--freedom", "0.3", "--levels", "3", "-o", "song.mid")
        self.refused(2, "bars = 1025 must lie in [1, 1024]", "--bars", "1025", "-o", "song.mid")
        self.refused(2, "unknown label H", "--key", "H", "-o", "song.mid")
        self.refused(2, "must lie in [10, 400]", "--tempo", "401", "-o", "song.mid")
        self.refused(2, "holds one piece, not 2", "-n", "2", "-o", "song.mid")
        self.refused(2, "these are: .png", "-o", "song.tif")
        self.refused(4, "make the folder nowhere first", "-o", "nowhere/song.mid")
        self.refused(2, "compose takes a model of music", "-o", "song.mid", model=MODELS / "hums.pt")


if __name__ == "__main__":
    unittest.main()
