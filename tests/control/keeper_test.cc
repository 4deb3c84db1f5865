// The keeper as a process: what it starts from, who may start, and how it ends and comes back.

#include "control/keeper.h"

#include <csignal>
#include <cstring>
#include <gmock/gmock.h>
#include <grp.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "control/roles.h"
#include "tests/control/keeper_lab.h"

namespace control {
namespace {

using nts::KeyState;
using testing::HasSubstr;
using tests::comes_true;
using tests::PlayedDataplane;

using Keeping = tests::KeeperLab;

// ---- What it starts from

TEST_F(Keeping, TheFirstStartMakesOneKeyAndSavesItBeforeAnybodySeesIt) {
  start();
  const nts::KeyRing published = ring();
  EXPECT_TRUE(tests::is_same(published, stored().ring));
  EXPECT_EQ(tests::mode_of(setup_.file), 0600U);
  expect_opens(seal(), published);
  const KeyListReply keys = list();
  ASSERT_EQ(keys.count, 1U);
  EXPECT_EQ(keys.keys[0].id, published.current_id);
  EXPECT_EQ(keys.keys[0].state, KeyState::current);
  EXPECT_EQ(keys.ring_generation, published.generation);
  EXPECT_EQ(keys.rotation_pending, 0U);
  EXPECT_EQ(keys.alarm, 0U);
  EXPECT_EQ(text(keys.alarm_text), "");
}

TEST_F(Keeping, ThePageIsForTheDataplanesGroupOnly) {
  if (::geteuid() == 0) setup_.dataplane_gid = identity_of(Role::dataplane).gid;
  start();
  struct stat status {};
  ASSERT_EQ(::stat(page().c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 07777U, 0640U);
  EXPECT_EQ(status.st_gid, setup_.dataplane_gid);
  EXPECT_EQ(tests::mode_of(socket()), 0666U);
}

TEST_F(Keeping, H05_C28_ARestartOpensTheOldCookiesAndSealsTheSameLength) {
  start();
  const SealReply before = seal(3);
  const nts::KeyRing old_ring = ring();
  restart();
  expect_opens(before, ring(), 3);
  expect_opens(seal(4), old_ring, 4);
}

TEST_F(Keeping, H05_AfterAPowerCutTheFileAloneOpensTheOldCookies) {
  start();
  const SealReply before = seal();
  stop();
  std::filesystem::remove(page());
  start();
  expect_opens(before, ring());
}

TEST_F(Keeping, F08_ALostFileIsMadeAnewFromThePage) {
  start();
  const SealReply before = seal();
  const nts::KeyRing old_ring = ring();
  stop();
  std::filesystem::remove(setup_.file);
  start();
  expect_opens(before, ring());
  EXPECT_EQ(ring().generation, old_ring.generation);
  EXPECT_TRUE(comes_true([&] { return std::filesystem::exists(setup_.file); }));
  EXPECT_TRUE(tests::is_same(old_ring, stored().ring));
}

TEST_F(Keeping, F08_ABadFileIsMovedAsideAndTheKeysInRamAreKept) {
  start();
  const SealReply before = seal();
  stop();
  const std::string whole = tests::read_file(setup_.file);
  // Cut so that a whole header and half a key are left: a reader that takes what it gets would take that.
  tests::write_file(setup_.file, whole.substr(0, 100));
  start();
  expect_opens(before, ring());
  EXPECT_EQ(tests::read_file(setup_.file.native() + ".refused.1"), whole.substr(0, 100));
  EXPECT_TRUE(comes_true([&] { return std::filesystem::exists(setup_.file); }));
  EXPECT_EQ(stored().ring.current_id, ring().current_id);
}

TEST_F(Keeping, F08_ABadFileWithoutKeysInRamMeansNewKeys) {
  tests::write_file(setup_.file, std::string("no keys at all"));
  start();
  EXPECT_EQ(list().count, 1U);
  expect_opens(seal(), ring());
  EXPECT_EQ(tests::read_file(setup_.file.native() + ".refused.1"), "no keys at all");
  EXPECT_EQ(stored().ring.current_id, ring().current_id);
}

TEST_F(Keeping, F04_AFileThatOthersCouldReadIsRefused) {
  start();
  const std::uint32_t old_id = ring().current_id;
  stop();
  std::filesystem::remove(page());
  ASSERT_EQ(::chmod(setup_.file.c_str(), 0644), 0);
  start();
  EXPECT_NE(ring().current_id, old_id);
  EXPECT_TRUE(std::filesystem::exists(setup_.file.native() + ".refused.1"));
}

TEST_F(Keeping, AnOldBackupOfTheFileTakesNoKeyAway) {
  start();
  const std::string backup = tests::read_file(setup_.file);
  ASSERT_EQ(rotate().status, Status::ok);
  ASSERT_TRUE(comes_true([&] { return list().rotation_pending == 0; }));
  const SealReply before = seal();
  const std::uint64_t generation = ring().generation;
  stop();
  tests::write_file(setup_.file, backup);
  start();
  expect_opens(before, ring());
  EXPECT_GE(ring().generation, generation);
  EXPECT_TRUE(comes_true([&] { return stored().ring.generation == ring().generation; }));
}

TEST_F(Keeping, AHandOverThatWasSavedButNotFinishedIsTakenUp) {
  start();
  const nts::KeyRing old_ring = ring();
  stop();
  StoredRing saved = stored();
  ASSERT_EQ(add_pending_key(saved, {0, 0}, setup_.retention_s), "");
  KeyFileImage image{};
  encode_key_file(saved, image);
  ASSERT_EQ(save_key_file(setup_.file, image), "");
  PlayedDataplane dataplane(setup_.pages, 2);
  dataplane.acknowledge(old_ring.generation);
  start();
  EXPECT_EQ(ring().generation, saved.ring.generation);
  EXPECT_EQ(nts::cookie_key_id(seal().cookies[0].data()), old_ring.current_id);
  EXPECT_EQ(list().rotation_pending, 1U);
  dataplane.acknowledge(saved.ring.generation);
  EXPECT_TRUE(comes_true([&] { return ring().current_id == old_ring.current_id + 1; }));
}

TEST_F(Keeping, G07_ASecondKeeperIsRefused) {
  start();
  const SealReply before = seal();
  try {
    boost::asio::io_context io;
    const Keeper second(io, setup_, *nts::siv::choose_tier());
    ADD_FAILURE() << "there are two";
  } catch (const shm::SegmentError& error) {
    EXPECT_THAT(error.what(), HasSubstr("already has a writer"));
  }
  expect_opens(before, ring());
  expect_opens(seal(), ring());
}

TEST_F(Keeping, KeysOnADiskAreRefused) {
  std::string form = "/var/tmp/noonmark-test-XXXXXX";
  ASSERT_NE(::mkdtemp(form.data()), nullptr);
  setup_.pages = form;
  std::filesystem::create_directory(setup_.pages / "keeper");
  boost::asio::io_context io;
  try {
    const Keeper keeper(io, setup_, *nts::siv::choose_tier());
    ADD_FAILURE() << "started";
  } catch (const shm::SegmentError& error) {
    EXPECT_THAT(error.what(), HasSubstr("tmpfs"));
  }
  std::filesystem::remove_all(form);
}

// ---- The process

// What a supervisor hears, systemd's way.
class Supervisor {
 public:
  explicit Supervisor(const std::filesystem::path& path)
      : socket_(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0)) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::strcpy(address.sun_path, path.c_str());
    EXPECT_EQ(::bind(socket_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
    EXPECT_EQ(::chmod(path.c_str(), 0666), 0);
    timeval limit{tests::patience.count(), 0};
    EXPECT_EQ(::setsockopt(socket_.get(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit), 0);
  }
  std::string hears() {
    char text[256];
    const ssize_t bytes = ::recv(socket_.get(), text, sizeof text, 0);
    return bytes < 0 ? "" : std::string(text, static_cast<std::size_t>(bytes));
  }

 private:
  Descriptor socket_;
};

class KeeperProcess : public Keeping {
 protected:
  // Under the keeper's own uid, as on an appliance.
  void SetUp() override {
    if (::geteuid() != 0) GTEST_SKIP() << "the keeper's uid needs root";
    for (const char* directory : {"keeper", "state"}) {
      ASSERT_EQ(::chown((setup_.pages / directory).c_str(), uid_, uid_), 0);
    }
    ASSERT_EQ(::chmod(setup_.file.parent_path().c_str(), 0700), 0);
    config_.paths.pages = setup_.pages;
    config_.keys.file = setup_.file;
  }
  void TearDown() override { end(SIGKILL); }

  void begin() {
    process_ = ::fork();
    if (process_ == 0) {
      ::setenv("NOTIFY_SOCKET", notify_path_.c_str(), 1);
      const gid_t dataplane = identity_of(Role::dataplane).gid;
      if (::setgroups(1, &dataplane) != 0 || ::setresgid(uid_, uid_, uid_) != 0 ||
          ::setresuid(uid_, uid_, uid_) != 0) {
        ::_exit(97);
      }
      try {
        ::_exit(run_keeper(config_, {}));
      } catch (const std::exception& error) {
        ::_exit(96);
      }
    }
    EXPECT_EQ(supervisor_.hears(), "READY=1");
  }
  int end(int signal) {
    int status = -1;
    if (process_ > 0) {
      ::kill(process_, signal);
      ::waitpid(process_, &status, 0);
    }
    process_ = -1;
    return status;
  }
  SealReply seal_as_root() {
    SealReply reply{};
    auto keeper = RoleConnection::connect(socket(), std::array<uid_t, 1>{uid_});
    EXPECT_TRUE(keeper && keeper->ask(tests::seal_request(1), MessageKind::seal_reply, reply,
                                      deadline_in(tests::patience)));
    return reply;
  }
  nts::KeyRing ring_of_process() {
    const auto mapped = shm::Segment<shm::KeysPage>::attach(setup_.pages, uid_);
    nts::KeyRing ring{};
    std::uint64_t seen = 0;
    EXPECT_TRUE(comes_true([&] { return mapped->ring.read(ring, seen); }));
    return ring;
  }

  const uid_t uid_ = identity_of(Role::keeper).uid;
  std::filesystem::path notify_path_ = scratch_.path() / "notify";
  Supervisor supervisor_{notify_path_};
  Config config_;
  pid_t process_ = -1;
};

TEST_F(KeeperProcess, SaysWhenItServesAndEndsWithZeroWhenAsked) {
  for (const int signal : {SIGTERM, SIGINT}) {
    begin();
    expect_opens(seal_as_root(), ring_of_process());
    struct stat status {};
    ASSERT_EQ(::stat(page().c_str(), &status), 0);
    EXPECT_EQ(status.st_uid, uid_);
    EXPECT_EQ(status.st_gid, identity_of(Role::dataplane).gid);
    EXPECT_EQ(end(signal), 0);
    EXPECT_EQ(supervisor_.hears(), "STOPPING=1");
    EXPECT_FALSE(std::filesystem::exists(socket()));
  }
}

TEST_F(KeeperProcess, H01_KilledWithoutWarningItComesBackWithTheSameKeys) {
  begin();
  const SealReply first = seal_as_root();
  for (int i = 0; i < 3; ++i) {
    EXPECT_TRUE(WIFSIGNALED(end(SIGKILL)));
    expect_opens(first, ring_of_process());  // the dataplane's view while there is no keeper
    begin();
    expect_opens(first, ring_of_process());
    expect_opens(seal_as_root(), ring_of_process());
  }
}

}  // namespace
}  // namespace control
