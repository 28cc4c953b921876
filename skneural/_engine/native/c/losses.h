/* Losses and metrics of rows, and the gradients of losses. Included once for each instruction set. */

static inline const float *float_targets(const Table *table, size_t row, size_t n) {
    return (const float *)table->y + row * n;
}

/* Softmax over n values, shifted by the largest; gives the logarithm of the sum. */
static inline float soft_max(const float *values, size_t n, float *out, float *largest) {
    Vector most = spread(-INFINITY);
    size_t whole = n / 8 * 8;
    for (size_t c = 0; c < whole; c += 8) most = choose(load(values + c) > most, load(values + c), most);
    float top = largest_of(most);
    for (size_t c = whole; c < n; c++) top = values[c] > top ? values[c] : top;
    Vector sums = spread(0);
    for (size_t c = 0; c < n; c += 8) {
        Vector powers = exponential(load(values + c) - top);
        for (size_t i = n - c < 8 ? n - c : 8; i < 8; i++) powers[i] = 0;
        sums += powers;
        store(out + c, powers);
    }
    float sum = sum_of(sums);
    for (size_t c = 0; c < n; c += 8) store(out + c, load(out + c) / sum);
    *largest = top;
    return logf(sum);
}

static inline size_t largest_place(const float *values, size_t n) {
    size_t place = 0;
    for (size_t c = 1; c < n; c++) place = values[c] > values[place] ? c : place;
    return place;
}

static float metric_of(int metric, const float *outputs, const Table *table, size_t row, size_t n) {
    if (metric == SPARSE_ACCURACY) return largest_place(outputs, n) == (size_t)((const int32_t *)table->y)[row];
    const float *targets = float_targets(table, row, n);
    if (metric == CATEGORICAL_ACCURACY) return largest_place(outputs, n) == largest_place(targets, n);
    float sum = 0;
    for (size_t c = 0; c < n; c++) {
        float deviation = outputs[c] - targets[c];
        sum += metric == BINARY_ACCURACY ? (outputs[c] > 0.5f) == targets[c]
               : metric == SIGN_ACCURACY ? (outputs[c] > 0) == targets[c]
               : metric == SQUARED_ERROR ? deviation * deviation
                                         : fabsf(deviation);
    }
    return sum / n;
}

static inline int output_function(const Course *course) { return course->parts[course->n_parts - 1].function; }

/* Turn the outputs' values before their activation into outputs; give the loss and, in ``gradient``, its gradient by
   those values times ``weight``. */
static float loss_of(const Course *course, const Table *table, size_t row, float weight, const float *values,
                     float *outputs, float *gradient) {
    size_t n = course->n_outputs;
    int function = output_function(course);
    float loss = 0, top;
    if (course->loss <= CATEGORICAL_CROSS_ENTROPY) {
        float log_sum = soft_max(values, n, outputs, &top);
        for (size_t c = 0; c < n; c += 8) store(gradient + c, load(outputs + c) * weight);
        if (course->loss == SPARSE_CROSS_ENTROPY) {
            size_t class = ((const int32_t *)table->y)[row];
            gradient[class] -= weight;
            return log_sum - (values[class] - top);
        }
        const float *targets = float_targets(table, row, n);
        for (size_t c = 0; c < n; c++) {
            gradient[c] -= weight * targets[c];
            loss -= targets[c] * (values[c] - top - log_sum);
        }
        return loss;
    }
    const float *targets = float_targets(table, row, n);
    for (size_t c = 0; c < n; c += 8) {
        Vector output = function == LINEAR ? load(values + c) : applied(function, load(values + c));
        store(outputs + c, output);
        store(gradient + c, course->loss == BINARY_CROSS_ENTROPY ? sigmoid(load(values + c)) : slope(function, output));
    }
    for (size_t c = 0; c < n; c++) {
        float deviation = outputs[c] - targets[c];
        if (course->loss == BINARY_CROSS_ENTROPY) {
            loss += fmaxf(values[c], 0) - values[c] * targets[c] + log1pf(expf(-fabsf(values[c])));
            gradient[c] -= targets[c];
        } else if (course->loss == SQUARED_DEVIATION) {
            loss += deviation * deviation;
            gradient[c] *= 2 * deviation;
        } else {
            loss += fabsf(deviation);
            gradient[c] *= (deviation > 0) - (deviation < 0);
        }
        gradient[c] *= weight / n;
    }
    for (size_t c = n; c % 8; c++) gradient[c] = 0; /* as the weights of columns that only fill a panel */
    return loss / n;
}

/* Judge some rows of a batch, and write the gradients of their losses. */
static void judge(Course *course, const Table *table, const int32_t *order, size_t start, size_t n_batch, size_t first,
                  size_t last, float *outputs) {
    const Part *output = course->parts + course->n_parts - 2;
    for (size_t r = first; r < last; r++) {
        size_t row = order ? (size_t)order[r] : start + r;
        float weight = (table->weights ? table->weights[row] : 1) / n_batch;
        const float *values = output->outputs.values + r * output->outputs.stride;
        float *gradient = output->upstream.values + r * output->upstream.stride;
        course->row_losses[r] = loss_of(course, table, row, weight, values, outputs, gradient);
        /* Of a loss that takes logits, metrics take them too. */
        const float *judged = output_function(course) == LINEAR ? values : outputs;
        for (size_t m = 0; m < course->n_metrics; m++)
            course->row_metrics[m * course->n_rows_at_most + r] =
                metric_of(course->metrics[2 * m], judged, table, row, course->n_outputs);
    }
}

/* Add a judged batch to the sums of its epoch; every sum goes from the first row to the last. */
static void add_up(const Course *course, const Table *table, const int32_t *order, size_t start, size_t n_batch,
                   double *sums) {
    for (size_t r = 0; r < n_batch; r++) {
        size_t row = order ? (size_t)order[r] : start + r;
        double weight = table->weights ? table->weights[row] : 1;
        sums[0] += weight * course->row_losses[r];
        for (size_t m = 0; m < course->n_metrics; m++) {
            double counted = course->metrics[2 * m + 1] ? weight : 1;
            sums[2 + 2 * m] += counted * course->row_metrics[m * course->n_rows_at_most + r];
            sums[3 + 2 * m] += counted;
        }
    }
    sums[1] += n_batch;
}
