#include "control/clock_task.h"

#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <optional>
#include <random>
#include <unistd.h>

#include "control/clock_engine.h"
#include "control/hearing.h"
#include "control/log.h"
#include "control/page_keeping.h"
#include "control/query_report.h"
#include "control/role_loop.h"
#include "control/role_socket.h"
#include "control/roles.h"
#include "control/service_notify.h"
#include "control/socket_keeping.h"
#include "control/upstream_desk.h"
#include "control/waiter.h"
#include "dataplane/shm/failpoint.h"
#include "dataplane/shm/segment.h"
#include "hwclock/calendar.h"
#include "hwclock/mono_line.h"
#include "hwclock/reference_id.h"
#include "hwclock/system_clock.h"
#include "hwclock/tsc.h"
#include "hwclock/tsc_fit.h"
#include "nts/ntp_time.h"

namespace control {
namespace {

namespace asio = boost::asio;
namespace failpoint = shm::failpoint;
using boost::system::error_code;
using Clock = std::chrono::steady_clock;

constexpr std::chrono::milliseconds interval{125};

// Over this the TSC is first measured: 30 ns of reading make 0.2 ppm of it, gone within a second of fitting.
constexpr std::chrono::milliseconds calibration{150};

// tsc_hz goes on being measured against this long a past; then it is known better than anybody asks for.
constexpr std::int64_t refining_ns_max = 1000 * std::int64_t{1'000'000'000};

// A second of nothing but steps is no clock that was set: the TSC ticks otherwise than it did.
constexpr int steps_in_a_row_max = 8;

// A status line with numbers in it is renewed this often; the log hears of changes only.
constexpr std::chrono::seconds status_interval{10};

// Between two callers: a stranger who keeps knocking, or an accept that cannot succeed, must not keep the
// time.
constexpr std::chrono::milliseconds accept_pause{50};

// A receiver that never stops talking costs 50 looks a second, and no more (TESTS.md I01).
constexpr std::chrono::milliseconds receiver_pause{20};

constexpr std::uint64_t ns_per_us = 1000;
constexpr std::int64_t ns_per_s = 1'000'000'000;

class ClockTask {
 public:
  ClockTask(asio::io_context& io, const Config& config)
      : io_(io),
        config_(config),
        policy_(clock_policy(config.clock)),
        page_(shm::Segment<shm::ClockPage>::open_writable(config.paths.pages, identity_of(Role::clock).gid)),
        listener_(config.paths.pages / "clock" / "socket", 0666, {identity_of(Role::upstream).uid}),
        reporter_(config.paths.pages / "clock" / "report.socket", 0666, {identity_of(Role::admin).uid}),
        upstreams_(config) {}

  void start() {
    asio::co_spawn(io_, keep_time(), rethrow);
    asio::co_spawn(io_, keep_page(io_, page_), rethrow);
    const std::filesystem::path ours = config_.paths.pages / "clock";
    asio::co_spawn(io_, keep_sockets(io_, {ours / "socket", ours / "report.socket"}), rethrow);
    asio::co_spawn(io_, hear_upstream(), rethrow);
    asio::co_spawn(io_, answer_admin(), rethrow);
    asio::co_spawn(io_, stop_at_signal(io_), rethrow);
  }

  // At the end.
  void finish() {
    if (engine_) engine_->save_memory();
  }

 private:
  asio::awaitable<void> keep_time() {
    asio::steady_timer timer(io_);
    const hwclock::Reading first_utc = hwclock::read_clock(CLOCK_REALTIME);
    const hwclock::Reading first_raw = hwclock::read_clock(CLOCK_MONOTONIC_RAW);
    timer.expires_after(calibration);
    co_await timer.async_wait(asio::use_awaitable);

    std::uint64_t tsc_hz = hwclock::tsc_hz_between(first_raw, hwclock::read_clock(CLOCK_MONOTONIC_RAW));
    if (tsc_hz < hwclock::tsc_hz_min) {
      throw std::runtime_error(
          "the TSC ticks at " + std::to_string(tsc_hz) +
          " Hz, too slow to serve time from; run on a CPU whose TSC has 268 MHz or more");
    }
    const double reading_ns =
        2e9 * static_cast<double>(first_utc.half_width_ticks) / static_cast<double>(tsc_hz);
    const std::int32_t precision = hwclock::precision_of(reading_ns);
    if (config_.clock.source == ClockSource::gnss || config_.clock.source == ClockSource::upstream) {
      engine_.emplace(config_, upstreams_.panel(), tsc_hz, precision, published());
      if (engine_->inputs() != nullptr) asio::co_spawn(io_, hear_receiver(*engine_->inputs()), rethrow);
      co_await follow_engine();
    }
    hwclock::TscFit fit(tsc_hz);
    fit.prime(first_utc);
    resume(fit);
    hwclock::KernelModel model(policy_, precision);

    for (bool is_first = true;; is_first = false) {
      const hwclock::Fitted& fitted = fit.take(hwclock::read_clock(CLOCK_REALTIME));
      const hwclock::Judgement judgement = model.judge(fitted, tsc_hz, hwclock::read_kernel_report());
      failpoint::reach("clock.measured");
      hwclock::ClockState state = judgement.state;
      mono_.follow(state, fitted.read_tsc);
      page_->clock.publish(state, [] { failpoint::reach("clock.publish_torn"); });
      failpoint::reach("clock.published");

      if (is_first) notify_ready();
      report(fitted, judgement);
      // The watchdog is fed by publications, not by an idle loop that still turns.
      feed_watchdog();

      timer.expires_after(interval);
      co_await timer.async_wait(asio::use_awaitable);
      const hwclock::Reading raw = hwclock::read_clock(CLOCK_MONOTONIC_RAW);
      if (raw.ns - first_raw.ns < refining_ns_max) {
        if (const std::uint64_t hz = hwclock::tsc_hz_between(first_raw, raw); hz != 0) tsc_hz = hz;
      }
    }
  }

  // For ever.
  asio::awaitable<void> follow_engine() {
    asio::steady_timer timer(io_);
    for (bool is_first = true;; is_first = false) {
      const hwclock::Reading clock = hwclock::read_clock(CLOCK_REALTIME);
      hwclock::ClockState state = engine_->pass(clock);
      mono_.follow(state, clock.tsc);
      page_->clock.publish(state);
      if (is_first) notify_ready();
      report_engine(state);
      feed_watchdog();
      timer.expires_after(interval);
      co_await timer.async_wait(asio::use_awaitable);
    }
  }

  // Its messages are read as they come: how long after the pulse they do says which second it began.
  asio::awaitable<void> hear_receiver(GnssInputs& inputs) {
    return hear_for_ever(
        io_, [&inputs] { return inputs.receiver_fd(); },
        [&inputs] { inputs.read_receiver(hwclock::read_tsc_in_order()); }, {receiver_pause, interval});
  }

  void report_engine(const hwclock::ClockState& served) {
    const bool changed = engine_state_ != served.state;
    const Clock::time_point now = Clock::now();
    if (!changed && now < status_due_) return;
    const std::string sentence = engine_->sentence();
    if (changed) state_log_.log(served.leap == 3 ? Severity::warning : Severity::notice, sentence);
    notify_status(sentence);
    engine_state_ = served.state;
    status_due_ = now + status_interval;
  }

  // What was served before goes on, unless it is no line at all.
  void resume(hwclock::TscFit& fit) const {
    hwclock::ClockState before;
    std::uint64_t generation = 0;
    if (!page_->clock.read(before, generation) || !hwclock::is_valid(before)) return;
    fit.resume({before.tsc0, before.ntp0, before.mult}, before.step_count);
    failpoint::reach("clock.resumed");
  }

  void report(const hwclock::Fitted& fitted, const hwclock::Judgement& judgement) {
    if (fitted.stepped) {
      step_log_.log(Severity::warning, "stepped by " + text_of_duration(std::abs(fitted.offset_ns)) +
                                           (fitted.offset_ns < 0 ? " back" : " ahead") +
                                           ": the kernel's clock was set");
    }
    steps_in_a_row_ = fitted.stepped ? steps_in_a_row_ + 1 : 0;
    if (steps_in_a_row_ >= steps_in_a_row_max) {
      throw std::runtime_error(
          "the kernel's clock and the TSC disagree on what a second is, as after a move to another machine; "
          "start this role anew");
    }
    const bool changed = verdict_ != judgement.verdict;
    const Clock::time_point now = Clock::now();
    if (!changed && now < status_due_) return;
    const std::string sentence = clock_sentence(judgement, policy_);
    if (changed) {
      const bool is_good = judgement.state.leap != 3;
      state_log_.log(is_good ? Severity::notice : Severity::warning, sentence);
    }
    notify_status(sentence);
    sentence_ = sentence;
    verdict_ = judgement.verdict;
    status_due_ = now + status_interval;
  }

  void feed_watchdog() {
    const Clock::time_point now = Clock::now();
    if (!watchdog_interval_ || now < watchdog_due_) return;
    notify_watchdog();
    // The next publication may be just too early; the one after it must not be too late.
    watchdog_due_ = now + *watchdog_interval_ - interval;
  }

  asio::awaitable<void> answer_admin() {
    Waiter waiter(io_.get_executor(), reporter_.fd());
    asio::steady_timer pause(io_);
    for (;;) {
      if (!co_await waiter.readable()) co_return;
      if (std::optional<RoleConnection> peer = reporter_.accept()) {
        asio::co_spawn(io_, answer_one(std::move(*peer)), asio::detached);
        continue;
      }
      pause.expires_after(accept_pause);
      co_await pause.async_wait(asio::use_awaitable);
    }
  }

  asio::awaitable<void> answer_one(RoleConnection peer) {
    Waiter waiter(io_.get_executor(), peer.fd());
    for (;;) {
      if (!co_await waiter.readable()) co_return;
      ReceivedMessage message;
      const Received received = peer.receive(message);
      if (received == Received::nothing) continue;
      EmptyRequest request;
      if (received != Received::message) co_return;
      if (message.read(MessageKind::upstream_list_request, request)) {
        UpstreamListReply list{};
        list.header = {message_magic, MessageKind::upstream_list_reply, request.header.request_id};
        upstreams_.fill(list, our_guess());
        if (!peer.send(list)) co_return;
        continue;
      }
      if (!message.read(MessageKind::clock_report_request, request)) co_return;
      ClockReportReply reply{};
      reply.header = {message_magic, MessageKind::clock_report_reply, request.header.request_id};
      if (engine_) {
        sentence_ = engine_->sentence();
        engine_->fill(reply);
      }
      sentence_.copy(reply.sentence.data(), reply.sentence.size() - 1);
      if (!peer.send(reply)) co_return;
    }
  }

  // One at a time: there is one upstream role, and when it is started anew the old connection has gone.
  asio::awaitable<void> hear_upstream() {
    Waiter waiter(io_.get_executor(), listener_.fd());
    asio::steady_timer pause(io_);
    for (;;) {
      if (!co_await waiter.readable()) co_return;
      if (std::optional<RoleConnection> peer = listener_.accept()) co_await hear(std::move(*peer));
      upstreams_.set_running(false);
      pause.expires_after(accept_pause);
      co_await pause.async_wait(asio::use_awaitable);
    }
  }

  asio::awaitable<void> hear(RoleConnection peer) {
    Waiter waiter(io_.get_executor(), peer.fd());
    for (;;) {
      if (!co_await waiter.readable()) co_return;
      ReceivedMessage message;
      const Received received = peer.receive(message);
      if (received == Received::nothing) continue;
      UpstreamReport report;
      if (received != Received::message || !message.read(MessageKind::upstream_report, report)) co_return;
      if (!upstreams_.take(report, hwclock::read_tsc_in_order(), page_tsc_hz())) co_return;
      upstreams_.set_running(true);
      if (engine_ && report.source_count != 0)
        engine_->hear(report.source_index, hwclock::read_tsc_in_order());
      failpoint::reach("clock.upstream_heard");
    }
  }

  // What was published last; nothing before that.
  [[nodiscard]] std::optional<hwclock::ClockState> published() const {
    hwclock::ClockState state;
    std::uint64_t generation = 0;
    if (!page_->clock.read(state, generation) || !hwclock::is_valid(state)) return std::nullopt;
    return state;
  }

  [[nodiscard]] std::uint64_t page_tsc_hz() const {
    const auto state = published();
    return state ? state->tsc_hz : hwclock::tsc_hz_min;
  }

  // Our own clock as the upstreams are held against: what is served now, and the rate that was learned rather
  // than the served one, which may be bent at the moment.
  [[nodiscard]] std::optional<hwclock::ClockGuess> our_guess() const {
    const auto state = published();
    if (!state || state->ntp0 == 0) return std::nullopt;
    const std::uint64_t tick = hwclock::read_tsc_in_order();
    const std::int64_t utc_ns =
        nts::utc_ns_from_ntp({hwclock::ntp_at(*state, tick)}, hwclock::written_utc_s * ns_per_s);
    return hwclock::ClockGuess{tick, utc_ns, 1e9 / static_cast<double>(state->tsc_hz)};
  }

  asio::io_context& io_;
  const Config& config_;
  const hwclock::ClockPolicy policy_;
  shm::Segment<shm::ClockPage> page_;
  RoleListener listener_;
  RoleListener reporter_;
  std::string sentence_ = "starting: the TSC is being measured";
  std::optional<ClockEngine> engine_;  // of sources "gnss" and "upstream"
  hwclock::MonoLine mono_{std::random_device{}()};
  std::optional<hwclock::State> engine_state_;
  UpstreamDesk upstreams_;
  const std::optional<std::chrono::microseconds> watchdog_interval_ = watchdog_interval();
  Clock::time_point watchdog_due_{};
  std::optional<hwclock::Verdict> verdict_;
  Clock::time_point status_due_{};
  int steps_in_a_row_ = 0;
  LogLimit step_log_;
  LogLimit state_log_;
};

}  // namespace

hwclock::ClockPolicy clock_policy(const Config::Clock& clock) {
  hwclock::ClockPolicy policy;
  policy.source = clock.source == ClockSource::local ? hwclock::Source::local : hwclock::Source::system;
  policy.stratum = clock.stratum;
  policy.reference_id = hwclock::reference_id_of(clock.reference_id);
  policy.error_max_ns = clock.holdover_max_error_us * ns_per_us;
  policy.drift_ppb = clock.drift_ppb;
  return policy;
}

std::string clock_sentence(const hwclock::Judgement& judgement, const hwclock::ClockPolicy& policy) {
  const std::string error = text_of_duration(static_cast<std::int64_t>(judgement.error_ns));
  switch (judgement.verdict) {
    case hwclock::Verdict::synchronised:
      return "synchronised as the kernel's clock is, good to " + error + "; stratum " +
             std::to_string(policy.stratum) + " as configured";
    case hwclock::Verdict::declared:
      return "local: the kernel's clock, declared good at stratum " + std::to_string(policy.stratum) +
             "; nobody checked it";
    case hwclock::Verdict::kernel_unsynchronised:
      return "unsynchronised: the kernel says that nobody disciplines its clock; let chronyd or another "
             "daemon "
             "do it";
    case hwclock::Verdict::leap_in_progress:
      return "unsynchronised while the kernel inserts a leap second";
    case hwclock::Verdict::error_too_large:
      return "unsynchronised: the kernel's clock is good to " + error +
             " only, [clock] holdover_max_error_us allows " +
             text_of_duration(static_cast<std::int64_t>(policy.error_max_ns));
  }
  return {};
}

int run_clock(const Config& config) {
  if (!hwclock::has_invariant_tsc()) throw std::runtime_error(hwclock::no_invariant_tsc);
  asio::io_context io(1);
  ClockTask task(io, config);
  task.start();
  io.run();
  task.finish();
  return 0;
}

}  // namespace control
