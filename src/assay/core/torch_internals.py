"""The functions that Assay uses from private modules of torch, in one place to check when torch changes.

`FakeTensorMode` gives tensors with shapes and no memory: https://docs.pytorch.org/docs/stable/torch.compiler_fake_tensor.html. The `tree`
functions walk over tensors nested in tuples, lists and mappings; torch has no public ones.
"""

from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._pytree import tree_flatten, tree_leaves, tree_map, tree_map_only, tree_unflatten

__all__ = ["FakeTensorMode", "tree_flatten", "tree_leaves", "tree_map", "tree_map_only", "tree_unflatten"]
