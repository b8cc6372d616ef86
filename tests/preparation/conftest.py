from tests.external2_miniature import miniature
from tests.small_heads import make_site, write_head

__all__ = ["make_site", "miniature", "write_head"]
