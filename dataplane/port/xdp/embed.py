"""Makes a C++ header of a file: usage embed.py FILE HEADER NAME. The octets become `NAME` in dataplane."""
import pathlib
import sys

source, header, name = sys.argv[1:]
octets = pathlib.Path(source).read_bytes()
rows = [", ".join(map(str, octets[at:at + 24])) for at in range(0, len(octets), 24)]
pathlib.Path(header).write_text(
    "// Made by dataplane/port/xdp/embed.py; do not edit.\n#pragma once\n\nnamespace dataplane {\n\n"
    f"inline constexpr unsigned char {name}[] = {{\n    " + ",\n    ".join(rows) + "};\n\n}  // namespace dataplane\n")
