// What the roles say to each other: fixed-size messages over SOCK_SEQPACKET sockets in the page directory.
//
// keeper/socket: `ke` asks for cookies; `admin` asks for key states, for a rotation and for a reload.
// ke/N.socket (N = worker number): `admin` asks for counters and for a reload.
// clock/socket: `upstream` reports its measurements. clock/report.socket: `admin` asks how the clock is, and
// what it thinks of the upstreams. The receiver checks the peer's uid (SO_PEERCRED) before it reads, and
// length, magic and kind before it believes. All native-endian: both ends run on this machine. Never a master
// key in any of them.
#pragma once

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>
#include <string_view>
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
  clock_report_request = 10,
  clock_report_reply = 11,
  upstream_list_request = 12,
  upstream_list_reply = 13,
  reload_request = 16,
  reload_reply = 17,
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

// key_list_request, rotate_request, ke_counters_request, clock_report_request, upstream_list_request,
// reload_request
struct EmptyRequest {
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
  std::uint64_t accepted;          // TCP connections
  std::uint64_t accept_failed;     // accept() gave an error: no descriptor, no memory, an aborted connection
  std::uint64_t refused_limit;     // over the total or the per-source limit
  std::uint64_t handshake_failed;  // no TLS 1.3, no ntske/1, or no TLS at all
  std::uint64_t timeouts;          // the connection's deadline passed
  std::uint64_t served;            // cookies handed out
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

// Of a role that was asked to read its configuration anew (config_source.h).
struct ReloadReply {
  MessageHeader header;
  Status status;               // ok, or refused: it goes on with what it had
  std::array<char, 508> text;  // for people: why not
};
static_assert(sizeof(ReloadReply) == 528);

// What `upstream` is at with one server.
enum class UpstreamPhase : std::uint32_t {
  looking_up = 0,      // its name
  agreeing = 1,        // on keys, by NTS-KE
  measuring = 2,       // it is asked; reach says whether it answers
  unsynchronised = 3,  // it answers that it does not know the time
  stopped = 4,         // it told us to go (DENY, RSTR)
  loop = 5,            // it is ourselves, or takes its time from us
  failed = 6,          // text says what; tried again
};
inline constexpr std::uint32_t upstream_phases = 7;
inline constexpr std::size_t upstream_address_bytes = 48;  // the longest IPv6 literal, and a zero
inline constexpr std::size_t upstream_text_bytes = 96;

// One server's measurements, from `upstream` to `clock`: after each exchange, and now and then without news.
struct UpstreamReport {
  MessageHeader header;
  std::uint32_t source_index;  // in the order of the configuration
  std::uint32_t source_count;  // 0: no upstreams are configured; the rest is zeros
  UpstreamPhase phase;
  std::uint32_t reach;  // eight bits
  std::uint32_t poll;   // log2 of seconds
  std::uint32_t cookies;
  std::uint32_t authenticated;
  std::uint32_t has_news;      // 0: of what follows only the texts count
  std::uint32_t leap;          // 0 to 2
  std::uint32_t stratum;       // 1 to 15
  std::uint32_t reference_id;  // what whoever follows this server names it: IPv4, or MD5 of IPv6
  std::uint32_t reserved;
  std::uint64_t tick;   // at this TSC tick ...
  std::int64_t utc_ns;  // ... its clock said this, since 1970
  std::uint64_t newest_tick;
  std::uint64_t delay_ns;
  std::uint64_t dispersion_ns;
  std::uint64_t jitter_ns;
  std::uint64_t root_delay_ns;
  std::uint64_t root_dispersion_ns;
  std::array<char, upstream_address_bytes> address;  // that is asked; for people
  std::array<char, upstream_text_bytes> text;        // what is wrong; for people
};

// What `clock` makes of a server.
enum class UpstreamVerdict : std::uint32_t {
  unusable = 0,     // no measurements, or none that say anything
  falseticker = 1,  // contradicts the majority
  witness = 2,      // agrees, and may not give the time
  member = 3,       // agrees
  leader = 4,       // agrees, and its stratum and reference id would be ours
};
inline constexpr std::uint32_t upstream_verdicts = 5;

struct UpstreamListEntry {
  std::uint32_t has_report;
  UpstreamPhase phase;
  UpstreamVerdict verdict;
  std::uint32_t reach;
  std::uint32_t poll;
  std::uint32_t cookies;
  std::uint32_t authenticated;
  std::uint32_t has_news;
  std::uint32_t leap;
  std::uint32_t stratum;
  std::uint32_t reference_id;
  std::uint32_t age_s;     // of the newest sample
  std::int64_t offset_ns;  // its clock minus ours, as far as we have one
  std::uint64_t delay_ns;
  std::uint64_t dispersion_ns;
  std::uint64_t jitter_ns;
  std::uint64_t distance_ns;        // root distance
  std::uint64_t exact_distance_ns;  // and without the floor of 10 ms for a delay
  std::array<char, upstream_address_bytes> address;
  std::array<char, upstream_text_bytes> text;
};

inline constexpr std::uint32_t upstream_entries_max = 16;  // as many as hwclock/upstream_vote.h hears

struct UpstreamListReply {
  MessageHeader header;
  std::uint32_t count;    // as configured
  std::uint32_t running;  // 0: the upstream role is not connected
  std::array<UpstreamListEntry, upstream_entries_max> entries;
};
static_assert(sizeof(UpstreamListReply) <= 4096, "one packet (role_socket.h)");
static_assert(std::is_trivially_copyable_v<UpstreamReport> &&
              std::is_trivially_copyable_v<UpstreamListReply>);

// What the clock role knows beyond its page. Of another source than "gnss" there is the sentence alone.
struct ClockReportReply {
  MessageHeader header;
  std::array<char, 256> sentence;  // what the clock is doing, and why no better
  std::uint32_t has_gnss;
  std::uint32_t satellites;
  std::int32_t tai_minus_utc_s;
  std::uint32_t reserved;
  std::uint64_t pulses;
  std::uint64_t samples;
  std::uint64_t doubted;
  std::uint64_t unplaced;
  std::uint64_t malformed;
  std::uint64_t messages;
  std::uint64_t dropped_messages;
  std::uint64_t rollovers_repaired;
  std::uint64_t openings;
  std::uint64_t outliers;
  std::uint64_t phc_steps;
  std::uint64_t phc_unread;
  std::uint64_t dropped_edges;
  double last_offset_ns;  // of the last pulse from what was expected; positive: it came early
  double frequency_ppb;   // of the TSC against true time: positive is fast
  double drift_ppb_day;   // and how that changes
  double white_ns;        // what was learned of the oscillator: in a second, per square root of a second
  double walk_ppb;
  double pulse_sigma_ns;  // and of the pulses
};

static_assert(std::is_trivially_copyable_v<ClockReportReply>);
// Text for people in its place in a message: always ends in a zero; what does not fit is cut.
template <std::size_t Bytes>
void put_text(std::string_view text, std::array<char, Bytes>& place) {
  place.fill('\0');
  std::copy_n(text.begin(), std::min(text.size(), Bytes - 1), place.begin());
}

static_assert(std::is_trivially_copyable_v<KeyListReply> && std::is_trivially_copyable_v<SealReply>);

}  // namespace control
