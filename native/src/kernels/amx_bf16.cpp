// Compiled twice: for the units, and with FK_AMX_EMULATED for the tests of machines without them.
#include "tile_amx.h"
#include "types.h"

namespace fk {

#ifdef FK_AMX_EMULATED
constexpr Arithmetic kAmxEmulatedFast[FK_TYPES] = FK_ARITHMETIC(bf16, int16, AmxTile, 8, 16);
#else
constexpr Arithmetic kAmxBf16Fast[FK_TYPES] = FK_ARITHMETIC(bf16, int16, AmxTile, 8, 16);
#endif

} // namespace fk
