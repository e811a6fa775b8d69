// The AMX instructions that tile_amx.h and dot_amx.h use, and the same in software for machines without the units, where
// FK_AMX_EMULATED is defined. Tile numbers are literals: the instructions encode them.
#pragma once
#include "simd.h"

#ifdef FK_AMX_EMULATED

namespace fk {
namespace {

struct EmulatedTile {
  uint8_t row[16][64];
  int rows, bytes;
};
thread_local EmulatedTile emulated_tiles[8];

inline void emulate_load(EmulatedTile &tile, const void *from, int64_t stride) {
  for (int r = 0; r < tile.rows; r++) memcpy(tile.row[r], (const uint8_t *)from + r * stride, size_t(tile.bytes));
}
inline void emulate_store(const EmulatedTile &tile, void *to, int64_t stride) {
  for (int r = 0; r < tile.rows; r++) memcpy((uint8_t *)to + r * stride, tile.row[r], size_t(tile.bytes));
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

// TDPBUSD, TDPBSSD, TDPBSUD: c[m][n] += a[m][4k + i] b[k][4n + i], bytes of A and B.
template <class A, class B> inline void emulate_dot_int8(EmulatedTile &c, const EmulatedTile &a, const EmulatedTile &b) {
  int32_t sums[16][16];
  memcpy(sums, c.row, sizeof sums);
  for (int m = 0; m < 16; m++)
    for (int k = 0; k < a.bytes; k++)
      for (int n = 0; n < 16; n++) sums[m][n] += A(a.row[m][k]) * B(b.row[k / 4][4 * n + k % 4]);
  memcpy(c.row, sums, sizeof sums);
}
constexpr auto emulate_us = emulate_dot_int8<uint8_t, int8_t>, emulate_ss = emulate_dot_int8<int8_t, int8_t>,
               emulate_su = emulate_dot_int8<int8_t, uint8_t>;
// What tiles hold is undefined when they are shaped anew.
inline void emulate_on(int left_bytes, int right_rows) {
  for (int t = 0; t < 8; t++) {
    EmulatedTile &tile = emulated_tiles[t];
    memset(tile.row, 0xff, sizeof tile.row);
    tile.rows = t < 6 ? 16 : right_rows;
    tile.bytes = t == 4 || t == 5 ? left_bytes : 64;
  }
}

} // namespace
} // namespace fk

#define FK_TILES_ON() emulate_on(64, 16)
#define FK_TILES_ON_INT8(k) emulate_on(k, (k) / 4)
#define FK_TILES_OFF() ((void)0)
#define FK_TILE_ZERO(t) memset(emulated_tiles[t].row, 0, sizeof emulated_tiles[t].row)
#define FK_TILE_DOT_INT8(signs, c, a, b) emulate_##signs(emulated_tiles[c], emulated_tiles[a], emulated_tiles[b])
#define FK_TILE_LOAD(t, from, stride) emulate_load(emulated_tiles[t], from, stride)
#define FK_TILE_STORE(t, to, stride) emulate_store(emulated_tiles[t], to, stride)
#define FK_TILE_DOT(c, a, b) emulate_dot(emulated_tiles[c], emulated_tiles[a], emulated_tiles[b])

#else

namespace fk {
namespace {

// Eight tiles of 16 rows of 64 bytes; but left operands, 4 and 5, may have shorter rows and right ones, 6 and 7, fewer.
struct alignas(64) TileConfig {
  uint8_t palette = 1, start_row = 0, reserved[14] = {};
  uint16_t bytes_a_row[16] = {64, 64, 64, 64, 64, 64, 64, 64};
  uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
  TileConfig(int left_bytes, int right_rows) {
    bytes_a_row[4] = bytes_a_row[5] = uint16_t(left_bytes);
    rows[6] = rows[7] = uint8_t(right_rows);
  }
};
static_assert(sizeof(TileConfig) == 64, "LDTILECFG reads 64 bytes");

// GCC's intrinsics do not say that they read memory: without this, earlier stores could be moved behind them.
FK_INLINE void memory_is_read() { asm volatile("" ::: "memory"); }

inline void tiles_on(int left_bytes, int right_rows) {
  const TileConfig config(left_bytes, right_rows);
  asm volatile("" ::"r"(&config) : "memory");
  _tile_loadconfig(&config);
}

} // namespace
} // namespace fk

#define FK_TILES_ON() tiles_on(64, 16)
#define FK_TILES_ON_INT8(k) tiles_on(k, (k) / 4)
#define FK_TILES_OFF() _tile_release()
#define FK_TILE_ZERO(t) _tile_zero(t)
#define FK_TILE_LOAD(t, from, stride)                                                                                  \
  do {                                                                                                                 \
    memory_is_read();                                                                                                  \
    _tile_loadd(t, from, stride);                                                                                      \
  } while (0)
#define FK_TILE_STORE(t, to, stride) _tile_stored(t, to, stride)
#define FK_TILE_DOT(c, a, b) _tile_dpbf16ps(c, a, b)
// Which operands have signs: us, ss or su.
#define FK_TILE_DOT_INT8(signs, c, a, b) _tile_dpb##signs##d(c, a, b)

#endif
