import pytest

pytest.register_assert_rewrite("tests.pools.builders", "pools.builders")
