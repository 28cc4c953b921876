/* The way of rows through a network that only predicts. Included once for each instruction set, which gives PREDICT_ROWS
   its name. A row's answer depends on nothing but the row: every sum runs from its first term to its last. */

/* One row and the first ``whole`` columns, a multiple of WIDTH: all of them for a few rows of the kernel, then for the
   next ones, since a processor fetches ahead what lies in a line. The sums are the same as in a tile. */
static void multiply_row(const Layer *layer, size_t whole, const float *left, float *out) {
    const float *right = layer->kernel;
    size_t n_left = layer->n_inputs;
    memset(out, 0, whole * sizeof(float));
    for (; n_left >= 8; n_left -= 8, left += 8, right += 8 * layer->n_outputs) {
        Vector factors[8];
        _Pragma("GCC unroll 8") for (int k = 0; k < 8; k++) factors[k] = spread(left[k]);
        for (size_t c = 0; c < whole; c += 8) {
            Vector sum = load(out + c);
            _Pragma("GCC unroll 8") for (int k = 0; k < 8; k++) sum +=
                factors[k] * load(right + k * layer->n_outputs + c);
            store(out + c, sum);
        }
    }
    for (; n_left > 0; n_left--, left++, right += layer->n_outputs) {
        Vector factor = spread(*left);
        for (size_t c = 0; c < whole; c += 8) {
            Vector sum = load(out + c);
            sum += factor * load(right + c);
            store(out + c, sum);
        }
    }
}

static void multiply_by_kernel(const Layer *layer, size_t n_rows, const float *left, size_t left_row, Rows out) {
    size_t n = layer->n_outputs, panel = 0;
    if (n_rows == 1) {
        panel = n / WIDTH;
        multiply_row(layer, panel * WIDTH, left, out.values);
    }
    for (; panel * WIDTH < n; panel++) {
        size_t start = panel_start(panel, n);
        const float *right = layer->panels ? layer->panels + panel * layer->n_inputs * WIDTH : layer->kernel + start;
        panel_product(n_rows, layer->n_inputs, left, left_row, 1, right, layer->panels ? WIDTH : n, out.values + start,
                      out.stride);
    }
}

static void add_bias(const float *bias, size_t n_rows, Rows rows) {
    size_t whole = rows.n / 8 * 8;
    for (size_t r = 0; r < n_rows; r++) {
        float *at = rows.values + r * rows.stride;
        for (size_t c = 0; c < whole; c += 8) store(at + c, load(at + c) + load(bias + c));
        for (size_t c = whole; c < rows.n; c++) at[c] += bias[c];
    }
}

static void normalize(const Layer *layer, size_t n_rows, Rows rows) {
    for (size_t r = 0; r < n_rows; r++) {
        float *at = rows.values + r * rows.stride;
        for (size_t c = 0; c < rows.n; c++) at[c] = (at[c] - layer->mean[c]) * layer->factors[c];
        for (size_t c = 0; layer->beta && c < rows.n; c++) at[c] += layer->beta[c];
    }
}

static void activate_all(int function, size_t n_rows, Rows rows) {
    float largest;
    if (function != SOFTMAX) activate(function, rows, 0, n_rows);
    for (size_t r = 0; function == SOFTMAX && r < n_rows; r++)
        soft_max(rows.values + r * rows.stride, rows.n, rows.values + r * rows.stride, &largest);
}

static void copy_rows(size_t n_rows, size_t n, const float *from, size_t from_row, float *to, size_t to_row) {
    for (size_t r = 0; r < n_rows; r++) memcpy(to + r * to_row, from + r * from_row, n * sizeof(float));
}

/* The layers in turn; a product goes from one half of the room to the other, all else stays where it is. */
static void predict_block(const Forward *forward, size_t first, size_t n_rows, float *room) {
    size_t n_columns = forward->encoding.n_columns;
    const float *X = forward->X + first * n_columns;
    Rows rows = {room, forward->stride, forward->n_inputs};
    float *other = room + forward->n_at_once * forward->stride;
    int is_at_start = forward->layers[0].kind == PRODUCT && !forward->encoding.sources;
    if (forward->encoding.sources) {
        for (size_t r = 0; r < n_rows; r++)
            encode(&forward->encoding, X + r * n_columns, 0, rows.values + r * rows.stride);
    } else if (!is_at_start) {
        copy_rows(n_rows, n_columns, X, n_columns, rows.values, rows.stride);
    }
    for (const Layer *layer = forward->layers; layer < forward->layers + forward->n_layers; layer++) {
        if (layer->kind == PRODUCT) {
            Rows out = {other, forward->stride, layer->n_outputs};
            multiply_by_kernel(layer, n_rows, is_at_start ? X : rows.values, is_at_start ? rows.n : rows.stride, out);
            if (layer->bias) add_bias(layer->bias, n_rows, out);
            other = rows.values;
            rows = out;
            is_at_start = 0;
        } else if (layer->kind == ACTIVATION) {
            activate_all(layer->function, n_rows, rows);
        } else {
            normalize(layer, n_rows, rows);
        }
    }
    copy_rows(n_rows, rows.n, rows.values, rows.stride, forward->outputs + first * rows.n, rows.n);
}

void PREDICT_ROWS(Forward *forward, float *room) {
    size_t n = forward->n_at_once;
    for (size_t first; (first = atomic_fetch_add(&forward->next, n)) < forward->n_rows;) {
        size_t n_left = forward->n_rows - first;
        predict_block(forward, first, n_left < n ? n_left : n, room);
    }
}
