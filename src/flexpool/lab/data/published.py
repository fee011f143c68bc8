"""The files of the published IDX data sets, known by the SHA-256 of their decompressed content.

Decompressed, because the same file is compressed differently from place to place. The SHA-256 were
taken from files whose MD5 are those published with the data sets.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["PUBLISHED", "PublishedFile", "announced", "files_of", "whose"]


@dataclass(frozen=True)
class PublishedFile:
    """One file of a data set.

    Args:
        dataset: name of the data set.
        holds: what is in it, in words.
        name: its file name, without ``.gz``.
        size: bytes, decompressed.
        sha256: of the decompressed content, in hexadecimal.
        download: bytes of the usual compressed file, for display.
    """

    dataset: str
    holds: str
    name: str
    size: int
    sha256: str
    download: int

    def __str__(self) -> str:
        return f"{self.dataset}: {self.holds}"


def _four(
    dataset: str, digests: tuple[str, str, str, str], downloads: tuple[int, int, int, int]
) -> tuple[PublishedFile, ...]:
    """List the four usual files: training images and labels, test images and labels."""
    names = (
        ("train images", "train-images-idx3-ubyte", 47_040_016),
        ("train labels", "train-labels-idx1-ubyte", 60_008),
        ("test images", "t10k-images-idx3-ubyte", 7_840_016),
        ("test labels", "t10k-labels-idx1-ubyte", 10_008),
    )
    return tuple(
        PublishedFile(dataset, holds, name, size, sha256, download)
        for (holds, name, size), sha256, download in zip(names, digests, downloads, strict=True)
    )


PUBLISHED: tuple[PublishedFile, ...] = (
    *_four(
        "mnist",
        (
            "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
            "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
            "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
            "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
        ),
        (9_912_422, 28_881, 1_648_877, 4_542),
    ),
    *_four(
        "fashion_mnist",
        (
            "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
            "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
            "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
            "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
        ),
        (26_421_880, 29_515, 4_422_102, 5_148),
    ),
)


def files_of(dataset: str) -> tuple[PublishedFile, ...]:
    """List the files of one data set.

    Example:
        >>> [file.holds for file in files_of("mnist")]
        ['train images', 'train labels', 'test images', 'test labels']
    """
    return tuple(file for file in PUBLISHED if file.dataset == dataset)


def whose(sha256: str) -> PublishedFile | None:
    """Find the published file with this digest, or None.

    Example:
        >>> print(whose("ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db"))
        mnist: train images
    """
    return next((file for file in PUBLISHED if file.sha256 == sha256), None)


def announced(size: int) -> list[PublishedFile]:
    """List the published files that are so many bytes long, decompressed.

    Example:
        >>> [str(file) for file in announced(10_008)]
        ['mnist: test labels', 'fashion_mnist: test labels']
    """
    return [file for file in PUBLISHED if file.size == size]
