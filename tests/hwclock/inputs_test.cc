// The edges to other programs and devices, on the real thing where a machine without hardware has one: Unix
// sockets, System V shared memory, a pseudo-terminal.

#include <cerrno>
#include <cmath>
#include <cstring>
#include <fcntl.h>
#include <filesystem>
#include <fstream>
#include <gtest/gtest.h>
#include <limits>
#include <pty.h>
#include <string>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <system_error>
#include <termios.h>
#include <unistd.h>
#include <vector>

#include "hwclock/chrony_sock.h"
#include "hwclock/kernel_pps.h"
#include "hwclock/ntp_shm.h"
#include "hwclock/serial_line.h"

namespace hwclock {
namespace {

struct SockWire {
  timeval time{1'700'000'000, 250'000};
  double offset_s = -0.25;
  int pulse = 1;
  int leap = 0;
  int padding = 0;
  int magic = 0x534f434b;
};

std::vector<std::uint8_t> octets_of(const SockWire& wire) {
  std::vector<std::uint8_t> octets(sizeof wire);
  std::memcpy(octets.data(), &wire, sizeof wire);
  return octets;
}

TEST(ChronySock, ASampleIsReadAsItsSenderMeantIt) {
  const auto sample = read_sock_sample(octets_of({}));
  ASSERT_TRUE(sample);
  EXPECT_EQ(sample->clock_ns, 1'700'000'000'250'000'000);
  EXPECT_DOUBLE_EQ(sample->offset_ns, -250e6);
  EXPECT_TRUE(sample->is_pulse);
}

TEST(ChronySock, I01_NumbersThatAreNoneAndOtherSizesAreRefused) {
  for (const double offset :
       {std::numeric_limits<double>::quiet_NaN(), std::numeric_limits<double>::infinity(),
        -std::numeric_limits<double>::infinity(), 1e300}) {
    SockWire wire;
    wire.offset_s = offset;
    EXPECT_FALSE(read_sock_sample(octets_of(wire))) << offset;
  }
  SockWire wire;
  wire.time.tv_sec = -1;
  EXPECT_FALSE(read_sock_sample(octets_of(wire)));
  wire = {};
  wire.time.tv_sec = std::numeric_limits<std::int64_t>::max();
  EXPECT_FALSE(read_sock_sample(octets_of(wire)));
  wire = {};
  wire.time.tv_usec = 1'000'000;
  EXPECT_FALSE(read_sock_sample(octets_of(wire)));
  // Each is a number, and their sum is no time: beyond what nanoseconds count, and before 1970.
  for (const double offset : {3.9e9, -8e9, -1'700'000'001.0}) {
    wire = {};
    wire.pulse = 0;
    if (offset > 0.0) wire.time.tv_sec = (std::int64_t{1} << 33) - 1;
    wire.offset_s = offset;
    EXPECT_FALSE(read_sock_sample(octets_of(wire))) << offset;
  }
  wire = {};
  wire.magic = 0x534f434c;
  EXPECT_FALSE(read_sock_sample(octets_of(wire)));
  wire = {};
  wire.leap = 4;
  EXPECT_FALSE(read_sock_sample(octets_of(wire)));
  std::vector<std::uint8_t> octets = octets_of({});
  octets.pop_back();
  EXPECT_FALSE(read_sock_sample(octets));
  octets.resize(41);
  EXPECT_FALSE(read_sock_sample(octets));
}

class Folder {
 public:
  Folder() {
    char name[] = "/tmp/noonmark-inputs-XXXXXX";
    path_ = ::mkdtemp(name);
  }
  ~Folder() { std::filesystem::remove_all(path_); }
  [[nodiscard]] std::string file(const char* name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

void send_to(const std::string& path, std::span<const std::uint8_t> octets) {
  const int fd = ::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, path.c_str(), path.size());
  EXPECT_EQ(
      ::sendto(fd, octets.data(), octets.size(), 0, reinterpret_cast<sockaddr*>(&address), sizeof address),
      static_cast<ssize_t>(octets.size()));
  ::close(fd);
}

TEST(ChronySock, DatagramsAreTakenOneByOneAndBadOnesAreSeen) {
  const Folder folder;
  const std::string path = folder.file("pulse");
  const int fd = open_sock(path);
  bool is_empty = false;
  EXPECT_FALSE(receive_sock_sample(fd, is_empty));
  EXPECT_TRUE(is_empty);
  send_to(path, octets_of({}));
  send_to(path, std::vector<std::uint8_t>(100, 7));
  EXPECT_TRUE(receive_sock_sample(fd, is_empty));
  EXPECT_FALSE(is_empty);
  EXPECT_FALSE(receive_sock_sample(fd, is_empty));
  EXPECT_FALSE(is_empty) << "one that is none";
  struct stat status {};
  ASSERT_EQ(::stat(path.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777U, 0660U);
  ::close(fd);
  const int again = open_sock(path);
  EXPECT_GE(again, 0) << "the socket of a killed run is replaced";
  ::close(again);
}

TEST(ChronySock, F11_AFileThatIsNoSocketIsNotReplaced) {
  const Folder folder;
  const std::string path = folder.file("pulse");
  std::ofstream(path) << "precious";
  EXPECT_THROW(static_cast<void>(open_sock(path)), std::system_error);
  EXPECT_TRUE(std::filesystem::exists(path));
  EXPECT_THROW(static_cast<void>(open_sock(folder.file("missing/pulse"))), std::system_error);
  EXPECT_THROW(static_cast<void>(open_sock("/tmp/" + std::string(200, 'x'))), std::system_error);
}

ShmTime shm_sample() {
  ShmTime shared{};
  shared.mode = 1;
  shared.count = 7;
  shared.clock_s = 1'700'000'000;
  shared.clock_us = 123'456;
  shared.clock_ns = 123'456'789;
  shared.receive_s = 1'700'000'000;
  shared.receive_us = 200'000;
  shared.receive_ns = 5;  // does not agree with the microseconds: an old writer's
  shared.precision = -20;
  shared.valid = 1;
  return shared;
}

TEST(NtpShm, ASampleIsTakenOnceWithNanosecondsWhereTheyAgree) {
  ShmTime shared = shm_sample();
  const auto sample = take_shm_sample(shared);
  ASSERT_TRUE(sample);
  EXPECT_EQ(sample->reference_ns, 1'700'000'000'123'456'789);
  EXPECT_EQ(sample->clock_ns, 1'700'000'000'200'000'000);
  EXPECT_EQ(sample->precision, -20);
  EXPECT_FALSE(take_shm_sample(shared)) << "it was marked as taken";
}

TEST(NtpShm, I01_NumbersThatAreNoneAreRefused) {
  for (int field = 0; field < 6; ++field) {
    ShmTime shared = shm_sample();
    if (field == 0) shared.clock_us = 1'000'000;
    if (field == 1) shared.receive_us = -1;
    if (field == 2) shared.clock_s = -1;
    if (field == 3) shared.mode = 2;
    if (field == 4) shared.leap = 4;
    if (field == 5) shared.receive_s = std::numeric_limits<std::int64_t>::max();
    EXPECT_FALSE(take_shm_sample(shared)) << field;
    EXPECT_EQ(shared.valid, 0) << "and not looked at again";
  }
}

TEST(NtpShm, TheRealSegmentIsMadeAndFoundAgain) {
  constexpr std::uint32_t unit = 217;  // nobody's
  const int before = ::shmget(0x4e545030 + static_cast<int>(unit), 0, 0);
  if (before >= 0) GTEST_SKIP() << "somebody uses unit 217 of NTP's shared memory here";
  ShmTime* writer = attach_ntp_shm(unit);
  ShmTime* reader = attach_ntp_shm(unit);
  ASSERT_NE(writer, reader);
  *writer = shm_sample();
  EXPECT_TRUE(take_shm_sample(*reader));
  EXPECT_EQ(writer->valid, 0);
  ::shmdt(writer);
  ::shmdt(reader);
  ::shmctl(::shmget(0x4e545030 + static_cast<int>(unit), 0, 0), IPC_RMID, nullptr);
}

TEST(SerialLine, APseudoTerminalIsReadRawAndItsEndIsSeen) {
  int master = -1;
  int slave = -1;
  char name[128] = {};
  ASSERT_EQ(::openpty(&master, &slave, name, nullptr, nullptr), 0);
  const int fd = open_serial_line(name, 9600);
  std::uint8_t room[64];
  std::size_t count = 0;
  EXPECT_EQ(read_line(fd, room, count), LineRead::nothing);
  const std::string text = "a\r\n\x03\x04z";  // what a terminal would act on
  ASSERT_EQ(::write(master, text.data(), text.size()), static_cast<ssize_t>(text.size()));
  EXPECT_EQ(read_line(fd, room, count), LineRead::octets);
  EXPECT_EQ(std::string(reinterpret_cast<char*>(room), count), text);
  ::close(slave);
  ::close(master);
  EXPECT_EQ(read_line(fd, room, count), LineRead::gone);
  ::close(fd);
}

TEST(SerialLine, WhatIsNoLineIsRefusedWithASentence) {
  try {
    static_cast<void>(open_serial_line("/dev/ttyNOONMARK", 9600));
    FAIL();
  } catch (const std::system_error& error) {
    EXPECT_EQ(error.code().value(), ENOENT);
    EXPECT_NE(std::string(error.what()).find("/dev/ttyNOONMARK"), std::string::npos);
  }
  EXPECT_THROW(static_cast<void>(open_serial_line("/dev/null", 9600)), std::system_error);
  EXPECT_TRUE(is_baud(115200));
  EXPECT_FALSE(is_baud(9601));
}

TEST(KernelPps, ADeviceThatIsMissingOrNoneIsRefusedWithASentence) {
  try {
    static_cast<void>(open_kernel_pps("/dev/pps-noonmark", PpsEdge::assert));
    FAIL();
  } catch (const std::system_error& error) {
    EXPECT_EQ(error.code().value(), ENOENT);
  }
  EXPECT_THROW(static_cast<void>(open_kernel_pps("/dev/null", PpsEdge::assert)), std::system_error);
}

}  // namespace
}  // namespace hwclock
