// Who may ask the keeper for what, and how it treats callers that ask badly or too much.

#include <boost/asio/post.hpp>
#include <cstring>
#include <sys/socket.h>

#include "control/roles.h"
#include "tests/control/keeper_lab.h"

namespace control {
namespace {

using nts::KeyState;
using tests::comes_true;

using Keeping = tests::KeeperLab;

enum Answer : int { answered = 0, closed = 1, cannot_connect = 2, other = 3 };

TEST_F(Keeping, EachRoleGetsOnlyWhatIsItsBusiness) {
  if (::geteuid() != 0) GTEST_SKIP() << "becoming other uids needs root";
  start();
  const auto answer_to = [&](uid_t uid, MessageKind kind) {
    return tests::as_uid(uid, [&] {
      auto keeper = RoleConnection::connect(socket(), std::array<uid_t, 1>{0});
      if (!keeper) return cannot_connect;
      const bool is_sent = kind == MessageKind::seal_request ? keeper->send(tests::seal_request(1))
                                                             : keeper->send(empty_request(kind));
      ReceivedMessage message;
      const Received got = keeper->receive_by(deadline_in(tests::patience), message);
      if (got == Received::closed || !is_sent) return closed;
      return got == Received::message ? answered : other;
    });
  };
  const uid_t ke = identity_of(Role::ke).uid;
  const uid_t admin = identity_of(Role::admin).uid;
  EXPECT_EQ(answer_to(ke, MessageKind::seal_request), answered);
  EXPECT_EQ(answer_to(ke, MessageKind::key_list_request), closed);
  EXPECT_EQ(answer_to(ke, MessageKind::rotate_request), closed);
  EXPECT_EQ(answer_to(admin, MessageKind::seal_request), closed);
  EXPECT_EQ(answer_to(admin, MessageKind::key_list_request), answered);
  EXPECT_EQ(list().count, 1U) << "nobody but admin has rotated anything";
  EXPECT_EQ(answer_to(admin, MessageKind::rotate_request), answered);
  for (const Role role : {Role::keeper, Role::clock, Role::upstream, Role::dataplane}) {
    for (const MessageKind kind :
         {MessageKind::seal_request, MessageKind::key_list_request, MessageKind::rotate_request}) {
      EXPECT_EQ(answer_to(identity_of(role).uid, kind), closed) << identity_of(role).name;
    }
  }
  EXPECT_EQ(answer_to(65534, MessageKind::seal_request), closed);
}

TEST_F(Keeping, AReloadIsForAdminAndGivesWhatTheRoleSaysOfIt) {
  boost::asio::io_context io(1);
  Keeper keeper(io, setup_, *nts::siv::choose_tier());
  std::string fault = "file:1:1: no good; mend it";
  int reloads = 0;
  keeper.reload_by([&] {
    ++reloads;
    return fault;
  });
  std::promise<void> serving;
  keeper.start([&] { serving.set_value(); });
  std::thread thread([&] { io.run(); });
  serving.get_future().wait();
  const auto reload = [&] {
    return ask<ReloadReply>(empty_request(MessageKind::reload_request), MessageKind::reload_reply);
  };
  ReloadReply reply = reload();
  EXPECT_EQ(reply.status, Status::refused);
  EXPECT_EQ(text(reply.text), fault);
  fault.clear();
  reply = reload();
  EXPECT_EQ(reply.status, Status::ok);
  EXPECT_EQ(text(reply.text), "");
  if (::geteuid() == 0) {
    EXPECT_EQ(tests::as_uid(identity_of(Role::ke).uid,
                            [&] {
                              auto stranger = RoleConnection::connect(socket(), std::array<uid_t, 1>{0});
                              ReceivedMessage message;
                              return stranger && stranger->send(empty_request(MessageKind::reload_request)) &&
                                             stranger->receive_by(deadline_in(tests::patience), message) ==
                                                 Received::closed
                                         ? 0
                                         : 1;
                            }),
              0);
  }
  EXPECT_EQ(reloads, 2) << "a stranger's wish is not even heard";
  io.stop();
  thread.join();
}

TEST_F(Keeping, AShorterRetentionIsTakenWhileServing) {
  setup_.retention_s = 14 * 86400;
  boost::asio::io_context io(1);
  Keeper keeper(io, setup_, *nts::siv::choose_tier());
  std::promise<void> serving;
  keeper.start([&] { serving.set_value(); });
  std::thread thread([&] { io.run(); });
  serving.get_future().wait();
  EXPECT_EQ(rotate().status, Status::ok);
  ASSERT_TRUE(tests::comes_true([&] { return list().keys[1].state == nts::KeyState::current; }));
  EXPECT_EQ(list().keys[0].state, nts::KeyState::accepting);
  boost::asio::post(io, [&] { keeper.set_retention(0); });
  EXPECT_TRUE(
      tests::comes_true([&] { return list().count == 1 || list().keys[0].state == nts::KeyState::retired; }));
  io.stop();
  thread.join();
}

TEST_F(Keeping, WhatIsNoRequestIsClosedAndTheNextCallerServed) {
  start();
  const auto is_closed_after = [&](std::span<const std::uint8_t> octets) {
    auto keeper = RoleConnection::connect(socket(), {});
    EXPECT_TRUE(keeper && keeper->send_octets(octets));
    ReceivedMessage message;
    return keeper->receive_by(deadline_in(tests::patience), message) == Received::closed;
  };
  SealRequest request = tests::seal_request(1);
  const std::span octets(reinterpret_cast<const std::uint8_t*>(&request), sizeof request);
  EXPECT_FALSE(is_closed_after(octets)) << "a good one is answered";
  EXPECT_TRUE(is_closed_after(octets.first(octets.size() - 1)));
  EXPECT_TRUE(is_closed_after(octets.first(sizeof(MessageHeader))));
  EXPECT_TRUE(is_closed_after(octets.first(1)));
  EXPECT_TRUE(is_closed_after(std::vector<std::uint8_t>(5000)));
  for (const std::uint32_t kind : {0U, 2U, 4U, 6U, 7U, 8U, 9U, 10U, 16U, 17U, 0xffffffffU}) {
    request.header.kind = static_cast<MessageKind>(kind);
    EXPECT_TRUE(is_closed_after(octets)) << kind;
  }
  request = tests::seal_request(1);
  request.header.magic ^= 1;
  EXPECT_TRUE(is_closed_after(octets));
  expect_opens(seal(), ring());
}

TEST_F(Keeping, ACallerMayAskMoreThanOnceAndTheReplyNamesItsRequest) {
  start();
  auto keeper = RoleConnection::connect(socket(), {});
  ASSERT_TRUE(keeper);
  for (const std::uint64_t id : {5U, 6U, 7U}) {
    SealReply reply{};
    ASSERT_TRUE(keeper->ask(tests::seal_request(1, id), MessageKind::seal_reply, reply,
                            deadline_in(tests::patience)));
    EXPECT_EQ(reply.header.request_id, id);
    EXPECT_EQ(reply.ring_generation, ring().generation);
  }
}

TEST_F(Keeping, CallersOverTheLimitAreTurnedAwayAndAPlaceThatIsLeftIsFreeAgain) {
  start();
  constexpr std::size_t places = 16;  // of root's class; each caller here has been heard
  const auto call = [&]() -> std::optional<RoleConnection> {
    auto keeper = RoleConnection::connect(socket(), {});
    KeyListReply reply{};
    const bool is_heard =
        keeper && keeper->ask(empty_request(MessageKind::key_list_request), MessageKind::key_list_reply,
                              reply, deadline_in(tests::patience));
    if (!is_heard) keeper.reset();
    return keeper;
  };
  std::vector<RoleConnection> callers;
  while (callers.size() < places) {
    auto caller = call();
    ASSERT_TRUE(caller) << callers.size();
    callers.push_back(std::move(*caller));
  }
  EXPECT_FALSE(call());
  callers.pop_back();
  EXPECT_TRUE(comes_true([&] { return call().has_value(); }));
}

}  // namespace
}  // namespace control
