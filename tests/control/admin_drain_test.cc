// Taking a core out of service and putting it back, as the operator asks the admin role for it.
#include <atomic>
#include <fcntl.h>
#include <functional>
#include <gmock/gmock.h>

#include "tests/control/admin_role.h"

namespace control {
namespace {

using namespace admin_lab;
using testing::HasSubstr;

// A dataplane with workers on CPUs 4 and 7 that does what the settings page asks, as the real one does.
// Started before the admin role is asked, and ends with its scope.
class ObeyingDataplane {
 public:
  ObeyingDataplane(const std::filesystem::path& pages, std::uint64_t instance_id, bool is_root)
      : stats_(shm::Segment<shm::StatsPage>::open_writable(pages, 0)) {
    if (is_root) {
      const Identity& dataplane = identity_of(Role::dataplane);
      EXPECT_EQ(::chown((pages / "dataplane" / "stats").c_str(), dataplane.uid, dataplane.gid), 0);
      int turned[2];  // closed once it has its uid: before that the page would speak of nobody
      EXPECT_EQ(::pipe2(turned, O_CLOEXEC), 0);
      process_ = ::fork();  // whom the page speaks of lives under the dataplane's uid
      if (process_ == 0) {
        if (::setresuid(dataplane.uid, dataplane.uid, dataplane.uid) != 0) ::_exit(1);
        ::close(turned[1]);
        ::pause();
        ::_exit(0);
      }
      ::close(turned[1]);
      char octet;
      EXPECT_EQ(::read(turned[0], &octet, 1), 0);
      ::close(turned[0]);
    }
    stats_->pid = static_cast<std::uint64_t>(process_ > 0 ? process_ : ::getpid());
    stats_->core_count = 2;
    stats_->ports[0].report.queues = 2;
    begin(instance_id);
    stats_->serving = 1;
  }
  ObeyingDataplane(const ObeyingDataplane&) = delete;
  ObeyingDataplane& operator=(const ObeyingDataplane&) = delete;
  ~ObeyingDataplane() {
    stats_->serving = 0;
    if (process_ <= 0) return;
    ::kill(process_, SIGKILL);
    ::waitpid(process_, nullptr, 0);
  }
  // As another instance, with all cores in service.
  void begin(std::uint64_t instance_id) {
    for (std::size_t core = 0; core < 2; ++core) {
      stats_->cores[core].cpu = core == 0 ? 4 : 7;
      stats_->cores[core].instance_id = instance_id;
      stats_->cores[core].is_drained = 0;
      stats_->cores[core].queues = 1;
    }
    stats_->instance_id = instance_id;
  }
  void obey(const shm::Settings& settings) {
    const std::uint64_t drained =
        settings.drained_instance == stats_->instance_id ? settings.drained_workers : 0;
    for (std::size_t core = 0; core < 2; ++core) {
      const std::uint64_t is_drained = drained >> core & 1;
      stats_->cores[core].is_drained = is_drained;
      stats_->cores[core].queues = is_drained != 0 ? 0 : drained != 0 ? 2 : 1;
    }
  }

 private:
  shm::Segment<shm::StatsPage> stats_;
  pid_t process_ = -1;
};

// Asks while the dataplane does what the page says.
AdminAnswer ask_and_obey(const std::filesystem::path& pages, std::string_view command, std::uint32_t cpu,
                         ObeyingDataplane& dataplane, const std::function<shm::Settings()>& published) {
  std::optional<AdminAnswer> answer;
  std::atomic<bool> is_over{false};
  std::thread asking([&] {
    const Deadline deadline = deadline_in(patience);
    do {
      answer = ask_admin(pages, command, cpu);  // waits less long than this machine may pause
    } while (answer->error.find("has not done it yet") != std::string::npos &&
             std::chrono::steady_clock::now() < deadline);
    is_over = true;
  });
  while (!is_over) {
    dataplane.obey(published());
    std::this_thread::sleep_for(2ms);
  }
  asking.join();
  return *answer;
}

TEST_F(AdminRole, DrainsAndUndrainsOverReloadsAndItsOwnDeathButNotForAnotherDataplane) {
  start();
  const auto ask = [&](const char* command, std::uint32_t cpu, ObeyingDataplane& dataplane) {
    return ask_and_obey(pages_, command, cpu, dataplane, [&] { return published(); });
  };
  ObeyingDataplane dataplane(pages_, 11, is_root_);
  const AdminAnswer drained = ask("drain", 7, dataplane);
  ASSERT_EQ(drained.kind, AdminAnswer::Kind::result) << drained.error;
  EXPECT_EQ(drained.result["state"], "drained");
  EXPECT_THAT(drained.result["text"].get<std::string>(), HasSubstr("CPU 7 is drained"));
  EXPECT_EQ(published().drained_instance, 11U);
  EXPECT_EQ(published().drained_workers, 2U);
  const std::uint64_t revision = published().revision;
  EXPECT_EQ(ask("drain", 7, dataplane).kind, AdminAnswer::Kind::result) << "as it is already";
  EXPECT_EQ(published().revision, revision);

  stop(SIGKILL);
  config_ = config_with("addresses = ['192.0.2.1/24']\n");
  start();
  ASSERT_TRUE(comes_true([&] { return published().address_count == 1; }));
  EXPECT_EQ(published().drained_workers, 2U) << "other settings leave it";

  const AdminAnswer last = ask("drain", 4, dataplane);
  EXPECT_EQ(last.kind, AdminAnswer::Kind::refused);
  EXPECT_THAT(last.error, HasSubstr("last core in service"));
  const AdminAnswer back = ask("undrain", 7, dataplane);
  ASSERT_EQ(back.kind, AdminAnswer::Kind::result) << back.error;
  EXPECT_EQ(back.result["state"], "in service");
  EXPECT_EQ(published().drained_workers, 0U);
  EXPECT_EQ(ask("drain", 4, dataplane).kind, AdminAnswer::Kind::result);
  dataplane.begin(12);
  EXPECT_EQ(published().drained_workers, 1U) << "of the one that is gone";
  EXPECT_EQ(ask("drain", 7, dataplane).kind, AdminAnswer::Kind::result) << "CPU 4 is in service again";
  EXPECT_EQ(published().drained_instance, 12U);
  EXPECT_EQ(published().drained_workers, 2U);
}

TEST_F(AdminRole, DrainSaysWhyNot) {
  start();
  EXPECT_THAT(ask_admin(pages_, "drain", 7).error, HasSubstr("no dataplane serves"));
  const ObeyingDataplane dataplane(pages_, 11, is_root_);
  const AdminAnswer unknown = ask_admin(pages_, "drain", 5);
  EXPECT_EQ(unknown.kind, AdminAnswer::Kind::refused);
  EXPECT_THAT(unknown.error, HasSubstr("CPU 5 is no core of the dataplane; it has 4, 7"));
  EXPECT_THAT(ask_admin(pages_, "drain").error, HasSubstr("number of a CPU"));
  EXPECT_THAT(ask_admin(pages_, "drain", 7).error, HasSubstr("has not done it yet")) << "nobody obeys";
  if (!is_root_) return;
  EXPECT_EQ(as_uid(stranger,
                   [&] {
                     const auto refused = ask_admin(pages_, "undrain", 7);
                     return refused.kind == AdminAnswer::Kind::not_allowed ? 0 : 1;
                   }),
            0);
}

}  // namespace
}  // namespace control
