#include "types.h"

namespace fk {

constexpr Arithmetic kAvx512VnniFast[FK_TYPES] = FK_ARITHMETIC(float, int16, F32Tile, 8, 8);

} // namespace fk
