// One call: from a list of experts to stages of chunks for the pool.
#pragma once
#include "kernel.h"
#include "pool.h"
#include "scratch.h"

#include <vector>

namespace fk {

class LayerCall {
public:
  LayerCall(int threads, int nodes);

  // FK_OK, or why the arguments make no sense.
  static fk_status check(const fk_layer &layer, const fk_expert *experts, int count, const Routes &routes, int tokens);

  // Keeps copies of the structs. Throws std::bad_alloc.
  std::vector<Stage> plan(const Kernel &kernel, const fk_layer &layer, const fk_expert *experts, int count,
                          const Routes &routes, const float *x, float *y, int tokens);

  void poison(int byte);

private:
  // Rows or columns of one task (gate_up), or columns of all of a batch (down).
  struct Piece {
    int task, begin, end;
  };
  // Tasks whose packed tokens and activations share the scratch at one time.
  struct Batch {
    int begin, end;
  };

  void choose(const Kernel &kernel, const fk_expert *experts, int count);
  void add_tasks(const fk_expert *experts, int count, const Routes &routes);
  std::vector<Batch> place_tasks(int tokens);
  void add_preparation(std::vector<Stage> &stages, Batch batch, int tokens);
  void add_gate_up(std::vector<Stage> &stages, Batch batch);
  void add_down(std::vector<Stage> &stages, Batch batch);
  const uint8_t *dot_rows(int task, const uint8_t *p) const;
  Scratch scratch_of(int thread) const;

  int rows_before(const Task &task, int node) const;

  const int threads_, nodes_;
  bool gated_ = false; // whether any expert is
  const Common *common_ = nullptr;
  Job job_ = {};
  std::vector<Rows> layouts_; // in which the dot form of gate and up wants tokens
  bool rows_ready_ = false;   // job_.rows_x is filled by a stage already planned
  std::vector<Task> tasks_;
  Buffer rows_x_[kRowsLayouts], shared_, threads_scratch_;
  char *threads_base_;
};

} // namespace fk
