// BLAKE3 without keys and of 32 bytes, after the paper
// (https://github.com/BLAKE3-team/BLAKE3-specs). WebAssembly is little-endian, as
// BLAKE3 is, so that words and bytes are the same.

enum { blake3_chunk = 1024, blake3_block = 64, blake3_digest = 32 };
enum { chunk_start = 1, chunk_end = 2, parent = 4, root = 8 };

static const uint32_t blake3_iv[8] = {
    0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};

static inline uint32_t rotate_right(uint32_t x, int by) { return x >> by | x << (32 - by); }

// What is inlined by force keeps the state in locals, as any fast implementation
// does.
#define INLINE static inline __attribute__((always_inline))

INLINE void mix(uint32_t *a, uint32_t *b, uint32_t *c, uint32_t *d, uint32_t x, uint32_t y) {
  *a += *b + x;
  *d = rotate_right(*d ^ *a, 16);
  *c += *d;
  *b = rotate_right(*b ^ *c, 12);
  *a += *b + y;
  *d = rotate_right(*d ^ *a, 8);
  *c += *d;
  *b = rotate_right(*b ^ *c, 7);
}

INLINE void mix_all(uint32_t s[16], const uint32_t m[16]) {
  mix(&s[0], &s[4], &s[8], &s[12], m[0], m[1]);
  mix(&s[1], &s[5], &s[9], &s[13], m[2], m[3]);
  mix(&s[2], &s[6], &s[10], &s[14], m[4], m[5]);
  mix(&s[3], &s[7], &s[11], &s[15], m[6], m[7]);
  mix(&s[0], &s[5], &s[10], &s[15], m[8], m[9]);
  mix(&s[1], &s[6], &s[11], &s[12], m[10], m[11]);
  mix(&s[2], &s[7], &s[8], &s[13], m[12], m[13]);
  mix(&s[3], &s[4], &s[9], &s[14], m[14], m[15]);
}

INLINE void permute(uint32_t m[16]) {
  uint32_t t[16] = {m[2], m[6], m[3], m[10], m[7], m[0], m[4], m[13],
                    m[1], m[11], m[12], m[5], m[9], m[14], m[15], m[8]};
  memcpy(m, t, sizeof t);
}

// blake3_compress may have the same words as cv and next.
static void blake3_compress(uint32_t next[8], const uint32_t cv[8], const uint32_t block[16], uint64_t counter,
                            uint32_t size, uint32_t flags) {
  uint32_t s[16], m[16];
  memcpy(s, cv, 32);
  memcpy(s + 8, blake3_iv, 16);
  s[12] = (uint32_t)counter, s[13] = (uint32_t)(counter >> 32), s[14] = size, s[15] = flags;
  memcpy(m, block, sizeof m);
  for (int round = 0; round < 7; round++) {
    mix_all(s, m);
    permute(m);
  }
  for (int i = 0; i < 8; i++) next[i] = s[i] ^ s[i + 8];
}

static void blake3_of_chunk(uint32_t cv[8], const uint8_t *data, size_t size, uint64_t chunk, uint32_t flags) {
  memcpy(cv, blake3_iv, 32);
  uint32_t first = chunk_start;
  for (; size > blake3_block; data += blake3_block, size -= blake3_block, first = 0) {
    uint32_t block[16];
    memcpy(block, data, sizeof block);
    blake3_compress(cv, cv, block, chunk, blake3_block, first);
  }
  uint32_t last[16] = {0};
  memcpy(last, data, size);
  blake3_compress(cv, cv, last, chunk, size, first | chunk_end | flags);
}

// blake3_of_tree hashes the data from a chunk on. The left of a tree's two halves
// has as many chunks as a power of two can be, short of all.
static void blake3_of_tree(uint32_t cv[8], const uint8_t *data, size_t size, uint64_t chunk, uint32_t flags) {
  if (size <= blake3_chunk) {
    blake3_of_chunk(cv, data, size, chunk, flags);
    return;
  }
  size_t left = blake3_chunk;
  while (left * 2 < size) left *= 2;
  uint32_t halves[16];
  blake3_of_tree(halves, data, left, chunk, 0);
  blake3_of_tree(halves + 8, data + left, size - left, chunk + left / blake3_chunk, 0);
  blake3_compress(cv, blake3_iv, halves, 0, blake3_block, parent | flags);
}

EXPORT(blake3) uint32_t blake3(uint32_t n) {
  static uint8_t data[4096];
  memset(data, 0, sizeof data);
  while (n--) {
    uint32_t digest[8];
    blake3_of_tree(digest, data, sizeof data, 0, root);
    memcpy(data, digest, blake3_digest);
  }
  return *(uint32_t *)data;
}

// blake3_of hashes 0, 1, … 250, 0, … of a size, at most 8192, and says where the
// digest is: for tests.
EXPORT(blake3_of) const uint32_t *blake3_of(uint32_t size) {
  static uint8_t data[8192];
  static uint32_t digest[8];
  if (size > sizeof data) abort();
  for (uint32_t i = 0; i < size; i++) data[i] = i % 251;
  blake3_of_tree(digest, data, size, 0, root);
  return digest;
}
