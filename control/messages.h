// What the roles say to each other: fixed-size messages over SOCK_SEQPACKET sockets in the page directory.
//
// keeper/socket: `ke` asks for cookies; `admin` asks for key states and for a rotation.
// ke/N.socket (N = worker number): `admin` asks for counters.
// clock/socket: `upstream` reports its measurements.
// The receiver checks the peer's uid (SO_PEERCRED) before it reads, and length, magic and kind before it
// believes. All native-endian: both ends run on this machine. Never a master key in any of them.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <type_traits>

#include "nts/key_ring.h"

namespace control {

inline constexpr std::uint32_t message_magic = 0x4e4d5231;  // "NMR1"

enum class MessageKind : std::uint32_t {
  seal_request = 1,
  seal_reply = 2,
  key_list_request = 3,
  key_list_reply = 4,
  rotate_request = 5,
  rotate_reply = 6,
  ke_counters_request = 7,
  ke_counters_reply = 8,
  upstream_report = 9,
};

struct MessageHeader {
  std::uint32_t magic;  // message_magic
  MessageKind kind;
  std::uint64_t request_id;  // echoed in the reply
};
static_assert(sizeof(MessageHeader) == 16);

inline constexpr std::uint32_t session_key_bytes_max = 64;  // AEAD 17
inline constexpr std::uint32_t cookie_bytes_max = 4 + 16 + 16 + 2 * session_key_bytes_max;
inline constexpr std::uint32_t sealed_cookies = 8;  // RFC 8915 section 4.1.6

enum class Status : std::uint32_t {
  ok = 0,
  no_current_key = 1,
  unknown_aead = 2,
  refused = 3,
  held = 4,
  failed = 5
};

struct SealRequest {
  MessageHeader header;
  std::uint32_t aead;       // IANA number
  std::uint32_t key_bytes;  // of each of the two
  std::array<std::uint8_t, session_key_bytes_max> c2s;
  std::array<std::uint8_t, session_key_bytes_max> s2c;
};
static_assert(sizeof(SealRequest) == 152);

struct SealReply {
  MessageHeader header;
  Status status;
  std::uint32_t cookie_bytes;     // of each; one length per AEAD, for ever
  std::uint64_t ring_generation;  // of the ring that sealed them
  std::array<std::array<std::uint8_t, cookie_bytes_max>, sealed_cookies> cookies;
};
static_assert(sizeof(SealReply) == 32 + 8 * 164);

struct EmptyRequest {  // key_list_request, rotate_request, ke_counters_request
  MessageHeader header;
};

// What people may know of a key: never its octets.
struct KeyReport {
  std::uint32_t id;
  nts::KeyState state;
  std::uint64_t created_s;  // seconds since 1970
};

struct KeyListReply {
  MessageHeader header;
  Status status;
  std::uint32_t count;
  std::uint64_t ring_generation;
  std::uint32_t rotation_pending;  // 1 while a new key waits for the cores' acknowledgement
  std::uint32_t alarm;             // 1 while a live core is silent, or the key file cannot be written
  std::array<char, 128> alarm_text;
  std::array<KeyReport, nts::ring_keys_max> keys;
};

// The keeper replies to a rotate_request within this, whatever its disk does.
inline constexpr std::chrono::milliseconds rotate_reply_max{1500};

struct RotateReply {
  MessageHeader header;
  Status status;  // ok: the new key is published (accepting) and takes over when acknowledged
  std::uint32_t new_key_id;
  std::array<char, 128> text;  // for people: what happens next, or why not
};

struct KeCounters {
  std::uint64_t accepted;             // TCP connections
  std::uint64_t refused_limit;        // over the total or the per-source limit
  std::uint64_t handshake_failed;     // no TLS 1.3, no ntske/1, or no TLS at all
  std::uint64_t timeouts;             // the connection's deadline passed
  std::uint64_t served;               // cookies handed out
  std::uint64_t error_unrecognised;   // error 0
  std::uint64_t error_bad_request;    // error 1
  std::uint64_t error_internal;       // error 2
  std::uint64_t disconnected;         // the client left before an answer
  std::uint64_t no_common_algorithm;  // answered with an empty list, no cookies
  std::uint64_t open_now;
};

struct KeCountersReply {
  MessageHeader header;
  KeCounters counters;
};

struct UpstreamReport {
  MessageHeader header;
  std::uint32_t source_index;
  std::uint32_t source_count;  // 0: no upstreams are configured; the rest is zeros
  std::int64_t offset_ns;
  std::int64_t delay_ns;
  std::int64_t root_distance_ns;
  std::uint32_t leap;
  std::uint32_t authenticated;
};

static_assert(std::is_trivially_copyable_v<KeyListReply> && std::is_trivially_copyable_v<SealReply>);

}  // namespace control
