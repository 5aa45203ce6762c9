// A parser of JSON (RFC 8259) that makes a tree. It takes the text to be UTF-8,
// with a zero behind it.

#include <stdbool.h>

enum { json_input_size = 1 << 14, max_values = 1 << 12, max_depth = 64 };

// A value's kind is the character that begins it, '0' for numbers.
struct value {
  char kind;
  struct value *next; // in its array or object
  union {
    double number;
    struct {
      const char *text;
      uint32_t size;
    };
    struct value *first; // of an object, names and values in turns
  };
};

struct parser {
  const char *at;
  char *bytes;          // where the next string goes; it is no longer than its source
  struct value *values; // the next that is free
  int depth;
};

static struct value json_values[max_values];
static char json_bytes[json_input_size];

static struct value *make(struct parser *p, char kind) {
  if (p->values == json_values + max_values) return NULL;
  *p->values = (struct value){.kind = kind};
  return p->values++;
}

static void skip_space(struct parser *p) {
  while (*p->at == ' ' || *p->at == '\t' || *p->at == '\r' || *p->at == '\n') p->at++;
}

static bool take(struct parser *p, char c) {
  if (*p->at != c) return false;
  p->at++;
  return true;
}

static struct value *parse_word(struct parser *p, const char *word) {
  char kind = *word;
  for (; *word; word++)
    if (!take(p, *word)) return NULL;
  return make(p, kind);
}

// parse_digits says how many there were.
static int parse_digits(struct parser *p, uint64_t *number) {
  const char *begin = p->at;
  for (; *p->at >= '0' && *p->at <= '9'; p->at++) *number = *number * 10 + (uint64_t)(*p->at - '0');
  return p->at - begin;
}

static bool parse_exponent(struct parser *p, int *scale) {
  if (!take(p, 'e') && !take(p, 'E')) return true;
  bool minus = take(p, '-');
  if (!minus) take(p, '+');
  uint64_t exponent = 0;
  int digits = parse_digits(p, &exponent);
  if (digits > 4) exponent = 9999;
  *scale += minus ? -(int)exponent : (int)exponent;
  return digits > 0;
}

// scaled gives a number that is exact but for one rounding, where digits and power
// of ten are doubles themselves; other numbers are the library's.
static double scaled(const char *text, uint64_t number, int digits, int scale) {
  static const double tens[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8,  1e9,  1e10, 1e11,
                                1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
  if (digits > 15 || scale > 22 || scale < -22) return strtod(text, NULL);
  return scale < 0 ? (double)number / tens[-scale] : (double)number * tens[scale];
}

static struct value *parse_number(struct parser *p) {
  bool minus = take(p, '-');
  const char *text = p->at;
  uint64_t number = 0;
  int scale = 0, fraction = 0;
  int digits = take(p, '0') ? 1 : parse_digits(p, &number);
  if (!digits) return NULL;
  if (take(p, '.') && !(fraction = parse_digits(p, &number))) return NULL;
  scale = -fraction;
  if (!parse_exponent(p, &scale)) return NULL;
  struct value *v = make(p, '0');
  if (!v) return NULL;
  v->number = scaled(text, number, digits + fraction, scale);
  if (minus) v->number = -v->number;
  return v;
}

static void put_rune(struct parser *p, uint32_t r) {
  if (r < 0x80) {
    *p->bytes++ = (char)r;
    return;
  }
  int more = r < 0x800 ? 1 : r < 0x10000 ? 2 : 3;
  *p->bytes++ = (char)(0xff00 >> (more + 1) | r >> 6 * more);
  while (more--) *p->bytes++ = (char)(0x80 | (r >> 6 * more & 0x3f));
}

static bool parse_hex(struct parser *p, uint32_t *rune) {
  *rune = 0;
  for (int i = 0; i < 4; i++, p->at++) {
    char c = *p->at, lower = c | 0x20;
    if (c >= '0' && c <= '9') *rune = *rune << 4 | (uint32_t)(c - '0');
    else if (lower >= 'a' && lower <= 'f') *rune = *rune << 4 | (uint32_t)(lower - 'a' + 10);
    else return false;
  }
  return true;
}

// parse_rune reads what follows \u, of surrogates two. One alone stands for no
// character and becomes U+FFFD, as in Go.
static bool parse_rune(struct parser *p) {
  uint32_t rune, low;
  if (!parse_hex(p, &rune)) return false;
  const char *behind = p->at;
  if (rune >> 10 == 0x36 && take(p, '\\') && take(p, 'u')) {
    if (!parse_hex(p, &low)) return false;
    if (low >> 10 == 0x37) {
      put_rune(p, 0x10000 + ((rune & 0x3ff) << 10 | (low & 0x3ff)));
      return true;
    }
  }
  p->at = behind;
  put_rune(p, rune >> 11 == 0x1b ? 0xfffd : rune);
  return true;
}

static bool parse_escape(struct parser *p) {
  static const char names[] = "\"\\/bfnrt", meant[] = "\"\\/\b\f\n\r\t";
  p->at++;
  if (take(p, 'u')) return parse_rune(p);
  const char *name = *p->at ? strchr(names, *p->at) : NULL;
  if (!name) return false;
  *p->bytes++ = meant[name - names];
  p->at++;
  return true;
}

static struct value *parse_string(struct parser *p) {
  struct value *v = make(p, '"');
  if (!v || !take(p, '"')) return NULL;
  v->text = p->bytes;
  while (*p->at != '"') {
    if ((unsigned char)*p->at < ' ') return NULL; // the end of all, too
    if (*p->at != '\\') *p->bytes++ = *p->at++;
    else if (!parse_escape(p)) return NULL;
  }
  p->at++;
  v->size = (uint32_t)(p->bytes - v->text);
  return v;
}

static struct value *parse_value(struct parser *p);

// parse_member puts the next member where it belongs, in an object its name and
// its value, and says where the one after it does.
static struct value **parse_member(struct parser *p, char kind, struct value **where) {
  if (kind == '{') {
    skip_space(p);
    if (!(*where = parse_string(p))) return NULL;
    where = &(*where)->next;
    skip_space(p);
    if (!take(p, ':')) return NULL;
  }
  return (*where = parse_value(p)) ? &(*where)->next : NULL;
}

static struct value *parse_members(struct parser *p, char kind, char end) {
  struct value *list = make(p, kind);
  if (!list || p->depth++ == max_depth) return NULL;
  p->at++;
  struct value **where = &list->first;
  skip_space(p);
  if (*p->at != end) do {
      if (!(where = parse_member(p, kind, where))) return NULL;
      skip_space(p);
    } while (take(p, ','));
  p->depth--;
  return take(p, end) ? list : NULL;
}

static struct value *parse_value(struct parser *p) {
  skip_space(p);
  switch (*p->at) {
    case '{': return parse_members(p, '{', '}');
    case '[': return parse_members(p, '[', ']');
    case '"': return parse_string(p);
    case 't': return parse_word(p, "true");
    case 'f': return parse_word(p, "false");
    case 'n': return parse_word(p, "null");
    default: return parse_number(p);
  }
}

static const struct value *json_parse(const char *text, size_t size) {
  struct parser p = {.at = text, .bytes = json_bytes, .values = json_values};
  const struct value *v = parse_value(&p);
  skip_space(&p);
  return p.at == text + size ? v : NULL;
}

static uint32_t fold(uint32_t sum, const void *data, size_t size) {
  const uint8_t *bytes = data;
  for (size_t i = 0; i < size; i++) sum = (sum ^ bytes[i]) * 16777619;
  return sum;
}

// checksum goes through a tree in the order of its text.
static uint32_t checksum(uint32_t sum, const struct value *v) {
  sum = fold(sum, &v->kind, 1);
  if (v->kind == '0') return fold(sum, &v->number, sizeof v->number);
  if (v->kind == '"') return fold(sum, v->text, v->size);
  if (v->kind != '{' && v->kind != '[') return sum;
  for (const struct value *member = v->first; member; member = member->next) sum = checksum(sum, member);
  return fold(sum, v->kind == '{' ? "}" : "]", 1);
}

static const char json_document[] =
    "{\"id\": \"7f3c\", \"total\": 1249.5, \"paid\": true, \"voucher\": null,\n"
    " \"customer\": {\"name\": \"Gr\\u00e4fin \\\"Ada\\\" L.\", \"age\": 36,\n"
    "  \"address\": {\"street\": \"1\\/2 Harbour Rd\", \"city\": \"K\xc3\xb8"
    "benhavn\", \"where\": [55.676098, 12.568337]}},\n"
    " \"lines\": [\n"
    "  {\"sku\": \"A-100\", \"count\": 3, \"price\": 19.99, \"tags\": [\"new\", \"blue\", \"\\ud83d\\ude80\"]},\n"
    "  {\"sku\": \"B-7\", \"count\": 120, \"price\": 0.05, \"tags\": []},\n"
    "  {\"sku\": \"C-\\t9\", \"count\": -1, \"price\": 1.5e3, \"tags\": [\"returned\"], \"of\": {\"line\": 0}}\n"
    " ],\n"
    " \"matrix\": [[1, 2, 3], [4, 5, 6], [7, 8, 9], [-1e-3, 2.5E+2, 0]],\n"
    " \"history\": [{\"at\": 1718000000, \"state\": \"made\"}, {\"at\": 1718000360, \"state\": \"paid\"},\n"
    "  {\"at\": 1718090000, \"state\": \"sent\\nby ship\"}], \"notes\": \"\", \"extra\": {}}\n";

// A checksum of 0 says that a text is not JSON.
static uint32_t json_checksum(const char *text, size_t size) {
  const struct value *v = json_parse(text, size);
  return v ? checksum(2166136261, v) : 0;
}

EXPORT(json) uint32_t json(uint32_t n) {
  uint32_t sum = 0;
  while (n--) sum = sum * 31 + json_checksum(json_document, sizeof json_document - 1);
  return sum;
}

// For tests: where the document is, where other texts can be put, and the checksum
// of one that was.

EXPORT(json_text) const char *json_text(void) { return json_document; }

static char json_input[json_input_size];

EXPORT(json_room) char *json_room(void) { return json_input; }

EXPORT(json_sum) uint32_t json_sum(uint32_t size) {
  if (size >= sizeof json_input) abort();
  json_input[size] = 0;
  return json_checksum(json_input, size);
}
