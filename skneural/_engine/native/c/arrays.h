/* What Python gives: arrays of which kind and length are looked at here, for every function of the module. */
#ifndef SKNEURAL_ARRAYS_H
#define SKNEURAL_ARRAYS_H

#define PY_SSIZE_T_CLEAN
#define Py_LIMITED_API 0x030B0000
#include <Python.h>

#include <stddef.h>
#include <stdint.h>

#include "course.h"

enum { MOST_UNITS = 1 << 24 };

/* The arrays that a call holds, to be let go of at its end; no more than there is room for. */
typedef struct {
    Py_buffer *views;
    size_t n;
    int has_failed;
} Buffers;

/* Raise a ValueError, unless an error was raised before. */
void fail(Buffers *, const char *reason);

/* Give the kind of an array's entries, if they are single ones in this machine's order of bytes; else 0. */
char kind_of(const Py_buffer *);

/* Give an array's memory and how many entries of the given kind it has: 'f', 'd', 'i' (int32), 'I' or 'q' (int64). */
void *entries_of(Buffers *, PyObject *array, const char *name, char kind, size_t *n, int flags);

/* Memory of exactly so many entries; NULL for None where an array is optional. */
void *array_of(Buffers *, PyObject *array, const char *name, char kind, size_t expected, int flags);
void *optional(Buffers *, PyObject *array, const char *name, char kind, size_t expected, int flags);

/* Memory of float32 with two axes, whose lengths it gives. */
float *table_of(Buffers *, PyObject *array, const char *name, size_t *n_rows, size_t *n_columns, int flags);

/* Read what columns are encoded by: (how many numbers of each kind, their columns, four numbers for each) or None. Give
   how many inputs a network then has. */
size_t read_encoding(Buffers *, PyObject *given, Encoding *);

/* Whether all are in [0, limit). */
int all_below(const int32_t *values, size_t n, size_t limit);

void let_go(Buffers *);

#endif
