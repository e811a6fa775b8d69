#include "pool.h"

#include <algorithm>
#include <chrono>
#include <pthread.h>
#include <sched.h>

namespace fk {
namespace {

using Clock = std::chrono::steady_clock;
constexpr auto kSpin = std::chrono::microseconds(200);
constexpr auto kSpinAwake = std::chrono::milliseconds(100);
// Pauses between two looks at the clock, and looks between two yields: each is a system call, and many of them slow down
// what shares cores with these threads.
constexpr int kPauses = 64, kLooks = 32;

inline void relax() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

// Waits in steps: a few pauses, then, should another thread need this CPU, yields.
class Backoff {
public:
  void operator()() {
    if (++count_ < 4096)
      relax();
    else
      sched_yield();
  }

private:
  int count_ = 0;
};

void pin(std::thread &thread, int cpu) {
#ifdef __linux__
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(cpu, &set);
  // A CPU that was taken away meanwhile leaves the thread where it may run.
  pthread_setaffinity_np(thread.native_handle(), sizeof set, &set);
#else
  (void)thread, (void)cpu;
#endif
}

} // namespace

Pool::Pool(int threads, std::vector<int> cpus, std::vector<int> nodes)
    : node_of_(std::move(nodes)),
      nodes_(node_of_.empty() ? 1 : *std::max_element(node_of_.begin(), node_of_.end()) + 1) {
  workers_.reserve(threads - 1);
  try {
    for (int i = 1; i < threads; i++) {
      workers_.emplace_back([this, i] { work(i); });
      if (i < int(cpus.size())) pin(workers_.back(), cpus[i]);
    }
  } catch (...) {
    stop_ = true;
    wake();
    for (auto &worker : workers_) worker.join();
    throw;
  }
}

Pool::~Pool() {
  stop_ = true;
  wake();
  for (auto &worker : workers_) worker.join();
}

void Pool::start(std::vector<Stage> stages) {
  stages_ = std::move(stages);
  progress_ = std::vector<Progress>(stages_.size());
  open_ = true;
  wake();
}

void Pool::wait() {
  take_part(0);
  if (!progress_.empty()) {
    Backoff backoff;
    while (progress_.back().done.count.load(std::memory_order_acquire) < stages_.back().chunks) backoff();
  }
  open_ = false;
  // A worker enters by adding to inside_ and then reading open_, both sequentially consistent: it is either seen here
  // or sees the job closed.
  Backoff backoff;
  while (inside_.load() > 0) backoff();
}

void Pool::keep_awake(bool on) {
  awake_ = on;
  if (on) wake();
}

void Pool::wake() {
  epoch_.fetch_add(1);
  if (sleepers_.load() > 0) {
    std::lock_guard<std::mutex> lock(mutex_);
    wakeup_.notify_all();
  }
}

// The next chunk of a thread's own node, or where that has none left, of another one; -1 where none has.
int Pool::take(const Stage &stage, Progress &progress, int node, int &helped) const {
  for (; helped < nodes_; helped++) {
    const int n = (node + helped) % nodes_;
    const auto end_of = [&](int n) {
      return n < 0 ? 0 : stage.ends.empty() ? int(int64_t(stage.chunks) * (n + 1) / nodes_) : stage.ends[n];
    };
    const int chunk = end_of(n - 1) + progress.taken[n].count.fetch_add(1, std::memory_order_relaxed);
    if (chunk < end_of(n)) return chunk;
  }
  return -1;
}

void Pool::take_part(int thread) {
  const int node = node_of_.empty() ? 0 : node_of_[thread];
  for (size_t s = 0; s < stages_.size(); s++) {
    const Stage &stage = stages_[s];
    Progress &progress = progress_[s];
    int helped = 0; // nodes that have nothing left
    const auto take = [&] { return this->take(stage, progress, node, helped); };
    int chunk = take(), finished = 0;
    if (s > 0) {
      const auto started = [&] { return progress_[s - 1].done.count.load(std::memory_order_acquire) >= stages_[s - 1].chunks; };
      if (chunk >= 0 && stage.approach && !started()) stage.approach(chunk);
      Backoff backoff;
      while (!started()) backoff();
    }
    for (; chunk >= 0; finished++) {
      const int following = take();
      stage.run(chunk, following, thread);
      chunk = following;
    }
    if (finished > 0) progress.done.count.fetch_add(finished, std::memory_order_acq_rel);
  }
}

void Pool::work(int thread) {
  uint32_t seen = 0;
  while (!stop_.load()) {
    if (!await_job(seen)) continue;
    seen = epoch_.load();
    inside_.fetch_add(1);
    if (open_.load()) take_part(thread);
    inside_.fetch_sub(1);
  }
}

// Returns once the epoch has moved on from `seen`: spinning first, then asleep.
bool Pool::await_job(uint32_t seen) {
  const auto since = Clock::now();
  for (int i = 0;; i++) {
    if (epoch_.load(std::memory_order_acquire) != seen) return true;
    relax();
    if (i % kPauses == kPauses - 1) {
      const auto waited = Clock::now() - since;
      if (waited > (awake_.load(std::memory_order_relaxed) ? Clock::duration(kSpinAwake) : Clock::duration(kSpin)))
        break;
      if (waited > kSpin && i / kPauses % kLooks == 0) sched_yield();
    }
  }
  std::unique_lock<std::mutex> lock(mutex_);
  sleepers_.fetch_add(1);
  wakeup_.wait(lock, [&] { return epoch_.load() != seen; });
  sleepers_.fetch_sub(1);
  return !stop_.load();
}

} // namespace fk
