#include "tile_bf16.h"
#include "types.h"

namespace fk {

constexpr Arithmetic kAvx512Bf16Fast[FK_TYPES] = FK_ARITHMETIC(bf16, int16, Bf16Tile, 8, 8);

} // namespace fk
