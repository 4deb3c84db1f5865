#include "tests/control/loopback_server.h"

#include <arpa/inet.h>
#include <array>
#include <cstdlib>
#include <ctime>
#include <netinet/in.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include "control/cookie_sealer.h"
#include "control/ke_session.h"
#include "control/random.h"
#include "nts/server.h"
#include "tests/support/packet_builder.h"

namespace tests {
namespace {

namespace fs = std::filesystem;
using control::Descriptor;

struct Address {
  sockaddr_storage storage{};
  socklen_t bytes = 0;
  sockaddr* get() { return reinterpret_cast<sockaddr*>(&storage); }
  [[nodiscard]] std::uint16_t port() const {
    // The port stands at the same place in both families.
    return ntohs(reinterpret_cast<const sockaddr_in&>(storage).sin_port);
  }
};

Address address_of(const std::string& text) {
  Address address;
  if (text.find(':') == std::string::npos) {
    auto& ipv4 = reinterpret_cast<sockaddr_in&>(address.storage);
    ipv4.sin_family = AF_INET;
    ::inet_pton(AF_INET, text.c_str(), &ipv4.sin_addr);
    address.bytes = sizeof ipv4;
  } else {
    auto& ipv6 = reinterpret_cast<sockaddr_in6&>(address.storage);
    ipv6.sin6_family = AF_INET6;
    ::inet_pton(AF_INET6, text.c_str(), &ipv6.sin6_addr);
    address.bytes = sizeof ipv6;
  }
  return address;
}

// A socket on any free port; closed when it cannot be had.
Descriptor bound(const std::string& text, int type, std::uint16_t& port) {
  Address address = address_of(text);
  Descriptor fd(::socket(address.storage.ss_family, type | SOCK_CLOEXEC, 0));
  if (::bind(fd.get(), address.get(), address.bytes) != 0) return {};
  if (type == SOCK_STREAM && ::listen(fd.get(), 8) != 0) return {};
  ::getsockname(fd.get(), address.get(), &address.bytes);
  port = address.port();
  return fd;
}

nts::NtpTime now(std::int64_t ahead_ns) {
  timespec utc{};
  ::clock_gettime(CLOCK_REALTIME, &utc);
  return nts::ntp_from_utc_ns(std::int64_t{utc.tv_sec} * 1'000'000'000 + utc.tv_nsec + ahead_ns);
}

void send_all(int fd, const Octets& octets) {
  if (!octets.empty()) (void)!::send(fd, octets.data(), octets.size(), MSG_NOSIGNAL);
}

nts::KeyRing ring(std::uint32_t id) { return make_ring({RingEntry{id, nts::KeyState::current}}); }

}  // namespace

Certificates::Certificates() {
  char name[] = "/tmp/noonmark-query-XXXXXX";
  directory_ = ::mkdtemp(name);
  const std::string script = R"(
    set -e; cd ')" + directory_.string() +
                             R"('
    new='-newkey ec -pkeyopt ec_paramgen_curve:P-256 -noenc'
    for ca in ca other-ca; do openssl req -x509 $new -keyout $ca.key -out $ca.pem -days 2 -subj "/CN=$ca"; done
    openssl req $new -keyout key.pem -out request.pem -subj /CN=time.test
    printf 'subjectAltName=DNS:time.test,DNS:localhost,IP:127.0.0.1,IP:127.0.0.2,IP:::1\n' >extensions
    sign() { openssl x509 -req -in request.pem -CA ca.pem -CAkey ca.key -CAcreateserial -extfile extensions "$@"; }
    sign -out server.pem -days 2
    sign -out expired.pem -days -1)";
  made_ =
      std::system(("exec >/dev/null 2>&1; " + script).c_str()) == 0;  // NOLINT(cert-env33-c): a fixed script
}

Certificates::~Certificates() { fs::remove_all(directory_); }

LoopbackServer::LoopbackServer(const Certificates& certificates, Behaviour behaviour)
    : behaviour_(std::move(behaviour)),
      context_(control::TlsContext::for_server(certificates.file(behaviour_.certificate.c_str()),
                                               certificates.file("key.pem"))),
      stop_(::eventfd(0, EFD_CLOEXEC)),
      tcp_(bound(behaviour_.address, SOCK_STREAM, ke_port_)),
      udp_(bound(behaviour_.ntp_address.empty() ? behaviour_.address : behaviour_.ntp_address, SOCK_DGRAM,
                 ntp_port_)) {
  if (behaviour_.policy.ntp_port == 0) behaviour_.policy.ntp_port = ntp_port_;
  if (!is_up()) return;
  ke_thread_ = std::thread([this] { serve_ke(); });
  ntp_thread_ = std::thread([this] { serve_ntp(); });
}

LoopbackServer::~LoopbackServer() {
  ::eventfd_write(stop_.get(), 1);
  if (ke_thread_.joinable()) ke_thread_.join();
  if (ntp_thread_.joinable()) ntp_thread_.join();
}

std::vector<std::uint16_t> LoopbackServer::client_ports() const {
  const std::scoped_lock lock(mutex_);
  return client_ports_;
}

bool LoopbackServer::wait_readable(int fd) const {
  std::array<pollfd, 2> wait = {pollfd{stop_.get(), POLLIN, 0}, pollfd{fd, POLLIN, 0}};
  ::poll(wait.data(), wait.size(), -1);
  return wait[0].revents == 0;
}

void LoopbackServer::serve_ke() {
  while (wait_readable(tcp_.get())) {
    const Descriptor connection(::accept4(tcp_.get(), nullptr, nullptr, SOCK_CLOEXEC));
    ++connections_;
    serve_connection(connection.get());
  }
}

void LoopbackServer::serve_connection(int fd) {
  switch (behaviour_.ke) {
    case Behaviour::Ke::close_at_once:
      return;
    case Behaviour::Ke::say_nothing:
      while (wait_readable(fd)) {
        Octets buffer(4096);
        if (::recv(fd, buffer.data(), buffer.size(), 0) <= 0) return;
      }
      return;
    case Behaviour::Ke::trickle: {
      // The first octets of a TLS record that is never whole.
      const Octets record{22, 3, 3, 0x3f, 0xff};
      for (std::size_t i = 0;; ++i) {
        const std::uint8_t octet = i < record.size() ? record[i] : 2;
        pollfd wait{stop_.get(), POLLIN, 0};
        if (::send(fd, &octet, 1, MSG_NOSIGNAL) != 1 || ::poll(&wait, 1, 20) != 0) return;
      }
    }
    case Behaviour::Ke::speak_plain_text: {
      const std::string text = "220 mail.test ESMTP\r\n";
      send_all(fd, Octets(text.begin(), text.end()));
      (void)wait_readable(fd);
      return;
    }
    case Behaviour::Ke::serve:
    case Behaviour::Ke::stall_after_handshake:
      break;
  }
  if (behaviour_.ke_reply || behaviour_.ke == Behaviour::Ke::stall_after_handshake) {
    serve_reply(fd);
  } else {
    serve_session(fd);
  }
}

void LoopbackServer::serve_session(int fd) {
  control::CookieSealer sealer(*nts::siv::choose_tier());
  sealer.load(ring(usual_key_id));
  control::KeSession session(context_, behaviour_.policy);
  Octets buffer(4096);
  while (!session.is_done() && wait_readable(fd)) {
    const ssize_t bytes = ::recv(fd, buffer.data(), buffer.size(), 0);
    if (bytes <= 0) {
      session.receive_end();
    } else {
      session.receive(std::span(buffer).first(static_cast<std::size_t>(bytes)));
    }
    if (session.wants_cookies()) {
      control::SealRequest request = session.request();
      control::SealReply reply{};
      sealer.seal(request, reply);
      session.finish(reply);
    }
    send_all(fd, session.take_output());
  }
  ::shutdown(fd, SHUT_WR);
  while (wait_readable(fd) && ::recv(fd, buffer.data(), buffer.size(), 0) > 0) {
  }
}

void LoopbackServer::serve_reply(int fd) {
  auto tls = control::TlsConnection::accept(context_);
  Octets buffer(4096), plaintext;
  while (wait_readable(fd)) {
    const ssize_t bytes = ::recv(fd, buffer.data(), buffer.size(), 0);
    if (bytes <= 0) return;
    tls.receive(std::span(buffer).first(static_cast<std::size_t>(bytes)), plaintext);
    if (behaviour_.ke_reply && !plaintext.empty()) {
      if (!behaviour_.ke_reply->empty()) tls.send(*behaviour_.ke_reply);
      tls.close();
      plaintext.clear();
    }
    send_all(fd, tls.take_output());
  }
}

void LoopbackServer::serve_ntp() {
  const nts::siv::Kernels& tier = *nts::siv::choose_tier();
  control::SystemRandom random;
  nts::Server server(nts::all_kernels_beside(tier), random);
  nts::ExpandedKeyRing keys(tier);
  keys.load(ring(behaviour_.ntp_has_other_keys ? usual_key_id + 1 : usual_key_id));
  while (wait_readable(udp_.get())) {
    Octets octets(2048);
    Address client;
    client.bytes = sizeof client.storage;
    const ssize_t bytes =
        ::recvfrom(udp_.get(), octets.data(), octets.size(), 0, client.get(), &client.bytes);
    if (bytes < 0) continue;
    octets.resize(static_cast<std::size_t>(bytes));
    {
      const std::scoped_lock lock(mutex_);
      client_ports_.push_back(client.port());
    }
    const Octets request = octets;
    nts::Batch batch;
    batch.count = 1;
    batch.packet[0] = octets.data();
    batch.packet_bytes[0] = static_cast<std::uint16_t>(octets.size());
    batch.received[0] = now(behaviour_.ahead_ns);
    server.open_requests(batch, keys, {});
    server.prepare_answers(batch, keys, behaviour_.clock);
    server.seal_answers(batch, now(behaviour_.ahead_ns));
    octets.resize(batch.answer_bytes[0]);
    std::vector<Octets> out;
    if (behaviour_.bend) {
      out = behaviour_.bend(request, octets);
    } else {
      out.push_back(octets);
    }
    for (const Octets& packet : out) {
      (void)!::sendto(udp_.get(), packet.data(), packet.size(), 0, client.get(), client.bytes);
    }
  }
}

}  // namespace tests
