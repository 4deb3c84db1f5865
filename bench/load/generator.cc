#include "bench/load/generator.h"

#include <algorithm>
#include <bit>
#include <ctime>
#include <immintrin.h>
#include <stdexcept>

#include "hwclock/tsc.h"

namespace bench::load {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::uint32_t window_max = 1U << 20;

// How long a reading of this machine's clock is good for: a fraction of a millisecond, and of any tolerance.
constexpr std::uint64_t ticks_between_readings = 1U << 20;

// On a shared machine most others' work falls between two such slices or more.
constexpr std::chrono::milliseconds slice{100};

// Flat out nothing in the loop needs the time but its end, and the patience with a silent server.
constexpr unsigned turns_between_looks = 16;

nts::NtpTime our_time() {
  timespec now{};
  clock_gettime(CLOCK_REALTIME, &now);
  return nts::ntp_from_utc_ns(std::int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec);
}

std::uint64_t ntp_units(std::chrono::milliseconds span) {
  return (static_cast<std::uint64_t>(span.count()) << 32) / 1000;
}

const Plan& checked(const Plan& plan) {
  if (plan.burst == 0 || plan.burst > burst_max) throw std::invalid_argument("a burst is 1 to 64 requests");
  if (plan.window < plan.burst || plan.window > window_max)
    throw std::invalid_argument("a window is at least one burst and at most 1048576 requests");
  if (plan.rate < 0) throw std::invalid_argument("a rate is not negative");
  return plan;
}

}  // namespace

Generator::Generator(Transport& transport, const Plan& plan, const Session* session,
                     const nts::siv::Kernels& tier, nts::RandomSource& random)
    : transport_(transport),
      plan_(checked(plan)),
      numbers_(random),
      writer_(plan.kind, session, numbers_, tier),
      verifier_(plan.kind, session, numbers_, tier, writer_.payload_bytes(), ntp_units(plan.tolerance)),
      flights_(std::bit_ceil(std::size_t{2} * plan.window)) {}

void Generator::send(std::size_t requests) {
  const std::size_t wanted = std::min<std::size_t>(requests, plan_.burst);
  const std::size_t room = transport_.prepare(std::span(requests_).first(wanted), writer_.payload_bytes());
  writer_.write(std::span<const Datagram>(requests_).first(room), next_number_);
  const std::uint64_t ticks = __rdtsc();
  const std::size_t sent = transport_.send(room);
  for (std::size_t i = 0; i < sent; ++i) {
    Flight& flight = flight_of(next_number_ + i);
    if (flight.number_plus_one != 0) {  // so old that its place is needed
      ++report_.lost;
      --under_way_;
    }
    flight = {next_number_ + i + 1, ticks, requests_[i].client};
    ++under_way_;
  }
  next_number_ += sent;
  report_.sent += sent;
  report_.not_sent += wanted - sent;
}

void Generator::take(const Judgement& judgement, std::uint32_t client, std::uint64_t ticks) noexcept {
  if (judgement.fault != Fault::none) {
    ++report_.faults[static_cast<std::size_t>(judgement.fault)];
    return;
  }
  Flight& flight = flight_of(judgement.number);
  if (flight.number_plus_one != judgement.number + 1) {
    // Answered already, or given up. A place that a newer request has taken no longer tells which.
    const bool is_repeated = flight.number_plus_one == 0 && flight.sent_ticks == judgement.number + 1;
    ++(is_repeated ? report_.faults[static_cast<std::size_t>(Fault::repeated)] : report_.late);
    return;
  }
  if (flight.client != client) {
    ++report_.faults[static_cast<std::size_t>(Fault::astray)];
    return;
  }
  report_.latencies.add(ticks - flight.sent_ticks);
  flight = {0, judgement.number + 1, client};  // remembers whom it was for
  --under_way_;
  ++report_.answered;
  if (--until_reuse_ == 0) {
    until_reuse_ = answers_per_reused_cookie;
    if (writer_.use_cookie(judgement.cookie)) ++report_.cookies_reused;
  }
}

std::size_t Generator::take_answers() {
  const std::size_t count = transport_.receive(answers_);
  if (count == 0) return 0;
  const std::uint64_t ticks = __rdtsc();
  if (time_ticks_ == 0 || ticks - time_ticks_ > ticks_between_readings) {
    time_ = our_time();
    time_ticks_ = ticks;
  }
  verifier_.judge(std::span<const Datagram>(answers_).first(count), time_, next_number_, judgements_);
  for (std::size_t i = 0; i < count; ++i) take(judgements_[i], answers_[i].client, ticks);
  transport_.release();
  return count;
}

void Generator::give_up() {
  for (Flight& flight : flights_) {
    if (flight.number_plus_one != 0) flight = {};
  }
  report_.lost += under_way_;
  under_way_ = 0;
}

bool Generator::wait_for_server(std::chrono::milliseconds span, const std::atomic<bool>& stop) {
  const Clock::time_point end = Clock::now() + span;
  while (report_.answered == 0 && Clock::now() < end && !stop.load(std::memory_order_relaxed)) {
    send(1);
    const Clock::time_point next = Clock::now() + std::chrono::milliseconds(1);
    while (Clock::now() < next) static_cast<void>(take_answers());
  }
  if (report_.answered == 0) return false;
  const Clock::time_point quiet = Clock::now() + plan_.patience;
  while (Clock::now() < quiet && under_way_ != 0) static_cast<void>(take_answers());
  give_up();
  const std::uint64_t probes = report_.sent;
  report_ = {};
  report_.probes = probes;
  until_reuse_ = answers_per_reused_cookie;
  return true;
}

Report Generator::run(const std::atomic<bool>& stop) {
  const Clock::time_point begin = Clock::now();
  const std::uint64_t begin_ticks = hwclock::read_tsc_in_order();
  Clock::time_point now = begin;
  Clock::time_point heard = begin;
  Clock::time_point slice_begin = begin;
  std::uint64_t slice_answered = 0;
  unsigned turns = 0;
  double due = 0;  // by the rate, since the begin
  while (now - begin < plan_.duration && !stop.load(std::memory_order_relaxed)) {
    std::size_t requests = plan_.burst;
    if (plan_.rate > 0) {
      due = plan_.rate * std::chrono::duration<double>(now - begin).count();
      // What the window or a pause kept back is sent as soon as it can be; the report says what came of it.
      const double behind = due - static_cast<double>(report_.sent);
      requests = static_cast<std::size_t>(std::clamp(behind, 0.0, static_cast<double>(plan_.burst)));
    }
    if (requests != 0 && under_way_ + requests <= plan_.window) send(requests);
    if (take_answers() != 0) {
      heard = now;
    } else if (under_way_ == 0) {
      heard = now;
    } else if (now - heard > plan_.patience) {
      give_up();
    } else {
      _mm_pause();
    }
    if (plan_.rate == 0 && ++turns % turns_between_looks != 0) continue;
    now = Clock::now();
    if (now - slice_begin < slice) continue;
    const double seconds = std::chrono::duration<double>(now - slice_begin).count();
    const auto answers = static_cast<double>(report_.answered - slice_answered);
    report_.best_rate = std::max(report_.best_rate, answers / seconds);
    slice_begin = now;
    slice_answered = report_.answered;
  }
  report_.in_time = report_.answered;
  report_.elapsed = std::max(std::chrono::nanoseconds(1), std::chrono::nanoseconds(now - begin));
  report_.ticks_per_ns = static_cast<double>(hwclock::read_tsc_in_order() - begin_ticks) /
                         static_cast<double>(report_.elapsed.count());
  for (heard = now; under_way_ != 0 && now - heard < plan_.patience; now = Clock::now()) {
    if (take_answers() != 0) heard = now;
  }
  give_up();
  report_.bad_checksums = transport_.bad_checksums();
  report_.wrong = report_.bad_checksums;
  for (std::size_t i = 1; i < report_.faults.size(); ++i) report_.wrong += report_.faults[i];
  return report_;
}

}  // namespace bench::load
