"""A file as doxygen understands it: a comment of several members of one line is that of each, and links to a document's part
have the name that doxygen gives it. Usage: doxygen_filter.py FILE"""

import os
import re
import sys
from pathlib import Path

MEMBERS = re.compile(r"^( +)([\w:]+) (\w+ = [^,;()]+(?:, \w+ = [^,;()]+)+);(.*)$")


def header(text):
    comment = []  # the lines of one that stands before
    for line in text.splitlines():
        members = MEMBERS.match(line)
        if members:
            indent, kind, names, behind = members.groups()
            for i, name in enumerate(names.split(", ")):
                if i > 0:
                    yield from comment
                yield f"{indent}{kind} {name};{behind}"
        else:
            yield line
        comment = [*comment, line] if line.lstrip().startswith("/// ") else []


def label(file, part):
    """Of a part of a document, as GitHub names it: no two documents share one."""
    return re.sub(r"[^\w-]", "", f"{file.with_suffix('')}-{part}".lower().replace("/", "-").replace(" ", "-"))


def document(text):
    def link(found):
        target, part = found[1], found[2]
        file = path if not target else Path(os.path.relpath(os.path.join(path.parent, target)))
        return f"](#{label(file, part)})"

    for line in text.splitlines():
        heading = re.match(r"^#+ (.*)$", line)
        line = re.sub(r"\]\(([\w./-]*)#([\w-]+)\)", link, line)
        # A folder's README is no page: doxygen takes it for the first of all.
        line = re.sub(r"\[([^\]]*)\]\([\w./-]+/README\.md\)", r"\1", line)
        yield line + (f" {{#{label(path, heading[1])}}}" if heading else "")


path = Path(os.path.relpath(sys.argv[1]))
print(*(header if path.suffix == ".hpp" else document)(path.read_text()), sep="\n")
