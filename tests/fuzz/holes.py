"""Known ways to run code, read files or reach the network through a Keras configuration, each as the configuration that does it.

`refused` is what the gate says. Sources: the advisories on Lambda in .h5 and .keras files, on `enable_unsafe_deserialization` reached
through a configuration, on vocabularies that are file names, and on `module` and `registered_name` that lead to any importable.
"""


def layer(name, /, module="keras.layers", registered=None, **config):
    return {"module": module, "class_name": name, "config": config, "registered_name": registered}


def function(module, name):
    return {"module": module, "class_name": "function", "config": name, "registered_name": "function"}


def model(*layers):
    return {"module": "keras", "class_name": "Sequential", "config": {"name": "m", "layers": [layer("InputLayer", batch_shape=[None, 4], name="i"), *layers]}, "registered_name": None}  # fmt: skip


def holes(code, file, folder):
    """Name -> (the part that does it, words of the gate's refusal).

    `code`: marshalled code in base64; `file`: a text file; `folder`: where a file that was written would be seen.
    """
    marshalled = {"class_name": "__lambda__", "config": {"code": code, "defaults": None, "closure": None}}
    dense = {"units": 2, "name": "d"}
    nested = layer("Lambda", function=marshalled)
    return {
        "lambda with code": (layer("Lambda", function=marshalled), "'Lambda'"),
        "lambda as .h5 files have it": ({"class_name": "Lambda", "config": {"function": [code, None, None], "function_type": "lambda", "module": "builtins"}}, "'Lambda'"),
        "lambda of a function": (layer("Lambda", function=function("builtins", "exec")), "'Lambda'"),
        "lambda for the output's shape": (layer("Lambda", function=function("keras.ops", "abs"), output_shape=marshalled), "'Lambda'"),
        "bare lambda as activation": (layer("Dense", **dense, activation=marshalled), "'__lambda__'"),
        "lambda in a wrapper": (layer("TimeDistributed", layer=nested), "'Lambda'"),
        "lambda in both directions": (layer("Bidirectional", layer=layer("LSTM", units=2), backward_layer=nested), "'Lambda'"),
        "lambda as a cell": (layer("RNN", cell=[layer("GRUCell", units=2), nested]), "'Lambda'"),
        "lambda in a nested model": (model(nested), "'Lambda'"),
        "unsafe mode switched on": (layer("Dense", **dense, activation=function("keras.config", "enable_unsafe_deserialization")), "'function'"),
        "unsafe mode as a class": (layer("enable_unsafe_deserialization", module="keras.config"), "enable_unsafe"),
        "unsafe mode by its own module": (layer("enable_unsafe_deserialization", module="keras.src.saving.serialization_lib"), "enable_unsafe"),
        "vocabulary file of strings": (layer("StringLookup", vocabulary=file), "'StringLookup'"),
        "vocabulary file of numbers": (layer("IntegerLookup", vocabulary=file), "'IntegerLookup'"),
        "vocabulary file of a text layer": (layer("TextVectorization", vocabulary=file), "'TextVectorization'"),
        "vocabulary in a stock layer": (layer("CategoryEncoding", num_tokens=3, vocabulary=file), "'vocabulary'"),
        "saved model from a folder": (layer("TFSMLayer", filepath=folder), "'TFSMLayer'"),
        "process": (layer("Popen", module="subprocess", registered="Popen", args=["touch", f"{folder}/process"]), "'Popen'"),
        "exec": (layer("exec", module="builtins", registered="exec"), "'exec'"),
        "function of the interpreter": (layer("Dense", **dense, activation=function("builtins", "exec")), "'function'"),
        "function of the system": (layer("Dense", **dense, activation=function("os", "system")), "'function'"),
        "function that fetches": (layer("Dense", **dense, activation=function("keras.utils", "get_file")), "'function'"),
        "function that fetches, by its own module": (layer("Dense", **dense, activation=function("keras.src.utils.file_utils", "get_file")), "'function'"),
        "class that fetches": (layer("get_file", module="keras.utils", origin="file:///etc/passwd"), "'get_file'"),
        "initializer that is a function": (layer("Dense", **dense, kernel_initializer=function("keras.utils", "get_file")), "'function'"),
        "name of another class": (layer("Dense", registered="builtins>exec", **dense), "another name"),
        "class of a private module": (layer("Dense", module="keras.src.layers.core.dense", **dense), "keras.src.layers.core.dense"),
        "keras as a module's attribute": (layer("Popen", module="keras.src.utils.python_utils.subprocess"), "'Popen'"),
        "any operation with arguments": (layer("Map", module="keras.src.ops.core", registered="Map", f=marshalled), "'Map'"),
        "operation on files": (layer("Custom", module="keras.src.ops.core", registered="Custom"), "'Custom'"),
        "numpy array": (layer("Dense", **dense, kernel_initializer=layer("Constant", module="keras.initializers", value={"class_name": "__numpy__", "config": {"value": [0.0], "dtype": "float32"}})), "an array of the notebook's own"),
        "large tensor": (layer("Dense", **dense, kernel_initializer=layer("Constant", module="keras.initializers", value={"class_name": "__tensor__", "config": {"value": [0.0] * 300_000, "dtype": "float32"}})), "an array of the notebook's own"),
        "large list": (layer("Dense", **dense, kernel_initializer=layer("Constant", module="keras.initializers", value=[0.0] * 300_000)), "too large"),
        "bytes": (layer("Dense", **dense, activation={"class_name": "__bytes__", "config": {"value": "x"}}), "'__bytes__'"),
        "type of TensorFlow": (layer("Dense", **dense, activation={"class_name": "__typespec__", "spec_name": "TensorSpec", "module": "tensorflow", "registered_name": None, "config": [[1], "float32"]}), "'__typespec__'"),
        "policy with a nested object": (layer("Dense", **dense, dtype=layer("DTypePolicy", module="keras", name=nested)), "'Lambda'"),
        "policy of quantisation": (layer("Dense", **dense, dtype=layer("QuantizedDTypePolicy", module="keras", mode="int8", source_name="float32")), "'QuantizedDTypePolicy'"),
        "quantisation": (layer("Dense", **dense, quantization_config=layer("Int8QuantizationConfig", module="keras.quantizers")), "'quantization_config'"),
        "object shared by number": (layer("Dense", **dense, bias_initializer={"shared_object_id": 1}), "'shared_object_id'"),
        "custom objects": (layer("Dense", **dense, custom_objects={"relu": function("os", "system")}), "'custom_objects'"),
        "layers in a row": (layer("Pipeline", layers=[nested]), "'Pipeline'"),
        "features": (layer("FeatureSpace", module="keras.utils", features={}), "'FeatureSpace'"),
        "layer of another library": (layer("JaxLayer", call_fn=marshalled), "'JaxLayer'"),
        "layer from a hub": ({**layer("TorchModuleWrapper"), "config": {"module": folder}}, "TorchModuleWrapper"),
    }  # fmt: skip


LEFT_BEHIND = {
    "build_config": {"input_shape": [None, 4]},
    "compile_config": {"optimizer": layer("exec", module="builtins"), "loss": function("os", "system")},
}
"""What Keras obeys beside a configuration (it compiles with whatever stands there); the gate does not take it along."""
