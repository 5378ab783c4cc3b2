"""Who calls: registered CDS clients, their keys, their tokens, and which tokens were used.

`build_authenticator` puts the parts together; `tokens` is the file to read first.
"""

from pathlib import Path

from cds_service.auth.clients import ClientsFileError, TrustedClients, read_trusted_clients
from cds_service.auth.jwks import KeySetReader, Note, PublishedKeys
from cds_service.auth.replay import SeenTokens, SeenTokensFile
from cds_service.auth.replay_redis import RedisUrlError, SeenTokensRedis
from cds_service.auth.tokens import Authenticator, Caller, Reason, UnauthorizedError

__all__ = [
    "Authenticator",
    "Caller",
    "ClientsFileError",
    "Reason",
    "RedisUrlError",
    "UnauthorizedError",
    "build_authenticator",
]


def build_authenticator(
    trusted_clients: Path | None,
    data_dir: Path,
    redis_url: str = "",
    note: Note | None = None,
    verify: bool | str = True,
) -> Authenticator:
    """What checks the token of each call; with no file of clients it refuses every call.

    It opens no connection and no file of used tokens yet: built before or after a fork alike. `note` is told of each
    key set that could not be fetched; `verify` is what certificates are checked against, as `requests` takes it. Raises
    ClientsFileError and RedisUrlError.
    """
    clients = read_trusted_clients(trusted_clients) if trusted_clients is not None else TrustedClients()
    reader = KeySetReader(verify=verify)
    published = {
        jku: PublishedKeys(jku, reader.read) if note is None else PublishedKeys(jku, reader.read, note=note)
        for jku in clients.key_urls
    }
    seen: SeenTokens = SeenTokensRedis(redis_url) if redis_url else SeenTokensFile(data_dir / "used-tokens.sqlite3")
    return Authenticator(clients, published, seen)
