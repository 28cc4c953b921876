/* What must hold of the arguments of a run before anything else is read: nothing here is believed, all is looked at. */

enum { MOST_THREADS = 1024 };

/* Whether parts are a network: products with something in between, and the activation of the output at the end. */
static const char *why_not_parts(const int32_t *parts, size_t n_parts, const float *rates) {
    if (n_parts < 2 || parts[3 * (n_parts - 1)] != ACTIVATION || parts[3 * (n_parts - 2)] != PRODUCT)
        return "the last parts must be a product and its activation";
    int before = DROPOUT, has_product = 0;
    for (size_t i = 0; i < n_parts; i++) {
        const int32_t *part = parts + 3 * i;
        if (part[0] == PRODUCT) {
            if (part[1] < 1 || part[1] > MOST_UNITS) return "a product must have from 1 to 2**24 outputs";
            if (part[2] != 0 && part[2] != 1) return "a product has a bias (1) or has none (0)";
            has_product = 1;
        } else if (part[0] == ACTIVATION) {
            if (part[1] < LINEAR || part[1] > SOFTMAX) return "an activation is unknown";
            if (part[1] == SOFTMAX && i + 1 < n_parts) return "a softmax can only be the output's";
            if (!has_product || before == ACTIVATION) return "an activation must follow a product or a dropout";
        } else if (part[0] == DROPOUT) {
            if (!(rates[i] >= 0 && rates[i] <= 1)) return "the rate of a dropout must lie in [0, 1]";
        } else {
            return "the kind of a part is unknown";
        }
        before = part[0];
    }
    return NULL;
}

static size_t count_products(const int32_t *parts, size_t n_parts) {
    size_t n = 0;
    for (size_t i = 0; i < n_parts; i++) n += parts[3 * i] == PRODUCT;
    return n;
}

/* The outputs of the last product. */
static size_t count_outputs(const int32_t *parts, size_t n_parts) { return (size_t)parts[3 * (n_parts - 2) + 1]; }

static const char *why_not_loss(int loss, int output, const int32_t *metrics, size_t n_metrics) {
    if (loss < SPARSE_CROSS_ENTROPY || loss > ABSOLUTE_DEVIATION) return "the loss is unknown";
    int is_for_classes = loss == SPARSE_CROSS_ENTROPY || loss == CATEGORICAL_CROSS_ENTROPY;
    int function = is_for_classes ? SOFTMAX : loss == BINARY_CROSS_ENTROPY ? SIGMOID : output;
    if (output != LINEAR && output != function) return "the loss does not suit the output's activation";
    if (output == SOFTMAX && !is_for_classes) return "the loss does not suit a softmax";
    for (size_t m = 0; m < n_metrics; m++) {
        if (metrics[2 * m] < SPARSE_ACCURACY || metrics[2 * m] > SIGN_ACCURACY) return "a metric is unknown";
        if ((metrics[2 * m] == SPARSE_ACCURACY) != (loss == SPARSE_CROSS_ENTROPY))
            return "a metric does not suit the targets of the loss";
    }
    return NULL;
}

static const char *why_not_optimizer(const Optimizer *optimizer, int has_first, int has_second) {
    if (optimizer->kind < ADAM || optimizer->kind > RMSPROP) return "the optimizer is unknown";
    if (optimizer->kind == ADAM && !has_first) return "Adam needs its first moments";
    if (optimizer->kind != SGD && !has_second) return "the optimizer needs its second moments";
    return NULL;
}
