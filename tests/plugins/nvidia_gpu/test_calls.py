"""Errors of NVML calls, told apart by code."""

from __future__ import annotations

import pynvml
import pytest
from dracore_nvidia_gpu.calls import FUNCTION_NOT_FOUND, LIBRARY_NOT_FOUND, Calls, NvmlFailure


def test_an_error_of_pynvml_becomes_one_with_its_code():
    with pytest.raises(NvmlFailure) as failure:
        Calls(pynvml).call("_nvmlCheckReturn", pynvml.NVML_ERROR_LIBRARY_NOT_FOUND)
    assert failure.value.code == LIBRARY_NOT_FOUND
    assert str(failure.value) == "_nvmlCheckReturn: NVML Shared Library Not Found"
    assert hash(failure.value)


def test_a_call_that_an_old_pynvml_does_not_have_is_one_that_the_driver_does_not_have():
    with pytest.raises(NvmlFailure) as failure:
        Calls(pynvml).call("nvmlDeviceGetNextYearsFeature")
    assert failure.value.code == FUNCTION_NOT_FOUND
