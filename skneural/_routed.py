"""Names of routed parameters, for type checkers and editors: a misspelt one is then reported before anything runs."""

from __future__ import annotations

from typing import Any, TypedDict


class Routed(TypedDict, total=False):
    """What a family's constructor sends on, by prefix: the arguments of Keras 3.15's own classes and methods.

    Those of optimizers, losses and metrics of one's own, and of callbacks given as classes, are taken too, but no
    checker can know them: give such objects ready made.
    """

    optimizer__adam_beta_1: Any
    optimizer__adam_beta_2: Any
    optimizer__adam_lr_ratio: Any
    optimizer__adam_weight_decay: Any
    optimizer__amsgrad: Any
    optimizer__beta: Any
    optimizer__beta_1: Any
    optimizer__beta_2: Any
    optimizer__beta_2_decay: Any
    optimizer__centered: Any
    optimizer__clip_threshold: Any
    optimizer__clipnorm: Any
    optimizer__clipvalue: Any
    optimizer__dynamic_growth_steps: Any
    optimizer__ema_momentum: Any
    optimizer__ema_overwrite_frequency: Any
    optimizer__epsilon: Any
    optimizer__epsilon_1: Any
    optimizer__epsilon_2: Any
    optimizer__exclude_embeddings: Any
    optimizer__exclude_layers: Any
    optimizer__global_clipnorm: Any
    optimizer__gradient_accumulation_steps: Any
    optimizer__initial_accumulator_value: Any
    optimizer__initial_scale: Any
    optimizer__inner_optimizer: Any
    optimizer__l1_regularization_strength: Any
    optimizer__l2_regularization_strength: Any
    optimizer__l2_shrinkage_regularization_strength: Any
    optimizer__learning_rate: Any
    optimizer__learning_rate_power: Any
    optimizer__loss_scale_factor: Any
    optimizer__momentum: Any
    optimizer__muon_a: Any
    optimizer__muon_b: Any
    optimizer__muon_c: Any
    optimizer__name: Any
    optimizer__nesterov: Any
    optimizer__ns_steps: Any
    optimizer__optimizer_map: Any
    optimizer__relative_step: Any
    optimizer__rho: Any
    optimizer__rms_rate: Any
    optimizer__use_ema: Any
    optimizer__warmup_steps: Any
    optimizer__weight_decay: Any
    loss__alpha: Any
    loss__apply_class_balancing: Any
    loss__axis: Any
    loss__beta: Any
    loss__delta: Any
    loss__dtype: Any
    loss__from_logits: Any
    loss__gamma: Any
    loss__ignore_class: Any
    loss__label_smoothing: Any
    loss__margin: Any
    loss__name: Any
    loss__q: Any
    loss__reduction: Any
    loss__remove_diagonal: Any
    metrics__average: Any
    metrics__axis: Any
    metrics__beta: Any
    metrics__class_aggregation: Any
    metrics__class_id: Any
    metrics__curve: Any
    metrics__dtype: Any
    metrics__fn: Any
    metrics__from_logits: Any
    metrics__from_sorted_ids: Any
    metrics__ignore_class: Any
    metrics__k: Any
    metrics__label_smoothing: Any
    metrics__label_weights: Any
    metrics__multi_label: Any
    metrics__name: Any
    metrics__num_classes: Any
    metrics__num_labels: Any
    metrics__num_regressors: Any
    metrics__num_thresholds: Any
    metrics__precision: Any
    metrics__recall: Any
    metrics__sensitivity: Any
    metrics__sparse_y_pred: Any
    metrics__sparse_y_true: Any
    metrics__specificity: Any
    metrics__summation_method: Any
    metrics__target_class_ids: Any
    metrics__threshold: Any
    metrics__thresholds: Any
    metrics__top_k: Any
    compile__auto_scale_loss: Any
    compile__jit_compile: Any
    compile__loss_weights: Any
    compile__run_eagerly: Any
    compile__steps_per_execution: Any
    fit__batch_size: Any
    fit__callbacks: Any
    fit__epochs: Any
    fit__initial_epoch: Any
    fit__shuffle: Any
    fit__steps_per_epoch: Any
    fit__validation_batch_size: Any
    fit__validation_data: Any
    fit__validation_freq: Any
    fit__validation_split: Any
    fit__validation_steps: Any
    fit__verbose: Any
    predict__batch_size: Any
    predict__callbacks: Any
    predict__steps: Any
    predict__verbose: Any
