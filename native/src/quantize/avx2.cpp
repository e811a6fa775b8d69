#include "rows.h"

bool fk::quantize_avx2(fk_type type, fk_type from_type, const void *from, void *to, int64_t blocks) {
  return quantize_row(type, from_type, from, to, blocks);
}
