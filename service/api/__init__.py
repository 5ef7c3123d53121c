"""One module a resource, each with a `router`. To add one: write the module, list it in `service.app.ROUTERS`."""
