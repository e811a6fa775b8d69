// What the library gives to others: exports.map keeps the rest inside.
#pragma once

#define FK_API extern "C" __attribute__((visibility("default")))
