"""Operators of an ONNX file and the types they read, from protobuf's wire format: a device has no onnx package."""

FLOAT_NAMES = {1: "FP32", 10: "FP16", 16: "BF16", 3: "INT8", 2: "UINT8", 17: "FP8"}
PRODUCTS = {"Conv": "CaskConvolution", "ConvTranspose": "CaskDeconvolution", "Gemm": "gemm", "MatMul": "gemm"}


def fields(data):
    """(number, value) of a message; numbers as int, everything else as bytes."""
    position = 0
    while position < len(data):
        key, position = varint(data, position)
        number, kind = key >> 3, key & 7
        if kind == 0:
            value, position = varint(data, position)
        else:
            size = {1: 8, 5: 4}.get(kind)
            if size is None:
                size, position = varint(data, position)
            value, position = data[position : position + size], position + size
        yield number, value


def varint(data, position):
    """A number of seven bits a byte, and the position behind it."""
    value = shift = 0
    while True:
        byte = data[position]
        value |= (byte & 0x7F) << shift
        position, shift = position + 1, shift + 7
        if byte < 0x80:
            return value, position


def layers(model):
    """One layer for each operator: name, kind, and the type that it reads its first input in."""
    graph = next(value for number, value in fields(model) if number == 7)
    nodes, types = [], {}
    for number, value in fields(graph):
        if number == 1:
            nodes.append(node(value))
        elif number == 5:
            tensor = {key: item for key, item in fields(value) if key in (2, 8)}
            types[tensor[8].decode()] = FLOAT_NAMES.get(tensor[2], "INT64")
    makers = {output: made for made in nodes for output in made["outputs"]}
    return [
        {
            "name": made["name"] or made["outputs"][0],
            "kind": PRODUCTS.get(made["kind"], "kgen"),
            "dtype": weight_type(made, makers, types),
        }
        for made in nodes
        if made["kind"] not in ("QuantizeLinear", "DequantizeLinear", "Constant", "Identity")
    ]


def node(data):
    """A NodeProto: inputs, outputs, name and operator."""
    found = {"inputs": [], "outputs": [], "name": "", "kind": ""}
    for number, value in fields(data):
        if number == 1:
            found["inputs"].append(value.decode())
        elif number == 2:
            found["outputs"].append(value.decode())
        elif number == 3:
            found["name"] = value.decode()
        elif number == 4:
            found["kind"] = value.decode()
    return found


def weight_type(made, makers, types):
    """The type of the weights of an operator, looked up behind a DequantizeLinear, a Cast or a Transpose."""
    for name in reversed(made["inputs"][:2]):
        while name in makers and makers[name]["kind"] in ("DequantizeLinear", "Cast", "Transpose", "Reshape"):
            name = makers[name]["inputs"][0]
        if name in types:
            return types[name]
    return next(iter(sorted(set(types.values()) & {"FP16", "FP32"})), "FP32")
