// The order in which experts that are computed together on an accelerator take their assignments: src/native/order-loops.ts
// says what each function does, src/experts/order-loops.ts has the same in JavaScript.
#include "export.h"
#include "fiddler_experts.h"

#include <algorithm>

FK_API int fk_order_count(const int32_t *ids, int n, int experts, int32_t *counts) {
  if (!ids || !counts || n < 0 || experts < 1) return FK_INVALID;
  std::fill(counts, counts + experts, 0);
  for (int i = 0; i < n; i++) {
    if (ids[i] >= experts) return FK_INVALID;
    if (ids[i] >= 0) counts[ids[i]]++;
  }
  return FK_OK;
}

FK_API int fk_order_sort(const int32_t *ids, const float *weights, int tokens, int chosen, int32_t *nexts, int32_t *rows,
                         float *sorted) {
  if (!ids || !weights || !nexts || !rows || !sorted || tokens < 0 || chosen < 1) return FK_INVALID;
  for (int token = 0; token < tokens; token++)
    for (int k = 0; k < chosen; k++, ids++, weights++) {
      if (*ids < 0) continue;
      const int32_t at = nexts[*ids]++;
      rows[at] = token;
      sorted[at] = *weights;
    }
  return FK_OK;
}

FK_API int fk_order_gather(const int32_t *members, int count, const int32_t *rows, const float *weights, int n,
                           int32_t *slots, int32_t *tokens, float *gathered, int32_t *seen, int32_t *sizes, int depth) {
  if (!members || !rows || !weights || !slots || !tokens || !gathered || !seen || !sizes || count < 0 || n < 0)
    return FK_INVALID;
  std::fill(seen, seen + n, 0);
  std::fill(sizes, sizes + depth, 0);
  int total = 0;
  for (int m = 0; m < count; m++, members += 3) {
    const int32_t slot = members[0], start = members[1], end = start + members[2];
    for (int32_t a = start; a < end; a++, total++) {
      const int32_t token = rows[a];
      slots[total] = slot;
      tokens[total] = token;
      gathered[total] = weights[a];
      sizes[seen[token]++]++;
    }
  }
  return FK_OK;
}

FK_API int fk_order_lay_out(int32_t *ids, int32_t *tokens, int rows, int abreast, int total, const int32_t *slots,
                            const int32_t *gathered) {
  if (!ids || !tokens || !slots || !gathered || rows < 0 || abreast < 1 || total < 0) return FK_INVALID;
  int place = 0;
  for (int row = 0; row < rows; row++) {
    const int first = place, next = place + abreast;
    for (int i = row; i < total; i += rows, place++) {
      ids[place] = slots[i];
      tokens[place] = gathered[i];
    }
    for (; place < next; place++) {
      int i = 0;
      while (i < total && std::find(ids + first, ids + place, slots[i]) != ids + place) i++;
      if (i == total) return FK_INVALID;
      ids[place] = slots[i];
      tokens[place] = gathered[i];
    }
  }
  return FK_OK;
}

FK_API int fk_order_rounds(int32_t *numbers, float *weights, const int32_t *tokens, int rows, int abreast, int total, int n,
                           const float *gathered, const int32_t *orders, const int32_t *targets, int32_t *found,
                           int32_t *seen, int32_t *places) {
  if (!numbers || !weights || !tokens || !gathered || !orders || !targets || !found || !seen || !places || rows < 0 ||
      abreast < 1 || n < 0)
    return FK_INVALID;
  std::fill(seen, seen + n, 0);
  for (int row = 0; row < rows; row++) {
    int place = row * abreast;
    for (int i = row; i < total; i += rows, place++) {
      const int32_t token = tokens[place], nth = seen[token]++;
      if (targets[nth] >= 0) {
        places[token] = found[nth]++;
        numbers[targets[nth] + places[token]] = token;
      }
      numbers[orders[nth] + places[token]] = place;
      weights[place] = gathered[i];
    }
  }
  return FK_OK;
}

FK_API int fk_order_at_once(int32_t *order, float *weights, int rows, int abreast, int total, int columns, int n,
                            const int32_t *tokens, const float *gathered, int32_t *seen) {
  if (!order || !weights || !tokens || !gathered || !seen || rows < 0 || abreast < 1 || columns < 0 || n < 0)
    return FK_INVALID;
  std::fill(seen, seen + n, 0);
  std::fill(order, order + int64_t(n) * columns, 0);
  std::fill(weights, weights + int64_t(n) * columns, 0.0f);
  int row = 0, column = 0;
  for (int i = 0; i < total; i++) {
    const int64_t target = int64_t(tokens[i]) * columns + seen[tokens[i]]++;
    order[target] = row * abreast + column;
    weights[target] = gathered[i];
    if (++row == rows) row = 0, column++;
  }
  return FK_OK;
}
