import pytest

from kuaimei.errors import (
    AudioError,
    EngineError,
    EngineUnavailable,
    KuaimeiError,
    NotFound,
    QueueFull,
    StoreError,
    WeightsError,
)
from kuaimei.http.errors import ApiError, error_body, with_status


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (AudioError("x"), 400, "audio"),
        (NotFound("x"), 404, "not_found"),
        (StoreError("x"), 503, "store"),
        (QueueFull("x"), 503, "queue_full"),
        (EngineUnavailable("x"), 503, "unavailable"),
        (EngineError("x"), 502, "engine"),
        (WeightsError("x"), 500, "weights"),
        (ApiError("x", status=418, code="tea"), 418, "tea"),
    ],
)
def test_every_error_has_its_status(error: KuaimeiError, status: int, code: str) -> None:
    told = with_status(error)
    assert (told.status, told.code, str(told)) == (status, code, "x")


def test_the_dialects_form() -> None:
    assert error_body("m", 404, code="c", param="p") == {
        "error": {"message": "m", "type": "invalid_request_error", "code": "c", "param": "p"}
    }
    assert error_body("m", 503)["error"]["type"] == "server_error"
