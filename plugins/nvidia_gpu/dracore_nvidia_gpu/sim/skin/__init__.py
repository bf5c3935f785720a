"""NVML's C interface over the model: every exported symbol is a libffi closure that pynvml calls as it would
call the real library, so that pynvml's own structs, version words and error classes are exercised."""
