"""Kubernetes objects that every emitter builds alike: metadata, ConfigMap, Service, kustomization, devices."""
