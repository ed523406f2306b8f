"""What Assay takes from modules that torch calls private, in one place, so that a new torch is checked here.

`FakeTensorMode` gives tensors with shapes and no memory: https://docs.pytorch.org/docs/stable/torch.compiler_fake_tensor.html. The `tree`
functions walk over tensors nested in tuples, lists and mappings; torch has no public ones.
"""

from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._pytree import tree_flatten, tree_leaves, tree_map, tree_map_only, tree_unflatten

__all__ = ["FakeTensorMode", "tree_flatten", "tree_leaves", "tree_map", "tree_map_only", "tree_unflatten"]
