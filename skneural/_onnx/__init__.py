"""Networks in the operators of ONNX, for runtimes that know neither Keras nor Python."""
