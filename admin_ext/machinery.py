"""The state of the machinery for every page: whether the recorder works, and what the workers say."""
from django.http import HttpRequest
def machinery(request: HttpRequest) -> dict[str, object]:
    return {}
