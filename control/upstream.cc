#include "control/upstream.h"

#include <algorithm>
#include <array>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "control/role_loop.h"
#include "control/role_socket.h"
#include "control/roles.h"
#include "control/service_notify.h"
#include "control/upstream_source.h"
#include "dataplane/shm/failpoint.h"
#include "dataplane/shm/segment.h"
#include "hwclock/clock_state.h"
#include "hwclock/system_clock.h"
#include "hwclock/tsc_fit.h"

namespace control {
namespace {

namespace asio = boost::asio;

constexpr std::chrono::seconds report_interval{2};
constexpr std::chrono::seconds reconnect_interval{1};
constexpr std::chrono::milliseconds calibration{150};  // as long as the clock role's (clock_task.cc)
constexpr int page_tries_max = 64;                     // a publication takes less than a microsecond

template <class Page, class Value>
bool read_page(const std::filesystem::path& pages, Role writer, shm::Published<Value> Page::*place,
               Value& value) {
  try {
    const auto page = shm::Segment<Page>::attach(pages, identity_of(writer).uid);
    std::uint64_t generation = 0;
    for (int tries = 0; tries < page_tries_max; ++tries) {
      if (((*page).*place).read(value, generation)) return true;
    }
  } catch (const shm::SegmentError&) {
    // Not there yet, or not its writer's: we go on with what we know ourselves.
  }
  return false;
}

asio::ip::address address_of(const shm::Address& of) {
  if (of.family == 4) {
    asio::ip::address_v4::bytes_type octets;
    std::copy_n(of.octets, octets.size(), octets.begin());
    return asio::ip::address_v4(octets);
  }
  asio::ip::address_v6::bytes_type octets;
  std::copy_n(of.octets, octets.size(), octets.begin());
  return asio::ip::address_v6(octets);
}

class UpstreamRole {
 public:
  UpstreamRole(asio::io_context& io, const Config& config)
      : io_(io),
        config_(config),
        surroundings_{[this] { return ticks_per_s(); }, [this] { return served_addresses(); },
                      [this](const UpstreamReport& report) { tell(report); },
                      [this](std::uint32_t index, const asio::ip::udp::endpoint& server) {
                        return rival_of(index, server);
                      }} {
    const auto count = static_cast<std::uint32_t>(config.upstreams.size());
    for (std::uint32_t i = 0; i < count; ++i) {
      sources_.push_back(std::make_unique<UpstreamSource>(config.upstreams[i], i, count, surroundings_));
    }
  }

  void start() {
    asio::co_spawn(io_, keep_reporting(), rethrow);
    asio::co_spawn(io_, ask(), rethrow);
  }

 private:
  // The sources begin once the ticks are known.
  asio::awaitable<void> ask() {
    if (sources_.empty()) co_return;
    asio::steady_timer timer(io_, calibration);
    co_await timer.async_wait(asio::use_awaitable);
    for (const auto& source : sources_) asio::co_spawn(io_, source->run(), rethrow);
  }

  // The clock role learns in the end what a second is, and says it on its page; until then, and without it,
  // the kernel's idea has to do.
  double ticks_per_s() const {
    hwclock::ClockState state{};
    if (read_page(config_.paths.pages, Role::clock, &shm::ClockPage::clock, state) &&
        hwclock::is_valid(state))
      return static_cast<double>(state.tsc_hz);
    return static_cast<double>(hwclock::tsc_hz_between(first_, hwclock::read_clock(CLOCK_MONOTONIC_RAW)));
  }

  std::vector<asio::ip::address> served_addresses() const {
    std::vector<asio::ip::address> addresses;
    const auto settings = std::make_unique<shm::Settings>();
    if (read_page(config_.paths.pages, Role::admin, &shm::SettingsPage::settings, *settings)) {
      const std::size_t count = std::min<std::size_t>(settings->address_count, shm::addresses_max);
      for (std::size_t i = 0; i < count; ++i) addresses.push_back(address_of(settings->addresses[i]));
    }
    return addresses;
  }

  // Who asks with NTS goes first, then who stands first.
  std::string rival_of(std::uint32_t index, const asio::ip::udp::endpoint& server) const {
    for (std::uint32_t i = 0; i < sources_.size(); ++i) {
      const UpstreamSource& other = *sources_[i];
      if (i == index || other.asked() != server) continue;
      const bool has_nts = sources_[index]->config().nts;
      if (other.config().nts != has_nts ? other.config().nts : i < index) return other.config().host;
    }
    return {};
  }

  void tell(UpstreamReport report) {
    report.header.request_id = ++reports_;
    if (clock_ && !clock_->send(report)) clock_.reset();  // all is said again once it is back
  }

  // All is told when the clock role is there, again when it is started anew, and now and then: it knows from
  // that that we live.
  asio::awaitable<void> keep_reporting() {
    const std::array<uid_t, 1> peers = {identity_of(Role::clock).uid};
    asio::steady_timer timer(io_);
    for (;;) {
      if (!clock_) clock_ = RoleConnection::connect(config_.paths.pages / "clock" / "socket", peers);
      shm::failpoint::reach("upstream.connected");
      if (sources_.empty()) {
        UpstreamReport nobody{};  // source_count 0
        nobody.header = {message_magic, MessageKind::upstream_report, 0};
        tell(nobody);
      }
      for (const auto& source : sources_) tell(source->report());
      shm::failpoint::reach("upstream.reported");
      // Short pauses, so that a clock role that went away is found again soon.
      const Clock::time_point due = Clock::now() + report_interval;
      do {
        timer.expires_after(reconnect_interval);
        co_await timer.async_wait(asio::use_awaitable);
      } while (clock_ && Clock::now() < due);
    }
  }

  using Clock = std::chrono::steady_clock;

  asio::io_context& io_;
  const Config& config_;
  const UpstreamSurroundings surroundings_;
  const hwclock::Reading first_ = hwclock::read_clock(CLOCK_MONOTONIC_RAW);
  std::vector<std::unique_ptr<UpstreamSource>> sources_;
  std::optional<RoleConnection> clock_;
  std::uint64_t reports_ = 0;
};

}  // namespace

int run_upstream(const Config& config) {
  asio::io_context io(1);
  UpstreamRole role(io, config);
  role.start();
  asio::co_spawn(io, stop_at_signal(io), rethrow);
  asio::co_spawn(io, pat_watchdog(io), rethrow);
  notify_ready();
  notify_status(config.upstreams.empty()
                    ? "no upstreams are configured"
                    : "asking " + std::to_string(config.upstreams.size()) + " upstreams");
  io.run();
  return 0;
}

}  // namespace control
