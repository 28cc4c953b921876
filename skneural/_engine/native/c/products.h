/* Products of matrices, tile by tile. Included once for each instruction set.

   An element of a product is one sum, from the first term to the last, whatever tile it belongs to: no result depends
   on how rows are divided among threads. */

typedef float Vector __attribute__((vector_size(32)));
typedef float LooseVector __attribute__((vector_size(32), aligned(4), may_alias));
typedef int32_t IntVector __attribute__((vector_size(32)));

static inline Vector load(const float *from) { return *(const LooseVector *)from; }
static inline void store(float *to, Vector value) { *(LooseVector *)to = value; }
static inline Vector spread(float value) { return (Vector){value, value, value, value, value, value, value, value}; }

static inline Vector choose(IntVector mask, Vector yes, Vector no) {
    return (Vector)((mask & (IntVector)yes) | (~mask & (IntVector)no));
}

/* out[r][c] = sum over k of left[r * left_row + k * left_step] * right[k * right_step + c], for WIDTH columns. */
#define DEFINE_TILE(ROWS)                                                                                              \
    static inline void tile_##ROWS(size_t n, const float *left, size_t left_row, size_t left_step, const float *right, \
                                   size_t right_step, float *out, size_t out_row) {                                    \
        Vector low[ROWS], high[ROWS];                                                                                  \
        _Pragma("GCC unroll 6") for (int r = 0; r < ROWS; r++) low[r] = high[r] = spread(0);                           \
        for (size_t k = 0; k < n; k++) {                                                                               \
            Vector right_low = load(right), right_high = load(right + 8);                                              \
            _Pragma("GCC unroll 6") for (int r = 0; r < ROWS; r++) {                                                   \
                Vector factor = spread(left[r * left_row]);                                                            \
                low[r] += factor * right_low;                                                                          \
                high[r] += factor * right_high;                                                                        \
            }                                                                                                          \
            left += left_step;                                                                                         \
            right += right_step;                                                                                       \
        }                                                                                                              \
        _Pragma("GCC unroll 6") for (int r = 0; r < ROWS; r++) {                                                       \
            store(out + r * out_row, low[r]);                                                                          \
            store(out + r * out_row + 8, high[r]);                                                                     \
        }                                                                                                              \
    }
DEFINE_TILE(1)
DEFINE_TILE(2)
DEFINE_TILE(3)
DEFINE_TILE(4)
DEFINE_TILE(5)
DEFINE_TILE(6)

/* Choose the next tile's rows: four and less rather than six and one or two, which would wait for each other. */
static inline size_t tile_rows(size_t n_left) {
    if (n_left <= TILE) return n_left;
    return n_left == TILE + 1 || n_left == TILE + 2 ? 4 : TILE;
}

/* The product of n_rows rows and one panel. */
static void panel_product(size_t n_rows, size_t n, const float *left, size_t left_row, size_t left_step,
                          const float *right, size_t right_step, float *out, size_t out_row) {
    for (size_t rows; n_rows > 0; n_rows -= rows, left += rows * left_row, out += rows * out_row) {
        rows = tile_rows(n_rows);
        switch (rows) {
            case 6: tile_6(n, left, left_row, left_step, right, right_step, out, out_row); break;
            case 5: tile_5(n, left, left_row, left_step, right, right_step, out, out_row); break;
            case 4: tile_4(n, left, left_row, left_step, right, right_step, out, out_row); break;
            case 3: tile_3(n, left, left_row, left_step, right, right_step, out, out_row); break;
            case 2: tile_2(n, left, left_row, left_step, right, right_step, out, out_row); break;
            default: tile_1(n, left, left_row, left_step, right, right_step, out, out_row); break;
        }
    }
}
