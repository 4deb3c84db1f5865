#include "control/query.h"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/udp.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <exception>
#include <optional>
#include <ostream>
#include <sys/socket.h>

#include "control/ke_client.h"
#include "control/name_lookup.h"
#include "control/ntp_exchange.h"
#include "control/query_report.h"
#include "control/random.h"
#include "nts/client.h"

namespace control {
namespace {

namespace asio = boost::asio;
using asio::ip::udp;
using nts::AnswerVerdict;

constexpr std::uint16_t default_ntp_port = 123;
constexpr std::chrono::milliseconds pause_between_samples{200};
constexpr std::uint32_t exchanges_per_timeout = 5;

int family_of(QueryFamily family) {
  switch (family) {
    case QueryFamily::ipv4:
      return AF_INET;
    case QueryFamily::ipv6:
      return AF_INET6;
    case QueryFamily::any:
      break;
  }
  return AF_UNSPEC;
}

class Query {
 public:
  Query(const QueryOptions& options, std::ostream& out)
      : options_(options),
        out_(out),
        timeout_(options.timeout_ms),
        exchange_timeout_(options.timeout_ms / exchanges_per_timeout) {
    facts_.host = options.host;
    facts_.ke_port = options.ke_port;
  }

  // The whole of it, in order.
  asio::awaitable<void> run() {
    if (!options_.plain) co_await agree();
    const std::vector<asio::ip::address> servers = co_await find_ntp_servers();
    co_await take_samples(servers);
    tell([this] { print_best(out_, facts_); });
    facts_.error = why_no_time();
  }

  QueryFacts& facts() { return facts_; }

 private:
  template <class Print>
  void tell(Print print) {
    if (!options_.json) print();
    out_.flush();  // a person waits for the next step in front of this one
  }

  asio::awaitable<void> agree() {
    KeQuestion question{options_.host, options_.ke_port, family_of(options_.family), timeout_};
    if (options_.aead) question.aeads = {*options_.aead};
    kernels_.emplace(kernels_for(question.aeads));
    facts_.agreement =
        co_await agree_on_keys(TlsContext::for_client(options_.ca.value_or("")), std::move(question));
    facts_.ntp_port = options_.ntp_port.value_or(facts_.agreement->ntp_port);
    tell([this] { print_agreement(out_, facts_); });
  }

  // RFC 8915 section 4.1.7: the server named in the reply, in the family of the session, else the same host.
  asio::awaitable<std::vector<asio::ip::address>> find_ntp_servers() {
    std::vector<asio::ip::address> servers;
    if (!facts_.agreement) {
      facts_.ntp_port = options_.ntp_port.value_or(default_ntp_port);
      servers = co_await look_up(options_.host, family_of(options_.family), timeout_);
    } else if (facts_.agreement->ntp_server.empty()) {
      servers = {facts_.agreement->address};
    } else {
      const int family = facts_.agreement->address.is_v6() ? AF_INET6 : AF_INET;
      try {
        servers = co_await look_up(facts_.agreement->ntp_server, family, timeout_);
      } catch (const PeerError& error) {
        throw PeerError("NTS-KE told an NTP server that cannot be asked: " + std::string(error.what()));
      }
    }
    facts_.ntp_server = servers.front().to_string();
    tell([this] { print_ntp_server(out_, facts_); });
    co_return servers;
  }

  asio::awaitable<void> take_samples(const std::vector<asio::ip::address>& servers) {
    asio::steady_timer pause(co_await asio::this_coro::executor);
    std::size_t server = 0;
    for (std::uint32_t taken = 0; taken < options_.samples;) {
      if (!facts_.samples.empty()) {
        pause.expires_after(pause_between_samples);
        co_await pause.async_wait(asio::use_awaitable);
      }
      const NtpExchange exchange = co_await take_sample(servers[server]);
      if (out_of_cookies_) co_return;
      const bool is_answered = exchange.end == NtpExchange::End::answered;
      has_answer_ = has_answer_ || is_answered;
      if (!has_answer_ && server + 1 < servers.size()) {
        ++server;  // the next address of the same name, until one has answered
        continue;
      }
      ++taken;
      // A server that asks us to go, or has lost our keys, is not asked again.
      if (is_answered && (exchange.answer.verdict == AnswerVerdict::kiss ||
                          exchange.answer.verdict == AnswerVerdict::nts_nak)) {
        co_return;
      }
    }
  }

  asio::awaitable<NtpExchange> take_sample(asio::ip::address address) {
    nts::ClientSession* const session = facts_.agreement ? &facts_.agreement->session : nullptr;
    const nts::ClientRequest request = session != nullptr
                                           ? nts::make_nts_request(*session, *kernels_, random_)
                                           : nts::make_plain_request(random_);
    out_of_cookies_ = request.bytes == 0;
    if (out_of_cookies_) co_return NtpExchange{};
    const udp::endpoint server(address, facts_.ntp_port);
    const NtpExchange exchange =
        co_await exchange_ntp(server, request, session, kernels_ ? &*kernels_ : nullptr, exchange_timeout_);
    facts_.samples.push_back({server, exchange});
    tell([this] { print_sample(out_, facts_); });
    co_return exchange;
  }

  // One sentence; empty when at least one sample is good.
  std::string why_no_time() const {
    const QuerySample* telling = nullptr;  // good before unsynchronised before any answer before none
    for (const QuerySample& sample : facts_.samples) {
      const NtpExchange& exchange = sample.exchange;
      const bool is_answered = exchange.end == NtpExchange::End::answered;
      if (is_answered && exchange.answer.verdict == AnswerVerdict::good) return "";
      if (telling == nullptr || (is_answered && (telling->exchange.end != NtpExchange::End::answered ||
                                                 exchange.answer.verdict == AnswerVerdict::unsynchronised))) {
        telling = &sample;
      }
    }
    if (telling == nullptr) return "no sample was asked for";
    const std::string where =
        telling->server.address().to_string() + " UDP port " + std::to_string(telling->server.port()) + ": ";
    return where + explain(telling->exchange);
  }

  std::string explain(const NtpExchange& exchange) const {
    if (exchange.end == NtpExchange::End::unreachable) {
      return "cannot be asked (" + exchange.fault + "); does an NTP server run there, and on this port?";
    }
    if (exchange.end == NtpExchange::End::silent) {
      const std::string waited = "no answer within " + std::to_string(exchange_timeout_.count()) + " ms";
      if (exchange.ignored == 0) return waited + "; does an NTP server run there, and is UDP let through?";
      return waited + ", only packets that were none (the last: " +
             std::string(nts::answer_verdict_names[static_cast<std::size_t>(exchange.last_ignored)]) +
             "); somebody on the way may be changing them";
    }
    const nts::Answer& answer = exchange.answer;
    switch (answer.verdict) {
      case AnswerVerdict::unsynchronised:
        return "the server says that it does not know the time (leap " + std::to_string(answer.leap) +
               ", stratum " + std::to_string(answer.stratum) + ", reference " +
               text_of_reference_id(answer.reference_id, answer.stratum) +
               "); look at its clock's source, and do not set a clock by it";
      case AnswerVerdict::implausible:
        return "the server's answers contradict themselves or admit an error of 16 s or more; do not set a "
               "clock by it";
      case AnswerVerdict::nts_nak:
        return "the server cannot use the cookies that NTS-KE handed out (NTSN); the two do not share their "
               "keys";
      case AnswerVerdict::kiss:
        return "the server asks us to go away or to slow down (" +
               text_of_reference_id(answer.reference_id, answer.stratum) + "); ask it less often, or another";
      default:
        return "the answer cannot be used";
    }
  }

  const QueryOptions& options_;
  std::ostream& out_;
  std::chrono::milliseconds timeout_;
  std::chrono::milliseconds exchange_timeout_;
  SystemRandom random_;
  std::optional<nts::AeadKernels> kernels_;
  QueryFacts facts_;
  bool out_of_cookies_ = false;
  bool has_answer_ = false;
};

}  // namespace

int run_query(const QueryOptions& options, std::ostream& out, std::ostream& err) {
  asio::io_context io(1);
  Query query(options, out);
  asio::co_spawn(io, query.run(), [&query](std::exception_ptr failure) {
    if (!failure) return;
    try {
      std::rethrow_exception(failure);
    } catch (const std::exception& error) {
      query.facts().error = error.what();
    }
  });
  io.run();

  QueryFacts& facts = query.facts();
  facts.error = printable(facts.error);
  if (options.json) {
    print_json(out, facts);
  } else if (!facts.error.empty()) {
    err << facts.error << '\n';
  }
  return facts.error.empty() ? 0 : 1;
}

}  // namespace control
