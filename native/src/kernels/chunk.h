// Vocabulary of the block types (types/*.h): weights are taken 256 at a time, a chunk: one block of the K and I types, or
// as many smaller ones as that takes. A chunk is unpacked to bytes without sign, the codes, and a scale for every 16:
//     weight = scale · (code - offset) - min
#pragma once
#include "groups.h"

namespace fk {
namespace {

constexpr int kChunk = 256;

// What a step of k needs of a matrix's last, incomplete chunk: its bytes, then zeros.
template <class W> struct ChunkTail {
  uint8_t data[W::kChunkBytes];
  ChunkTail(const uint8_t *p, int elements) {
    memset(data, 0, sizeof data);
    memcpy(data, p, size_t(elements / W::kBlock * (W::kChunkBytes * W::kBlock / kChunk)));
  }
};

} // namespace
} // namespace fk
