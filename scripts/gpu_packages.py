"""What the build takes beside a compiler, CMake, ninja and PyTorch, out of Debian's packages and into one archive, for machines
that can't install them."""

import hashlib
import os
import re
import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path

# The system's own, which every machine with a compiler has; a newer one will do.
SYSTEM = re.compile(r"libc6|libc-dev-bin|libgcc-s1|libstdc\+\+6|gcc-\d+-base|linux-libc-dev|libcrypt")
# What a build can do without, and that brings a hundred others.
OPTIONAL = {"libfluidsynth-dev", "libopenmpi-dev"}
# Of no use to the build. Of static libraries only googletest's are linked.
LEFT_OUT = ("usr/share/doc", "usr/share/man", "usr/share/locale", "usr/share/lintian", "usr/share/bug", "usr/share/doc-base", "usr/src")

PKG_CONFIG = """#!/bin/sh
# Finds what lies beside it and nothing else.
here=$(dirname "$(readlink -f "$0")")
export PKG_CONFIG_SYSROOT_DIR="$here" PKG_CONFIG_LIBDIR="$here/usr/lib/{triple}/pkgconfig:$here/usr/share/pkgconfig"
LD_LIBRARY_PATH="$here/usr/lib/{triple}" exec "$here/usr/bin/pkgconf" "$@"
"""


def printed(*command: str, **options) -> str:
    return subprocess.run(command, check=True, text=True, stdout=subprocess.PIPE, **options).stdout


def needed(setup: Path) -> list[str]:
    """The development packages that scripts/setup.sh installs, without the optional ones, pkg-config, and all that they depend on."""
    listed = re.search(r"^packages=\((.*?)\)", setup.read_text(), re.MULTILINE | re.DOTALL).group(1).split()
    waiting, found, depends = [package for package in listed if package.endswith("-dev") and package not in OPTIONAL] + ["pkgconf"], set(), {}
    for line in printed("apt-cache", "depends", "--recurse", "--important", *waiting).splitlines():
        if not line.startswith(" "):
            depends[line] = links = []
        elif match := re.match(r"  (?:Pre)?Depends: ([^<\s:]+)", line):
            links.append(match.group(1))
    while waiting:
        package = waiting.pop()
        if package not in found and not SYSTEM.match(package):
            found.add(package)
            waiting += depends.get(package, [])
    return sorted(found)


def merge(source: Path, target: Path) -> None:
    """Moves what is in a folder into another one."""
    for path in list(source.iterdir()):
        goal = target / path.name
        if path.is_dir() and not path.is_symlink() and goal.is_dir():
            merge(path, goal)
        else:
            goal.parent.mkdir(parents=True, exist_ok=True)
            os.replace(path, goal)
    source.rmdir()


def settle(root: Path, triple: str) -> None:
    """Makes a folder that can lie anywhere of what was to lie in /."""
    if (root / "lib").is_dir():
        merge(root / "lib", root / "usr/lib")
    # A compiler of another folder's Debian would look there by itself.
    merge(root / f"usr/include/{triple}", root / "usr/include")
    (root / f"usr/include/{triple}").symlink_to(".")
    for folder in LEFT_OUT:
        shutil.rmtree(root / folder, ignore_errors=True)
    for path in list(root.rglob("*")):
        if path.suffix == ".a" and not path.name.startswith(("libgtest", "libgmock")):
            path.unlink()
        elif path.is_symlink() and os.readlink(path).startswith("/"):
            goal = os.readlink(path)[1:]
            goal = root / ("usr/" + goal if goal.startswith("lib/") else goal)
            path.unlink()
            if goal.exists():
                path.symlink_to(os.path.relpath(goal, path.parent))
    wrapper = root / "pkg-config"
    wrapper.write_text(PKG_CONFIG.format(triple=triple))
    wrapper.chmod(0o755)


def pack(setup: Path, archive: Path) -> bool:
    """Writes the archive, and beside it the list of what is in it; False where it is up to date."""
    if not shutil.which("apt-get") or not shutil.which("dpkg-deb"):
        raise SystemExit("gpu: --prepare needs Debian's apt-get and dpkg-deb")
    packages = needed(setup)
    with tempfile.TemporaryDirectory() as folder:
        # One line a package: address, file, size, hash. As root, apt would drop its rights, and those to the folder.
        download = ["apt-get", "-q", "-o", "APT::Sandbox::User=root", "download", *packages]
        listed = "".join(line.split(" ", 1)[1] + "\n" for line in printed(*download, "--print-uris").splitlines())
        listed += f"{hashlib.sha256(Path(__file__).read_bytes()).hexdigest()}  {Path(__file__).name}\n"
        listing = archive.with_suffix("").with_suffix(".txt")
        if archive.exists() and listing.exists() and listing.read_text() == listed:
            return False
        subprocess.run(download, check=True, cwd=folder, stdout=subprocess.DEVNULL)
        root = Path(folder) / "root"
        for package in Path(folder).glob("*.deb"):
            subprocess.run(["dpkg-deb", "-x", package, root], check=True)
        triple = next((root / "usr/lib").glob("*-linux-gnu*")).name
        settle(root, triple)
        archive.parent.mkdir(parents=True, exist_ok=True)
        partial = archive.with_name(archive.name + ".partial")
        with tarfile.open(partial, "w:xz") as file:
            file.add(root, ".")
        os.replace(partial, archive)
        listing.write_text(listed)
    return True


def unpack(archive: Path, folder: Path) -> None:
    """The archive's content, whole, or nothing; not again where it is there."""
    if folder.exists():
        return
    partial = folder.with_name(folder.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    with tarfile.open(archive) as file:
        file.extractall(partial, filter="data") if hasattr(tarfile, "data_filter") else file.extractall(partial)
    partial.rename(folder)
