# Sourced by the scripts beside it: installs what is missing, $more_packages too, sets $python and $torch. Not run by
# itself. $more_options: for CMake.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

fail() { echo "onestep: $*" >&2; exit 1; }

as_root=()
if [ "$(id -u)" -ne 0 ]; then as_root=(sudo); fi

packages=(g++ cmake ninja-build pkg-config libcpp-httplib-dev libeigen3-dev libcli11-dev libdeflate-dev libexif-dev libfluidsynth-dev libgif-dev libgtest-dev libhwy-dev libjpeg-dev libpng-dev libsndfile1-dev libssl-dev libstb-dev libwebp-dev libzip-dev midicsv nlohmann-json3-dev zlib1g-dev timgm6mb-soundfont dataset-fashion-mnist clang-format "${more_packages[@]}")
missing=()
for package in "${packages[@]}"; do
  [ "$(dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null || true)" = installed ] || missing+=("$package")
done
if [ ${#missing[@]} -gt 0 ]; then
  command -v apt-get >/dev/null || fail "these Debian packages are missing, and there is no apt-get: ${missing[*]}"
  if [ "$(id -u)" -ne 0 ] && ! command -v sudo >/dev/null; then
    fail "these Debian packages are missing, and there is no sudo to install them: ${missing[*]}"
  fi
  export DEBIAN_FRONTEND=noninteractive
  "${as_root[@]}" apt-get update -qq || fail "apt-get update failed; these packages are missing: ${missing[*]}"
  "${as_root[@]}" apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null ||
    fail "apt-get could not install ${missing[*]}"
fi

python=$PWD/.venv/bin/python
[ -x "$python" ] || python3 -m venv .venv || fail "no virtual environment: install Debian's python3-venv"
has() { "$python" -c 'import importlib.util, sys; sys.exit(any(importlib.util.find_spec(m) is None for m in sys.argv[1:]))' "$@"; }
has torch numpy PIL soundfile || "$python" -m pip install -q torch==2.13.0 numpy pillow soundfile || fail "pip could not install torch 2.13.0"
torch=${ONESTEP_TORCH:-$("$python" -c 'import torch; print(torch.utils.cmake_prefix_path)')}
[ -e "$torch" ] || fail "ONESTEP_TORCH=$torch: no such folder"

# build PRESET [TARGET]: as CMakePresets.json has it, or one target of it.
build() {
  cmake --preset "$1" -DCMAKE_PREFIX_PATH="$torch" -DPython3_EXECUTABLE="$python" "${more_options[@]}" >build.log 2>&1 ||
    { cat build.log >&2; fail "cmake could not configure the build"; }
  cmake --build --preset "$1" ${2:+--target "$2"}
}
