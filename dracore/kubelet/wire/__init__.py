"""The kubelet's gRPC contracts: messages generated from the ``.proto`` files here, and their method names.

``registration_pb2`` (plugin watcher), ``dra_v1_pb2`` and ``dra_v1beta1_pb2`` (prepare and unprepare),
``health_v1_pb2`` and ``health_v1alpha1_pb2`` (device health), ``podresources_v1_pb2`` (who uses what), and
``methods``. Each message module has a descriptor pool of its own, so none collides with another library's.
"""
