#include "control/drain.h"

#include <algorithm>

#include "control/status.h"

namespace control {
namespace {

std::uint32_t cores_of(const shm::StatsPage& page) {
  return static_cast<std::uint32_t>(
      std::min<std::uint64_t>(page.core_count.load(std::memory_order_relaxed), shm::cores_max));
}

std::uint64_t bit_of(std::uint32_t core) { return std::uint64_t{1} << core; }

DrainPlan refused(std::string fault) { return {std::move(fault), 0, 0, 0}; }

}  // namespace

DrainPlan plan_drain(const shm::StatsPage* page, uid_t writer, const shm::Settings& published,
                     std::uint32_t cpu, bool is_drained) {
  if (page == nullptr || !is_serving(*page, writer)) {
    return refused("no dataplane serves, so no core is in service; start Noonmark first");
  }
  DrainPlan plan;
  plan.drained_instance = page->instance_id.load(std::memory_order_acquire);
  if (published.drained_instance == plan.drained_instance) plan.drained_workers = published.drained_workers;

  const std::uint32_t cores = cores_of(*page);
  std::string all;
  bool is_known = false;
  std::uint64_t all_bits = 0;
  for (std::uint32_t core = 0; core < cores; ++core) {
    const std::uint64_t its_cpu = page->cores[core].cpu.load(std::memory_order_relaxed);
    all += (all.empty() ? "" : ", ") + std::to_string(its_cpu);
    all_bits |= bit_of(core);
    if (its_cpu != cpu || is_known) continue;
    is_known = true;
    plan.core = core;
  }
  if (!is_known) return refused("CPU " + std::to_string(cpu) + " is no core of the dataplane; it has " + all);

  if (is_drained) {
    plan.drained_workers |= bit_of(plan.core);
  } else {
    plan.drained_workers &= ~bit_of(plan.core);
  }
  if ((plan.drained_workers & all_bits) == all_bits) {
    return refused("CPU " + std::to_string(cpu) +
                   " is the last core in service and stays; put another one back first, with `noonmark "
                   "undrain`, or name more in dataplane.cores");
  }
  return plan;
}

std::string why_never(const shm::StatsPage& page, uid_t writer, const DrainPlan& plan) {
  if (!is_serving(page, writer)) {
    return "the dataplane has ended before it did it, and nobody serves; ask again once `noonmark status` "
           "shows it";
  }
  if (page.instance_id.load(std::memory_order_acquire) != plan.drained_instance)
    return "the dataplane has ended before it did it; another one serves with all cores, so ask again";
  return {};
}

bool is_done(const shm::StatsPage& page, const DrainPlan& plan, bool is_drained) {
  if (page.instance_id.load(std::memory_order_acquire) != plan.drained_instance) return false;
  const shm::CoreStats& line = page.cores[plan.core];
  if ((line.is_drained.load(std::memory_order_acquire) == 1) != is_drained) return false;
  if (!is_drained && line.queues.load(std::memory_order_relaxed) == 0) return false;
  // And no queue is on its way from one core to another: each port brought one for each core, if it has so
  // many.
  const std::uint32_t cores = cores_of(page);
  std::uint64_t polled = 0;
  for (std::uint32_t core = 0; core < cores; ++core)
    polled += page.cores[core].queues.load(std::memory_order_acquire);
  std::uint64_t brought = 0;
  for (const shm::PortState& port : page.ports) brought += std::min<std::uint32_t>(port.report.queues, cores);
  return polled == brought;
}

}  // namespace control
