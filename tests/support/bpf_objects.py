"""The BPF programs and maps of the whole kernel by name, through libbpf (there is no bpftool in the test image)."""

import ctypes
import os

_libbpf = ctypes.CDLL("libbpf.so.1", use_errno=True)
_INFO_BYTES = 512
_NAME_BYTES = 16
# Where the name stands in struct bpf_prog_info and struct bpf_map_info (linux/bpf.h).
_KINDS = {"prog": 64, "map": 24}


def count(kind, name):
    """How many of a kind ("prog" or "map") have this name. Needs root."""
    found, number = 0, ctypes.c_uint32(0)
    while getattr(_libbpf, f"bpf_{kind}_get_next_id")(number, ctypes.byref(number)) == 0:
        descriptor = getattr(_libbpf, f"bpf_{kind}_get_fd_by_id")(number)
        if descriptor < 0:
            continue  # gone in this moment
        info = ctypes.create_string_buffer(_INFO_BYTES)
        length = ctypes.c_uint32(_INFO_BYTES)
        try:
            if _libbpf.bpf_obj_get_info_by_fd(descriptor, info, ctypes.byref(length)) == 0:
                at = _KINDS[kind]
                found += info.raw[at:at + _NAME_BYTES].rstrip(b"\0").decode("ascii", "replace") == name
        finally:
            os.close(descriptor)
    return found
