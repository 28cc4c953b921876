/* The steps of optimizers, for a run of weights that lie one after the other. Included once for each instruction set. */

typedef struct {
    float l1, l2;
    Vector penalty; /* sums of what the penalties come to */
} Penalized;

/* The gradient of a loss and of the penalties. */
static inline Vector with_penalties(Vector gradient, Vector weight, Penalized *penalized) {
    Vector sign = choose(weight > 0, spread(1), choose(weight < 0, spread(-1), spread(0)));
    penalized->penalty += penalized->l2 * weight * weight + penalized->l1 * sign * weight;
    return gradient + 2 * penalized->l2 * weight + penalized->l1 * sign;
}

/* Kingma and Ba (2015), in the form of keras.optimizers.Adam. */
static inline Vector adam_step(const Optimizer *optimizer, Vector gradient, Vector *first, Vector *second) {
    *first += (gradient - *first) * optimizer->rest_1;
    *second += (gradient * gradient - *second) * optimizer->rest_2;
    return *first * optimizer->corrected_rate / (square_root(*second) + optimizer->epsilon);
}

static inline Vector momentum_step(const Optimizer *optimizer, Vector gradient, Vector *first) {
    *first = *first * optimizer->beta_1 - gradient * optimizer->rate;
    return optimizer->is_nesterov ? gradient * optimizer->rate - *first * optimizer->beta_1 : -*first;
}

static inline Vector rmsprop_step(const Optimizer *optimizer, Vector gradient, Vector *first, Vector *second) {
    *second = *second * optimizer->beta_2 + gradient * gradient * optimizer->rest_2;
    Vector step = gradient * optimizer->rate / square_root(*second + optimizer->epsilon);
    if (!first) return step;
    return *first = *first * optimizer->beta_1 + step;
}

/* Move n weights, a multiple of 8, from place ``at`` on against their gradients. */
#define DEFINE_UPDATE(NAME, HAS_FIRST, HAS_SECOND, STEP)                                                               \
    static void update_##NAME(Course *course, size_t at, size_t n, const float *gradients, Penalized *penalized) {     \
        const Optimizer *optimizer = &course->optimizer;                                                               \
        Penalized sums = *penalized;                                                                                   \
        for (size_t i = 0; i < n; i += 8) {                                                                            \
            Vector weight = load(course->packed + at + i), gradient = load(gradients + i);                             \
            if (sums.l1 != 0 || sums.l2 != 0) gradient = with_penalties(gradient, weight, &sums);                      \
            weight -= weight * (optimizer->weight_decay * optimizer->rate);                                            \
            Vector first_value, second_value;                                                                          \
            if (HAS_FIRST) first_value = load(optimizer->first + at + i);                                              \
            if (HAS_SECOND) second_value = load(optimizer->second + at + i);                                           \
            Vector *first = HAS_FIRST ? &first_value : 0, *second = HAS_SECOND ? &second_value : 0;                    \
            (void)first, (void)second;                                                                                 \
            store(course->packed + at + i, weight - (STEP));                                                           \
            if (HAS_FIRST) store(optimizer->first + at + i, first_value);                                              \
            if (HAS_SECOND) store(optimizer->second + at + i, second_value);                                           \
        }                                                                                                              \
        *penalized = sums;                                                                                             \
    }
DEFINE_UPDATE(adam, 1, 1, adam_step(optimizer, gradient, first, second))
DEFINE_UPDATE(plain, 0, 0, gradient * optimizer->rate)
DEFINE_UPDATE(momentum, 1, 0, momentum_step(optimizer, gradient, first))
DEFINE_UPDATE(rmsprop, 0, 1, rmsprop_step(optimizer, gradient, first, second))
DEFINE_UPDATE(rmsprop_momentum, 1, 1, rmsprop_step(optimizer, gradient, first, second))

static void update(Course *course, size_t at, size_t n, const float *gradients, Penalized *penalized) {
    const Optimizer *optimizer = &course->optimizer;
    if (optimizer->kind == ADAM) update_adam(course, at, n, gradients, penalized);
    else if (optimizer->kind == SGD && !optimizer->first) update_plain(course, at, n, gradients, penalized);
    else if (optimizer->kind == SGD) update_momentum(course, at, n, gradients, penalized);
    else if (!optimizer->first) update_rmsprop(course, at, n, gradients, penalized);
    else update_rmsprop_momentum(course, at, n, gradients, penalized);
}

/* Write the new kernel's rows as columns, for the way back; rows from first on, a multiple of WIDTH. */
static void turn(const Course *course, const Weights *weights, size_t n_outputs, size_t first, size_t last) {
    last = last > weights->n_inputs ? weights->n_inputs : last;
    for (size_t p = 0; p < weights->n_panels; p++) {
        const float *panel = course->packed + weights->start + p * weights->height * WIDTH;
        size_t n_columns = n_outputs - p * WIDTH < WIDTH ? n_outputs - p * WIDTH : WIDTH;
        for (size_t i = first; i < last; i++) {
            float *column = weights->turned + (i / WIDTH * n_outputs + p * WIDTH) * WIDTH + i % WIDTH;
            for (size_t j = 0; j < n_columns; j++) column[j * WIDTH] = panel[i * WIDTH + j];
        }
    }
}

/* Compute the gradients of STRIP rows of a kernel, from all rows of the batch, and move the weights. */
static void learn_strip(Course *course, const Part *part, size_t strip, size_t n_batch, float *turned_inputs) {
    const Weights *weights = &part->weights;
    size_t first = strip * STRIP, last = first + STRIP < weights->height ? first + STRIP : weights->height;
    float gradients[STRIP * WIDTH];
    Penalized kernel = {weights->l1[0], weights->l2[0], spread(0)}, bias = {weights->l1[1], weights->l2[1], spread(0)};
    const float *inputs = part->inputs.values + first;
    size_t step = part->inputs.stride, tile_step = TILE;
    if (n_batch * step > IN_CACHE) {
        /* Each tile's inputs side by side: in the rows of the batch they lie pages apart. */
        for (size_t r = 0; r < n_batch; r++)
            for (size_t t = 0; t < STRIP / TILE; t++)
                memcpy(turned_inputs + (t * n_batch + r) * TILE, inputs + r * step + t * TILE, TILE * sizeof(float));
        inputs = turned_inputs;
        step = TILE;
        tile_step = TILE * n_batch;
    }
    size_t n_kernel = (last < weights->n_inputs ? last : weights->n_inputs) - first;
    for (size_t p = 0; p < weights->n_panels; p++) {
        for (size_t row = 0, tile = 0; row < last - first; row += TILE, tile++)
            panel_product(last - first - row < TILE ? last - first - row : TILE, n_batch, inputs + tile * tile_step, 1,
                          step, part->upstream.values + p * WIDTH, part->upstream.stride, gradients + row * WIDTH,
                          WIDTH);
        size_t at = weights->start + (p * weights->height + first) * WIDTH;
        update(course, at, n_kernel * WIDTH, gradients, &kernel);
        if (last > weights->n_inputs) update(course, at + n_kernel * WIDTH, WIDTH, gradients + n_kernel * WIDTH, &bias);
    }
    course->penalties[weights->first_strip + strip] = sum_of(kernel.penalty) + sum_of(bias.penalty);
    if (weights->turned) turn(course, weights, part->outputs.n, first, last);
}
