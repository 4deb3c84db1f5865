#include "control/other_roles.h"

#include <array>
#include <utility>

#include "control/printable.h"
#include "control/waiter.h"

namespace control {
namespace {

constexpr std::uint64_t request_id = 1;  // each conversation is one question
constexpr int page_tries_max = 64;       // a publication takes less than a microsecond

template <class Page>
std::optional<shm::Segment<Page>> attach(const std::filesystem::path& pages, Role writer) {
  try {
    return shm::Segment<Page>::attach(pages, identity_of(writer).uid);
  } catch (const shm::SegmentError&) {
    return std::nullopt;  // the report says "running": false, and the writer's own log says why
  }
}

}  // namespace

boost::asio::awaitable<RoleAnswers> OtherRoles::ask_all(Deadline deadline) {
  Conversation keeper = ask_keeper(MessageKind::key_list_request);
  std::vector<Conversation> workers;
  for (std::uint32_t worker = 0; worker < config_.ke_workers(); ++worker) {
    workers.push_back(ask_ke(worker, MessageKind::ke_counters_request));
  }
  RoleAnswers answers;
  answers.keys = co_await hear<KeyListReply>(keeper, MessageKind::key_list_reply, deadline);
  for (Conversation& worker : workers) {
    const auto reply = co_await hear<KeCountersReply>(worker, MessageKind::ke_counters_reply, deadline);
    answers.ke.push_back(reply ? std::optional(reply->counters) : std::nullopt);
  }
  co_return answers;
}

boost::asio::awaitable<std::optional<RotateReply>> OtherRoles::rotate(Deadline deadline) {
  Conversation keeper = ask_keeper(MessageKind::rotate_request);
  co_return co_await hear<RotateReply>(keeper, MessageKind::rotate_reply, deadline);
}

boost::asio::awaitable<std::vector<ReloadAnswer>> OtherRoles::reload(Deadline deadline) {
  std::vector<std::pair<std::string, Conversation>> asked;
  for (std::uint32_t worker = 0; worker < config_.ke_workers(); ++worker) {
    asked.emplace_back("ke " + std::to_string(worker), ask_ke(worker, MessageKind::reload_request));
  }
  asked.emplace_back("keeper", ask_keeper(MessageKind::reload_request));
  std::vector<ReloadAnswer> answers;
  for (auto& [role, conversation] : asked) {
    const auto reply = co_await hear<ReloadReply>(conversation, MessageKind::reload_reply, deadline);
    ReloadAnswer answer{role, std::nullopt};
    if (reply && reply->status == Status::ok) answer.fault = "";
    if (reply && reply->status != Status::ok)
      answer.fault = printable({reply->text.data(), reply->text.size()});
    if (answer.fault && answer.fault->empty() && reply->status != Status::ok) answer.fault = "it refuses";
    answers.push_back(std::move(answer));
  }
  co_return answers;
}

boost::asio::awaitable<std::optional<ClockReportReply>> OtherRoles::clock_report(Deadline deadline) {
  Conversation clock =
      begin(config_.paths.pages / "clock" / "report.socket", Role::clock, MessageKind::clock_report_request);
  co_return co_await hear<ClockReportReply>(clock, MessageKind::clock_report_reply, deadline);
}

boost::asio::awaitable<std::optional<UpstreamListReply>> OtherRoles::upstream_list(Deadline deadline) {
  Conversation clock =
      begin(config_.paths.pages / "clock" / "report.socket", Role::clock, MessageKind::upstream_list_request);
  co_return co_await hear<UpstreamListReply>(clock, MessageKind::upstream_list_reply, deadline);
}

std::optional<shm::Segment<shm::StatsPage>> OtherRoles::stats_page() const {
  return attach<shm::StatsPage>(config_.paths.pages, Role::dataplane);
}

std::optional<hwclock::ClockState> OtherRoles::clock_state() const {
  const auto page = attach<shm::ClockPage>(config_.paths.pages, Role::clock);
  hwclock::ClockState state{};
  std::uint64_t generation = 0;
  for (int tries = 0; page && tries < page_tries_max; ++tries) {
    if ((*page)->clock.read(state, generation)) return state;
  }
  return std::nullopt;
}

OtherRoles::Conversation OtherRoles::begin(const std::filesystem::path& socket, Role role,
                                           MessageKind kind) const {
  const std::array<uid_t, 1> peers = {identity_of(role).uid};
  Conversation conversation = RoleConnection::connect(socket, peers);
  const EmptyRequest request{{message_magic, kind, request_id}};
  if (conversation && !conversation->send(request)) conversation.reset();
  return conversation;
}

OtherRoles::Conversation OtherRoles::ask_keeper(MessageKind kind) const {
  return begin(config_.paths.pages / "keeper" / "socket", Role::keeper, kind);
}

OtherRoles::Conversation OtherRoles::ask_ke(std::uint32_t worker, MessageKind kind) const {
  return begin(config_.paths.pages / "ke" / (std::to_string(worker) + ".socket"), Role::ke, kind);
}

template <class Reply>
boost::asio::awaitable<std::optional<Reply>> OtherRoles::hear(Conversation& conversation, MessageKind kind,
                                                              Deadline deadline) {
  if (!conversation) co_return std::nullopt;
  Waiter waiter(io_.get_executor(), conversation->fd());
  ReceivedMessage message;
  Received received = conversation->receive(message);
  while (received == Received::nothing) {
    if (!co_await waiter.readable_by(deadline)) co_return std::nullopt;
    received = conversation->receive(message);
  }
  Reply reply{};
  const bool is_reply =
      received == Received::message && message.header().request_id == request_id && message.read(kind, reply);
  co_return is_reply ? std::optional(reply) : std::nullopt;
}

}  // namespace control
