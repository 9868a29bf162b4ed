"""How the paths of the API begin: web answers them, the gateway hands them on to web, and no vendor may be called like one."""

SIGN_IN = "auth"
API_PATHS = frozenset(
    (
        "usage",
        "costs",
        "budgets",
        "models",
        "me",
        "keys",
        "access-tokens",
        "alerts",
        "admin",
        "docs",
        "openapi.json",
    )
)
