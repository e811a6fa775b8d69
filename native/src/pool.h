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
// Chunks of a NUMA node's rows lie together: node n has those before ends[n] that the node before has not; without `ends`
// each node has as many as the others.
struct Stage {
  int chunks;
  std::function<void(int chunk, int following, int thread)> run;
  std::function<void(int chunk)> approach;
  std::vector<int> ends = {};
};

constexpr int kMostNodes = 16;

class Pool {
public:
  // `nodes`: the NUMA node of each thread, from 0 on; empty where there is one.
  Pool(int threads, std::vector<int> cpus, std::vector<int> nodes);
  ~Pool();
  int nodes() const { return nodes_; }
  int threads() const { return int(workers_.size()) + 1; }

  // Hands the stages to the workers. One job at a time.
  void start(std::vector<Stage> stages);
  // Takes part until the job is done.
  void wait();
  bool busy() const { return open_.load(); }

  void keep_awake(bool on);

private:
  struct alignas(64) Counter {
    std::atomic<int> count{0};
  };
  struct Progress {
    Counter taken[kMostNodes], done;
  };

  void work(int thread);
  void take_part(int thread);
  int take(const Stage &stage, Progress &progress, int node, int &helped) const;
  bool await_job(uint32_t seen);
  void wake();

  const std::vector<int> node_of_;
  const int nodes_;
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

} // namespace fk
