/* Functions of numbers, eight at a time. Included once for each instruction set. */

static inline Vector smaller(Vector a, float limit) { return choose(a > limit, spread(limit), a); } /* NaN stays */
static inline Vector larger(Vector a, float limit) { return choose(a < limit, spread(limit), a); }

/* Two to the power of whole numbers in [-126, 127]. */
static inline Vector power_of_two(IntVector n) { return (Vector)((n + 127) << 23); }

/* Cephes' expf (Moshier, 1992): the error is below 2 units in the last place. */
static inline Vector exponential(Vector x) {
    x = larger(smaller(x, 88.72283f), -87.33654f);
    Vector whole = (x * 1.44269504088896341f + 12582912.0f) - 12582912.0f; /* rounds */
    Vector rest = x - whole * 0.693359375f - whole * -2.12194440e-4f;
    Vector sum = spread(1.9875691500e-4f);
    sum = sum * rest + 1.3981999507e-3f;
    sum = sum * rest + 8.3334519073e-3f;
    sum = sum * rest + 4.1665795894e-2f;
    sum = sum * rest + 1.6666665459e-1f;
    sum = sum * rest + 5.0000001201e-1f;
    sum = sum * rest * rest + rest + 1.0f;
    IntVector power = __builtin_convertvector(whole, IntVector), half = power >> 1;
    return sum * power_of_two(half) * power_of_two(power - half);
}

static inline Vector sigmoid(Vector x) { return 1.0f / (1.0f + exponential(-x)); }

/* Cephes' tanhf: a polynomial near zero, where one minus something would lose digits. */
static inline Vector hyperbolic_tangent(Vector x) {
    Vector square = x * x;
    Vector sum = spread(-5.70498872745e-3f);
    sum = sum * square + 2.06390887954e-2f;
    sum = sum * square - 5.37397155531e-2f;
    sum = sum * square + 1.33314422036e-1f;
    sum = sum * square - 3.33332819422e-1f;
    Vector near = sum * square * x + x;
    Vector far = 1.0f - 2.0f / (exponential(2.0f * x) + 1.0f);
    return choose(square < 0.390625f, near, far);
}

static inline float soft_plus(float x) { return fmaxf(x, 0) + log1pf(expf(-fabsf(x))); }

static inline Vector applied(int function, Vector x) {
    switch (function) {
        case RELU: return choose(x < 0, spread(0), x);
        case SIGMOID: return sigmoid(x);
        case TANH: return hyperbolic_tangent(x);
        case SOFTPLUS:
            for (int i = 0; i < 8; i++) x[i] = soft_plus(x[i]);
            return x;
        default: return x;
    }
}

/* The derivative of a function, from its value. */
static inline Vector slope(int function, Vector value) {
    switch (function) {
        case RELU: return choose(value > 0, spread(1), spread(0));
        case SIGMOID: return value * (1.0f - value);
        case TANH: return 1.0f - value * value;
        case SOFTPLUS: /* 1 - exp(-value) */
            for (int i = 0; i < 8; i++) value[i] = -expm1f(-value[i]);
            return value;
        default: return spread(1);
    }
}

static inline Vector square_root(Vector x) {
#ifdef __AVX__
    return __builtin_ia32_sqrtps256(x);
#endif
    for (int i = 0; i < 8; i++) x[i] = sqrtf(x[i]);
    return x;
}

static inline float sum_of(Vector x) { return ((x[0] + x[4]) + (x[2] + x[6])) + ((x[1] + x[5]) + (x[3] + x[7])); }
static inline float largest_of(Vector x) {
    float largest = x[0];
    for (int i = 1; i < 8; i++) largest = x[i] > largest ? x[i] : largest;
    return largest;
}

/* Integers scrambled one to one: lowbias32 (Wellons, 2018), as in model/dropout.py. */
static inline uint32_t mixed(uint32_t bits) {
    bits = (bits ^ bits >> 16) * 0x7FEB352Du;
    bits = (bits ^ bits >> 15) * 0x846CA68Bu;
    return bits ^ bits >> 16;
}
