// A pinned thread pool that runs jobs made of stages; the threads of a stage take its chunks one by one.
#pragma once
#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace fk {

// A stage starts when every chunk of the one before it is done. A thread knows the chunk that follows its own, so that it
// can bring near what that one reads: `following` is -1 behind its last one, and `approach`, which may be empty, is called
// with its first one while it waits for the stage to start.
struct Stage {
  int chunks;
  std::function<void(int chunk, int following, int thread)> run;
  std::function<void(int chunk)> approach;
};

class Pool {
public:
  Pool(int threads, std::vector<int> cpus);
  ~Pool();
  int threads() const { return int(workers_.size()) + 1; }

  // Hands the stages to the workers. One job at a time.
  void start(std::vector<Stage> stages);
  // Takes part until the job is done.
  void wait();
  bool busy() const { return open_.load(); }

  void keep_awake(bool on);

private:
  struct alignas(64) Progress {
    std::atomic<int> next{0};
    alignas(64) std::atomic<int> done{0};
  };

  void work(int thread);
  void take_part(int thread);
  bool await_job(uint32_t seen);
  void wake();

  std::vector<std::thread> workers_;
  std::vector<Stage> stages_;
  std::vector<Progress> progress_;

  alignas(64) std::atomic<uint32_t> epoch_{0}; // counts jobs, and wakings by keep_awake
  std::atomic<bool> open_{false};              // a job may be entered
  std::atomic<bool> awake_{false};
  std::atomic<bool> stop_{false};
  alignas(64) std::atomic<int> inside_{0}; // workers that may touch stages_
  std::atomic<int> sleepers_{0};
  std::mutex mutex_;
  std::condition_variable wakeup_;
};

// NUMA nodes with memory; 1 where the system does not say.
int numa_nodes();

} // namespace fk
