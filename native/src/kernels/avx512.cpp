#include "arithmetic.h"
#include "tile_f32.h"

namespace fk {

constexpr Arithmetic kAvx512Full[4] = {
    arithmetic<F32Weights, float, F32Tile, 8>(),
    arithmetic<F16Weights, float, F32Tile, 8>(),
    arithmetic<Bf16Weights, float, F32Tile, 8>(),
    arithmetic<Q8Weights, float, F32Tile, 8>(),
};

constexpr Arithmetic kAvx512Fast[4] = {
    kAvx512Full[FK_F32],
    kAvx512Full[FK_F16],
    kAvx512Full[FK_BF16],
    arithmetic<Q8Weights, int16, F32Tile, 8>(),
};

uint64_t read_avx512(const void *address, size_t bytes) { return read(address, bytes); }

} // namespace fk
