#include "dataplane/shm/segment.h"

#include <cerrno>
#include <fcntl.h>
#include <fstream>
#include <functional>
#include <gtest/gtest.h>
#include <linux/magic.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>

namespace {

namespace fs = std::filesystem;
using shm::ClockPage;
using shm::KeysPage;
using shm::Segment;
using shm::SegmentError;

class SegmentTest : public testing::Test {
 protected:
  void SetUp() override {
    char name[] = "/dev/shm/noonmark-segment-XXXXXX";
    ASSERT_NE(::mkdtemp(name), nullptr);
    directory_ = name;
    for (const char* role : {"keeper", "clock", "admin", "dataplane"})
      fs::create_directory(directory_ / role);
    fs::permissions(directory_, fs::perms(0755));
  }
  void TearDown() override { fs::remove_all(directory_); }

  fs::path clock_path() const { return shm::page_path(directory_, shm::PageKind::clock); }
  std::string refusal() const {
    try {
      (void)Segment<ClockPage>::attach(directory_, ::geteuid());
      return "";
    } catch (const SegmentError& error) {
      return error.what();
    }
  }

  fs::path directory_;
};

TEST_F(SegmentTest, AReaderSeesWhatTheWriterPublishes) {
  auto writer = Segment<ClockPage>::open_writable(directory_, ::getegid());
  auto reader = Segment<ClockPage>::attach(directory_, ::geteuid());
  hwclock::ClockState state{};
  std::uint64_t seen = 0;
  EXPECT_FALSE(reader->clock.read(state, seen));
  state.ntp0 = 12345;
  writer->clock.publish(state);
  hwclock::ClockState got{};
  ASSERT_TRUE(reader->clock.read(got, seen));
  EXPECT_EQ(got.ntp0, 12345U);
}

TEST_F(SegmentTest, G07_ASecondWriterIsRefusedAndAThirdAfterTheFirstIsGoneIsNot) {
  {
    auto writer = Segment<ClockPage>::open_writable(directory_, ::getegid());
    EXPECT_THROW((void)Segment<ClockPage>::open_writable(directory_, ::getegid()), SegmentError);
  }
  EXPECT_NO_THROW((void)Segment<ClockPage>::open_writable(directory_, ::getegid()));
}

TEST_F(SegmentTest, G08_ARestartedWriterGoesOnWithTheSameFile) {
  struct stat before {};
  struct stat after {};
  {
    auto writer = Segment<ClockPage>::open_writable(directory_, ::getegid());
    hwclock::ClockState state{};
    state.ntp0 = 777;
    writer->clock.publish(state);
    ASSERT_EQ(::stat(clock_path().c_str(), &before), 0);
  }
  auto writer = Segment<ClockPage>::open_writable(directory_, ::getegid());
  ASSERT_EQ(::stat(clock_path().c_str(), &after), 0);
  EXPECT_EQ(before.st_ino, after.st_ino);
  hwclock::ClockState state{};
  std::uint64_t seen = 0;
  ASSERT_TRUE(writer->clock.read(state, seen));
  EXPECT_EQ(state.ntp0, 777U);
}

TEST_F(SegmentTest, G01_G08_AFileWithAnyWrongHeaderFieldIsRefusedByReadersAndReplacedByItsWriter) {
  const std::vector<std::pair<std::string, std::function<void(shm::PageHeader&)>>> faults = {
      {"magic", [](auto& header) { header.magic ^= 1; }},
      {"layout version", [](auto& header) { header.layout_version += 1; }},
      {"kind", [](auto& header) { header.kind = shm::PageKind::keys; }},
      {"size", [](auto& header) { header.bytes -= 8; }}};
  for (const auto& [name, breaks] : faults) {
    SCOPED_TRACE(name);
    struct stat before {};
    {
      auto writer = Segment<ClockPage>::open_writable(directory_, ::getegid());
      breaks(writer->header);
      ASSERT_EQ(::stat(clock_path().c_str(), &before), 0);
    }
    EXPECT_NE(refusal().find(name), std::string::npos) << refusal();
    auto writer = Segment<ClockPage>::open_writable(directory_, ::getegid());
    struct stat after {};
    ASSERT_EQ(::stat(clock_path().c_str(), &after), 0);
    EXPECT_NE(before.st_ino, after.st_ino) << "a new file, swapped by rename";
    EXPECT_EQ(refusal(), "");
  }
}

TEST_F(SegmentTest, G08_AFileOfTheWrongTypeSizeOrModeIsRefused) {
  { auto writer = Segment<ClockPage>::open_writable(directory_, ::getegid()); }
  ASSERT_EQ(::chmod(clock_path().c_str(), 0666), 0);
  EXPECT_NE(refusal().find("mode"), std::string::npos) << refusal();
  ASSERT_EQ(::chmod(clock_path().c_str(), 0644), 0);
  ASSERT_EQ(::truncate(clock_path().c_str(), 4096), 0);
  EXPECT_NE(refusal().find("size"), std::string::npos) << refusal();
  ASSERT_EQ(::unlink(clock_path().c_str()), 0);
  EXPECT_NE(refusal().find("is its writer running"), std::string::npos) << refusal();
  ASSERT_EQ(::mkfifo(clock_path().c_str(), 0644), 0);
  EXPECT_NE(refusal().find("regular file"), std::string::npos) << refusal();
  ASSERT_EQ(::unlink(clock_path().c_str()), 0);
  ASSERT_EQ(::symlink("/etc/passwd", clock_path().c_str()), 0);
  EXPECT_NE(refusal(), "");
}

// Every bit of magic, layout version, kind and size: each matters, and none is taken for another page.
TEST_F(SegmentTest, G01_AHeaderWithAnyBitWrongIsRefused) {
  auto writer = Segment<ClockPage>::open_writable(directory_, ::getegid());
  auto* header = reinterpret_cast<std::uint8_t*>(&writer->header);
  for (std::size_t bit = 0; bit < sizeof(shm::PageHeader) * 8; ++bit) {
    header[bit / 8] ^= static_cast<std::uint8_t>(1U << bit % 8);
    EXPECT_NE(refusal(), "") << bit;
    header[bit / 8] ^= static_cast<std::uint8_t>(1U << bit % 8);
  }
  EXPECT_EQ(refusal(), "");
}

TEST_F(SegmentTest, G01_EachKindOfPageIsRefusedUnderAnothersName) {
  auto clock = Segment<ClockPage>::open_writable(directory_, ::getegid());
  auto settings = Segment<shm::SettingsPage>::open_writable(directory_, ::getegid());
  auto stats = Segment<shm::StatsPage>::open_writable(directory_, ::getegid());
  auto keys = Segment<KeysPage>::open_writable(directory_, ::getegid());
  for (const shm::PageKind kind : {shm::PageKind::settings, shm::PageKind::stats, shm::PageKind::keys}) {
    fs::remove(clock_path());
    fs::copy_file(shm::page_path(directory_, kind), clock_path());
    fs::permissions(clock_path(), fs::perms(0644));
    EXPECT_NE(refusal(), "") << static_cast<int>(kind);
  }
}

TEST_F(SegmentTest, APageThatWasDeletedUnderItsWriterIsPutBackWithWhatItHeld) {
  auto writer = Segment<KeysPage>::open_writable(directory_, ::getegid());
  const fs::path path = shm::page_path(directory_, shm::PageKind::keys);
  nts::KeyRing ring{};
  ring.current_id = 17;
  writer->ring.publish(ring);
  EXPECT_FALSE(writer.put_back()) << "it is there";
  const KeysPage* const before = &*writer;
  fs::remove(path);
  EXPECT_TRUE(writer.put_back());
  EXPECT_FALSE(writer.put_back());
  EXPECT_EQ(&*writer, before) << "other threads write to it where it is";
  auto reader = Segment<KeysPage>::attach(directory_, ::geteuid());
  std::uint64_t seen = 0;
  nts::KeyRing got{};
  ASSERT_TRUE(reader->ring.read(got, seen));
  EXPECT_EQ(got.current_id, 17U);
  ring.current_id = 18;
  writer->ring.publish(ring);
  ASSERT_TRUE(reader->ring.read(got, seen));
  EXPECT_EQ(got.current_id, 18U) << "the writer writes to the new file";
  EXPECT_EQ(fs::status(path).permissions(), fs::perms(0640));
}

TEST_F(SegmentTest, AFileInItsPlaceIsReplacedAndAMissingDirectoryIsSaid) {
  auto writer = Segment<ClockPage>::open_writable(directory_, ::getegid());
  fs::remove(clock_path());
  std::ofstream(clock_path()) << "something else";
  EXPECT_TRUE(writer.put_back());
  EXPECT_EQ(refusal(), "");
  fs::remove_all(clock_path().parent_path());
  EXPECT_THROW(writer.put_back(), SegmentError);
  hwclock::ClockState state{};
  writer->clock.publish(state);  // and the old memory is still there
}

TEST_F(SegmentTest, AFileThatIsShutToItsReadersIsMadeAnew) {
  auto writer = Segment<ClockPage>::open_writable(directory_, ::getegid());
  hwclock::ClockState state{};
  state.ntp0 = 33;
  writer->clock.publish(state);
  ASSERT_EQ(::chmod(clock_path().c_str(), 0), 0);
  EXPECT_TRUE(writer.put_back());
  EXPECT_FALSE(writer.put_back());
  auto reader = Segment<ClockPage>::attach(directory_, ::geteuid());
  std::uint64_t seen = 0;
  hwclock::ClockState got{};
  ASSERT_TRUE(reader->clock.read(got, seen));
  EXPECT_EQ(got.ntp0, 33U);

  fs::create_hard_link(clock_path(), directory_ / "second");
  EXPECT_TRUE(writer.put_back()) << "readers refuse a file with two names";
  EXPECT_EQ(refusal(), "");
}

TEST_F(SegmentTest, AFileThatWasCutShortEndsItsWriterWithASentence) {
  auto writer = Segment<ClockPage>::open_writable(directory_, ::getegid());
  ASSERT_EQ(::truncate(clock_path().c_str(), sizeof(ClockPage) - 1), 0);
  EXPECT_THROW(writer.put_back(), shm::CutPageError);
  fs::remove(clock_path());
  ASSERT_EQ(::close(::open(clock_path().c_str(), O_CREAT | O_WRONLY, 0644)), 0);
  EXPECT_TRUE(writer.put_back()) << "that is another file: ours is whole, and has no name";
}

TEST_F(SegmentTest, G08_AReaderKeepsItsOldPageWhenANewLayoutIsSwappedIn) {
  auto writer =
      std::make_unique<Segment<ClockPage>>(Segment<ClockPage>::open_writable(directory_, ::getegid()));
  hwclock::ClockState state{};
  state.ntp0 = 11;
  (*writer)->clock.publish(state);
  auto reader = Segment<ClockPage>::attach(directory_, ::geteuid());
  (*writer)->header.layout_version += 1;  // as a program of tomorrow would have left it
  writer.reset();
  auto successor = Segment<ClockPage>::open_writable(directory_, ::getegid());
  state.ntp0 = 22;
  successor->clock.publish(state);
  std::uint64_t seen = 0;
  hwclock::ClockState got{};
  ASSERT_TRUE(reader->clock.read(got, seen));
  EXPECT_EQ(got.ntp0, 11U) << "the old file is still mapped, and nobody writes it";
  auto late_reader = Segment<ClockPage>::attach(directory_, ::geteuid());
  ASSERT_TRUE(late_reader->clock.read(got, seen));
  EXPECT_EQ(got.ntp0, 22U);
}

TEST_F(SegmentTest, G08_AFileWithASecondNameOrOfAnotherOwnerIsRefusedAndReplacedByItsWriter) {
  { auto writer = Segment<ClockPage>::open_writable(directory_, ::getegid()); }
  fs::create_hard_link(clock_path(), directory_ / "second");
  EXPECT_NE(refusal().find("hard link"), std::string::npos) << refusal();
  { auto writer = Segment<ClockPage>::open_writable(directory_, ::getegid()); }
  EXPECT_EQ(refusal(), "") << "a fresh file with one name";
  if (::geteuid() != 0) GTEST_SKIP() << "needs root to give a file away";
  ASSERT_EQ(::chown(clock_path().c_str(), 62199, ::getegid()), 0);
  EXPECT_NE(refusal().find("belongs to uid 62199"), std::string::npos) << refusal();
  auto writer = Segment<ClockPage>::open_writable(directory_, ::getegid());
  EXPECT_EQ(refusal(), "");
}

TEST_F(SegmentTest, G08_AHalfMadeFileOfADeadWriterIsNoObstacle) {
  ASSERT_EQ(::symlink("/etc/passwd", (clock_path().string() + ".new").c_str()), 0);
  auto writer = Segment<ClockPage>::open_writable(directory_, ::getegid());
  EXPECT_EQ(refusal(), "");
  EXPECT_FALSE(fs::exists(clock_path().string() + ".new"));
}

TEST_F(SegmentTest, AFileOfAnotherOwnerIsRefused) {
  auto writer = Segment<ClockPage>::open_writable(directory_, ::getegid());
  EXPECT_THROW((void)Segment<ClockPage>::attach(directory_, ::geteuid() + 1), SegmentError);
}

TEST_F(SegmentTest, TheKeysPageIsReadableByItsGroupOnly) {
  auto writer = Segment<KeysPage>::open_writable(directory_, ::getegid());
  struct stat status {};
  ASSERT_EQ(::stat(shm::page_path(directory_, shm::PageKind::keys).c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 07777, 0640U);
  EXPECT_NO_THROW((void)Segment<KeysPage>::attach(directory_, ::geteuid()));
}

TEST_F(SegmentTest, OnlyTheKeysPageIsGivenToTheReadersGroup) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root to give a file to another group";
  constexpr gid_t readers = 62199;
  const auto keys = Segment<KeysPage>::open_writable(directory_, readers);
  const auto clock = Segment<ClockPage>::open_writable(directory_, readers);
  struct stat status {};
  ASSERT_EQ(::stat(shm::page_path(directory_, shm::PageKind::keys).c_str(), &status), 0);
  EXPECT_EQ(status.st_gid, readers);
  ASSERT_EQ(::stat(clock_path().c_str(), &status), 0);
  EXPECT_EQ(status.st_gid, ::getegid());
}

TEST_F(SegmentTest, G06_NoOtherUidCanOpenAPageForWritingOrCutIt) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root to become another uid";
  auto writer = Segment<ClockPage>::open_writable(directory_, ::getegid());
  const pid_t child = ::fork();
  if (child == 0) {
    const bool is_denied = ::setgid(62199) == 0 && ::setuid(62199) == 0 &&
                           ::open(clock_path().c_str(), O_RDWR) < 0 && errno == EACCES &&
                           ::truncate(clock_path().c_str(), 0) < 0 && errno == EACCES &&
                           ::unlink(clock_path().c_str()) < 0 && ::open(clock_path().c_str(), O_RDONLY) >= 0;
    ::_exit(is_denied ? 0 : 1);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
}

// A page that comes and goes for years must not use up the process's descriptors.
TEST_F(SegmentTest, LeavesNoDescriptorOpenButTheLivingWritersLock) {
  const auto open_descriptors = [] {
    return std::distance(fs::directory_iterator("/proc/self/fd"), fs::directory_iterator());
  };
  const auto before = open_descriptors();
  {
    auto writer = Segment<ClockPage>::open_writable(directory_, ::getegid());
    auto reader = Segment<ClockPage>::attach(directory_, ::geteuid());
    auto moved = std::move(writer);
    EXPECT_EQ(open_descriptors(), before + 1);
    EXPECT_THROW((void)Segment<ClockPage>::open_writable(directory_, ::getegid()), SegmentError);
    EXPECT_THROW((void)Segment<ClockPage>::attach(directory_, ::geteuid() + 1), SegmentError);
    EXPECT_EQ(open_descriptors(), before + 1);
  }
  EXPECT_EQ(open_descriptors(), before);
}

// A hole would be SIGBUS for whoever writes or reads there on the day the tmpfs is full.
TEST_F(SegmentTest, ANewPageHasAllItsMemoryAtOnceSoThatAFullTmpfsKillsNobodyLater) {
  const auto segment = Segment<KeysPage>::open_writable(directory_, ::getegid());
  const auto other = Segment<shm::StatsPage>::open_writable(directory_, ::getegid());
  for (const auto& [kind, bytes] : {std::pair(shm::PageKind::keys, sizeof(KeysPage)),
                                    std::pair(shm::PageKind::stats, sizeof(shm::StatsPage))}) {
    struct stat status {};
    ASSERT_EQ(::stat(shm::page_path(directory_, kind).c_str(), &status), 0);
    EXPECT_GE(static_cast<std::size_t>(status.st_blocks) * 512, bytes);  // st_blocks: stat(2)
  }
}

TEST_F(SegmentTest, ADirectoryThatIsNotTmpfsIsRefused) {
  EXPECT_NO_THROW(shm::require_tmpfs(directory_));
  EXPECT_THROW(shm::require_tmpfs("/proc"), SegmentError);
  EXPECT_THROW(shm::require_tmpfs(directory_ / "missing"), SegmentError);

  // Not only the question is right, the writer asks it.
  char name[] = "/var/tmp/noonmark-segment-XXXXXX";
  ASSERT_NE(::mkdtemp(name), nullptr);
  struct Cleanup {
    fs::path path;
    ~Cleanup() { fs::remove_all(path); }
  } cleanup{name};
  fs::create_directory(cleanup.path / "clock");
  struct statfs status {};
  ASSERT_EQ(::statfs(name, &status), 0);
  if (status.f_type == TMPFS_MAGIC) GTEST_SKIP() << "/var/tmp is a tmpfs here";
  EXPECT_THROW((void)Segment<ClockPage>::open_writable(cleanup.path, ::getegid()), SegmentError);
}

}  // namespace
