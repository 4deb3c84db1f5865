// One upstream server: found, agreed with (NTS-KE), asked by its schedule, measured, reported.
//
// Every request leaves from a socket of its own with a random port, a random transmit stamp and, with NTS, a
// cookie that is never used again. Keys are agreed anew when cookies run out or the server no longer knows
// them (NTSN). What goes wrong is a sentence in the report and is tried again, ever more rarely; DENY and
// RSTR are final. With NTS a kiss counts only under its seal (RFC 8915 section 5.7). Nobody is asked who is
// ourselves, who takes the time from us, or whom another source asks by another name.
//
// A server is a stranger: an answer that names an impossible time is refused here and never reported.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/ip/address.hpp>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "control/config.h"
#include "control/ke_client.h"
#include "control/messages.h"
#include "control/ntp_exchange.h"
#include "control/random.h"
#include "control/upstream_schedule.h"
#include "hwclock/upstream_measure.h"

namespace control {

// What a source needs to know of this machine, and whom it tells.
struct UpstreamSurroundings {
  std::function<double()> ticks_per_s;                          // the best that is known
  std::function<std::vector<boost::asio::ip::address>()> ours;  // addresses that we serve
  std::function<void(const UpstreamReport&)> tell;
  // Who else asks that server and goes before the source of this index; empty: nobody.
  std::function<std::string(std::uint32_t, const boost::asio::ip::udp::endpoint&)> rival;
};

// How a client of the server at this address names it (RFC 5905 section 7.3).
[[nodiscard]] std::uint32_t reference_id_of(const boost::asio::ip::address& address);

class UpstreamSource {
 public:
  // `config` and `surroundings` outlive this. `index` and `count` as in UpstreamReport.
  UpstreamSource(const Upstream& config, std::uint32_t index, std::uint32_t count,
                 const UpstreamSurroundings& surroundings);

  // Until the server tells us to go.
  [[nodiscard]] boost::asio::awaitable<void> run();

  // What was last told; complete but for the request id.
  [[nodiscard]] const UpstreamReport& report() const noexcept { return report_; }

  [[nodiscard]] const Upstream& config() const noexcept { return config_; }

  // Whom it asks at the moment, if anybody.
  [[nodiscard]] const std::optional<boost::asio::ip::udp::endpoint>& asked() const noexcept { return asked_; }

 private:
  // What comes after an exchange.
  enum class Next : std::uint8_t {
    ask,    // again, by the schedule
    find,   // its cookies are used up: keys anew
    agree,  // it no longer knows our keys: the same, but NTS-KE is to blame
    go,     // it told us to go
  };

  [[nodiscard]] boost::asio::awaitable<void> find();
  [[nodiscard]] boost::asio::awaitable<void> agree();
  [[nodiscard]] boost::asio::awaitable<Next> ask_on();
  [[nodiscard]] boost::asio::awaitable<Next> ask_once();
  [[nodiscard]] Next take(const NtpExchange& exchange);
  [[nodiscard]] Next take_kiss(const nts::Answer& answer);
  void measure(const NtpExchange& exchange);
  [[nodiscard]] UpstreamReport report_of(const nts::Answer& answer) const;
  void refuse_answer();
  void refuse_rivals(const boost::asio::ip::udp::endpoint& of) const;
  void refuse_ourselves(const boost::asio::ip::address& of) const;
  void refuse_followers(std::uint32_t reference_id) const;
  void ask_another();
  void tell(UpstreamPhase phase, const std::string& text = {});

  const Upstream& config_;
  const UpstreamSurroundings& surroundings_;
  SystemRandom random_;
  std::optional<nts::AeadKernels> kernels_;
  UpstreamSchedule schedule_;
  UpstreamBackoff ke_backoff_ = UpstreamBackoff::of_key_establishment();
  UpstreamBackoff backoff_;
  hwclock::UpstreamMeasure measure_;
  std::unique_ptr<KeAgreement> agreement_;  // null without NTS
  std::vector<boost::asio::ip::address> addresses_;
  std::size_t next_address_ = 0;
  std::optional<boost::asio::ip::udp::endpoint> server_;  // that is asked, or was last
  std::optional<boost::asio::ip::udp::endpoint> asked_;
  std::uint32_t silent_ = 0;   // requests without any answer, in a row
  std::uint32_t refused_ = 0;  // answers that named an impossible time
  UpstreamReport report_{};
  std::string told_;  // to the log
};

}  // namespace control
