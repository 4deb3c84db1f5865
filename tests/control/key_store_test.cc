// The key file: whole or not at all, whatever is in its place.

#include "control/key_store.h"

#include <cstring>
#include <fstream>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "control/key_rotation.h"
#include "tests/control/scratch.h"

namespace control {
namespace {

using testing::HasSubstr;
using Octets = std::vector<std::uint8_t>;
using tests::Scratch;

constexpr std::size_t header_bytes = 72;
constexpr std::size_t key_bytes = 56;
constexpr std::size_t hash_bytes = 32;

// Two keys, one of them superseded, made as the keeper makes them.
StoredRing two_keys() {
  StoredRing stored{};
  make_first_ring(stored, {100, 1'700'000'000}, 5);
  EXPECT_EQ(add_pending_key(stored, {200, 1'700'000'100}, 10), "");
  take_over(stored, {300, 1'700'000'200});
  stored.epoch_s = 400;
  stored.boottime_s = 777;
  stored.boot_id.fill(0xb0);
  return stored;
}

Octets encoded(const StoredRing& stored) {
  KeyFileImage image{};
  encode_key_file(stored, image);
  return Octets(image.octets.begin(), image.octets.begin() + static_cast<std::ptrdiff_t>(image.bytes));
}

// After a change on purpose: the checksum shall not be what refuses it.
Octets rehashed(Octets file) {
  const std::size_t bytes = file.size() - hash_bytes;
  crypto_generichash(file.data() + bytes, hash_bytes, file.data(), bytes, nullptr, 0);
  return file;
}

void put_u32(Octets& file, std::size_t offset, std::uint32_t value) {
  std::memcpy(file.data() + offset, &value, sizeof value);
}

bool is_same(const StoredRing& left, const StoredRing& right) {
  return std::memcmp(&left, &right, sizeof left) == 0;
}

// Refused, and what was there before is untouched.
std::string refusal_of(const Octets& file) {
  StoredRing before{};
  before.epoch_s = 4711;
  StoredRing stored = before;
  const std::string fault = decode_key_file(file, stored);
  EXPECT_TRUE(is_same(stored, before)) << "half-loaded";
  return fault;
}

TEST(KeyFile, GivesBackWhatWasStored) {
  const StoredRing stored = two_keys();
  StoredRing read{};
  ASSERT_EQ(decode_key_file(encoded(stored), read), "");
  EXPECT_TRUE(is_same(read, stored));
  EXPECT_EQ(encoded(stored).size(), header_bytes + 2 * key_bytes + hash_bytes);
}

TEST(KeyFile, F08_ACutFileIsRefusedWhole) {
  const Octets whole = encoded(two_keys());
  for (std::size_t bytes = 0; bytes < whole.size(); ++bytes) {
    SCOPED_TRACE(bytes);
    EXPECT_NE(refusal_of(Octets(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(bytes))), "");
  }
}

TEST(KeyFile, F08_AFileWithExtraOctetsIsRefused) {
  for (const std::size_t extra : {std::size_t{1}, key_bytes, std::size_t{4096}}) {
    SCOPED_TRACE(extra);
    Octets file = encoded(two_keys());
    file.resize(file.size() + extra);
    EXPECT_THAT(refusal_of(file), HasSubstr("length"));
    EXPECT_THAT(refusal_of(rehashed(file)), HasSubstr("length"));
  }
}

TEST(KeyFile, F08_EachFlippedBitIsNoticed) {
  const Octets whole = encoded(two_keys());
  for (std::size_t bit = 0; bit < 8 * whole.size(); ++bit) {
    SCOPED_TRACE(bit);
    Octets file = whole;
    file[bit / 8] ^= static_cast<std::uint8_t>(1U << (bit % 8));
    EXPECT_NE(refusal_of(file), "");
  }
}

TEST(KeyFile, F08_AnotherMagicAndAFutureVersionAreRefusedByName) {
  Octets file = encoded(two_keys());
  file[0] ^= 0x20;
  EXPECT_THAT(refusal_of(rehashed(file)), HasSubstr("no key file"));
  file = encoded(two_keys());
  put_u32(file, 8, key_file_version + 1);
  EXPECT_THAT(refusal_of(rehashed(file)), HasSubstr("version 2"));
  put_u32(file, 8, 0);
  EXPECT_THAT(refusal_of(rehashed(file)), HasSubstr("version 0"));
}

TEST(KeyFile, F08_AFileWithoutKeysIsRefused) {
  Octets file = encoded(two_keys());
  file.erase(file.begin() + header_bytes, file.end() - hash_bytes);
  put_u32(file, 12, 0);
  EXPECT_THAT(refusal_of(rehashed(file)), HasSubstr("no keys"));
}

TEST(KeyFile, F08_WrongIdsStatesAndKeysAreRefusedThoughTheChecksumIsRight) {
  const StoredRing stored = two_keys();
  const Octets good = encoded(stored);
  StoredRing read{};
  ASSERT_EQ(decode_key_file(rehashed(good), read), "") << "the checksum below is the file's own";
  // Keys stand in the order of their slots, so either may be the current one.
  const std::size_t first = header_bytes;
  const std::size_t second = header_bytes + key_bytes;
  std::uint32_t second_id = 0;
  std::memcpy(&second_id, good.data() + second, sizeof second_id);
  const auto refusal_with = [&](std::size_t offset, std::uint32_t value) {
    Octets file = good;
    put_u32(file, offset, value);
    return refusal_of(rehashed(file));
  };
  EXPECT_THAT(refusal_with(first, second_id), HasSubstr("one slot")) << "an id twice";
  EXPECT_THAT(refusal_with(first, second_id + nts::ring_keys_max), HasSubstr("one slot"));
  EXPECT_THAT(refusal_with(first, 0), HasSubstr("contradict")) << "id 0";
  // Into the last slot, which the first of two never has.
  EXPECT_THAT(refusal_with(second, 0xffffffff), HasSubstr("contradict")) << "id all ones";
  EXPECT_THAT(refusal_with(first + 4, 0), HasSubstr("no state"));
  EXPECT_THAT(refusal_with(first + 4, 4), HasSubstr("contradict")) << "a state nobody knows";
  EXPECT_THAT(refusal_with(24, 0), HasSubstr("contradict")) << "a current key that it does not name";
  EXPECT_THAT(refusal_with(24, stored.ring.current_id + 1), HasSubstr("contradict"));
  EXPECT_THAT(refusal_with(12, 1), HasSubstr("length")) << "fewer keys than there are";
  EXPECT_THAT(refusal_with(12, 0xffffffff), HasSubstr("length"));
  Octets file = good;
  put_u32(file, 24, 0);
  put_u32(file, first + 4, 1);
  put_u32(file, second + 4, 1);
  EXPECT_THAT(refusal_of(rehashed(file)), HasSubstr("no current key"));
  file = good;
  std::memset(file.data() + second + 24, 0, nts::siv::key_bytes);
  EXPECT_THAT(refusal_of(rehashed(file)), HasSubstr("zeros"));
  file = good;
  std::memset(file.data() + 16, 0, 8);
  EXPECT_THAT(refusal_of(rehashed(file)), HasSubstr("contradict")) << "generation 0";
}

// On disk.
class KeyFileOnDisk : public testing::Test {
 protected:
  LoadReport load() { return load_key_file(file_, stored_); }
  // Refused, moved aside as it was, and nothing of it taken.
  void expect_refused(const std::string& reason) {
    stored_ = {};
    const LoadReport report = load();
    EXPECT_EQ(report.loaded, Loaded::refused);
    EXPECT_THAT(report.reason, HasSubstr(reason));
    EXPECT_THAT(report.reason, HasSubstr(file_.native() + ".refused."));
    EXPECT_FALSE(std::filesystem::exists(std::filesystem::symlink_status(file_)));
    EXPECT_TRUE(is_same(stored_, StoredRing{}));
    EXPECT_EQ(load().loaded, Loaded::missing);
  }
  std::string save(const StoredRing& stored) {
    KeyFileImage image{};
    encode_key_file(stored, image);
    return save_key_file(file_, image);
  }

  Scratch scratch_;
  std::filesystem::path file_ = scratch_.path() / "keys";
  StoredRing stored_{};
};

TEST_F(KeyFileOnDisk, IsReadBackAndHasMode0600WhateverTheUmask) {
  EXPECT_EQ(load().loaded, Loaded::missing);
  for (const mode_t mask : {0U, 0777U}) {
    const mode_t before = ::umask(mask);
    const StoredRing stored = two_keys();
    EXPECT_EQ(save(stored), "");
    ::umask(before);
    EXPECT_EQ(tests::mode_of(file_), 0600U);
    ASSERT_EQ(load().loaded, Loaded::ring);
    EXPECT_TRUE(is_same(stored_, stored));
  }
}

TEST_F(KeyFileOnDisk, F08_ABadFileIsMovedAsideForAPersonToLookAt) {
  const std::string bad = "-----BEGIN SOMETHING ELSE-----";
  tests::write_file(file_, bad);
  expect_refused("cut short");
  EXPECT_EQ(tests::read_file(file_.native() + ".refused.1"), bad);
  // The next one does not take its place; the ninth name is used over and over.
  for (int i = 2; i <= 11; ++i) {
    tests::write_file(file_, bad + std::to_string(i));
    expect_refused("cut short");
  }
  EXPECT_EQ(tests::read_file(file_.native() + ".refused.1"), bad);
  EXPECT_EQ(tests::read_file(file_.native() + ".refused.9"), bad + "11");
  EXPECT_FALSE(std::filesystem::exists(file_.native() + ".refused.10"));
}

TEST_F(KeyFileOnDisk, F08_ALongFileIsRefusedUnread) {
  tests::write_file(file_, Octets(key_file_bytes_max + 1));
  expect_refused("too long");
}

TEST_F(KeyFileOnDisk, F04_ASymbolicLinkIsNotFollowed) {
  ASSERT_EQ(save(two_keys()), "");
  std::filesystem::rename(file_, scratch_.path() / "elsewhere");
  std::filesystem::create_symlink(scratch_.path() / "elsewhere", file_);
  expect_refused("symbolic link");
  EXPECT_TRUE(std::filesystem::exists(scratch_.path() / "elsewhere"));
}

TEST_F(KeyFileOnDisk, F04_AFileWithASecondNameIsRefused) {
  ASSERT_EQ(save(two_keys()), "");
  std::filesystem::create_hard_link(file_, scratch_.path() / "second");
  expect_refused("second name");
}

TEST_F(KeyFileOnDisk, F04_AFileThatOthersCouldReadOrWriteIsRefused) {
  for (const mode_t mode : {0601U, 0602U, 0604U, 0610U, 0620U, 0640U, 0666U}) {
    SCOPED_TRACE(mode);
    ASSERT_EQ(save(two_keys()), "");
    ASSERT_EQ(::chmod(file_.c_str(), mode), 0);
    expect_refused("others could");
  }
  ASSERT_EQ(save(two_keys()), "");
  ASSERT_EQ(::chmod(file_.c_str(), 0400), 0);
  EXPECT_EQ(load().loaded, Loaded::ring) << "less than 0600 is no fault";
}

TEST_F(KeyFileOnDisk, F04_AFileOfAnotherOwnerIsRefused) {
  if (::geteuid() != 0) GTEST_SKIP() << "giving a file away needs root";
  ASSERT_EQ(save(two_keys()), "");
  ASSERT_EQ(::chown(file_.c_str(), 62102, 62102), 0);
  expect_refused("belongs to uid 62102");
}

TEST_F(KeyFileOnDisk, F04_WhatIsNoRegularFileIsRefusedWithoutAWait) {
  ASSERT_EQ(::mkfifo(file_.c_str(), 0600), 0);
  expect_refused("no regular file");
  std::filesystem::create_directory(file_);
  ASSERT_EQ(::chmod(file_.c_str(), 0700), 0);
  expect_refused("no regular file");
}

TEST_F(KeyFileOnDisk, AFailedSaveLeavesTheOldFile) {
  const StoredRing old = two_keys();
  ASSERT_EQ(save(old), "");
  // A directory cannot be unlinked, nor can a file be made in its place: true for root too.
  std::filesystem::create_directory(file_.native() + ".new");
  EXPECT_THAT(save(two_keys()), HasSubstr("cannot create"));
  ASSERT_EQ(load().loaded, Loaded::ring);
  EXPECT_TRUE(is_same(stored_, old));
  std::filesystem::remove(file_.native() + ".new");
  EXPECT_EQ(save(two_keys()), "");
}

TEST_F(KeyFileOnDisk, LeftoversOfADeadKeeperAreNoHindrance) {
  tests::write_file(file_.native() + ".new", std::string("half a fi"));
  EXPECT_EQ(load().loaded, Loaded::missing);
  EXPECT_EQ(save(two_keys()), "");
  EXPECT_EQ(load().loaded, Loaded::ring);
  EXPECT_FALSE(std::filesystem::exists(file_.native() + ".new"));
}

TEST_F(KeyFileOnDisk, ASaveReplacesTheFileInsteadOfWritingIntoIt) {
  const StoredRing old = two_keys();
  ASSERT_EQ(save(old), "");
  std::ifstream reader(file_, std::ios::binary);  // as somebody who makes a backup
  ASSERT_EQ(save(two_keys()), "");
  const std::string seen{std::istreambuf_iterator<char>(reader), {}};
  StoredRing read{};
  EXPECT_EQ(decode_key_file({reinterpret_cast<const std::uint8_t*>(seen.data()), seen.size()}, read), "");
  EXPECT_TRUE(is_same(read, old));
}

TEST_F(KeyFileOnDisk, F10_AFullDiskLeavesTheOldFile) {
  const std::filesystem::path disk = scratch_.path() / "disk";
  std::filesystem::create_directory(disk);
  if (!tests::mount_in_own_namespace("tmpfs", disk, "size=8k,mode=0700")) {
    GTEST_SKIP() << "mounting a small tmpfs needs root: " << std::strerror(errno);
  }
  file_ = disk / "keys";
  const StoredRing old = two_keys();
  ASSERT_EQ(save(old), "");
  tests::write_file(disk / "filler", Octets(4096));  // the second and last page
  EXPECT_THAT(save(two_keys()), HasSubstr("No space left on device"));
  EXPECT_FALSE(std::filesystem::exists(file_.native() + ".new"));
  ASSERT_EQ(load().loaded, Loaded::ring);
  EXPECT_TRUE(is_same(stored_, old));
  std::filesystem::remove(disk / "filler");
  EXPECT_EQ(save(two_keys()), "");
  ::umount(disk.c_str());
}

TEST_F(KeyFileOnDisk, ADirectoryThatIsNotOursIsTheMachinesFault) {
  if (::geteuid() != 0) GTEST_SKIP() << "becoming another uid needs root";
  ASSERT_EQ(save(two_keys()), "");
  ASSERT_EQ(::chmod(scratch_.path().c_str(), 0700), 0);
  EXPECT_EQ(tests::as_uid(62101,
                          [&] {
                            try {
                              (void)load();
                            } catch (const std::runtime_error& error) {
                              return std::string(error.what()).find("give the file") != std::string::npos ? 0
                                                                                                          : 1;
                            }
                            return 2;
                          }),
            0);
  EXPECT_EQ(tests::as_uid(62101, [&] { return save(two_keys()).empty() ? 1 : 0; }), 0);
  EXPECT_EQ(load().loaded, Loaded::ring) << "and it is not moved aside";
}

TEST(Epoch, H09_GoesOnWithinABootAndStandsStillOverOne) {
  StoredRing saved{};
  Epoch epoch;
  epoch.stamp(saved);
  EXPECT_LE(saved.epoch_s, 1U) << "a new machine begins at 0";
  saved.epoch_s = 1000;
  saved.boottime_s -= std::min<std::uint64_t>(saved.boottime_s, 50);  // saved 50 s ago
  Epoch same_boot;
  same_boot.resume(saved);
  EXPECT_GE(same_boot.now_s(), 1049U);
  EXPECT_LE(same_boot.now_s(), 1060U);
  saved.boot_id[0] ^= 1;
  Epoch other_boot;
  other_boot.resume(saved);
  EXPECT_GE(other_boot.now_s(), 1000U);
  EXPECT_LE(other_boot.now_s(), 1010U);
  saved.boot_id[0] ^= 1;
  saved.boottime_s += 1'000'000;  // from the future: not of this boot, whatever it says
  Epoch future;
  future.resume(saved);
  EXPECT_LE(future.now_s(), 1010U);
}

}  // namespace
}  // namespace control
