#include "control/ke_client.h"

#include <algorithm>
#include <array>
#include <boost/asio/buffer.hpp>
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>

#include "control/role_loop.h"
#include "nts/cookie.h"
#include "nts/ke_exchange.h"

namespace control {
namespace {

namespace asio = boost::asio;
namespace ke = nts::ke;
using asio::ip::tcp;
using boost::system::error_code;
using std::chrono::steady_clock;
using namespace asio::experimental::awaitable_operators;

constexpr std::size_t read_bytes = 4096;
constexpr const char* wrong_aes = "AES gives wrong answers on this machine; its CPU or memory is broken";

bool contains(const std::string& text, const char* part) { return text.find(part) != std::string::npos; }

// OpenSSL's reason, and what a person can do about it.
std::string explain_handshake(const TlsConnection& tls, const std::string& host) {
  const TlsFacts facts = tls.facts();
  const std::string fault = tls.fault();
  if (facts.verify_fault.empty()) {
    if (contains(fault, "ntske/1") || contains(fault, "no application protocol")) {
      return "speaks TLS but not NTS-KE (" + fault + "); is this the port of NTS-KE?";
    }
    if (contains(fault, "protocol version") || contains(fault, "unsupported protocol")) {
      return "does not speak TLS 1.3, which NTS needs (" + fault + ")";
    }
    return "does not complete a TLS handshake (" + fault + "); is this the port of NTS-KE?";
  }
  const std::string refused = "the certificate of " + facts.subject + " was refused: " + fault;
  if (contains(fault, "mismatch")) {
    return refused + "; it is not for \"" + host + "\", so ask by a name that stands in it";
  }
  if (contains(fault, "expired") || contains(fault, "not yet valid")) {
    return refused + " (it ends " + facts.not_after + "); renew it, or check this machine's clock";
  }
  return refused + "; it was issued by " + facts.issuer +
         ", whose certificate must be among those trusted (--ca FILE)";
}

std::string explain_error(std::uint16_t code) {
  const std::string number = "answered with error " + std::to_string(code);
  switch (static_cast<ke::ErrorCode>(code)) {
    case ke::ErrorCode::unrecognised_critical_record:
      return number + ": it does not know a record of our request";
    case ke::ErrorCode::bad_request:
      return number + ": it takes our request for a bad one, or did not get all of it in time";
    case ke::ErrorCode::internal_server_error:
      return number + ": something is wrong inside the server; its own log says what";
  }
  return number + ", which RFC 8915 does not define";
}

class Conversation {
 public:
  Conversation(const asio::any_io_executor& executor, TlsContext context, KeQuestion question)
      : context_(std::move(context)),
        question_(std::move(question)),
        started_(steady_clock::now()),
        deadline_(executor, started_ + question_.deadline),
        socket_(executor) {}

  asio::awaitable<std::unique_ptr<KeAgreement>> run() {
    co_await connect();
    step_ = "in the TLS handshake";
    start_tls();
    co_await flush();
    while (tls_->state() == TlsConnection::State::handshaking) co_await exchange();
    if (tls_->state() != TlsConnection::State::established) {
      co_await flush();  // the alert that tells the server why
      throw PeerError(where() + explain_handshake(*tls_, question_.host));
    }
    step_ = "waiting for the reply";
    tls_->send(ke::write_client_request(question_.aeads));
    co_await flush();
    // Octets may have come with the end of the handshake, so look before reading.
    while (message_.append(plaintext_) == ke::Message::State::incomplete) {
      plaintext_.clear();
      if (tls_->state() != TlsConnection::State::established) throw PeerError(where() + why_ended());
      co_await exchange();
    }
    std::unique_ptr<KeAgreement> agreement = conclude();
    tls_->close();
    co_await flush();
    co_return agreement;
  }

 private:
  std::string where() const {
    const std::string address = address_.to_string();
    return (address == question_.host ? address : question_.host + " (" + address + ")") + " port " +
           std::to_string(question_.port) + ": ";
  }
  std::chrono::milliseconds time_left() const {
    return std::chrono::duration_cast<std::chrono::milliseconds>(started_ + question_.deadline -
                                                                 steady_clock::now());
  }
  [[noreturn]] void give_up() const {
    throw PeerError(where() + "no answer within " + std::to_string(question_.deadline.count()) + " ms, " +
                    step_);
  }

  asio::awaitable<void> connect() {
    const auto addresses = co_await look_up(question_.host, question_.family, question_.deadline);
    std::string first_fault;
    for (std::size_t i = 0; i < addresses.size(); ++i) {
      address_ = addresses[i];
      const std::string fault = co_await connect_to(addresses[i], time_left() / (addresses.size() - i));
      if (fault.empty()) co_return;
      if (first_fault.empty()) first_fault = where() + fault;
    }
    const std::size_t others = addresses.size() - 1;
    throw PeerError(
        first_fault +
        (others == 0 ? "" : "; " + std::to_string(others) + " more address(es) of it failed too"));
  }

  // Returns why not; empty when connected.
  asio::awaitable<std::string> connect_to(asio::ip::address address, std::chrono::milliseconds share) {
    socket_ = tcp::socket(socket_.get_executor());
    asio::steady_timer timer(socket_.get_executor(), share);
    error_code error, ignored;
    const auto first = co_await (socket_.async_connect({address, question_.port}, no_throw(error)) ||
                                 timer.async_wait(no_throw(ignored)));
    if (first.index() != 0) {
      co_return "no connection within " + std::to_string(share.count()) +
          " ms; is the address right, and TCP to this port let through?";
    }
    if (error == asio::error::connection_refused) {
      co_return "connection refused; does NTS-KE run there, and on this port?";
    }
    // Our last handshake message and the request are two writes: waiting to join them costs 40 ms.
    socket_.set_option(tcp::no_delay(true), ignored);
    co_return error ? "cannot connect: " + error.message() : "";
  }

  void start_tls() {
    try {
      tls_.emplace(TlsConnection::connect(context_, question_.host));
    } catch (const TlsError& error) {
      throw PeerError(error.what());
    }
  }

  asio::awaitable<void> flush() {
    const std::vector<std::uint8_t> output = tls_->take_output();
    if (output.empty()) co_return;
    error_code ignored;  // the reading side learns whatever it is, and may still have the server's reason
    const auto first = co_await (asio::async_write(socket_, asio::buffer(output), no_throw(ignored)) ||
                                 deadline_.async_wait(no_throw(ignored)));
    if (first.index() != 0) give_up();
  }

  // One read, and what TLS wants to say to it. Appends to plaintext_.
  asio::awaitable<void> exchange() {
    error_code error, ignored;
    const auto first = co_await (socket_.async_read_some(asio::buffer(buffer_), no_throw(error)) ||
                                 deadline_.async_wait(no_throw(ignored)));
    if (first.index() != 0) give_up();
    if (error) {
      throw PeerError(where() + "the server closed the connection " + step_ + " (" + error.message() +
                      "); its own log may say why");
    }
    tls_->receive(std::span(buffer_).first(std::get<0>(first)), plaintext_);
    if (tls_->state() != TlsConnection::State::failed) co_await flush();
  }

  // TLS ended before the reply did.
  std::string why_ended() const {
    return tls_->state() == TlsConnection::State::ended
               ? "the server ended the conversation before its reply was whole"
               : "TLS failed while the reply came (" + tls_->fault() + ")";
  }

  std::unique_ptr<KeAgreement> conclude() {
    const ke::Reply reply = ke::read_reply(message_, question_.aeads);
    if (reply.error) throw PeerError(where() + explain_error(*reply.error));
    if (!reply.fault.empty()) throw PeerError(where() + "the reply cannot be used: " + reply.fault);
    auto agreement = std::make_unique<KeAgreement>();
    nts::ClientSession& session = agreement->session;
    const nts::Aead* aead = nts::find_aead(reply.aead);
    if (aead == nullptr) throw PeerError(where() + "the reply names an AEAD that this client does not know");
    session.aead = static_cast<nts::AeadRow>(aead - nts::aeads.data());
    const std::uint16_t named = ke::exporter_aead_of(reply.aead, reply.has_compliant_export);
    const auto export_one = [&](ke::Direction direction, nts::Secret<nts::aead_key_bytes_max>& key) {
      return tls_->export_key(ke::exporter_label, ke::exporter_context(named, direction),
                              key.bytes().first(aead->key_bytes));
    };
    if (!export_one(ke::Direction::client_to_server, session.c2s) ||
        !export_one(ke::Direction::server_to_client, session.s2c)) {
      throw PeerError(where() + "OpenSSL does not export the keys of this connection");
    }
    for (const auto& cookie : reply.cookies) (void)session.cookies.add(cookie);
    if (session.cookies.count() == 0) {
      throw PeerError(where() + "none of its cookies can be sent back: they have " +
                      std::to_string(reply.cookies.front().size()) +
                      " octets, and must have a multiple of 4 from 12 to " +
                      std::to_string(nts::client_cookie_bytes_max));
    }
    agreement->address = address_;
    agreement->tls = tls_->facts();
    agreement->aead = reply.aead;
    agreement->cookies = session.cookies.count();
    agreement->cookie_bytes = session.cookies.next_bytes();
    agreement->ntp_server = reply.ntp_server;
    agreement->ntp_port = reply.ntp_port;
    agreement->took = std::chrono::duration_cast<std::chrono::microseconds>(steady_clock::now() - started_);
    return agreement;
  }

  TlsContext context_;
  KeQuestion question_;
  steady_clock::time_point started_;
  asio::steady_timer deadline_;
  tcp::socket socket_;
  asio::ip::address address_;
  std::optional<TlsConnection> tls_;
  const char* step_ = "connecting";
  std::array<std::uint8_t, read_bytes> buffer_;
  std::vector<std::uint8_t> plaintext_;
  ke::Message message_;
};

}  // namespace

nts::AeadKernels kernels_for(std::span<const std::uint16_t> aeads) {
  const auto is_wanted = [aeads](nts::AeadRow row) {
    return std::find(aeads.begin(), aeads.end(), nts::aead_at(row).number) != aeads.end();
  };
  const nts::siv::Kernels* siv = nts::siv::choose_tier();
  if (siv == nullptr) throw PeerError(wrong_aes);
  nts::AeadKernels kernels(*siv);
  if (is_wanted(nts::AeadRow::gcm_siv_128)) kernels.gcm_siv = nts::gcm_siv::choose_tier();
  if (is_wanted(nts::AeadRow::siv_384)) kernels.siv_384 = nts::siv::choose_tier({}, nts::siv::key_bytes_384);
  if (is_wanted(nts::AeadRow::siv_512)) kernels.siv_512 = nts::siv::choose_tier({}, nts::siv::key_bytes_512);
  for (std::uint32_t row = 0; row < nts::aeads_count; ++row) {
    const auto one = static_cast<nts::AeadRow>(row);
    if (is_wanted(one) && !kernels.has(one)) throw PeerError(wrong_aes);
  }
  return kernels;
}

asio::awaitable<std::unique_ptr<KeAgreement>> agree_on_keys(TlsContext context, KeQuestion question) {
  Conversation conversation(co_await asio::this_coro::executor, std::move(context), std::move(question));
  co_return co_await conversation.run();
}

}  // namespace control
