// `noonmark query HOST`: one NTS-KE exchange and a few authenticated NTP exchanges, told as a person reads
// them. A client for operators, not a time source: it never touches the clock.
//
// With --json one object:
//   {"host", "ok": bool, "error": text (only when not ok),
//    "ke": {"address", "port", "tls": "TLSv1.3", "certificate": {"subject", "expires_unix_s"}, "aead": 30,
//           "aead_name": "AEAD_AES_128_GCM_SIV", "cookies": 8, "cookie_bytes": 68, "ntp_server": address,
//           "ntp_port": 123, "took_ms"}                                   (absent with --plain),
//    "ntp": [{"address", "port", "verdict": name, "authenticated": bool, "stratum", "leap", "reference_id",
//             "offset_ns", "delay_ns", "root_delay_ns", "root_dispersion_ns", "cookies_received"}],
//            (verdict as in nts/client.h, or "no_answer" or "unreachable", and then nothing behind it)
//    "offset_ns", "delay_ns": those of the exchange with the least delay (absent when none brought time),
//    "cookies_left": in the jar at the end}                                (absent with --plain)
#pragma once

#include <cstdint>
#include <filesystem>
#include <iosfwd>
#include <optional>
#include <string>

namespace control {

enum class QueryFamily : std::uint8_t { any, ipv4, ipv6 };

struct QueryOptions {
  std::string host;
  std::uint16_t ke_port = 4460;
  std::optional<std::uint16_t> ntp_port;    // instead of what NTS-KE says; without NTS instead of 123
  std::optional<std::filesystem::path> ca;  // PEM; else the system's authorities
  QueryFamily family = QueryFamily::any;
  std::optional<std::uint16_t> aead;  // IANA number of the only one to offer; else 30 and 15
  bool plain = false;                 // NTP without NTS
  std::uint32_t samples = 4;
  std::uint32_t timeout_ms = 5000;  // for a look-up, for NTS-KE as a whole; a fifth of it for each exchange
  bool json = false;
};

// Returns the exit code: 0 time was taken (authenticated unless `plain`), 1 it was not, with one sentence
// that says why (in "error" with json, else on `err`).
[[nodiscard]] int run_query(const QueryOptions& options, std::ostream& out, std::ostream& err);

}  // namespace control
