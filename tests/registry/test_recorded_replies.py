"""What real registries answered, as facts: the reports that they handed in to opencontainers/oci-conformance, the
issues named beside a line, and Debian's docker-registry. Hosts, names and states are theirs or shortened.
"""

from __future__ import annotations

from urllib.parse import parse_qs

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from assembler.model.digest import Digest
from assembler.registry.auth import Authenticator
from assembler.registry.credentials import Credential
from assembler.registry.location import follow, with_digest
from assembler.registry.origin import Origin
from assembler.registry.repository import held_bytes
from assembler.registry.responses import Refused, Reply
from assembler.registry.retry import retry_after
from assembler.registry.tokens import TokenServer
from tests.support.clocks import FakeTime

DIGEST = "sha256%3A48acff1d91752e957527c1b5416e7376d910bcacf01b9441175f8c270e35c183"


@pytest.mark.parametrize(("who", "said", "held"), [
    ("distribution, GitLab, Cloudsmith, ACR, zot: an empty session", "0-0", None),
    ("distribution: one byte", "0-0", None),
    ("metahub: any number of bytes", "0-0", None),
    ("olareg: an empty session", "0--1", 0),
    ("distribution: 600,000 bytes", "0-599999", 600_000),
    ("Artifactory: the second chunk of a blob of 42 bytes", "22-41", 42),
    ("the form of RFC 9110", "bytes=0-1023", 1024),
    ("django-oci, Artifactory's POST: no header", None, None),
    ("a proxy's own idea", "none", None),
    ("with a total", "bytes 0-1023/2048", None),
])
def test_ranges(who: str, said: str | None, held: int | None) -> None:
    assert held_bytes(said) == held, who


@given(st.text(st.sampled_from("0123456789-=bytes /*,"), max_size=40))
def test_any_range_is_a_number_of_bytes_or_nothing(text: str) -> None:
    held = held_bytes(text)
    assert held is None or held >= 0


@given(st.integers(0, 10**15), st.integers(1, 10**15), st.sampled_from(["", "bytes="]))
def test_the_end_of_a_range_is_what_is_believed(start: int, end: int, unit: str) -> None:
    assert held_bytes(f"{unit}{start}-{end}") == (None if not (start or end) else end + 1)


@pytest.mark.parametrize(("registry", "location", "commit"), [
    ("https://ociconformancetest.azurecr.io",
     "/v2/ocitest/alltests/blobs/uploads/3d2d2ca6?_nouploadcache=false&_state=a%2Bb%3D",
     "https://ociconformancetest.azurecr.io/v2/ocitest/alltests/blobs/uploads/3d2d2ca6"
     f"?_nouploadcache=false&_state=a%2Bb%3D&digest={DIGEST}"),
    ("https://docker.cloudsmith.io",
     "https://docker.cloudsmith.io/v2/cloudsmith/oci-conformance-testing/oci-testing/blobs/uploads/Qc9uGc0EeNXZ",
     "https://docker.cloudsmith.io/v2/cloudsmith/oci-conformance-testing/oci-testing/blobs/uploads/Qc9uGc0EeNXZ"
     f"?digest={DIGEST}"),
    ("https://registry.gitlab.com",
     "https://registry.gitlab.com/v2/gitlab-com/x/repo-a/blobs/uploads/81db4045?_state=VGhl%3D%3D",
     f"https://registry.gitlab.com/v2/gitlab-com/x/repo-a/blobs/uploads/81db4045?_state=VGhl%3D%3D&digest={DIGEST}"),
    ("http://10.100.102.8:8082",  # Artifactory, whose sessions look like files
     "http://10.100.102.8:8082/v2/docker-local/testimg/blobs/uploads/94c38589.patch",
     f"http://10.100.102.8:8082/v2/docker-local/testimg/blobs/uploads/94c38589.patch?digest={DIGEST}"),
    ("https://registry.example:443",  # comes back without the port: oras-go#177
     "https://registry.example/v2/a/blobs/uploads/1",
     f"https://registry.example/v2/a/blobs/uploads/1?digest={DIGEST}"),
    ("https://registry.example",  # behind a proxy that does not say X-Forwarded-Proto: distribution#479, #996
     "http://registry.example/v2/a/blobs/uploads/1?_state=s",
     f"https://registry.example/v2/a/blobs/uploads/1?_state=s&digest={DIGEST}"),
])
def test_locations(registry: str, location: str, commit: str) -> None:
    origin = Origin.of(httpx.URL(registry))
    found = follow(location, origin.url("/v2/a/blobs/uploads/"), origin, lambda _: None)
    assert f"{found}{'&' if '?' in str(found) else '?'}digest={DIGEST}" == commit
    assert str(with_digest(found, Digest.parse(DIGEST.replace("%3A", ":")))) == commit


@pytest.mark.parametrize(("registry", "challenge", "ours", "service", "scopes", "reply"), [
    ("https://docker.cloudsmith.io",
     'Bearer realm="https://docker.cloudsmith.io/login",service="docker.cloudsmith.io",'
     'scope="repository:cloudsmith/oci-conformance-testing:any"',
     "repository:cloudsmith/oci-conformance-testing/oci-testing:pull,push",
     ["docker.cloudsmith.io"],
     ["repository:cloudsmith/oci-conformance-testing:any",
      "repository:cloudsmith/oci-conformance-testing/oci-testing:pull,push"],
     b'{"access_token": "t", "token": "t", "expires_in": 7200, "issued_at": "2025-03-04T16:18:31+00:00"}'),
    ("https://registry.gitlab.com",
     'Bearer realm="https://gitlab.com/jwt/auth",service="container_registry",'
     'scope="repository:gitlab-com/registry-oci-conformance/repo-a:push,pull"',
     "repository:gitlab-com/registry-oci-conformance/repo-a:pull,push",
     ["container_registry"], ["repository:gitlab-com/registry-oci-conformance/repo-a:pull,push"],
     b'{"token": "t"}'),
    ("http://10.100.102.8:8082",  # Artifactory: another name than the one that was asked for
     'Bearer realm="http://10.100.102.8:8082/v2/token",service="10.100.102.8:8082",'
     'scope="repository:testimg:pull,push"',
     "repository:docker-local/testimg:pull,push", ["10.100.102.8:8082"],
     ["repository:testimg:pull,push", "repository:docker-local/testimg:pull,push"],
     b'{"token": "t", "expires_in": 9000}'),
    ("https://ociconformancetest.azurecr.io",
     'Bearer realm="https://ociconformancetest.azurecr.io/oauth2/token",service="ociconformancetest.azurecr.io",'
     'scope="repository:ocitest/alltests:pull,push"',
     "repository:ocitest/alltests:pull,push", ["ociconformancetest.azurecr.io"],
     ["repository:ocitest/alltests:pull,push"], b'{"access_token": "t"}'),
    ("https://registry-1.docker.io",
     'Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:library/busybox:pull"',
     "repository:library/busybox:pull", ["registry.docker.io"], ["repository:library/busybox:pull"],
     b'{"token": "t", "access_token": "t", "expires_in": 300, "issued_at": "2026-01-01T00:00:00.1Z"}'),
])
def test_challenges_and_tokens(
    registry: str, challenge: str, ours: str, service: list[str], scopes: list[str], reply: bytes
) -> None:
    """From the 401 to the question that the token server is asked, and its answer."""
    asked: list[httpx.URL] = []

    def send(method: str, url: httpx.URL, headers: dict[str, str], body: bytes | None) -> Reply:
        asked.append(url)
        return Reply(method, url, 200, httpx.Headers(), reply)

    origin = Origin.of(httpx.URL(registry))
    credential = Credential("ann", "pw", stored=True)
    auth = Authenticator(origin, credential, FakeTime().clock, send, pytest.fail)
    refusal = Reply("POST", origin.url("/v2/"), 401, httpx.Headers({"Www-Authenticate": challenge}))
    assert auth.answer(refusal, (ours,), None) == "Bearer t"
    query = parse_qs(asked[0].query.decode())
    assert (query["service"], query["scope"]) == (service, scopes)
    assert str(asked[0]).startswith(challenge.split('"')[1] + "?")


@pytest.mark.parametrize(("reply", "lasts"), [
    (b'{"token": "t"}', 60.0),
    (b'{"token": "t", "expires_in": 5}', 60.0),
    (b'{"access_token": "t", "expires_in": 7200}', 7200.0),
])
def test_how_long_a_token_lasts(reply: bytes, lasts: float) -> None:
    given = Reply("GET", httpx.URL("https://r.example"), 200, httpx.Headers(), reply)
    assert TokenServer(given.url, "", Credential(), lambda *_: given).fetch((), 100.0).expires == 100 + lasts


@pytest.mark.parametrize(("body", "codes", "shown"), [
    (b'{"errors": [{"code": "UNAUTHORIZED", "message": "authentication required"}]}', {"UNAUTHORIZED"},
     "UNAUTHORIZED: authentication required"),  # Cloudsmith
    (b'{"errors":[{"code":"UNAUTHORIZED","message":"authentication required","detail":[{"Type":"repository","Class":"",'
     b'"Name":"a","ProjectPath":"","Action":"pull"}]}]}', {"UNAUTHORIZED"}, "authentication required"),  # GitLab
    (b'{"errors":[{"code":"UNAUTHORIZED","message":"authentication required","detail":null}]}', {"UNAUTHORIZED"},
     "authentication required"),  # Artifactory
    (b"You have reached your pull rate limit.", set(), "You have reached your pull rate limit."),  # Docker Hub's 429
    (b"<html><head><title>413 Request Entity Too Large</title></head></html>", set(), "413 Request Entity"),  # nginx
])
def test_refusals(body: bytes, codes: set[str], shown: str) -> None:
    refused = Refused(Reply("GET", httpx.URL("https://r.example/v2/"), 429, httpx.Headers(), body))
    assert refused.codes == codes
    assert shown in refused.message


@pytest.mark.parametrize(("said", "seconds"), [
    ("120", 120.0), ("0", 0.0), ("Fri, 15 Jan 2027 08:00:30 GMT", 30.0), ("Fri, 15 Jan 2027 07:00:00 GMT", None),
    ("1.5", None), ("-3", None), ("soon", None), ("", None),
])
def test_retry_after(said: str, seconds: float | None) -> None:
    reply = Reply("GET", httpx.URL("https://r.example"), 429, httpx.Headers({"Retry-After": said}))
    assert retry_after(Refused(reply), 1_800_000_000.0) == seconds
