#include "arithmetic.h"
#include "tile_bf16.h"
#include "tile_f32.h"

namespace fk {

constexpr Arithmetic kAvx512Bf16Fast[4] = {
    arithmetic<F32Weights, float, F32Tile, 8>(),
    arithmetic<F16Weights, float, Bf16Tile, 8>(),
    arithmetic<Bf16Weights, bf16, Bf16Tile, 8>(),
    arithmetic<Q8Weights, int16, Bf16Tile, 8>(),
};

} // namespace fk
