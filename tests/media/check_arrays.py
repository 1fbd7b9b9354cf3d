"""The other side of array_test.cpp. `write FOLDER` writes .npy files with NumPy; `check FOLDER` reads what C++ wrote."""

import pathlib
import sys

import numpy as np

action, folder = sys.argv[1], pathlib.Path(sys.argv[2])
numbers = np.arange(24, dtype="<f4").reshape(2, 3, 4) / 8
if action == "write":
    for version in (1, 2, 3):
        with open(folder / f"v{version}.npy", "wb") as file:
            np.lib.format.write_array(file, numbers, version=(version, 0))
    np.save(folder / "scalar.npy", np.float32(2.5))
    np.save(folder / "vector.npy", np.float32([1, 2, 3]))
    np.save(folder / "empty.npy", np.zeros((0, 3), np.float32))
    np.save(folder / "double.npy", numbers.astype("f8"))
    np.save(folder / "big_endian.npy", numbers.astype(">f4"))
    np.save(folder / "fortran.npy", np.asfortranarray(numbers))
    np.save(folder / "record.npy", np.zeros(2, [("a", "<f4"), ("b", "<i4")]))
else:
    def same(found, expected):
        assert found.dtype == expected.dtype and found.shape == expected.shape, (found.dtype, found.shape)
        assert (found == expected).all()

    same(np.load(folder / "floats.npy"), numbers)
    same(np.load(folder / "one.npy"), np.int64([-5]))
    same(np.load(folder / "none.npy"), np.zeros((0, 3), np.uint64))
    same(np.load(folder / "number.npy"), np.array(2.5, np.float32))
    arrays = np.load(folder / "all.npz")
    assert sorted(arrays) == ["labels", "samples", "seeds"], sorted(arrays)
    same(arrays["samples"], numbers)
    same(arrays["seeds"], np.uint64([7, 2**64 - 1]))
    same(arrays["labels"], np.int64([3, -1]))
