// A whole NTS server on loopback, in two threads: NTS-KE over TCP by KeSession, NTP over UDP by nts::Server.
// Every octet is real; what a test bends is said in Behaviour.
#pragma once

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "control/descriptor.h"
#include "control/tls.h"
#include "nts/answer.h"
#include "nts/ke_exchange.h"
#include "tests/support/packet_builder.h"

namespace tests {

// An authority and certificates from it, made by OpenSSL's command line: for localhost, time.test and the
// loopback addresses, one of them expired; and another authority.
class Certificates {
 public:
  Certificates();
  ~Certificates();
  Certificates(const Certificates&) = delete;
  Certificates& operator=(const Certificates&) = delete;
  [[nodiscard]] bool made() const { return made_; }
  [[nodiscard]] std::filesystem::path file(const char* name) const { return directory_ / name; }

 private:
  std::filesystem::path directory_;
  bool made_ = false;
};

struct Behaviour {
  enum class Ke : std::uint8_t {
    serve,
    say_nothing,  // accept, and never a word
    trickle,      // an octet of noise now and then
    close_at_once,
    speak_plain_text,
    stall_after_handshake,
  };
  std::string address = "127.0.0.1";
  std::string ntp_address{};  // empty: the same
  std::string certificate = "server.pem";
  Ke ke = Ke::serve;
  std::optional<Octets> ke_reply{};  // instead of the true reply, and then close_notify
  nts::ke::Policy policy{
      .aeads = {15}, .ntp_port = 0, .ntp_server = {}, .ntp_servers_ours = {}};  // port: ours
  bool ntp_has_other_keys = false;
  nts::ClockReading clock{.leap = 0,
                          .stratum = 1,
                          .precision = -25,
                          .root_delay = 0x100,
                          .root_dispersion = 0x200,
                          .reference_id = 0x47505300,
                          .reference = {}};
  std::int64_t ahead_ns = 0;  // of the machine's clock
  // What goes out for a request and the answer to it. Empty: the answer.
  std::function<std::vector<Octets>(const Octets& request, const Octets& answer)> bend{};
};

class LoopbackServer {
 public:
  LoopbackServer(const Certificates& certificates, Behaviour behaviour);
  ~LoopbackServer();
  LoopbackServer(const LoopbackServer&) = delete;
  LoopbackServer& operator=(const LoopbackServer&) = delete;

  [[nodiscard]] bool is_up() const { return tcp_.is_open() && udp_.is_open(); }
  [[nodiscard]] std::uint16_t ke_port() const { return ke_port_; }
  [[nodiscard]] std::uint16_t ntp_port() const { return ntp_port_; }
  [[nodiscard]] unsigned connections() const { return connections_; }
  [[nodiscard]] std::vector<std::uint16_t> client_ports() const;  // after the last answer came

 private:
  bool wait_readable(int fd) const;  // false: stop
  void serve_ke();
  void serve_connection(int fd);
  void serve_session(int fd);
  void serve_reply(int fd);
  void serve_ntp();

  Behaviour behaviour_;
  control::TlsContext context_;
  std::uint16_t ke_port_ = 0;   // both ports before the sockets:
  std::uint16_t ntp_port_ = 0;  // making a socket fills in its port
  control::Descriptor stop_, tcp_, udp_;
  std::atomic<unsigned> connections_ = 0;
  std::vector<std::uint16_t> client_ports_;
  mutable std::mutex mutex_;
  std::thread ke_thread_, ntp_thread_;
};

}  // namespace tests
