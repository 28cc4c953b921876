/* What a dense network makes of rows: its layers, with the room that they need. */
#ifndef SKNEURAL_PREDICTION_H
#define SKNEURAL_PREDICTION_H

#include "course.h"

/* A product of rows and a kernel, an activation, or a normalisation of columns. */
typedef struct {
    int kind, function;
    size_t n_inputs, n_outputs;
    const float *kernel;      /* as Keras has it */
    const float *panels;      /* the same in panels of WIDTH columns; NULL where there are none */
    const float *bias;        /* NULL where there is none */
    const float *mean, *beta; /* beta: NULL where there is none */
    const float *factors;     /* gamma over the standard deviation */
} Layer;

typedef struct {
    size_t n_layers, n_rows, n_inputs, n_outputs;
    size_t n_at_once, stride; /* rows that go through all layers at once, and floats from one of them to the next */
    Layer *layers;
    Encoding encoding;
    const float *X;
    float *outputs;
    atomic_size_t next; /* row that no thread has taken yet */
} Forward;

/* Where a panel of a kernel of so many columns begins: the last one overlaps the one before, and needs no padding. */
static inline size_t panel_start(size_t panel, size_t n) {
    size_t start = panel * WIDTH;
    return n >= WIDTH && start > n - WIDTH ? n - WIDTH : start;
}

/* Take blocks of rows through the layers until none is left, with room for two blocks. */
typedef void PredictRows(Forward *, float *room);
PredictRows predict_rows_avx2, predict_rows_portable;

#endif
