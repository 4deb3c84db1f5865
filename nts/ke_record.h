// NTS-KE records (RFC 8915 section 4): critical bit and 15-bit type, 16-bit length, body.
//
// Reading is incremental: octets arrive as TLS delivers them, one at a time if the peer likes. A Message
// keeps what came and says when an End of Message stands at its end. Not on the packet path: std::vector is
// welcome.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace nts::ke {

// RFC 8915 section 7.6; 1024 is chrony's registration for a compliant AES-128-GCM-SIV exporter context.
enum class RecordType : std::uint16_t {
  end_of_message = 0,
  next_protocol = 1,
  error = 2,
  warning = 3,
  aead_algorithm = 4,
  new_cookie = 5,
  ntp_server = 6,
  ntp_port = 7,
  compliant_gcm_siv_export = 1024,
};

inline constexpr std::uint16_t critical_bit = 0x8000;
inline constexpr std::uint16_t protocol_ntpv4 = 0;  // RFC 8915 section 7.7

// Error codes, RFC 8915 section 4.1.3.
enum class ErrorCode : std::uint16_t {
  unrecognised_critical_record = 0,
  bad_request = 1,
  internal_server_error = 2
};

// Our cap on a message; RFC 8915 section 4 asks a server for at least 1024 octets.
inline constexpr std::size_t message_bytes_max = 4096;

struct Record {
  std::uint16_t type = 0;  // without the critical bit; any value, known to RecordType or not
  bool is_critical = false;
  std::span<const std::uint8_t> body;  // borrowed from the message

  [[nodiscard]] bool is(RecordType wanted) const noexcept {
    return type == static_cast<std::uint16_t>(wanted);
  }
};

// One side's records as they arrive.
class Message {
 public:
  enum class State : std::uint8_t {
    incomplete,  // more octets are needed
    complete,    // ends with an End of Message record; what came behind it was ignored
    too_long,    // no end within message_bytes_max
  };

  // Takes what arrived and looks again. Octets behind End of Message are ignored (one exchange a connection).
  State append(std::span<const std::uint8_t> octets);
  [[nodiscard]] State state() const noexcept { return state_; }
  // The whole records so far, End of Message included.
  [[nodiscard]] std::vector<Record> records() const;

 private:
  std::vector<std::uint8_t> octets_;
  std::size_t whole_bytes_ = 0;  // how far records were walked
  State state_ = State::incomplete;
};

// Appends one record. `body` has at most 65535 octets.
void append_record(std::vector<std::uint8_t>& octets, RecordType type, bool is_critical,
                   std::span<const std::uint8_t> body);
// The same for a body of 16-bit numbers in network order.
void append_record(std::vector<std::uint8_t>& octets, RecordType type, bool is_critical,
                   std::span<const std::uint16_t> numbers);

// The 16-bit numbers of a body. False when it has an odd length.
[[nodiscard]] bool read_numbers(std::span<const std::uint8_t> body, std::vector<std::uint16_t>& numbers);

}  // namespace nts::ke
