// The admin role as a process of its own, under its own uid when the test is root: what operators, garbage
// and strangers get from its socket, and what it puts into the settings page.

#include "control/admin.h"

#include <fcntl.h>
#include <fstream>
#include <gmock/gmock.h>
#include <sched.h>

#include "control/settings.h"
#include "tests/control/admin_role.h"

namespace control {
namespace {

using namespace admin_lab;
using testing::ElementsAre;
using testing::HasSubstr;

TEST_F(AdminRole, PublishesTheSettingsAndAnswers) {
  start();
  const shm::Settings settings = published();
  EXPECT_EQ(settings.revision, 1U);
  EXPECT_EQ(settings.address_count, 2U);
  EXPECT_STREQ(settings.devices[0], "af_packet:nm0");
  const json reply = Client(pages_).ask(R"({"command": "status"})");
  ASSERT_EQ(reply["ok"], true);
  const json& status = reply["result"];
  EXPECT_EQ(status["server"], "time.example.net");
  EXPECT_EQ(status["version"], NOONMARK_VERSION);
  EXPECT_EQ(status["ntp_port"], 123);
  EXPECT_EQ(status["addresses"], (json{"192.0.2.1", "2001:db8::1"}));
  for (const char* part : {"dataplane", "clock", "keys"}) EXPECT_EQ(status[part]["running"], false) << part;
  EXPECT_EQ(status["clock"]["synchronised"], false);
  EXPECT_EQ(status["nts_ke"]["workers"].size(), 2U);
  EXPECT_EQ(status["upstream"]["sources"], 0);
  EXPECT_EQ(stop(), 0);
  EXPECT_FALSE(std::filesystem::exists(pages_ / "admin" / "socket"));
}

TEST_F(AdminRole, RevisionsGoOnOverRestartsAndRiseOnlyWithAChange) {
  start();
  stop(SIGKILL);
  start();
  EXPECT_EQ(published().revision, 1U);
  stop();
  config_ = config_with("addresses = ['192.0.2.1/24']\n");
  start();
  EXPECT_EQ(published().revision, 2U);
  EXPECT_EQ(published().address_count, 1U);
}

TEST_F(AdminRole, FollowsTheAddressesOfItsInterface) {
  if (!is_root_) GTEST_SKIP() << "a network namespace needs root";
  config_ = config_with("");
  start([] {
    return ::unshare(CLONE_NEWNET) == 0
               ? std::system(
                     "ip link add nm0 type veth peer name far && ip link set nm0 up && ip link set far up")
               : 1;
  });
  EXPECT_EQ(published().address_count, 0U);  // nothing yet, and no reason not to begin
  const std::string ip = "nsenter -t " + std::to_string(process_) + " -n ip ";
  const auto addresses = [&] {
    const shm::Settings settings = published();
    std::vector<std::string> texts;
    for (std::uint32_t i = 0; i < settings.address_count; ++i) {
      texts.push_back(text_of(settings.addresses[i]));
    }
    return texts;
  };
  ASSERT_EQ(std::system((ip + "addr add 192.0.2.7/24 dev nm0").c_str()), 0);
  ASSERT_EQ(std::system((ip + "addr add 2001:db8::7/64 dev nm0 nodad").c_str()), 0);
  EXPECT_TRUE(comes_true([&] { return addresses().size() == 2; }));
  EXPECT_THAT(addresses(), ElementsAre("192.0.2.7", "2001:db8::7"));
  ASSERT_EQ(std::system((ip + "addr del 192.0.2.7/24 dev nm0").c_str()), 0);
  EXPECT_TRUE(comes_true([&] { return addresses().size() == 1; }));
  EXPECT_THAT(addresses(), ElementsAre("2001:db8::7"));
  EXPECT_EQ(Client(pages_).ask(R"({"command": "status"})")["result"]["addresses"], (json{"2001:db8::7"}));
}

TEST_F(AdminRole, RefusesAutomaticAddressesWithoutAnInterface) {
  config_ = config_with("");
  config_.dataplane.devices = {"vdev:net_null0"};
  EXPECT_THROW(static_cast<void>(run_admin(config_, {})), ConfigError);
}

TEST_F(AdminRole, F11_GarbageGetsAnErrorAndTheNextRequestAnAnswer) {
  start();
  Client client(pages_);
  const std::string deep(request_bytes_max, '[');
  for (const std::string_view garbage :
       {std::string_view("\0\xff\xfe", 3), std::string_view("{"), std::string_view("7"),
        std::string_view("[]"), std::string_view("{}"), std::string_view("\"status\""),
        std::string_view(R"({"command": 7})"), std::string_view(R"({"command": ["status"]})"),
        std::string_view(R"({"command": "Status"})"), std::string_view(R"({"command": ""})"),
        std::string_view(R"({"command": "status"}})"), std::string_view(deep)}) {
    SCOPED_TRACE(garbage.substr(0, 40));
    const json reply = client.ask(garbage);
    EXPECT_EQ(reply["ok"], false);
    EXPECT_EQ(reply["code"], "bad_request");
    EXPECT_THAT(reply["error"].get<std::string>(), HasSubstr("; "));  // and what to do
  }
  EXPECT_EQ(client.ask(R"({"command": "status"})")["ok"], true);
}

TEST_F(AdminRole, F11_ARequestIsBoundedAndALongerOneIsTheLast) {
  start();
  std::string request = R"({"command": "status"})";
  request.resize(request_bytes_max, ' ');
  Client client(pages_);
  EXPECT_EQ(client.ask(request)["ok"], true);
  request += ' ';
  EXPECT_EQ(client.ask(request)["code"], "too_long");
  EXPECT_TRUE(client.reply().is_null());  // closed
  Client other(pages_);
  EXPECT_EQ(other.ask(std::string(100'000, '{'))["code"], "too_long");
  EXPECT_EQ(Client(pages_).ask(R"({"command": "status"})")["ok"], true);
}

TEST_F(AdminRole, F11_AClientThatSaysNothingIsClosedAndHoldsNobodyUp) {
  start();
  Client silent(pages_);
  EXPECT_EQ(Client(pages_).ask(R"({"command": "status"})")["ok"], true);
  EXPECT_TRUE(silent.reply().is_null());  // after client_deadline_ms
}

TEST_F(AdminRole, F11_AClientThatReadsNothingIsClosed) {
  start();
  Client deaf(pages_);
  // Replies fill its socket: the admin gives it up, and its next word meets a closed one.
  EXPECT_TRUE(comes_true([&] {
    for (int i = 0; i < 100; ++i) {
      if (!deaf.send("?")) return errno == EPIPE || errno == ECONNRESET;
    }
    return false;
  }));
  EXPECT_EQ(Client(pages_).ask(R"({"command": "status"})")["ok"], true);
}

TEST_F(AdminRole, F11_ThePlacesAreBoundedAndComeBack) {
  start();
  std::vector<Client> clients;
  for (std::uint32_t i = 0; i < clients_max; ++i) {
    clients.emplace_back(pages_);
    ASSERT_EQ(clients.back().ask(R"({"command": "no such"})")["code"], "bad_request") << i;
  }
  EXPECT_EQ(Client(pages_).reply()["code"], "busy");
  clients.pop_back();
  EXPECT_TRUE(comes_true([&] { return Client(pages_).ask(R"({"command": "status"})")["ok"] == true; }));
}

TEST_F(AdminRole, F11_StrangersCannotLockTheOperatorOut) {
  if (!is_root_) GTEST_SKIP() << "other uids need root";
  start();
  int taken[2];
  int done[2];
  ASSERT_EQ(::pipe(taken), 0);
  ASSERT_EQ(::pipe(done), 0);
  std::thread crowd([&] {
    EXPECT_EQ(as_uid(stranger,
                     [&] {
                       std::vector<Client> clients;
                       for (std::uint32_t i = 0; i < clients_max - places_for_operators; ++i) {
                         clients.emplace_back(pages_);
                         if (clients.back().ask("{}")["code"] != "bad_request") return 1;
                       }
                       if (Client(pages_).reply()["code"] != "busy") return 2;
                       char word = 'x';
                       return ::write(taken[1], &word, 1) == 1 && ::read(done[0], &word, 1) == 1 ? 0 : 3;
                     }),
              0);
    ::close(taken[1]);
  });
  char word = 0;
  EXPECT_EQ(::read(taken[0], &word, 1), 1);  // the stranger holds all it can get
  EXPECT_EQ(Client(pages_).ask(R"({"command": "status"})")["ok"], true);
  EXPECT_EQ(::write(done[1], &word, 1), 1);
  crowd.join();
  for (const int fd : {taken[0], done[0], done[1]}) ::close(fd);
}

TEST_F(AdminRole, F11_AThousandVisitsLeaveNothingBehind) {
  start();
  const auto descriptors = [&] {
    const std::string fds = "/proc/" + std::to_string(process_) + "/fd";
    return std::distance(std::filesystem::directory_iterator(fds), std::filesystem::directory_iterator());
  };
  // Its socket is there before its ear for signals is; who has answered has opened all that it keeps.
  ASSERT_TRUE(comes_true([&] { return Client(pages_).ask(R"({"command": "status"})")["ok"] == true; }));
  const auto before = descriptors();
  for (int i = 0; i < 1000; ++i) {
    ASSERT_TRUE(comes_true([&] { return Client(pages_).is_open(); })) << i;
  }
  EXPECT_TRUE(comes_true([&] { return descriptors() <= before; }));
  EXPECT_TRUE(comes_true([&] { return Client(pages_).ask(R"({"command": "status"})")["ok"] == true; }));
}

TEST_F(AdminRole, F11_AnyoneMayReadButOnlyTheOperatorRotates) {
  if (!is_root_) GTEST_SKIP() << "other uids need root";
  start();
  EXPECT_EQ(as_uid(stranger,
                   [&] {
                     if (ask_admin(pages_, "status").kind != AdminAnswer::Kind::result) return 1;
                     const AdminAnswer refused = ask_admin(pages_, "rotate");
                     return refused.kind == AdminAnswer::Kind::not_allowed && !refused.error.empty() ? 0 : 2;
                   }),
            0);
  std::thread keeper = keeper_that_answers(3);
  const AdminAnswer rotated = ask_admin(pages_, "rotate");
  EXPECT_EQ(rotated.kind, AdminAnswer::Kind::result) << rotated.error;
  EXPECT_EQ(rotated.result, (json{{"new_key_id", 9}, {"text", "published"}}));
  const uid_t admin = identity_of(Role::admin).uid;
  EXPECT_EQ(
      as_uid(admin, [&] { return ask_admin(pages_, "rotate").kind == AdminAnswer::Kind::result ? 0 : 1; }),
      0);
  const AdminAnswer keys = ask_admin(pages_, "keys");
  EXPECT_EQ(keys.result["current_id"], 8);
  EXPECT_EQ(keys.result["generation"], 4);
  keeper.join();
}

TEST_F(AdminRole, ARotationThatTheKeeperRefusesIsNoSuccess) {
  start();
  for (const Status status : {Status::refused, Status::held, Status::failed}) {
    std::thread keeper = keeper_that_answers(1, {{}, status, 9, {"one waits\x1b already"}});
    const AdminAnswer answer = ask_admin(pages_, "rotate");
    keeper.join();
    EXPECT_EQ(answer.kind, AdminAnswer::Kind::refused);
    EXPECT_EQ(answer.error, "one waits? already");
  }
  std::thread keeper = keeper_that_answers(1, {{}, Status::failed, 0, {}});
  EXPECT_THAT(ask_admin(pages_, "rotate").error, HasSubstr("look at its log"));
  keeper.join();
}

TEST_F(AdminRole, F11_AStrangerAsksNoFasterThanItsPause) {
  if (!is_root_) GTEST_SKIP() << "other uids need root";
  start();
  EXPECT_EQ(as_uid(stranger,
                   [&] {
                     Client client(pages_);
                     const auto begun = std::chrono::steady_clock::now();
                     for (int i = 0; i < 3; ++i) {
                       if (client.ask(R"({"command": "status"})")["ok"] != true) return 1;
                     }
                     return std::chrono::steady_clock::now() - begun >= 2 * 50ms ? 0 : 2;
                   }),
            0);
}

TEST_F(AdminRole, ARoleThatHangsIsShownAsNotRunning) {
  const RoleListener keeper(pages_ / "keeper" / "socket", 0666, {identity_of(Role::admin).uid});
  const RoleListener first(pages_ / "ke" / "0.socket", 0666, {identity_of(Role::admin).uid});
  const RoleListener second(pages_ / "ke" / "1.socket", 0666, {identity_of(Role::admin).uid});
  start();
  const AdminAnswer status = ask_admin(pages_, "status");
  ASSERT_EQ(status.kind, AdminAnswer::Kind::result) << status.error;
  EXPECT_EQ(status.result["keys"]["running"], false);
  EXPECT_EQ(status.result["nts_ke"]["workers"][1], (json{{"worker", 1}, {"running", false}}));
  EXPECT_EQ(ask_admin(pages_, "keys").kind, AdminAnswer::Kind::refused);
  EXPECT_EQ(ask_admin(pages_, "counters").result["nts_ke"]["running"], false);
}

TEST_F(AdminRole, G14_PagesOfAnotherUidAreNotBelieved) {
  if (!is_root_) GTEST_SKIP() << "other uids need root";
  {
    auto stats = shm::Segment<shm::StatsPage>::open_writable(pages_, 0);
    stats->instance_id = 1;
    stats->serving = 1;
    stats->core_count = 1;
    stats->cores[0].received_packets = 5;
  }
  start();
  const auto received = [&] {
    return ask_admin(pages_, "counters").result["dataplane"].value("received_packets", -1);
  };
  EXPECT_EQ(received(), -1);
  const Identity& dataplane = identity_of(Role::dataplane);
  ASSERT_EQ(::chown((pages_ / "dataplane" / "stats").c_str(), dataplane.uid, dataplane.gid), 0);
  EXPECT_EQ(received(), 5);
}

TEST(AskAdmin, F12_SaysWhenNobodyAnswers) {
  const AdminAnswer answer = ask_admin("/dev/shm/noonmark-no-such-directory", "status");
  EXPECT_EQ(answer.kind, AdminAnswer::Kind::nobody);
  EXPECT_THAT(answer.error, HasSubstr("start Noonmark"));
}

}  // namespace
}  // namespace control
