"""Consistency models in one network call or a few, and the diffusion models they compete with.

    import pyonestep

    model = pyonestep.Model("fashion")
    dresses = model.generate(16, labels=["dress"])        # float32 [16, 1, 28, 28] in [-1, 1]
    model.save("dresses.png", 16, labels=["dress"])

What a request may say is what onestep's JSON may: seeds or count, labels, sampler, steps, levels, schedule, options, guidance, batch,
force, sizes, tokens, conditions, label_map. Calls release Python's lock: threads draw at the same time.
"""

import importlib.util
import json
import os
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Optional

import cffi
import numpy as np

HERE = Path(__file__).resolve().parent


def _first(*files: Path) -> Path:
    return next((file for file in files if file.exists()), files[0])


def _declarations() -> str:
    """Those of onestep.h, without what the preprocessor is for."""
    text = _first(HERE / "onestep.h", HERE.parents[1] / "include/onestep.h").read_text()
    text = re.sub(r"/\*.*?\*/", "", text, flags=re.DOTALL)
    text = re.sub(r'#ifdef __cplusplus.*?#endif', "", text, flags=re.DOTALL)
    text = re.sub(r"^#(.*\\\n)*.*$", "", text, flags=re.MULTILINE)
    return text.replace("ONESTEP_API ", "")


_ffi = cffi.FFI()
_ffi.cdef(_declarations())
os.environ.setdefault("ONESTEP_MODELS", str(HERE / "models"))  # where the shipped ones are
# torch need not be installed beside this module, where the library looks for libtorch: what is loaded is not looked for again.
_torch = importlib.util.find_spec("torch")
_libtorch = [_ffi.dlopen(str(file)) for folder in (_torch.submodule_search_locations if _torch else [])
             for file in Path(folder).glob("lib/libtorch_cpu.so")]
_library = _ffi.dlopen(os.environ.get("ONESTEP_LIBRARY") or str(HERE / "libonestep_c.so"))

__version__ = _ffi.string(_library.onestep_version()).decode()


class Error(Exception):
    """The message names the thing, its value, the rule and the way out. kind: usage, model, file, numerical, memory or fault."""

    def __init__(self, kind: str, message: str):
        super().__init__(message)
        self.kind = kind


class Stopped(Exception):
    """A callback returned True. samples: what was finished, where there is something."""

    def __init__(self, samples: Optional["Samples"] = None):
        super().__init__("stopped, as a callback asked")
        self.samples = samples


_KINDS = {_library.ONESTEP_USAGE: "usage", _library.ONESTEP_MODEL: "model", _library.ONESTEP_FILE: "file",
          _library.ONESTEP_NUMERICAL: "numerical", _library.ONESTEP_MEMORY: "memory"}


def _check(status: int) -> bool:
    """Whether all was done; False: stopped."""
    if status not in (_library.ONESTEP_OK, _library.ONESTEP_STOPPED):
        raise Error(_KINDS.get(status, "fault"), _ffi.string(_library.onestep_error()).decode(errors="replace"))
    return status == _library.ONESTEP_OK


def _struct(kind: str, **fields: Any) -> Any:
    made = _ffi.new(f"{kind}*", fields)
    made.size = _ffi.sizeof(kind)
    return made


def _text(pointer: Any) -> str:
    return _ffi.string(pointer).decode()


def _path(path: "str | os.PathLike[str]") -> bytes:
    return os.fsencode(path)


def _floats(values: Any) -> np.ndarray:
    return np.ascontiguousarray(values, dtype=np.float32)


def _pointer(array: np.ndarray) -> Any:
    return _ffi.cast("float*", array.ctypes.data)


class _Callback:
    """A function of Python that C calls; what it throws stops the call, and is thrown after it."""

    def __init__(self, kind: str, act: Optional[Callable[[Any], Any]]):
        self.thrown: Optional[BaseException] = None
        self.pointer = _ffi.NULL
        if act is None:
            return

        def call(given: Any, _user: Any) -> int:
            try:
                return 1 if act(given) is True else 0
            except BaseException as thrown:  # KeyboardInterrupt too
                self.thrown = thrown
                return 1

        self.pointer = _ffi.callback(f"int({kind}*, void*)", call)

    def rethrow(self) -> None:
        if self.thrown is not None:
            raise self.thrown


def _progress(on_progress: Optional[Callable[[int, int, int, int], Any]]) -> _Callback:
    """on_progress(calls done, calls, samples done, samples); True stops."""
    if on_progress is None:
        return _Callback("const onestep_progress", None)
    return _Callback("const onestep_progress",
                     lambda p: on_progress(p.calls_done, p.calls, p.samples_done, p.samples))


def set_threads(threads: int) -> None:
    """CPU threads of all network calls of this process, in [1, 1024]."""
    _check(_library.onestep_set_threads(threads))


class Samples(Sequence):
    """Samples in the order of their seeds: one array for all, [N, ...] where they are alike in shape, or one at a time."""

    def __init__(self, handle: Any):
        self._handle = _ffi.gc(handle, _library.onestep_free_samples)

    def __len__(self) -> int:
        return _library.onestep_count(self._handle)

    def _get(self, index: int) -> Any:
        sample = _struct("onestep_sample")
        _check(_library.onestep_get(self._handle, range(len(self))[index], sample))
        return sample

    def __getitem__(self, index: int) -> np.ndarray:
        return _values(self._get(index))

    def __array__(self, dtype: Any = None, copy: Optional[bool] = None) -> np.ndarray:
        return np.stack(list(self)).astype(dtype or np.float32, copy=False)

    @property
    def seeds(self) -> list:
        return [self._get(i).seed for i in range(len(self))]

    @property
    def labels(self) -> list:
        """None: of a model without labels."""
        labels = [self._get(i).label for i in range(len(self))]
        return [None if label < 0 else label for label in labels]

    @property
    def report(self) -> dict:
        """sampler, levels, nfe (network calls a sample) and seconds."""
        report = _struct("onestep_report")
        _check(_library.onestep_report_of(self._handle, report))
        return {"sampler": _text(report.sampler), "levels": _ffi.unpack(report.levels, report.level_count),
                "nfe": report.nfe, "seconds": report.seconds}

    def save(self, file: "str | os.PathLike[str]", columns: int = 0) -> None:
        """.png, .jpg, .webp, .wav, .npy or .npz, whole or not at all."""
        _check(_library.onestep_save(_path(file), self._handle, columns))


def _values(sample: Any) -> np.ndarray:
    shape = _ffi.unpack(sample.shape, sample.rank)
    return np.frombuffer(_ffi.buffer(sample.values, 4 * sample.count), np.float32).reshape(shape).copy()


_EDITS = {"inpaint": 1, "colorize": 2, "upscale": 3, "stroke": 4, "denoise": 5}


class Model:
    """A model, ready to draw: a file, a model folder, or the name of a shipped one. Threads may share it."""

    def __init__(self, model: "str | os.PathLike[str]", *, device: str = "cpu", precision: str = "auto", engine: bool = True):
        precisions = ("auto", "fp32", "bf16", "fp16")
        if precision not in precisions:
            raise Error("usage", f"precision = {precision!r} must be one of {', '.join(precisions)}")
        name = _ffi.new("char[]", device.encode())
        options = _struct("onestep_load_options", device=name, no_engine=not engine, precision=precisions.index(precision))
        handle = _ffi.new("onestep_model**")
        _check(_library.onestep_load(_path(model), options, handle))
        self._handle = _ffi.gc(handle[0], _library.onestep_free_model)
        info = _struct("onestep_model_info")
        _check(_library.onestep_describe(self._handle, info))
        self.name, self.license, self.file = _text(info.name), _text(info.license), _text(info.file)
        self.role, self.modality, self.precision = _text(info.role), _text(info.modality), _text(info.precision)
        self.shape = tuple(_ffi.unpack(info.shape, info.rank))
        self.noise_shape = tuple(_ffi.unpack(info.noise_shape, info.noise_rank))
        self.range, self.rate = (info.range_low, info.range_high), info.rate
        self.sigma_min, self.sigma_max = info.sigma_min, info.sigma_max
        self.labels = [_text(_library.onestep_label_name(self._handle, i)) for i in range(info.label_count)]

    def __repr__(self) -> str:
        return f"<onestep model {self.name}: {self.modality} {list(self.shape)}>"

    def _request(self, count: Optional[int], request: dict) -> bytes:
        request = {key: value.tolist() if isinstance(value, (np.ndarray, np.generic)) else value
                   for key, value in request.items()}
        if "seeds" in request:
            request["seeds"] = [int(seed) for seed in request["seeds"]]
        if count is not None:
            request["count"] = count
        return json.dumps(request).encode()

    def _extras(self, callback: _Callback, noise: Any, edit: Optional[str], input: Any, mask: Any, factor: int) -> tuple:
        """And what it points to."""
        if edit is not None and edit not in _EDITS:
            raise Error("usage", f"edit = {edit!r} must be one of {', '.join(_EDITS)}")
        kept = {name: _floats(values) for name, values in (("noise", noise), ("input", input), ("mask", mask))
                if values is not None}
        fields = {name: _pointer(array) for name, array in kept.items()}
        fields |= {f"{name}_count": array.size for name, array in kept.items()}
        return _struct("onestep_extras", on_progress=callback.pointer, edit=_EDITS.get(edit, 0), factor=factor, **fields), kept

    def draw(self, count: Optional[int] = None, *, on_progress: Optional[Callable[..., Any]] = None, noise: Any = None,
             edit: Optional[str] = None, input: Any = None, mask: Any = None, factor: int = 2, **request: Any) -> Samples:
        """Samples with their seeds, labels and report. on_progress(calls done, calls, samples done, samples): True stops.
        edit: inpaint (input, mask), colorize, upscale (input, factor), stroke or denoise."""
        callback = _progress(on_progress)
        extras, _kept = self._extras(callback, noise, edit, input, mask, factor)
        handle = _ffi.new("onestep_samples**")
        whole = _check(_library.onestep_generate(self._handle, self._request(count, request), extras, handle))
        samples = Samples(handle[0])
        callback.rethrow()
        if not whole:
            raise Stopped(samples)
        return samples

    def generate(self, count: Optional[int] = None, **request: Any) -> np.ndarray:
        """As draw: their values alone, float32 [N, ...], nominally in `range`, not clamped."""
        return np.asarray(self.draw(count, **request))

    def generate_each(self, on_sample: Callable[[int, Optional[int], np.ndarray], Any], count: Optional[int] = None, *,
                      on_progress: Optional[Callable[..., Any]] = None, **request: Any) -> None:
        """on_sample(seed, label, values) for each sample as its batch ends: memory does not grow with their number. True stops."""
        progress = _progress(on_progress)
        taken = _Callback("const onestep_sample",
                          lambda s: on_sample(s.seed, None if s.label < 0 else s.label, _values(s)))
        extras, _kept = self._extras(progress, None, None, None, None, 0)
        whole = _check(_library.onestep_generate_each(self._handle, self._request(count, request), extras, taken.pointer,
                                                      _ffi.NULL))
        progress.rethrow()
        taken.rethrow()
        if not whole:
            raise Stopped()

    def plan(self, count: Optional[int] = None, **request: Any) -> dict:
        """What a request would do, without a network call."""
        handle = _ffi.new("onestep_samples**")
        _check(_library.onestep_plan(self._handle, self._request(count, request), _ffi.NULL, handle))
        return Samples(handle[0]).report

    def save(self, file: "str | os.PathLike[str]", count: Optional[int] = None, *, columns: int = 0, **request: Any) -> None:
        """Draws and writes them to one file."""
        self.draw(count, **request).save(file, columns)

    def interpolate_seeds(self, first: int, last: int, frames: int, draws: int = 1) -> np.ndarray:
        """Noise from one seed's to another's along the great circle, [draws, frames, ...]: generate(noise=..., seeds=[first] * frames)."""
        count = _ffi.new("size_t*")
        _check(_library.onestep_interpolate_seeds(self._handle, first, last, frames, draws, _ffi.NULL, count))
        values = np.empty((draws, frames, *self.noise_shape), np.float32)
        _check(_library.onestep_interpolate_seeds(self._handle, first, last, frames, draws, _pointer(values), count))
        return values

    def canvas(self, seed: int = 0, *, label: Any = None, period: tuple = (0, 0), cache_bytes: int = 0, tile: int = 0,
               label_map: Any = None, place: tuple = (0, 0, 0, 0), **request: Any) -> "Canvas":
        """An endless plane, or one that begins anew after `period` pixels (width, height). label_map: whole numbers [H, W], spread
        over place = (x, y, width, height)."""
        request |= {"seeds": [seed]} | ({} if label is None else {"labels": [label]})
        fields: dict = {}
        labels = None
        if label_map is not None:
            labels = np.ascontiguousarray(label_map, np.int64)
            fields = {"labels": _ffi.cast("int64_t*", labels.ctypes.data), "labels_width": labels.shape[1],
                      "labels_height": labels.shape[0]} | dict(zip(("x", "y", "width", "height"), place))
        options = _struct("onestep_canvas_options", period_width=period[0], period_height=period[1], cache_bytes=cache_bytes,
                          tile=tile, **fields)
        handle = _ffi.new("onestep_canvas**")
        _check(_library.onestep_new_canvas(self._handle, self._request(None, request), options, handle))
        return Canvas(handle[0], self)


class Canvas:
    """Pixels that depend on their place alone: the same ones however they are asked for, by any number of threads."""

    def __init__(self, handle: Any, model: Model):
        self._handle = _ffi.gc(handle, _library.onestep_free_canvas)
        self._outer = model.shape[:-1] if model.modality == "audio" else model.shape[:-2]
        self._is_line = model.modality == "audio"

    def region(self, x: int, y: int, width: int, height: int, on_progress: Optional[Callable[..., Any]] = None) -> np.ndarray:
        """float32 [C, height, width]; of sound, where y is 0 and height 1, [C, width]."""
        if width < 1 or height < 1:
            raise Error("usage", f"width = {width} and height = {height} must be 1 or more")
        values = np.empty((*self._outer, width) if self._is_line else (*self._outer, height, width), np.float32)
        callback = _progress(on_progress)
        whole = _check(_library.onestep_region(self._handle, x, y, width, height, _pointer(values), values.size,
                                               callback.pointer, _ffi.NULL))
        callback.rethrow()
        if not whole:
            raise Stopped()
        return values

    def save(self, file: "str | os.PathLike[str]", x: int, y: int, width: int, height: int,
             on_progress: Optional[Callable[..., Any]] = None) -> None:
        """.png, .jpg, .webp or .npy, band by band, whole or not at all."""
        callback = _progress(on_progress)
        whole = _check(_library.onestep_save_region(_path(file), self._handle, x, y, width, height, callback.pointer, _ffi.NULL))
        callback.rethrow()
        if not whole:
            raise Stopped()

    @property
    def report(self) -> dict:
        report = _struct("onestep_canvas_report")
        _check(_library.onestep_canvas_report_of(self._handle, report))
        return {"sampler": _text(report.sampler), "nfe": report.nfe, "exact": bool(report.exact), "margin": report.margin,
                "tile": (report.tile_width, report.tile_height),
                "period_multiple": (report.multiple_width, report.multiple_height)}
