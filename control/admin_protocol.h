// The operator's socket, admin/socket in the page directory: SOCK_SEQPACKET, one JSON object per packet.
//
// Request:  {"command": "status" | "counters" | "keys" | "rotate" | "clock" | "metrics"}
// Reply:    {"ok": true, "result": ...} or {"ok": false, "error": "one sentence that says what to do"}
// A request is at most request_bytes_max octets, a reply at most reply_bytes_max. Anyone may read; "rotate"
// takes root or the admin uid (SO_PEERCRED). A client gets at most client_deadline_ms per request and at most
// clients_max are served at once; the rest of the machine never notices a bad one.
#pragma once

#include <cstddef>
#include <cstdint>

namespace control {

inline constexpr std::size_t request_bytes_max = 4096;
inline constexpr std::size_t reply_bytes_max = 128 * 1024;
inline constexpr std::uint32_t client_deadline_ms = 2000;
inline constexpr std::uint32_t clients_max = 32;

}  // namespace control
