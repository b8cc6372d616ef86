from tests.small_heads import make_site, write_head

__all__ = ["make_site", "write_head"]
