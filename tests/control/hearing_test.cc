// What comes is heard, whatever number a descriptor has after it was opened again.

#include "control/hearing.h"

#include <array>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <string>
#include <unistd.h>

#include "control/descriptor.h"

namespace control {
namespace {

using namespace std::chrono_literals;

class Hearing : public testing::Test {
 protected:
  void SetUp() override { open(); }

  void open() {
    int ends[2];
    ASSERT_EQ(::pipe2(ends, O_NONBLOCK | O_CLOEXEC), 0);
    in_ = Descriptor(ends[0]);
    out_ = Descriptor(ends[1]);
  }
  void say(char letter) { ASSERT_EQ(::write(out_.get(), &letter, 1), 1); }

  void read() {
    std::array<char, 16> room;
    const ssize_t count = ::read(in_.get(), room.data(), room.size());
    if (count > 0) heard_.append(room.data(), static_cast<std::size_t>(count));
    if (count == 0) in_.reset(), ++losses_;
  }

  void begin() {
    boost::asio::co_spawn(io_,
                          hear_for_ever(
                              io_, [this] { return in_.get(); }, [this] { read(); }, {10ms, 10ms}),
                          boost::asio::detached);
  }
  // Runs until that is so: for ever, if it never is, but for half a minute's patience.
  template <class Condition>
  bool comes_true(const Condition& condition) {
    for (int i = 0; i < 3'000 && !condition(); ++i) io_.run_for(10ms);
    return condition();
  }

  boost::asio::io_context io_;
  Descriptor in_, out_;
  std::string heard_;
  int losses_ = 0;
};

TEST_F(Hearing, ADescriptorThatComesBackUnderItsNumberWhileWePauseIsHeard) {
  begin();
  say('a');
  ASSERT_TRUE(comes_true([&] { return heard_ == "a"; }));
  const int number = in_.get();
  // The other end goes; as soon as that is noticed, another pipe takes its number.
  out_.reset();
  for (int i = 0; i < 3'000 && losses_ == 0; ++i) io_.run_one_for(10ms);
  ASSERT_EQ(losses_, 1);
  open();
  if (in_.get() != number) {
    ASSERT_EQ(::dup3(in_.get(), number, O_CLOEXEC), number);
    in_ = Descriptor(number);
  }
  say('b');
  EXPECT_TRUE(comes_true([&] { return heard_ == "ab"; }));
}

TEST_F(Hearing, OneThatComesLaterIsHeard) {
  in_.reset();
  begin();
  io_.run_for(30ms);
  open();
  say('c');
  EXPECT_TRUE(comes_true([&] { return heard_ == "c"; }));
}

}  // namespace
}  // namespace control
