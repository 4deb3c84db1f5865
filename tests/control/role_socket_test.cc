// The roles' sockets: who is let in, what is believed, and what is never removed.

#include "control/role_socket.h"

#include <fstream>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>

#include "tests/control/scratch.h"

namespace control {
namespace {

using testing::HasSubstr;
using namespace std::chrono_literals;

class RoleSocket : public testing::Test {
 protected:
  std::string error_of_listening() {
    try {
      RoleListener listener(path_, 0600, {});
    } catch (const RoleSocketError& error) {
      return error.what();
    }
    return "";
  }
  tests::Scratch scratch_;
  const std::filesystem::path directory_ = scratch_.path();
  std::filesystem::path path_ = directory_ / "socket";
};

EmptyRequest key_list_request(std::uint64_t id) {
  return {{message_magic, MessageKind::key_list_request, id}};
}

struct Pair {
  RoleConnection left, right;
};
Pair connected() {
  int ends[2];
  EXPECT_EQ(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, ends), 0);
  return {RoleConnection(Descriptor(ends[0])), RoleConnection(Descriptor(ends[1]))};
}

TEST_F(RoleSocket, CarriesARequestAndItsReply) {
  RoleListener listener(path_, 0600, {});
  auto client = RoleConnection::connect(path_, {});
  ASSERT_TRUE(client);
  auto server = listener.accept();
  ASSERT_TRUE(server);
  EXPECT_EQ(server->peer_uid(), ::geteuid());
  ASSERT_TRUE(client->send(key_list_request(7)));
  ReceivedMessage message;
  ASSERT_EQ(server->receive(message), Received::message);
  EmptyRequest request;
  EXPECT_FALSE(message.read(MessageKind::rotate_request, request));  // another kind
  RotateReply wrong_size;
  EXPECT_FALSE(message.read(MessageKind::key_list_request, wrong_size));
  ASSERT_TRUE(message.read(MessageKind::key_list_request, request));
  EXPECT_EQ(request.header.request_id, 7U);
  EXPECT_EQ(server->receive(message), Received::nothing);
}

TEST_F(RoleSocket, AskSkipsLateRepliesAndKeepsItsDeadline) {
  Pair pair = connected();
  RotateReply reply{};
  const auto started = std::chrono::steady_clock::now();
  EXPECT_FALSE(pair.left.ask(key_list_request(1), MessageKind::rotate_reply, reply, deadline_in(20ms)));
  EXPECT_GE(std::chrono::steady_clock::now() - started, 20ms);
  RotateReply late{{message_magic, MessageKind::rotate_reply, 1}, Status::failed, 0, {}};
  RotateReply right{{message_magic, MessageKind::rotate_reply, 2}, Status::ok, 42, {}};
  ASSERT_TRUE(pair.right.send(late));
  ASSERT_TRUE(pair.right.send(right));
  ASSERT_TRUE(pair.left.ask(key_list_request(2), MessageKind::rotate_reply, reply, deadline_in(1s)));
  EXPECT_EQ(reply.new_key_id, 42U);
  // A reply to this request of another kind is no reply.
  ASSERT_TRUE(pair.right.send(RotateReply{{message_magic, MessageKind::seal_reply, 3}, Status::ok, 1, {}}));
  EXPECT_FALSE(pair.left.ask(key_list_request(3), MessageKind::rotate_reply, reply, deadline_in(1s)));
}

TEST_F(RoleSocket, BelievesNoPacketOfWrongLengthOrMagic) {
  for (const std::size_t bytes : {1UL, 15UL, 17UL, ReceivedMessage::bytes_max + 1, 65536UL}) {
    SCOPED_TRACE(bytes);
    Pair pair = connected();
    std::vector<std::uint8_t> octets(bytes);
    const MessageHeader header{message_magic, MessageKind::seal_request, 1};
    std::memcpy(octets.data(), &header, std::min(bytes, sizeof header));
    ASSERT_TRUE(pair.left.send_octets(octets));
    ReceivedMessage message;
    EmptyRequest request;
    const Received received = pair.right.receive(message);
    if (bytes == 17) {
      EXPECT_EQ(received, Received::message);
      EXPECT_FALSE(message.read(MessageKind::seal_request, request));
    } else {
      EXPECT_EQ(received, Received::bad);
    }
  }
  Pair pair = connected();
  EmptyRequest request = key_list_request(1);
  request.header.magic ^= 1U << 31;
  ASSERT_TRUE(pair.left.send(request));
  ReceivedMessage message;
  EXPECT_EQ(pair.right.receive(message), Received::bad);
}

TEST_F(RoleSocket, APeerThatWentIsAValueNotASignal) {
  Pair pair = connected();
  { RoleConnection gone = std::move(pair.right); }
  ReceivedMessage message;
  EXPECT_EQ(pair.left.receive(message), Received::closed);
  EXPECT_FALSE(pair.left.send(key_list_request(1)));
}

TEST_F(RoleSocket, APeerThatDoesNotReadIsNotWaitedFor) {
  Pair pair = connected();
  int sent = 0;
  while (sent < 100'000 && pair.left.send(key_list_request(1))) ++sent;
  EXPECT_GT(sent, 0);
  EXPECT_LT(sent, 100'000);
}

TEST_F(RoleSocket, F11_RefusesToRemoveWhatIsNoSocket) {
  std::ofstream(path_) << "somebody's file";
  EXPECT_THAT(error_of_listening(), HasSubstr("is in the way and no socket"));
  EXPECT_EQ(std::filesystem::file_size(path_), 15U);
  std::filesystem::remove(path_);
  std::filesystem::create_symlink("/nowhere", path_);
  EXPECT_THAT(error_of_listening(), HasSubstr("is in the way and no socket"));
  std::filesystem::remove(path_);
  std::filesystem::create_directory(path_);
  EXPECT_THAT(error_of_listening(), HasSubstr("is in the way and no socket"));
}

TEST_F(RoleSocket, ReplacesADeadSocketButNotALiveOne) {
  if (const pid_t child = ::fork(); child == 0) {
    new RoleListener(path_, 0600, {});  // dies without unlinking
    ::_exit(0);
  } else {
    ::waitpid(child, nullptr, 0);
  }
  ASSERT_TRUE(std::filesystem::is_socket(path_));
  EXPECT_FALSE(RoleConnection::connect(path_, {}));
  RoleListener listener(path_, 0600, {});
  EXPECT_THAT(error_of_listening(), HasSubstr("already has a process that listens"));
  EXPECT_TRUE(RoleConnection::connect(path_, {}));
}

TEST_F(RoleSocket, SetsTheModeWhateverTheUmask) {
  const mode_t before = ::umask(0077);
  RoleListener listener(path_, 0666, {});
  ::umask(before);
  struct stat status {};
  ASSERT_EQ(::stat(path_.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 07777U, 0666U);
}

TEST_F(RoleSocket, RefusesAPathThatIsTooLongForASocket) {
  path_ = directory_ / std::string(120, 's');
  EXPECT_THAT(error_of_listening(), HasSubstr("too long"));
  EXPECT_FALSE(RoleConnection::connect(path_, {}));
}

TEST_F(RoleSocket, HearsOnlyTheUidsItWasToldOf) {
  if (::geteuid() != 0) GTEST_SKIP() << "other uids need root";
  RoleListener listener(path_, 0666, {62102});
  const auto knock = [&] { return RoleConnection::connect(path_, std::array<uid_t, 1>{0}) ? 0 : 1; };
  EXPECT_EQ(tests::as_uid(62103, knock), 0);  // it may connect, but
  EXPECT_FALSE(listener.accept());            // nobody listens to it
  EXPECT_EQ(listener.refused(), 1U);
  EXPECT_EQ(tests::as_uid(62102, knock), 0);
  EXPECT_TRUE(listener.accept());
  EXPECT_EQ(listener.refused(), 1U);
}

TEST_F(RoleSocket, TalksOnlyToAListenerOfTheRightUid) {
  if (::geteuid() != 0) GTEST_SKIP() << "other uids need root";
  ASSERT_EQ(::chmod(directory_.c_str(), 0777), 0);
  int ready[2];
  ASSERT_EQ(::pipe(ready), 0);
  const pid_t impostor = ::fork();
  if (impostor == 0) {
    if (::setresuid(62103, 62103, 62103) != 0) ::_exit(1);
    RoleListener listener(path_, 0666, {});
    static_cast<void>(!::write(ready[1], "x", 1));
    ::pause();
    ::_exit(0);
  }
  char token;
  ASSERT_EQ(::read(ready[0], &token, 1), 1);
  EXPECT_FALSE(RoleConnection::connect(path_, std::array<uid_t, 1>{62101}));
  EXPECT_TRUE(RoleConnection::connect(path_, std::array<uid_t, 1>{62103}));
  ::kill(impostor, SIGKILL);
  ::waitpid(impostor, nullptr, 0);
  ::close(ready[0]);
  ::close(ready[1]);
}

}  // namespace
}  // namespace control
