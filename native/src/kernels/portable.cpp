#include "experts.h"
#include "types.h"

namespace fk {

constexpr Arithmetic kPortableFull[FK_TYPES] = FK_ARITHMETIC(float, float, F32Tile, 8, 0);
constexpr Arithmetic kPortableFast[FK_TYPES] = FK_ARITHMETIC(float, int16, F32Tile, 8, 8);
constexpr Common kPortableCommon = common();

} // namespace fk
