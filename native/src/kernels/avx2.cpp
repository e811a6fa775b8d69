#include "experts.h"
#include "types.h"

namespace fk {

constexpr Arithmetic kAvx2Full[FK_TYPES] = FK_ARITHMETIC(float, float, F32Tile, 8, 0);
constexpr Arithmetic kAvx2Fast[FK_TYPES] = FK_ARITHMETIC(float, int16, F32Tile, 8, 8);
constexpr Common kAvx2Common = common();

} // namespace fk
