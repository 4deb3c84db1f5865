"""Reads every #include of the tree against the picture in README.md: includes only point down.

A rule that lives here cannot be forgotten: nts and hwclock know nobody, dataplane and control meet only in
dataplane/shm, DPDK stays in dataplane, OpenSSL stays in control/tls. nts is pure and so is hwclock but for its edge
files: no header that asks the kernel or reads a file is included there.
"""

import pathlib
import re

ROOT = pathlib.Path(__file__).resolve().parent.parent
INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]', re.MULTILINE)

# Which rooms a room may include from, itself included. bench and tests may include anything.
MAY_INCLUDE = {
    "nts": {"nts"},
    "hwclock": {"hwclock"},
    "dataplane/shm": {"dataplane/shm", "nts", "hwclock"},
    "dataplane": {"dataplane", "dataplane/shm", "nts", "hwclock"},
    "control": {"control", "dataplane/shm", "nts", "hwclock"},
}

# The headers that a pure room may not have: sockets, files, ioctl, system calls, the clock.
IMPURE = re.compile(
    r"^((sys|linux|asm|net|netinet|arpa)/.*|(fcntl|unistd|poll|netdb|signal|dirent|pthread|stdio|time)\.h"
    r"|cstdio|ctime|csignal|fstream|iostream|filesystem|chrono|random|thread|mutex)$")
PURE = {"nts", "hwclock"}
# hwclock's edges: the kernel's clock, and the inputs that are devices, sockets and shared memory.
EDGES = {"hwclock/system_clock.cc", "hwclock/system_clock.h", "hwclock/chrony_sock.cc", "hwclock/kernel_pps.cc",
         "hwclock/ntp_shm.cc", "hwclock/phc.cc", "hwclock/serial_line.cc"}
ROOMS = sorted(MAY_INCLUDE, key=len, reverse=True) + ["bench", "tests", "configs"]


def room_of(path):
    """The room that a path such as dataplane/shm/pages.h stands in, or None outside the house."""
    return next((room for room in ROOMS if path.startswith(room + "/")), None)


def violations(path, text):
    """Every include of the file at `path` (relative to the root) that points up or sideways, as sentences."""
    room = room_of(path)
    found = []
    for bracket, target in INCLUDE.findall(text):
        if room in MAY_INCLUDE:
            if bracket == '"' and room_of(target) not in MAY_INCLUDE[room]:
                found.append(f"{path} includes {target}: {room} must not know it")
            if target.startswith("rte_") and room != "dataplane":
                found.append(f"{path} includes {target}: DPDK stays in dataplane")
            if target.startswith("openssl/") and not path.startswith("control/tls"):
                found.append(f"{path} includes {target}: OpenSSL stays in control/tls")
        if target == "chrono" and "_clock" not in text:
            continue  # its calendar is arithmetic; its clocks ask the kernel
        if room in PURE and path not in EDGES and bracket == "<" and IMPURE.match(target):
            found.append(f"{path} includes {target}: {room} is pure, and only its edge files ask the kernel")
        if bracket == '"' and room and room_of(target) is None:
            found.append(f"{path} includes {target}: includes are spelled from the root")
    return found


def sources():
    for room in ("nts", "hwclock", "dataplane", "control", "bench", "tests"):
        for path in sorted((ROOT / room).rglob("*")):
            if path.suffix in (".h", ".cc") and path.is_file():
                yield path


def test_no_condition_stands_before_a_co_await():
    """gcc 12 waits all the same where `&&` or `||` should have kept it from that: `while (is_open && co_await ...)`
    waited on a closed descriptor for ever."""
    behind = re.compile(r"(&&|\|\|)\s*!?\(?\s*co_await")
    assert behind.search("while (a == b && co_await c.readable())") and not behind.search("co_await (a || b)")
    found = [str(path.relative_to(ROOT)) for path in sources() if behind.search(path.read_text(encoding="utf-8"))]
    assert not found, f"{found}: make the condition a statement of its own"


def test_every_include_points_down():
    checked = list(sources())
    assert len(checked) > 10, "the tree was not found"
    wrong = []
    for path in checked:
        wrong += violations(str(path.relative_to(ROOT)), path.read_text())
    assert not wrong, "\n".join(wrong)


def test_an_include_that_points_up_is_found():
    assert violations("nts/a.h", '#include "dataplane/shm/pages.h"\n')
    assert violations("control/a.cc", '#include "dataplane/worker.h"\n')
    assert violations("dataplane/a.cc", '#include "control/roles.h"\n')
    assert violations("dataplane/shm/a.h", '#include "dataplane/worker.h"\n')
    assert violations("nts/a.h", "#include <openssl/evp.h>\n")
    assert violations("control/a.cc", "#include <rte_mbuf.h>\n")
    assert violations("nts/a.h", '#include "wire.h"\n')


def test_a_header_that_asks_the_kernel_is_found_in_a_pure_room():
    for header in ("sys/ioctl.h", "sys/timex.h", "linux/ptp_clock.h", "unistd.h", "ctime", "cstdio", "fstream", "thread"):
        assert violations("nts/a.cc", f"#include <{header}>\n"), header
        assert violations("hwclock/tsc_fit.cc", f"#include <{header}>\n"), header
        assert not violations("hwclock/system_clock.cc", f"#include <{header}>\n"), header
        assert not violations("dataplane/a.cc", f"#include <{header}>\n"), header
    for header in ("cmath", "cstdint", "cpuid.h", "x86intrin.h", "array"):
        assert not violations("hwclock/tsc_fit.cc", f"#include <{header}>\n"), header


def test_includes_that_point_down_are_allowed():
    assert not violations("control/tls.cc", "#include <openssl/ssl.h>\n")
    assert not violations("dataplane/port/vdev.cc", '#include <rte_ethdev.h>\n#include "dataplane/shm/pages.h"\n')
    assert not violations("dataplane/shm/a.h", '#include "nts/key_ring.h"\n')


def test_the_calendar_of_chrono_is_arithmetic_and_its_clocks_are_not():
    assert not violations("hwclock/a.cc", "#include <chrono>\nauto day = std::chrono::sys_days{};\n")
    assert violations("hwclock/a.cc", "#include <chrono>\nauto now = std::chrono::steady_clock::now();\n")
