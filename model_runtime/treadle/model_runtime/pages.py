"""Memory that is done with, given back to the system while a checkpoint is loaded."""

import ctypes
import mmap

from torch import Tensor


def give_back(view: Tensor) -> None:
    """Let the system take the pages that hold nothing but this view of a mapped file."""
    begin = -(-view.data_ptr() // mmap.PAGESIZE) * mmap.PAGESIZE
    end = (view.data_ptr() + view.nbytes) // mmap.PAGESIZE * mmap.PAGESIZE
    advise = getattr(ctypes.CDLL(None), "madvise", None)
    if advise is not None and end > begin:
        advise(ctypes.c_void_p(begin), ctypes.c_size_t(end - begin), mmap.MADV_DONTNEED)


def return_freed_memory() -> None:
    """Give back what loading took: glibc would keep it for later.

    It does nothing where the C library has no such function.
    """
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
