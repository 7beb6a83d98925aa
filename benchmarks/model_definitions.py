"""The benchmarked models as PyTorch modules with random weights (used by model_structures.py, needs PyTorch).

GPUNet's layers are the figures of NVIDIA DeepLearningExamples @68c33b3, PyTorch/Classification/GPUNet/configs/batch1.
"""

import sys
import types

# torchvision 0.28 registers shapes of operators that its CPU wheel for torch 2.13 lacks.
sys.modules["torchvision._meta_registrations"] = types.ModuleType("torchvision._meta_registrations")

import torch  # noqa: E402
from torch import nn  # noqa: E402

GPUNET = {
    # image size, stem channels, runs of (kind, channels, stride, kernel, expansion, has squeeze-excitation, how many),
    # channels of the head
    "GPUNet/05ms-D": (
        224,
        32,
        (
            ("conv", 32, 1, 3, 0, 0, 2),
            ("conv", 64, 2, 3, 0, 0, 1),
            ("irb", 96, 2, 3, 8, 0, 1),
            ("irb", 96, 1, 3, 7.67, 0, 2),
            ("irb", 256, 2, 3, 7.67, 0, 1),
            ("irb", 256, 1, 5, 4.25, 0, 1),
            ("irb", 256, 1, 3, 4.75, 0, 1),
            ("irb", 704, 2, 3, 8, 0, 1),
            ("irb", 704, 1, 5, 3.82, 0, 1),
            ("irb", 704, 1, 3, 3.36, 0, 1),
            ("irb", 704, 1, 3, 2.55, 0, 1),
            ("irb", 704, 2, 3, 5.73, 0, 1),
        ),
        1984,
    ),
    "GPUNet/065ms": (
        320,
        32,
        (
            ("conv", 32, 1, 3, 0, 0, 2),
            ("fused", 32, 2, 3, 5, 0, 1),
            ("fused", 32, 1, 3, 5, 0, 1),
            ("fused", 64, 2, 3, 5, 0, 1),
            ("fused", 64, 1, 3, 5, 0, 2),
            ("irb", 256, 2, 3, 5, 0, 1),
            ("irb", 256, 1, 3, 5, 0, 2),
            ("irb", 704, 2, 3, 5, 1, 1),
            ("irb", 704, 1, 3, 5, 1, 1),
        ),
        1280,
    ),
    "GPUNet/085ms": (
        288,
        24,
        (
            ("conv", 24, 1, 3, 0, 0, 1),
            ("fused", 64, 2, 3, 4, 0, 1),
            ("fused", 64, 1, 3, 4, 0, 1),
            ("fused", 96, 2, 3, 4, 0, 1),
            ("fused", 96, 1, 3, 4, 0, 1),
            ("irb", 160, 2, 3, 2, 1, 1),
            ("irb", 288, 1, 3, 5, 0, 4),
            ("irb", 448, 2, 3, 4, 1, 1),
            ("irb", 448, 1, 3, 4, 1, 3),
        ),
        1280,
    ),
    "GPUNet/08ms-D": (
        224,
        32,
        (
            ("conv", 32, 1, 3, 0, 0, 2),
            ("conv", 64, 2, 5, 0, 0, 1),
            ("irb", 64, 1, 3, 8, 0, 2),
            ("irb", 96, 2, 5, 8, 0, 1),
            ("irb", 96, 1, 5, 8, 0, 1),
            ("irb", 256, 2, 5, 8, 0, 1),
            ("irb", 256, 1, 5, 7.5, 0, 1),
            ("irb", 256, 1, 3, 7.88, 0, 1),
            ("irb", 704, 2, 5, 7.88, 0, 1),
            ("irb", 704, 1, 5, 8, 0, 1),
            ("irb", 704, 1, 3, 7.41, 0, 1),
            ("irb", 704, 1, 5, 8, 0, 1),
            ("irb", 704, 2, 5, 7.95, 0, 1),
        ),
        1984,
    ),
    "GPUNet/125ms-D": (
        456,
        33,
        (
            ("irb", 33, 1, 3, 1, 0, 1),
            ("irb", 44, 2, 3, 3, 0, 1),
            ("irb", 44, 1, 5, 4, 0, 1),
            ("irb", 44, 1, 3, 3, 0, 1),
            ("irb", 67, 2, 5, 4, 0, 1),
            ("irb", 67, 1, 5, 4, 0, 1),
            ("irb", 67, 1, 3, 6, 0, 1),
            ("irb", 67, 1, 5, 3, 0, 1),
            ("irb", 134, 2, 7, 6, 0, 1),
            ("irb", 134, 1, 5, 6, 0, 1),
            ("irb", 134, 1, 3, 3, 0, 1),
            ("irb", 134, 1, 5, 4, 0, 1),
            ("irb", 190, 1, 3, 6, 0, 1),
            ("irb", 190, 1, 5, 6, 0, 1),
            ("irb", 190, 1, 7, 6, 0, 1),
            ("irb", 190, 1, 3, 4, 0, 1),
            ("irb", 268, 2, 3, 6, 0, 1),
            ("irb", 268, 1, 3, 6, 0, 1),
            ("irb", 268, 1, 5, 6, 0, 1),
            ("irb", 268, 1, 3, 3, 0, 3),
        ),
        1984,
    ),
    "GPUNet/175ms": (
        384,
        32,
        (
            ("conv", 32, 1, 3, 0, 0, 3),
            ("fused", 32, 2, 5, 6, 1, 1),
            ("fused", 112, 2, 3, 3, 0, 1),
            ("fused", 112, 1, 3, 3, 0, 2),
            ("irb", 144, 2, 3, 6, 0, 1),
            ("irb", 144, 1, 3, 6, 0, 5),
            ("irb", 160, 1, 5, 3, 0, 4),
            ("irb", 224, 2, 3, 3, 1, 1),
            ("irb", 224, 1, 3, 3, 1, 7),
            ("irb", 832, 1, 5, 2, 0, 7),
        ),
        1280,
    ),
}


def convolution(channels: int, out: int, kernel: int, stride: int = 1, groups: int = 1, *, relu: bool = True):
    """A convolution with its normalisation folded in."""
    layers = [nn.Conv2d(channels, out, kernel, stride, kernel // 2, groups=groups)]
    return nn.Sequential(*layers, nn.ReLU()) if relu else nn.Sequential(*layers)


class SqueezeExcitation(nn.Module):
    """Channels weighted by what their means say."""

    def __init__(self, channels: int, reduced: int) -> None:
        super().__init__()
        self.down, self.up = nn.Conv2d(channels, reduced, 1), nn.Conv2d(reduced, channels, 1)

    def forward(self, x):
        """float32[batch, channels, h, w], unchanged in shape."""
        return x * torch.sigmoid(self.up(torch.relu(self.down(x.mean((2, 3), keepdim=True)))))


class Block(nn.Module):
    """A GPUNet layer: a convolution, or an inverted residual whose expansion may be fused with its convolution."""

    def __init__(self, channels: int, kind: str, out: int, stride: int, kernel: int, expansion: float, has_se: int):
        super().__init__()
        inner = round(channels * expansion)
        gate = [SqueezeExcitation(inner, max(8, channels // 4))] if has_se else []
        if kind == "conv":
            body = [convolution(channels, out, kernel, stride)]
        elif kind == "fused":
            body = [convolution(channels, inner, kernel, stride), *gate, convolution(inner, out, 1, relu=False)]
        else:
            widen = [convolution(channels, inner, 1)] if expansion != 1 else []
            depthwise = convolution(inner, inner, kernel, stride, groups=inner)
            body = [*widen, depthwise, *gate, convolution(inner, out, 1, relu=False)]
        self.body = nn.Sequential(*body)
        self.has_shortcut = stride == 1 and channels == out and kind != "conv"

    def forward(self, x):
        """float32[batch, channels, h, w] -> float32[batch, out, h / stride, w / stride]."""
        return x + self.body(x) if self.has_shortcut else self.body(x)


def gpunet(name: str, _size: int) -> nn.Module:
    """A GPUNet of the published figures."""
    _, channels, runs, head = GPUNET[name]
    layers: list[nn.Module] = [convolution(3, channels, 3, 2)]
    for kind, out, stride, kernel, expansion, has_se, count in runs:
        for _ in range(count):
            layers.append(Block(channels, kind, out, stride, kernel, expansion, has_se))
            channels = out
    tail = [convolution(channels, head, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(head, 1000)]
    return nn.Sequential(*layers, *tail)


def timm_model(name: str, size: int, **changed: int) -> nn.Module:
    """A timm model at a square input."""
    import timm

    try:
        return timm.create_model(name, img_size=size, **changed)
    except TypeError:
        return timm.create_model(name, **changed)


def yolo(name: str, _size: int) -> nn.Module:
    """An Ultralytics model, set up as its exporter does."""
    from ultralytics import YOLO

    model = YOLO(f"{name}.yaml").model.fuse()
    for module in model.modules():
        if hasattr(module, "export"):
            module.export, module.format = True, "onnx"
    return model


class retinanet(nn.Module):  # noqa: N801 - named as the model
    """MLPerf's RetinaNet: ResNeXt-50 32x4d, feature pyramid, heads for 264 classes, post-processing left out."""

    def __init__(self) -> None:
        super().__init__()
        from torchvision.models.detection.backbone_utils import resnet_fpn_backbone
        from torchvision.models.detection.retinanet import RetinaNetHead
        from torchvision.ops.feature_pyramid_network import LastLevelP6P7

        self.backbone = resnet_fpn_backbone(
            backbone_name="resnext50_32x4d",
            weights=None,
            returned_layers=[2, 3, 4],
            extra_blocks=LastLevelP6P7(256, 256),
        )
        self.head = RetinaNetHead(256, 9, 264)

    def forward(self, x):
        """float32[batch, 3, h, w] -> class logits and box regressions of all anchors."""
        found = self.head(list(self.backbone(x).values()))
        return found["cls_logits"], found["bbox_regression"]


def bert(layers: int, hidden: int, heads: int, intermediate: int) -> nn.Module:
    """A BERT for question answering, attention as plain operators."""
    from transformers import BertConfig, BertForQuestionAnswering

    sizes = {"num_hidden_layers": layers, "hidden_size": hidden, "intermediate_size": intermediate}
    config = BertConfig(num_attention_heads=heads, attn_implementation="eager", return_dict=False, **sizes)
    return BertForQuestionAnswering(config)
