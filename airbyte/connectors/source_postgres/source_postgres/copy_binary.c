/* Rows of COPY ... (FORMAT binary): taken from libpq, and decoded into Arrow's buffers.
 *
 * https://www.postgresql.org/docs/current/sql-copy.html (Binary Format); what a field holds is what its type's send
 * function writes. https://arrow.apache.org/docs/format/Columnar.html is what becomes of it. binary.py and copying.py
 * call this by ctypes. No library is linked: libpq's functions and poll are given as pointers.
 */
#include <stdint.h>

#define COPY(to, from, size) __builtin_memcpy((to), (from), (size))

/* ---- Receiving ---- */

enum { INTERRUPTED = 0, FULL = 1, ENDED = -1, FAILED = -2 };

struct waiting {
  int32_t fd;
  int16_t events, revents;
};

struct libpq {
  void *connection;
  int (*get_copy_data)(void *connection, char **row, int async);
  int (*consume_input)(void *connection);
  void (*free_row)(void *row);
  int (*poll)(struct waiting *, unsigned long count, int timeout);
  int32_t socket;
  int32_t timeout;  /* milliseconds after which the caller may look at its signals */
  char *row;        /* one that did not fit, */
  int64_t row_size; /* and its size */
};

/* Fills the block with whole rows. FULL leaves a row for the next block, which must hold row_size bytes at least. */
int receive(struct libpq *pq, uint8_t *block, int64_t capacity, int64_t *used) {
  for (;;) {
    if (pq->row) {
      if (pq->row_size > capacity - *used) return FULL;
      COPY(block + *used, pq->row, pq->row_size);
      *used += pq->row_size;
      pq->free_row(pq->row);
      pq->row = 0;
    }
    int size = pq->get_copy_data(pq->connection, &pq->row, 1);
    if (size < 0) return size;
    pq->row_size = size;
    if (size == 0) {
      struct waiting input = {pq->socket, 1 /* POLLIN, everywhere */, 0};
      pq->row = 0;
      if (pq->poll(&input, 1, pq->timeout) <= 0) return INTERRUPTED;
      if (!pq->consume_input(pq->connection)) return FAILED;
    }
  }
}

/* ---- Decoding ---- */

enum kind { BOOL, INT2, INT4, OID, INT8, FLOAT8, NUMERIC, DATE, TIMESTAMP, UUID, TEXT, JSONB };

struct column {
  int32_t kind;
  int32_t precision, scale;  /* of a decimal */
  int32_t extraordinary;     /* whether a moment is before the year 1 or after 9999; it is written all the same */
  int64_t text_bytes;        /* of all its texts */
  int64_t nulls, lost;       /* how many; a value that Arrow's type lacks is null and lost */
  uint8_t *valid, *gone;     /* bitmaps: has a value; was lost */
  void *values;              /* bits, int64, double, decimal128, date32, or a text's bytes */
  int32_t *offsets;          /* of texts */
};

static const uint8_t SIGNATURE[11] = {'P', 'G', 'C', 'O', 'P', 'Y', '\n', 0xff, '\r', '\n', 0};

static uint16_t read16(const uint8_t *at) { uint16_t v; COPY(&v, at, 2); return __builtin_bswap16(v); }
static uint32_t read32(const uint8_t *at) { uint32_t v; COPY(&v, at, 4); return __builtin_bswap32(v); }
static uint64_t read64(const uint8_t *at) { uint64_t v; COPY(&v, at, 8); return __builtin_bswap64(v); }

static const uint8_t *after_header(const uint8_t *data, int64_t size) {
  if (size < 19) return data;
  for (int i = 0; i < 11; i++)
    if (data[i] != SIGNATURE[i]) return data;
  return data + 19 + read32(data + 15);
}

/* Whether a field may have so many bytes. */
static int fits(const struct column *column, uint32_t size) {
  switch (column->kind) {
    case BOOL: return size == 1;
    case INT2: return size == 2;
    case INT4: case OID: case DATE: return size == 4;
    case INT8: case FLOAT8: case TIMESTAMP: return size == 8;
    case UUID: return size == 16;
    case NUMERIC: return size >= 8;
    case JSONB: return size >= 1;
    default: return 1;
  }
}

/* The number of rows, and each column's text_bytes; -1 if these are no whole rows of such columns. */
int64_t measure(const uint8_t *data, int64_t size, struct column *columns, int32_t count) {
  const uint8_t *end = data + size, *at = after_header(data, size);
  int64_t rows = 0;
  for (int i = 0; i < count; i++) columns[i].text_bytes = 0;
  while (at < end) {
    if (end - at < 2) return -1;
    int16_t fields = (int16_t)read16(at);
    at += 2;
    if (fields == -1 && at == end) break; /* the end of the copy */
    if (fields != count) return -1;
    for (int i = 0; i < count; i++) {
      if (end - at < 4) return -1;
      uint32_t length = read32(at);
      at += 4;
      if (length == UINT32_MAX) continue;
      if (length > end - at || !fits(&columns[i], length)) return -1;
      if (columns[i].kind == NUMERIC && length != 8 + 2 * (uint32_t)read16(at)) return -1;
      columns[i].text_bytes += columns[i].kind == UUID ? 36 : columns[i].kind == JSONB ? length - 1 : length;
      at += length;
    }
    rows++;
  }
  return at == end ? rows : -1;
}

static const uint64_t TENS[20] = {
    1ull, 10ull, 100ull, 1000ull, 10000ull, 100000ull, 1000000ull, 10000000ull, 100000000ull, 1000000000ull,
    10000000000ull, 100000000000ull, 1000000000000ull, 10000000000000ull, 100000000000000ull, 1000000000000000ull,
    10000000000000000ull, 100000000000000000ull, 1000000000000000000ull, 10000000000000000000ull};

static unsigned __int128 power_of_ten(int exponent) {
  return exponent < 20 ? TENS[exponent] : (unsigned __int128)TENS[19] * TENS[exponent - 19];
}

/* A numeric is sign and digits of base 10,000, the first of which counts 10,000 to the weight. False for NaN, and for
 * what a decimal of this precision and scale does not hold. */
static int decimal(const uint8_t *at, int precision, int scale, __int128 *result) {
  int digits = read16(at), weight = (int16_t)read16(at + 2), sign = read16(at + 4);
  if (sign != 0 && sign != 0x4000) return 0;
  unsigned __int128 value = 0;
  if (digits) {
    int first = read16(at + 8), width = 1 + (first >= 10) + (first >= 100) + (first >= 1000);
    /* decimal places by which the last digit stands left of the result's last place */
    int shift = 4 * (weight - digits + 1) + scale;
    if (4 * weight + width + scale > precision || shift <= -4) return 0;
    for (int i = 0; i < digits - 1; i++) value = value * 10000 + read16(at + 8 + 2 * i);
    uint32_t last = read16(at + 8 + 2 * (digits - 1));
    if (shift >= 0) {
      value = (value * 10000 + last) * power_of_ten(shift);
    } else {
      uint32_t part = (uint32_t)TENS[-shift];
      if (last % part) return 0;
      value = value * TENS[4 + shift] + last / part;
    }
  }
  *result = sign ? -(__int128)value : (__int128)value;
  return 1;
}

static const char HEX[] = "0123456789abcdef";

static void uuid_text(const uint8_t *at, char *to) {
  for (int i = 0; i < 16; i++) {
    if (i == 4 || i == 6 || i == 8 || i == 10) *to++ = '-';
    *to++ = HEX[at[i] >> 4];
    *to++ = HEX[at[i] & 15];
  }
}

/* Days from 1970 to 2000, 0001 and 9999. */
#define EPOCH 10957
#define FIRST_DAY (-719162)
#define LAST_DAY 2932896
#define DAY 86400000000

/* Writes what :measure: has counted. Bitmaps must be zero. */
void decode(const uint8_t *data, int64_t size, struct column *columns, int32_t count, int64_t rows) {
  const uint8_t *at = after_header(data, size);
  for (int i = 0; i < count; i++) {
    columns[i].nulls = columns[i].lost = columns[i].extraordinary = 0;
    if (columns[i].offsets) columns[i].offsets[0] = 0;
  }
  for (int64_t row = 0; row < rows; row++) {
    at += 2;
    uint8_t bit = (uint8_t)(1 << (row & 7));
    for (int i = 0; i < count; i++) {
      struct column *c = &columns[i];
      uint32_t length = read32(at);
      int known = length != UINT32_MAX, lost = 0;
      at += 4;
      if (!known) length = 0;
      switch (c->kind) {
        case BOOL:
          if (known && *at) ((uint8_t *)c->values)[row >> 3] |= bit;
          break;
        case INT2: ((int64_t *)c->values)[row] = known ? (int16_t)read16(at) : 0; break;
        case INT4: ((int64_t *)c->values)[row] = known ? (int32_t)read32(at) : 0; break;
        case OID: ((int64_t *)c->values)[row] = known ? read32(at) : 0; break;
        case INT8: case FLOAT8: ((uint64_t *)c->values)[row] = known ? read64(at) : 0; break;
        case NUMERIC: {
          __int128 value = 0;
          lost = known && !decimal(at, c->precision, c->scale, &value);
          COPY((uint8_t *)c->values + 16 * row, &value, 16);
          break;
        }
        case DATE: {
          int64_t day = known ? (int32_t)read32(at) : 0;
          lost = day == INT32_MAX || day == INT32_MIN;
          day += EPOCH;
          if (known && !lost && (day < FIRST_DAY || day > LAST_DAY)) c->extraordinary = 1;
          ((int32_t *)c->values)[row] = (int32_t)day;
          break;
        }
        case TIMESTAMP: {
          int64_t moment = known ? (int64_t)read64(at) : 0;
          lost = moment == INT64_MAX || moment == INT64_MIN;
          if (known && !lost && (moment < (FIRST_DAY - EPOCH) * DAY || moment >= (LAST_DAY + 1 - EPOCH) * DAY))
            c->extraordinary = 1;
          ((uint64_t *)c->values)[row] = (uint64_t)moment + EPOCH * DAY;
          break;
        }
        default: {
          int32_t start = c->offsets[row], written = (int32_t)length;
          uint8_t *to = (uint8_t *)c->values + start;
          if (known && c->kind == UUID) {
            uuid_text(at, (char *)to);
            written = 36;
          } else if (known && c->kind == JSONB) {
            COPY(to, at + 1, --written); /* after the version of what jsonb_send writes */
          } else {
            COPY(to, at, written);
          }
          c->offsets[row + 1] = start + written;
        }
      }
      if (known && !lost) {
        c->valid[row >> 3] |= bit;
      } else {
        c->nulls++;
        if (lost) {
          c->lost++;
          c->gone[row >> 3] |= bit;
        }
      }
      at += length;
    }
  }
}
