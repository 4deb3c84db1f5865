// A whole NTS-KE conversation under TLS, from where the fuzzer likes on. The first octet says from where:
// bit 0: a true client has shaken hands, and what follows is what it says, in TLS records of the lengths that
// come first; bit 1: the last sixteen octets are put on the network behind it as they are. Without bit 0 all
// of it is what a stranger says instead of TLS, in pieces of such lengths.
//
// A conversation comes to the same as its octets alone: ke_records and ke_stream know what that is.
#include "control/ke_session.h"

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <optional>
#include <string>
#include <unistd.h>

#include "tests/fuzz/target.h"

namespace fuzz {
namespace {

using control::KeOutcome;
using control::KeSession;
using control::TlsConnection;
using control::TlsContext;
using nts::ke::Message;

const nts::ke::Policy policy{.aeads = {15}, .ntp_port = 123, .ntp_server = {}, .ntp_servers_ours = {}};
constexpr std::size_t garbage_bytes = 16;
constexpr std::size_t output_bytes_max = 8192;  // a ServerHello, a chain of one certificate, a reply

// Both ends, with a certificate made once; its files are gone before the first input.
struct Ends {
  Ends() {
    std::string folder = "/tmp/noonmark-fuzz-XXXXXX";
    require(::mkdtemp(folder.data()) != nullptr, "a directory in /tmp");
    const std::string command =
        "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj "
        "/CN=time.test -addext subjectAltName=DNS:time.test -keyout " +
        folder + "/key -out " + folder + "/certificate 2>/dev/null";
    require(std::system(command.c_str()) == 0, "openssl makes a certificate");  // NOLINT(cert-env33-c)
    server.emplace(TlsContext::for_server(folder + "/certificate", folder + "/key"));
    client.emplace(TlsContext::for_client(folder + "/certificate"));
    std::filesystem::remove_all(folder);
  }
  std::optional<TlsContext> server, client;
};

// Lengths of pieces, taken from the front of the input and used in turn.
std::vector<std::size_t> lengths_of(Reader& reader) {
  std::vector<std::size_t> lengths(1 + reader.octet() % 4);
  for (std::size_t& bytes : lengths) bytes = 1 + reader.number16() % 600;
  return lengths;
}

template <class Take>
void in_pieces(Input octets, const std::vector<std::size_t>& lengths, Take take) {
  for (std::size_t at = 0, turn = 0; at < octets.size(); ++turn) {
    const std::size_t bytes = std::min(lengths[turn % lengths.size()], octets.size() - at);
    take(octets.subspan(at, bytes));
    at += bytes;
  }
}

void require_records(Input wire) {
  require(wire.size() <= output_bytes_max, "what we say is bounded");
  while (!wire.empty()) {
    require(wire.size() >= 5 && wire[0] >= 20 && wire[0] <= 23 && wire[1] == 3, "we speak in TLS records");
    const std::size_t bytes = 5 + static_cast<std::size_t>(wire[3] << 8 | wire[4]);
    require(bytes <= wire.size(), "whole ones");
    wire = wire.subspan(bytes);
  }
}

void run_stranger(const Ends& ends, Reader& reader) {
  KeSession session(*ends.server, policy);
  const std::vector<std::size_t> lengths = lengths_of(reader);
  in_pieces(reader.rest(), lengths, [&](Input piece) { session.receive(piece); });
  require(!session.wants_cookies(), "a stranger gets no cookies");
  const bool has_failed = session.is_done();
  require(session.outcome() == (has_failed ? KeOutcome::handshake_failed : KeOutcome::open),
          "it is no handshake");
  session.receive_end();
  require(session.outcome() == (has_failed ? KeOutcome::handshake_failed : KeOutcome::disconnected),
          "and then it has gone");
  require_records(session.take_output());
}

KeOutcome outcome_of(const Octets& plaintext) {
  Message message;
  message.append(plaintext);
  const nts::ke::Decision decision = nts::ke::read_request(message, policy);
  if (!decision.error) return decision.wants_cookies() ? KeOutcome::served : KeOutcome::no_common_algorithm;
  return *decision.error == nts::ke::ErrorCode::unrecognised_critical_record ? KeOutcome::error_unrecognised
                                                                             : KeOutcome::error_bad_request;
}

void run_client(const Ends& ends, Reader& reader, bool has_garbage) {
  KeSession session(*ends.server, policy);
  TlsConnection client = TlsConnection::connect(*ends.client, "time.test");
  Octets heard;
  const auto carry = [&] {
    session.receive(client.take_output());
    const Octets wire = session.take_output();
    require_records(wire);
    client.receive(wire, heard);
  };
  carry();
  carry();
  require(client.state() == TlsConnection::State::established, "a true client shakes hands");

  const std::vector<std::size_t> lengths = lengths_of(reader);
  Octets plaintext = reader.rest();
  Octets garbage;
  if (has_garbage && plaintext.size() >= garbage_bytes) {
    garbage.assign(plaintext.end() - garbage_bytes, plaintext.end());
    plaintext.resize(plaintext.size() - garbage_bytes);
  }
  in_pieces(plaintext, lengths, [&](Input piece) { client.send(piece); });
  carry();
  const bool is_settled = session.is_done() || session.wants_cookies();
  session.receive(garbage);
  if (session.wants_cookies()) {
    control::SealReply reply{};
    reply.status = control::Status::ok;
    reply.cookie_bytes = 100;
    session.finish(reply);
  }
  session.receive_end();
  require(session.is_done(), "everything ends");
  require(is_settled || garbage.empty() || session.outcome() == KeOutcome::handshake_failed ||
              session.outcome() == KeOutcome::error_bad_request,
          "garbage ends what was not settled");
  if (session.outcome() == KeOutcome::handshake_failed) return;
  require(session.outcome() == outcome_of(plaintext), "under TLS it comes to what it does without");
  client.receive(session.take_output(), heard);
  require(client.state() == TlsConnection::State::ended, "close_notify comes from us");
  Message message;
  require(message.append(heard) == Message::State::complete, "our answer is a whole message");
  const nts::ke::Reply reply = nts::ke::read_reply(message, policy.aeads);
  require(reply.fault.empty() == (session.outcome() == KeOutcome::served), "cookies for who is served");
  require(reply.cookies.size() == (session.outcome() == KeOutcome::served ? 8U : 0U), "all of them or none");
}

void run(Input input) {
  static const Ends ends;
  Reader reader(input);
  const std::uint8_t flags = reader.octet();
  if ((flags & 1) == 0) {
    run_stranger(ends, reader);
  } else {
    run_client(ends, reader, (flags & 2) != 0);
  }
}

std::vector<Octets> seeds() {
  const Octets request = nts::ke::write_client_request(std::vector<std::uint16_t>{15, 16});
  const Ends ends;
  const Octets hello = TlsConnection::connect(*ends.client, "time.test").take_output();
  const auto after = [](Octets start, const Octets& octets) {
    start.insert(start.end(), octets.begin(), octets.end());
    return start;
  };
  Octets short_of_the_end(request.begin(), request.end() - 4);
  Octets behind = request;
  behind.insert(behind.end(), {23, 3, 3, 0, 11, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11});
  return {after({0, 0, 1, 0}, hello),
          after({0, 1, 0, 0, 0, 40}, Octets(hello.begin(), hello.begin() + 100)),
          after({0, 0, 0, 0}, {0x15, 3, 1, 0, 2, 1, 90}),
          after({1, 0, 1, 0}, request),
          after({1, 1, 0, 0, 0, 3}, request),
          after({1, 0, 0, 6}, short_of_the_end),
          after({3, 0, 1, 0}, behind),
          after({1, 0, 1, 0}, {0x80, 9, 0, 0, 0x80, 0, 0, 0})};
}

const Registration registration({"ke_session", run, seeds});

}  // namespace
}  // namespace fuzz
