// How the keeper changes keys while the dataplane serves, and what it does when the disk fails it.

#include <atomic>
#include <cstring>
#include <fcntl.h>
#include <gmock/gmock.h>
#include <mutex>
#include <sys/fanotify.h>

#include "tests/control/keeper_lab.h"

namespace control {
namespace {

using nts::KeyState;
using testing::HasSubstr;
using tests::comes_true;
using tests::PlayedDataplane;
using namespace std::chrono_literals;

using Keeping = tests::KeeperLab;

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
  EXPECT_TRUE(tests::is_same(old_ring, ring())) << "nothing is published that is not saved";
  EXPECT_EQ(tests::read_file(setup_.file), old_file);
  expect_opens(seal(), old_ring);
  unblock_disk();
  EXPECT_TRUE(comes_true([&] { return list().alarm == 0; })) << "the alarm ends with the trouble";
  EXPECT_EQ(rotate().status, Status::ok);
}

TEST_F(Keeping, F10_WhoHasMendedTheDiskNeedsNotWaitForTheNextTry) {
  setup_.save_retry_min = setup_.save_retry_max = 1h;
  start();
  block_disk();
  EXPECT_EQ(rotate().status, Status::failed);
  unblock_disk();
  EXPECT_TRUE(comes_true([&] { return rotate().status == Status::ok; })) << "asking is reason to try again";
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
  EXPECT_TRUE(tests::is_same(ring(), old_ring));
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

}  // namespace
}  // namespace control
