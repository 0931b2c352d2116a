"""Siamese: one encoder for the image before and the one after, one decoder for both."""

import torch
from segmentation_models_pytorch.base import SegmentationModel

Features = list[torch.Tensor]


class Siamese(torch.nn.Module):
    """Joins what one encoder says of two dates, scale by scale, and decodes that.

    At every scale a convolution of 1 x 1 joins the features of the image before with how those of
    the image after differ: a building that is gone is there in the one, and that it is gone in
    the other. Shared weights with joined features is how the best of the xView2 challenge told
    grades of damage apart (Durnov 2020, github.com/vdurnov/xview2_1st_place_solution;
    Khvedchenya 2020, github.com/BloodAxe/xView2-Solution; Daudt et al. 2018, arXiv:1810.08462).
    """

    def __init__(self, single: SegmentationModel, *, channels: int) -> None:
        """Take a network for single images apart.

        Args:
            single: of segmentation-models-pytorch.
            channels: of one image.
        """
        super().__init__()
        self.channels = channels
        self.encoder = single.get_submodule("encoder")
        self.fuse = torch.nn.ModuleList(
            torch.nn.Conv2d(2 * features, features, 1) for features in _widths(single)
        )
        self.decoder = single.get_submodule("decoder")
        self.segmentation_head = single.get_submodule("segmentation_head")

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """Return logits, (n, classes, rows, cols), of (n, 2 x channels, rows, cols)."""
        logits: torch.Tensor = self.segmentation_head(self.decoder(self._joined(pixels)))
        return logits

    def _joined(self, pixels: torch.Tensor) -> Features:
        """Return the features of both dates by scale; the first is the image itself."""
        # Both dates in one batch: batch normalisation then sees them alike.
        image, *scales = self.encoder(torch.cat(pixels.split(self.channels, dim=1)))
        joined = []
        for fuse, scale in zip(self.fuse, scales, strict=True):
            before, after = scale.chunk(2)
            joined.append(fuse(torch.cat([before, after - before], dim=1)))
        return [image.chunk(2)[1], *joined]


def _widths(single: SegmentationModel) -> tuple[int, ...]:
    """Return the features of every scale but the first, which is the image."""
    widths: list[int] = single.encoder.out_channels
    return tuple(widths[1:])
