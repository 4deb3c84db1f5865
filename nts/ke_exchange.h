// The NTS-KE exchange without TLS: a client's records in, our records out (RFC 8915 section 4).
//
// read_request judges; write_reply and write_error build what goes into one TLS record, because NTPsec reads
// the whole reply with one call. The client's side stands here too: `noonmark query` and upstreams need it.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "nts/ke_record.h"

namespace nts::ke {

inline constexpr std::uint32_t cookies_in_reply = 8;  // RFC 8915 section 4.1.6

// What we offer, and who we are.
struct Policy {
  std::vector<std::uint16_t> aeads;           // IANA numbers, the one we like best first
  std::uint16_t ntp_port = 123;               // of our NTP service
  std::string ntp_server;                     // sent as Server record; empty: none is sent
  std::vector<std::string> ntp_servers_ours;  // what a client may wish for
  bool is_gcm_siv_export_strict = false;      // never the exporter context of chrony 4.4 (P11)
};

// What a request comes to.
struct Decision {
  std::optional<ErrorCode> error;     // answer with write_error; nothing else is set
  bool has_common_protocol = false;   // false: an empty Next Protocol list, no cookies
  std::optional<std::uint16_t> aead;  // none: an empty AEAD list, no cookies
  std::uint16_t exporter_aead = 0;    // what stands in the exporter's context: see exporter_aead_of
  bool echoes_compliant_export = false;
  std::string ntp_server;        // for the Server record; empty: none
  std::uint16_t ntp_port = 123;  // a Port record is sent when it is not 123

  [[nodiscard]] bool wants_cookies() const noexcept { return !error && has_common_protocol && aead; }
};

// Judges a complete message. Rules P03-P06, P08, P09.
[[nodiscard]] Decision read_request(const Message& message, const Policy& policy);

// The whole reply: Next Protocol, AEAD, compliant export, Port, Server, cookies, End of Message (P12).
// `cookies` is empty unless the decision wants cookies.
[[nodiscard]] std::vector<std::uint8_t> write_reply(const Decision& decision,
                                                    std::span<const std::vector<std::uint8_t>> cookies);
[[nodiscard]] std::vector<std::uint8_t> write_error(ErrorCode code);

// RFC 8915 section 4.3: the exporter's context: protocol, AEAD, 0 for C2S or 1 for S2C.
inline constexpr const char* exporter_label = "EXPORTER-network-time-security";
enum class Direction : std::uint8_t { client_to_server = 0, server_to_client = 1 };
// With AEAD 30 chrony 4.4 to 4.6.0 exports as if it were 15. A client that exports as the RFC says sends
// record 1024, and a server that does echoes it; only then both may. With every other AEAD there is one way.
[[nodiscard]] std::uint16_t exporter_aead_of(std::uint16_t aead, bool is_compliant) noexcept;
[[nodiscard]] std::vector<std::uint8_t> exporter_context(std::uint16_t aead, Direction direction);
// Of each exported key, in octets; 0 for an AEAD we do not know.
[[nodiscard]] std::uint32_t key_bytes_of(std::uint16_t aead) noexcept;

// ---- The client's side ----

// With AEAD 30 among them, record 1024 is sent.
[[nodiscard]] std::vector<std::uint8_t> write_client_request(std::span<const std::uint16_t> aeads);

struct Reply {
  std::string fault;                   // not empty: why the reply cannot be used, for people
  std::optional<std::uint16_t> error;  // the server's Error record
  std::uint16_t aead = 0;
  bool has_compliant_export = false;  // record 1024 was echoed
  std::vector<std::vector<std::uint8_t>> cookies;
  std::string ntp_server;  // empty: the same host
  std::uint16_t ntp_port = 123;
};
[[nodiscard]] Reply read_reply(const Message& message, std::span<const std::uint16_t> offered_aeads);

}  // namespace nts::ke
