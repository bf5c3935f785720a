"""The opaque parameters of NVIDIA's driver that apply to full GPUs."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

API_VERSION = "resource.nvidia.com/v1beta1"


class GpuConfig(BaseModel):
    """``resource.nvidia.com/v1beta1`` GpuConfig. Empty: the GPU as it is."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    sharing: Any = Field(
        default=None,
        description="A sharing strategy and its parameters; enabled plugins offer the strategies.",
    )
