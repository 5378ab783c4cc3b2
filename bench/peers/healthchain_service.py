"""HealthChain answering order-sign: `python healthchain_service.py PORT typed|nothing`, in an environment of its own.

`nothing` answers with one fixed card and reads nothing of the call. `typed` reads the prefetch into FHIR's model
classes first, as HealthChain's readers do. Its own defaults are kept: FastAPI, one uvicorn process.
"""

import logging
import sys

import uvicorn
from fhir.resources.R4B.bundle import Bundle
from healthchain.gateway import CDSHooksService, HealthChainAPI
from healthchain.models.requests.cdsrequest import CDSRequest
from healthchain.models.responses.cdsresponse import Card, CDSResponse, Source


def create_app(typed: bool) -> HealthChainAPI:
    """The application."""
    service = CDSHooksService()

    @service.hook("order-sign", id="order-sign-crd")
    def order_sign(request: CDSRequest) -> CDSResponse:
        if typed:
            for found in (request.prefetch or {}).values():
                if found is not None:
                    Bundle.model_validate(found)
        return CDSResponse(cards=[Card(summary="A fixed card", indicator="info", source=Source(label="Peer"))])

    app = HealthChainAPI()
    app.register_service(service)

    @app.get("/health/live")
    def live() -> dict[str, str]:
        return {}

    return app


if __name__ == "__main__":
    logging.disable(logging.WARNING)
    uvicorn.run(create_app(sys.argv[2] == "typed"), host="127.0.0.1", port=int(sys.argv[1]), log_level="error")
