#include "arithmetic.h"
#include "tile_f32.h"

namespace fk {

constexpr Arithmetic kAvx2Full[4] = {
    arithmetic<F32Weights, float, F32Tile, 8>(),
    arithmetic<F16Weights, float, F32Tile, 8>(),
    arithmetic<Bf16Weights, float, F32Tile, 8>(),
    arithmetic<Q8Weights, float, F32Tile, 8>(),
};

constexpr Arithmetic kAvx2Fast[4] = {
    kAvx2Full[FK_F32],
    kAvx2Full[FK_F16],
    kAvx2Full[FK_BF16],
    arithmetic<Q8Weights, int16, F32Tile, 8>(),
};

uint64_t read_avx2(const void *address, size_t bytes) { return read(address, bytes); }

} // namespace fk
