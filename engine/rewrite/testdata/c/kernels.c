// Keeps the CPU busy in the ways that C programs do, as the Go program in kernels
// does in Go's. Each export takes how often to do its work, and returns something that
// depends on all of it.

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define EXPORT(name) __attribute__((export_name(#name)))

#include "blake3.h"
#include "json.h"
#include "sha256.h"

EXPORT(sieve) uint32_t sieve(uint32_t n) {
  enum { size = 1 << 20 };
  static uint8_t composite[size];
  uint32_t count = 0;
  while (n--) {
    memset(composite, 0, size);
    count = 0;
    for (uint32_t i = 2; i < size; i++) {
      if (composite[i]) continue;
      count++;
      for (uint32_t j = 2 * i; j < size; j += i) composite[j] = 1;
    }
  }
  return count;
}

static int ascending(const void *a, const void *b) {
  uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
  return (x > y) - (x < y);
}

EXPORT(sort) uint32_t sort(uint32_t n) {
  enum { size = 10000 };
  static uint32_t numbers[size];
  uint32_t x = 1, sum = 0;
  while (n--) {
    for (int i = 0; i < size; i++) {
      x = x * 1664525 + 1013904223;
      numbers[i] = x >> 8;
    }
    qsort(numbers, size, sizeof numbers[0], ascending);
    for (int i = 0; i < size; i++) sum = sum * 31 + numbers[i];
  }
  return sum;
}

EXPORT(matmul) uint32_t matmul(uint32_t n) {
  enum { size = 128 };
  static double a[size][size], b[size][size], c[size][size];
  for (int i = 0; i < size; i++)
    for (int j = 0; j < size; j++) a[i][j] = i * j % 7, b[i][j] = (i + j) % 5;
  while (n--)
    for (int i = 0; i < size; i++)
      for (int j = 0; j < size; j++) {
        double sum = 0;
        for (int k = 0; k < size; k++) sum += a[i][k] * b[k][j];
        c[i][j] = sum;
      }
  uint32_t sum = 0;
  for (int i = 0; i < size; i++)
    for (int j = 0; j < size; j++) sum = sum * 31 + (uint32_t)c[i][j];
  return sum;
}

// fib is nothing but calls, each of which the guard counts: the compiler must not
// make a loop of the second one.
__attribute__((disable_tail_calls, noinline)) EXPORT(fib) uint32_t fib(uint32_t n) {
  return n < 2 ? n : fib(n - 1) + fib(n - 2);
}
