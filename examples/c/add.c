// The action add, in C: {"param1":3,"param2":4} gives {"result":7}.
//
//   clang --target=wasm32-wasi -mexec-model=reactor -Os -s -o add.wasm add.c
//
// It is a reactor: the host asks ow_alloc for room, writes the event there, calls
// ow_run and reads the answer at the address (upper half) and of the length (lower
// half) that it gets.

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EXPORT(name) __attribute__((export_name(#name)))

static const uint32_t max_input = 64 << 20;

static char *input;
static char answer[128];

EXPORT(ow_alloc) void *ow_alloc(uint32_t size) {
  if (size > max_input || !(input = realloc(input, size + 1))) abort();
  return input;
}

static const char *skip_space(const char *at) { return at + strspn(at, " \t\r\n"); }

// skip_string goes past a string that begins at a quotation mark.
static const char *skip_string(const char *at) {
  for (at++; *at && *at != '"'; at++)
    if (*at == '\\' && at[1]) at++;
  return *at ? at + 1 : at;
}

// skip_value goes past a value, however deep it nests.
static const char *skip_value(const char *at) {
  int depth = 0;
  for (at = skip_space(at); *at; ) {
    if (depth == 0 && strchr(",]}", *at)) break;
    if (*at == '"') {
      at = skip_string(at);
      continue;
    }
    if (*at == '{' || *at == '[') depth++;
    if (*at == '}' || *at == ']') depth--;
    at++;
  }
  return at;
}

// member finds the value of a name among the members of an object, the last of
// several, or NULL. Names with escapes are none of ours.
static const char *member(const char *object, const char *name) {
  const char *found = NULL;
  size_t n = strlen(name);
  const char *at = skip_space(object);
  if (*at != '{') return NULL;
  for (at = skip_space(at + 1); *at == '"'; at = skip_space(at)) {
    const char *key = at + 1;
    at = skip_string(at);
    bool ours = (size_t)(at - key) == n + 1 && memcmp(key, name, n) == 0;
    at = skip_space(at);
    if (*at++ != ':') break;
    at = skip_space(at);
    if (ours) found = at;
    at = skip_value(at);
    if (*at++ != ',') break;
  }
  return found;
}

// integer reads a value that is all an integer.
static bool integer(const char *text, int64_t *value) {
  if (*text != '-' && (*text < '0' || *text > '9')) return false;
  char *end;
  errno = 0;
  *value = strtoll(text, &end, 10);
  return errno == 0 && end != text && strchr(",} \t\r\n", *end);
}

// parameter reads one, or makes an error the answer.
static bool parameter(const char *name, int64_t *value) {
  const char *text = member(input, name);
  if (text && integer(text, value)) return true;
  snprintf(answer, sizeof answer, "{\"error\":\"Expected %s to be %s\"}", name, text ? "an i64" : "present");
  return false;
}

EXPORT(ow_run) uint64_t ow_run(const char *at, uint32_t size) {
  if (at != input) abort();
  input[size] = 0;
  int64_t a, b;
  if (parameter("param1", &a) && parameter("param2", &b))
    snprintf(answer, sizeof answer, "{\"result\":%lld}", (long long)((uint64_t)a + (uint64_t)b));
  return (uint64_t)(uintptr_t)answer << 32 | strlen(answer);
}
