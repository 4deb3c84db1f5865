"""The roles' uids (control/roles.h) and what /proc says of the processes that run under them."""

import os

DATAPLANE = 62106
UIDS = {"keeper": 62101, "ke": 62102, "clock": 62103, "upstream": 62104, "admin": 62105, "dataplane": DATAPLANE}


def status_of(lab, uid):
    """/proc/PID/status, as {field: text}, of each process of this lab whose real uid is `uid`."""
    found = []
    for entry in filter(str.isdigit, os.listdir("/proc")):
        try:
            if not os.readlink(f"/proc/{entry}/exe").startswith(f"{lab.state}/"):
                continue
            with open(f"/proc/{entry}/status", encoding="ascii", errors="replace") as lines:
                status = dict(line.rstrip("\n").split(":", 1) for line in lines if ":" in line)
        except OSError:
            continue
        status = {field: text.strip() for field, text in status.items()}
        if int(status["Uid"].split()[0]) == uid:
            found.append(status)
    return found
