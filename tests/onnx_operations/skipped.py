"""Why a test of ONNX's is not run: by operation, where tinycnn has none, and by test, where it has.

The names of tests are patterns, as of files. Each must be needed, and no test of an operation that we have may be left
out for a reason, or under a name, that is not here.
"""

from __future__ import annotations

# ONNX's operations that are none of ours. What ONNX says they stand for is run where it is made of ours.
OTHERS = {
    "networks of other kinds": "Attention CausalConvWithState FlexAttention GRU LinearAttention LSTM RNN "
    "RMSNormalization RotaryEmbedding TensorScatter",
    "activations that PyTorch has and we have not": "Celu HardSigmoid HardSwish Hardmax Mish Selu Shrink SwiGLU "
    "ThresholdedRelu",
    "functions of numbers": "Acosh Asinh Atanh BitCast BitShift CumProd Det Einsum",
    "rearrangement": "CenterCropPad DepthToSpace ReverseSequence Scatter SpaceToDepth Unique",
    "another normalisation": "MeanVarianceNormalization",
    "another first step": "Adam",
    "sampling of pictures": "AffineGrid DeformConv GridSample ImageDecoder NonMaxSuppression Resize RoiAlign Upsample",
    "signals": "BlackmanWindow DFT HammingWindow HannWindow MelWeightMatrix STFT",
    "quantised numbers": "ConvInteger DequantizeLinear DynamicQuantizeLinear MatMulInteger QLinearConv QLinearMatMul "
    "QuantizeLinear",
    "control of a graph": "If Loop Scan",
    "sequences and optional values": "OptionalGetElement OptionalHasElement SequenceInsert SequenceMap SplitToSequence",
    "strings": "RegexFullMatch StringConcat StringNormalizer StringSplit TfIdfVectorizer",
    "other learning machines": "ArrayFeatureExtractor Binarizer LabelEncoder TreeEnsemble",
}

# The tests of our operations that are not run.
SKIPPED = {
    "3 spatial dimensions": "test_averagepool_3d_* test_col2im_5d test_convtranspose_3d test_lppool_3d_default "
    "test_maxpool_3d_*",
    "windows of integers": "test_maxpool_2d_uint8",
    "random numbers": "test_training_dropout test_training_dropout_mask test_training_dropout_default* test_bernoulli*",
    "scattering with max": "test_scatter*_max test_scatternd_max_with_element_indices",
    "scattering with min": "test_scatter*_min test_scatternd_min_with_element_indices",
    "scattering with mul": "test_scatter_elements_with_reduction_mul test_scatternd_multiply",
    "sequences and optional values": "test_identity_sequence test_identity_opt",
    "operation Loop": "test_range_*_expanded",
    "operation RandomUniformLike": "test_bernoulli*_expanded",
    "element type string": "test_equal_string*",
    "element type uint16": "test_*_uint16 test_*_uint16_expanded test_bitwise_not_3d",
    "element type uint32": "test_*_uint32 test_*_uint32_expanded",
    "element type uint64": "test_*_uint64 test_*_uint64_expanded test_bitwise_*_ui64_bcast_3v1d",
    "element type float8": "test_cast*_FLOAT8E*",
    "element type float4": "test_cast*_FLOAT4E2M1*",
    "element type int2": "test_cast*_INT2*",
    "element type int4": "test_cast*_INT4*",
    "element type uint2": "test_cast*_UINT2*",
    "element type uint4": "test_cast*_UINT4*",
}
