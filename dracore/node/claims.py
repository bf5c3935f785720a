"""The claim behind a call of the kubelet, read from the API server (the kubelet passes names only)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from dracore.errors import Forbidden, KubeError, NotFound, Unreachable
from dracore.model.claim import Claim, ClaimRef

if TYPE_CHECKING:
    from dracore.kube.client import KubeClient

REQUEST_SECONDS = 10.0
"""Longest wait for one GET; the kubelet asks again."""


class ApiClaims:
    """Reads claims for one driver. No text names a namespace: the pod's event shows it."""

    def __init__(self, kube: Callable[[], KubeClient], driver: str) -> None:
        self._kube = kube
        self._driver = driver

    def get(self, ref: ClaimRef, timeout: float) -> Claim:
        """The claim of this name and uid, with this driver's results and configs.

        :raises NotFound: it is gone, or another claim has its name now.
        :raises KubeError: the API server did not say.
        """
        path = f"/apis/resource.k8s.io/v1/namespaces/{ref.namespace}/resourceclaims/{ref.name}"
        try:
            content = self._kube().get(path, timeout=min(timeout, REQUEST_SECONDS))
        except NotFound as error:
            raise NotFound(
                f"the claim {ref.name} does not exist", status=error.status, reason=error.reason
            ) from error
        except Unreachable as error:
            raise Unreachable(
                f"the API server does not answer, so the claim {ref.name} is not known ({error.what})",
                fix="the kubelet asks again",
                status=error.status,
            ) from error
        except Forbidden as error:
            raise Forbidden(
                f"the API server does not let the driver {self._driver} read claims",
                fix="let its service account get resourceclaims",
                status=error.status,
                reason=error.reason,
            ) from error
        except KubeError as error:
            raise KubeError(
                f"the claim {ref.name} could not be read ({error.what})",
                status=error.status,
                reason=error.reason,
            ) from error
        claim = Claim.from_json(content, self._driver)
        if claim.ref.uid != ref.uid:
            raise NotFound(
                f"the claim {ref.name} was replaced: its uid is {claim.ref.uid} now, not {ref.uid}",
                fix="the pod has to be made again",
            )
        return claim
