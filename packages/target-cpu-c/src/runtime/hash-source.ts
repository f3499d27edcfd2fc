/**
 * C11 source of what every shared object carries to compare what was read with its hashes on other threads than JavaScript's:
 * `tenon_hash64` is `hash64` of `@tenon/artifact`, whose eight lanes are one vector here.
 */
export const hashSource = `#include <stddef.h>
#include <stdint.h>

#define P1 0x9e3779b1u
#define P2 0x85ebca77u
#define P3 0xc2b2ae3du
#define P4 0x27d4eb2fu
#define P5 0x165667b1u
#define ROTATE(x, n) (((x) << (n)) | ((x) >> (32 - (n))))

typedef uint32_t lanes __attribute__((vector_size(32)));
typedef uint32_t words __attribute__((vector_size(32), aligned(1)));

static uint32_t avalanche(uint32_t h) {
  h = (h ^ (h >> 15)) * P2;
  h = (h ^ (h >> 13)) * P3;
  return h ^ (h >> 16);
}

static uint64_t hash(const unsigned char* bytes, uint64_t count) {
  lanes state = {P1 + P2, P2, 0, 0u - P1, P3, P4, P5, P3 + P4};
  uint64_t at = 0;
  for (; at + 32 <= count; at += 32) {
    state += *(const words*)(bytes + at) * P2;
    state = ROTATE(state, 13) * P1;
  }
  uint32_t low = P5 + (uint32_t)count, high = P4 ^ (uint32_t)(count >> 32);
  for (int i = 0; i < 8; i++) {
    const uint32_t l = low + state[i] * P3, h = high ^ (state[i] * P2);
    low = ROTATE(l, 17) * P4;
    high = (ROTATE(h, 11) + P1) * P5;
  }
  for (; at < count; at++) {
    const uint32_t byte = bytes[at] + 1u, l = low + byte * P5, h = high ^ (byte * P3);
    low = ROTATE(l, 11) * P1;
    high = ROTATE(h, 15) * P2;
  }
  return ((uint64_t)avalanche(high) << 32) | avalanche(low);
}

/* Hashes of so many bytes at a time; the last may be fewer. */
__attribute__((visibility("default"))) int tenon_hash64(const unsigned char* bytes, uint64_t count, uint64_t chunk, uint64_t* hashes) {
  for (uint64_t at = 0; at < count; at += chunk) *hashes++ = hash(bytes + at, count - at < chunk ? count - at : chunk);
  return 0;
}
`;
