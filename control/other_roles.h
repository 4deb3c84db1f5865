// What admin asks of the other roles: their sockets (messages.h) and their pages, each answer with a
// deadline.
//
// A role that is not there, hangs, or talks nonsense gives nothing: the report then says that it does not
// run. All are asked before the first is heard, so those that hang cost one deadline together.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <optional>
#include <string>
#include <vector>

#include "control/config.h"
#include "control/messages.h"
#include "control/role_socket.h"
#include "control/roles.h"
#include "control/status.h"
#include "dataplane/shm/segment.h"

namespace control {

struct RoleAnswers {
  std::optional<KeyListReply> keys;
  KeAnswers ke;  // one for each configured worker; none when NTS is switched off
};

// What one of the others said to a reload.
struct ReloadAnswer {
  std::string role;                  // "keeper", "ke 0"
  std::optional<std::string> fault;  // nothing: it did not answer; empty: it took the new configuration
};

class OtherRoles {
 public:
  // `config` outlives this.
  OtherRoles(boost::asio::io_context& io, const Config& config) : io_(io), config_(config) {}

  [[nodiscard]] boost::asio::awaitable<RoleAnswers> ask_all(Deadline deadline);
  [[nodiscard]] boost::asio::awaitable<std::optional<RotateReply>> rotate(Deadline deadline);

  // Of those that read the configuration while they serve.
  [[nodiscard]] boost::asio::awaitable<std::vector<ReloadAnswer>> reload(Deadline deadline);
  [[nodiscard]] boost::asio::awaitable<std::optional<ClockReportReply>> clock_report(Deadline deadline);
  [[nodiscard]] boost::asio::awaitable<std::optional<UpstreamListReply>> upstream_list(Deadline deadline);

  // Attached for one report only: the page's writer may have swapped its file since the last.
  [[nodiscard]] std::optional<shm::Segment<shm::StatsPage>> stats_page() const;
  [[nodiscard]] std::optional<hwclock::ClockState> clock_state() const;

 private:
  using Conversation = std::optional<RoleConnection>;
  [[nodiscard]] Conversation begin(const std::filesystem::path& socket, Role role, MessageKind kind) const;
  [[nodiscard]] Conversation ask_keeper(MessageKind kind) const;
  [[nodiscard]] Conversation ask_ke(std::uint32_t worker, MessageKind kind) const;
  template <class Reply>
  [[nodiscard]] boost::asio::awaitable<std::optional<Reply>> hear(Conversation& conversation,
                                                                  MessageKind kind, Deadline deadline);

  boost::asio::io_context& io_;
  const Config& config_;
};

}  // namespace control
