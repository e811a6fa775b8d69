// Routers: from the logits of all experts to those of a token, and their weights. Loops without branches where the outcome
// cannot be foreseen: a wrong guess of the processor costs as much as sixteen comparisons.
#pragma once
#include "activation.h"

#include <math.h>

namespace fk {
namespace {

constexpr int kColumns = 16;
constexpr float kNever = -INFINITY;

FK_INLINE float larger(float a, float b) { return a > b ? a : b; }

// The k-th largest of the columns' largest: no more than the k-th largest of all values, and not much less.
inline float threshold(const float *values, int count, int k) {
  if (k > kColumns || count < 2 * kColumns) return kNever;
  float best[kColumns];
  for (int l = 0; l < kColumns; l++) best[l] = values[l];
  for (int i = kColumns; i < count; i += kColumns)
    for (int l = 0; l < kColumns; l++) best[l] = larger(values[i + l], best[l]);
  int32_t above[kColumns] = {};
  for (int j = 0; j < kColumns; j++)
    for (int l = 0; l < kColumns; l++) above[l] += best[j] > best[l];
  float least = INFINITY;
  for (int l = 0; l < kColumns; l++) least = above[l] < k && best[l] < least ? best[l] : least;
  return least;
}

// Indices of the k largest of some candidates, which are in order; equals keep it.
inline void sort_best(const float *values, const int32_t *candidates, int count, int k, int32_t *ids) {
  int found = 0;
  for (int c = 0; c < count; c++) {
    const int32_t candidate = candidates[c];
    const float value = values[candidate];
    if (found == k && !(value > values[ids[k - 1]])) continue;
    int at = found < k ? found++ : k - 1;
    for (; at > 0 && value > values[ids[at - 1]]; at--) ids[at] = ids[at - 1];
    ids[at] = candidate;
  }
}

// Values lie up to a multiple of kColumns, filled with kNever.
inline void top_k(const float *values, int count, int padded, int k, int32_t *ids) {
  int32_t candidates[FK_MAX_ROUTED];
  const float least = threshold(values, padded, k);
  int found = 0;
  for (int i = 0; i < count; i++) {
    candidates[found] = i;
    found += values[i] >= least;
  }
  if (found < k) // there are NaNs
    for (found = 0; found < count; found++) candidates[found] = found;
  sort_best(values, candidates, found, k, ids);
}

inline void softmax(float *values, int count) {
  float best = kNever, sum = 0;
  for (int i = 0; i < count; i++) best = larger(values[i], best);
  for (int i = 0; i < count; i++) values[i] = exponential(values[i] - best);
  for (int i = 0; i < count; i++) sum += values[i];
  for (int i = 0; i < count; i++) values[i] /= sum;
}

inline void score(int kind, float *values, int count) {
  if (kind == FK_SCORE_SOFTMAX) softmax(values, count);
  if (kind == FK_SCORE_SIGMOID)
    for (int i = 0; i < count; i++) values[i] = sigmoid(values[i]);
  if (kind == FK_SCORE_SQRT_SOFTPLUS)
    for (int i = 0; i < count; i++) values[i] = values[i] > 20 ? sqrtf(values[i]) : sqrtf(log1pf(exponential(values[i])));
}

// Leaves only the best groups to choose from.
inline void leave_out_groups(const fk_routing &rule, float *choice, int experts) {
  const int each = experts / rule.groups;
  float worth[FK_MAX_ROUTED];
  for (int group = 0; group < rule.groups; group++) {
    float best = kNever, second = kNever;
    for (int e = group * each; e < (group + 1) * each; e++) {
      second = larger(second, choice[e] < best ? choice[e] : best);
      best = larger(choice[e], best);
    }
    worth[group] = rule.group_best == 1 ? best : best + second;
  }
  int32_t all[FK_MAX_ROUTED], kept[FK_MAX_ROUTED];
  for (int group = 0; group < rule.groups; group++) all[group] = group;
  sort_best(worth, all, rule.groups, rule.kept, kept);
  bool stays[FK_MAX_ROUTED] = {};
  for (int i = 0; i < rule.kept; i++) stays[kept[i]] = true;
  for (int e = 0; e < experts; e++) choice[e] = stays[e / each] ? choice[e] : kNever;
}

inline void weigh(const Routing &r, const float *scores, const int32_t *ids, float *weights) {
  const fk_routing &rule = r.rule;
  float factor = rule.scale, sum = 0;
  for (int i = 0; i < rule.chosen; i++) weights[i] = scores[ids[i]];
  if (rule.score == FK_SCORE_LOGIT) {
    const float best = weights[0];
    for (int i = 0; i < rule.chosen; i++) weights[i] = exponential(weights[i] - best);
  }
  for (int i = 0; i < rule.chosen; i++) sum += weights[i];
  if (rule.score == FK_SCORE_LOGIT) factor /= sum;
  else if (rule.renormalise) factor /= larger(sum + rule.epsilon, rule.minimum);
  for (int i = 0; i < rule.chosen; i++) weights[i] *= r.scales ? factor * r.scales[ids[i]] : factor;
}

inline void route(const Routing &r, int t0, int t1) {
  const fk_routing &rule = r.rule;
  const int experts = r.experts, padded = round_up(experts, kColumns);
  float scores[FK_MAX_ROUTED], corrected[FK_MAX_ROUTED];
  const bool apart = r.correction || rule.groups > 1;
  float *const choice = apart ? corrected : scores;
  for (int t = t0; t < t1; t++) {
    const float *logits = r.logits + int64_t(t) * experts;
    int32_t *ids = r.ids + int64_t(t) * rule.chosen;
    for (int e = 0; e < experts; e++) scores[e] = r.bias ? logits[e] + r.bias[e] : logits[e];
    score(rule.score, scores, experts);
    if (apart)
      for (int e = 0; e < experts; e++) choice[e] = r.correction ? scores[e] + r.correction[e] : scores[e];
    if (rule.groups > 1) leave_out_groups(rule, choice, experts);
    for (int e = experts; e < padded; e++) choice[e] = kNever;
    top_k(choice, experts, padded, rule.chosen, ids);
    weigh(r, scores, ids, r.weights + int64_t(t) * rule.chosen);
  }
}

} // namespace
} // namespace fk
