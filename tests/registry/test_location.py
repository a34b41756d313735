"""URLs from servers: what is followed, what is refused, what is shown."""

from __future__ import annotations

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from assembler.errors import RegistryError
from assembler.model.digest import Digest
from assembler.registry.location import follow, with_digest
from assembler.registry.origin import Neighbourhood, Origin, neighbourhood
from assembler.registry.redact import redact

SEEN_AT = httpx.URL("https://registry.example/v2/a/blobs/uploads/")
REGISTRY = Origin.of(SEEN_AT)
DIGEST = Digest.of(b"")


def follow_(target: str | None, registry: Origin = REGISTRY) -> str:
    warnings: list[str] = []
    return str(follow(target, httpx.URL(f"{registry}/v2/a/blobs/uploads/"), registry, warnings.append))


@pytest.mark.parametrize(("target", "url"), [
    ("https://registry.example/v2/a/blobs/uploads/1?_state=x%3D%3D", None),
    ("/v2/a/blobs/uploads/1?_nouploadcache=false&_state=a%e4%2Bb", "https://registry.example/v2/a/blobs/uploads/1"
     "?_nouploadcache=false&_state=a%e4%2Bb"),
    ("1", "https://registry.example/v2/a/blobs/uploads/1"),
    ("//cdn.example/x", "https://cdn.example/x"),
    ("https://bucket.s3.example/x?X-Amz-Signature=abc#part", "https://bucket.s3.example/x?X-Amz-Signature=abc"),
])
def test_locations_are_resolved_against_the_answering_url(target: str, url: str | None) -> None:
    assert follow_(target) == (url or target)


@pytest.mark.parametrize(("target", "why"), [
    (None, "without a Location"),
    ("", "without a Location"),
    ("https://u:p@registry.example/x", "user name or password"),
    ("ftp://registry.example/x", "neither http nor https"),
    ("registry.example:443/v2/x", "neither http nor https"),
    ("http://other.example/x", "not encrypted"),
    ("http://registry.example:8080/x", "not encrypted"),
    ("https://127.0.0.1/x", "loopback"),
    ("https://2130706433/x", "loopback"),
    ("https://0x7f.1/x", "loopback"),
    ("https://[::ffff:127.0.0.1]/x", "loopback"),
    ("https://localhost./x", "loopback"),
    ("https://0.0.0.0/x", "loopback"),
    ("https://169.254.169.254/latest/meta-data", "link-local"),
    ("https://10.0.0.1/x", "private"),
    ("https://[fd00::1]/x", "private"),
    ("https://[::1/x", "not a URL"),
    ("https://r.example:99999999/x", "not a URL"),
    ("http://://[]/", "an address that can't be read, which is neither http nor https"),
])
def test_unsafe_locations_are_refused(target: str | None, why: str) -> None:
    with pytest.raises(RegistryError, match=why):
        follow_(target)


def test_a_private_registry_may_send_to_its_neighbours_but_not_to_metadata() -> None:
    private = Origin("http", "10.1.2.3", 5000)
    assert follow_("http://10.1.2.4:9000/bucket", private) == "http://10.1.2.4:9000/bucket"
    with pytest.raises(RegistryError):
        follow_("http://127.0.0.1/x", private)
    with pytest.raises(RegistryError):
        follow_("http://169.254.169.254/x", private)


@pytest.mark.parametrize(("origin", "target", "url"), [
    (REGISTRY, "http://registry.example/v2/x?_state=s", "https://registry.example/v2/x?_state=s"),
    (Origin("https", "registry.example", 5000), "http://registry.example:5000/x", "https://registry.example:5000/x"),
    (Origin("https", "registry.example", 5000), "http://registry.example/x", "https://registry.example:5000/x"),
])
def test_an_https_registry_that_names_itself_http_is_put_right(origin: Origin, target: str, url: str) -> None:
    warnings: list[str] = []
    assert str(follow(target, httpx.URL(f"{origin}/v2/"), origin, warnings.append)) == url
    assert "X-Forwarded-Proto" in warnings[0]


def test_the_digest_is_appended_as_text() -> None:
    encoded = str(DIGEST).replace(":", "%3A")
    assert str(with_digest(httpx.URL("https://r/u?_state=a%e4%3D"), DIGEST)) == f"https://r/u?_state=a%e4%3D&digest={encoded}"
    assert str(with_digest(httpx.URL("https://r/u"), DIGEST)) == f"https://r/u?digest={encoded}"


def test_secrets_are_not_shown() -> None:
    shown = redact("https://u:geheim@r:5000/v2/x?_state=geheim&sig=geheim&digest=sha256%3Aab&X-Amz-Signature=geheim&token=geheim")
    assert "geheim" not in shown
    assert "digest=sha256%3Aab" in shown
    assert shown.startswith("https://r:5000/v2/x?_state=REDACTED")


@pytest.mark.parametrize(("registry", "origin"), [
    ("docker.io", "https://registry-1.docker.io"),
    ("ghcr.io", "https://ghcr.io"),
    ("ghcr.io:443", "https://ghcr.io"),
    ("localhost:5000", "http://localhost:5000"),
    ("127.0.0.1", "http://127.0.0.1"),
    ("[::1]:5000", "http://[::1]:5000"),
    ("registry.example:5000", "https://registry.example:5000"),
])
def test_the_origin_of_a_registry(registry: str, origin: str) -> None:
    assert str(Origin.of_registry(registry)) == origin


def test_plain_http_when_asked() -> None:
    assert str(Origin.of_registry("r.example", plain_http=True)) == "http://r.example"
    assert str(Origin.of_registry("localhost:5000", plain_http=False)) == "https://localhost:5000"


def test_public_addresses_are_public() -> None:
    assert neighbourhood("8.8.8.8") is Neighbourhood.PUBLIC
    assert neighbourhood("2606:4700::1") is Neighbourhood.PUBLIC
    assert neighbourhood("a.example") is Neighbourhood.PUBLIC


_TEXT = st.text(st.characters(max_codepoint=0x2FF), max_size=60)


@given(_TEXT | st.from_regex(r"(https?:)?//[^/]{0,20}(:\d{0,6})?/.*"))
def test_any_location_is_followed_or_refused(target: str) -> None:
    try:
        url = httpx.URL(follow_(target))
    except RegistryError as error:
        assert error.message
    else:
        assert url.scheme == "https"
        assert not url.userinfo
        redact(url)
