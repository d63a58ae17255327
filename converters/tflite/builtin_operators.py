"""The built-in operators that tflite-runtime 2.14.0 runs, and their highest versions.

Probed, not copied: a flatbuffer that merely declares an operator is refused by the interpreter when it lacks it.
``python -m stn_rectify.converters.tflite.builtin_operators`` probes the installed tflite-runtime and prints the table.
"""

from __future__ import annotations

import importlib.metadata

from stn_rectify.converters.tflite.object_tree import schema, write_model

#: The interpreter that the table was probed from.
TFLITE_RUNTIME = "2.14.0"


#: Operator → its highest version.
VERSIONS = {
    "ADD": 5,
    "AVERAGE_POOL_2D": 3,
    "CONCATENATION": 4,
    "CONV_2D": 7,
    "DEPTHWISE_CONV_2D": 7,
    "DEPTH_TO_SPACE": 2,
    "DEQUANTIZE": 5,
    "EMBEDDING_LOOKUP": 3,
    "FLOOR": 1,
    "FULLY_CONNECTED": 10,
    "HASHTABLE_LOOKUP": 1,
    "L2_NORMALIZATION": 2,
    "L2_POOL_2D": 1,
    "LOCAL_RESPONSE_NORMALIZATION": 1,
    "LOGISTIC": 3,
    "LSH_PROJECTION": 1,
    "LSTM": 4,
    "MAX_POOL_2D": 3,
    "MUL": 7,
    "RELU": 3,
    "RELU_N1_TO_1": 1,
    "RELU6": 3,
    "RESHAPE": 1,
    "RESIZE_BILINEAR": 4,
    "RNN": 3,
    "SOFTMAX": 3,
    "SPACE_TO_DEPTH": 2,
    "SVDF": 4,
    "TANH": 3,
    "SKIP_GRAM": 1,
    "EMBEDDING_LOOKUP_SPARSE": 1,
    "PAD": 4,
    "UNIDIRECTIONAL_SEQUENCE_RNN": 3,
    "GATHER": 6,
    "BATCH_TO_SPACE_ND": 4,
    "SPACE_TO_BATCH_ND": 4,
    "TRANSPOSE": 6,
    "MEAN": 3,
    "SUB": 5,
    "DIV": 2,
    "SQUEEZE": 2,
    "UNIDIRECTIONAL_SEQUENCE_LSTM": 4,
    "STRIDED_SLICE": 8,
    "BIDIRECTIONAL_SEQUENCE_RNN": 3,
    "EXP": 2,
    "TOPK_V2": 3,
    "SPLIT": 4,
    "LOG_SOFTMAX": 2,
    "BIDIRECTIONAL_SEQUENCE_LSTM": 3,
    "CAST": 5,
    "PRELU": 1,
    "MAXIMUM": 4,
    "ARG_MAX": 3,
    "MINIMUM": 4,
    "LESS": 3,
    "NEG": 1,
    "PADV2": 4,
    "GREATER": 2,
    "GREATER_EQUAL": 3,
    "LESS_EQUAL": 2,
    "SELECT": 4,
    "SLICE": 6,
    "SIN": 1,
    "TRANSPOSE_CONV": 4,
    "SPARSE_TO_DENSE": 3,
    "TILE": 3,
    "EXPAND_DIMS": 1,
    "EQUAL": 4,
    "NOT_EQUAL": 3,
    "LOG": 1,
    "SUM": 2,
    "SQRT": 1,
    "RSQRT": 2,
    "SHAPE": 1,
    "POW": 1,
    "ARG_MIN": 3,
    "FAKE_QUANT": 2,
    "REDUCE_PROD": 2,
    "REDUCE_MAX": 3,
    "PACK": 4,
    "LOGICAL_OR": 1,
    "ONE_HOT": 1,
    "LOGICAL_AND": 1,
    "LOGICAL_NOT": 1,
    "UNPACK": 4,
    "REDUCE_MIN": 3,
    "FLOOR_DIV": 3,
    "REDUCE_ANY": 1,
    "SQUARE": 1,
    "ZEROS_LIKE": 1,
    "FILL": 4,
    "FLOOR_MOD": 2,
    "RANGE": 2,
    "RESIZE_NEAREST_NEIGHBOR": 4,
    "LEAKY_RELU": 2,
    "SQUARED_DIFFERENCE": 2,
    "MIRROR_PAD": 3,
    "ABS": 5,
    "SPLIT_V": 2,
    "UNIQUE": 1,
    "CEIL": 1,
    "REVERSE_V2": 3,
    "ADD_N": 1,
    "GATHER_ND": 4,
    "COS": 1,
    "WHERE": 2,
    "RANK": 1,
    "ELU": 1,
    "REVERSE_SEQUENCE": 1,
    "MATRIX_DIAG": 1,
    "QUANTIZE": 3,
    "MATRIX_SET_DIAG": 1,
    "ROUND": 1,
    "HARD_SWISH": 1,
    "IF": 1,
    "WHILE": 1,
    "NON_MAX_SUPPRESSION_V4": 1,
    "NON_MAX_SUPPRESSION_V5": 1,
    "SCATTER_ND": 1,
    "SELECT_V2": 2,
    "DENSIFY": 1,
    "SEGMENT_SUM": 1,
    "BATCH_MATMUL": 4,
    "CUMSUM": 1,
    "CALL_ONCE": 1,
    "BROADCAST_TO": 3,
    "RFFT2D": 1,
    "CONV_3D": 1,
    "IMAG": 1,
    "REAL": 1,
    "COMPLEX_ABS": 1,
    "HASHTABLE": 1,
    "HASHTABLE_FIND": 1,
    "HASHTABLE_IMPORT": 1,
    "HASHTABLE_SIZE": 1,
    "REDUCE_ALL": 1,
    "CONV_3D_TRANSPOSE": 1,
    "VAR_HANDLE": 1,
    "READ_VARIABLE": 1,
    "ASSIGN_VARIABLE": 1,
    "BROADCAST_ARGS": 1,
    "RANDOM_STANDARD_NORMAL": 1,
    "BUCKETIZE": 1,
    "RANDOM_UNIFORM": 1,
    "MULTINOMIAL": 1,
    "GELU": 2,
    "DYNAMIC_UPDATE_SLICE": 1,
    "RELU_0_TO_1": 1,
    "UNSORTED_SEGMENT_PROD": 1,
    "UNSORTED_SEGMENT_MAX": 1,
    "UNSORTED_SEGMENT_SUM": 1,
    "ATAN2": 1,
    "UNSORTED_SEGMENT_MIN": 1,
    "SIGN": 2,
    "BITCAST": 1,
    "BITWISE_XOR": 1,
    "RIGHT_SHIFT": 1,
}


def probe() -> dict[str, int]:
    """The highest version of every operator that the installed tflite-runtime accepts."""
    names = {v: k for k, v in vars(schema.BuiltinOperator).items() if not k.startswith("_")}
    skipped = ("CUSTOM", "DELEGATE", "PLACEHOLDER_FOR_GREATER_OP_CODES")
    versions = {}
    for code, name in sorted(names.items()):
        accepted = [version for version in range(1, 16) if name not in skipped and _is_accepted(code, version)]
        if accepted:
            versions[name] = max(accepted)
    return versions


def _is_accepted(code: int, version: int) -> bool:
    from tflite_runtime.interpreter import Interpreter

    model = schema.ModelT()
    model.version = 3
    model.buffers = [schema.BufferT()]
    operator = schema.OperatorCodeT()
    operator.builtinCode, operator.deprecatedBuiltinCode, operator.version = code, min(code, 127), version
    model.operatorCodes = [operator]
    graph = schema.SubGraphT()
    graph.tensors, graph.operators, graph.inputs, graph.outputs = [], [], [], []
    model.subgraphs = [graph]
    try:
        Interpreter(model_content=write_model(model))
    except ValueError:
        return False
    return True


if __name__ == "__main__":
    print(f"# tflite-runtime {importlib.metadata.version('tflite-runtime')}")
    for operator_name, highest in probe().items():
        print(f'    "{operator_name}": {highest},')
