// The AMX instructions that tile_amx.h uses, and the same in software for machines without the units, where
// FK_AMX_EMULATED is defined. Tile numbers are literals: the instructions encode them.
#pragma once
#include "simd.h"

#ifdef FK_AMX_EMULATED

namespace fk {
namespace {

struct EmulatedTile {
  uint8_t row[16][64];
};
thread_local EmulatedTile emulated_tiles[8];

inline void emulate_load(EmulatedTile &tile, const void *from, int64_t stride) {
  for (int r = 0; r < 16; r++) memcpy(tile.row[r], (const uint8_t *)from + r * stride, 64);
}
inline void emulate_store(const EmulatedTile &tile, void *to, int64_t stride) {
  for (int r = 0; r < 16; r++) memcpy((uint8_t *)to + r * stride, tile.row[r], 64);
}
// TDPBF16PS, Intel SDM volume 2: c[m][n] += a[m][2k] b[k][2n], then += a[m][2k + 1] b[k][2n + 1].
inline void emulate_dot(EmulatedTile &c, const EmulatedTile &a, const EmulatedTile &b) {
  float sums[16][16];
  memcpy(sums, c.row, sizeof sums);
  bf16 left[16][32], right[16][32];
  memcpy(left, a.row, sizeof left);
  memcpy(right, b.row, sizeof right);
  const auto value = [](bf16 h) { return bits_to_float(uint32_t(h) << 16); };
  for (int m = 0; m < 16; m++)
    for (int k = 0; k < 16; k++)
      for (int i = 0; i < 2; i++)
        for (int n = 0; n < 16; n++) sums[m][n] += value(left[m][2 * k + i]) * value(right[k][2 * n + i]);
  memcpy(c.row, sums, sizeof sums);
}

} // namespace
} // namespace fk

#define FK_TILES_ON() memset(emulated_tiles, 0xff, sizeof emulated_tiles)
#define FK_TILES_OFF() ((void)0)
#define FK_TILE_ZERO(t) memset(&emulated_tiles[t], 0, sizeof(EmulatedTile))
#define FK_TILE_LOAD(t, from, stride) emulate_load(emulated_tiles[t], from, stride)
#define FK_TILE_STORE(t, to, stride) emulate_store(emulated_tiles[t], to, stride)
#define FK_TILE_DOT(c, a, b) emulate_dot(emulated_tiles[c], emulated_tiles[a], emulated_tiles[b])

#else

namespace fk {
namespace {

// Eight tiles of 16 rows of 64 bytes.
struct alignas(64) TileConfig {
  uint8_t palette = 1, start_row = 0, reserved[14] = {};
  uint16_t bytes_a_row[16] = {64, 64, 64, 64, 64, 64, 64, 64};
  uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
};
static_assert(sizeof(TileConfig) == 64, "LDTILECFG reads 64 bytes");

// GCC's intrinsics do not say that they read memory: without this, earlier stores could be moved behind them.
FK_INLINE void memory_is_read() { asm volatile("" ::: "memory"); }

inline void tiles_on() {
  const TileConfig config;
  asm volatile("" ::"r"(&config) : "memory");
  _tile_loadconfig(&config);
}

} // namespace
} // namespace fk

#define FK_TILES_ON() tiles_on()
#define FK_TILES_OFF() _tile_release()
#define FK_TILE_ZERO(t) _tile_zero(t)
#define FK_TILE_LOAD(t, from, stride)                                                                                  \
  do {                                                                                                                 \
    memory_is_read();                                                                                                  \
    _tile_loadd(t, from, stride);                                                                                      \
  } while (0)
#define FK_TILE_STORE(t, to, stride) _tile_stored(t, to, stride)
#define FK_TILE_DOT(c, a, b) _tile_dpbf16ps(c, a, b)

#endif
