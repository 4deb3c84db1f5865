// The keeper as its callers, the disk and the dataplane meet it.

#include "control/keeper.h"

#include <atomic>
#include <csignal>
#include <cstring>
#include <fcntl.h>
#include <gmock/gmock.h>
#include <grp.h>
#include <mutex>
#include <sys/fanotify.h>
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
using namespace std::chrono_literals;

using Keeping = tests::KeeperLab;

bool is_same(const nts::KeyRing& left, const nts::KeyRing& right) {
  return std::memcmp(&left, &right, sizeof left) == 0;
}

// ---- What it starts from

TEST_F(Keeping, TheFirstStartMakesOneKeyAndSavesItBeforeAnybodySeesIt) {
  start();
  const nts::KeyRing published = ring();
  EXPECT_TRUE(is_same(published, stored().ring));
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
  EXPECT_TRUE(is_same(old_ring, stored().ring));
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

// ---- Rotation

TEST_F(Keeping, C09_WithoutADataplaneANewKeyTakesOverAtOnce) {
  start();
  const std::uint32_t old_id = ring().current_id;
  const SealReply before = seal();
  const RotateReply reply = rotate();
  EXPECT_EQ(reply.status, Status::ok);
  EXPECT_EQ(reply.new_key_id, old_id + 1);
  EXPECT_THAT(text(reply.text), HasSubstr("seals as soon as"));
  ASSERT_TRUE(comes_true([&] { return ring().current_id == old_id + 1; }));
  EXPECT_EQ(ring().slot_of(old_id).state, KeyState::accepting);
  expect_opens(before, ring());
  EXPECT_TRUE(comes_true([&] { return nts::cookie_key_id(seal().cookies[7].data()) == old_id + 1; }));
  expect_opens(seal(), stored().ring);
  const KeyListReply keys = list();
  ASSERT_EQ(keys.count, 2U);
  EXPECT_EQ(keys.keys[0].id, old_id) << "oldest first";
  EXPECT_EQ(keys.keys[1].id, old_id + 1);
}

TEST_F(Keeping, D15_D16_EveryCookieOpensAtOnceWhateverTheRotation) {
  PlayedDataplane dataplane(setup_.pages, 3);
  setup_.core_silence_max = 20s;
  start();
  std::mutex mutex;  // guards `loaded`: what every core of the dataplane opens cookies with
  nts::KeyRing loaded = ring();
  dataplane.acknowledge(loaded.generation);
  std::atomic<std::uint32_t> sealing_id_max{loaded.current_id};
  std::atomic<std::uint32_t> sealed{0};
  std::atomic<bool> stops{false};
  std::thread ke([&] {
    while (!stops && !HasFailure()) {
      const SealReply reply = seal();
      expect_opens(reply, ring());
      EXPECT_LE(nts::cookie_key_id(reply.cookies[0].data()), sealing_id_max.load())
          << "sealed under a key that not every core has";
      const std::lock_guard lock(mutex);
      expect_opens(reply, loaded);
      ++sealed;
    }
  });
  const auto more_are_sealed = [&] {
    const std::uint32_t seen = sealed;
    return comes_true([&] { return sealed >= seen + 5 || HasFailure(); });
  };
  for (int round = 0; round < 20 && !HasFailure(); ++round) {
    const RotateReply reply = rotate();
    ASSERT_EQ(reply.status, Status::ok) << text(reply.text);
    EXPECT_TRUE(more_are_sealed());
    const nts::KeyRing fresh = ring();
    EXPECT_EQ(fresh.slot_of(reply.new_key_id).state, KeyState::accepting);
    EXPECT_EQ(fresh.current_id, reply.new_key_id - 1);
    for (const std::uint32_t core : {0U, 1U}) dataplane->cores[core].acknowledged_keys = fresh.generation;
    EXPECT_TRUE(more_are_sealed()) << "two of three are not all";
    EXPECT_EQ(ring().current_id, reply.new_key_id - 1);
    {
      const std::lock_guard lock(mutex);
      loaded = fresh;
    }
    sealing_id_max = reply.new_key_id;
    dataplane.acknowledge(fresh.generation);
    EXPECT_TRUE(comes_true([&] { return list().rotation_pending == 0; }));
    EXPECT_TRUE(more_are_sealed());
  }
  stops = true;
  ke.join();
}

TEST_F(Keeping, ASilentLiveCoreHoldsTheRotationUntilItSpeaks) {
  PlayedDataplane dataplane(setup_.pages, 2);
  start();
  const std::uint32_t old_id = ring().current_id;
  ASSERT_EQ(rotate().status, Status::ok);
  const std::uint64_t generation = ring().generation;
  dataplane->cores[0].acknowledged_keys = generation;
  EXPECT_EQ(rotate().status, Status::held) << "one at a time";
  ASSERT_TRUE(comes_true([&] { return list().alarm == 1; }));
  const KeyListReply held = list();
  EXPECT_THAT(text(held.alarm_text), HasSubstr("core 1 of the dataplane"));
  EXPECT_EQ(held.rotation_pending, 1U);
  const RotateReply again = rotate();
  EXPECT_EQ(again.status, Status::held);
  EXPECT_EQ(again.new_key_id, old_id + 1);
  EXPECT_THAT(text(again.text), HasSubstr("core 1"));
  EXPECT_EQ(ring().generation, generation);
  EXPECT_EQ(nts::cookie_key_id(seal().cookies[0].data()), old_id) << "the old key goes on";

  dataplane->cores[1].acknowledged_keys = generation;
  ASSERT_TRUE(comes_true([&] { return ring().current_id == old_id + 1; }));
  EXPECT_TRUE(comes_true([&] { return list().alarm == 0; }));
  EXPECT_EQ(list().rotation_pending, 0U);
}

TEST_F(Keeping, ASilentDataplaneThatDiesIsNotWaitedFor) {
  auto dataplane = std::make_unique<PlayedDataplane>(setup_.pages, 1);
  start();
  const std::uint32_t old_id = ring().current_id;
  ASSERT_EQ(rotate().status, Status::ok);
  ASSERT_TRUE(comes_true([&] { return list().alarm == 1; }));
  dataplane.reset();
  EXPECT_TRUE(comes_true([&] { return ring().current_id == old_id + 1; }));
}

TEST_F(Keeping, ARotationThatWouldPushOutAYoungKeyIsRefusedWithTheReason) {
  StoredRing full{};
  make_first_ring(full, {0, 0}, 1);
  for (std::uint32_t i = 1; i < nts::ring_keys_max; ++i) {
    ASSERT_EQ(add_pending_key(full, {0, 0}, setup_.retention_s), "");
    take_over(full, {0, 0});
  }
  KeyFileImage image{};
  encode_key_file(full, image);
  ASSERT_EQ(save_key_file(setup_.file, image), "");
  start();
  const RotateReply reply = rotate();
  EXPECT_EQ(reply.status, Status::refused);
  EXPECT_EQ(reply.new_key_id, 0U);
  EXPECT_THAT(text(reply.text),
              HasSubstr("retention of 1209600 s; rotate later, or lower [keys] retention_s"));
  EXPECT_EQ(ring().generation, full.ring.generation);
  const KeyListReply keys = list();
  EXPECT_EQ(keys.count, nts::ring_keys_max);
  EXPECT_EQ(keys.alarm, 0U);
}

TEST_F(Keeping, AKeyPastItsRetentionIsErasedFromPageAndFile) {
  setup_.retention_s = 0;  // past it as soon as it is superseded
  start();
  const std::uint32_t old_id = ring().current_id;
  const std::array<std::uint8_t, nts::siv::key_bytes> octets = ring().slot_of(old_id).key;
  ASSERT_EQ(rotate().status, Status::ok);
  ASSERT_TRUE(comes_true([&] { return ring().slot_of(old_id).state == KeyState::retired; }));
  const std::string_view secret(reinterpret_cast<const char*>(octets.data()), octets.size());
  EXPECT_EQ(tests::read_file(page()).find(secret), std::string::npos);
  EXPECT_EQ(tests::read_file(setup_.file).find(secret), std::string::npos);
  EXPECT_EQ(list().keys[0].state, KeyState::retired) << "its id is remembered";
  expect_opens(seal(), ring());
}

// Seconds of the epoch pass while nothing else happens, and nobody but the keeper's own timer looks.
TEST_F(Keeping, H10_AKeyRetiresByItself) {
  setup_.retention_s = 1;
  start();
  const std::uint32_t old_id = ring().current_id;
  ASSERT_EQ(rotate().status, Status::ok);
  ASSERT_TRUE(comes_true([&] { return ring().current_id == old_id + 1; }));
  EXPECT_TRUE(comes_true([&] { return ring().slot_of(old_id).state == KeyState::retired; }));
}

TEST_F(Keeping, H10_TheAgeOfAKeyGoesOnOverARestart) {
  StoredRing saved{};
  make_first_ring(saved, {0, 0}, 1);
  const std::uint32_t old_id = saved.ring.current_id;
  ASSERT_EQ(add_pending_key(saved, {0, 0}, setup_.retention_s), "");
  take_over(saved, {0, 0});
  saved.epoch_s = 1 + setup_.retention_s;
  KeyFileImage image{};
  encode_key_file(saved, image);
  ASSERT_EQ(save_key_file(setup_.file, image), "");
  start();
  EXPECT_TRUE(comes_true([&] { return ring().slot_of(old_id).state == KeyState::retired; }));
}

// ---- The disk

TEST_F(Keeping, F10_AFirstStartWithADeadDiskServesFromRamAndSavesLater) {
  block_disk();
  start();
  const SealReply before = seal();
  expect_opens(before, ring());
  EXPECT_TRUE(comes_true([&] { return list().alarm == 1; }));
  EXPECT_THAT(text(list().alarm_text), HasSubstr("cannot create"));
  const RotateReply reply = rotate();
  EXPECT_EQ(reply.status, Status::failed) << "no key is added that cannot be saved";
  EXPECT_THAT(text(reply.text), HasSubstr("no new key: cannot create"));
  EXPECT_EQ(list().count, 1U);
  EXPECT_FALSE(std::filesystem::exists(setup_.file));
  restart();  // the disk is still dead, and the page is all there is
  expect_opens(before, ring());
  EXPECT_TRUE(comes_true([&] { return list().alarm == 1; }));
  unblock_disk();
  EXPECT_TRUE(comes_true([&] { return list().alarm == 0; }));
  expect_opens(before, stored().ring);
  EXPECT_EQ(rotate().status, Status::ok);
}

TEST_F(Keeping, F10_ARotationOnADeadDiskChangesNothing) {
  start();
  const nts::KeyRing old_ring = ring();
  const std::string old_file = tests::read_file(setup_.file);
  block_disk();
  const RotateReply reply = rotate();
  EXPECT_EQ(reply.status, Status::failed);
  EXPECT_EQ(reply.new_key_id, 0U);
  EXPECT_THAT(text(reply.text), HasSubstr("cannot create"));
  EXPECT_EQ(list().alarm, 1U);
  EXPECT_TRUE(is_same(old_ring, ring())) << "nothing is published that is not saved";
  EXPECT_EQ(tests::read_file(setup_.file), old_file);
  expect_opens(seal(), old_ring);
  unblock_disk();
  EXPECT_TRUE(comes_true([&] { return list().alarm == 0; })) << "the alarm ends with the trouble";
  EXPECT_EQ(rotate().status, Status::ok);
}

TEST_F(Keeping, F10_AHandOverWaitsForTheDisk) {
  PlayedDataplane dataplane(setup_.pages, 1);
  setup_.core_silence_max = 20s;
  start();
  const std::uint32_t old_id = ring().current_id;
  ASSERT_EQ(rotate().status, Status::ok);
  block_disk();
  dataplane.acknowledge(ring().generation);
  ASSERT_TRUE(comes_true([&] { return list().alarm == 1; }));
  EXPECT_EQ(ring().current_id, old_id);
  EXPECT_EQ(nts::cookie_key_id(seal().cookies[0].data()), old_id);
  EXPECT_EQ(rotate().status, Status::held);
  unblock_disk();
  EXPECT_TRUE(comes_true([&] { return ring().current_id == old_id + 1; }));
  EXPECT_EQ(stored().ring.current_id, old_id + 1);
}

// A disk that does not come back: every open() of a file in `directory` waits for a permission (fanotify(7))
// that nobody gives until this ends. The keeper's read of a missing file is no open, so it starts.
class HungDisk {
 public:
  explicit HungDisk(const std::filesystem::path& directory)
      : permissions_(::fanotify_init(FAN_CLASS_CONTENT | FAN_CLOEXEC, O_RDONLY)) {
    is_there_ = permissions_.is_open() &&
                ::fanotify_mark(permissions_.get(), FAN_MARK_ADD, FAN_OPEN_PERM | FAN_EVENT_ON_CHILD,
                                AT_FDCWD, directory.c_str()) == 0;
  }
  [[nodiscard]] bool is_there() const { return is_there_; }
  void end() { permissions_.reset(); }

 private:
  Descriptor permissions_;
  bool is_there_;
};

TEST_F(Keeping, ASaveThatHangsHoldsUpNoSeal) {
  setup_.rotate_patience = 20ms;
  setup_.save_patience = 50ms;
  start();
  const nts::KeyRing old_ring = ring();
  HungDisk disk(setup_.file.parent_path());
  if (!disk.is_there()) GTEST_SKIP() << "fanotify needs root: " << std::strerror(errno);
  const RotateReply reply = rotate();
  EXPECT_EQ(reply.status, Status::held);
  EXPECT_THAT(text(reply.text), HasSubstr("still being written"));
  for (int i = 0; i < 100; ++i) expect_opens(seal(), old_ring);
  EXPECT_TRUE(comes_true([&] { return list().alarm == 1; }));
  EXPECT_THAT(text(list().alarm_text), HasSubstr("does not answer"));
  EXPECT_EQ(rotate().status, Status::held) << "the first wish still stands";
  expect_opens(seal(), old_ring);
  EXPECT_TRUE(is_same(ring(), old_ring));
  disk.end();
  EXPECT_TRUE(comes_true([&] { return ring().current_id == old_ring.current_id + 1; }))
      << "the new key comes after it, as was said";
  EXPECT_TRUE(comes_true([&] { return list().alarm == 0; }));
}

TEST_F(Keeping, F10_AFirstStartOnADiskThatHangsServesFromRam) {
  setup_.save_patience = 50ms;
  HungDisk disk(setup_.file.parent_path());
  if (!disk.is_there()) GTEST_SKIP() << "fanotify needs root: " << std::strerror(errno);
  start();
  const SealReply before = seal();
  expect_opens(before, ring());
  EXPECT_EQ(list().alarm, 1U);
  disk.end();
  EXPECT_TRUE(comes_true([&] { return list().alarm == 0; }));
  expect_opens(before, stored().ring);
}

// ---- Who may ask for what

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
  for (const std::uint32_t kind : {0U, 2U, 4U, 6U, 7U, 8U, 9U, 10U, 0xffffffffU}) {
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
        ::_exit(run_keeper(config_));
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
