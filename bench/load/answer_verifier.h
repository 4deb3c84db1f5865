// Every answer of the timed run is judged here, none by sample: the load is also a test.
//
// Plain: length, version 4, mode 4, origin one of our transmit stamps, time known, receive before transmit,
// both near this machine's clock. NTS (RFC 8915 section 5.7) besides: no longer than the request, our
// identifier, one authenticator that ends the packet, the tag, and a plaintext that is one cookie, as long as
// ours and not the one that came last.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "bench/load/numbers.h"
#include "bench/load/request_writer.h"
#include "bench/load/session.h"
#include "bench/load/transport.h"
#include "nts/ntp_time.h"

namespace bench::load {

// What is wrong with an answer; the first that applies.
enum class Fault : std::uint8_t {
  none,
  shape,           // length, version, mode, or fields that are not as they must be
  origin,          // no transmit stamp of ours
  kiss,            // stratum 0: NTS NAK, RATE and their like
  unsynchronised,  // the server says that it does not know the time
  identifier,      // not that of the request
  tag,             // the seal does not verify
  cookies,         // authentic, but the plaintext is not one fresh cookie of the session's length
  timestamps,      // receive after transmit, or far from our clock
  repeated,        // an answer to what was answered already
  astray,          // right, but it came to another client than the one that asked
  count
};
inline constexpr std::array<std::string_view, static_cast<std::size_t>(Fault::count)> fault_names = {
    "none", "shape",   "origin",     "kiss",     "unsynchronised", "identifier",
    "tag",  "cookies", "timestamps", "repeated", "astray"};

struct Judgement {
  Fault fault = Fault::shape;
  std::uint64_t number = 0;                // of the request, when there is no fault
  std::span<const std::uint8_t> cookie{};  // the first that came, until the next judge()
};

class AnswerVerifier {
 public:
  // `request_bytes`: of each request's payload. `tolerance` in units of 2^-32 s: how far server and client
  // clock may differ, path included.
  AnswerVerifier(Kind kind, const Session* session, const Numbers& numbers, const nts::siv::Kernels& tier,
                 std::uint16_t request_bytes, std::uint64_t tolerance);

  // Judges `answers` (at most burst_max) that came about `now`, when the numbers below `next_number` are out.
  void judge(std::span<const Datagram> answers, nts::NtpTime now, std::uint64_t next_number,
             std::span<Judgement> judgements) noexcept;

 private:
  static constexpr std::uint32_t plaintext_bytes_max = 1500;
  [[nodiscard]] Fault read_header(const Datagram& answer, nts::NtpTime now, std::uint64_t next_number,
                                  std::uint64_t& number) const noexcept;
  [[nodiscard]] Fault read_fields(const Datagram& answer, std::uint64_t number, std::uint8_t* room,
                                  nts::siv::Job& job) const noexcept;
  [[nodiscard]] bool read_cookie(std::span<const std::uint8_t> plaintext, std::uint64_t number,
                                 std::span<const std::uint8_t>& cookie) noexcept;

  const Numbers& numbers_;
  const nts::siv::Kernels& tier_;
  bool is_nts_;
  std::uint16_t request_bytes_;
  std::uint64_t tolerance_;
  std::vector<std::uint8_t> last_cookie_;  // as long as all of the session
  std::uint64_t last_number_ = 0;          // of the request that it came for
  nts::siv::RingKeySchedule s2c_{};
  std::array<std::array<std::uint8_t, plaintext_bytes_max>, burst_max> plaintexts_;
};

}  // namespace bench::load
