// Compiled twice: for the units, and with FK_AMX_EMULATED for the tests of machines without them.
#include "arithmetic.h"
#include "tile_amx.h"
#include "tile_f32.h"

namespace fk {

#ifdef FK_AMX_EMULATED
constexpr Arithmetic kAmxEmulatedFast[4] = {
#else
constexpr Arithmetic kAmxBf16Fast[4] = {
#endif
    arithmetic<F32Weights, float, F32Tile, 8>(),
    arithmetic<F16Weights, float, AmxTile, 8>(),
    arithmetic<Bf16Weights, bf16, AmxTile, 8>(),
    arithmetic<Q8Weights, int16, AmxTile, 8>(),
};

} // namespace fk
