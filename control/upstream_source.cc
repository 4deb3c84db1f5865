#include "control/upstream_source.h"

#include <algorithm>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <cmath>
#include <sys/socket.h>

#include "control/log.h"
#include "control/name_lookup.h"
#include "control/printable.h"
#include "control/upstream_desk.h"
#include "hwclock/calendar.h"
#include "hwclock/tsc.h"

namespace control {
namespace {

namespace asio = boost::asio;
using asio::ip::address;
using nts::AnswerVerdict;
using std::chrono::milliseconds;
using Clock = std::chrono::steady_clock;

constexpr std::uint32_t kiss_rate = 0x52415445;  // RFC 5905 section 7.4
constexpr std::uint16_t ntp_port = 123;
constexpr std::uint16_t ke_port = 4460;
constexpr milliseconds find_deadline{5000};  // of a look-up, and of NTS-KE as a whole
constexpr milliseconds answer_deadline{3000};
constexpr std::uint32_t silent_max = 8;         // then the name may mean another address by now
constexpr std::uint64_t stamp_error_ns = 1000;  // how well we stamp our own side in software
constexpr std::int64_t ns_per_s = 1'000'000'000;

class LoopError : public PeerError {
 public:
  using PeerError::PeerError;
};

// NTS-KE with a server that was found.
class KeError : public PeerError {
 public:
  using PeerError::PeerError;
};

// An address, whichever way it is written.
bool is_literal(const std::string& host) {
  boost::system::error_code is_name;
  (void)asio::ip::make_address(host, is_name);
  return !is_name;
}

// 2^exponent seconds; of a server that claims to read its clock worse than to a second: a second.
std::uint64_t ns_of_precision(std::int8_t exponent) {
  return static_cast<std::uint64_t>(std::llround(std::ldexp(1e9, std::clamp<int>(exponent, -30, 0))));
}

}  // namespace

std::uint32_t reference_id_of(const address& of) {
  if (of.is_v4()) return of.to_v4().to_uint();
  const auto octets = of.to_v6().to_bytes();
  return reference_id_of_ipv6(std::span<const std::uint8_t, 16>(octets.data(), octets.size()));
}

UpstreamSource::UpstreamSource(const Upstream& config, std::uint32_t index, std::uint32_t count,
                               const UpstreamSurroundings& surroundings)
    : config_(config),
      surroundings_(surroundings),
      schedule_(config.minpoll, config.maxpoll, config.iburst),
      backoff_(UpstreamBackoff::of_all_else(config.maxpoll)) {
  report_.header = {message_magic, MessageKind::upstream_report, 0};
  report_.source_index = index;
  report_.source_count = count;
  report_.poll = schedule_.poll();
}

asio::awaitable<void> UpstreamSource::run() {
  asio::steady_timer timer(co_await asio::this_coro::executor);
  while (!schedule_.is_stopped()) {
    UpstreamBackoff* backoff = &backoff_;
    try {
      co_await find();
      if (co_await ask_on() == Next::agree) backoff = &ke_backoff_;
    } catch (const LoopError& fault) {
      tell(UpstreamPhase::loop, fault.what());
    } catch (const KeError& fault) {
      backoff = &ke_backoff_;
      tell(UpstreamPhase::failed, fault.what());
    } catch (const std::runtime_error& fault) {  // PeerError, TlsError
      tell(UpstreamPhase::failed, fault.what());
    }
    asked_.reset();
    if (schedule_.is_stopped()) co_return;
    timer.expires_after(backoff->next(random_));
    co_await timer.async_wait(asio::use_awaitable);
  }
}

// From the configured name to an address and, with NTS, keys and cookies.
asio::awaitable<void> UpstreamSource::find() {
  std::uint16_t port = config_.port != 0 ? config_.port : ntp_port;
  if (config_.nts) {
    co_await agree();
    port = agreement_->ntp_port;
  } else {
    addresses_ = co_await look_up(config_.host, AF_UNSPEC, find_deadline);
  }
  const std::size_t first = next_address_++;
  asio::ip::udp::endpoint server(addresses_[first % addresses_.size()], port);
  // Of a pool, one that nobody else has taken.
  for (std::size_t i = 1; i < addresses_.size() && !surroundings_.rival(report_.source_index, server).empty();
       ++i)
    server.address(addresses_[(first + i) % addresses_.size()]);
  refuse_ourselves(server.address());
  refuse_rivals(server);
  if (server_ != server) {
    measure_.clear();
    report_.has_news = 0;
  }
  server_ = asked_ = server;
  silent_ = 0;
}

// RFC 8915 section 4.1.7: the server named in the reply, in the family of the session, else the same host.
asio::awaitable<void> UpstreamSource::agree() {
  tell(UpstreamPhase::agreeing);
  KeQuestion question;
  if (!kernels_) kernels_.emplace(kernels_for(question.aeads));
  question.host = config_.host;
  question.port = config_.port != 0 ? config_.port : ke_port;
  question.deadline = find_deadline;
  TlsContext context = TlsContext::for_client(config_.ca);
  try {
    agreement_ = co_await agree_on_keys(std::move(context), std::move(question));
  } catch (const LookupError&) {
    throw;
  } catch (const PeerError& fault) {
    throw KeError(fault.what());
  }
  if (agreement_->ntp_server.empty()) {
    addresses_ = {agreement_->address};
  } else {
    addresses_ = co_await look_up(agreement_->ntp_server, agreement_->address.is_v6() ? AF_INET6 : AF_INET,
                                  find_deadline);
  }
}

// Until keys or address have to be found anew, or the server has told us to go.
asio::awaitable<UpstreamSource::Next> UpstreamSource::ask_on() {
  asio::steady_timer timer(co_await asio::this_coro::executor);
  for (;;) {
    refuse_rivals(*server_);
    const Clock::time_point asked = Clock::now();
    if (const Next next = co_await ask_once(); next != Next::ask) co_return next;
    if (silent_ >= silent_max) ask_another();
    timer.expires_at(asked + schedule_.interval(random_));
    co_await timer.async_wait(asio::use_awaitable);
  }
}

void UpstreamSource::ask_another() {
  if (is_literal(config_.host) || config_.nts) return;  // NTS finds anew when its cookies are used up
  throw PeerError(server_->address().to_string() + " has not answered for " + std::to_string(silent_max) +
                  " polls; looking its name up anew");
}

asio::awaitable<UpstreamSource::Next> UpstreamSource::ask_once() {
  nts::ClientSession* const session = agreement_ ? &agreement_->session : nullptr;
  const nts::ClientRequest request = session != nullptr ? nts::make_nts_request(*session, *kernels_, random_)
                                                        : nts::make_plain_request(random_);
  if (request.bytes == 0) {
    tell(UpstreamPhase::agreeing, "its cookies are used up; agreeing on new ones");
    co_return Next::find;
  }
  schedule_.sent();
  ++silent_;
  const milliseconds whole(std::int64_t{1000} << std::min(schedule_.poll(), std::uint32_t{10}));
  const NtpExchange exchange = co_await exchange_ntp(
      *server_, request, session, kernels_ ? &*kernels_ : nullptr, std::min(answer_deadline, whole));
  co_return take(exchange);
}

UpstreamSource::Next UpstreamSource::take(const NtpExchange& exchange) {
  if (exchange.end == NtpExchange::End::unreachable) {
    tell(UpstreamPhase::measuring, "cannot be asked (" + exchange.fault + ")");
    return Next::ask;
  }
  if (exchange.end == NtpExchange::End::silent) {
    tell(UpstreamPhase::measuring, "does not answer");
    return Next::ask;
  }
  // Without its seal it may be anybody's: the server itself may well be silent.
  if (!agreement_ || exchange.answer.authenticated) silent_ = 0;
  switch (exchange.answer.verdict) {
    case AnswerVerdict::good:
      measure(exchange);
      return Next::ask;
    case AnswerVerdict::kiss:
      return take_kiss(exchange.answer);
    case AnswerVerdict::nts_nak:
      tell(UpstreamPhase::agreeing, "it no longer knows our cookies (NTSN); agreeing on new ones");
      return Next::agree;
    case AnswerVerdict::implausible:
      tell(UpstreamPhase::unsynchronised,
           "its answers contradict themselves or admit an error of 16 s or more");
      return Next::ask;
    default:
      tell(UpstreamPhase::unsynchronised, "it says that it does not know the time");
      return Next::ask;
  }
}

UpstreamSource::Next UpstreamSource::take_kiss(const nts::Answer& answer) {
  // Anybody on the way can send one without a seal; where there are seals, it is not believed.
  if (agreement_ && !answer.authenticated) {
    tell(UpstreamPhase::measuring,
         "does not answer; somebody says DENY, RSTR or RATE in its name, without a seal");
    return Next::ask;
  }
  if (answer.reference_id == kiss_rate) {
    schedule_.slow_down();
    tell(UpstreamPhase::measuring, "it wants to be asked less often (RATE)");
    return Next::ask;
  }
  schedule_.stop();
  tell(UpstreamPhase::stopped, "it has told us to go (DENY or RSTR); it is not asked again");
  return Next::go;
}

void UpstreamSource::measure(const NtpExchange& exchange) {
  const nts::Answer& answer = exchange.answer;
  // A packet to oneself leaves from the address that it goes to.
  if (exchange.local == server_->address() && !exchange.local.is_loopback())
    throw LoopError(exchange.local.to_string() + " is an address of this machine; remove this [[upstream]]");
  if (answer.stratum > 1) refuse_followers(answer.reference_id);
  const double ticks_per_s = surroundings_.ticks_per_s();
  const auto ago_ticks = std::llround(static_cast<double>(exchange.received_ago_ns) * ticks_per_s * 1e-9);
  const std::int64_t pivot_ns = hwclock::written_utc_s * ns_per_s;
  hwclock::UpstreamExchange measured;
  measured.sent_tick = exchange.sent_tick;
  measured.received_tick = exchange.received_tick - static_cast<std::uint64_t>(ago_ticks);
  measured.server_received_ns = nts::utc_ns_from_ntp(answer.receive, pivot_ns);
  measured.server_sent_ns = nts::utc_ns_from_ntp(answer.transmit, pivot_ns);
  measured.precision_ns = ns_of_precision(answer.precision) + stamp_error_ns;
  measured.root_delay_ns = static_cast<std::uint64_t>(nts::ns_from_short(answer.root_delay));
  measured.root_dispersion_ns = static_cast<std::uint64_t>(nts::ns_from_short(answer.root_dispersion));
  if (!is_possible_time(measured.server_received_ns) || !is_possible_time(measured.server_sent_ns))
    return refuse_answer();
  // What the desk would not believe is not told. A sample that speaks for a server asked once a day may be
  // too old for it: then the newest speaks alone.
  for (const bool is_last : {false, true}) {
    if (!measure_.take(measured, ticks_per_s)) {
      tell(UpstreamPhase::measuring, "an answer that teaches nothing");
      return;
    }
    const UpstreamReport fresh = report_of(answer);
    if (is_believable(fresh, fresh.source_count, hwclock::read_tsc_in_order(),
                      static_cast<std::uint64_t>(ticks_per_s))) {
      report_ = fresh;
      break;
    }
    measure_.clear();
    if (is_last) return refuse_answer();
  }
  schedule_.answered(measure_.is_steady());
  backoff_.reset();
  ke_backoff_.reset();
  tell(UpstreamPhase::measuring);
}

UpstreamReport UpstreamSource::report_of(const nts::Answer& answer) const {
  const hwclock::UpstreamNews& news = *measure_.news();
  UpstreamReport fresh = report_;
  fresh.has_news = 1;
  fresh.authenticated = answer.authenticated ? 1 : 0;
  fresh.leap = answer.leap;
  fresh.stratum = answer.stratum;
  fresh.reference_id = reference_id_of(server_->address());
  fresh.tick = news.tick;
  fresh.utc_ns = news.utc_ns;
  fresh.newest_tick = news.newest_tick;
  fresh.delay_ns = news.delay_ns;
  fresh.dispersion_ns = news.dispersion_ns;
  fresh.jitter_ns = news.jitter_ns;
  fresh.root_delay_ns = news.root_delay_ns;
  fresh.root_dispersion_ns = news.root_dispersion_ns;
  return fresh;
}

// What it said before stays as it was.
void UpstreamSource::refuse_answer() {
  ++refused_;
  tell(UpstreamPhase::unsynchronised,
       "names a time that cannot be, as before 1970; refused (" + std::to_string(refused_) + " so far)");
}

void UpstreamSource::refuse_ourselves(const address& of) const {
  const std::vector<address> ours = surroundings_.ours();
  if (std::find(ours.begin(), ours.end(), of) == ours.end()) return;
  throw LoopError(of.to_string() + " is an address of our own; remove this [[upstream]]");
}

// One server must not have two votes.
void UpstreamSource::refuse_rivals(const asio::ip::udp::endpoint& of) const {
  const std::string rival = surroundings_.rival(report_.source_index, of);
  if (rival.empty()) return;
  throw LoopError(of.address().to_string() + " is asked as " + rival +
                  " already; remove one of the two [[upstream]]");
}

// Two that follow each other agree about anything.
void UpstreamSource::refuse_followers(std::uint32_t reference_id) const {
  for (const address& ours : surroundings_.ours()) {
    if (reference_id != reference_id_of(ours)) continue;
    throw LoopError("it takes its time from us (" + ours.to_string() +
                    "); it is no source of ours meanwhile");
  }
}

void UpstreamSource::tell(UpstreamPhase phase, const std::string& text) {
  report_.phase = phase;
  report_.reach = schedule_.reach();
  report_.poll = schedule_.poll();
  report_.cookies = agreement_ ? agreement_->session.cookies.count() : 0;
  // What a loop would teach us is our own time; what is gone says nothing for ever.
  if (phase == UpstreamPhase::loop || phase == UpstreamPhase::stopped) {
    report_.has_news = 0;
    measure_.clear();
  }
  put_text(server_ ? server_->address().to_string() : "", report_.address);
  const std::string clean = printable(text);
  put_text(clean, report_.text);
  const std::string line = clean.empty() && report_.has_news != 0 ? "answers" : clean;
  if (!line.empty() && line != told_) {
    log(clean.empty() ? Severity::info : Severity::warning, "upstream " + config_.host + ": " + line);
    told_ = line;
  }
  surroundings_.tell(report_);
}

}  // namespace control
