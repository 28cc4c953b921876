/* A training run of dense networks: what is fixed, what is learned, and room for what is computed on the way. */
#ifndef SKNEURAL_COURSE_H
#define SKNEURAL_COURSE_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

enum { WIDTH = 16 };      /* columns of a panel of weights */
enum { TILE = 6 };        /* rows of a tile of a product */
enum { IN_CACHE = 4096 };   /* floats that stay in the cache while they are used: half of the smallest first level */
enum { BLOCK = 24 };      /* rows that go through all layers at once: few enough to stay in the cache */
enum { STRIP = 48 };      /* rows of a kernel whose gradients are computed, and used, at once: 8 tiles, 3 widths */

/* Python has these numbers from the module. */
enum { PRODUCT, ACTIVATION, DROPOUT, NORMALIZATION }; /* the last one in predictions only */
enum { LINEAR, RELU, SIGMOID, TANH, SOFTPLUS, SOFTMAX };
enum { SPARSE_CROSS_ENTROPY, CATEGORICAL_CROSS_ENTROPY, BINARY_CROSS_ENTROPY, SQUARED_DEVIATION, ABSOLUTE_DEVIATION };
enum { SPARSE_ACCURACY, CATEGORICAL_ACCURACY, BINARY_ACCURACY, SQUARED_ERROR, ABSOLUTE_ERROR, SIGN_ACCURACY };
enum { ADAM, SGD, RMSPROP };
enum { CLIPPED, RAMP, EQUAL, MISSING, WAVE, N_ENCODINGS };

/* Rows of width n, each with room for whole panels and a one in column n, which a bias is multiplied with. */
typedef struct {
    float *values;
    size_t stride; /* floats from row to row */
    size_t n;
} Rows;

/* Where a product's weights lie among all: for each panel of WIDTH columns its rows, the bias as the last of them. */
typedef struct {
    size_t start, n_inputs, height, n_panels;
    size_t first_strip, n_strips;
    float *turned; /* the kernel's columns as rows, in panels, for the way back; NULL where there is none */
    float l1[2], l2[2]; /* penalties of kernel and bias */
    int has_bias;
} Weights;

typedef struct {
    int kind, function;
    uint32_t stream; /* of a dropout */
    float rate;
    Rows inputs, outputs, upstream; /* upstream: the gradient of the outputs */
    float *factors;                 /* what a dropout multiplies with, laid out like the outputs */
    Weights weights;
} Part;

/* What a network sees of the columns of a table: numbers that are each a function of an entry of the row. Those of one
   kind lie side by side. */
typedef struct {
    size_t n_columns;         /* of the table */
    size_t ends[N_ENCODINGS]; /* behind the last number of each kind */
    const int32_t *sources;   /* the column that each number comes from; NULL where rows are taken as they are */
    const float *places, *factors, *shifts, *gains;
} Encoding;

typedef struct {
    const void *X;
    const void *y; /* int32 classes for SPARSE_CROSS_ENTROPY, else float32 */
    const float *weights;
    const int32_t *order; /* one after the other for each epoch; NULL for the order in which the rows lie */
    size_t n_rows, batch_size;
    int is_double; /* X, else it is float32 */
} Table;

typedef struct {
    int kind, is_nesterov;
    float beta_1, beta_2, epsilon, weight_decay; /* beta_1: momentum of SGD and RMSprop, beta_2: rho of RMSprop */
    float rest_1, rest_2;                        /* one minus these, rounded once */
    float *first, *second;                       /* like the weights; NULL where the optimizer has none */
    float rate, corrected_rate;                  /* of the present step; Adam corrects its rate for the first steps */
    int64_t n_steps;
} Optimizer;

typedef struct Watch Watch;

typedef struct {
    atomic_int arrived, round;
    int n;
} Barrier;

typedef struct {
    size_t n_parts, n_products, n_values, n_packed, n_strips, n_rows_at_most, n_inputs, n_outputs;
    Part *parts;
    Encoding encoding;
    Rows input;
    float *packed; /* all weights in panels */
    int loss;
    size_t n_metrics;
    const int32_t *metrics; /* two numbers for each: which, and whether it heeds the weights of rows */
    Optimizer optimizer;
    Table training, validation;
    size_t n_epochs;
    const float *rates;
    const uint32_t *keys; /* seed and number of the first step, for each epoch */
    double *results;      /* for each epoch and pass, the weighted sum and the weight of the loss and each metric */
    float *recorded;      /* weights after each epoch, or NULL */
    float *row_losses, *row_metrics, *penalties, *scratch;
    size_t n_threads;
    Barrier barrier;
    Watch *watch;
    int is_stopped; /* set by the first thread before all meet, and read by all behind that */
} Course;

/* Whether a run must end with the present batch; asked by the thread that has called. */
int must_stop(Watch *watch);

/* Take part as one of the course's threads. */
typedef void RunThread(Course *, size_t thread);
RunThread run_thread_avx2, run_thread_portable;

/* Bring weights from Keras's layout, kernel and bias in turn, into panels, and back. */
void pack_values(const Course *, const float *values, float *packed);
void unpack_values(const Course *, const float *packed, float *values);

#endif
