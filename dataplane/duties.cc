#include "dataplane/duties.h"

#include <utility>

namespace dataplane {
namespace {

std::uint64_t all_of(std::size_t workers) noexcept {
  return workers >= 64 ? ~std::uint64_t{0} : (std::uint64_t{1} << workers) - 1;
}

bool has(std::uint64_t bits, std::size_t number) noexcept { return (bits >> number & 1) != 0; }

}  // namespace

std::uint64_t drained_workers(const shm::Settings& settings, std::uint64_t instance_id,
                              std::size_t workers) noexcept {
  if (settings.drained_instance != instance_id) return 0;
  const std::uint64_t drained = settings.drained_workers & all_of(workers);
  return drained == all_of(workers) ? 0 : drained;
}

Duties::Duties(std::vector<Share> shares) : shares_(std::move(shares)) {
  nts::check(!shares_.empty() && shares_.size() <= posts_.size());
  for (std::uint32_t i = 0; i < shares_.size(); ++i) {
    posts_[i].holder.store(i, std::memory_order_relaxed);
    posts_[i].wanted.store(i, std::memory_order_relaxed);
  }
}

void Duties::follow(std::uint64_t drained) noexcept {
  const std::size_t workers = shares_.size();
  nts::check((drained & all_of(workers)) != all_of(workers));
  for (std::size_t i = 0; i < workers; ++i) {
    if (!has(drained, i)) posts_[i].may_rest.store(false, std::memory_order_seq_cst);
  }

  bool is_news = false;
  for (std::size_t owner = 0; owner < workers; ++owner) {
    std::size_t holder = owner;  // itself, or the next in service
    while (has(drained, holder)) holder = (holder + 1) % workers;
    if (posts_[holder].rests.load(std::memory_order_seq_cst)) continue;  // it wakes; until then all stays
    const std::uint32_t wanted = posts_[owner].wanted.load(std::memory_order_relaxed);
    if (wanted == holder || posts_[owner].holder.load(std::memory_order_acquire) != wanted) continue;
    posts_[owner].wanted.store(static_cast<std::uint32_t>(holder), std::memory_order_release);
    is_news = true;
  }

  for (std::size_t i = 0; i < workers; ++i) {
    if (!has(drained, i) || posts_[i].may_rest.load(std::memory_order_relaxed)) continue;
    bool has_work = false;
    for (std::size_t owner = 0; owner < workers; ++owner) {
      has_work |= posts_[owner].holder.load(std::memory_order_acquire) == i ||
                  posts_[owner].wanted.load(std::memory_order_relaxed) == i;
    }
    if (has_work) continue;
    posts_[i].may_rest.store(true, std::memory_order_seq_cst);
    is_news = true;
  }
  if (is_news) version_.fetch_add(1, std::memory_order_acq_rel);
}

void Duties::hand_on(std::uint32_t number) noexcept {
  bool is_news = false;
  for (std::size_t owner = 0; owner < shares_.size(); ++owner) {
    if (!holds(number, owner)) continue;
    const std::uint32_t wanted = posts_[owner].wanted.load(std::memory_order_acquire);
    if (wanted == number) continue;
    posts_[owner].holder.store(wanted, std::memory_order_release);
    is_news = true;
  }
  if (is_news) version_.fetch_add(1, std::memory_order_acq_rel);
}

bool Duties::begin_rest(std::uint32_t number) noexcept {
  if (!may_rest(number)) return false;
  posts_[number].rests.store(true, std::memory_order_seq_cst);
  // Main, having told us to serve, either sees that we rest and waits, or is seen here.
  if (may_rest(number)) return true;
  end_rest(number);
  return false;
}

}  // namespace dataplane
