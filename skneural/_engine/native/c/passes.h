/* The way of some rows through the layers, and of their gradients back. Included once for each instruction set. */

static inline size_t padded(size_t n) { return (n + WIDTH - 1) / WIDTH * WIDTH; }

static void set_ones(Rows rows, size_t first, size_t last) {
    for (size_t r = first; r < last; r++) rows.values[r * rows.stride + rows.n] = 1;
}

/* Give what a network sees of a row; nothing but EQUAL and MISSING is other than zero where an entry is missing. */
static inline void encode(const Encoding *encoding, const void *from, int is_double, float *out) {
    size_t c = 0;
    for (int kind = 0; kind < N_ENCODINGS; kind++)
        for (; c < encoding->ends[kind]; c++) {
            size_t source = (size_t)encoding->sources[c];
            float x = is_double ? (float)((const double *)from)[source] : ((const float *)from)[source];
            float place = encoding->places[c], t = (x - place) * encoding->factors[c];
            int is_missing = x != x;
            float value = 0;
            switch (kind) {
                case CLIPPED:
                    t = t < -1e6f ? -1e6f : t > 1e6f ? 1e6f : t; /* the square of more may overflow */
                    value = t / sqrtf(1 + t * t / 9);
                    break;
                case RAMP: value = t < 0 ? 0 : t > 1 ? 1 : t; break;
                case EQUAL: value = x == place; break;
                case MISSING: value = (float)is_missing; break;
                case WAVE: value = cosf(t); break;
            }
            value = (value - encoding->shifts[c]) * encoding->gains[c];
            out[c] = is_missing && kind != EQUAL && kind != MISSING ? 0 : value;
        }
}

/* Copy the rows of a batch, converted to float32, or what the network sees of them. */
static void gather(const Course *course, const Table *table, const int32_t *order, size_t start, size_t first,
                   size_t last) {
    Rows into = course->input;
    for (size_t r = first; r < last; r++) {
        size_t row = order ? (size_t)order[r] : start + r;
        float *out = into.values + r * into.stride;
        if (course->encoding.sources) {
            size_t at = row * course->encoding.n_columns;
            if (table->is_double) encode(&course->encoding, (const double *)table->X + at, 1, out);
            else encode(&course->encoding, (const float *)table->X + at, 0, out);
        } else if (table->is_double) {
            const double *from = (const double *)table->X + row * into.n;
            for (size_t c = 0; c < into.n; c++) out[c] = (float)from[c];
        } else {
            memcpy(out, (const float *)table->X + row * into.n, into.n * sizeof(float));
        }
    }
    set_ones(into, first, last);
}

static void multiply(const Course *course, const Part *part, size_t first, size_t last) {
    const Weights *weights = &part->weights;
    const float *panel = course->packed + weights->start;
    const float *left = part->inputs.values + first * part->inputs.stride;
    float *out = part->outputs.values + first * part->outputs.stride;
    for (size_t p = 0; p < weights->n_panels; p++, panel += weights->height * WIDTH)
        panel_product(last - first, weights->height, left, part->inputs.stride, 1, panel, WIDTH, out + p * WIDTH,
                      part->outputs.stride);
}

static inline void apply(int function, Rows rows, size_t first, size_t last) {
    for (size_t r = first; r < last; r++)
        for (float *at = rows.values + r * rows.stride, *end = at + padded(rows.n); at < end; at += 8)
            store(at, applied(function, load(at)));
}

static void activate(int function, Rows rows, size_t first, size_t last) {
    switch (function) { /* a loop of its own for each */
        case RELU: apply(RELU, rows, first, last); break;
        case SIGMOID: apply(SIGMOID, rows, first, last); break;
        case TANH: apply(TANH, rows, first, last); break;
        case SOFTPLUS: apply(SOFTPLUS, rows, first, last); break;
    }
}

static inline void apply_slope(int function, const Part *part, size_t first, size_t last) {
    for (size_t r = first; r < last; r++) {
        const float *value = part->outputs.values + r * part->outputs.stride;
        float *at = part->upstream.values + r * part->upstream.stride;
        for (size_t c = 0; c < padded(part->outputs.n); c += 8)
            store(at + c, load(at + c) * slope(function, load(value + c)));
    }
}

static void activate_back(const Part *part, size_t first, size_t last) {
    switch (part->function) {
        case RELU: apply_slope(RELU, part, first, last); break;
        case SIGMOID: apply_slope(SIGMOID, part, first, last); break;
        case TANH: apply_slope(TANH, part, first, last); break;
        case SOFTPLUS: apply_slope(SOFTPLUS, part, first, last); break;
    }
}

/* Drop what model/dropout.py drops for the same key and stream. */
static void drop(const Part *part, const uint32_t key[2], size_t first, size_t last) {
    size_t n = part->inputs.n;
    float scale = part->rate == 1 ? 0 : 1 / (1 - part->rate);
    uint32_t start = mixed(key[0] ^ (part->stream * 0x9E3779B9u + 0x7F4A7C15u));
    start = mixed(start + key[1] * 0x85EBCA6Bu);
    for (size_t r = first; r < last; r++) {
        const float *in = part->inputs.values + r * part->inputs.stride;
        float *out = part->outputs.values + r * part->outputs.stride;
        float *factors = part->factors + r * part->outputs.stride;
        for (size_t c = 0; c < n; c++) {
            uint32_t counter = (uint32_t)(r * n + c) * 0x9E3779B9u;
            uint32_t bits = mixed(mixed(counter + start) ^ start);
            factors[c] = (float)(int32_t)(bits >> 8) * 0x1p-24f >= part->rate ? scale : 0;
        }
        for (size_t c = 0; c < n; c++) out[c] = factors[c] ? in[c] * factors[c] : 0; /* of an infinity too */
    }
}

static void drop_back(const Part *part, size_t first, size_t last) {
    for (size_t r = first; r < last; r++) {
        float *at = part->upstream.values + r * part->upstream.stride;
        const float *factors = part->factors + r * part->outputs.stride;
        for (size_t c = 0; c < part->outputs.n; c++) at[c] = factors[c] ? at[c] * factors[c] : 0;
    }
}

/* From rows to the values before the output's activation; nothing is dropped without a key. */
static void forward(const Course *course, const uint32_t *key, size_t first, size_t last) {
    for (const Part *part = course->parts; part < course->parts + course->n_parts - 1; part++) {
        if (part->kind == PRODUCT) {
            multiply(course, part, first, last);
        } else if (part->kind == ACTIVATION) {
            activate(part->function, part->outputs, first, last);
        } else if (key) {
            drop(part, key, first, last);
        } else {
            for (size_t r = first; r < last; r++)
                memcpy(part->outputs.values + r * part->outputs.stride, part->inputs.values + r * part->inputs.stride,
                       part->outputs.n * sizeof(float));
        }
        set_ones(part->outputs, first, last);
    }
}

/* From the gradient of what ``forward`` gave to the upstream of each product. */
static void backward(const Course *course, size_t first, size_t last) {
    const Part *part = course->parts + course->n_parts - 2;
    for (; part->kind != PRODUCT || part->weights.turned; part--) {
        if (part->kind == ACTIVATION) {
            activate_back(part, first, last);
        } else if (part->kind == DROPOUT) {
            drop_back(part, first, last);
        } else {
            const float *panel = part->weights.turned;
            const float *left = part->upstream.values + first * part->upstream.stride;
            Rows out = part[-1].upstream;
            for (size_t p = 0; p < padded(out.n) / WIDTH; p++, panel += part->outputs.n * WIDTH)
                panel_product(last - first, part->outputs.n, left, part->upstream.stride, 1, panel, WIDTH,
                              out.values + first * out.stride + p * WIDTH, out.stride);
        }
    }
}
