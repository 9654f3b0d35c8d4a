"""Exports of a subnet to timm, PEFT, ONNX and torch.export, each checked before it is kept."""
