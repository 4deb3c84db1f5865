// The only part of the load generator that knows TLS.
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <exception>
#include <memory>

#include "bench/load/session.h"
#include "control/ke_client.h"
#include "nts/aead.h"

namespace bench::load {

Session agree_with(const std::string& host, std::uint16_t port, const std::string& ca_file) {
  boost::asio::io_context context;
  std::unique_ptr<control::KeAgreement> agreement;
  std::exception_ptr trouble;
  control::KeQuestion question;
  question.host = host;
  question.port = port;
  question.aeads = {nts::aead_at(nts::AeadRow::siv_256).number};  // the one that the generator speaks
  boost::asio::co_spawn(context,
                        control::agree_on_keys(control::TlsContext::for_client(ca_file), std::move(question)),
                        [&](std::exception_ptr error, std::unique_ptr<control::KeAgreement> result) {
                          trouble = error;
                          agreement = std::move(result);
                        });
  context.run();
  if (trouble) std::rethrow_exception(trouble);
  Session session;
  const auto c2s = agreement->session.c2s.bytes();
  const auto s2c = agreement->session.s2c.bytes();
  std::copy_n(c2s.begin(), session.c2s.size(), session.c2s.begin());
  std::copy_n(s2c.begin(), session.s2c.size(), session.s2c.begin());
  std::array<std::uint8_t, nts::client_cookie_bytes_max> room;
  while (const std::uint16_t bytes = agreement->session.cookies.take(room)) {
    if (!session.cookies.empty() && session.cookies[0].size() != bytes) continue;
    session.cookies.emplace_back(room.begin(), room.begin() + bytes);
  }
  if (session.cookies.empty()) throw SessionError(host + " gave no cookie that can be used");
  return session;
}

}  // namespace bench::load
