#!/usr/bin/env python3
"""Measures drawn songs against songs that no training saw: python models/training/evaluate_songs.py --data lieder.jsonl.xz CHECKPOINT|MODEL ...

Windows of four bars, every key as often. Of each: the share of its notes in the scale of the key that was asked for; how many notes
there are, how many sound at once, over how many semitones they spread; how far the sets' shares of pitch classes (counted from the
tonic) and of durations are from those of held-out songs; on how many beats the piano plays the voice's pitch class, where the voice
sounds; and the overlapping area (Yang & Lerch 2020): of the distances among held-out windows, how much they are like the distances
from drawn to held-out ones, 1 being no difference. Copies: the longest run of a part's notes, in any key, that the training songs
have too.

Harmonies: of melodies of held-out songs, with the piano that a model file writes to them (`onestep compose --melody`), on how many of
the beats at which both sound the piano plays the voice's pitch class, and on how many of the voice's it sounds; beside it the songs' own
piano, that of the training song whose melody is most alike, that of another held-out song in the same key, and as many notes at random.
"""

import argparse
import json
import struct
import subprocess
import tempfile
from pathlib import Path

import numpy as np
import torch

import checkpoint
from diffusion import SIGMA_MAX, Denoiser, heun, karras_levels
from evaluate import HEUN_LEVELS
from measure import describe, is_model, onestep
from measure import draw as draw_model
from songs import BAR, KEYS, LOWEST, PIANO_HELD, PIANO_ONSET, PITCHES, STEPS, VOICE_HELD, Songs, notes_of, roll_of

# Natural minor with the raised sixth and seventh: what belongs to the melodic scale up and down.
SCALES = ((0, 2, 4, 5, 7, 9, 11), (0, 2, 3, 5, 7, 8, 9, 10, 11))
DURATIONS = (1, 2, 3, 4, 6, 8, 12, 16)  # sixteenths; longer ones count as the last


def pitch_classes(held: np.ndarray, lowest: int = LOWEST) -> np.ndarray:
    """Of pitches [P, steps] the pitch classes that sound [12, steps]."""
    padded = np.pad(held != 0, ((lowest % 12, -(lowest + len(held)) % 12), (0, 0)))
    return padded.reshape(-1, 12, held.shape[1]).any(axis=0)


def measures(rolls: np.ndarray, keys: np.ndarray) -> dict[str, np.ndarray]:
    """Of rolls [N, 4, 64, 64] of 0 and 1, each a number a window, or a histogram; of windows without notes zeros."""
    found = {name: [] for name in ("in key", "notes", "polyphony", "range", "beats in harmony", "beats accompanied", "pitch classes", "durations")}
    for roll, key in zip(rolls, keys):
        notes = notes_of(roll)
        pitch = np.array([p for *_, p in notes], int)
        length = np.array([n for _, _, n, _ in notes], int)
        relative = (pitch - key) % 12
        found["in key"].append(np.isin(relative, SCALES[key // 12]).mean() if notes else 0)
        found["notes"].append(len(notes))
        held = roll[[VOICE_HELD, PIANO_HELD]].any(axis=0).sum(axis=0)
        found["polyphony"].append(held[held > 0].mean() if notes else 0)
        found["range"].append(np.ptp(pitch) if notes else 0)
        voice, piano = (pitch_classes(roll[c, :, ::BAR // 4]) for c in (VOICE_HELD, PIANO_HELD))
        sung, both = voice.any(axis=0), voice.any(axis=0) & piano.any(axis=0)
        found["beats in harmony"].append((voice & piano).any(axis=0)[both].mean() if both.any() else np.nan)
        found["beats accompanied"].append(both.sum() / sung.sum() if sung.any() else np.nan)
        total = max(len(notes), 1)
        found["pitch classes"].append(np.bincount(relative, minlength=12) / total)
        found["durations"].append(np.histogram(length, [*DURATIONS, 1e9])[0] / total)
    return {name: np.array(values, float) for name, values in found.items()}


def density(distances: np.ndarray, at: np.ndarray) -> np.ndarray:
    """Kernel density estimate with Scott's rule."""
    width = max(distances.std() * len(distances) ** -0.2, 1e-6)
    return np.exp(-((at[:, None] - distances) / width) ** 2 / 2).mean(axis=1) / (width * (2 * np.pi) ** 0.5)


def overlapping_area(drawn: np.ndarray, real: np.ndarray, rng: np.random.Generator) -> float:
    """Of distances among real windows and from drawn to real ones."""
    drawn, real = (x.reshape(len(x), -1) for x in (drawn, real))

    def distances(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        i, j = rng.integers(len(a), size=3000), rng.integers(len(b), size=3000)
        keep = i != j if a is b else np.full(3000, True)
        return np.linalg.norm(a[i[keep]] - b[j[keep]], axis=1)

    within, between = distances(real, real), distances(drawn, real)
    at = np.linspace(min(within.min(), between.min()), max(within.max(), between.max()), 400)
    areas = [density(x, at) for x in (within, between)]
    areas = [x / x.sum() for x in areas]  # what is cut off at the ends counts as inside
    return float(np.minimum(*areas).sum())


def lines(notes: list[tuple[int, int, int, int]]) -> list[list[int]]:
    """Of each part, its steps from onset to onset, in any key: how long after, and which notes above the last one's lowest."""
    found = []
    for part in (0, 1):
        groups: dict[int, list[int]] = {}
        for p, first, _, pitch in notes:
            if p == part:
                groups.setdefault(first, []).append(pitch)
        onsets = sorted(groups)
        found.append([hash((b - a, tuple(p - min(groups[a]) for p in sorted(groups[b])))) & 0xFFFFFFFF
                      for a, b in zip(onsets, onsets[1:])])
    return found


def runs(tokens: np.ndarray, length: int) -> np.ndarray:
    """A hash of every run of so many."""
    value = np.zeros(max(len(tokens) - length + 1, 0), np.uint64)
    for i in range(length if len(value) else 0):
        value = value * np.uint64(6364136223846793005) + tokens[i:i + len(value)].astype(np.uint64) + np.uint64(1)
    return value


class Copies:
    """Runs of notes of the training songs."""

    def __init__(self, songs: Songs):
        whole = lines(notes_of(songs.rolls.transpose(1, 2, 0), 0))
        self.known = [[np.unique(runs(np.array(line, np.uint64), n)) for n in range(1, 49)] for line in whole]

    @staticmethod
    def _knows(known: np.ndarray, asked: np.ndarray) -> bool:
        """Whether any is among those, which are in order."""
        place = np.searchsorted(known, asked)
        return bool((known[np.minimum(place, len(known) - 1)] == asked).any())

    def longest(self, roll: np.ndarray) -> int:
        """In either part of a window, in notes (chords count as one)."""
        best = 0
        for line, known in zip(lines(notes_of(roll)), self.known):
            tokens = np.array(line, np.uint64)
            while best < min(len(tokens), len(known)) and self._knows(known[best], runs(tokens, best + 1)):
                best += 1
        return best + 1  # steps from note to note are one fewer than notes


def real(songs: Songs, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Windows of the set and their keys."""
    torch.manual_seed(1)
    crops = songs.draw(count)
    return crops.x.numpy().astype(np.uint8), crops.labels.numpy()


def random_notes(rolls: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """As many notes as long as those, at random steps and pitches between each window's lowest and highest."""
    found = []
    for roll in rolls:
        notes = notes_of(roll)
        pitches = [p for *_, p in notes] or [LOWEST]
        found.append(roll_of([(part, int(rng.integers(STEPS)), length, int(rng.integers(min(pitches), max(pitches) + 1)))
                              for part, _, length, _ in notes], STEPS))
    return np.stack(found)


@torch.no_grad()
def draw(file: Path, count: int, calls: int) -> tuple[np.ndarray, np.ndarray]:
    """Windows, every key as often, at the thresholds of the file."""
    if is_model(file):
        x, labels = draw_model(file, count)
        return thresholded(x, describe(file)["thresholds"]), labels.numpy()
    about, average = checkpoint.load(file)
    network = checkpoint.config_of(about).build().to(memory_format=torch.channels_last)
    network.load_state_dict(average)
    denoiser = Denoiser(network.eval().requires_grad_(False), about["sigma_data"], about["boundary"])
    keys, found = torch.arange(count) % len(KEYS), []
    torch.manual_seed(0)
    for label in keys.split(24):
        def denoise(x, sigma):
            return denoiser(x, torch.full((len(x),), sigma), label)
        x = torch.randn(len(label), *about["shape"]) * SIGMA_MAX
        found.append(denoise(x, SIGMA_MAX) if about["boundary"] > 0 else heun(denoise, x, karras_levels(HEUN_LEVELS[calls]).tolist())[-1])
    return thresholded(torch.cat(found), about["sample"]["thresholds"]), keys.numpy()


def thresholded(x: torch.Tensor, thresholds: list[float]) -> np.ndarray:
    """Rolls [N, 4, pitches, steps] of 0 and 1."""
    return (x > torch.tensor(2 * thresholds).view(1, 4, 1, 1)).numpy().astype(np.uint8)


def melody_file(notes: list[tuple[int, int, int, int]]) -> bytes:
    """A MIDI file of the voice's notes, within a window; a tick is a sixteenth."""
    events = [(time, kind, pitch) for part, first, length, pitch in notes if part == 0
              for time, kind in ((first, 0x90), (first + length, 0x80))]
    track, now = b"\0\xff\x03\x05Voice", 0
    for time, kind, pitch in sorted(events):  # what ends comes before what begins
        track += bytes([time - now, kind, pitch, 64])
        now = time
    track += b"\0\xff\x2f\0"
    return b"MThd" + struct.pack(">IHHH", 6, 0, 1, 4) + b"MTrk" + struct.pack(">I", len(track)) + track


def accompanied(model: Path, rolls: np.ndarray, *options: str) -> np.ndarray:
    """The melodies of these rolls with the piano that the model writes to each. options: of compose."""
    thresholds, found = describe(model)["thresholds"], []
    with tempfile.TemporaryDirectory() as name:
        melody, result = (str(Path(name) / file) for file in ("melody.mid", "result.npy"))
        for seed, roll in enumerate(rolls):
            Path(melody).write_bytes(melody_file(notes_of(roll)))
            subprocess.run([onestep(), "compose", str(model), "--melody", melody, "--bars", str(STEPS // BAR), "--seeds", str(seed), *options,
                            "--quiet", "-o", result], check=True)
            found.append(thresholded(torch.from_numpy(np.load(result)), thresholds)[0])
    return np.stack(found)


def with_piano_of(rolls: np.ndarray, others: np.ndarray) -> np.ndarray:
    """The voice of the first, the piano of the others."""
    return np.concatenate([rolls[:, :PIANO_ONSET], others[:, PIANO_ONSET:]], axis=1)


def alike(songs: Songs, rolls: np.ndarray) -> np.ndarray:
    """Of each roll the window of the songs, in any key, in which the voice's pitch classes sound most alike (cosine)."""
    sung = pitch_classes(songs.rolls[:, VOICE_HELD].T, 0)  # [12, steps of all]
    of_windows = np.stack([sung[:, begin:begin + STEPS] for begin in songs.starts]).reshape(len(songs), -1).astype(np.float32)
    of_windows /= np.linalg.norm(of_windows, axis=1, keepdims=True).clip(1)
    asked = np.stack([pitch_classes(roll[VOICE_HELD]) for roll in rolls])
    best, found = np.full(len(rolls), -1.0), [None] * len(rolls)
    for up in range(-5, 7):
        likeness = np.roll(asked, -up, axis=1).reshape(len(rolls), -1).astype(np.float32) @ of_windows.T
        for i in np.flatnonzero(likeness.max(axis=1) > best):
            best[i], found[i] = likeness[i].max(), songs.window(int(likeness[i].argmax()), up)
    return np.stack(found)


def in_the_same_key(rolls: np.ndarray, keys: np.ndarray, outside: Songs) -> np.ndarray:
    """Of each roll another window of the songs, transposed to its key."""
    found, index = [], torch.randperm(len(outside)).tolist()
    for roll, key in zip(rolls, keys):
        at = next(i for i in index if outside.labels[i] // 12 == key // 12)
        index.remove(at)
        found.append(outside.window(at, (int(key) - int(outside.labels[at]) + 5) % 12 - 5))
    return np.stack(found)


def melodies(songs: Songs, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Windows of the set, of which the voice has eight notes or more and the piano as many, and their keys. What began before them is
    left out: no note of it is in them."""
    rolls, keys = [], []
    for roll, key in zip(*real(songs, 8 * count)):
        notes = notes_of(roll)
        if len(rolls) < count and min(sum(note[0] == part for note in notes) for part in (0, 1)) >= 8:
            rolls.append(roll_of(notes, STEPS))
            keys.append(key)
    return np.stack(rolls), np.array(keys)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoints", nargs="+", type=Path, metavar="CHECKPOINT|MODEL")
    parser.add_argument("--data", type=Path, required=True, help="lieder.jsonl.xz, or a folder that it lies in")
    parser.add_argument("--count", type=int, default=480, help="windows of each set (default %(default)s)")
    parser.add_argument("--teacher-count", type=int, default=240, help="windows of a diffusion model (default %(default)s)")
    parser.add_argument("--calls", type=int, default=35, choices=sorted(HEUN_LEVELS), help="of a diffusion model (default %(default)s)")
    parser.add_argument("--melodies", type=int, default=120, help="that are harmonised by model files (default %(default)s)")
    parser.add_argument("--levels", help="noise levels that they are harmonised with, such as 80,1,0.3 (default: the model's own)")
    options = parser.parse_args()
    torch.set_num_threads(1)
    songs, rng = Songs(options.data), np.random.default_rng(0)
    outside = real(songs.held_out, options.count)
    sets = {"held-out songs": real(songs.held_out, 2 * options.count), "training songs": real(songs, options.count),
            "random notes": (random_notes(outside[0], rng), outside[1])}
    sets["held-out songs"] = tuple(x[options.count:] for x in sets["held-out songs"])
    for file in options.checkpoints:
        one_step = describe(file)["role"] == "consistency" if is_model(file) else checkpoint.load(file)[0]["boundary"] > 0
        sets[file.name] = draw(file, options.count if one_step else options.teacher_count, options.calls)
    reference, copies = measures(*outside), Copies(songs)
    for name, (rolls, keys) in sets.items():
        of = measures(rolls, keys)
        line = {"set": name, "empty": int((of["notes"] == 0).sum())}
        for what in ("in key", "notes", "polyphony", "range", "beats in harmony"):
            line[what] = round(float(np.nanmean(of[what])), 3)
        for what in ("pitch classes", "durations"):
            line[what] = round(float(np.abs(of[what].mean(axis=0) - reference[what].mean(axis=0)).sum() / 2), 3)
        areas = [overlapping_area(of[what], reference[what], rng) for what in of if not what.startswith("beats")]
        line["overlapping area"] = round(float(np.mean(areas)), 3)
        run = np.array([copies.longest(roll) for roll in rolls[:240]])
        line |= {"longest run, median": int(np.median(run)), "95 %": int(np.quantile(run, 0.95)), "longest": int(run.max())}
        print(json.dumps(line), flush=True)

    models = [file for file in options.checkpoints if is_model(file)]
    if not models:
        return
    sung, keys = melodies(songs.held_out, options.melodies)
    levels = ["--levels", options.levels] if options.levels else []
    pianos = {"its own": sung, **{file.name: accompanied(file, sung, *levels) for file in models}, "of the song most alike": alike(songs, sung),
              "of another in the same key": in_the_same_key(sung, keys, songs.held_out), "notes at random": random_notes(sung, np.random.default_rng(1))}
    for name, rolls in pianos.items():
        of = measures(with_piano_of(sung, rolls), keys)
        print(json.dumps({"melodies": len(sung), "piano": name,
                          **{what: round(float(np.nanmean(of[what])), 3) for what in ("beats in harmony", "beats accompanied", "in key", "notes")}}),
              flush=True)


if __name__ == "__main__":
    main()
