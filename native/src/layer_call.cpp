#include "layer_call.h"

#include <algorithm>
#include <memory>

namespace fk {
namespace {

// Packed tokens and activations of the experts computed between two barriers: enough work to hide the barriers, and
// little enough to stay in a last-level cache.
constexpr int64_t kBatchBytes = int64_t(32) << 20;
// Chunks a thread gets of a stage, on average: what a thread that finishes last may keep the others waiting.
constexpr int kChunksPerThread = 32;
constexpr int kTileChunksPerThread = 4;
// Rows of y that a chunk sets to zero.
constexpr int kZeroRows = 16;
// Bytes of weights that a thread brings near while it waits for a stage.
constexpr int kApproach = 8192;
constexpr int64_t kScratchBytes = kPanelBytes + kSumsBytes;

int64_t aligned(int64_t bytes) { return (bytes + 63) / 64 * 64; }

// The weights that a thread reads first, while it waits.
void approach(const uint8_t *p) {
  for (int i = 0; p && i < kApproach; i += 64) __builtin_prefetch(p + i, 0, 2);
}

bool known(int value, int last) { return value >= 0 && value <= last; }

} // namespace

LayerCall::LayerCall(int threads, int nodes)
    : threads_(threads), nodes_(nodes), threads_base_((char *)threads_scratch_.reserve(size_t(threads * kScratchBytes))) {}

fk_status LayerCall::check(const fk_layer &layer, const fk_expert *experts, int count, const Routes &routes,
                           int tokens) {
  if (layer.hidden <= 0 || tokens < 0 || count < 0 || routes.count < 0 || !known(layer.up_type, FK_TYPES - 1) ||
      !known(layer.down_type, FK_TYPES - 1) || !known(layer.activation, FK_SILU_LIMITED) ||
      !known(layer.precision, FK_FULL_F32) || layer.hidden % kPortableFull[layer.up_type].block)
    return FK_INVALID;
  const int block = kPortableFull[layer.down_type].block;
  for (int i = 0; i < routes.count; i++)
    if (routes.tokens[i] < 0 || routes.tokens[i] >= tokens) return FK_INVALID;
  for (int i = 0; i < count; i++) {
    const fk_expert &e = experts[i];
    if (!e.up || !e.down || e.row_begin < 0 || e.row_end < e.row_begin || e.first_route < 0 || e.routes < 0 ||
        e.first_route > routes.count - e.routes || e.row_begin % block || e.row_end % block)
      return FK_INVALID;
    if (e.gate ? !known(layer.gate_type, FK_TYPES - 1) || layer.hidden % kPortableFull[layer.gate_type].block
               : layer.activation == FK_SWIGLU_CLAMPED || layer.activation == FK_SILU_LIMITED)
      return FK_INVALID;
  }
  return FK_OK;
}

// Gate and up read one packed copy of the tokens: where their elements differ, both are computed in floats.
void LayerCall::choose(const Kernel &kernel, const fk_expert *experts, int count) {
  const fk_layer &layer = job_.layer;
  gated_ = std::any_of(experts, experts + count, [](const fk_expert &e) { return e.gate != nullptr; });
  const auto table = kernel.arithmetic[layer.precision];
  job_.up = &table[layer.up_type];
  job_.gate = gated_ ? &table[layer.gate_type] : job_.up;
  job_.down = &table[layer.down_type];
  if (job_.gate->tile_element != job_.up->tile_element) {
    job_.gate = &kernel.arithmetic[FK_FULL_F32][layer.gate_type];
    job_.up = &kernel.arithmetic[FK_FULL_F32][layer.up_type];
  }
  common_ = kernel.common;
  layouts_.assign(1, job_.up->rows);
  if (job_.gate->rows != job_.up->rows) layouts_.push_back(job_.gate->rows);
}

std::vector<Stage> LayerCall::plan(const Kernel &kernel, const fk_layer &layer, const fk_expert *experts, int count,
                                   const Routes &routes, const float *x, float *y, int tokens) {
  job_ = {layer, nullptr, nullptr, nullptr, round_up(layer.hidden, kStep), x, y, {}};
  choose(kernel, experts, count);
  add_tasks(experts, count, routes);
  std::vector<Stage> stages;
  rows_ready_ = false;
  if (layer.overwrite && tasks_.empty()) add_preparation(stages, {0, 0}, tokens);
  for (Batch batch : place_tasks(tokens)) {
    add_preparation(stages, batch, tokens);
    add_gate_up(stages, batch);
    add_down(stages, batch);
  }
  return stages;
}

void LayerCall::poison(int byte) {
  for (Buffer &rows : rows_x_) rows.fill(byte);
  shared_.fill(byte);
  threads_scratch_.fill(byte);
}

void LayerCall::add_tasks(const fk_expert *experts, int count, const Routes &routes) {
  const int dot_tokens = std::min({job_.gate->dot_tokens, job_.up->dot_tokens, job_.down->dot_tokens});
  tasks_.clear();
  for (int i = 0; i < count; i++) {
    const fk_expert &e = experts[i];
    if (e.routes == 0) continue;
    Task task = {};
    task.expert = e;
    task.tokens = routes.tokens + e.first_route;
    task.weights = routes.weights + e.first_route;
    task.form = e.routes <= dot_tokens ? Form::dot : Form::tile;
    task.rows = e.row_end - e.row_begin;
    task.act_k = round_up(task.rows, kStep);
    task.vectors = round_up(e.routes, kVector) / kVector;
    if (task.rows > 0 || e.down_bias) tasks_.push_back(task);
  }
}

std::vector<LayerCall::Batch> LayerCall::place_tasks(int tokens) {
  std::vector<Batch> batches;
  std::vector<std::pair<int64_t, int64_t>> places; // of packed and act in the shared scratch
  int64_t used = 0, most = 0;
  bool rows = false;
  for (int i = 0; i < int(tasks_.size()); i++) {
    const Task &task = tasks_[i];
    const bool dot = task.form == Form::dot;
    rows |= dot;
    const int64_t routes = dot ? task.expert.routes : int64_t(task.vectors) * kVector;
    const int64_t packed = dot ? 0 : aligned(routes * job_.hidden_k * job_.up->tile_element);
    const int64_t act = aligned(routes * (dot ? row_bytes(job_.down->rows, task.rows)
                                              : int64_t(task.act_k) * job_.down->tile_element));
    if (batches.empty() || used + packed + act > kBatchBytes) {
      batches.push_back({i, i});
      used = 0;
    }
    places.push_back({used, used + packed});
    used += packed + act;
    most = std::max(most, used);
    batches.back().end = i + 1;
  }
  char *base = (char *)shared_.reserve(size_t(most));
  for (size_t i = 0; i < tasks_.size(); i++) {
    tasks_[i].packed = base + places[i].first;
    tasks_[i].act = base + places[i].second;
  }
  for (const Rows layout : layouts_)
    if (rows)
      job_.rows_x[int(layout)] = rows_x_[int(layout)].reserve(size_t(tokens * row_bytes(layout, job_.layer.hidden)));
  return batches;
}

// The tokens into the layouts that the batch's forms read; before the first batch, y to zero where that is asked for.
void LayerCall::add_preparation(std::vector<Stage> &stages, Batch batch, int tokens) {
  constexpr int kSlice = 512; // k of one chunk
  const auto pieces = std::make_shared<std::vector<Piece>>();
  const int slices = (job_.hidden_k + kSlice - 1) / kSlice;
  bool dot = false;
  for (int i = batch.begin; i < batch.end; i++) {
    dot |= tasks_[i].form == Form::dot;
    if (tasks_[i].form == Form::tile) pieces->push_back({i, 0, tasks_[i].vectors * slices});
  }
  // Row by row where an expert wants rows, unless an earlier batch has them.
  const int rows = dot && !rows_ready_ ? tokens * int(layouts_.size()) : 0;
  rows_ready_ |= dot;
  const int zeros = stages.empty() && job_.layer.overwrite ? (tokens + kZeroRows - 1) / kZeroRows : 0;
  int chunks = rows + zeros;
  for (Piece &piece : *pieces) {
    piece.begin = chunks;
    chunks = piece.end += chunks;
  }
  if (chunks == 0) return;
  stages.push_back({chunks, [this, pieces, rows, zeros, slices, tokens](int chunk, int, int) {
                      if (chunk < rows) return common_->convert_row(job_, layouts_[chunk / tokens], chunk % tokens);
                      if (chunk < rows + zeros) {
                        const int first = (chunk - rows) * kZeroRows, count = std::min(kZeroRows, tokens - first);
                        const int64_t hidden = job_.layer.hidden;
                        std::fill_n(job_.y + first * hidden, count * hidden, 0.0f);
                        return;
                      }
                      const auto piece = std::find_if(pieces->begin(), pieces->end(),
                                                      [&](const Piece &p) { return chunk < p.end; });
                      const int part = chunk - piece->begin, k = part % slices * kSlice;
                      const int end = std::min(k + kSlice, job_.hidden_k);
                      common_->pack(job_, tasks_[piece->task], part / slices, k, end);
                    }, {}});
}

void LayerCall::add_gate_up(std::vector<Stage> &stages, Batch batch) {
  const auto pieces = std::make_shared<std::vector<Piece>>();
  int64_t rows[2] = {0, 0}; // by form
  for (int i = batch.begin; i < batch.end; i++) rows[int(tasks_[i].form)] += tasks_[i].rows;
  std::vector<int> ends;
  for (int node = 0; node < nodes_; node++) {
    for (int i = batch.begin; i < batch.end; i++) {
      const Task &task = tasks_[i];
      const int most = task.expert.gate ? kPanelRows / 2 : kPanelRows;
      const int chunks = threads_ * (task.form == Form::dot ? kChunksPerThread : kTileChunksPerThread);
      const int fair = int(std::min<int64_t>(rows[int(task.form)] / chunks, most));
      const int step = std::max(kStep, round_up(fair, kStep));
      const int end = rows_before(task, node + 1);
      for (int r = rows_before(task, node); r < end; r += step) pieces->push_back({i, r, std::min(r + step, end)});
    }
    ends.push_back(int(pieces->size()));
  }
  const auto begin = [this, pieces](int chunk) {
    const Piece &piece = (*pieces)[chunk];
    return dot_rows(piece.task, tasks_[piece.task].first_row(piece.begin));
  };
  const auto run = [this, pieces](int chunk, int following, int thread) {
    const Piece &piece = (*pieces)[chunk];
    const auto then = [&](const Piece &next) { return Following{&tasks_[next.task], next.begin, next.end}; };
    common_->gate_up(job_, tasks_[piece.task], scratch_of(thread), piece.begin, piece.end,
                     following < 0 ? Following{} : then((*pieces)[following]));
  };
  stages.push_back({int(pieces->size()), run, [begin](int chunk) { approach(begin(chunk)); }, ends});
}

// Of a task's rows, those that nodes before this one compute: the same rows of an expert whatever part of it a task is.
int LayerCall::rows_before(const Task &task, int node) const {
  if (node == nodes_) return task.rows;
  const fk_expert &e = task.expert;
  const int64_t width = std::max<int64_t>(e.row_end, e.down_stride / job_.down->block_bytes * job_.down->block);
  const int64_t rows = width * node / nodes_ - e.row_begin;
  return int(std::min<int64_t>(task.rows, round_up(int(std::max<int64_t>(0, rows)), kStep)));
}

// A chunk owns its columns of y for all experts of the batch, so that no two threads add to one element.
void LayerCall::add_down(std::vector<Stage> &stages, Batch batch) {
  bool tile = false;
  for (int i = batch.begin; i < batch.end; i++) tile |= tasks_[i].form == Form::tile;
  const int hidden = job_.layer.hidden;
  const int fair = std::min(kPanelRows, hidden / (threads_ * (tile ? kTileChunksPerThread : kChunksPerThread)));
  const int least = tile ? kStep : kVector;
  const int step = std::max(least, round_up(fair, least));
  const auto begin = [this, step](int task, int chunk) {
    return dot_rows(task, tasks_[task].down_row(*job_.down, chunk * step));
  };
  const auto run = [this, batch, step, hidden](int chunk, int following, int thread) {
    const int c0 = chunk * step, c1 = std::min(c0 + step, hidden);
    for (int i = batch.begin; i < batch.end; i++) {
      const auto then = [&](int task, int chunk) {
        return Following{&tasks_[task], chunk * step, std::min(chunk * step + step, hidden)};
      };
      const Following next = i + 1 < batch.end ? then(i + 1, chunk)
                             : following < 0   ? Following{}
                                               : then(batch.begin, following);
      common_->down(job_, tasks_[i], scratch_of(thread), c0, c1, next);
    }
  };
  stages.push_back({(hidden + step - 1) / step, run, [batch, begin](int chunk) { approach(begin(batch.begin, chunk)); }});
}

// Weights at p, if the task reads them in order.
const uint8_t *LayerCall::dot_rows(int task, const uint8_t *p) const {
  return tasks_[task].form == Form::dot ? p : nullptr;
}

Scratch LayerCall::scratch_of(int thread) const {
  char *base = threads_base_ + thread * kScratchBytes;
  return {base, (float *)(base + kPanelBytes)};
}

} // namespace fk
