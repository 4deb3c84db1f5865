#include "control/key_life.h"

#include <algorithm>
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <ctime>
#include <unistd.h>

#include "control/key_copies.h"
#include "control/log.h"
#include "control/role_loop.h"
#include "dataplane/shm/failpoint.h"
#include "nts/secret.h"

namespace control {
namespace {

namespace asio = boost::asio;
namespace failpoint = shm::failpoint;
using boost::system::error_code;
using namespace asio::experimental::awaitable_operators;

asio::awaitable<void> sleep(asio::io_context& io, std::chrono::milliseconds duration) {
  asio::steady_timer timer(io, duration);
  error_code ignored;
  co_await timer.async_wait(no_throw(ignored));
}

RotateReply rotate_reply(Status status, std::uint32_t id, const std::string& text) {
  RotateReply reply{};
  reply.status = status;
  reply.new_key_id = id;
  put_text(text, reply.text);
  return reply;
}

std::string key_name(std::uint32_t id) { return "key " + std::to_string(id); }

// Says a trouble once, when it begins or changes, and its end once.
void set_alarm(std::string& alarm, const std::string& text) {
  if (alarm == text) return;
  log(text.empty() ? Severity::notice : Severity::error, text.empty() ? "over: " + alarm : text);
  alarm = text;
}

}  // namespace

KeyLife::KeyLife(asio::io_context& io, const KeyLifeSetup& setup, const nts::siv::Kernels& tier)
    : io_(io),
      setup_(setup),
      page_(shm::Segment<shm::KeysPage>::open_writable(setup.pages, setup.dataplane_gid)),
      sealer_(tier),
      watch_(setup.pages, setup.dataplane_uid),
      saver_(setup.file),
      saved_(io, ::dup(saver_.fd())),
      wake_(io),
      retry_(io) {
  find_ring();
}

RotationMoment KeyLife::moment() const {
  return {epoch_.now_s(), static_cast<std::uint64_t>(std::time(nullptr))};
}

void KeyLife::find_ring() {
  Guarded<StoredRing> file;
  const LoadReport report = load_key_file(setup_.file, *file);
  const bool has_file = report.loaded == Loaded::ring;
  if (report.loaded == Loaded::refused) {
    log(Severity::warning, setup_.file.native() + " is refused: " + report.reason);
  }
  if (has_file) epoch_.resume(*file);

  Guarded<nts::KeyRing> page;
  std::uint64_t seen = 0;
  const bool was_published = page_->ring.read(*page, seen);
  const bool has_page = was_published && fault_of_ring(*page).empty();

  const CopiesReport found =
      reconcile_copies(has_file ? &*file : nullptr, has_page ? &*page : nullptr, moment(), *next_);
  is_first_ = !found.has_ring;
  must_save_ = found.must_save;
  if (is_first_) {
    // Above what a page that cannot be trusted says, so that no reader ever sees less; 1 with none.
    make_first_ring(*next_, moment(), std::max<std::uint64_t>(page->generation + 1, 1));
    log(Severity::notice, "no keys were found: " + key_name(next_->ring.current_id) + " is new");
  } else if (!has_file) {
    log(Severity::warning, "going on with the keys in RAM, " + key_name(next_->ring.current_id) + " seals");
  }
  if (found.keys_added + found.keys_lost != 0) {
    log(Severity::warning, "key file and keys page differ: " + std::to_string(found.keys_added) +
                               " keys of the older were kept, " + std::to_string(found.keys_lost) +
                               " had no free slot");
  }
}

asio::awaitable<void> KeyLife::run(std::function<void()> on_published) {
  failpoint::reach("keeper.ring_found");
  co_await begin();
  on_published();
  failpoint::reach("keeper.serving");
  if (must_save_) {
    if (!saver_.is_busy()) start_save();
    co_await save_until_done();
  }
  for (;;) {
    if (pending_key_id(ring_->ring) != 0) {
      co_await hand_over();
    } else if (wish_) {
      co_await add_key();
    } else if (has_key_to_retire(*ring_, epoch_.now_s(), setup_.retention_s)) {
      co_await retire();
    } else {
      wake_.expires_after(setup_.retirement_poll);
      error_code woken;
      co_await wake_.async_wait(no_throw(woken));
    }
  }
}

// Publishes what find_ring() decided on. Every key that seals in it is in a copy already, unless it is the
// first ring: that one is saved before anybody sees it, if the disk lets us within its patience.
asio::awaitable<void> KeyLife::begin() {
  if (is_first_) {
    start_save();
    const std::optional<std::string> saved = co_await outcome_in_time();
    must_save_ = !saved || !saved->empty();
  }
  publish();
}

asio::awaitable<void> KeyLife::add_key() {
  const std::string refusal = add_pending_key(*next_, moment(), setup_.retention_s);
  if (!refusal.empty()) {
    grant(rotate_reply(Status::refused, 0, refusal));
    co_return;
  }
  failpoint::reach("keeper.key_made");
  start_save();
  const std::string fault = co_await outcome();
  if (!fault.empty()) {
    // The wish is forgotten, and the key with it: nobody has seen it. What is tried again is the ring in use,
    // so that the alarm ends with the trouble.
    *next_ = *ring_;
    grant(rotate_reply(Status::failed, 0, "no new key: " + fault));
    co_await pause_before_retry(setup_.save_retry_min);
    start_save();
    co_await save_until_done();
    co_return;
  }
  failpoint::reach("keeper.key_saved");
  publish();
  failpoint::reach("keeper.key_published");
  const std::uint32_t id = pending_key_id(ring_->ring);
  log(Severity::notice, key_name(id) + " is accepted; it seals when every core has loaded it");
  grant(rotate_reply(Status::ok, id, "accepted from now on; seals as soon as every core has loaded it"));
}

asio::awaitable<void> KeyLife::hand_over() {
  const std::uint32_t id = pending_key_id(ring_->ring);
  const auto patient_until = std::chrono::steady_clock::now() + setup_.core_silence_max;
  for (;;) {
    const AcknowledgementReport report = watch_.look(ring_->ring.generation);
    if (report.acknowledged != Acknowledged::missing) break;
    if (std::chrono::steady_clock::now() >= patient_until) {
      set_alarm(core_alarm_, "core " + std::to_string(report.core) + " of the dataplane does not load " +
                                 key_name(id) + "; the old key goes on; see `noonmark status`");
    }
    co_await sleep(io_, setup_.acknowledgement_poll);
  }
  set_alarm(core_alarm_, {});
  failpoint::reach("keeper.key_acknowledged");
  take_over(*next_, moment());
  start_save();
  co_await save_until_done();
  failpoint::reach("keeper.current_saved");
  publish();
  failpoint::reach("keeper.current_switched");
  log(Severity::notice, key_name(id) + " seals from now on");
}

asio::awaitable<void> KeyLife::retire() {
  retire_old_keys(*next_, epoch_.now_s(), setup_.retention_s);
  start_save();
  co_await save_until_done();
  publish();
}

void KeyLife::start_save() {
  epoch_.stamp(*next_);
  saver_.save(*next_);
}

// Waits for the save under way, and begins it anew until it succeeds.
asio::awaitable<void> KeyLife::save_until_done() {
  auto pause = setup_.save_retry_min;
  for (;;) {
    const std::string fault = co_await outcome();
    if (fault.empty()) co_return;
    co_await pause_before_retry(pause);
    pause = std::min(2 * pause, setup_.save_retry_max);
    start_save();
  }
}

// Or until somebody who may have mended the disk asks.
asio::awaitable<void> KeyLife::pause_before_retry(std::chrono::milliseconds pause) {
  retry_.expires_after(pause);
  error_code cut_short;
  co_await retry_.async_wait(no_throw(cut_short));
}

// Of the save under way, however long it takes: empty, or what failed.
asio::awaitable<std::string> KeyLife::outcome() {
  std::optional<std::string> fault;
  while (!fault) fault = co_await outcome_in_time();
  co_return *fault;
}

// Nothing, and an alarm, when the disk does not answer within its patience.
asio::awaitable<std::optional<std::string>> KeyLife::outcome_in_time() {
  asio::steady_timer patience(io_, setup_.save_patience);
  error_code wait_error;
  error_code timer_error;
  co_await (saved_.async_wait(asio::posix::stream_descriptor::wait_read, no_throw(wait_error)) ||
            patience.async_wait(no_throw(timer_error)));
  std::optional<std::string> fault = saver_.result();
  set_alarm(disk_alarm_, fault ? *fault : "the disk of " + setup_.file.native() + " does not answer");
  co_return fault;
}

void KeyLife::publish() {
  page_->ring.publish(next_->ring, [] { failpoint::reach("keeper.publish_torn"); });
  failpoint::reach("keeper.published_unsealed");  // readers have it, the sealer has not
  *ring_ = *next_;
  sealer_.load(ring_->ring);
}

void KeyLife::grant(const RotateReply& reply) {
  wish_->reply = reply;
  wish_->done.cancel();
  wish_.reset();
}

void KeyLife::set_retention(std::uint32_t retention_s) {
  if (setup_.retention_s == retention_s) return;
  setup_.retention_s = retention_s;
  wake_.cancel();
}

asio::awaitable<RotateReply> KeyLife::rotate() {
  if (!disk_alarm_.empty()) retry_.cancel();
  if (pending_key_id(ring_->ring) != 0) co_return reply_of_pending();
  if (wish_)
    co_return rotate_reply(Status::held, 0, "a rotation waits already for the key file to be written");
  if (!disk_alarm_.empty()) {
    co_return rotate_reply(Status::failed, 0,
                           "no new key: " + disk_alarm_ + "; tried again now, ask once more");
  }
  const auto wish = wish_ = std::make_shared<Wish>(io_);
  wake_.cancel();
  wish->done.expires_after(setup_.rotate_patience);
  error_code ignored;
  co_await wish->done.async_wait(no_throw(ignored));
  if (!wish->reply) {
    co_return rotate_reply(Status::held, 0,
                           "the key file is still being written; the new key comes after it");
  }
  co_return *wish->reply;
}

RotateReply KeyLife::reply_of_pending() const {
  const std::uint32_t id = pending_key_id(ring_->ring);
  const std::string& why = core_alarm_.empty() ? disk_alarm_ : core_alarm_;
  return rotate_reply(Status::held, id,
                      why.empty() ? key_name(id) + " is about to take over; look again in a moment" : why);
}

void KeyLife::list(KeyListReply& reply) const {
  reply.status = Status::ok;
  reply.ring_generation = ring_->ring.generation;
  reply.rotation_pending = pending_key_id(ring_->ring) != 0 ? 1 : 0;
  const std::string& alarm = disk_alarm_.empty() ? core_alarm_ : disk_alarm_;
  reply.alarm = alarm.empty() ? 0 : 1;
  put_text(alarm, reply.alarm_text);
  reply.count = 0;
  for (const nts::RingKey& key : ring_->ring.slots) {
    if (key.state != nts::KeyState::empty) reply.keys[reply.count++] = {key.id, key.state, key.created_s};
  }
  std::sort(reply.keys.begin(), reply.keys.begin() + reply.count,
            [](const KeyReport& left, const KeyReport& right) { return left.id < right.id; });
}

}  // namespace control
