// The load itself: requests out at a set rate or flat out, every answer judged, everything counted.
//
//   sent     == answered + lost        each request has one end
//   received == answered + wrong + late
//
// An answer that fails any check is wrong and leaves its request open: anybody can send a packet. Late is a
// right answer to a request that was already given up as lost.
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

#include "bench/load/answer_verifier.h"
#include "bench/load/latency.h"
#include "bench/load/request_writer.h"
#include "bench/load/transport.h"

namespace bench::load {

struct Plan {
  Kind kind = Kind::nts;
  double rate = 0;             // requests per second; 0: flat out
  std::uint32_t window = 512;  // most requests under way
  std::uint16_t burst = 32;    // at most burst_max
  std::chrono::milliseconds duration{3000};
  std::chrono::milliseconds patience{100};    // without any answer, after which all under way is lost
  std::chrono::milliseconds tolerance{1000};  // between the server's clock and ours
};

inline constexpr std::uint64_t answers_per_reused_cookie = 1024;

struct Report {
  std::uint64_t probes = 0;  // requests before the load, until the server answered; none of `sent`
  std::uint64_t sent = 0;
  std::uint64_t answered = 0;
  std::uint64_t in_time = 0;  // of them: came while the load went on
  std::uint64_t lost = 0;
  std::uint64_t late = 0;
  std::uint64_t wrong = 0;  // all of `faults`, and wrong UDP checksums
  std::array<std::uint64_t, static_cast<std::size_t>(Fault::count)> faults{};
  std::uint64_t bad_checksums = 0;
  std::uint64_t not_sent = 0;  // the transport had no room for them; none of `sent`
  std::uint64_t cookies_reused = 0;
  std::chrono::nanoseconds elapsed{1};  // of the load itself, without the wait for the last answers
  double best_rate = 0;  // answers per second in the best tenth of a second; 0 when the load was shorter
  double ticks_per_ns = 1;
  Latencies latencies;  // in TSC ticks

  // Answers per second: a backlog that is answered once the load has ended was not carried.
  [[nodiscard]] double rate() const {
    return static_cast<double>(in_time) * 1e9 / static_cast<double>(elapsed.count());
  }
  [[nodiscard]] std::uint64_t latency_ns(double share) const;  // share 1: the longest

  // "PREFIXname=value" lines, and the same for people.
  [[nodiscard]] std::string lines(const std::string& prefix) const;
  [[nodiscard]] std::string table() const;
};

class Generator {
 public:
  // What is borrowed outlives this. Throws SessionError; std::invalid_argument for a plan out of range.
  Generator(Transport& transport, const Plan& plan, const Session* session, const nts::siv::Kernels& tier,
            nts::RandomSource& random);

  // Asks once a millisecond until a good answer comes, forgets all but how often, and returns true; false
  // when `span` is over or `stop` comes first, and report() says what came instead.
  [[nodiscard]] bool wait_for_server(std::chrono::milliseconds span, const std::atomic<bool>& stop);

  // Loads for the plan's duration or until `stop`, waits for the last answers, reports.
  [[nodiscard]] Report run(const std::atomic<bool>& stop);

  // The same in pieces, for who must serve in between: sends at most `requests` now, takes what has come.
  void send(std::size_t requests);
  std::size_t take_answers();  // returns how many packets came
  void give_up();              // whatever is under way is lost
  [[nodiscard]] std::uint64_t under_way() const noexcept { return under_way_; }
  [[nodiscard]] const Report& report() const noexcept { return report_; }

 private:
  // One request that waits for its answer.
  struct Flight {
    std::uint64_t number_plus_one = 0;  // 0: nobody
    std::uint64_t sent_ticks = 0;
    std::uint32_t client = 0;  // that asked
  };
  [[nodiscard]] Flight& flight_of(std::uint64_t number) noexcept {
    return flights_[number & (flights_.size() - 1)];
  }
  void take(const Judgement& judgement, std::uint32_t client, std::uint64_t ticks) noexcept;

  Transport& transport_;
  Plan plan_;
  Numbers numbers_;
  RequestWriter writer_;
  AnswerVerifier verifier_;
  std::vector<Flight> flights_;  // a power of two, at least twice the window
  std::uint64_t next_number_ = 0;
  std::uint64_t under_way_ = 0;
  nts::NtpTime time_;  // this machine's, as of time_ticks_
  std::uint64_t time_ticks_ = 0;
  std::uint64_t until_reuse_ = answers_per_reused_cookie;
  std::array<Datagram, burst_max> requests_;
  std::array<Datagram, burst_max> answers_;
  std::array<Judgement, burst_max> judgements_;
  Report report_;
};

}  // namespace bench::load
