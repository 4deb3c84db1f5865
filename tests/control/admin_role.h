// The admin role as a process of its own, under its own uid when the test is root, in a page directory of its
// own.
#pragma once

#include <array>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <gtest/gtest.h>
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <poll.h>
#include <string>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>
#include <vector>

#include "control/admin.h"
#include "control/admin_client.h"
#include "control/admin_protocol.h"
#include "control/messages.h"
#include "control/role_socket.h"
#include "control/roles.h"
#include "dataplane/shm/segment.h"
#include "tests/control/scratch.h"

namespace control::admin_lab {

using nlohmann::json;
using tests::as_uid;
using namespace std::chrono_literals;

inline constexpr uid_t stranger = 62199;
inline constexpr auto patience = 20s;  // for what happens at once on an idle machine

// One end of the operator's socket, with nothing between the test and the octets.
class Client {
 public:
  explicit Client(const std::filesystem::path& pages) {
    auto connection = RoleConnection::connect(pages / "admin" / "socket",
                                              std::array<uid_t, 1>{identity_of(Role::admin).uid});
    if (connection) connection_.emplace(std::move(*connection));
  }
  [[nodiscard]] bool is_open() const { return connection_.has_value(); }
  bool send(std::string_view text) {
    return connection_->send_octets({reinterpret_cast<const std::uint8_t*>(text.data()), text.size()});
  }
  // The next reply; null when the other end closed.
  json reply() {
    pollfd waiting{connection_->fd(), POLLIN, 0};
    if (::poll(&waiting, 1, std::chrono::milliseconds(patience).count()) != 1) return "nothing came";
    std::string text(reply_bytes_max, '\0');
    const ssize_t got = ::recv(connection_->fd(), text.data(), text.size(), 0);
    return got <= 0 ? json() : json::parse(text.substr(0, static_cast<std::size_t>(got)));
  }
  json ask(std::string_view text) { return send(text) ? reply() : json(); }

 private:
  std::optional<RoleConnection> connection_;
};

template <class Condition>
bool comes_true(Condition condition) {
  const auto until = std::chrono::steady_clock::now() + patience;
  while (!condition()) {
    if (std::chrono::steady_clock::now() > until) return false;
    std::this_thread::sleep_for(2ms);
  }
  return true;
}

class AdminRole : public testing::Test {
 protected:
  void SetUp() override {
    for (const char* name : {"admin", "keeper", "ke", "clock", "dataplane"}) {
      std::filesystem::create_directory(pages_ / name);
    }
    if (is_root_) {
      const Identity& admin = identity_of(Role::admin);
      ASSERT_EQ(::chown((pages_ / "admin").c_str(), admin.uid, admin.gid), 0);
    }
    config_ = config_with("addresses = ['192.0.2.1/24', '2001:db8::1/64']\n");
  }
  void TearDown() override {
    if (process_ > 0) stop();
  }

  Config config_with(const std::string& server) const {
    Config config = parse_config("[server]\nname = 'time.example.net'\n" + server +
                                     "[dataplane]\ndevices = ['af_packet:nm0']\ncores = [1]\n"
                                     "[nts_ke]\ncertificate = '/c'\nprivate_key = '/k'\nworkers = 2\n",
                                 "t.toml");
    config.paths.pages = pages_;
    return config;
  }

  // `prepare` runs in the child, still as root.
  void start(int (*prepare)() = [] { return 0; }) {
    process_ = ::fork();
    if (process_ == 0) {
      const Identity& admin = identity_of(Role::admin);
      if (prepare() != 0) ::_exit(77);
      if (is_root_ && (::setresgid(admin.gid, admin.gid, admin.gid) != 0 ||
                       ::setresuid(admin.uid, admin.uid, admin.uid) != 0)) {
        ::_exit(78);
      }
      try {
        ::_exit(run_admin(config_, {}));
      } catch (const std::exception& error) {
        std::cerr << error.what() << "\n";
        ::_exit(1);
      }
    }
    ASSERT_TRUE(comes_true([&] { return Client(pages_).is_open(); }));
  }
  int stop(int signal = SIGTERM) {
    ::kill(process_, signal);
    int status = 0;
    ::waitpid(process_, &status, 0);
    process_ = -1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
  }

  shm::Settings published() const {
    const uid_t writer = is_root_ ? identity_of(Role::admin).uid : ::geteuid();
    const auto page = shm::Segment<shm::SettingsPage>::attach(pages_, writer);
    shm::Settings settings{};
    std::uint64_t generation = 0;
    // The socket is there before the first publication, and a read may meet one in progress.
    EXPECT_TRUE(comes_true([&] { return page->settings.read(settings, generation); }));
    return settings;
  }

  // A keeper that answers `replies` questions: a list of one key, or `rotated`.
  std::thread keeper_that_answers(int replies,
                                  const RotateReply& rotated = {{}, Status::ok, 9, {"published"}}) const {
    auto listener = std::make_shared<RoleListener>(pages_ / "keeper" / "socket", 0666,
                                                   std::vector<uid_t>{identity_of(Role::admin).uid});
    return std::thread([listener, replies, rotated] {
      for (int i = 0; i < replies; ++i) {
        pollfd waiting{listener->fd(), POLLIN, 0};
        if (::poll(&waiting, 1, std::chrono::milliseconds(patience).count()) != 1) return;
        auto peer = listener->accept();
        ReceivedMessage message;
        EmptyRequest request;
        if (!peer || peer->receive_by(deadline_in(patience), message) != Received::message) return;
        if (message.read(MessageKind::rotate_request, request)) {
          RotateReply reply = rotated;
          reply.header = {message_magic, MessageKind::rotate_reply, request.header.request_id};
          static_cast<void>(peer->send(reply));
        } else {
          KeyListReply reply{};
          reply.header = {message_magic, MessageKind::key_list_reply, message.header().request_id};
          reply.count = 1;
          reply.ring_generation = 4;
          reply.keys[0] = {8, nts::KeyState::current, 1'700'000'000};
          static_cast<void>(peer->send(reply));
        }
      }
    });
  }

  const bool is_root_ = ::geteuid() == 0;
  tests::Scratch scratch_;
  const std::filesystem::path pages_ = scratch_.path();
  Config config_;
  pid_t process_ = -1;
};

}  // namespace control::admin_lab
