"""What a shell completes, by bash's own function, and by fish where it is. Usage: completions_test.py ONESTEP"""

import functools
import re
import shutil
import subprocess
import sys
import unittest
from pathlib import Path

ONESTEP = str(Path(sys.argv.pop(1)).resolve())
SHELLS = ["bash", "zsh", "fish"]


def run(*command):
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return done.stdout


@functools.cache
def script(shell):
    return run(ONESTEP, "completions", shell)


@functools.cache
def commands():
    """Words of every command, and of the program: [], ["edit"], ["edit", "inpaint"]."""
    return [[]] + [line.split(":")[0].split() for line in run(ONESTEP, "completions", "commands").splitlines()]


@functools.cache
def options_in_help(*words):
    """Every option that --help of a command shows, and whether it shows a value."""
    shown = {}
    for names, value in re.findall(r"^  (-\S+)(?: (\S+))?", run(ONESTEP, *words, "--help"), re.MULTILINE):
        for name in names.split(","):
            shown[name] = value
    return shown


class Bash(unittest.TestCase):
    def complete(self, *words):
        """What stands behind `onestep` so far; the last word is the one that is completed."""
        text = script("bash") + 'COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _onestep; printf "%s\\n" "${COMPREPLY[@]}"'
        return run("bash", "-c", text, "bash", ONESTEP, *words).split()

    def test_completes_commands_of_every_depth(self):
        self.assertEqual(self.complete("gen"), ["generate"])
        self.assertIn("compare", self.complete(""))
        self.assertNotIn("completions", self.complete(""))
        self.assertEqual(self.complete("edit", "in"), ["inpaint", "interpolate"])
        self.assertIn("--mask", self.complete("edit", "inpaint", "--"))
        self.assertNotIn("--mask", self.complete("edit", "colorize", "--"))

    def test_completes_every_option_that_help_shows(self):
        for words in commands():
            with self.subTest(words=words):
                shown = options_in_help(*words)
                self.assertIn("--help", shown)
                self.assertEqual(sorted(self.complete(*words, "-")), sorted(shown))

    def test_completes_values_of_which_there_are_few(self):
        self.assertEqual(self.complete("generate", "--precision", ""), ["auto", "fp32", "bf16", "fp16"])
        self.assertEqual(self.complete("bench", "fashion", "--precision", "b"), ["bf16"])
        self.assertEqual(self.complete("generate", "--precision", "=", "f"), ["fp32", "fp16"])  # --precision=f
        self.assertEqual(self.complete("generate", "--precision", "="), ["auto", "fp32", "bf16", "fp16"])
        self.assertEqual(self.complete("edit", "upscale", "--fit", ""), ["crop", "pad", "stretch"])

    def test_completes_the_samplers_and_schedules_that_there_are(self):
        listed = run(ONESTEP, "generate", "--sampler", "help")
        samplers, schedules = (re.findall(r"^  (\w+)", part, re.MULTILINE) for part in listed.split("--schedule"))
        self.assertEqual(self.complete("generate", "--sampler", ""), samplers)
        self.assertEqual(self.complete("generate", "--schedule", ""), schedules)

    def test_completes_models_where_one_is_to_be(self):
        self.assertEqual(self.complete("generate", "fashion-"), ["fashion-teacher"])
        self.assertIn("fashion", self.complete("generate", "-n", "4", "--json", ""))
        self.assertIn("fashion", self.complete("serve", "fashion-teacher", ""))
        self.assertIn("fashion", self.complete("compare", ""))

    def test_leaves_files_to_bash(self):
        for words in (["generate", "-o", ""], ["generate", "fashion", ""], ["generate", "my"], ["edit", "inpaint", "fashion", ""],
                      ["generate", "fashion", "--noise", "fa"], ["generate", "fashion", "--noise", "=", "fa"]):
            with self.subTest(words=words):
                self.assertEqual(self.complete(*words), [])


class EveryShell(unittest.TestCase):
    def test_reads_its_script(self):
        for shell in SHELLS:
            if shell in ("zsh", "fish") and not shutil.which(shell):
                continue
            with self.subTest(shell=shell):
                subprocess.run([shell, "-n", "/dev/stdin"], input=script(shell), text=True, check=True)

    def test_knows_every_option_that_help_shows(self):
        zsh, fish = script("zsh"), script("fish")
        for words in commands():
            function = zsh.split("\n" + "_".join(["_onestep", *words]) + "() {\n")[1].split("\n}\n")[0]
            where = "".join("; and __fish_seen_subcommand_from " + word for word in words)[6:]
            for name, value in options_in_help(*words).items():
                with self.subTest(words=words, name=name):
                    self.assertIn(f"){name}[" if f"){name}[" in function else f"*{name}[", function)
                    of_fish = f" -l {name[2:]} " if name.startswith("--") else f" -s {name[1:]} "
                    self.assertTrue(any(of_fish in line for line in fish.splitlines() if where in line))

    def test_an_unknown_one_is_refused(self):
        refused = subprocess.run([ONESTEP, "completions", "tcsh"], capture_output=True, text=True)
        self.assertEqual(refused.returncode, 2)
        self.assertIn("completions of tcsh; give bash, zsh or fish", refused.stderr)


@unittest.skipUnless(shutil.which("fish"), "there is no fish")
class Fish(unittest.TestCase):
    def complete(self, line):
        listed = run("fish", "--no-config", "-c", f"function onestep; {ONESTEP} $argv; end\n{script('fish')}\ncomplete -C '{line}'")
        return [row.split("\t")[0] for row in listed.splitlines()]

    def test_completes_what_bash_does(self):
        self.assertEqual(self.complete("onestep gen"), ["generate"])
        self.assertEqual(self.complete("onestep edit inp"), ["inpaint"])
        self.assertEqual(self.complete("onestep generate --prec"), ["--precision"])
        self.assertEqual(sorted(self.complete("onestep bench --precision ")), ["auto", "bf16", "fp16", "fp32"])
        self.assertIn("fashion-teacher", self.complete("onestep generate fash"))
        self.assertNotIn("--mask", self.complete("onestep edit colorize --"))
        self.assertIn("--mask", self.complete("onestep edit inpaint --"))


if __name__ == "__main__":
    unittest.main()
